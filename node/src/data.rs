//! The data folder: whose it is, and that nobody else is using it.
//!
//! ```text
//! lock            held for as long as the node runs
//! identity.yaml   cluster and node that the folder belongs to, and the voters that the cluster began with
//! starts          how often the node has started
//! wal/            the log and the snapshots
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::parse::{self, Place, SyntaxError};
use crate::storage;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity.yaml";
const STARTS: &str = "starts";
const LOG: &str = "wal";

/// A locked data folder.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    identity: Identity,
    is_identified: bool,
    /// The lock is released when the file is closed, by the system if need be.
    _lock: File,
}

/// Whose folder it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The node's id.
    pub(crate) id: u64,
    /// The voters that the cluster began with; none if the node joined a running one. All that the log
    /// says of who is in the cluster builds on them: a majority of others could commit what contradicts
    /// what these committed.
    pub(crate) members: BTreeSet<u64>,
}

/// Who wants a folder.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The node's id.
    pub(crate) id: u64,
    /// The voters that the cluster began with, if the configuration says.
    pub(crate) members: Option<BTreeSet<u64>>,
    /// Who they are if neither it nor the folder does.
    pub(crate) members_default: BTreeSet<u64>,
}

/// Why a data folder cannot be used. All but one are for the operator to put right in the
/// configuration.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error(
        "`data`: failed to {action} {}; name a folder that the node may create and write",
        path.display()
    )]
    Access {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A running node has it.
    #[error("`data`: {} is in use by a running node; stop that one or name another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It belongs to another node or another cluster.
    #[error(
        "`data`: {} belongs to node {found_id} of cluster `{found_cluster}`, \
         not to node {id} of cluster `{cluster}`; name another folder",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The node that it belongs to.
        found_id: u64,
        /// The cluster that it belongs to.
        found_cluster: String,
        /// The node that wants it.
        id: u64,
        /// Its cluster.
        cluster: String,
    },
    /// The cluster began with other voters.
    #[error(
        "`members`: by the data in {} {}, by the configuration {}; how it began cannot change: leave \
         `members` and `join` out, and change who is in the cluster by `stormproof client member`",
        path.display(),
        describe_beginning(found),
        describe_beginning(members)
    )]
    Members {
        /// The folder.
        path: PathBuf,
        /// The voters that the cluster began with.
        found: BTreeSet<u64>,
        /// Those that the configuration names.
        members: BTreeSet<u64>,
    },
    /// The number of starts is not there or is none.
    #[error(
        "`data`: {} does not say how often the node has started; restore it, or write a number into \
         it that is certainly larger",
        path.display()
    )]
    Uncounted {
        /// The file.
        path: PathBuf,
    },
    /// The identity cannot be read.
    #[error("`data`: {}:{place} does not say whose folder it is: {source}; restore it", path.display())]
    Illegible {
        /// The identity file.
        path: PathBuf,
        /// Line and column.
        place: Place,
        /// What is wrong there.
        source: SyntaxError,
    },
    /// There is a log but no identity.
    #[error("`data`: {} holds a log but no {IDENTITY}; restore it or name another folder", path.display())]
    Anonymous {
        /// The folder.
        path: PathBuf,
    },
    /// There is an identity but no segment of the log, of which the first was durable before the
    /// identity was written: the node once ran here, and what it knew is gone.
    #[error(
        "{} has lost its log; a node that forgot its vote can break its cluster's promise: \
         restore the log",
        path.display()
    )]
    LogGone {
        /// The folder.
        path: PathBuf,
    },
}

