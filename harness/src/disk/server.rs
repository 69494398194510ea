//! Answers the kernel's requests for a disk.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno as Refusal;
use nix::unistd::{getegid, geteuid};

use super::Disk;
use super::volume::{Inode, ROOM, Volume};

/// For how long the kernel need not ask again: as long as it is mounted, nobody else changes anything.
const UNCHANGED: Duration = Duration::from_secs(60);

/// In which units a disk's room is told.
const BLOCK: u32 = 4096;

/// How much room a disk says it has.
const BLOCKS: u64 = ROOM as u64 / BLOCK as u64;

/// `fallocate` shall not change the file's length.
const KEEP_SIZE: i32 = 1;

/// A disk as the kernel knows one.
pub(super) struct Server(pub(super) Arc<Disk>);

impl Server {
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Volume) -> Result<T, Refusal>,
    ) -> Result<T, Errno> {
        change(&mut self.0.lock().volume).map_err(refuse)
    }

    /// The same for what takes room.
    fn fill<T>(&self, change: impl FnOnce(&mut Volume) -> Result<T, Refusal>) -> Result<T, Errno> {
        let mut shared = self.0.lock();
        shared.fill(change).map_err(refuse)
    }

    fn make(
        &self,
        folder: INodeNo,
        name: &OsStr,
        is_folder: bool,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let mode = permissions(mode);
        self.fill(|volume| {
            let inode = volume.create(Inode(folder.0), name, is_folder, mode)?;
            describe(volume, inode)
        })
    }

    /// Syncs, on a thread of its own if that takes long: others must be served meanwhile.
    fn sync(&self, inode: Inode, reply: ReplyEmpty) {
        if self.0.is_prompt() {
            return answer(reply, self.0.sync(inode).map_err(refuse));
        }
        let disk = self.0.clone();
        let waiting = std::thread::Builder::new().name("disk sync".into());
        let waiting = waiting.spawn(move || answer(reply, disk.sync(inode).map_err(refuse)));
        if let Err(error) = waiting {
            // The reply went with the closure, and says EIO when it is dropped.
            tracing::error!(%error, "failed to start a thread");
        }
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn refuse(refusal: Refusal) -> Errno {
    Errno::from_i32(refusal as i32)
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("twelve bits")
}

fn describe(volume: &Volume, inode: Inode) -> Result<FileAttr, Refusal> {
    let attributes = volume.attributes(inode)?;
    Ok(FileAttr {
        ino: INodeNo(inode.0),
        size: attributes.length,
        blocks: attributes.length.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if attributes.is_folder { FileType::Directory } else { FileType::RegularFile },
        perm: attributes.mode,
        nlink: 1,
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, folder: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.change(|volume| {
            let inode = volume.look_up(Inode(folder.0), name)?;
            describe(volume, inode)
        });
        match found {
            Ok(attributes) => reply.entry(&UNCHANGED, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.change(|volume| describe(volume, Inode(inode.0))) {
            Ok(attributes) => reply.attr(&UNCHANGED, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let inode = Inode(inode.0);
        let resized = match size {
            Some(size) => self.fill(|volume| volume.resize(inode, size)),
            None => Ok(()),
        };
        let changed = resized.and_then(|()| {
            self.change(|volume| {
                if let Some(mode) = mode {
                    volume.set_mode(inode, permissions(mode))?;
                }
                describe(volume, inode)
            })
        });
        match changed {
            Ok(attributes) => reply.attr(&UNCHANGED, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        folder: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        match self.make(folder, name, true, mode & !umask) {
            Ok(attributes) => reply.entry(&UNCHANGED, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _: &Request, folder: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.change(|volume| volume.remove(Inode(folder.0), name, false)));
    }

    fn rmdir(&self, _: &Request, folder: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.change(|volume| volume.remove(Inode(folder.0), name, true)));
    }

    fn rename(
        &self,
        _: &Request,
        folder: INodeNo,
        name: &OsStr,
        folder_new: INodeNo,
        name_new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((Inode(folder.0), name), (Inode(folder_new.0), name_new));
        let renamed = self.change(|volume| {
            if flags.contains(RenameFlags::RENAME_NOREPLACE) {
                if volume.look_up(to.0, to.1).is_ok() {
                    return Err(Refusal::EEXIST);
                }
            } else if !flags.is_empty() {
                return Err(Refusal::EINVAL);
            }
            volume.rename(from, to)
        });
        answer(reply, renamed);
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.change(|volume| volume.open(Inode(inode.0))) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        _: &Request,
        folder: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(folder, name, false, mode & !umask).and_then(|attributes| {
            self.change(|volume| volume.open(Inode(attributes.ino.0)))?;
            Ok(attributes)
        });
        match made {
            Ok(attributes) => reply.created(
                &UNCHANGED,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.0.lock().volume.close(Inode(inode.0));
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let shared = self.0.lock();
        let count = usize::try_from(size).unwrap_or(usize::MAX);
        match shared.volume.read(Inode(inode.0), offset, count) {
            Ok(bytes) => reply.data(bytes),
            Err(refusal) => reply.error(refuse(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.fill(|volume| volume.write(Inode(inode.0), offset, data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let inode = Inode(inode.0);
        let done = self.fill(|volume| {
            let end = offset.checked_add(length).ok_or(Refusal::EFBIG)?;
            match mode {
                0 if end > volume.attributes(inode)?.length => volume.resize(inode, end),
                0 | KEEP_SIZE => Ok(()),
                _ => Err(Refusal::EOPNOTSUPP),
            }
        });
        answer(reply, done);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(Inode(inode.0), reply);
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(Inode(inode.0), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let folder = Inode(inode.0);
        let listed = self.change(|volume| {
            let mut entries = Vec::new();
            for (name, inode) in volume.list(folder)? {
                entries.push((name, inode, volume.attributes(inode)?.is_folder));
            }
            Ok(entries)
        });
        let entries = match listed {
            Ok(entries) => entries,
            Err(errno) => return reply.error(errno),
        };
        let dots = [".", ".."].map(|name| (name.into(), folder, true));
        let all = dots.into_iter().chain(entries);
        // An entry's offset is where the next one is to be looked for.
        for (next, (name, inode, is_folder)) in (1..).zip(all) {
            let kind = if is_folder { FileType::Directory } else { FileType::RegularFile };
            if next > offset && reply.add(INodeNo(inode.0), next, kind, Path::new(&name)) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let free = if self.0.lock().ailment.is_full { 0 } else { BLOCKS };
        reply.statfs(BLOCKS, free, free, BLOCKS, free, BLOCK, 255, BLOCK);
    }
}
