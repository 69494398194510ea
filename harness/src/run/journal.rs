//! Keeping the facts of a run on disk while it goes on, so that a harness that is killed leaves what
//! it had learnt.

use std::path::PathBuf;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{ClusterStatus, Leadership};
use crate::describe_error;
use crate::facts::Facts;
use crate::judgement::{Observed, Reign};
use crate::recorder::Recorder;

/// Watches the cluster and writes the facts anew whenever it has learnt something.
pub(super) struct Journal {
    path: PathBuf,
    recorder: Recorder,
    facts: Facts,
}

impl Journal {
    pub(super) fn new(path: PathBuf, recorder: Recorder) -> Self {
        Self { path, recorder, facts: Facts::default() }
    }

    /// Keeps the facts until it is told to end; returns who led from when on.
    pub(super) async fn keep(
        mut self,
        mut status: watch::Receiver<ClusterStatus>,
        end: CancellationToken,
    ) -> Vec<Reign> {
        loop {
            let seen = status.borrow_and_update().clone();
            if self.note(&seen) {
                self.write().await;
            }
            let changed = end.run_until_cancelled(status.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                return self.facts.observed.reigns;
            }
        }
    }

    /// Takes in how the cluster is; tells whether that is news.
    fn note(&mut self, status: &ClusterStatus) -> bool {
        let observed = &mut self.facts.observed;
        let is_new = observed.note_leader(self.recorder.elapsed(), status.leader());
        let is_known =
            status.exits == observed.unexpected_exits && status.rivals == observed.rivals;
        observed.elections = status.elections;
        observed.snapshots = status.snapshots;
        observed.rivals.clone_from(&status.rivals);
        observed.unexpected_exits.clone_from(&status.exits);
        is_new || !is_known
    }

    async fn write(&self) {
        let (facts, path) = (self.facts.clone(), self.path.clone());
        // A disk that stalls must not hold up those who take times.
        let written = tokio::task::spawn_blocking(move || facts.write(&path)).await;
        // In the end they are written once more, and then it counts.
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = describe_error(&error), "facts not kept"),
            Err(error) => tracing::warn!(%error, "facts not kept"),
        }
    }
}

impl Observed {
    /// Notes who leads at a time; tells whether that is another than before.
    fn note_leader(&mut self, at: std::time::Duration, leader: Option<Leadership>) -> bool {
        let before = self.reigns.last().and_then(|reign| reign.leader);
        if leader == before {
            return false;
        }
        self.reigns.push(Reign { at, leader });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cluster::{NodeHealth, Rivals};
    use crate::process::{Exit, ProcessState, UnexpectedExit};
    use crate::system::{NodeId, NodeStatus, Role};

    use super::*;

    fn cluster(nodes: &[(u64, Option<u64>)]) -> ClusterStatus {
        let health = |&(node, leads): &(u64, Option<u64>)| {
            let status = leads.map(|term| NodeStatus {
                role: Role::Leader,
                term,
                leader: Some(NodeId::new(node)),
                last_log_index: 0,
                commit_index: 0,
                last_applied: 0,
                recovered_entries: 0,
                snapshots_received: None,
                version: String::new(),
            });
            (NodeId::new(node), NodeHealth { process: ProcessState::Running, status })
        };
        ClusterStatus { nodes: nodes.iter().map(health).collect(), ..ClusterStatus::default() }
    }

    #[tokio::test]
    async fn only_news_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, _recording) = Recorder::create(&folder.path().join("h")).unwrap();
        let path = folder.path().join("facts.json");
        let mut journal = Journal::new(path.clone(), recorder);
        assert!(!journal.note(&cluster(&[(1, None)])));
        let led = cluster(&[(1, Some(2)), (2, None)]);
        assert!(journal.note(&led) && !journal.note(&led));
        assert!(journal.note(&cluster(&[(1, None), (2, None)])));
        let rivals = Rivals { term: 2, nodes: [1, 2].map(NodeId::new).into() };
        let rivalry = ClusterStatus { rivals: vec![rivals], ..cluster(&[]) };
        assert!(journal.note(&rivalry) && !journal.note(&rivalry));
        let mut fallen = rivalry.clone();
        let process = ProcessState::Exited(Exit::Code(4));
        fallen.nodes.insert(NodeId::new(1), NodeHealth { process, status: None });
        assert!(!journal.note(&fallen), "it may have had a reason to");
        fallen.exits.push(UnexpectedExit { node: NodeId::new(1), exit: Exit::Code(4) });
        assert!(journal.note(&fallen) && !journal.note(&fallen));
        journal.write().await;
        let facts = Facts::read(&path).unwrap();
        assert!(!facts.is_whole);
        let leaders: Vec<_> =
            facts.observed.reigns.iter().map(|it| it.leader.map(|it| it.term)).collect();
        assert_eq!(leaders, [Some(2), None]);
        assert_eq!((facts.observed.rivals.len(), facts.observed.unexpected_exits.len()), (1, 1));
    }

    #[test]
    fn a_leader_that_stays_is_noted_once() {
        let mut observed = Observed::default();
        let leader = |term| Some(Leadership { term, node: NodeId::new(1) });
        let at = Duration::from_secs;
        assert!(!observed.note_leader(at(1), None));
        assert!(observed.note_leader(at(2), leader(1)));
        assert!(!observed.note_leader(at(3), leader(1)));
        assert!(observed.note_leader(at(4), leader(2)));
        assert!(observed.note_leader(at(5), None));
    }
}
