//! A node's disk: what is durable, what is on its way, and what a crash makes of it.
//!
//! It keeps the contract of `raft`'s `effect.rs` and behaves as the node's own storage does: one sync at a
//! time makes durable everything that was written before it began, and a snapshot that was saved beside
//! the log counts from a record in the log on, behind the writes that were asked for before.

use std::collections::VecDeque;
use std::sync::Arc;

use raft::{Entry, HardState, LogIndex, Recovered, Snapshot, Write, WriteId};

use crate::plan::CrashLoss;
use crate::random::Random;

/// A snapshot with its data.
pub(crate) type Saved = (Snapshot, Arc<[u8]>);

/// One node's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    durable: Durable,
    /// What is not durable yet, in order.
    queue: VecDeque<Job>,
    /// How many of these the sync under way is for.
    in_sync: usize,
    /// How many times slower it is than it should be.
    pub(crate) slowness: u32,
    /// How many faults keep it from finishing anything.
    pub(crate) stuck: u32,
    /// The sync under way would have ended by now, were the disk not stuck.
    pub(crate) is_overdue: bool,
    /// The next sync fails.
    pub(crate) is_broken: bool,
    /// How many faults leave no room for snapshots, …
    pub(crate) scarce: u32,
    /// … and how many for anything.
    pub(crate) full: u32,
    /// There was no room when the sync under way began.
    is_out_of_room: bool,
}

/// Why nothing became durable. The node stops: it must not try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("failed to sync")]
    Broken,
    #[error("failed to find room for a write")]
    Full,
}

/// Something to be made durable.
#[derive(Debug)]
pub(crate) enum Job {
    /// A write of the core, with the data of its snapshot if it has one.
    Write(Write, Option<Arc<[u8]>>),
    /// The record of a snapshot whose data are durable.
    Saved(Saved),
}

/// What a crash leaves.
#[derive(Debug, Default)]
struct Durable {
    hard_state: HardState,
    snapshot: Option<Saved>,
    entries: Vec<Entry>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { slowness: 1, ..Self::default() }
    }

    /// Takes a job; says whether a sync must begin, because none is under way.
    pub(crate) fn submit(&mut self, job: Job) -> bool {
        self.queue.push_back(job);
        self.begin_sync()
    }

    /// Begins a sync of all that waits; says whether there was anything, and nothing under way.
    pub(crate) fn begin_sync(&mut self) -> bool {
        if self.in_sync > 0 || self.queue.is_empty() {
            return false;
        }
        self.in_sync = self.queue.len();
        // What was written before has its room.
        self.is_out_of_room = self.full > 0;
        true
    }

    pub(crate) fn is_syncing(&self) -> bool {
        self.in_sync > 0
    }

    pub(crate) fn has_room_for_snapshots(&self) -> bool {
        self.scarce == 0 && self.full == 0
    }

    /// Ends the sync under way; returns the last write that is durable now, if there was one.
    pub(crate) fn complete(&mut self) -> Result<Option<WriteId>, DiskError> {
        if self.is_broken {
            return Err(DiskError::Broken);
        }
        if self.is_syncing() && self.is_out_of_room {
            return Err(DiskError::Full);
        }
        let mut last = None;
        for job in self.queue.drain(..self.in_sync) {
            if let Job::Write(write, _) = &job {
                last = Some(write.id);
            }
            self.durable.take(job);
        }
        self.in_sync = 0;
        Ok(last)
    }

    /// Ends the node that writes here. Of what was not durable some may be, but never a later thing
    /// without all earlier ones.
    pub(crate) fn crash(&mut self, loss: CrashLoss, random: &mut Random) {
        let count = self.queue.len() as u64;
        let kept = if loss == CrashLoss::All { 0 } else { random.below(count + 1) };
        let mut queue = std::mem::take(&mut self.queue).into_iter();
        for job in queue.by_ref().take(kept as usize) {
            self.durable.take(job);
        }
        if let (CrashLoss::Torn, Some(Job::Write(write, _))) = (loss, queue.next()) {
            self.durable.take_torn(write, random);
        }
        self.in_sync = 0;
        self.is_overdue = false;
    }

    /// Returns what a node that starts finds, and the data of its snapshot.
    pub(crate) fn recover(&self) -> (Recovered, Option<Arc<[u8]>>) {
        let Durable { hard_state, snapshot, entries } = &self.durable;
        let base = snapshot.as_ref().map_or(LogIndex(0), |(snapshot, _)| snapshot.index);
        let behind = entries.iter().filter(|entry| entry.index > base).cloned();
        let recovered = Recovered {
            hard_state: *hard_state,
            snapshot: snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()),
            entries: behind.collect(),
        };
        (recovered, snapshot.as_ref().map(|(_, data)| data.clone()))
    }
}

impl Durable {
    fn take(&mut self, job: Job) {
        let (write, data) = match job {
            Job::Saved(saved) => {
                let newest = self.snapshot.as_ref().map_or(LogIndex(0), |(it, _)| it.index);
                // One that was received meanwhile stands for more.
                if saved.0.index > newest {
                    self.snapshot = Some(saved);
                }
                return;
            }
            Job::Write(write, data) => (write, data),
        };
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let (Some(snapshot), Some(data)) = (write.snapshot, data) {
            self.entries.clear();
            self.snapshot = Some((snapshot, data));
        }
        if let Some(from) = write.truncate_from {
            self.entries.truncate(self.entries.partition_point(|entry| entry.index < from));
        }
        self.entries.extend(write.entries);
        if let Some(upto) = write.compact_upto {
            self.entries.drain(..self.entries.partition_point(|entry| entry.index <= upto));
        }
    }

    /// Takes the beginning of a write that was under way: its hard state, then its truncation, then
    /// some of its entries. With a snapshot it is all or nothing, and here nothing.
    fn take_torn(&mut self, mut write: Write, random: &mut Random) {
        if write.snapshot.is_some() {
            return;
        }
        write.compact_upto = None;
        let before_entries = 1 + usize::from(write.truncate_from.is_some());
        let kept = random.below((before_entries + write.entries.len()) as u64) as usize;
        if kept < 1 {
            write.hard_state = None;
        }
        if kept < before_entries {
            write.truncate_from = None;
        }
        write.entries.truncate(kept.saturating_sub(before_entries));
        self.take(Job::Write(write, None));
    }
}

#[cfg(test)]
mod tests;
