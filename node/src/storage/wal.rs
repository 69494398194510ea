//! Appends to the log, a batch under one sync, and removes what the log no longer needs.

use std::cmp::Ordering;

use raft::{LogIndex, Snapshot, Write};

use super::StorageError;
use super::disk::{Disk, DiskFile};
use super::outline::{Outline, Segments, SnapshotId};
use super::record::{self, Place, Record};
use super::recovery::{self, Recovered};
use super::segment::{self, HEADER, Header};
use super::snapshot;
use super::worker::Job;

/// How the log is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Bytes of a new segment. A record that is larger gets a larger segment.
    pub(crate) segment_size: usize,
    /// Whether what is appended is synced before it counts as durable. Not to do so is a deliberate
    /// mistake.
    pub(crate) syncs_appends: bool,
}

impl Default for Options {
    /// Filling 4 MiB with zeros and syncing them stalls the log for some ten milliseconds, less than
    /// a heartbeat; at 200 bytes a record that happens once in 20,000.
    fn default() -> Self {
        Self { segment_size: 4 << 20, syncs_appends: true }
    }
}

/// The write-ahead log, open for appending.
#[derive(Debug)]
pub(crate) struct Wal<D: Disk> {
    disk: D,
    options: Options,
    tail: Segment<D::File>,
    /// Records in the log, over all segments, those that were removed included.
    records: u64,
    /// What they amount to.
    outline: Outline,
    segments: Segments,
    /// Entries up to here need be kept no longer.
    compact_upto: LogIndex,
    /// Snapshots that no longer count.
    superseded: Vec<LogIndex>,
    /// Reused from batch to batch.
    buffer: Vec<u8>,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Segment<F> {
    pub(super) number: u64,
    pub(super) file: F,
    /// Bytes of the file.
    pub(super) capacity: usize,
    /// Where the next record goes.
    pub(super) end: usize,
}

impl<D: Disk> Wal<D> {
    /// Reads what is there and opens the log for appending.
    pub(crate) fn open(mut disk: D, options: Options) -> Result<(Self, Recovered), StorageError> {
        let (recovered, reopened) = recovery::recover(&mut disk)?;
        let mut segments = reopened.segments;
        let tail = match reopened.tail {
            Some(tail) => tail,
            None => {
                let outline = Outline::default();
                let capacity = options.segment_size.max(HEADER);
                segments.begin(1, outline.last);
                create(&mut disk, Header { segment: 1, records_before: 0, outline, capacity })?
            }
        };
        let mut wal = Self {
            disk,
            options,
            tail,
            records: recovered.records,
            outline: reopened.outline,
            segments,
            compact_upto: reopened.outline.snapshot_index(),
            superseded: reopened.superseded,
            buffer: Vec::new(),
        };
        wal.tidy()?;
        Ok((wal, recovered))
    }

    /// Returns the disk that the log is on.
    pub(super) fn disk(&self) -> &D {
        &self.disk
    }

    /// Does jobs, in order, and returns when all of them are durable. After an error the log must not
    /// be used again (S4).
    pub(crate) fn append(&mut self, jobs: &[Job]) -> Result<(), StorageError> {
        self.buffer.clear();
        for job in jobs {
            match job {
                Job::Write { write, data } => self.put_write(write, data.as_deref())?,
                Job::Saved(snapshot) => match snapshot.index.cmp(&self.outline.snapshot_index()) {
                    Ordering::Greater => self.put_snapshot(Record::Saved(*snapshot))?,
                    // It is on record already.
                    Ordering::Equal => {}
                    // A newer one was received while it was being saved.
                    Ordering::Less => self.superseded.push(snapshot.index),
                },
            }
        }
        self.flush()
    }

    fn put_write(&mut self, write: &Write, data: Option<&[u8]>) -> Result<(), StorageError> {
        match (&write.snapshot, data) {
            (Some(snapshot), Some(data)) => self.receive(snapshot, data)?,
            (None, None) => {}
            _ => panic!("S6 Files first: a snapshot without data, or data without a snapshot"),
        }
        for record in record::records(write) {
            match record {
                Record::Installed(_) => self.put_snapshot(record)?,
                _ => self.put(&record)?,
            }
        }
        // Nothing goes that a snapshot does not stand for (S7), whatever the core believes.
        let upto = write.compact_upto.unwrap_or_default().min(self.outline.snapshot_index());
        self.compact_upto = self.compact_upto.max(upto);
        Ok(())
    }

