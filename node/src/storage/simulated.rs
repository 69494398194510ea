//! A disk in memory that forgets what was not synced, and does so as badly as a real one may: of the
//! writes since the last sync some sectors survive and others do not, in any combination, and one
//! may be cut in the middle. Of the changes to names since the last sync of names, likewise some
//! survive and others do not.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::disk::{Disk, DiskFile};

const SECTOR: usize = 16;

/// The disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Simulated(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    /// The names as of their last sync.
    names_durable: BTreeMap<String, usize>,
    /// What has happened to them since.
    changes: Vec<Change>,
    files: Vec<File>,
    /// Operations so far.
    operations: u64,
    /// The operation that fails, and whether all later ones do.
    failure: Option<(u64, bool)>,
}

/// What happens to names, at once: one goes, one comes to stand for a file.
#[derive(Clone, Debug)]
struct Change {
    gone: Option<String>,
    new: Option<(String, usize)>,
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    now: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

/// An open file of the disk.
#[derive(Debug)]
pub(crate) struct Handle {
    disk: Simulated,
    file: usize,
}

impl Simulated {
    /// Lets every operation fail after this many.
    pub(crate) fn fail_after(&self, operations: u64) {
        let mut state = self.0.lock().unwrap();
        state.failure = Some((state.operations + operations, true));
    }

    /// Lets one operation fail after this many.
    pub(crate) fn fail_once_after(&self, operations: u64) {
        let mut state = self.0.lock().unwrap();
        state.failure = Some((state.operations + operations, false));
    }

    /// Returns how many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// Lets every operation succeed again, as for a process that is started anew after it was killed:
    /// what was written and not synced can still be read.
    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().failure = None;
    }

    /// Returns the disk as it may look after a power loss; `choose(n)` picks a number below `n`.
    pub(crate) fn crash(&self, mut choose: impl FnMut(usize) -> usize) -> Self {
        let before = self.0.lock().unwrap().clone();
        let mut names = before.names_durable;
        for change in before.changes {
            if choose(2) == 1 {
                change.apply(&mut names);
            }
        }
        let mut files = Vec::new();
        for file in names.values_mut() {
            files.push(before.files[*file].clone().crash(&mut choose));
            *file = files.len() - 1;
        }
        let state = State { names_durable: names.clone(), names, files, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Returns a file's bytes.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        state.files[state.names[name]].now.clone()
    }

    /// Returns a separate disk that differs in one file.
    pub(crate) fn with(&self, name: &str, bytes: Vec<u8>) -> Self {
        let mut state = self.0.lock().unwrap().clone();
        let file = state.names[name];
        state.files[file] = File { durable: bytes.clone(), now: bytes, unsynced: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Returns a separate disk without one file.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut state = self.0.lock().unwrap().clone();
        state.names.remove(name).unwrap();
        state.names_durable.clone_from(&state.names);
        state.changes.clear();
        Self(Arc::new(Mutex::new(state)))
    }

    fn act<T>(&self, action: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        let operation = state.operations;
        state.operations += 1;
        match state.failure {
            Some((first, false)) if operation == first => {}
            Some((first, true)) if operation >= first => {}
            _ => return Ok(action(&mut state)),
        }
        Err(io::Error::other("the simulated disk fails"))
    }

    fn change(&self, change: impl FnOnce(&mut State) -> Change) -> io::Result<()> {
        self.act(|state| {
            let change = change(state);
            change.apply(&mut state.names);
            state.changes.push(change);
        })
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        names.extend(self.new.clone());
    }
}

impl File {
    fn crash(self, choose: &mut impl FnMut(usize) -> usize) -> Self {
        let mut bytes = self.durable;
        for (offset, data) in self.unsynced {
            for (place, sector) in data.chunks(SECTOR).enumerate() {
                let kept = match choose(4) {
                    0 => 0,
                    1 => choose(sector.len() + 1),
                    _ => sector.len(),
                };
                write(&mut bytes, offset + place * SECTOR, &sector[..kept]);
            }
        }
        Self { durable: bytes.clone(), now: bytes, unsynced: Vec::new() }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

impl Disk for Simulated {
    type File = Handle;

    fn list(&self) -> io::Result<Vec<String>> {
        self.act(|state| state.names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str) -> io::Result<Handle> {
        let mut file = 0;
        self.change(|state| {
            file = state.files.len();
            state.files.push(File::default());
            Change { gone: None, new: Some((name.to_owned(), file)) }
        })?;
        Ok(Handle { disk: self.clone(), file })
    }

    fn open(&mut self, name: &str) -> io::Result<Handle> {
        let file = self.act(|state| state.names.get(name).copied())?;
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(Handle { disk: self.clone(), file })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| Change {
            gone: Some(from.to_owned()),
            new: Some((to.to_owned(), state.names[from])),
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if !self.0.lock().unwrap().names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(|_| Change { gone: Some(name.to_owned()), new: None })
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.act(|state| {
            state.names_durable.clone_from(&state.names);
            state.changes.clear();
        })
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        self.disk.act(|state| state.files[self.file].now.len() as u64)
    }

    fn read_at(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).unwrap();
        let bytes = self.disk.act(|state| {
            state.files[self.file].now.get(offset..offset + count).map(<[u8]>::to_vec)
        })?;
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        // A failing write may still have reached the disk, in part or whole.
        let mut state = self.disk.0.lock().unwrap();
        let file = &mut state.files[self.file];
        write(&mut file.now, offset, bytes);
        file.unsynced.push((offset, bytes.to_vec()));
        drop(state);
        self.disk.act(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.act(|state| {
            let file = &mut state.files[self.file];
            file.durable.clone_from(&file.now);
            file.unsynced.clear();
        })
    }
}
