//! A run from beginning to end: start the cluster, load it and hurt it at once, heal it, read
//! everything back, judge.
//!
//! A run has one folder, from which it can be judged again without the cluster:
//!
//! ```text
//! plan.toml       what was done, seed and schedule included; a run of it does the same again
//! history.jsonl   what the clients saw and when faults were in force
//! verdict.json    what every checker found
//! nodes/n1/…      each node's configuration, data and output
//! ```

mod folder;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use folder::{FolderError, RunFolder};
pub use progress::Progress;

use crate::client::{Client, Endpoint, Placement, StormproofClient};
use crate::cluster::{Cluster, ClusterError};
use crate::judgement::{JudgeError, Judgement, Observed, judge};
use crate::load::{Load, LoadError, LoadOptions};
use crate::nemesis::Nemesis;
use crate::plan::{Plan, PlanError};
use crate::recorder::{RecordError, Recorder};
use crate::seed::Seed;
use crate::workload::{self, Workload};
use progress::StormView;

/// A run did not come to a judgement: the harness or the cluster could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan names a workload that there is not.
    #[error("there is no workload {name:?}; there are {}", workload::NAMES.join(" and "))]
    Workload {
        /// The name.
        name: String,
    },
    /// The plan could not be written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The run's folder could not be made.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The cluster could not be started.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The workload could not be set up, or its clients crashed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The history could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The history could not be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// Somebody ended it.
    #[error("the run was interrupted; what its clients saw until then is in {}", history.display())]
    Interrupted {
        /// The history.
        history: PathBuf,
    },
}

/// Carries out a settled plan and judges it. Whatever happens, the cluster is gone when this returns.
///
/// # Errors
/// When there is nothing to judge. A cluster that breaks, or does not come back, is no error but a
/// violation.
pub async fn run(
    plan: &Plan,
    folder: &RunFolder,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Judgement, RunError> {
    let workload: Arc<dyn Workload> = workload::by_name(&plan.workload)
        .ok_or_else(|| RunError::Workload { name: plan.workload.name.clone() })?
        .into();
    let (recorder, recording) = Recorder::create(&folder.history())?;

    progress.phase("starting");
    let interrupted = || RunError::Interrupted { history: folder.history() };
    let cluster = cancel
        .run_until_cancelled(Cluster::start(plan, folder.path()))
        .await
        .ok_or_else(interrupted)??;
    let storm = Storm { plan, cluster: &cluster, workload: &workload, recorder, progress, cancel };
    let observed = storm.run().await;
    let exits = cluster.shutdown().await;
    recording.finish().await?;
    let observed = Observed { unexpected_exits: exits, ..observed? };
    if cancel.is_cancelled() {
        return Err(interrupted());
    }

    progress.phase("judging");
    let judgement =
        tokio::task::block_in_place(|| judge(plan, &*workload, &folder.history(), observed))?;
    folder.write_verdict(&judgement)?;
    Ok(judgement)
}

/// What the phases of a run between the start and the end of its cluster share.
struct Storm<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    workload: &'a Arc<dyn Workload>,
    recorder: Recorder,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
}

impl Storm<'_> {
    async fn run(self) -> Result<Observed, RunError> {
        let mut load = self.make_load();
        let patience = self.plan.recovery_deadline;
        self.cluster.wait_for_leader(patience).await?;
        self.progress.phase("setting up");
        load.set_up(Instant::now() + patience, self.cancel).await?;

        let nemesis = Nemesis::new(self.plan);
        let view = StormView {
            time_limit: self.plan.time_limit,
            tallies: load.tallies(),
            in_force: nemesis.in_force(),
            status: self.cluster.status(),
        };
        let end = self.cancel.child_token();
        let clock = async {
            tokio::select! {
                () = sleep(self.plan.time_limit) => {}
                () = end.cancelled() => {}
                error = self.recorder.failed() => tracing::error!(%error, "recording failed"),
            }
            end.cancel();
        };
        let (driven, report, (), ()) = tokio::join!(
            load.drive(&end),
            nemesis.run(self.cluster, &self.recorder, end.clone()),
            self.progress.storm(view, &end),
            clock,
        );
        driven?;

        self.progress.phase("healing");
        let healed = Instant::now();
        let (recovered_after, not_recovered) = match self.recover(&mut load).await? {
            Recovery::Complete => (Some(healed.elapsed()), None),
            Recovery::Failed(why) => (None, Some(why)),
        };
        let status = self.cluster.status().borrow().clone();
        Ok(Observed {
            operations: load.tallies().snapshot(),
            faults: report.counts(),
            elections: status.elections,
            recovered_after,
            not_recovered,
            unexpected_exits: vec![],
            rivals: status.rivals,
        })
    }

    fn make_load(&self) -> Load {
        let options = LoadOptions {
            concurrency: usize::try_from(self.plan.concurrency).unwrap_or(usize::MAX),
            rate: self.plan.rate,
            operation_timeout: self.plan.operation_timeout,
            placements: vec![],
        };
        let endpoints: Vec<Endpoint> = self
            .cluster
            .client_addresses()
            .into_iter()
            .map(|(node, address)| Endpoint { address: address.to_string(), node: Some(node) })
            .collect();
        let api = self.workload.api();
        let make = |seed: Seed, placement: Placement| -> Box<dyn Client> {
            let random = seed.generator();
            Box::new(StormproofClient::new(api, endpoints.clone(), placement, random))
        };
        let seed = self.plan.seed.derive("load");
        Load::new(Arc::clone(self.workload), &options, self.recorder.clone(), seed, make)
    }

    /// Undoes every fault, waits for a leader and reads everything back. That the cluster does not
    /// come back is a finding and no error.
    async fn recover(&self, load: &mut Load) -> Result<Recovery, RunError> {
        let deadline = self.plan.recovery_deadline;
        let led = match self.cluster.heal_all().await {
            Ok(()) => self.cluster.wait_for_leader(deadline).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match led {
            Ok(()) => {}
            Err(
                error @ (ClusterError::Leaderless { .. }
                | ClusterError::Ended { .. }
                | ClusterError::Mute { .. }),
            ) => return Ok(Recovery::Failed(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        self.progress.phase("reading back");
        match load.read_finally(Instant::now() + deadline, self.cancel).await {
            Ok(()) => Ok(Recovery::Complete),
            Err(error @ LoadError::Deadline { .. }) => Ok(Recovery::Failed(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

/// How the cluster took the end of the storm.
enum Recovery {
    /// It has a leader and answered every final read.
    Complete,
    /// It stays away, for this reason.
    Failed(String),
}
