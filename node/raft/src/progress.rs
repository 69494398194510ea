//! What a leader knows of one follower.

use crate::types::{LogIndex, Round};

/// How far a follower's log is known to match, and what to send next (Raft Figure 2, "volatile
/// state on leaders"). `match_index < next_index` always.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    /// Every entry up to here matches and is durable there.
    pub(crate) match_index: LogIndex,
    /// The first entry to send.
    pub(crate) next_index: LogIndex,
    pub(crate) mode: Mode,
    /// The latest round that the follower has answered.
    pub(crate) round_acked: Round,
    /// Whether it has been heard since the leader last counted.
    pub(crate) is_heard: bool,
}

/// How to feed a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// It is not known where the logs agree: one message at a time finds out.
    Probe {
        /// A probe is under way. If it is lost, the next heartbeat does its work.
        awaiting: bool,
    },
    /// The logs agree up to `next_index`: entries are sent without waiting for answers.
    Replicate,
}

impl Progress {
    /// Returns what a new leader assumes of a follower: that its log is as long as the leader's.
    pub(crate) fn new(last_log_index: LogIndex) -> Self {
        Self {
            match_index: LogIndex(0),
            next_index: last_log_index.next(),
            mode: Mode::Probe { awaiting: false },
            round_acked: Round(0),
            is_heard: false,
        }
    }

    /// Notes that everything up to `index` matches.
    pub(crate) fn matched(&mut self, index: LogIndex) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index.next());
        self.mode = Mode::Replicate;
    }

    /// Notes that `count` entries from `next_index` on are on their way.
    pub(crate) fn sent(&mut self, count: usize) {
        match &mut self.mode {
            Mode::Probe { awaiting } => *awaiting = true,
            Mode::Replicate => self.next_index = LogIndex(self.next_index.0 + count as u64),
        }
    }

    /// Returns whether a conflict at `prev_log_index` says something new. An answer that was
    /// overtaken by a match, or by another probe, says nothing.
    pub(crate) fn is_news(&self, prev_log_index: LogIndex) -> bool {
        let is_open = prev_log_index > self.match_index;
        match self.mode {
            Mode::Probe { .. } => is_open && prev_log_index == self.next_index.previous(),
            Mode::Replicate => is_open,
        }
    }

    /// Falls back to probing at `next_index`, within what is known to match and what was refused.
    pub(crate) fn probe(&mut self, next_index: LogIndex, refused: LogIndex) {
        self.next_index = next_index.min(refused).max(self.match_index.next());
        self.mode = Mode::Probe { awaiting: false };
    }

    /// Returns how many entries are on their way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.next_index.0 - 1 - self.match_index.0
    }
}
