//! A run from beginning to end: start the cluster, load it and hurt it at once, heal it, read
//! everything back, judge.
//!
//! A run has one folder, from which it can be judged again without the cluster:
//!
//! ```text
//! plan.toml       what was done, seed and schedule included; a run of it does the same again
//! history.jsonl   what the clients saw and when faults were in force
//! facts.json      what else was seen of the cluster; kept while the run goes on
//! verdict.json    what every checker found
//! report.html     the same as a page for any browser
//! harness.log     what the harness did and noticed
//! nodes/n1/…      each node's configuration, data and output
//! ```
//!
//! Once clients have begun, whatever they saw is judged, even if the run fails or is interrupted: a
//! violation that was recorded outweighs every other end.

mod alarm;
mod folder;
mod journal;
mod progress;
mod recovery;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use checker::check::Options;
use tokio::task::JoinError;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use alarm::watch_history;
pub use folder::{FolderError, RunFolder};
pub use progress::Progress;

use crate::client::Placement;
use crate::cluster::{ChangeError, Cluster, ClusterError};
use crate::describe_error;
use crate::facts::{Facts, FactsError};
use crate::fault::{Family, Fault};
use crate::judgement::{Evidence, INTERRUPTED, Judgement, Observed, Searched, judge};
use crate::load::{Load, LoadError, LoadOptions};
use crate::nemesis::Nemesis;
use crate::plan::{Plan, PlanError};
use crate::recorder::{RecordError, Recorder};
use crate::seed::Seed;
use crate::workload::{self, Workload};
use journal::Journal;
use progress::StormView;

/// How long the search may take when somebody waits for an interrupted run to end.
const JUDGING_MAX_INTERRUPTED: Duration = Duration::from_secs(5);

/// A run did not come to a judgement: the harness or the cluster could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan names a workload that there is not.
    #[error("there is no workload {name:?}; there are {}", workload::NAMES.join(", "))]
    Workload {
        /// The name.
        name: String,
    },
    /// The plan is no good, or could not be read or written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The run's folder could not be made.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The cluster could not be started.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The history could not be begun.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What is known of the run could not be kept.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The judging crashed.
    #[error("failed to judge the history {}", history.display())]
    Judge {
        /// The history.
        history: PathBuf,
        /// Why.
        source: JoinError,
    },
    /// Somebody ended it before there was a judgement.
    #[error("the run was interrupted; `stormproof check {}` judges what its clients saw", history.display())]
    Interrupted {
        /// The history.
        history: PathBuf,
    },
}

/// When a run's storm ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StormEnd {
    /// When the plan says so.
    #[default]
    Planned,
    /// Then, or as soon as what was recorded by then has no order.
    FailFast,
}

/// A run that came to its judgement.
pub struct Ended {
    /// The judgement.
    pub judgement: Judgement,
    /// What it was made from besides the history.
    pub evidence: Evidence,
    /// The history and the checker's report on it, if it could be judged.
    pub searched: Option<Searched>,
}

