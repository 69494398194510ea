//! The content of one file, and the way back to what of it is durable.

use rand::Rng;

/// What a disk writes whole or not at all, in bytes: the least that disks promise, and what systems that
/// tell a torn write from damage build upon, etcd's log among them.
const SECTOR: usize = 512;

/// A file's bytes as they are seen, and how to undo what is not durable.
#[derive(Debug, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    /// What was changed since the last sync, in order.
    unsynced: Vec<Change>,
}

/// One write or change of length.
#[derive(Debug)]
struct Change {
    offset: usize,
    /// The bytes that it replaced, from the offset on.
    before: Vec<u8>,
    /// The file's length before it.
    length_before: usize,
    /// How many bytes it wrote; none if it only changed the length.
    written: usize,
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns how many changes are not durable.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let length_before = self.bytes.len();
        let end = offset + data.len();
        let before = self.bytes.get(offset..end.min(length_before)).unwrap_or_default().to_vec();
        let written = data.len();
        self.unsynced.push(Change { offset, before, length_before, written });
        self.bytes.resize(length_before.max(end), 0);
        self.bytes[offset..end].copy_from_slice(data);
    }

    pub(super) fn resize(&mut self, length: usize) {
        let length_before = self.bytes.len();
        let before = self.bytes.get(length..).unwrap_or_default().to_vec();
        self.unsynced.push(Change { offset: length, before, length_before, written: 0 });
        self.bytes.resize(length, 0);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// Undoes all that is not durable; returns how many changes that are.
    pub(super) fn lose(&mut self) -> usize {
        let count = self.unsynced.len();
        while let Some(change) = self.unsynced.pop() {
            self.undo(&change);
        }
        count
    }

    /// Keeps all changes but the last, and of that one as many of the first [sectors](SECTOR) as chance
    /// will have, but not all. What is left is durable. Returns how many changes were lost, in part or
    /// whole.
    pub(super) fn tear(&mut self, generator: &mut impl Rng) -> usize {
        let Some(last) = self.unsynced.pop() else { return 0 };
        let end = last.offset + last.written;
        let written = self.bytes[last.offset..end].to_vec();
        self.undo(&last);
        // Where it may have been torn: where within it a sector begins.
        let first = last.offset / SECTOR + 1;
        let count = end.div_ceil(SECTOR).saturating_sub(first);
        let whole = generator.random_range(0..=count);
        if whole > 0 {
            let kept = (first + whole - 1) * SECTOR - last.offset;
            self.write(last.offset, &written[..kept]);
        }
        self.sync();
        1
    }

    fn undo(&mut self, change: &Change) {
        self.bytes.resize(change.length_before, 0);
        self.bytes[change.offset.min(change.length_before)..][..change.before.len()]
            .copy_from_slice(&change.before);
    }
}
