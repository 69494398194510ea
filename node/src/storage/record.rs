//! One record: a length, a checksum, the start of its batch, and a body.
//!
//! ```text
//! 0        4        8        12                12 + length      multiple of 8
//! | length | crc32c | batch  | kind · fields …  | zeros          |
//! ```
//!
//! All numbers are little-endian. The checksum covers the segment's number and the record's offset
//! too, which are not stored: a record that lies anywhere else than where it was put is not valid.

use raft::{Entry, HardState, LogIndex, Payload, Write};

use super::fields::{self, Fields};
use super::outline::SnapshotId;

/// Records begin at multiples of this: a search for later ones need not try every byte.
pub(super) const ALIGNMENT: usize = 8;
/// Length, checksum and batch.
const PREFIX: usize = 12;

const HARD_STATE: u8 = 1;
const TRUNCATE: u8 = 2;
const NOOP: u8 = 3;
const COMMAND: u8 = 4;
const MEMBERSHIP: u8 = 5;
const INSTALLED: u8 = 6;
const SAVED: u8 = 7;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The hard state is now this.
    HardState(HardState),
    /// Entries from this index on are gone.
    Truncate(LogIndex),
    /// This entry follows.
    Entry(Entry),
    /// A received snapshot takes the place of the whole log.
    Installed(SnapshotId),
    /// A snapshot was taken of what the log holds; the log stays as it is.
    Saved(SnapshotId),
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
    let installed = write.snapshot.as_ref().map(SnapshotId::of).map(Record::Installed);
    let truncation = write.truncate_from.map(Record::Truncate);
    // Cloning an entry shares its command.
    let entries = write.entries.iter().cloned().map(Record::Entry);
    hard_state.into_iter().chain(installed).chain(truncation).chain(entries)
}

impl Record {
    /// Returns the last entry that the record leaves, if it takes later ones back.
    pub(super) fn takes_back_behind(&self) -> Option<LogIndex> {
        match self {
            Self::Truncate(from) => Some(from.previous()),
            Self::Installed(snapshot) => Some(snapshot.index),
            Self::HardState(_) | Self::Entry(_) | Self::Saved(_) => None,
        }
    }

    /// Returns how many bytes of a segment the record takes.
    pub(super) fn size(&self) -> usize {
        let payload = match self {
            Self::Entry(Entry { payload: Payload::Command(command), .. }) => command.len(),
            Self::Entry(Entry { payload: Payload::Membership(membership), .. }) => {
                fields::membership_size(membership)
            }
            _ => 0,
        };
        let numbers = if matches!(self, Self::Truncate(_)) { 8 } else { 16 };
        padded(1 + numbers + payload)
    }

    /// Appends the record, as it must look at `place`, to `out`.
    pub(super) fn encode(&self, place: Place, out: &mut Vec<u8>) {
        enclose(place, out, |out| self.encode_body(out));
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::HardState(hard_state) => {
                out.push(HARD_STATE);
                fields::put_hard_state(out, *hard_state);
            }
            Self::Truncate(from) => {
                out.push(TRUNCATE);
                fields::put_u64(out, from.0);
            }
            Self::Installed(snapshot) => {
                out.push(INSTALLED);
                fields::put_snapshot_id(out, *snapshot);
            }
            Self::Saved(snapshot) => {
                out.push(SAVED);
                fields::put_snapshot_id(out, *snapshot);
            }
            Self::Entry(Entry { term, index, payload }) => {
                out.push(match payload {
                    Payload::Noop => NOOP,
                    Payload::Command(_) => COMMAND,
                    Payload::Membership(_) => MEMBERSHIP,
                });
                fields::put_u64(out, term.0);
                fields::put_u64(out, index.0);
                match payload {
                    Payload::Noop => {}
                    Payload::Command(command) => out.extend_from_slice(command),
                    Payload::Membership(membership) => fields::put_membership(out, membership),
                }
            }
        }
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (&kind, fields) = body.split_first()?;
        let mut fields = Fields(fields);
        let record = match kind {
            HARD_STATE => Self::HardState(fields.hard_state()?),
            TRUNCATE => Self::Truncate(fields.index()?),
            INSTALLED => Self::Installed(fields.snapshot_id()?),
            SAVED => Self::Saved(fields.snapshot_id()?),
            NOOP | COMMAND | MEMBERSHIP => {
                let (term, index) = (fields.term()?, fields.index()?);
                let payload = match kind {
                    NOOP => Payload::Noop,
                    COMMAND => Payload::Command(fields.take(fields.0.len())?.into()),
                    _ => Payload::Membership(fields.membership()?),
                };
                Self::Entry(Entry { term, index, payload })
            }
            _ => return None,
        };
        fields.end(record)
    }
}

/// Appends a record with the body that `put_body` appends.
fn enclose(place: Place, out: &mut Vec<u8>, put_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    put_body(out);
    let length = out.len() - start - PREFIX;
    out.resize(start + padded(length), 0);
    let record = &mut out[start..];
    set_u32(record, 0, length);
    set_u32(record, 8, place.batch);
    let crc = checksum(place.segment, place.offset, record, length);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
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

fn set_u32(bytes: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).expect("a segment and all in it is smaller than 4 GiB");
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let word = bytes[at..at + 4].try_into().expect("the slice has four bytes");
    u32::from_le_bytes(word) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raft::{Membership, NodeId, Term};

    use super::*;

    /// Returns what is found of a record that has this body.
    fn read(body: &[u8]) -> Found {
        let mut image = Vec::new();
        let place = Place { segment: 1, offset: 0, batch: 0 };
        enclose(place, &mut image, |out| out.extend_from_slice(body));
        find(1, &image, 0)
    }

    proptest! {
        /// A right checksum vouches for nothing but the checksum: whatever it covers is a record, the
        /// only one that is written so, or of an unknown kind.
        #[test]
        fn a_body_makes_one_record_or_none(
            kind in 0..9_u8,
            numbers in prop::collection::vec(0..3_u64, 0..6),
            rest in prop::collection::vec(prop_oneof![4 => Just(0), 1 => 1..4_u8], 0..40),
        ) {
            let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
            let body: Vec<u8> = [kind].into_iter().chain(numbers).chain(rest).collect();
            match read(&body) {
                Found::Record { record, end, .. } => {
                    let mut again = Vec::new();
                    record.encode_body(&mut again);
                    let is_same = again == body;
                    // Ids may be in any order.
                    prop_assert!(is_same || kind == MEMBERSHIP && again.len() == body.len());
                    prop_assert_eq!(end, record.size());
                    prop_assert_eq!(Record::decode(&again), Some(record));
                }
                Found::Unknown => {}
                Found::Nothing => prop_assert!(false, "the checksum is right"),
            }
        }
    }

    #[test]
    fn a_membership_cut_anywhere_is_none() {
        let membership = Membership::of([1, 2, 300].map(NodeId));
        let payload = Payload::Membership(membership);
        let record = Record::Entry(Entry { term: Term(3), index: LogIndex(8), payload });
        let mut body = Vec::new();
        record.encode_body(&mut body);
        for length in 1..body.len() {
            assert_eq!(read(&body[..length]), Found::Unknown, "{length} bytes");
        }
        assert_eq!(read(&[&body[..], &[0]].concat()), Found::Unknown);
        assert_eq!(read(&body), Found::Record { record, batch: 0, end: padded(body.len()) });
    }
}
