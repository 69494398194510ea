//! One segment: its name, its header, and what lies in it.

use super::record::{self, ALIGNMENT, Found, Record};
use super::{Damage, StorageError};

/// Begins every segment; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"STORMWA\x02";
/// Magic, segment number, records before this segment, bytes of the segment, checksum.
pub(super) const HEADER: usize = 32;
const _: () = assert!(HEADER.is_multiple_of(ALIGNMENT));

const SUFFIX: &str = ".wal";
/// A segment in the making, which a crash may leave.
const UNFINISHED: &str = ".new";

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The segment's number, from 1 without gaps.
    pub(super) segment: u64,
    /// How many records the segments before it hold.
    pub(super) records_before: u64,
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
    (self::name(number) == name).then_some(number)
}

impl Header {
    /// Returns the header's bytes.
    pub(super) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.records_before.to_le_bytes());
        let capacity = u32::try_from(self.capacity).expect("a segment is smaller than 4 GiB");
        bytes[24..28].copy_from_slice(&capacity.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Checks that a segment's file begins with the header of this segment, after so many records,
    /// and is as long as it says.
    pub(super) fn check(
        segment: u64,
        records_before: u64,
        image: &[u8],
    ) -> Result<(), StorageError> {
        let damaged = |damage| damaged(segment, 0, damage);
        let found = Self::decode(image).filter(|found| found.segment == segment);
        let found = found.ok_or_else(|| damaged(Damage::Header))?;
        if found.records_before != records_before {
            return Err(damaged(Damage::Lost));
        }
        if found.capacity != image.len() {
            return Err(damaged(Damage::Length));
        }
        Ok(())
    }

    /// Returns what a sound header says.
    fn decode(image: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = image.first_chunk()?;
        let word = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice has eight bytes"))
        };
        let capacity = bytes[24..28].try_into().expect("the slice has four bytes");
        let header = Self {
            segment: word(8),
            records_before: word(16),
            capacity: u32::from_le_bytes(capacity) as usize,
        };
        (header.encode() == *bytes).then_some(header)
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
