//! The file of a snapshot: a header that says what the snapshot stands for, and the data.
//!
//! ```text
//! 0       7         8        12       16      24     32       40           data at    data at + length
//! | magic | version | crc32c | data at | index | term | length | membership | data …   |
//! ```
//!
//! All numbers are little-endian. The checksum covers everything else in the file.

use std::io::ErrorKind;

use raft::{LogIndex, Snapshot};

use super::disk::{Disk, DiskFile};
use super::fields::{self, Fields};
use super::outline::SnapshotId;
use super::segment::check_version;
use super::wal::access;
use super::{Damage, StorageError};

/// Begins every snapshot; the version of the format follows.
const MAGIC: [u8; 7] = *b"STORMSN";
const VERSION: u8 = 1;
/// The checksum lies here, …
const CRC: std::ops::Range<usize> = 8..12;
/// … and the membership here, where the fields of fixed size end.
const MEMBERSHIP: usize = 40;

const SUFFIX: &str = ".snapshot";
/// A snapshot in the making, which a crash may leave.
const UNFINISHED: &str = ".new";

/// How much is read at once to check a file: little enough to sit in a processor's cache.
const PIECE: usize = 256 << 10;

/// Returns the name of a snapshot's file.
pub(super) fn name(index: LogIndex) -> String {
    format!("{:016x}{SUFFIX}", index.0)
}

/// Returns whether this is the name of a snapshot in the making.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(|name| index(name).is_some())
}

/// Returns the snapshot's last entry if this is the name of one.
pub(super) fn index(name: &str) -> Option<LogIndex> {
    let index = u64::from_str_radix(name.strip_suffix(SUFFIX)?, 16).map(LogIndex).ok()?;
    (index > LogIndex(0) && self::name(index) == name).then_some(index)
}

/// Writes a snapshot and returns when it is durable. It gets its name only when all of it is, so a
/// snapshot that is found is whole. If it fails, what has no name yet is removed, to make room.
pub(super) fn write<D: Disk>(
    disk: &mut D,
    snapshot: &Snapshot,
    data: &[u8],
) -> Result<(), StorageError> {
    let name = name(snapshot.index);
    let unfinished = name.clone() + UNFINISHED;
    let mut write = || {
        let header = encode_header(snapshot, data);
        let mut file = disk.create(&unfinished).map_err(access("create", &unfinished))?;
        file.write_at(0, &header).map_err(access("write", &unfinished))?;
        file.write_at(header.len(), data).map_err(access("write", &unfinished))?;
        file.sync().map_err(access("sync", &unfinished))?;
        disk.rename(&unfinished, &name).map_err(access("name", &name))?;
        disk.sync_names().map_err(access("sync the folder of", &name))
    };
    let written = write();
    if written.is_err() {
        // It may not have come so far, or may be named already: then the next start removes it.
        let _ = disk.remove(&unfinished);
    }
    written
}

/// Removes a snapshot, if it is there.
pub(super) fn remove<D: Disk>(disk: &mut D, index: LogIndex) -> Result<(), StorageError> {
    let name = name(index);
    match disk.remove(&name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(access("remove", &name)),
    }
}

fn encode_header(snapshot: &Snapshot, data: &[u8]) -> Vec<u8> {
    let Snapshot { membership, .. } = snapshot;
    let mut header = Vec::new();
    header.extend_from_slice(&MAGIC);
    header.push(VERSION);
    fields::put_u32(&mut header, 0);
    fields::put_u32(&mut header, MEMBERSHIP + fields::membership_size(membership));
    fields::put_snapshot_id(&mut header, SnapshotId::of(snapshot));
    fields::put_u64(&mut header, data.len() as u64);
    fields::put_membership(&mut header, membership);
    let crc = crc32c::crc32c(&header[..CRC.start]);
    let crc = crc32c::crc32c_append(crc, &header[CRC.end..]);
    let crc = crc32c::crc32c_append(crc, data);
    header[CRC].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What the fields of fixed size say.
#[derive(Debug)]
struct Fixed {
    crc: u32,
    data_at: usize,
    id: SnapshotId,
    length: u64,
}

impl Fixed {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.strip_prefix(&MAGIC)?.strip_prefix(&[VERSION])?);
        let fixed = Self {
            crc: u32::from_le_bytes(fields.take(CRC.len())?.try_into().ok()?),
            data_at: fields.u32()?,
            id: fields.snapshot_id()?,
            length: fields.u64()?,
        };
        fields.end(fixed)
    }

    /// Returns how long the file must be.
    fn file_length(&self) -> Option<u64> {
        (self.data_at as u64).checked_add(self.length)
    }
}

