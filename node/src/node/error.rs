//! Why a node does not run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use raft::LogIndex;
use tokio::task::JoinError;

use crate::data::DataError;
use crate::driver::DriverError;
use crate::storage::StorageError;

/// Why a node could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An address cannot be listened at.
    #[error("`listen.{key}`: failed to listen at {address}; is another process using the port?")]
    Listen {
        /// The key in the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The data folder is of no use.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The log cannot be opened.
    #[error("`data`: failed to open the log in {}", folder.display())]
    Open {
        /// The log's folder.
        folder: PathBuf,
        /// What is wrong.
        source: StorageError,
    },
    /// The log can no longer be written.
    #[error("the log in {}", folder.display())]
    Storage {
        /// The log's folder.
        folder: PathBuf,
        /// What is wrong.
        source: StorageError,
    },
    /// The core refuses what was recovered.
    #[error("failed to start from the recovered log")]
    Recovered(#[from] raft::StartError),
    /// The snapshot is none that this version knows.
    #[error("failed to start from the snapshot up to index {index} in {}", folder.display())]
    Unrestorable {
        /// The last entry that it includes.
        index: LogIndex,
        /// The log's folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: machine::snapshot::RestoreError,
    },
    /// The driver had to stop.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A server failed.
    #[error("failed to serve")]
    Serve(#[from] tonic::transport::Error),
    /// A thread or a runtime cannot be had.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A task panicked: an assertion failed, and a node that doubts itself stops.
    #[error("a task failed: {0}")]
    Panicked(JoinError),
    /// The storage thread panicked.
    #[error("the storage thread failed")]
    StoragePanicked,
    /// A task ended that should not have.
    #[error("a task ended before the node was stopped")]
    Ended,
}
