//! One seed from its plan to its verdict.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use checker::check::CheckError;
use checker::verdict::Verdict as Judged;
use nix::time::{ClockId, clock_gettime};

use crate::oracle::Violation;
use crate::plan::Plan;
use crate::simulation::{Broken, Counts, Simulation, Stalled};
use crate::time::Time;

/// How a run is carried out.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Whether to tell the story and keep the history.
    pub is_told: bool,
    /// How long the checker may take, …
    pub judging: Duration,
    /// … and how long once more if it could not tell by then: others may have kept the processor busy,
    /// and a verdict must not depend on them.
    pub judging_again: Duration,
}

impl Default for RunOptions {
    /// Ten seconds: hundreds of times what a history of this length mostly takes. Then two minutes, so that
    /// only what is hard stays unknown.
    fn default() -> Self {
        let (judging, judging_again) = (Duration::from_secs(10), Duration::from_secs(120));
        Self { is_told: false, judging, judging_again }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct RunReport {
    /// Its plan.
    pub plan: Plan,
    /// The verdict.
    pub verdict: Verdict,
    /// A number that stands for everything that happened; the verdict on the history is not in it.
    pub hash: u64,
    /// What happened, counted.
    pub counts: Counts,
    /// How much time passed in it.
    pub simulated: Time,
    /// How long the processor was busy with the simulation, …
    pub simulating: Duration,
    /// … and with judging.
    pub judging: Duration,
    /// The story, if it was told.
    pub story: String,
    /// The history as JSON Lines, if the story was told.
    pub history: Vec<u8>,
}

/// The verdict on a run.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing was wrong.
    Pass,
    /// Something was.
    Fail(Box<Failure>),
    /// The checker could not tell.
    Unknown(String),
}

/// What was wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An invariant was broken.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The cluster did not come back.
    #[error(transparent)]
    Stalled(#[from] Stalled),
    /// A node doubted itself and stopped.
    #[error("Panic: {0}")]
    Panic(String),
    /// What the clients saw cannot be explained.
    #[error("Linearizability: {0}")]
    History(String),
    /// The checker cannot make sense of the history.
    #[error("failed to judge the history")]
    Judge(#[from] CheckError),
}

impl Failure {
    /// Returns the kind of failure in a word or two: what stands before the colon.
    #[must_use]
    pub fn kind(&self) -> String {
        let text = self.to_string();
        text.split(':').next().unwrap_or_default().to_owned()
    }
}

impl Verdict {
    /// Returns what was wrong, if anything was.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Fail(failure) => Some(failure),
            Self::Pass | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Fail(failure) => write!(f, "FAIL: {failure}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// Carries out a plan and judges what its clients saw.
#[must_use]
pub fn run(plan: &Plan, options: RunOptions) -> RunReport {
    let started = computed();
    let mut simulation = Simulation::new(plan.clone(), options.is_told);
    let ended = contain(|| simulation.run());
    let simulating = computed().saturating_sub(started);
    let (counts, simulated) = (simulation.counts(), simulation.time());
    let (hash, story) = (simulation.trace().hash(), simulation.trace().take_story());
    let history = if options.is_told { simulation.history().to_lines() } else { vec![] };
    let judging = computed();
    let verdict = match ended {
        Ok(Ok(())) => judge(simulation, plan, [options.judging, options.judging_again]),
        Ok(Err(Broken::Violation(violation))) => fail(violation),
        Ok(Err(Broken::Stalled(stalled))) => fail(stalled),
        Err(message) => fail(Failure::Panic(message)),
    };
    RunReport {
        plan: plan.clone(),
        verdict,
        hash,
        counts,
        simulated,
        simulating,
        judging: computed().saturating_sub(judging),
        story,
        history,
    }
}

/// Returns how long the processor was busy with this thread; zero where nobody counts it.
fn computed() -> Duration {
    let counted = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    counted.map_or(Duration::ZERO, Duration::from)
}

fn fail(failure: impl Into<Failure>) -> Verdict {
    Verdict::Fail(Box::new(failure.into()))
}

fn judge(simulation: Simulation, plan: &Plan, time_limits: [Duration; 2]) -> Verdict {
    let history = simulation.into_history();
    let name = format!("seed {}", plan.seed);
    let judged = contain(|| history.judge(name, plan.workload, time_limits));
    let report = match judged {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return fail(error),
        Err(message) => return fail(Failure::Panic(message)),
    };
    match &report.verdict {
        Judged::Linearizable => Verdict::Pass,
        Judged::Violation { .. } => fail(Failure::History(report.describe())),
        Judged::Unknown { .. } => Verdict::Unknown(report.describe()),
    }
}

thread_local! {
    /// What a contained panic said, and where; `None` outside of [`contain`].
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does something that may panic; returns what the panic said and where, instead of printing it.
fn contain<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outside = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_contained = SAID.with_borrow_mut(|said| match said {
                Some(said) => {
                    *said = panic.to_string();
                    true
                }
                None => false,
            });
            if !is_contained {
                outside(panic);
            }
        }));
    });
    SAID.set(Some(String::new()));
    // What panicked is looked at once more, for its story, and not used again.
    let done = catch_unwind(AssertUnwindSafe(act));
    let said = SAID.take().unwrap_or_default();
    done.map_err(|_: Box<dyn Any + Send>| said)
}