/// Carries out a settled plan and judges it. Whatever happens, the cluster is gone when this returns.
///
/// # Errors
/// When there is nothing to judge, or nobody to judge it. A cluster that breaks, or does not come
/// back, is no error but a violation.
pub async fn run(
    plan: &Plan,
    folder: &RunFolder,
    progress: &Progress,
    cancel: &CancellationToken,
    storm_end: StormEnd,
) -> Result<Ended, RunError> {
    let workload: Arc<dyn Workload> = workload::by_name(&plan.workload)
        .ok_or_else(|| RunError::Workload { name: plan.workload.name.clone() })?
        .into();
    let interrupted = || RunError::Interrupted { history: folder.history() };
    let (recorder, recording) = Recorder::create(&folder.history())?;

    progress.phase("starting");
    let cluster = cancel
        .run_until_cancelled(Cluster::start(plan, folder.path()))
        .await
        .ok_or_else(interrupted)??;
    let alarm = CancellationToken::new();
    let watching = CancellationToken::new();
    let watcher = (storm_end == StormEnd::FailFast).then(|| {
        let (history, model) = (folder.history(), workload.model());
        let (alarm, watching) = (alarm.clone(), watching.clone());
        tokio::task::spawn_blocking(move || watch_history(history, model, &alarm, &watching))
    });
    let journal = Journal::new(folder.facts(), recorder.clone());
    let keeping = CancellationToken::new();
    let journal = tokio::spawn(journal.keep(cluster.status(), keeping.clone()));
    let storm = Storm {
        plan,
        cluster: &cluster,
        workload: &workload,
        recorder,
        progress,
        cancel,
        alarm: &alarm,
    };
    let mut observed = storm.run().await;
    watching.cancel();
    if let Some(watcher) = watcher {
        match watcher.await {
            Ok(watched) => {
                observed.ended_early = watched.violation;
                observed.unwatched = watched.unwatched;
            }
            Err(error) => observed.harness_failures.push(describe_error(&error)),
        }
    }
    keeping.cancel();
    match journal.await {
        Ok(reigns) => observed.reigns = reigns,
        Err(error) => observed.harness_failures.push(describe_error(&error)),
    }
    observed.unexpected_exits = cluster.shutdown().await;
    let events = match recording.finish().await {
        Ok(events) => Some(events),
        Err(error) => {
            observed.harness_failures.push(describe_error(&error));
            None
        }
    };
    let is_interrupted = cancel.is_cancelled();
    if is_interrupted {
        observed.harness_failures.push(INTERRUPTED.into());
    }

    progress.phase("judging");
    let mut facts = Facts { is_whole: true, events, observed };
    if let Err(error) = facts.write(&folder.facts()) {
        facts.observed.harness_failures.push(describe_error(&error));
    }
    let mut options = Options::default();
    if is_interrupted {
        options.time_limit = options.time_limit.min(JUDGING_MAX_INTERRUPTED);
    }
    let evidence = Evidence { plan: plan.clone(), workload, facts };
    let history = folder.history();
    let judging = tokio::task::spawn_blocking(move || {
        let (judgement, searched) = judge(&evidence, history, options);
        Ended { judgement, evidence, searched: searched.ok() }
    });
    let judged = tokio::select! {
        judged = judging => judged,
        // An interruption before the judging was taken into account; one during it ends it.
        () = cancel.cancelled(), if !is_interrupted => return Err(interrupted()),
    };
    judged.map_err(|source| RunError::Judge { history: folder.history(), source })
}

/// What the phases of a run between the start and the end of its cluster share.
struct Storm<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    workload: &'a Arc<dyn Workload>,
    recorder: Recorder,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
    /// Tells that what was recorded so far has no order, and nothing more need be done.
    alarm: &'a CancellationToken,
}

/// Why a phase, and with it the storm, ended early.
#[derive(Debug)]
enum Stop {
    /// The harness failed.
    Failed(String),
    /// The cluster does not serve, though nothing hinders it.
    Away(String),
    /// Somebody ended the run.
    Cancelled,
}

impl From<LoadError> for Stop {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Deadline { .. } => Self::Away(describe_error(&error)),
            LoadError::Cancelled { .. } => Self::Cancelled,
            LoadError::Record(_) | LoadError::Crashed(_) => Self::Failed(describe_error(&error)),
        }
    }
}

impl From<ClusterError> for Stop {
    fn from(error: ClusterError) -> Self {
        let what = describe_error(&error);
        match error {
            ClusterError::Leaderless { .. }
            | ClusterError::Ended { .. }
            | ClusterError::Order(_)
            | ClusterError::Mute { .. } => Self::Away(what),
            ClusterError::Unsettled(why) => match *why {
                ChangeError::Cluster(error) => error.into(),
                ChangeError::Refused { .. }
                | ChangeError::TakenBack(_)
                | ChangeError::Unclear(_) => Self::Away(what),
            },
            _ => Self::Failed(what),
        }
    }
}

