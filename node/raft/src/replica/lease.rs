//! Reads without a round: a leader's lease (dissertation §6.4.1), off unless it is asked for.
//!
//! A follower that answers a round will vote for nobody else for an election timeout. So if a quorum
//! answered a round, no other leader can be elected until an election timeout has passed since the
//! round *began*, by the fastest clock of the cluster. That is the lease. It counts by a clock that
//! goes on while the node is suspended, so a leader that wakes up finds it expired.

use std::collections::VecDeque;

use super::{Replica, State};
use crate::config::Config;
use crate::types::{Round, Timestamp};

/// The lease of a leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LeaseHeld {
    /// Rounds that are not answered by a quorum yet, and when they began or earlier.
    open: VecDeque<(Round, Timestamp)>,
    /// Until when no other leader can be.
    until: Timestamp,
    /// The leader asked another to campaign, to whom no follower's promise applies. The request may
    /// arrive at any time while the term lasts.
    is_void: bool,
}

impl LeaseHeld {
    /// Gives the lease up for the rest of the term.
    pub(super) fn void(&mut self) {
        self.is_void = true;
    }

    /// Notes that a quorum has answered the rounds up to `proven`.
    pub(super) fn prove(&mut self, proven: Round, duration: u64) {
        while let Some((_, began)) = self.open.pop_front_if(|(round, _)| *round <= proven) {
            self.until = Timestamp(began.0.saturating_add(duration));
        }
    }
}

/// Returns how long a lease lasts, in nanoseconds. A follower counts its promise in ticks, of which the
/// first may come at once, and another early that makes up for one that was late.
pub(super) fn duration(config: &Config) -> Option<u64> {
    let lease = config.lease.as_ref()?;
    let promised = lease.tick * config.election_timeout.saturating_sub(2);
    let certain = promised.as_nanos() * u128::from(1000 - lease.drift) / 1000;
    Some(u64::try_from(certain).unwrap_or(u64::MAX))
}

impl Replica {
    /// Notes what the clock says. Where there is no lease time is nothing, so that states which differ
    /// in nothing else are one.
    pub(super) fn note_time(&mut self, now: Timestamp) {
        if self.config.lease.is_some() {
            self.now = self.now.max(now);
        }
    }

    /// Notes that a round of this reign begins.
    pub(super) fn note_round(&mut self) {
        let now = self.now;
        if let State::Leader(leadership) = &mut self.state
            && self.config.lease.is_some()
        {
            leadership.lease.open.push_back((leadership.round, now));
        }
    }

    /// Returns whether this node certainly leads at the moment that was last noted.
    pub(super) fn holds_lease(&self) -> bool {
        let State::Leader(leadership) = &self.state else { return false };
        self.config.lease.is_some()
            && !leadership.lease.is_void
            && self.now < leadership.lease.until
    }
}
