//! What is done to the nodes' disks and to their files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::join_all;

use super::*;
use crate::disk::damage::{Damage, DamagedFile, Files};
use crate::disk::{Ailment, Disk, Loss, mount};
use crate::fault::Family;

/// How long a power loss waits for the moment at which it hurts: a sync under way. Under load there are
/// hundreds of them in a second.
const SYNC_PATIENCE: Duration = Duration::from_millis(300);

/// The nodes' disks, and what was done to files.
#[derive(Debug, Default)]
pub(super) struct Disks {
    disks: BTreeMap<NodeId, Arc<Disk>>,
    /// Why there are none, if somebody wanted some.
    missing: Option<String>,
    damaged: Mutex<BTreeMap<NodeId, DamagedFile>>,
}

/// How a node came back whose files were damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Return {
    /// It started with the file as it was: it repaired it, or did not need it.
    WithDamage,
    /// It refused to start, and these were its words. Its file is still damaged.
    Refused(Box<str>),
    /// It was not started, or killed before it was up: it has left, or may have.
    StaysOut,
}

impl Disks {
    /// Makes a disk for each of the nodes, or says why that cannot be.
    pub(super) async fn make(folders: BTreeMap<NodeId, PathBuf>) -> Self {
        let none = |why: String| {
            tracing::warn!(why, "nodes get no disks of ours");
            Self { missing: Some(why), ..Self::default() }
        };
        let mut disks = BTreeMap::new();
        for (node, folder) in folders {
            let at = folder.join(DATA);
            if let Err(error) = std::fs::create_dir_all(&at) {
                return none(format!("{}: {error}", at.display()));
            }
            disks.insert(node, Arc::new(Disk::new(at)));
        }
        let at = disks.values().next().map(|disk| disk.at().to_owned()).unwrap_or_default();
        let probing = tokio::task::spawn_blocking(move || mount::probe(&at)).await;
        match probing.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(()) => Self { disks, ..Self::default() },
            Err(why) => none(why),
        }
    }

    #[cfg(test)]
    pub(super) fn of_one(node: NodeId, disk: Arc<Disk>) -> Self {
        Self { disks: [(node, disk)].into(), ..Self::default() }
    }

    pub(super) fn of(&self, node: NodeId) -> Option<&Arc<Disk>> {
        self.disks.get(&node)
    }

    /// Forgets what is on a node's disk, which is gone, and what ails it, which was meant for that node;
    /// makes the folder in which it is mounted.
    pub(super) fn wipe(&self, node: NodeId) -> io::Result<()> {
        self.damaged().remove(&node);
        let Some(disk) = self.of(node) else {
            return Ok(());
        };
        disk.wipe();
        disk.set(Ailment::default());
        disk.release();
        std::fs::create_dir_all(disk.at())
    }

    /// Writes what is on the disks to where the nodes found it.
    pub(super) fn export(&self) {
        for disk in self.disks.values() {
            if let Err(error) = disk.export() {
                tracing::error!(%error, at = %disk.at().display(), "failed to export a disk");
            }
        }
    }

    /// Returns whether a node may end because of its disk.
    pub(super) fn is_hopeless(&self, node: NodeId) -> bool {
        self.of(node).is_some_and(|disk| disk.ailment().is_hopeless())
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeMap<NodeId, DamagedFile>> {
        lock(&self.damaged)
    }
}

impl Cluster {
    /// Says what this machine has not that faults of a family would take, if they cannot be.
    pub fn lacks(&self, family: Family) -> Option<String> {
        let why = self.disks.missing.as_ref().filter(|_| family.needs_disk())?;
        Some(format!("no disks of ours ({why})"))
    }

    fn disk(&self, node: NodeId) -> Result<&Arc<Disk>, ClusterError> {
        let why = || self.disks.missing.clone().unwrap_or("the plan asked for none".into());
        self.disks.of(node).ok_or_else(|| ClusterError::Diskless { why: why().into() })
    }

    /// Lets machines lose their power, all at once and if possible in the middle of a sync; returns
    /// what each has lost once its process is gone. See [`Disk::lose_power`].
    pub async fn lose_power(
        &self,
        nodes: &[NodeId],
        torn: Option<Seed>,
    ) -> Vec<(NodeId, Result<Loss, ClusterError>)> {
        let held = nodes.iter().map(|&node| async move {
            if let Ok(disk) = self.disk(node) {
                disk.clone().hold_syncs(SYNC_PATIENCE).await;
            }
        });
        join_all(held).await;
        let losses = nodes.iter().map(|&node| async move {
            let disk = match self.disk(node) {
                Ok(disk) => disk,
                Err(error) => return (node, Err(error)),
            };
            let killed = self.kill(node).await;
            // What cannot be killed goes on; what was killed has nothing under way any more.
            disk.release();
            let seed = torn.map(|seed| seed.derive(&node.to_string()));
            (node, killed.map(|()| disk.lose_power(seed)))
        });
        join_all(losses).await
    }

