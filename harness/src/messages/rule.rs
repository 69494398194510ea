//! Which messages are hit, and how: data, as it stands in plans.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::span;

/// The kinds of message that consensus protocols have, by the names of the Raft paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// The leader replicates its log, or is heard of.
    AppendEntries,
    /// The answer to it.
    AppendEntriesResponse,
    /// A candidate asks for a vote.
    RequestVote,
    /// The answer to it.
    RequestVoteResponse,
    /// A node asks whether it would get a vote.
    PreVote,
    /// The answer to it.
    PreVoteResponse,
    /// The leader sends a piece of a snapshot.
    InstallSnapshot,
    /// The answer to it.
    InstallSnapshotResponse,
    /// A node asks up to where it must have applied the log before it answers a read.
    ReadIndex,
    /// The answer to it.
    ReadIndexResponse,
    /// The leader hands over.
    TimeoutNow,
    /// Any other.
    Other,
}

/// What becomes of a message that is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageAction {
    /// It never arrives.
    Drop,
    /// It arrives twice, one right after the other.
    Duplicate,
    /// It arrives so much later; others overtake it.
    Delay(#[serde(with = "span")] Duration),
    /// It arrives after the next one of its stream, or a little later if none comes.
    Reorder,
}

/// Hits some messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRule {
    /// Messages of this kind, or of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
    /// How many of a hundred of them, by chance.
    pub percent: u8,
    /// What becomes of those.
    pub action: MessageAction,
}

impl MessageKind {
    /// All kinds but the last, which stands for what nobody told apart.
    pub const TOLD_APART: [Self; 11] = [
        Self::AppendEntries,
        Self::AppendEntriesResponse,
        Self::RequestVote,
        Self::RequestVoteResponse,
        Self::PreVote,
        Self::PreVoteResponse,
        Self::InstallSnapshot,
        Self::InstallSnapshotResponse,
        Self::ReadIndex,
        Self::ReadIndexResponse,
        Self::TimeoutNow,
    ];

    /// Says whether messages of this kind come by all the time, and not only when somebody is elected, lags far
    /// behind or hands over.
    pub(crate) const fn is_common(self) -> bool {
        matches!(
            self,
            Self::AppendEntries
                | Self::AppendEntriesResponse
                | Self::ReadIndex
                | Self::ReadIndexResponse
        )
    }

    /// Returns its name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AppendEntries => "append-entries",
            Self::AppendEntriesResponse => "append-entries-response",
            Self::RequestVote => "request-vote",
            Self::RequestVoteResponse => "request-vote-response",
            Self::PreVote => "pre-vote",
            Self::PreVoteResponse => "pre-vote-response",
            Self::InstallSnapshot => "install-snapshot",
            Self::InstallSnapshotResponse => "install-snapshot-response",
            Self::ReadIndex => "read-index",
            Self::ReadIndexResponse => "read-index-response",
            Self::TimeoutNow => "timeout-now",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl MessageRule {
    /// Tells whether messages of this kind may be hit.
    #[must_use]
    pub fn is_about(&self, kind: MessageKind) -> bool {
        self.kind.is_none_or(|of| of == kind)
    }

    /// Says why it cannot be meant, if so.
    ///
    /// # Errors
    /// When it hits nothing, or delays by nothing.
    pub fn check(&self) -> Result<(), &'static str> {
        match (self.percent, self.action) {
            (0, _) => Err("hits no messages; let `percent` be from 1 to 100"),
            (101.., _) => Err("hits more than all messages; let `percent` be from 1 to 100"),
            (_, MessageAction::Delay(Duration::ZERO)) => Err("delays messages by nothing"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for MessageRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            MessageAction::Drop => f.write_str("drop")?,
            MessageAction::Duplicate => f.write_str("duplicate")?,
            MessageAction::Delay(by) => write!(f, "delay by {}", humantime::format_duration(by))?,
            MessageAction::Reorder => f.write_str("reorder")?,
        }
        write!(f, " {} % of ", self.percent)?;
        match self.kind {
            Some(kind) => kind.fmt(f),
            None => f.write_str("all messages"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        #[derive(Deserialize, Serialize)]
        struct Plan {
            rule: MessageRule,
        }
        for (text, said) in [
            ("{ percent = 5, action = \"drop\" }", "drop 5 % of all messages"),
            (
                "{ kind = \"request-vote\", percent = 100, action = \"duplicate\" }",
                "duplicate 100 % of request-vote",
            ),
            (
                "{ kind = \"install-snapshot\", percent = 50, action = { delay = \"1s 5ms\" } }",
                "delay by 1s 5ms 50 % of install-snapshot",
            ),
        ] {
            let plan: Plan = toml::from_str(&format!("rule = {text}")).unwrap();
            assert_eq!(plan.rule.to_string(), said);
            let again: Plan = toml::from_str(&toml::to_string(&plan).unwrap()).unwrap();
            assert_eq!(again.rule, plan.rule);
        }
        for kind in MessageKind::TOLD_APART.into_iter().chain([MessageKind::Other]) {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_rule_that_does_nothing_is_refused() {
        let rule = |percent, action| MessageRule { kind: None, percent, action };
        assert_eq!(rule(1, MessageAction::Drop).check(), Ok(()));
        for percent in [0, 101] {
            let checked = rule(percent, MessageAction::Reorder).check();
            assert!(checked.unwrap_err().contains("from 1 to 100"));
        }
        let delay = MessageAction::Delay(Duration::ZERO);
        assert!(rule(50, delay).check().is_err());
    }
}
