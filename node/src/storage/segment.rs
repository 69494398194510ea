//! One segment: its name, its header, and what lies in it.

use raft::{LogIndex, Term};

use super::fields::{self, Fields};
use super::outline::{Outline, SnapshotId};
use super::record::{self, ALIGNMENT, Found, Record};
use super::{Damage, StorageError};

/// Begins every segment; …
const MAGIC: [u8; 7] = *b"STORMWA";
/// … and then comes the version of the format, as a byte.
const VERSION: u8 = 3;
/// Magic and version, segment number, records before this segment, their outline (term, vote,
/// snapshot's index and term, last index), bytes of the segment, checksum.
pub(super) const HEADER: usize = 72;
const _: () = assert!(HEADER.is_multiple_of(ALIGNMENT));

const SUFFIX: &str = ".wal";
/// A segment in the making, which a crash may leave.
const UNFINISHED: &str = ".new";

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The segment's number, from 1 without gaps.
    pub(super) segment: u64,
    /// How many records the segments before it hold, or held when they were removed.
    pub(super) records_before: u64,
    /// What those records amount to.
    pub(super) outline: Outline,
    /// Bytes of the segment's file, from the first moment that it has its name.
    pub(super) capacity: usize,
}

/// The records of a segment and what follows them.
#[derive(Debug)]
pub(super) struct Contents {
    /// In order, each with its offset.
    pub(super) records: Vec<(usize, Record)>,
    /// The offset just after the last one.
    pub(super) end: usize,
    /// Where the last one's batch began; `end` if there is none.
    pub(super) batch: usize,
    /// The offset just after the last byte that is not zero, if that lies beyond `end`.
    pub(super) torn_end: Option<usize>,
}

/// Returns the name of a segment's file.
pub(super) fn name(segment: u64) -> String {
    format!("{segment:016x}{SUFFIX}")
}

/// Returns the name of a segment's file while it is made.
pub(super) fn unfinished_name(segment: u64) -> String {
    name(segment) + UNFINISHED
}

/// Returns whether this is the name of a segment in the making.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(|name| number(name).is_some())
}

/// Returns the segment's number if this is the name of one.
pub(super) fn number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(SUFFIX)?, 16).ok()?;
    (number > 0 && self::name(number) == name).then_some(number)
}

impl Header {
    /// Returns the header's bytes.
    pub(super) fn encode(self) -> Vec<u8> {
        let Outline { hard_state, snapshot, last } = self.outline;
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        fields::put_u64(&mut bytes, self.segment);
        fields::put_u64(&mut bytes, self.records_before);
        fields::put_hard_state(&mut bytes, hard_state);
        // No snapshot ends at index 0.
        let none = SnapshotId { index: LogIndex(0), term: Term(0) };
        fields::put_snapshot_id(&mut bytes, snapshot.unwrap_or(none));
        fields::put_u64(&mut bytes, last.0);
        fields::put_u32(&mut bytes, self.capacity);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header that a segment's file begins with, and checks that it is of this segment and
    /// that the file is as long as it says.
    pub(super) fn read(segment: u64, image: &[u8]) -> Result<Self, StorageError> {
        let damaged = |damage| damaged(segment, 0, damage);
        check_version(&name(segment), image, &MAGIC, VERSION)?;
        let found = Self::decode(image).filter(|found| found.segment == segment);
        let found = found.ok_or_else(|| damaged(Damage::Header))?;
        if found.capacity != image.len() {
            return Err(damaged(Damage::Length));
        }
        Ok(found)
    }

    /// Returns what a sound header says.
    fn decode(image: &[u8]) -> Option<Self> {
        let bytes = image.get(..HEADER)?;
        let mut fields = Fields(&bytes[MAGIC.len() + 1..]);
        let header = Self {
            segment: fields.u64()?,
            records_before: fields.u64()?,
            outline: Outline {
                hard_state: fields.hard_state()?,
                snapshot: Some(fields.snapshot_id()?).filter(|id| id.index > LogIndex(0)),
                last: fields.index()?,
            },
            capacity: fields.u32()?,
        };
        (header.encode() == bytes).then_some(header)
    }
}

/// Refuses a file that says that it is of another version of its format.
pub(super) fn check_version(
    file: &str,
    image: &[u8],
    magic: &[u8; 7],
    known: u8,
) -> Result<(), StorageError> {
    match image.strip_prefix(magic) {
        Some(&[found, ..]) if found != known => {
            Err(StorageError::Version { file: file.to_owned(), found, known })
        }
        _ => Ok(()),
    }
}

/// Reads the records of a segment. Only the last segment may have a torn tail.
pub(super) fn read(segment: u64, image: &[u8], is_last: bool) -> Result<Contents, StorageError> {
    let mut records = Vec::new();
    let (mut end, mut batch) = (HEADER, HEADER);
    loop {
        match record::find(segment, image, end) {
            Found::Record { record, batch: its, end: next } => {
                records.push((end, record));
                (end, batch) = (next, its);
            }
            Found::Unknown => return Err(damaged(segment, end, Damage::Unknown)),
            Found::Nothing => break,
        }
    }
    let rest = image.get(end..).unwrap_or_default();
    let torn_end = rest.iter().rposition(|byte| *byte != 0).map(|last| end + last + 1);
    if torn_end.is_some() && (!is_last || record::is_followed_by_later_batch(segment, image, end)) {
        return Err(damaged(segment, end, Damage::Record));
    }
    Ok(Contents { records, end, batch, torn_end })
}

/// Names a damaged place.
pub(super) fn damaged(segment: u64, offset: usize, damage: Damage) -> StorageError {
    StorageError::Damaged { file: name(segment), offset, damage }
}
