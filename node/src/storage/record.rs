//! One record: a length, a checksum, the start of its batch, and a body.
//!
//! ```text
//! 0        4        8        12                12 + length      multiple of 8
//! | length | crc32c | batch  | kind · fields …  | zeros          |
//! ```
//!
//! All numbers are little-endian. The checksum covers the segment's number and the record's offset
//! too, which are not stored: a record that lies anywhere else than where it was put is not valid.

use raft::{Entry, HardState, LogIndex, NodeId, Term, Write};

/// Records begin at multiples of this: a search for later ones need not try every byte.
pub(super) const ALIGNMENT: usize = 8;
/// Length, checksum and batch.
const PREFIX: usize = 12;

const HARD_STATE: u8 = 1;
const TRUNCATE: u8 = 2;
const ENTRY: u8 = 3;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The hard state is now this.
    HardState(HardState),
    /// Entries from this index on are gone.
    Truncate(LogIndex),
    /// This entry follows.
    Entry(Entry),
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of its segment.
    pub(super) segment: u64,
    /// Its first byte in the segment.
    pub(super) offset: usize,
    /// The first byte of the first record that was synced together with it.
    pub(super) batch: usize,
}

/// What lies at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record.
    Record {
        /// What it says.
        record: Record,
        /// Where its batch began.
        batch: usize,
        /// The offset just after it.
        end: usize,
    },
    /// Something with a right checksum that this version cannot read.
    Unknown,
    /// No record.
    Nothing,
}

/// Returns the records of a write, in the order in which they must become durable.
pub(super) fn records(write: &Write) -> impl Iterator<Item = Record> {
    let hard_state = write.hard_state.map(Record::HardState);
    let truncation = write.truncate_from.map(Record::Truncate);
    // Cloning an entry shares its command.
    let entries = write.entries.iter().cloned().map(Record::Entry);
    hard_state.into_iter().chain(truncation).chain(entries)
}

impl Record {
    /// Returns how many bytes of a segment the record takes.
    pub(super) fn size(&self) -> usize {
        let body = match self {
            Self::HardState(_) | Self::Entry(_) => 1 + 16,
            Self::Truncate(_) => 1 + 8,
        } + match self {
            Self::Entry(entry) => entry.command.len(),
            _ => 0,
        };
        padded(body)
    }

    /// Appends the record, as it must look at `place`, to `out`.
    pub(super) fn encode(&self, place: Place, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        match self {
            Self::HardState(HardState { term, vote }) => {
                out.push(HARD_STATE);
                out.extend_from_slice(&term.0.to_le_bytes());
                out.extend_from_slice(&vote.map_or(0, |vote| vote.0).to_le_bytes());
            }
            Self::Truncate(from) => {
                out.push(TRUNCATE);
                out.extend_from_slice(&from.0.to_le_bytes());
            }
            Self::Entry(Entry { term, index, command }) => {
                out.push(ENTRY);
                out.extend_from_slice(&term.0.to_le_bytes());
                out.extend_from_slice(&index.0.to_le_bytes());
                out.extend_from_slice(command);
            }
        }
        let length = out.len() - start - PREFIX;
        out.resize(start + padded(length), 0);
        let record = &mut out[start..];
        put_u32(record, 0, length);
        put_u32(record, 8, place.batch);
        let crc = checksum(place.segment, place.offset, record, length);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (&kind, fields) = body.split_first()?;
        match kind {
            HARD_STATE if fields.len() == 16 => Some(Self::HardState(HardState {
                term: Term(u64_at(fields, 0)?),
                vote: Some(u64_at(fields, 8)?).filter(|vote| *vote != 0).map(NodeId),
            })),
            TRUNCATE if fields.len() == 8 => Some(Self::Truncate(LogIndex(u64_at(fields, 0)?))),
            ENTRY => Some(Self::Entry(Entry {
                term: Term(u64_at(fields, 0)?),
                index: LogIndex(u64_at(fields, 8)?),
                command: fields.get(16..)?.into(),
            })),
            _ => None,
        }
    }
}

/// Looks at what lies at an offset of a segment, which must be a multiple of [`ALIGNMENT`].
pub(super) fn find(segment: u64, image: &[u8], offset: usize) -> Found {
    let Some((length, batch)) = plausible(image, offset) else {
        return Found::Nothing;
    };
    let record = &image[offset..];
    if u32_at(record, 4) != checksum(segment, offset, record, length) as usize {
        return Found::Nothing;
    }
    match Record::decode(&record[PREFIX..PREFIX + length]) {
        Some(record) => {
            let end = offset + padded(length);
            Found::Record { record, batch, end }
        }
        None => Found::Unknown,
    }
}

/// Returns whether a valid record of a batch that began after `offset` lies beyond it.
pub(super) fn is_followed_by_later_batch(segment: u64, image: &[u8], offset: usize) -> bool {
    (offset.next_multiple_of(ALIGNMENT)..image.len()).step_by(ALIGNMENT).any(|candidate| {
        // The batch is looked at first: it spares nearly every checksum.
        plausible(image, candidate).is_some_and(|(_, batch)| batch > offset)
            && find(segment, image, candidate) != Found::Nothing
    })
}

/// Returns length and batch of what may be a record, by everything but the checksum.
fn plausible(image: &[u8], offset: usize) -> Option<(usize, usize)> {
    let record = image.get(offset..).filter(|rest| rest.len() > PREFIX)?;
    let (length, batch) = (u32_at(record, 0), u32_at(record, 8));
    let fits = length > 0 && padded(length) <= record.len();
    (fits && batch <= offset && batch.is_multiple_of(ALIGNMENT)).then_some((length, batch))
}

/// Returns how many bytes a record with a body of this length takes.
fn padded(length: usize) -> usize {
    (PREFIX + length).next_multiple_of(ALIGNMENT)
}

/// Covers the record's place, length, batch, body and padding; `record` begins at the record's first byte.
fn checksum(segment: u64, offset: usize, record: &[u8], length: usize) -> u32 {
    let crc = crc32c::crc32c(&segment.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &(offset as u64).to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &record[..4]);
    crc32c::crc32c_append(crc, &record[8..padded(length)])
}

fn put_u32(bytes: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).expect("a segment and all in it is smaller than 4 GiB");
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let word = bytes[at..at + 4].try_into().expect("the slice has four bytes");
    u32::from_le_bytes(word) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(u64::from_le_bytes(word))
}
