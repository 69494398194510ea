//! Appends writes to the log, a batch under one sync.

use raft::Write;

use super::StorageError;
use super::disk::{Disk, DiskFile};
use super::record::{self, Place};
use super::recovery::{self, Recovered, Reopened};
use super::segment::{self, HEADER, Header};

/// How the log is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Bytes of a new segment. A record that is larger gets a larger segment.
    pub(crate) segment_size: usize,
}

impl Default for Options {
    /// Filling 4 MiB with zeros and syncing them stalls the log for some ten milliseconds, less than
    /// a heartbeat; at 200 bytes a record that happens once in 20,000.
    fn default() -> Self {
        Self { segment_size: 4 << 20 }
    }
}

/// The write-ahead log, open for appending.
#[derive(Debug)]
pub(crate) struct Wal<D: Disk> {
    disk: D,
    options: Options,
    tail: Segment<D::File>,
    /// Records in the log, over all segments.
    records: u64,
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
        let Reopened { recovered, tail } = recovery::recover(&mut disk)?;
        let tail = match tail {
            Some(tail) => tail,
            None => {
                let capacity = options.segment_size;
                create(&mut disk, Header { segment: 1, records_before: 0, capacity })?
            }
        };
        let records = recovered.records;
        Ok((Self { disk, options, tail, records, buffer: Vec::new() }, recovered))
    }

    /// Appends writes, in order, and returns when all of them are durable. After an error the log
    /// must not be used again (S4).
    pub(crate) fn append(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        self.buffer.clear();
        for record in writes.iter().flat_map(record::records) {
            let size = record.size();
            if self.tail.end + self.buffer.len() + size > self.tail.capacity {
                // Whatever is in the old segment is durable before the new one exists (S2).
                self.flush()?;
                let header = Header {
                    segment: self.tail.number + 1,
                    records_before: self.records,
                    capacity: self.options.segment_size.max(HEADER + size),
                };
                self.tail = create(&mut self.disk, header)?;
            }
            let place = Place {
                segment: self.tail.number,
                offset: self.tail.end + self.buffer.len(),
                batch: self.tail.end,
            };
            record.encode(place, &mut self.buffer);
            self.records += 1;
        }
        self.flush()
    }

    /// Writes the buffered records to the tail and syncs them.
    fn flush(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Segment { number, file, end, .. } = &mut self.tail;
        file.write_at(*end, &self.buffer)
            .map_err(|e| access("write", &segment::name(*number))(e))?;
        file.sync().map_err(|e| access("sync", &segment::name(*number))(e))?;
        *end += self.buffer.len();
        self.buffer.clear();
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
