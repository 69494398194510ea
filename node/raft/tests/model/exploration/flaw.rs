//! Rules broken on purpose, to see that the model notices.
//!
//! The core under test is the production one, so none of this is in it. What belongs to its driver is
//! broken in the driver: what waits for the disk, what the disk keeps, what is recovered, when a read is
//! answered. What the core decides is broken between nodes: a message is made to say what a core without
//! the rule would have said, or taken for what such a core would have taken it for.

use raft::{AppendEntries, AppendOutcome, LogIndex, Message, Replica, Role, Round, Term};

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Votes are sent before they are durable.
    VotesBeforeDurable,
    /// Appends are acknowledged before they are durable.
    AppendsBeforeDurable,
    /// A heartbeat is answered before what earlier appends brought is durable.
    HeartbeatsBeforeDurable,
    /// A candidate asks for votes before its term, its vote and its log are durable.
    CandidacyBeforeDurable,
    /// Writes are acknowledged as soon as they are handed to the disk.
    LyingDisk,
    /// Of one write the entries reach the disk before the term.
    EntriesBeforeTerm,
    /// What is truncated stays on the disk behind what is written over it.
    LosesTruncation,
    /// A snapshot that is installed leaves the old log behind it on the disk.
    SnapshotKeepsLog,
    /// A snapshot that is taken counts before the log that it stands for.
    SnapshotBeforeLog,
    /// A restarted node knows its term, but not its vote.
    ForgetsVote,
    /// A refused vote counts.
    RefusalsCount,
    /// A vote of an earlier term counts.
    StaleVotesCount,
    /// An acknowledgement of an earlier reign counts.
    StaleMatchesCount,
    /// The leader commits what it sends.
    CommitsUnacknowledged,
    /// The leader commits entries of earlier terms by counting (Raft §5.4.2, Figure 8).
    CountsEarlierTerms,
    /// A follower commits up to the end of its own log, verified or not.
    CommitsUnverified,
    /// A follower acknowledges the whole of its log, verified or not.
    AcknowledgesUnverified,
    /// A leader reads without asking anybody.
    ReadsWithoutRound,
    /// Any answer proves the latest round.
    RoundsCountTwice,
    /// A new leader reads before it has committed an entry of its own term.
    ReadsBeforeOwnEntry,
    /// A restarted follower takes an answer to a question of before for one to its own.
    AnswersOutliveCrashes,
    /// What was handed out and is not applied yet is handed out again with the next entries.
    AppliesTwice,
}

impl Flaw {
    /// Returns whether a message does not wait for the disk.
    pub(crate) fn ignores_disk(self, message: &Message) -> bool {
        match self {
            Self::VotesBeforeDurable => matches!(message, Message::RequestVoteResponse(_)),
            Self::AppendsBeforeDurable => matches!(message, Message::AppendEntriesResponse(_)),
            Self::CandidacyBeforeDurable => matches!(message, Message::RequestVote(_)),
            _ => false,
        }
    }

    /// Makes a message say what a core without the rule would have said.
    pub(crate) fn falsify(self, sender: &Replica, message: &mut Message) {
        match message {
            Message::AppendEntries(m) if self == Self::CommitsUnacknowledged => {
                m.leader_commit = LogIndex(m.prev_log_index.0 + m.entries.len() as u64);
            }
            Message::AppendEntriesResponse(m) if self == Self::AcknowledgesUnverified => {
                if let AppendOutcome::Matched { match_index } = &mut m.outcome {
                    *match_index = sender.last_log_index();
                }
            }
            _ => {}
        }
    }

    /// Makes a message be taken for what a core without the rule would have taken it for.
    pub(crate) fn misread(self, recipient: &Replica, round_sent: Round, message: &mut Message) {
        match message {
            Message::RequestVoteResponse(m) if self == Self::RefusalsCount => {
                m.vote_granted |= m.term == recipient.term();
            }
            Message::RequestVoteResponse(m) if self == Self::StaleVotesCount => {
                m.term = m.term.max(recipient.term());
            }
            Message::AppendEntriesResponse(m) if m.term <= recipient.term() => {
                if self == Self::StaleMatchesCount && m.term < recipient.term() {
                    (m.term, m.round) = (recipient.term(), Round(0));
                }
                if self == Self::RoundsCountTwice && m.term == recipient.term() {
                    m.round = round_sent;
                }
            }
            _ => {}
        }
    }

    /// Returns a heartbeat by which a follower takes for verified what it has, after it handled one that
    /// verified less.
    pub(crate) fn take_for_verified(
        self,
        follower: &Replica,
        message: &Message,
    ) -> Option<Message> {
        let Message::AppendEntries(m) = message else { return None };
        let is_leaders = m.term == follower.term() && follower.role() == Role::Follower;
        let (index, term) = last_entry(follower)?;
        let has_matched =
            m.prev_log_index == LogIndex(0) || holds(follower, m.prev_log_index, m.prev_log_term);
        let is_shorter = m.prev_log_index.0 + (m.entries.len() as u64) < index.0;
        (self == Self::CommitsUnverified && is_leaders && has_matched && is_shorter).then(|| {
            Message::AppendEntries(AppendEntries {
                prev_log_index: index,
                prev_log_term: term,
                entries: vec![],
                ..m.clone()
            })
        })
    }
}

fn holds(replica: &Replica, index: LogIndex, term: Term) -> bool {
    replica.log().iter().any(|entry| (entry.index, entry.term) == (index, term))
}

fn last_entry(replica: &Replica) -> Option<(LogIndex, Term)> {
    replica.log().last().map(|entry| (entry.index, entry.term))
}
