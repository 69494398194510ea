//! What a replica knows of its own disk.

use std::collections::VecDeque;

use crate::effect::Write;
use crate::types::{LogIndex, WriteId};

/// Which writes have been handed out, which of them are durable, and how much of the log is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    last_write: WriteId,
    persisted: WriteId,
    /// For each write under way, the last entry that is durable with it and unchanged since.
    under_way: VecDeque<(WriteId, LogIndex)>,
    /// Every entry of the log up to here is durable.
    durable_index: LogIndex,
    /// Ticks since the oldest write under way began, or since the last one became durable.
    stalled: u32,
}

impl Disk {
    /// Makes the disk of a replica whose whole log was recovered from it.
    pub(crate) fn recovered(last_log_index: LogIndex) -> Self {
        Self {
            last_write: WriteId(0),
            persisted: WriteId(0),
            under_way: VecDeque::new(),
            durable_index: last_log_index,
            stalled: 0,
        }
    }

    pub(crate) fn durable_index(&self) -> LogIndex {
        self.durable_index
    }

    /// Returns for how many ticks writes have been under way and none became durable.
    pub(crate) fn stalled(&self) -> u32 {
        self.stalled
    }

    pub(crate) fn tick(&mut self) {
        self.stalled = if self.under_way.is_empty() { 0 } else { self.stalled + 1 };
    }

    /// Returns the number that the next write will have.
    pub(crate) fn next_write(&self) -> WriteId {
        self.last_write.next()
    }

    /// Returns the write for which whatever depends on all writes so far must wait, if any.
    pub(crate) fn gate(&self) -> Option<WriteId> {
        (self.last_write > self.persisted).then_some(self.last_write)
    }

    /// Notes a write that is handed out, and the end of the log that it leaves.
    pub(crate) fn begin(&mut self, write: &Write, last_log_index: LogIndex) {
        assert_eq!(write.id, self.last_write.next(), "I7 Write Order: a write out of turn");
        let from = if write.snapshot.is_some() { Some(LogIndex(1)) } else { write.truncate_from };
        if let Some(from) = from {
            let kept = from.previous();
            self.durable_index = self.durable_index.min(kept);
            for (_, index) in &mut self.under_way {
                *index = (*index).min(kept);
            }
        }
        self.last_write = write.id;
        self.under_way.push_back((write.id, last_log_index));
    }

    /// Notes that every write up to `upto` is durable.
    pub(crate) fn complete(&mut self, upto: WriteId) {
        assert!(upto <= self.last_write, "I7 Write Order: durable before it was written");
        if upto > self.persisted {
            self.persisted = upto;
            self.stalled = 0;
        }
        while let Some(&(id, index)) = self.under_way.front()
            && id <= upto
        {
            self.durable_index = self.durable_index.max(index);
            self.under_way.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(id: u64, truncate_from: Option<u64>) -> Write {
        Write {
            id: WriteId(id),
            hard_state: None,
            snapshot: None,
            truncate_from: truncate_from.map(LogIndex),
            entries: vec![],
            compact_upto: None,
        }
    }

    #[test]
    fn an_entry_truncated_while_on_its_way_does_not_become_durable() {
        let mut disk = Disk::recovered(LogIndex(3));
        disk.begin(&write(1, None), LogIndex(9));
        disk.begin(&write(2, Some(5)), LogIndex(7));
        assert_eq!(disk.gate(), Some(WriteId(2)));

        disk.complete(WriteId(1));
        assert_eq!(disk.durable_index(), LogIndex(4), "entries 5 to 9 of write 1 are gone");
        disk.complete(WriteId(2));
        assert_eq!(disk.durable_index(), LogIndex(7));
        assert_eq!(disk.gate(), None);
    }

    #[test]
    fn a_truncation_takes_durability_back() {
        let mut disk = Disk::recovered(LogIndex(9));
        disk.begin(&write(1, Some(4)), LogIndex(5));
        assert_eq!(disk.durable_index(), LogIndex(3));
    }

    #[test]
    fn completions_may_come_late_and_twice() {
        let mut disk = Disk::recovered(LogIndex(0));
        for id in 1..=3 {
            disk.begin(&write(id, None), LogIndex(id));
        }
        disk.complete(WriteId(2));
        disk.complete(WriteId(1));
        assert_eq!((disk.durable_index(), disk.gate()), (LogIndex(2), Some(WriteId(3))));
    }
}
