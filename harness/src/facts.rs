//! What a run saw besides its history, on disk, so that it can be judged again without the cluster.
//!
//! The file is written anew whenever something is learnt that a judgement depends on, and always
//! as a whole: a harness that is killed leaves the last facts that it had, and they say that the run
//! did not come to its end. What such facts lack about faults and operations, the history knows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::judgement::Observed;

/// What a run saw besides its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether the run came to its end, so that nothing is missing.
    pub is_whole: bool,
    /// How many events were recorded; none if the recording failed or did not come to its end.
    pub events: Option<u64>,
    /// What was seen of the system.
    pub observed: Observed,
}

/// The facts could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// They could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// They could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// They are no facts, or those of another version.
    #[error("failed to understand {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Facts {
    /// Writes the facts in place of those that were there, all or nothing: whoever reads the file,
    /// whenever the writer was killed, finds one or the other.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FactsError> {
        let text = serde_json::to_string_pretty(self).expect("facts have string keys");
        let fresh = path.with_extension("json.new");
        let written = fs::write(&fresh, text + "\n").and_then(|()| fs::rename(&fresh, path));
        written.map_err(|source| FactsError::Write { path: path.into(), source })
    }

    /// Reads the facts of a run.
    ///
    /// # Errors
    /// When there are none.
    pub fn read(path: &Path) -> Result<Self, FactsError> {
        let text =
            fs::read(path).map_err(|source| FactsError::Read { path: path.into(), source })?;
        serde_json::from_slice(&text)
            .map_err(|source| FactsError::Parse { path: path.into(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cluster::{Leadership, Rivals};
    use crate::fault::Family;
    use crate::judgement::Reign;
    use crate::load::Tally;
    use crate::nemesis::Counts;
    use crate::process::{Exit, UnexpectedExit};
    use crate::system::NodeId;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_to_the_last_field() {
        let tally = Tally { ok: 5, refused: 1, fail: 2, info: 3, nonsense: 1 };
        let node = NodeId::new(2);
        let observed = Observed {
            operations: [("read".into(), tally)].into(),
            storm_operations: [("read".into(), Tally { ok: 4, ..tally })].into(),
            faults: [(Family::Kill, Counts { installed: 1, skipped: 2, indeterminate: 3 })].into(),
            lacking: [(Family::Disk, "no disks of ours".into())].into(),
            leader_hits: 7,
            fault_troubles: vec!["n1 stays down".into()],
            elections: 4,
            snapshots: Some(3),
            reigns: vec![Reign {
                at: Duration::from_nanos(1_234_567_891),
                leader: Some(Leadership { term: 3, node }),
            }],
            recovered_after: Some(Duration::from_nanos(1_500_000_001)),
            not_recovered: Some("nobody leads".into()),
            ended_early: Some("no order".into()),
            unwatched: vec!["k0: it takes too much time or memory".into()],
            unexpected_exits: vec![
                UnexpectedExit { node, exit: Exit::Code(4) },
                UnexpectedExit { node, exit: Exit::Signal(9) },
            ],
            rivals: vec![Rivals { term: 9, nodes: [1, 2].map(NodeId::new).into() }],
            harness_failures: vec!["the disk is full".into()],
        };
        let facts = Facts { is_whole: true, events: Some(17), observed };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.json");
        Facts::default().write(&path).unwrap();
        assert_eq!(Facts::read(&path).unwrap(), Facts::default());
        facts.write(&path).unwrap();
        assert_eq!(Facts::read(&path).unwrap(), facts);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_not_there_or_no_facts_is_said_to_be_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.json");
        assert!(matches!(Facts::read(&path), Err(FactsError::Read { .. })));
        fs::write(&path, "{\"is_whole\":").unwrap();
        assert!(matches!(Facts::read(&path), Err(FactsError::Parse { .. })));
        let nowhere = folder.path().join("none/facts.json");
        assert!(matches!(Facts::default().write(&nowhere), Err(FactsError::Write { .. })));
    }
}
