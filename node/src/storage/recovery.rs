//! Reads the log after a start and brings it into a state that can be appended to.

use raft::{Entry, HardState, LogIndex};

use super::disk::{Disk, DiskFile};
use super::record::Record;
use super::segment::{self, Contents, Header, damaged};
use super::wal::{Segment, access};
use super::{Damage, StorageError};

/// What a node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Term and vote.
    pub(crate) hard_state: HardState,
    /// The log, from index 1.
    pub(crate) entries: Vec<Entry>,
    /// How many records were read.
    pub(crate) records: u64,
    /// What was cut off the end, if the last crash tore a batch.
    pub(crate) torn: Option<TornTail>,
}

/// Bytes that were no record, at the end of the last segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    /// The segment's file.
    pub(crate) file: String,
    /// Where the bytes began.
    pub(crate) offset: usize,
    /// How many there were.
    pub(crate) bytes: usize,
}

/// A log that was read.
#[derive(Debug)]
pub(super) struct Reopened<F> {
    pub(super) recovered: Recovered,
    /// The last segment, if there is any, ready to be appended to.
    pub(super) tail: Option<Segment<F>>,
}

/// Reads all segments.
pub(super) fn recover<D: Disk>(disk: &mut D) -> Result<Reopened<D::File>, StorageError> {
    let segments = list_segments(disk)?;
    let mut recovered = Recovered::default();
    let mut tail = None;
    for (place, &segment) in segments.iter().enumerate() {
        let expected = place as u64 + 1;
        if segment != expected {
            return Err(damaged(expected, 0, Damage::Missing));
        }
        let name = segment::name(segment);
        let mut file = disk.open(&name).map_err(access("open", &name))?;
        let image = file.read().map_err(access("read", &name))?;
        Header::check(segment, recovered.records, &image)?;
        let is_last = place + 1 == segments.len();
        let contents = segment::read(segment, &image, is_last)?;
        recovered.replay(segment, &contents)?;
        if is_last {
            recovered.torn = settle(&name, &mut file, &image, &contents)?;
            disk.sync_names().map_err(access("sync the folder of", &name))?;
        }
        tail = Some(Segment { number: segment, file, capacity: image.len(), end: contents.end });
    }
    Ok(Reopened { recovered, tail })
}

/// Returns the segments' numbers, ascending, and removes those that a crash left half made.
/// What else is in the folder is not ours to touch.
fn list_segments<D: Disk>(disk: &mut D) -> Result<Vec<u64>, StorageError> {
    let names = disk.list().map_err(access("list", "the log's folder"))?;
    for name in names.iter().filter(|name| segment::is_unfinished(name)) {
        disk.remove(name).map_err(access("remove", name))?;
    }
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Makes what was read durable, and nothing but it.
///
/// Records that a killed process wrote but never synced are read back from the page cache. They are
/// relied upon from now on, so they must be synced now; and since after a failed sync the system may
/// hold pages for clean that never reached the disk, the last batch is written anew. A torn tail is
/// overwritten with zeros (S3).
fn settle(
    name: &str,
    file: &mut impl DiskFile,
    image: &[u8],
    contents: &Contents,
) -> Result<Option<TornTail>, StorageError> {
    let torn_end = contents.torn_end.unwrap_or(contents.end);
    let mut rewritten = image[contents.batch..torn_end].to_vec();
    rewritten[contents.end - contents.batch..].fill(0);
    if !rewritten.is_empty() {
        file.write_at(contents.batch, &rewritten).map_err(access("write", name))?;
    }
    file.sync().map_err(access("sync", name))?;
    Ok((torn_end > contents.end).then(|| TornTail {
        file: name.to_owned(),
        offset: contents.end,
        bytes: torn_end - contents.end,
    }))
}

impl Recovered {
    fn replay(&mut self, segment: u64, contents: &Contents) -> Result<(), StorageError> {
        for (offset, record) in &contents.records {
            let order = || damaged(segment, *offset, Damage::Order);
            let next = LogIndex(self.entries.len() as u64 + 1);
            match record {
                Record::HardState(hard_state) => self.hard_state = *hard_state,
                Record::Truncate(from) if *from >= LogIndex(1) && *from <= next => {
                    let kept = usize::try_from(from.previous().0).map_err(|_| order())?;
                    self.entries.truncate(kept);
                }
                Record::Entry(entry) if entry.index == next => self.entries.push(entry.clone()),
                Record::Truncate(_) | Record::Entry(_) => return Err(order()),
            }
            self.records += 1;
        }
        Ok(())
    }
}
