//! The thread that owns the log: it takes all queued jobs and makes them durable under one sync.

use std::io;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use raft::{LogIndex, Snapshot, Write, WriteId};
use tokio::sync::{mpsc, watch};

use super::disk::{Disk, Folder};
use super::outline::SnapshotId;
use super::snapshot::{self, SnapshotFile};
use super::{StorageError, Wal};

/// How many jobs may wait. The driver waits when there are more: a disk that is that far behind
/// must slow the node down, and a core takes far fewer inputs while one sync runs.
const JOBS_MAX: usize = 1024;
/// How many bytes of commands go under one sync, so that the first of many large writes is not held
/// up for long. One sync of 1 MiB takes a few milliseconds.
const BATCH_BYTES: usize = 1 << 20;

/// What the storage thread is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// To make a write of the core durable.
    Write {
        /// The write.
        write: Write,
        /// The data of its snapshot, exactly if it has one.
        data: Option<Bytes>,
    },
    /// To put on record a snapshot that [`Snapshots::save`] has made durable.
    Saved(SnapshotId),
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Write { write, data } => {
                let entries = write.entries.iter().map(|entry| entry.payload.bytes());
                entries.sum::<usize>() + data.as_ref().map_or(0, Bytes::len)
            }
            Self::Saved(_) => 0,
        }
    }
}

/// A running storage thread. It ends when the sender is dropped, or at the first failure.
#[derive(Debug)]
pub(crate) struct Storage<D = Folder> {
    /// Takes jobs, with writes in the order of their numbers.
    pub(crate) jobs: mpsc::Sender<Job>,
    /// The last durable write. Closed when the thread has ended.
    pub(crate) persisted: watch::Receiver<WriteId>,
    /// Ends with the reason if the log failed.
    pub(crate) thread: JoinHandle<Result<(), StorageError>>,
    /// Saves and opens snapshots beside it.
    pub(crate) snapshots: Snapshots<D>,
}

impl<D: Disk> Storage<D> {
    /// Starts the thread.
    pub(crate) fn start(wal: Wal<D>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let (durable, persisted) = watch::channel(WriteId(0));
        let snapshots = Snapshots { disk: wal.disk().clone(), jobs: jobs.downgrade() };
        let thread = thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || work(wal, queue, &durable))?;
        Ok(Self { jobs, persisted, thread, snapshots })
    }
}

fn work<D: Disk>(
    mut wal: Wal<D>,
    mut queue: mpsc::Receiver<Job>,
    durable: &watch::Sender<WriteId>,
) -> Result<(), StorageError> {
    let mut batch = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            bytes += job.bytes();
            batch.push(job);
            next = if bytes < BATCH_BYTES { queue.try_recv().ok() } else { None };
        }
        wal.append(&batch)?;
        let writes = batch.iter().rev().filter_map(|job| match job {
            Job::Write { write, .. } => Some(write.id),
            Job::Saved(_) => None,
        });
        if let Some(last) = writes.into_iter().next() {
            durable.send_replace(last);
        }
        batch.clear();
        // Whoever waits for the disk was answered first.
        wal.tidy()?;
    }
    Ok(())
}

/// Saves and opens snapshots while the storage thread appends; its methods block on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots<D = Folder> {
    disk: D,
    /// Weak, so that a snapshot that takes long does not keep the thread from ending.
    jobs: mpsc::WeakSender<Job>,
}

impl<D: Disk> Snapshots<D> {
    /// Saves a snapshot that was taken of what was applied, and returns when its file is durable and
    /// to be put on record. Every write that the core gave out before it asked for the snapshot must
    /// have been sent to the thread. If it fails, nothing on the disk depends on it.
    pub(crate) fn save(&self, snapshot: &Snapshot, data: &[u8]) -> Result<(), StorageError> {
        snapshot::write(&mut self.disk.clone(), snapshot, data)?;
        if let Some(jobs) = self.jobs.upgrade() {
            // If the thread has ended, so does the node, and the next start removes the file.
            let _ = jobs.blocking_send(Job::Saved(SnapshotId::of(snapshot)));
        }
        Ok(())
    }

    /// Opens a snapshot for reading, and checks all of it. It is gone when a newer one took its place.
    pub(crate) fn open(&self, index: LogIndex) -> Result<SnapshotFile<D::File>, StorageError> {
        SnapshotFile::open(&mut self.disk.clone(), index, |_| {})
    }
}