impl DataFolder {
    /// Creates the folder if need be, locks it and checks that it is this node's.
    pub(crate) fn open(path: &Path, claim: Claim) -> Result<Self, DataError> {
        let log = path.join(LOG);
        fs::create_dir_all(&log).map_err(access("create", &log))?;
        let lock = lock(path)?;
        let file = path.join(IDENTITY);
        let found =
            match read_if_there(&file)? {
                Some(text) => Some(parse::yaml::<Identity>(&text).map_err(|(place, source)| {
                    DataError::Illegible { path: file, place, source }
                })?),
                None => None,
            };
        let is_identified = found.is_some();
        let Claim { cluster, id, members, members_default } = claim;
        let identity = match found {
            Some(found) => {
                check_claim(path, &found, cluster, id, members)?;
                if !storage::holds_log(&log).map_err(access("read", &log))? {
                    return Err(DataError::LogGone { path: path.to_owned() });
                }
                found
            }
            None => Identity { cluster, id, members: members.unwrap_or(members_default) },
        };
        Ok(Self { path: path.to_owned(), identity, is_identified, _lock: lock })
    }

    /// Returns the voters that the cluster began with; none if the node joined a running one.
    pub(crate) fn members(&self) -> &BTreeSet<u64> {
        &self.identity.members
    }

    /// Returns the folder of the log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Writes down whose folder it is, if nobody has, and counts this start, durably. Returns its
    /// number, which no earlier start had. Called when the log exists, which may hold nothing yet.
    pub(crate) fn identify(&mut self, records: u64) -> Result<u64, DataError> {
        if !self.is_identified && records > 0 {
            return Err(DataError::Anonymous { path: self.path.clone() });
        }
        let starts = self.count_start()?;
        if !self.is_identified {
            let text = serde_saphyr::to_string(&self.identity).map_err(io::Error::other);
            let file = self.path.join(IDENTITY);
            text.and_then(|text| self.write(&file, &text)).map_err(access("write", &file))?;
            self.is_identified = true;
        }
        Ok(starts)
    }

    /// Before the identity is written there was no start that counts.
    fn count_start(&self) -> Result<u64, DataError> {
        let file = self.path.join(STARTS);
        let starts = match read_if_there(&file)? {
            Some(text) => text.trim().parse::<u64>().ok().and_then(|starts| starts.checked_add(1)),
            None => (!self.is_identified).then_some(1),
        };
        let starts = starts.ok_or_else(|| DataError::Uncounted { path: file.clone() })?;
        self.write(&file, &format!("{starts}\n")).map_err(access("write", &file))?;
        Ok(starts)
    }

    /// Writes a file of the folder, durably: after a crash it is as it was or as it is to be.
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        let unfinished = file.with_extension("new");
        let mut handle = File::create(&unfinished)?;
        handle.write_all(text.as_bytes())?;
        handle.sync_all()?;
        fs::rename(&unfinished, file)?;
        // The names in the folder, its own name, and those of the folders above it up to the mount
        // point, for any of these may have been made for it.
        let folder = fs::canonicalize(&self.path)?;
        let device = fs::metadata(&folder)?.dev();
        for folder in folder.ancestors() {
            if fs::metadata(folder)?.dev() != device {
                break;
            }
            match File::open(folder).and_then(|folder| folder.sync_all()) {
                // What this node may not read it did not make.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }
}

/// Checks that the folder is this node's.
fn check_claim(
    path: &Path,
    found: &Identity,
    cluster: String,
    id: u64,
    members: Option<BTreeSet<u64>>,
) -> Result<(), DataError> {
    let path = path.to_owned();
    if (&found.cluster, found.id) != (&cluster, id) {
        let (found_id, found_cluster) = (found.id, found.cluster.clone());
        return Err(DataError::Foreign { path, found_id, found_cluster, id, cluster });
    }
    match members {
        Some(members) if members != found.members => {
            Err(DataError::Members { path, found: found.members.clone(), members })
        }
        _ => Ok(()),
    }
}

fn read_if_there(file: &Path) -> Result<Option<String>, DataError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(access("read", file)(error)),
    }
}

fn describe_beginning(members: &BTreeSet<u64>) -> String {
    if members.is_empty() {
        return "the node joined a running cluster".to_owned();
    }
    format!("the cluster began with {}", describe_nodes(members))
}

fn describe_nodes(ids: &BTreeSet<u64>) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "node" } else { "nodes" }, ids.join(", "))
}

fn lock(folder: &Path) -> Result<File, DataError> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(access("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(access("lock", &path)(error)),
    }
}

fn access(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Access { action, path, source }
}

#[cfg(test)]
mod tests;
