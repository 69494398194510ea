//! Reads the log and its snapshot after a start and brings them into a state that can be appended to.

use std::io::ErrorKind;

use raft::{Entry, LogIndex};

use super::disk::{Disk, DiskFile};
use super::outline::{Outline, Segments, SnapshotId};
use super::record::Record;
use super::segment::{self, Contents, Header, damaged};
use super::snapshot::{self, SnapshotFile};
use super::wal::{Segment, access};
use super::{Damage, StorageError};

/// What a node remembers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// What the core is made of.
    pub(crate) core: raft::Recovered,
    /// The data of its snapshot, if it has one.
    pub(crate) data: Option<Vec<u8>>,
    /// How many records the log has held so far.
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

/// A log that was read and is ready to be appended to.
#[derive(Debug)]
pub(super) struct Reopened<F> {
    pub(super) outline: Outline,
    pub(super) segments: Segments,
    /// Snapshots that do not count: older ones, and newer ones that were never put on record.
    pub(super) superseded: Vec<LogIndex>,
    /// The last segment, if there is any.
    pub(super) tail: Option<Segment<F>>,
}

/// What the folder holds.
#[derive(Debug)]
struct Listing {
    segments: Vec<u64>,
    snapshots: Vec<LogIndex>,
    /// What a crash left half made.
    unfinished: Vec<String>,
}

/// Reads everything, and only when all of it is sound changes anything: makes durable what was read.
pub(super) fn recover<D: Disk>(
    disk: &mut D,
) -> Result<(Recovered, Reopened<D::File>), StorageError> {
    let Listing { segments, mut snapshots, unfinished } = list(disk)?;
    let mut replay = Replay::default();
    let mut tail = None;
    for (place, &segment) in segments.iter().enumerate() {
        let expected = segments[0] + place as u64;
        if segment != expected {
            return Err(damaged(expected, 0, Damage::Missing));
        }
        let is_last = place + 1 == segments.len();
        let name = segment::name(segment);
        let file = disk.open(&name).map_err(access("open", &name))?;
        let image = read(&file).map_err(access("read", &name))?;
        replay.begin(Header::read(segment, &image)?, place == 0)?;
        let contents = segment::read(segment, &image, is_last)?;
        replay.replay(segment, &contents)?;
        tail = Some((segment, file, image, contents));
    }
    let missing = match segments.first() {
        // Without what was removed the log is whole only if a snapshot stands for it.
        Some(1) => None,
        Some(first) if !replay.is_whole() => Some(first - 1),
        // The first segment was durable before there was any snapshot.
        None if !snapshots.is_empty() => Some(1),
        _ => None,
    };
    if let Some(segment) = missing {
        return Err(damaged(segment, 0, Damage::Missing));
    }

    let mut recovered = Recovered { records: replay.records, ..Recovered::default() };
    if let Some(id) = replay.outline.snapshot {
        let (file, data) = load(disk, id)?;
        recovered.core.snapshot = Some(file.snapshot().clone());
        recovered.data = Some(data);
        snapshots.retain(|index| *index != id.index);
    }
    for name in unfinished {
        disk.remove(&name).map_err(access("remove", &name))?;
    }
    let tail = match tail {
        Some((segment, mut file, image, contents)) => {
            recovered.torn = settle(segment, &mut file, &image, &contents)?;
            let name = segment::name(segment);
            disk.sync_names().map_err(access("sync the folder of", &name))?;
            Some(Segment { number: segment, file, capacity: image.len(), end: contents.end })
        }
        None => None,
    };
    let Replay { outline, segments, mut entries, .. } = replay;
    entries.retain(|entry| entry.index > outline.snapshot_index());
    recovered.core.hard_state = outline.hard_state;
    recovered.core.entries = entries;
    Ok((recovered, Reopened { outline, segments, superseded: snapshots, tail }))
}

/// Lists what is of the log, ascending. What else is in the folder is not ours to touch.
fn list<D: Disk>(disk: &D) -> Result<Listing, StorageError> {
    let names = disk.list().map_err(access("list", "the log's folder"))?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    segments.sort_unstable();
    let mut snapshots: Vec<_> = names.iter().filter_map(|name| snapshot::index(name)).collect();
    snapshots.sort_unstable();
    let is_unfinished =
        |name: &String| segment::is_unfinished(name) || snapshot::is_unfinished(name);
    let unfinished = names.into_iter().filter(is_unfinished).collect();
    Ok(Listing { segments, snapshots, unfinished })
}