/// A snapshot that is open for reading. What was opened can be read to the end even if the file is
/// removed meanwhile.
#[derive(Debug)]
pub(crate) struct SnapshotFile<F> {
    name: String,
    file: F,
    snapshot: Snapshot,
    data_at: usize,
    length: u64,
}

impl<F: DiskFile> SnapshotFile<F> {
    /// Opens a snapshot and checks the whole file, which is read for that; `look` is shown its data,
    /// piece by piece, before they are known to be sound.
    pub(super) fn open<D: Disk<File = F>>(
        disk: &mut D,
        index: LogIndex,
        mut look: impl FnMut(&[u8]),
    ) -> Result<Self, StorageError> {
        let name = name(index);
        let file = disk.open(&name).map_err(access("open", &name))?;
        let file_length = file.length().map_err(access("read", &name))?;
        let damaged = |damage| StorageError::Damaged { file: name.clone(), offset: 0, damage };
        let read = |at: u64, count: u64| {
            let count = usize::try_from(count).expect("a piece fits in memory");
            file.read_at(at, count).map_err(access("read", &name))
        };

        let mut head = read(0, file_length.min(MEMBERSHIP as u64))?;
        check_version(&name, &head, &MAGIC, VERSION)?;
        let fixed = Fixed::decode(&head).filter(|fixed| fixed.id.index == index);
        let fixed = fixed.ok_or_else(|| damaged(Damage::Header))?;
        if fixed.file_length() != Some(file_length) {
            return Err(damaged(Damage::Length));
        }
        let members = (fixed.data_at as u64).checked_sub(MEMBERSHIP as u64);
        let members = members.ok_or_else(|| damaged(Damage::Header))?;
        head.extend_from_slice(&read(MEMBERSHIP as u64, members)?);

        let crc = crc32c::crc32c(&head[..CRC.start]);
        let mut crc = crc32c::crc32c_append(crc, &head[CRC.end..]);
        let mut at = fixed.data_at as u64;
        while at < file_length {
            let piece = read(at, (file_length - at).min(PIECE as u64))?;
            crc = crc32c::crc32c_append(crc, &piece);
            at += piece.len() as u64;
            look(&piece);
        }
        if crc != fixed.crc {
            return Err(damaged(Damage::Checksum));
        }
        let mut fields = Fields(&head[MEMBERSHIP..]);
        let membership = fields.membership().and_then(|membership| fields.end(membership));
        let membership = membership.ok_or_else(|| damaged(Damage::Unknown))?;
        let SnapshotId { index, term } = fixed.id;
        let snapshot = Snapshot { index, term, membership };
        Ok(Self { name, file, snapshot, data_at: fixed.data_at, length: fixed.length })
    }

    /// Returns what the snapshot stands for.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns at most `bytes_max` bytes of the data from `offset` on, and whether they are the last.
    /// Past the end there are none.
    pub(crate) fn read_at(
        &self,
        offset: u64,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, bool), StorageError> {
        let left = self.length.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes_max);
        if count == 0 {
            return Ok((Vec::new(), left == 0));
        }
        let bytes = self
            .file
            .read_at(self.data_at as u64 + offset, count)
            .map_err(access("read", &self.name))?;
        let is_last = bytes.len() as u64 == left;
        Ok((bytes, is_last))
    }
}
