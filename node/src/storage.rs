//! What a node remembers over a crash: a write-ahead log of hard states, truncations and entries.
//!
//! The log is a folder of *segments*, files that are filled with zeros when they are made so that
//! appending to them changes no file length and one `fdatasync` costs one disk write. A segment is a
//! header and then *records*; a record is a length, a checksum, the place where its *batch* began,
//! and a body, padded to eight bytes. A batch is what reached the disk under one sync.
//!
//! - **S1 Order.** Records are on the disk in the order of the writes they came from, and within a
//!   write: hard state, truncation, entries. What a crash leaves is a prefix of that order.
//! - **S2 One batch at a time.** A batch is written only when the one before it is durable, and a new
//!   segment is begun only when the old one is. So a crash can tear the last batch and no other.
//! - **S3 No ghosts.** A checksum covers the segment's number and the record's offset in it, and
//!   whatever a torn batch left behind is zeroed before anything new is written. Old bytes are never
//!   taken for records.
//! - **S4 No second try.** When a write or a sync fails, nobody knows what the disk holds; the node
//!   stops. It finds out when it starts again.
//!
//! Recovery tells a *torn tail* from *damage*: bytes that are no record at the end of the last
//! segment were never durable, nor was anything said that depended on them, so they are cut off. But
//! if a valid record of a later batch follows, or a segment does, then something that was durable is
//! gone, and a node that forgets a vote or an entry can break the cluster's promise. It must not
//! start. (Damage to the very last batch cannot be told from a torn one; no log can.)
//!
//! The log is compacted by removing whole segments from the front once a snapshot stands for them;
//! headers number segments and records for that.

use std::io;
use std::path::Path;

use disk::Disk;

mod disk;
mod record;
mod recovery;
mod segment;
mod wal;
mod worker;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

pub(crate) use disk::Folder;
pub(crate) use recovery::Recovered;
pub(crate) use wal::{Options, Wal};
pub(crate) use worker::Storage;

/// Returns whether a folder holds any segment of a log. Other names in it mean nothing.
pub(crate) fn holds_log(folder: &Path) -> io::Result<bool> {
    let names = Folder(folder.to_owned()).list()?;
    Ok(names.iter().any(|name| segment::number(name).is_some()))
}

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused; after a failed write or sync the node must stop (S4).
    #[error("failed to {action} {file}")]
    Access {
        /// What was tried.
        action: &'static str,
        /// On which file of the log's folder.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something that was durable is gone or changed.
    #[error("{file} is damaged at byte {offset}: {damage}")]
    Damaged {
        /// Which file of the log's folder.
        file: String,
        /// Where in it.
        offset: usize,
        /// What is wrong there.
        damage: Damage,
    },
}

/// What recovery found where a sound log should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A segment of the sequence is not there.
    #[error("the segment is missing")]
    Missing,
    /// The header does not name this segment, or its checksum fails.
    #[error("the segment's header is not valid")]
    Header,
    /// The file is shorter or longer than it was made; a segment that has its name was whole.
    #[error("the file has not the length that its header names")]
    Length,
    /// The segments before this one held more or fewer records than it was told.
    #[error("records are missing before this segment")]
    Lost,
    /// No record, but valid ones of later batches follow.
    #[error("no valid record, though later ones exist")]
    Record,
    /// A checksum is right but the body makes no sense; perhaps a newer version wrote it.
    #[error("a record of unknown kind")]
    Unknown,
    /// An entry or a truncation does not fit the log before it.
    #[error("a record that does not fit the log before it")]
    Order,
}