fn read(file: &impl DiskFile) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(std::io::Error::other)?;
    file.read_at(0, length)
}

/// Reads the snapshot that the log says it has.
fn load<D: Disk>(
    disk: &mut D,
    id: SnapshotId,
) -> Result<(SnapshotFile<D::File>, Vec<u8>), StorageError> {
    let mut data = Vec::new();
    let damaged = |damage| {
        let file = snapshot::name(id.index);
        StorageError::Damaged { file, offset: 0, damage }
    };
    match SnapshotFile::open(disk, id.index, |piece| data.extend_from_slice(piece)) {
        Ok(file) if SnapshotId::of(file.snapshot()) == id => Ok((file, data)),
        Ok(_) => Err(damaged(Damage::Header)),
        Err(StorageError::Access { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Err(damaged(Damage::Missing))
        }
        Err(error) => Err(error),
    }
}

/// Makes what was read durable, and nothing but it.
///
/// Records that a killed process wrote but never synced are read back from the page cache. They are
/// relied upon from now on, so they must be synced now; and since after a failed sync the system may
/// hold pages for clean that never reached the disk, the last batch is written anew. A torn tail is
/// overwritten with zeros (S3).
fn settle(
    segment: u64,
    file: &mut impl DiskFile,
    image: &[u8],
    contents: &Contents,
) -> Result<Option<TornTail>, StorageError> {
    let name = segment::name(segment);
    let torn_end = contents.torn_end.unwrap_or(contents.end);
    let mut rewritten = image[contents.batch..torn_end].to_vec();
    rewritten[contents.end - contents.batch..].fill(0);
    if !rewritten.is_empty() {
        file.write_at(contents.batch, &rewritten).map_err(access("write", &name))?;
    }
    file.sync().map_err(access("sync", &name))?;
    Ok((torn_end > contents.end).then(|| TornTail {
        file: name,
        offset: contents.end,
        bytes: torn_end - contents.end,
    }))
}

/// The log as far as it was read.
#[derive(Debug, Default)]
struct Replay {
    records: u64,
    outline: Outline,
    segments: Segments,
    /// The entry behind which the log is known: 0, or what removed segments held, or the last entry
    /// of a received snapshot.
    base: LogIndex,
    /// The entries behind it.
    entries: Vec<Entry>,
}

impl Replay {
    /// Passes on to a segment, whose header must say what the ones before it amount to. What it says
    /// of those that were removed is believed.
    fn begin(&mut self, header: Header, is_first: bool) -> Result<(), StorageError> {
        let Header { segment, records_before, outline, .. } = header;
        if is_first && segment > 1 {
            self.records = records_before;
            self.outline = outline;
            self.base = outline.last;
        }
        if (records_before, outline) != (self.records, self.outline) {
            return Err(damaged(segment, 0, Damage::Lost));
        }
        self.segments.begin(segment, outline.last);
        Ok(())
    }

    fn replay(&mut self, segment: u64, contents: &Contents) -> Result<(), StorageError> {
        for (offset, record) in &contents.records {
            if !self.outline.admit(record) || !self.add(record) {
                return Err(damaged(segment, *offset, Damage::Order));
            }
            self.records += 1;
        }
        Ok(())
    }

    /// Does what a record says, or returns `false` if it contradicts an entry.
    fn add(&mut self, record: &Record) -> bool {
        if let Some(last) = record.takes_back_behind() {
            self.segments.lower(last);
        }
        match record {
            Record::HardState(_) => {}
            Record::Truncate(from) => {
                // What was taken back may reach into removed segments: they held it when they were.
                self.base = self.base.min(from.previous());
                self.entries.truncate(self.place(*from));
            }
            Record::Entry(entry) => self.entries.push(entry.clone()),
            Record::Installed(snapshot) => {
                self.base = snapshot.index;
                self.entries.clear();
            }
            Record::Saved(snapshot) => {
                // What removed segments held cannot be looked at.
                let is_held = snapshot.index > self.base;
                return !is_held || self.entries[self.place(snapshot.index)].term == snapshot.term;
            }
        }
        true
    }

    /// Returns where the entry with this index, which is behind the base, stands in the vector.
    fn place(&self, index: LogIndex) -> usize {
        usize::try_from(index.0 - self.base.0 - 1).expect("what was read fits in memory")
    }

    /// Returns whether there is a snapshot and everything that is not in it was read.
    fn is_whole(&self) -> bool {
        self.outline.snapshot.is_some_and(|snapshot| self.base <= snapshot.index)
    }
}