    /// Changes what ails a node's disk. A node that may end because of it may do so until it is started
    /// again.
    pub async fn set_disk(&self, node: NodeId, ailment: Ailment) -> Result<(), ClusterError> {
        let disk = self.disk(node)?;
        if ailment.is_hopeless() {
            self.supervisor.excuse(node, true).await?;
        }
        let has_changed = disk.ailment() != ailment;
        disk.set(ailment);
        if has_changed {
            self.ease();
        }
        if !ailment.is_hopeless() && disk.refusals() == 0 {
            self.supervisor.excuse(node, false).await?;
        }
        Ok(())
    }

    /// Returns how often a node's disk was felt to ail like this so far.
    pub fn felt(&self, node: NodeId, ailment: Ailment) -> u64 {
        self.disks.of(node).map_or(0, |disk| disk.felt().of(ailment))
    }

    /// Waits for a node to end whose disk has refused it something and is well again, but not for long:
    /// some take it, and what they do from then on is not the disk's fault. Who is stopped cannot end yet,
    /// and is asked again when it goes on. Returns whether it is to be started again.
    pub async fn has_given_up(&self, node: NodeId, patience: Duration) -> bool {
        let has_ended = |processes: &Processes| {
            matches!(processes.states.get(&node), Some(ProcessState::Exited(_)))
                && processes.excused.contains(&node)
        };
        let mut processes = self.supervisor.processes();
        let is_stopped = self.supervisor.state(node) == Some(ProcessState::Paused);
        if !self.is_excused(node) || is_stopped {
            return false;
        }
        if self.disk(node).is_ok_and(|disk| disk.refusals() > 0) {
            let _ = timeout(patience, processes.wait_for(has_ended)).await;
            // It fails only if the supervisor is gone, and with it every process.
            let _ = self.supervisor.excuse_unless_ended(node).await;
        }
        let now = processes.borrow();
        has_ended(&now)
    }

    /// Kills a node and damages one of its files, which it must notice; returns which.
    pub async fn damage(
        &self,
        node: NodeId,
        damage: Damage,
        seed: Seed,
    ) -> Result<DamagedFile, ClusterError> {
        let data = self.data(node)?;
        let is_vital = self.system.notices(damage).ok_or(ClusterError::Heedless)?;
        let trouble = |source| ClusterError::Damage { node, source };
        let is_possible =
            self.with_files(node, &data, |files| files.can_be_damaged(damage, is_vital));
        if !is_possible.map_err(trouble)? {
            // Nobody is to die for nothing.
            return Err(ClusterError::Unscathed { node });
        }
        self.kill(node).await?;
        let damaged = self
            .with_files(node, &data, |files| files.damage(damage, is_vital, &mut seed.generator()));
        let Some(file) = damaged.map_err(trouble)? else {
            // There was one just before, which it must have removed itself.
            self.restart(&[node]).await?;
            return Err(ClusterError::Unscathed { node });
        };
        self.disks.damaged().insert(node, file.clone());
        Ok(file)
    }

    /// Starts a node whose files were damaged.
    pub async fn bring_back(&self, node: NodeId) -> Result<Return, ClusterError> {
        if !self.may_start(node) {
            self.restore(node)?;
            return Ok(Return::StaysOut);
        }
        self.supervisor.excuse(node, true).await?;
        match self.restart_excused(node).await {
            ready if was_killed(&ready) => {
                self.restore(node)?;
                Ok(Return::StaysOut)
            }
            Err(ClusterError::Ended { last_words, .. }) => Ok(Return::Refused(last_words)),
            // It may yet refuse, when nobody expects that any more.
            Err(mute @ ClusterError::Mute { .. }) => {
                self.kill(node).await?;
                self.restore(node)?;
                self.restart(&[node]).await?;
                Err(mute)
            }
            ready => {
                self.disks.damaged().remove(&node);
                self.supervisor.excuse(node, self.disks.is_hopeless(node)).await?;
                ready.map(|()| Return::WithDamage)
            }
        }
    }

    /// Puts a node's damaged file back as it was.
    pub fn restore(&self, node: NodeId) -> Result<(), ClusterError> {
        let Some(file) = self.disks.damaged().remove(&node) else {
            return Ok(());
        };
        let data = self.data(node)?;
        let restored = self.with_files(node, &data, |files| files.restore(&file));
        restored.map_err(|source| ClusterError::Damage { node, source })
    }

    /// Makes every disk well, and every damaged file what it was.
    pub(super) async fn heal_disks(&self) -> Vec<Result<(), ClusterError>> {
        let mut results = Vec::new();
        for (&node, disk) in &self.disks.disks {
            if disk.is_overfull() {
                results.push(Err(ClusterError::Overfull { node }));
            }
            disk.release();
            results.push(self.set_disk(node, Ailment::default()).await);
        }
        let damaged: Vec<NodeId> = self.disks.damaged().keys().copied().collect();
        results.extend(damaged.into_iter().map(|node| self.restore(node)));
        results
    }

    fn data(&self, node: NodeId) -> Result<PathBuf, ClusterError> {
        let slot = self.slots.get(&node).ok_or(ProcessError::NotRunning { node })?;
        Ok(slot.folder.join(DATA))
    }

    fn with_files<T>(&self, node: NodeId, data: &Path, act: impl FnOnce(Files<'_>) -> T) -> T {
        match self.disks.of(node) {
            Some(disk) => act(Files::Disk(disk)),
            None => act(Files::Folder(data)),
        }
    }
}
