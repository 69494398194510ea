//! What happens to the driver, and what it wants done.

use std::collections::BTreeSet;

use bytes::Bytes;
use raft::{InstallSnapshot, LogIndex, Message, NodeId, Snapshot, Timestamp, Write, WriteId};

use super::request::Request;
use super::snapshots::SNAPSHOT_MAX;
use crate::wire::command::DecodeError;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// One unit of time has passed.
    Tick {
        /// What the clock says.
        now: Timestamp,
    },
    /// A peer's message arrived.
    Received {
        /// The peer.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// The disk has got this far.
    Persisted(WriteId),
    /// The snapshot that was to be saved is durable, or could not be saved.
    Saved {
        /// The last entry that it includes.
        index: LogIndex,
        /// Whether it is durable.
        is_saved: bool,
    },
    /// Somebody asked for something.
    Request {
        /// What.
        request: Request,
        /// What the clock said when the request was there.
        now: Timestamp,
    },
}

/// Something is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Make this durable, after what was to be made durable before.
    Persist {
        /// What the core wants written.
        write: Write,
        /// The data of the snapshot that is part of it.
        data: Option<Bytes>,
    },
    /// Send this, or drop it.
    Send {
        /// The recipient.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// Send a piece of the newest snapshot, or drop it.
    SendChunk {
        /// The recipient.
        to: NodeId,
        /// What to say, still without data.
        chunk: InstallSnapshot,
        /// How many bytes to send at most.
        bytes_max: usize,
    },
    /// Save this snapshot and say [`Event::Saved`].
    Save {
        /// What it stands for.
        snapshot: Snapshot,
        /// The state machine as bytes.
        data: Vec<u8>,
    },
    /// These are in the cluster now; connections to others are not needed.
    Connect(BTreeSet<NodeId>),
}

/// Why a node must stop.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A committed entry is no command.
    #[error("failed to apply the log entry at index {index}")]
    Undecodable {
        /// The entry's place.
        index: LogIndex,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A snapshot that a leader sent is none.
    #[error("failed to restore the snapshot up to index {index} that the leader sent")]
    Unrestorable {
        /// The last entry that it includes.
        index: LogIndex,
        /// What is wrong with it.
        source: machine::snapshot::RestoreError,
    },
    /// A snapshot that a leader sends is larger than any may be.
    #[error("failed to receive a snapshot: it is larger than {} bytes", SNAPSHOT_MAX)]
    Oversized,
    /// The storage thread has ended; it says why.
    #[error("failed to reach the storage thread")]
    StorageGone,
}
