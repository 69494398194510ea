//! Disks of our own for the nodes: what a node writes is in our memory, and we decide what becomes of
//! it.
//!
//! A [`Disk`] is a file system of the kernel's FUSE, mounted over the folder in which a node keeps
//! what it must not forget. It can lose its power, be full, be slow to sync or fail to; a system under
//! test needs no change for that, only to say which folder it is.
//!
//! # Nothing is left
//!
//! The file system is served by the harness itself and mounted in a mount namespace that belongs to
//! the node alone: before it becomes the node, its process [leaves the harness's](mount). So nobody
//! else ever sees the mount, and there is no service to be stopped: when the node ends, however it
//! ends, the kernel unmounts; when the harness ends, however it ends, the kernel fails whatever the
//! node has under way, and kills the node. What was on the disk stays with us from start to start, and
//! is written into the run's folder at the end.
//!
//! It works for root, and for others where the kernel lets users have namespaces. Where neither is so,
//! nodes run on the machine's own file system, and faults of disks are skipped and say why.
//!
//! # What is lost
//!
//! A process that is killed loses nothing that it wrote, for the kernel has it. What a machine loses
//! with its power is what was not synced, and that is what [`Disk::lose_power`] takes, once the node
//! is gone. `volume.rs` says what is durable when.

pub mod damage;
pub mod mount;
mod server;
pub(crate) mod volume;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::seed::Seed;
use volume::{Inode, Remains, Volume};

pub use volume::Loss;

/// What ails a disk; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ailment {
    /// Nothing more can be written, not even over what is there: on a file system that copies on
    /// write, that takes room too.
    pub is_full: bool,
    /// How much longer than usual each sync takes.
    pub sync_delay: Duration,
    /// Whether syncs fail.
    pub sync_failure: SyncFailure,
}

/// Which syncs fail. Whatever such a sync was to make durable is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncFailure {
    /// None.
    #[default]
    None,
    /// The next one.
    Once,
    /// All.
    Always,
}

impl Ailment {
    /// Returns whether a node may have to stop because of it.
    pub fn is_hopeless(&self) -> bool {
        self.is_full || self.sync_failure != SyncFailure::None
    }

    /// Returns what two at once amount to.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            is_full: self.is_full || other.is_full,
            sync_delay: self.sync_delay.max(other.sync_delay),
            sync_failure: self.sync_failure.max(other.sync_failure),
        }
    }
}

/// How often it was felt what ailed a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Felt {
    /// How many requests were refused for want of room.
    pub refused: u64,
    /// How many syncs were delayed.
    pub delayed: u64,
    /// How many syncs failed.
    pub failed: u64,
}

impl Felt {
    /// Returns how often that came of such an ailment.
    pub fn of(&self, ailment: Ailment) -> u64 {
        let counts = [
            (ailment.is_full, self.refused),
            (!ailment.sync_delay.is_zero(), self.delayed),
            (ailment.sync_failure != SyncFailure::None, self.failed),
        ];
        counts.into_iter().filter(|(is_meant, _)| *is_meant).map(|(_, count)| count).sum()
    }
}

/// The disk of one node.
#[derive(Debug)]
pub struct Disk {
    /// Where the node finds it.
    at: PathBuf,
    shared: Mutex<Shared>,
    /// Told of every change that a waiting sync may wait for, and of every sync that waits.
    changed: Condvar,
}

#[derive(Debug)]
struct Shared {
    volume: Volume,
    ailment: Ailment,
    /// Whether the one sync that was to fail has failed.
    is_failure_spent: bool,
    /// Syncs take until further notice.
    is_holding: bool,
    /// Whether a held sync waits that has something to make durable.
    is_holding_any: bool,
    /// Its user is being killed: what waits ends, and has no effect.
    is_ending: bool,
    /// How many requests were refused since the last start of its user.
    refusals: u64,
    felt: Felt,
    /// Whether somebody wanted more room than there is.
    is_overfull: bool,
}

impl Disk {
    /// Makes an empty disk for a node that looks for it at this path.
    pub fn new(at: PathBuf) -> Self {
        let shared = Shared {
            volume: Volume::new(),
            ailment: Ailment::default(),
            is_failure_spent: false,
            is_holding: false,
            is_holding_any: false,
            is_ending: false,
            refusals: 0,
            felt: Felt::default(),
            is_overfull: false,
        };
        Self { at, shared: Mutex::new(shared), changed: Condvar::new() }
    }

    /// Returns where its node finds it.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Changes what ails it, from the very next request on. Syncs under way go by it, too.
    pub fn set(&self, ailment: Ailment) {
        let mut shared = self.lock();
        if shared.ailment.sync_failure != ailment.sync_failure {
            shared.is_failure_spent = false;
        }
        shared.ailment = ailment;
        self.changed.notify_all();
    }

    /// Returns what ails it.
    pub fn ailment(&self) -> Ailment {
        self.lock().ailment
    }

    /// Returns how many requests it has refused since its node was started.
    pub fn refusals(&self) -> u64 {
        self.lock().refusals
    }

    /// Returns how often it was felt so far what ailed it.
    pub fn felt(&self) -> Felt {
        self.lock().felt
    }

    /// Returns whether its node was ever refused room that a real disk would have had. What the node makes
    /// of that shows nothing.
    pub fn is_overfull(&self) -> bool {
        self.lock().is_overfull
    }

