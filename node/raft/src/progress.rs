//! What a leader knows of one follower.

use std::collections::VecDeque;

use crate::config::Limits;
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
    /// Whether it has answered since the leader last counted.
    pub(crate) is_heard: bool,
    /// Appends on their way, in the order of their entries. None while probing.
    in_flight: VecDeque<InFlight>,
    bytes_in_flight: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InFlight {
    last_index: LogIndex,
    bytes: usize,
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
    /// The leader no longer has the follower's next entry, and sends its newest snapshot instead.
    Snapshot {
        /// Where in the snapshot the next piece begins, or the one that is under way.
        offset: u64,
        /// Ticks since a piece was sent, if one is under way.
        awaiting: Option<u32>,
        /// Whether the follower has answered a piece of it, and the last one before the leader lost
        /// its patience.
        is_answered: bool,
    },
}

impl Mode {
    /// Sends the newest snapshot from its beginning.
    pub(crate) const SNAPSHOT: Self =
        Self::Snapshot { offset: 0, awaiting: None, is_answered: false };

    pub(crate) fn is_snapshot(self) -> bool {
        matches!(self, Self::Snapshot { .. })
    }

    /// Returns how much of a snapshot the follower has; 0 while it receives none.
    pub(crate) fn snapshot_offset(self) -> u64 {
        match self {
            Self::Snapshot { offset, .. } => offset,
            Self::Probe { .. } | Self::Replicate => 0,
        }
    }
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
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
        }
    }

    /// Notes that everything up to `index` matches. A follower that still lacks what the leader's log
    /// begins with, at `first_index`, goes on receiving the snapshot.
    pub(crate) fn matched(&mut self, index: LogIndex, first_index: LogIndex) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index.next());
        while let Some(landed) = self.in_flight.pop_front_if(|sent| sent.last_index <= index) {
            self.bytes_in_flight -= landed.bytes;
        }
        let lacks_snapshot = self.mode.is_snapshot() && self.next_index < first_index;
        if !lacks_snapshot {
            self.mode = Mode::Replicate;
        }
    }

    /// Notes that `count` entries from `next_index` on, with so many bytes of commands, are on their
    /// way.
    pub(crate) fn sent(&mut self, count: usize, bytes: usize) {
        match &mut self.mode {
            Mode::Probe { awaiting } => *awaiting = true,
            Mode::Replicate => {
                let last_index = LogIndex(self.next_index.0 + count as u64 - 1);
                self.next_index = last_index.next();
                self.in_flight.push_back(InFlight { last_index, bytes });
                self.bytes_in_flight += bytes;
            }
            Mode::Snapshot { .. } => unreachable!("entries are not sent beside a snapshot"),
        }
    }

    /// Returns whether a conflict at `prev_log_index` says something new. An answer that was
    /// overtaken by a match, or by another probe, says nothing.
    pub(crate) fn is_news(&self, prev_log_index: LogIndex) -> bool {
        let is_open = prev_log_index > self.match_index;
        match self.mode {
            Mode::Probe { .. } => is_open && prev_log_index == self.next_index.previous(),
            Mode::Replicate => is_open,
            Mode::Snapshot { .. } => false,
        }
    }

    /// Falls back to probing at `next_index`, within what is known to match and what was refused.
    pub(crate) fn probe(&mut self, next_index: LogIndex, refused: LogIndex) {
        self.next_index = next_index.min(refused).max(self.match_index.next());
        self.change_mode(Mode::Probe { awaiting: false });
    }

    /// Begins to send the newest snapshot.
    pub(crate) fn begin_snapshot(&mut self) {
        self.change_mode(Mode::SNAPSHOT);
    }

    /// Whatever was on its way in another mode is not waited for.
    fn change_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.in_flight.clear();
        self.bytes_in_flight = 0;
    }

    /// Returns whether as much is on its way as may be.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.in_flight.len() >= limits.messages_in_flight
            || self.bytes_in_flight >= limits.bytes_in_flight
    }
}