impl Storm<'_> {
    /// Goes through all phases as far as it comes, and tells what was seen.
    async fn run(self) -> Observed {
        let mut observed = Observed::default();
        match self.go_through(&mut observed).await {
            Ok(()) | Err(Stop::Cancelled) => {}
            Err(Stop::Failed(why)) => observed.harness_failures.push(why),
            Err(Stop::Away(why)) => observed.not_recovered = Some(why),
        }
        let status = self.cluster.status().borrow().clone();
        observed.elections = status.elections;
        observed.snapshots = status.snapshots;
        let families: BTreeSet<Family> = self.plan.faults().map(Fault::family).collect();
        let lacking = families.into_iter().filter_map(|it| Some((it, self.cluster.lacks(it)?)));
        observed.lacking = lacking.collect();
        observed.rivals = status.rivals;
        observed
    }

    async fn go_through(&self, observed: &mut Observed) -> Result<(), Stop> {
        let mut load = self.make_load();
        let patience = self.plan.recovery_deadline;
        self.unless_cancelled(self.cluster.wait_for_leader(patience)).await??;
        self.progress.phase("setting up");
        load.set_up((Instant::now() + patience).into(), self.cancel).await?;

        let before = load.tallies().snapshot();
        let stormed = self.storm(&mut load, observed).await;
        observed.note_operations(load.tallies().snapshot());
        observed.note_storm(&before);
        let storm_end = stormed?;
        if self.alarm.is_cancelled() {
            return Ok(());
        }

        self.progress.phase("healing");
        let recovered = self.recover(&mut load, storm_end).await;
        observed.note_operations(load.tallies().snapshot());
        observed.recovered_after = Some(recovered?);
        Ok(())
    }

    /// Loads and hurts the cluster at once, for as long as the plan says. Returns when the load had ended:
    /// before what was in force then has.
    async fn storm(&self, load: &mut Load, observed: &mut Observed) -> Result<Instant, Stop> {
        let nemesis = Nemesis::new(self.plan);
        let view = StormView {
            time_limit: self.plan.time_limit,
            tallies: load.tallies(),
            in_force: nemesis.in_force(),
            status: self.cluster.status(),
        };
        let end = self.cancel.child_token();
        let driving = async {
            let driven = load.drive(&end).await;
            end.cancel();
            driven.map(|()| Instant::now())
        };
        let clock = async {
            tokio::select! {
                () = sleep(self.plan.time_limit) => {}
                () = end.cancelled() => {}
                () = self.alarm.cancelled() => {}
                // `drive` and `finish` tell it, too; here it only ends the storm.
                error = self.recorder.failed() => tracing::error!(%error, "recording failed"),
            }
            end.cancel();
        };
        let (driven, report, (), ()) = tokio::join!(
            driving,
            nemesis.run(self.cluster, &self.recorder, end.clone()),
            self.progress.storm(view, &end),
            clock,
        );
        observed.faults = report.counts();
        observed.leader_hits = report.leader_hits();
        observed.fault_troubles =
            report.faults.iter().filter_map(|it| it.trouble.clone()).collect();
        Ok(driven?)
    }

    fn make_load(&self) -> Load {
        let options = LoadOptions {
            concurrency: usize::try_from(self.plan.concurrency).unwrap_or(usize::MAX),
            rate: self.plan.rate,
            operation_timeout: self.plan.operation_timeout,
            placements: self.plan.client_placements(),
        };
        let mapping = self.workload.mapping();
        let value_size = usize::try_from(self.plan.workload.value_size).unwrap_or(usize::MAX);
        let make = |seed: Seed, placement: Placement| {
            self.cluster.client(mapping, value_size, placement, seed)
        };
        let seed = self.plan.seed.derive("load");
        Load::new(Arc::clone(self.workload), &options, self.recorder.clone(), seed, make)
    }

    /// Undoes every fault, waits until every node is back, and reads everything back: all within one
    /// deadline, which begins when nothing hinders the cluster any more. Returns how long it took.
    async fn recover(&self, load: &mut Load, storm_end: Instant) -> Result<Duration, Stop> {
        let patience = self.plan.recovery_deadline;
        let back = recovery::come_back(self.cluster, storm_end, patience);
        let healed = self.unless_cancelled(back).await??;
        self.progress.phase("reading back");
        load.read_finally((healed + patience).into(), self.cancel).await?;
        Ok(healed.elapsed())
    }

    async fn unless_cancelled<T>(&self, phase: impl Future<Output = T>) -> Result<T, Stop> {
        self.cancel.run_until_cancelled(phase).await.ok_or(Stop::Cancelled)
    }
}