    /// Refuses something, if anything ails it that would.
    #[cfg(test)]
    pub(crate) fn refuse(&self) {
        let _ = self.lock().claim_room();
    }

    /// Writes two pages to a file, and syncs neither.
    #[cfg(test)]
    pub(crate) fn scribble(&self) {
        let volume = &mut self.lock().volume;
        let file = volume.create(Inode::ROOT, "log".as_ref(), false, 0o644);
        let file = file.expect("there is no such file yet");
        volume.sync(file).expect("there is one now");
        for place in 0..2 {
            volume.write(file, place * 4096, &[1; 4096]).expect("there is room");
        }
    }

    /// Holds all syncs from now on, and waits until one is held that has something to make durable:
    /// the moment at which a power loss hurts. Returns whether there was one in time. What is held is
    /// let go by [`Disk::release`], or without effect by [`Disk::end`].
    pub async fn hold_syncs(self: Arc<Self>, patience: Duration) -> bool {
        let waiting = tokio::task::spawn_blocking(move || {
            let mut shared = self.lock();
            shared.is_holding = true;
            let still = |shared: &mut Shared| !shared.is_holding_any;
            let result = self.changed.wait_timeout_while(shared, patience, still);
            let (shared, _) = result.unwrap_or_else(PoisonError::into_inner);
            shared.is_holding_any
        });
        // It can only have panicked, and then nothing is held for certain.
        waiting.await.unwrap_or(false)
    }

    /// Lets held syncs go on.
    pub fn release(&self) {
        let mut shared = self.lock();
        (shared.is_holding, shared.is_holding_any) = (false, false);
        self.changed.notify_all();
    }

    /// Ends what its node has under way, without effect. A process that waits for a disk does not
    /// even die, so this has to follow whatever kills it.
    pub fn end(&self) {
        self.lock().is_ending = true;
        self.changed.notify_all();
    }

    /// Loses what is not durable; its node must be gone. If a seed is given, the last write of each
    /// file is torn: some of its first sectors, and what was written before, are left.
    pub fn lose_power(&self, torn: Option<Seed>) -> Loss {
        let volume = &mut self.lock().volume;
        match torn {
            None => volume.lose_power(Remains::<rand_chacha::ChaCha8Rng>::Nothing),
            Some(seed) => volume.lose_power(Remains::TornWrites(&mut seed.generator())),
        }
    }

    /// Forgets everything; its node must be gone.
    pub fn wipe(&self) {
        self.lock().volume = Volume::new();
    }

    /// Returns every file with what is in it.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let shared = self.lock();
        let files = shared.volume.files().into_iter();
        files.map(|(path, bytes)| (path, bytes.to_vec())).collect()
    }

    /// Replaces what is in a file; its node must be gone.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Ok(self.lock().volume.replace(path, bytes)?)
    }

    /// Writes every file to where the node found it, for whoever wants to look at them later.
    pub fn export(&self) -> io::Result<()> {
        for (path, bytes) in self.files() {
            let path = self.at.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&self.at))?;
            std::fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// Prepares for a new start of its node.
    fn begin(&self) {
        let mut shared = self.lock();
        (shared.is_ending, shared.is_holding, shared.is_holding_any) = (false, false, false);
        shared.refusals = 0;
    }

    /// Makes a file or folder durable, which takes as long as what ails it makes it take.
    fn sync(&self, inode: Inode) -> Result<(), Errno> {
        let began = Instant::now();
        let mut shared = self.lock();
        let mut is_delayed = false;
        loop {
            if shared.is_ending {
                return Err(Errno::EIO);
            }
            let left = shared.ailment.sync_delay.saturating_sub(began.elapsed());
            if shared.is_holding {
                if !shared.is_holding_any && shared.volume.is_at_risk(inode) {
                    shared.is_holding_any = true;
                    self.changed.notify_all();
                }
                shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
            } else if left.is_zero() {
                return shared.sync(inode);
            } else {
                shared.felt.delayed += u64::from(!std::mem::replace(&mut is_delayed, true));
                let waited = self.changed.wait_timeout(shared, left);
                (shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Returns whether a sync would be answered at once.
    fn is_prompt(&self) -> bool {
        let shared = self.lock();
        shared.ailment.sync_delay.is_zero() && !shared.is_holding
    }

    /// What is shared is consistent between any two statements that could panic.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn sync(&mut self, inode: Inode) -> Result<(), Errno> {
        let fails = match self.ailment.sync_failure {
            SyncFailure::None => false,
            SyncFailure::Once => !std::mem::replace(&mut self.is_failure_spent, true),
            SyncFailure::Always => true,
        };
        if fails {
            self.volume.fail_sync(inode);
            self.refusals += 1;
            self.felt.failed += 1;
            return Err(Errno::EIO);
        }
        self.volume.sync(inode)
    }

    /// Does what takes room, unless the disk is full.
    fn fill<T>(
        &mut self,
        change: impl FnOnce(&mut Volume) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.claim_room()?;
        let changed = change(&mut self.volume);
        self.is_overfull |= matches!(changed, Err(Errno::ENOSPC));
        changed
    }

    /// Refuses whatever takes room on a full disk.
    fn claim_room(&mut self) -> Result<(), Errno> {
        if self.ailment.is_full {
            self.refusals += 1;
            self.felt.refused += 1;
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
