//! What is on a disk: what whoever uses it sees, and what of that would be there after a power loss.
//!
//! - **V1 Content.** A write is durable when its file was synced after it, and not before.
//! - **V2 Names.** Creations, renames and removals become durable in their order, all of them by the
//!   next sync of anything, as in a file system with an ordered journal. A name may be durable whose
//!   file's content is not.
//! - **V3 No second chance.** What a failed sync was to make durable is lost, whatever later syncs
//!   say: the kernel believes those pages clean (many systems learned that the hard way). A reader
//!   may still see it, from the kernel's memory. This is about content alone: changes of names wait for
//!   the next sync that succeeds (V2), for nobody could tell whose sync of a folder was to cover whose.
//! - **V4 Room.** It is in our memory and has a bound, which is no fault: whoever meets it shows nothing
//!   but that the run was too much for us.
//!
//! A volume is a plain value; the kernel's requests come to it through [`super::server`].

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rand::Rng;

use content::Content;

/// How much room a volume has, in bytes: many times what any node of a test has written at a time, and so
/// little that a few of them fit into a machine's memory.
pub(super) const ROOM: usize = 1 << 30;

/// A file or folder. The kernel knows them by these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inode(pub(super) u64);

impl Inode {
    /// The volume's own folder; the kernel presumes this number.
    pub(super) const ROOT: Self = Self(1);
}

/// What is known of a file or folder besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) is_folder: bool,
    pub(super) length: u64,
    /// The permission bits.
    pub(super) mode: u16,
}

/// How much of what was not durable a power loss leaves.
#[derive(Debug)]
pub(super) enum Remains<'a, R> {
    /// Nothing.
    Nothing,
    /// Of every file all unsynced writes but the last, and some of the first sectors of that one.
    TornWrites(&'a mut R),
}

/// What a power loss took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many files lost writes.
    pub files: usize,
    /// How many writes, in whole or in part.
    pub writes: usize,
    /// Whether names changed that were not durable.
    pub names: bool,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes to {} files", self.writes, self.files)?;
        if self.names { f.write_str(" and changes of names") } else { Ok(()) }
    }
}

type Names = BTreeMap<Inode, BTreeMap<OsString, Inode>>;

/// A disk's files and folders.
#[derive(Debug)]
pub(super) struct Volume {
    items: BTreeMap<Inode, Item>,
    /// The names in every folder.
    names: Names,
    /// The durable ones, while they are others.
    names_durable: Option<Names>,
    inode_last: u64,
}

#[derive(Debug)]
struct Item {
    mode: u16,
    /// How often it is open: what is open stays, even without a name.
    opened: usize,
    /// None for a folder.
    content: Option<Content>,
}

impl Volume {
    /// Makes an empty volume.
    pub(super) fn new() -> Self {
        let root = Item { mode: 0o755, opened: 0, content: None };
        Self {
            items: [(Inode::ROOT, root)].into(),
            names: [(Inode::ROOT, BTreeMap::new())].into(),
            names_durable: None,
            inode_last: Inode::ROOT.0,
        }
    }

