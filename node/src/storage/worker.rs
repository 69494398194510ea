//! The thread that owns the log: it takes all queued writes and makes them durable under one sync.

use std::io;
use std::thread::{self, JoinHandle};

use raft::{Write, WriteId};
use tokio::sync::{mpsc, watch};

use super::disk::Disk;
use super::{StorageError, Wal};

/// How many writes may wait. The driver waits when there are more: a disk that is that far behind
/// must slow the node down, and a core takes far fewer inputs while one sync runs.
const WRITES_MAX: usize = 1024;
/// How many bytes of commands go under one sync, so that the first of many large writes is not held
/// up for long. One sync of 1 MiB takes a few milliseconds.
const BATCH_BYTES: usize = 1 << 20;

/// A running storage thread. It ends when the sender is dropped, or at the first failure.
#[derive(Debug)]
pub(crate) struct Storage {
    /// Takes writes, in the order of their numbers.
    pub(crate) writes: mpsc::Sender<Write>,
    /// The last durable write. Closed when the thread has ended.
    pub(crate) persisted: watch::Receiver<WriteId>,
    /// Ends with the reason if the log failed.
    pub(crate) thread: JoinHandle<Result<(), StorageError>>,
}

impl Storage {
    /// Starts the thread.
    pub(crate) fn start<D: Disk>(wal: Wal<D>) -> io::Result<Self>
    where
        D::File: 'static,
    {
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        let (durable, persisted) = watch::channel(WriteId(0));
        let thread = thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || work(wal, queue, &durable))?;
        Ok(Self { writes, persisted, thread })
    }
}

fn work<D: Disk>(
    mut wal: Wal<D>,
    mut queue: mpsc::Receiver<Write>,
    durable: &watch::Sender<WriteId>,
) -> Result<(), StorageError> {
    let mut batch = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(write) = next {
            bytes += write.entries.iter().map(|entry| entry.command.len()).sum::<usize>();
            batch.push(write);
            next = if bytes < BATCH_BYTES { queue.try_recv().ok() } else { None };
        }
        wal.append(&batch)?;
        if let Some(last) = batch.last() {
            durable.send_replace(last.id);
        }
        batch.clear();
    }
    Ok(())
}