    /// Makes the file of a received snapshot, which counts only by the record that follows (S5).
    fn receive(&mut self, snapshot: &Snapshot, data: &[u8]) -> Result<(), StorageError> {
        let newest = self.outline.snapshot_index();
        assert!(snapshot.index > newest, "S5 One truth: a snapshot that is older than the newest");
        snapshot::write(&mut self.disk, snapshot, data)
    }

    /// Puts the record by which a snapshot counts from now on, instead of the one before.
    fn put_snapshot(&mut self, record: Record) -> Result<(), StorageError> {
        let before = self.outline.snapshot;
        self.put(&record)?;
        self.superseded.extend(before.map(|before| before.index));
        if let Record::Installed(SnapshotId { index, .. }) = record {
            self.compact_upto = self.compact_upto.max(index);
        }
        Ok(())
    }

    /// Puts a record into the buffer; before that, if it does not fit into the segment, the buffer on
    /// the disk and a new segment behind it.
    fn put(&mut self, record: &Record) -> Result<(), StorageError> {
        let size = record.size();
        if self.tail.end + self.buffer.len() + size > self.tail.capacity {
            // Whatever is in the old segment is durable before the new one exists (S2).
            self.flush()?;
            let header = Header {
                segment: self.tail.number + 1,
                records_before: self.records,
                outline: self.outline,
                capacity: self.options.segment_size.max(HEADER + size),
            };
            self.tail = create(&mut self.disk, header)?;
            self.segments.begin(header.segment, header.outline.last);
        }
        let fits = self.outline.admit(record);
        assert!(fits, "S1 Order: {record:?} does not fit {:?}", self.outline);
        if let Some(last) = record.takes_back_behind() {
            self.segments.lower(last);
        }
        let place = Place {
            segment: self.tail.number,
            offset: self.tail.end + self.buffer.len(),
            batch: self.tail.end,
        };
        record.encode(place, &mut self.buffer);
        self.records += 1;
        Ok(())
    }

    /// Writes the buffered records to the tail and syncs them.
    fn flush(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Segment { number, file, end, .. } = &mut self.tail;
        file.write_at(*end, &self.buffer)
            .map_err(|e| access("write", &segment::name(*number))(e))?;
        if self.options.syncs_appends {
            file.sync().map_err(|e| access("sync", &segment::name(*number))(e))?;
        }
        *end += self.buffer.len();
        self.buffer.clear();
        Ok(())
    }

    /// Removes the files that nothing needs any more. To be called between batches: only then is what
    /// takes their place durable (S7). After an error the log must not be used again (S4).
    pub(crate) fn tidy(&mut self) -> Result<(), StorageError> {
        assert!(self.buffer.is_empty(), "S7 Compaction: not everything is durable");
        for index in self.superseded.drain(..) {
            snapshot::remove(&mut self.disk, index)?;
        }
        while let Some(number) = self.segments.pop_superseded(self.compact_upto) {
            let name = segment::name(number);
            self.disk.remove(&name).map_err(access("remove", &name))?;
            // One by one, or a crash might leave an older one and not a newer, like a loss.
            self.disk.sync_names().map_err(access("sync the folder of", &name))?;
        }
        Ok(())
    }
}

/// Makes a segment. It gets its name only when all of it is durable, so a segment that is found is
/// whole.
fn create<D: Disk>(disk: &mut D, header: Header) -> Result<Segment<D::File>, StorageError> {
    let Header { segment: number, capacity, .. } = header;
    let (name, unfinished) = (segment::name(number), segment::unfinished_name(number));
    let mut image = vec![0; capacity];
    image[..HEADER].copy_from_slice(&header.encode());
    let mut file = disk.create(&unfinished).map_err(access("create", &unfinished))?;
    file.write_at(0, &image).map_err(access("write", &unfinished))?;
    file.sync().map_err(access("sync", &unfinished))?;
    disk.rename(&unfinished, &name).map_err(access("name", &name))?;
    disk.sync_names().map_err(access("sync the folder of", &name))?;
    Ok(Segment { number, file, capacity, end: HEADER })
}

/// Says what was tried on which file when the operating system refuses.
pub(super) fn access(
    action: &'static str,
    file: &str,
) -> impl FnOnce(std::io::Error) -> StorageError {
    move |source| StorageError::Access { action, file: file.to_owned(), source }
}
