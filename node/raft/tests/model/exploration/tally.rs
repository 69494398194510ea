//! What an exploration came across: one in which nothing happens proves nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something that an exploration should come across to be worth anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A leader follows another.
    Succession,
    /// Two nodes believe to lead, in different terms.
    Rivalry,
    /// An entry becomes committed in a later term than its own.
    LateCommit,
    /// A write is acknowledged to its client.
    Acknowledgement,
    /// A read sees a write.
    Sight,
    /// A node that does not lead answers a read.
    FollowerRead,
    /// A crash loses writes.
    Loss,
    /// A crash comes after everything has reached the disk and before it is acknowledged.
    UnacknowledgedKept,
    /// A crash keeps some of what was pending, and loses the rest.
    TornWrite,
    /// A log loses entries to another leader's.
    Truncation,
    /// A snapshot takes the place of a log.
    Installation,
    /// A change of membership is done.
    Change,
    /// A leader hands over.
    Transfer,
}

const EVENTS: usize = Event::Transfer as usize + 1;

/// How many steps of an exploration showed each event.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; EVENTS]);

impl Tally {
    pub(crate) fn add(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, event: Event) -> u64 {
        self.0[event as usize].load(Ordering::Relaxed)
    }
}