    /// Finds a name in a folder.
    pub(super) fn look_up(&self, folder: Inode, name: &OsStr) -> Result<Inode, Errno> {
        let names = self.names.get(&folder).ok_or(Errno::ENOTDIR)?;
        names.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Returns what is known of a file or folder.
    pub(super) fn attributes(&self, inode: Inode) -> Result<Attributes, Errno> {
        let item = self.items.get(&inode).ok_or(Errno::ENOENT)?;
        let content = item.content.as_ref();
        Ok(Attributes {
            is_folder: content.is_none(),
            length: content.map_or(0, |content| content.bytes().len() as u64),
            mode: item.mode,
        })
    }

    /// Returns the names in a folder, in order.
    pub(super) fn list(&self, folder: Inode) -> Result<Vec<(OsString, Inode)>, Errno> {
        let names = self.names.get(&folder).ok_or(Errno::ENOTDIR)?;
        Ok(names.iter().map(|(name, inode)| (name.clone(), *inode)).collect())
    }

    /// Makes an empty file or folder.
    pub(super) fn create(
        &mut self,
        folder: Inode,
        name: &OsStr,
        is_folder: bool,
        mode: u16,
    ) -> Result<Inode, Errno> {
        match self.look_up(folder, name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        self.inode_last += 1;
        let inode = Inode(self.inode_last);
        let content = (!is_folder).then(Content::default);
        self.items.insert(inode, Item { mode, opened: 0, content });
        let names = self.change_names();
        if is_folder {
            names.insert(inode, BTreeMap::new());
        }
        names.entry(folder).or_default().insert(name.to_owned(), inode);
        Ok(inode)
    }

    /// Removes a name: a folder's if `is_folder` says so, and only if it is empty.
    pub(super) fn remove(
        &mut self,
        folder: Inode,
        name: &OsStr,
        is_folder: bool,
    ) -> Result<(), Errno> {
        let inode = self.look_up(folder, name)?;
        match (self.names.get(&inode), is_folder) {
            (Some(_), false) => return Err(Errno::EISDIR),
            (None, true) => return Err(Errno::ENOTDIR),
            (Some(within), true) if !within.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        let names = self.change_names();
        names.entry(folder).or_default().remove(name);
        names.remove(&inode);
        Ok(())
    }

    /// Gives something another name, in place of what had that name.
    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
    ) -> Result<(), Errno> {
        let inode = self.look_up(from.0, from.1)?;
        let is_folder = self.names.contains_key(&inode);
        match self.look_up(to.0, to.1) {
            Ok(same) if same == inode => return Ok(()),
            Ok(_) => self.remove(to.0, to.1, is_folder)?,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let names = self.change_names();
        names.entry(from.0).or_default().remove(from.1);
        names.entry(to.0).or_default().insert(to.1.to_owned(), inode);
        Ok(())
    }

    /// Returns up to `count` bytes from an offset on.
    pub(super) fn read(&self, inode: Inode, offset: u64, count: usize) -> Result<&[u8], Errno> {
        let bytes = self.content(inode)?.bytes();
        let start = usize::try_from(offset).map_or(bytes.len(), |it| it.min(bytes.len()));
        Ok(&bytes[start..bytes.len().min(start.saturating_add(count))])
    }

    /// Writes at an offset.
    pub(super) fn write(&mut self, inode: Inode, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let offset = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
        self.claim_room(inode, offset.saturating_add(data.len()))?;
        self.content_mut(inode)?.write(offset, data);
        Ok(())
    }

    /// Makes a file shorter, or longer by zeros.
    pub(super) fn resize(&mut self, inode: Inode, length: u64) -> Result<(), Errno> {
        let length = usize::try_from(length).map_err(|_| Errno::EFBIG)?;
        self.claim_room(inode, length)?;
        self.content_mut(inode)?.resize(length);
        Ok(())
    }

    /// Changes the permission bits, which are durable at once: nothing here depends on them.
    pub(super) fn set_mode(&mut self, inode: Inode, mode: u16) -> Result<(), Errno> {
        self.items.get_mut(&inode).ok_or(Errno::ENOENT)?.mode = mode;
        Ok(())
    }

    /// Notes that a file was opened.
    pub(super) fn open(&mut self, inode: Inode) -> Result<(), Errno> {
        self.items.get_mut(&inode).ok_or(Errno::ENOENT)?.opened += 1;
        Ok(())
    }

    /// Notes that a file was closed.
    pub(super) fn close(&mut self, inode: Inode) {
        if let Some(item) = self.items.get_mut(&inode) {
            item.opened = item.opened.saturating_sub(1);
        }
        self.collect();
    }

    /// Makes a file's content durable (V1), and all names (V2). A folder has none but names.
    pub(super) fn sync(&mut self, inode: Inode) -> Result<(), Errno> {
        let item = self.items.get_mut(&inode).ok_or(Errno::ENOENT)?;
        if let Some(content) = &mut item.content {
            content.sync();
        }
        self.names_durable = None;
        self.collect();
        Ok(())
    }

    /// Fails to make a file's content durable: it is lost for good (V3).
    pub(super) fn fail_sync(&mut self, inode: Inode) {
        if let Some(content) = self.items.get_mut(&inode).and_then(|item| item.content.as_mut()) {
            content.lose();
        }
    }

    /// Returns whether a power loss would take something of this file or folder.
    pub(super) fn is_at_risk(&self, inode: Inode) -> bool {
        let content = self.items.get(&inode).and_then(|item| item.content.as_ref());
        content.map_or(self.names_durable.is_some(), |content| content.unsynced() > 0)
    }

    /// Loses what is not durable. Nobody has anything open any more.
    pub(super) fn lose_power<R: Rng>(&mut self, mut remains: Remains<'_, R>) -> Loss {
        let mut loss = Loss { names: self.names_durable.is_some(), ..Loss::default() };
        if let Some(durable) = self.names_durable.take() {
            self.names = durable;
        }
        let named: BTreeSet<Inode> = self.named().collect();
        for (inode, item) in &mut self.items {
            item.opened = 0;
            let Some(content) = item.content.as_mut().filter(|it| it.unsynced() > 0) else {
                continue;
            };
            let lost = match &mut remains {
                Remains::Nothing => content.lose(),
                Remains::TornWrites(generator) => content.tear(*generator),
            };
            // A file without a durable name goes as a whole, and is part of `names`.
            if lost > 0 && named.contains(inode) {
                loss.files += 1;
                loss.writes += lost;
            }
        }
        self.collect();
        loss
    }

    /// Returns every file by its path, with what is in it.
    pub(super) fn files(&self) -> Vec<(PathBuf, &[u8])> {
        let mut files = Vec::new();
        let mut folders = vec![(PathBuf::new(), Inode::ROOT)];
        while let Some((path, folder)) = folders.pop() {
            for (name, inode) in self.names.get(&folder).into_iter().flatten() {
                let path = path.join(name);
                match self.items.get(inode).and_then(|item| item.content.as_ref()) {
                    Some(content) => files.push((path, content.bytes())),
                    None => folders.push((path, *inode)),
                }
            }
        }
        files
    }

    /// Replaces what is in a file, durably.
    pub(super) fn replace(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Errno> {
        let mut inode = Inode::ROOT;
        for name in path {
            inode = self.look_up(inode, name)?;
        }
        let content = self.content_mut(inode)?;
        content.resize(0);
        content.write(0, bytes);
        content.sync();
        Ok(())
    }

    fn content(&self, inode: Inode) -> Result<&Content, Errno> {
        let item = self.items.get(&inode).ok_or(Errno::ENOENT)?;
        item.content.as_ref().ok_or(Errno::EISDIR)
    }

    fn content_mut(&mut self, inode: Inode) -> Result<&mut Content, Errno> {
        let item = self.items.get_mut(&inode).ok_or(Errno::ENOENT)?;
        item.content.as_mut().ok_or(Errno::EISDIR)
    }

    /// Refuses to make a file longer than there is room for (V4).
    fn claim_room(&self, inode: Inode, length: usize) -> Result<(), Errno> {
        let growth = length.saturating_sub(self.content(inode)?.bytes().len());
        let contents = self.items.values().filter_map(|item| item.content.as_ref());
        let used: usize = contents.map(|content| content.bytes().len()).sum();
        if growth > 0 && used.saturating_add(growth) > ROOM {
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    /// Returns the names to change, after keeping the durable ones.
    fn change_names(&mut self) -> &mut Names {
        if self.names_durable.is_none() {
            self.names_durable = Some(self.names.clone());
        }
        &mut self.names
    }

    /// Returns what has a name, durable or not.
    fn named(&self) -> impl Iterator<Item = Inode> {
        let durable = self.names_durable.iter().flat_map(BTreeMap::values);
        let all = self.names.values().chain(durable);
        all.flat_map(|names| names.values().copied()).chain([Inode::ROOT])
    }

    /// Drops what has no name and is not open.
    fn collect(&mut self) {
        let named: BTreeSet<Inode> = self.named().collect();
        self.items.retain(|inode, item| item.opened > 0 || named.contains(inode));
    }
}

#[cfg(test)]
mod tests;
