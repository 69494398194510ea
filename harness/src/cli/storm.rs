//! What all commands that carry out runs have in common: the run's folder, signals, exit codes.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use checker::check::Options;
use checker::explain::explain;
use checker::verdict::Verdict;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::say::remark;
use crate::cluster::ClusterError;
use crate::describe_error;
use crate::judgement::{RunVerdict, Searched};
use crate::page::run_page;
use crate::plan::Plan;
use crate::run::{Ended, Progress, RunError, RunFolder, StormEnd, run as carry_out};
use crate::system::SystemError;

/// The exit code for arguments that cannot be carried out.
pub(super) const EXIT_USAGE: u8 = 2;

/// The exit code for what nobody can tell.
pub(super) const EXIT_UNKNOWN: u8 = 3;

/// The exit code for a harness or a cluster that could not be run.
pub(super) const EXIT_FAILED: u8 = 4;

/// How long the core of a violation may be searched for: somebody waits for the run to end, and
/// `stormproof check --explain` has more time.
const EXPLAINING_MAX: Duration = Duration::from_secs(20);

/// Carries out runs, one after the other, until it is interrupted.
pub(super) struct Storms {
    runtime: Runtime,
    cancel: CancellationToken,
}

impl Storms {
    pub(super) fn new() -> std::io::Result<Self> {
        let runtime = Runtime::new()?;
        let cancel = CancellationToken::new();
        drop(runtime.spawn(cancel_on_signal(cancel.clone())));
        Ok(Self { runtime, cancel })
    }

    /// Makes the folder of a run of a settled plan.
    pub(super) fn prepare(store: &Path, plan: &Plan) -> Result<RunFolder, RunError> {
        let folder = RunFolder::create(store, plan)?;
        folder.start_log()?;
        Ok(folder)
    }

    /// Carries out a run, and ends it early if it is interrupted.
    pub(super) fn carry_out(
        &self,
        plan: &Plan,
        folder: &RunFolder,
        progress: &Progress,
        end: StormEnd,
    ) -> Result<Ended, RunError> {
        self.runtime.block_on(carry_out(plan, folder, progress, &self.cancel, end))
    }

    /// Ends whatever run is under way after so long, as an interruption does, and lets none begin.
    pub(super) fn end_after(&self, time: Duration) {
        let cancel = self.cancel.clone();
        drop(self.runtime.spawn(async move {
            tokio::time::sleep(time).await;
            cancel.cancel();
        }));
    }

    /// Tells whether no more runs are to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// Writes the judgement down, and its page. Returns the exit code: what was found stands if the disk
/// is full, but a pass that nobody can read again is none.
pub(super) fn keep(ended: &Ended, folder: &RunFolder) -> u8 {
    let written = folder.write_verdict(&ended.judgement);
    // The page is drawn of what has been written otherwise, and can be drawn again.
    if let Err(error) = write_page(ended, folder) {
        remark(format_args!("warning: there is no report.html: {error}"));
    }
    let verdict = ended.judgement.verdict;
    let Err(error) = written else { return verdict.exit_code() };
    remark_error(describe_error(&error));
    verdict.max(RunVerdict::HarnessFailure).exit_code()
}

fn write_page(ended: &Ended, folder: &RunFolder) -> Result<(), Box<dyn std::error::Error>> {
    let Ended { judgement, evidence, searched } = ended;
    let name = folder.path().file_name().unwrap_or_default().to_string_lossy();
    let explanation = searched.as_ref().and_then(|Searched { recording, report }| {
        let model = Some(evidence.workload.model());
        let options = Options { model, time_limit: EXPLAINING_MAX, ..Options::default() };
        let is_violation = matches!(report.verdict, Verdict::Violation { .. });
        is_violation.then(|| explain(recording, &options, report).ok()).flatten()
    });
    let page = run_page(&name, judgement, evidence, searched.as_ref(), explanation.as_ref())?;
    Ok(folder.write_page(&page)?)
}

/// Says what went wrong.
pub(super) fn remark_error(error: impl Display) {
    remark(format_args!("error: {error}"));
}

/// The first SIGINT or SIGTERM ends the run politely: the cluster ends, and what its clients saw is
/// judged. The second ends the harness at once; the nodes die with it.
async fn cancel_on_signal(cancel: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("failed to listen for signals: Ctrl-C will not clean up politely");
        return;
    };
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    remark(
        "interrupted: ending the cluster, then judging what its clients saw; again: end at once",
    );
    cancel.cancel();
    next().await;
    std::process::exit(EXIT_FAILED.into());
}

/// Returns the exit code of a run that came to no judgement.
pub(super) fn exit_code(error: &RunError) -> u8 {
    match error {
        RunError::Workload { .. }
        | RunError::Plan(_)
        | RunError::Folder(_)
        | RunError::Cluster(ClusterError::System(SystemError::Program { .. })) => EXIT_USAGE,
        RunError::Cluster(_)
        | RunError::Record(_)
        | RunError::Facts(_)
        | RunError::Judge { .. }
        | RunError::Interrupted { .. } => EXIT_FAILED,
    }
}
