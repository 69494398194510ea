//! Snapshots on their way: the one that is being taken, and the one that is being received.

use bytes::Bytes;
use raft::{LogIndex, Snapshot};

use super::DriverError;
use super::request::{End, Failure};

/// The largest snapshot, in bytes. A node holds a snapshot that it receives in memory, beside the state
/// machine that it becomes; a state beyond this is more than a node is meant to hold at all.
pub(crate) const SNAPSHOT_MAX: usize = 1 << 30;

/// How many operators may wait for one snapshot: far more than there are, but under a disk that hangs
/// they must not gather for ever.
pub(super) const WAITING_MAX: usize = 64;

/// What is known of snapshots that are not finished.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The one that is being saved.
    saving: Option<LogIndex>,
    /// Operators who wait for it.
    waiting: Vec<End<LogIndex>>,
    /// What has arrived of the one that is being received.
    gathered: Vec<u8>,
    /// One that is whole and was handed to the disk, until the state machine is replaced by it.
    received: Option<(Snapshot, Bytes)>,
    /// How many replaced the state machine so far.
    restored: u64,
}

impl Snapshots {
    /// Notes that a snapshot is to be saved. Says no if another is being saved: one that was received
    /// meanwhile made the core forget it, but not the disk.
    pub(super) fn begin_saving(&mut self, index: LogIndex) -> bool {
        let is_free = self.saving.is_none();
        if is_free {
            self.saving = Some(index);
        }
        is_free
    }

    /// Lets an operator wait for the snapshot that is being saved; `newest` is the answer if none is.
    pub(super) fn wait(&mut self, end: End<LogIndex>, newest: LogIndex) {
        if self.saving.is_none() {
            end.send(Ok(newest)).ok();
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push(end);
        } else {
            end.send(Err(Failure::Overloaded)).ok();
        }
    }

    /// Notes that a snapshot was saved, or not.
    pub(super) fn saved(&mut self, index: LogIndex, is_saved: bool) {
        let saving = self.saving.take();
        assert_eq!(saving, Some(index), "what was saved was to be saved");
        let result = if is_saved { Ok(index) } else { Err(Failure::NotSaved) };
        for end in self.waiting.drain(..) {
            end.send(result).ok();
        }
    }

    /// Gathers a piece of a snapshot that is being received.
    pub(super) fn gather(&mut self, offset: u64, data: &[u8]) -> Result<(), DriverError> {
        if offset == 0 {
            self.gathered.clear();
        }
        assert_eq!(offset, self.gathered.len() as u64, "pieces of a snapshot come in order");
        if self.gathered.len() + data.len() > SNAPSHOT_MAX {
            return Err(DriverError::Oversized);
        }
        self.gathered.extend_from_slice(data);
        Ok(())
    }

    /// Returns the data of a snapshot that was gathered, for the disk.
    pub(super) fn complete(&mut self, snapshot: &Snapshot) -> Bytes {
        let data: Bytes = std::mem::take(&mut self.gathered).into();
        self.received = Some((snapshot.clone(), data.clone()));
        data
    }

    /// Takes out the data of a snapshot that the disk was given.
    pub(super) fn take_received(&mut self, snapshot: &Snapshot) -> Bytes {
        let (received, data) = self.received.take().expect("a snapshot is written, then restored");
        assert_eq!(&received, snapshot, "the snapshot that was written is the one restored");
        self.restored += 1;
        data
    }

    /// Returns how many snapshots were received and replaced the state machine so far.
    pub(super) fn restored(&self) -> u64 {
        self.restored
    }
}
