//! What a node remembers over a crash: a write-ahead log of hard states, truncations and entries, and
//! the newest snapshot.
//!
//! The log is a folder of *segments*, files that are filled with zeros when they are made so that
//! appending to them changes no file length and one `fdatasync` costs one disk write. A segment is a
//! header and then *records*; a record is a length, a checksum, the place where its *batch* began,
//! and a body, padded to eight bytes. A batch is what reached the disk under one sync. A snapshot is
//! a file beside the segments, and it counts when a record says so.
//!
//! - **S1 Order.** Records are on the disk in the order of the writes they came from, and within a
//!   write: hard state, snapshot, truncation, entries. What a crash leaves is a prefix of that order.
//! - **S2 One batch at a time.** A batch is written only when the one before it is durable, and a new
//!   segment is begun only when the old one is. So a crash can tear the last batch and no other.
//! - **S3 No ghosts.** A checksum covers the segment's number and the record's offset in it, and
//!   whatever a torn batch left behind is zeroed before anything new is written. Old bytes are never
//!   taken for records.
//! - **S4 No second try.** When a write or a sync fails, nobody knows what the disk holds; the node
//!   stops. It finds out when it starts again. (A snapshot that could not be *saved* is none of this:
//!   nothing depends on it.)
//! - **S5 One truth.** Which snapshot counts is said by the log alone: the one that the last record
//!   of a snapshot names. A file that no record names is an accident of a crash, whatever its age, and
//!   is removed at the next start.
//! - **S6 Files first.** A record names a snapshot only when its file is durable under its name.
//! - **S7 Compaction.** A file is removed only when what takes its place is durable: a snapshot when a
//!   later one is on record, a segment when it is not the last and the snapshot on record stands for
//!   every entry of the log that it holds. Segments go from the front, one by one, so that those that
//!   are there follow each other without gaps.
//!
//! # What a crash leaves
//!
//! Recovery is a function of the records, and S1 makes every crash leave a prefix of them; the rest
//! is to see that each prefix is a state that the core may find itself in, and that the files that
//! it needs are there.
//!
//! A *received* snapshot takes the place of the whole log, as one with its write. Its file is made
//! first (S6), then the records of its batch. A crash before the record is durable leaves the old
//! state and a file that does not count: neither. After it, the new one: both. Either way the term is
//! none that the hard state has not seen, for that stands before it in the same prefix. The snapshot
//! and the segments of the old state are removed after that batch (S7).
//!
//! A snapshot that was *taken* is saved by another thread while the log goes on. When its file is
//! durable it is put on record like everything else, by the one thread that owns the log, and so
//! behind every entry that it stands for: entries may be applied before they are durable here, and
//! without that order a crash could leave a snapshot of entries and of a term that this node never
//! had. A crash before the record leaves the older snapshot and all entries behind it, of which none
//! was removed. After it, the newer one, and of the entries only those behind it count. If a newer
//! snapshot was received meanwhile, the late one never gets a record.
//!
//! A segment's header holds what all records before it amount to, entries excepted: hard state,
//! snapshot, last index. It is durable with the segment, before any record in it. So the segments that
//! are left can be read alone, and must say the same as those before them where these are there.
//!
//! # What is damage
//!
//! Recovery tells a *torn tail* from *damage*: bytes that are no record at the end of the last
//! segment were never durable, nor was anything said that depended on them, so they are cut off. But
//! if a valid record of a later batch follows, or a segment does, then something that was durable is
//! gone, and a node that forgets a vote or an entry can break the cluster's promise. It must not
//! start. (Damage to the very last batch cannot be told from a torn one; no log can.)
//!
//! Likewise a segment is *lost*, and was not removed, if one after it is there and one before it is
//! too, or if the snapshot on record does not stand for everything before the first that is there. A
//! snapshot that is on record must be there, and sound in every bit: nothing older is taken instead,
//! for the entries between may be gone. Nothing on the disk is changed before all of it was found
//! sound.

use std::io;
use std::path::Path;

use disk::Disk;

mod disk;
mod fields;
mod outline;
mod record;
mod recovery;
mod segment;
mod snapshot;
mod wal;
mod worker;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

pub(crate) use disk::Folder;
pub(crate) use recovery::Recovered;
pub(crate) use snapshot::SnapshotFile;
pub(crate) use wal::{Options, Wal};
pub(crate) use worker::{Job, Snapshots, Storage};

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
    /// Another version of the program wrote it.
    #[error("{file} is of version {found} of its format, and this program reads version {known}")]
    Version {
        /// Which file of the log's folder.
        file: String,
        /// The version that it says it is of.
        found: u8,
        /// The version that is known.
        known: u8,
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
    /// A segment of the sequence is not there, or the snapshot that is on record.
    #[error("the file is missing")]
    Missing,
    /// The header does not say what this file must say, or its checksum fails.
    #[error("the header is not valid")]
    Header,
    /// The file is shorter or longer than it was made; a file that has its name was whole.
    #[error("the file has not the length that its header names")]
    Length,
    /// The segments before this one amount to something else than it was told.
    #[error("records are missing before this segment")]
    Lost,
    /// A snapshot is not what it was when it was written.
    #[error("the checksum fails")]
    Checksum,
    /// No record, but valid ones of later batches follow.
    #[error("no valid record, though later ones exist")]
    Record,
    /// A checksum is right but what it covers makes no sense; perhaps a newer version wrote it.
    #[error("a record of unknown kind")]
    Unknown,
    /// A record contradicts those before it.
    #[error("a record that does not fit the log before it")]
    Order,
}
