//! The load: clients that carry out a workload against the system, each one operation at a time.
//!
//! A run has three phases, in this order: [`Load::set_up`] does what must have happened before,
//! [`Load::drive`] runs the generated mix at the asked rate until it is cancelled, and
//! [`Load::read_finally`] reads everything back. Everything that is asked of the system in any of
//! them stands in the history, and every invocation has its completion when a phase returns.

mod pace;
mod tally;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

pub use tally::{Tallies, Tally};

use crate::client::{Client, Outcome, Placement};
use crate::load::pace::Pace;
use crate::recorder::{CLIENTS_MAX, RecordError, Recorder};
use crate::seed::Seed;
use crate::workload::{Generator, Invocation, Workload};

/// How long to wait before something that must succeed is tried again; and how long a client waits
/// that stays with a node which turned it away, or it would crowd out clients that are served.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How hard the system is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// How many clients there are.
    pub concurrency: usize,
    /// How many operations are begun in a second by all clients together; 0: as many as can be.
    pub rate: f64,
    /// How long a client waits for an answer.
    pub operation_timeout: Duration,
    /// Where the clients send their operations: client `i` has the placement `i` modulo their
    /// number. Empty: all follow the leader.
    pub placements: Vec<Placement>,
}

/// A phase did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The history could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What must succeed did not in time: the system does not serve.
    #[error("failed to {} in time: {} of {} did not succeed, at last: {last}", phase.goal(), invocation.f, invocation.key)]
    Deadline {
        /// The phase.
        phase: Phase,
        /// What was asked in vain; there may be more.
        invocation: Invocation,
        /// What was answered last.
        last: String,
    },
    /// The run was cancelled before the phase had done its work.
    #[error("failed to {} before the run was cancelled", phase.goal())]
    Cancelled {
        /// The phase.
        phase: Phase,
    },
    /// A client's task crashed.
    #[error("failed to keep a client running")]
    Crashed(#[from] JoinError),
}

/// A phase that has work to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What must have happened before the load.
    SetUp,
    /// Reading everything back.
    FinalReads,
}

impl Phase {
    fn goal(self) -> &'static str {
        match self {
            Self::SetUp => "set the workload up",
            Self::FinalReads => "read everything back",
        }
    }
}

/// The clients of a run.
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// What all clients use. Both locks are held for a few instructions and never across an await; a
/// task that owned these would add two channel hops to every operation and decide nothing.
struct Shared {
    workload: Arc<dyn Workload>,
    generator: Mutex<Box<dyn Generator>>,
    pace: Mutex<Pace>,
    recorder: Recorder,
    tallies: Tallies,
    operation_timeout: Duration,
    concurrency: u64,
}

/// One client of the run: a row of processes, of which one lives at a time.
struct Worker {
    process: u64,
    /// The client of the mix, placed as the plan says.
    placed: Box<dyn Client>,
    /// The client of the other phases, where not to find the leader would prove nothing; none if
    /// `placed` follows the leader itself.
    following: Option<Box<dyn Client>>,
}

/// An operation that must succeed, and what became of it so far.
struct Errand {
    invocation: Invocation,
    last: String,
}

impl Load {
    /// Makes the clients with `make`, which is told each one's random seed and placement.
    ///
    /// # Panics
    /// If there are no clients, or more than the recorder can take.
    pub fn new(
        workload: Arc<dyn Workload>,
        options: &LoadOptions,
        recorder: Recorder,
        seed: Seed,
        mut make: impl FnMut(Seed, Placement) -> Box<dyn Client>,
    ) -> Self {
        let count = options.concurrency;
        assert!((1..=CLIENTS_MAX).contains(&count), "from 1 to {CLIENTS_MAX} clients, not {count}");
        let placements: &[Placement] = match options.placements.as_slice() {
            [] => &[Placement::LeaderFollowing],
            placements => placements,
        };
        let workers = (0..count).map(|number| {
            let placement = placements[number % placements.len()];
            let seed = seed.derive(&format!("client {number}"));
            let mut follow = || make(seed.derive("following"), Placement::LeaderFollowing);
            let following = (placement != Placement::LeaderFollowing).then(&mut follow);
            Worker { process: number as u64, placed: make(seed, placement), following }
        });
        let workers = workers.collect();
        let shared = Shared {
            generator: Mutex::new(workload.generator(seed.derive("generator").generator())),
            workload,
            pace: Mutex::new(Pace::new(options.rate, seed.derive("pace").generator())),
            recorder,
            tallies: Tallies::default(),
            operation_timeout: options.operation_timeout,
            concurrency: count as u64,
        };
        Self { shared: Arc::new(shared), workers }
    }

    /// Returns the running counts, which can be read at any time.
    pub fn tallies(&self) -> Tallies {
        self.shared.tallies.clone()
    }

    /// Does what must have happened before the load begins, trying anew whatever does not succeed.
    pub async fn set_up(
        &mut self,
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> Result<(), LoadError> {
        let work = self.shared.workload.set_up();
        self.run_errands(Phase::SetUp, work, deadline, cancel).await
    }

    /// Runs the generated mix until it is cancelled or a client fails, and then until the last answer
    /// is there or is no longer waited for.
    pub async fn drive(&mut self, cancel: &CancellationToken) -> Result<(), LoadError> {
        lock(&self.shared.pace).restart(Instant::now());
        let stop = cancel.child_token();
        let mut tasks = JoinSet::new();
        for worker in self.workers.drain(..) {
            tasks.spawn(worker.drive(Arc::clone(&self.shared), stop.clone()));
        }
        self.join(tasks, &stop).await
    }

    /// Reads everything back, trying anew whatever does not succeed.
    pub async fn read_finally(
        &mut self,
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> Result<(), LoadError> {
        let work = lock(&self.shared.generator).final_reads();
        self.run_errands(Phase::FinalReads, work, deadline, cancel).await
    }

    async fn run_errands(
        &mut self,
        phase: Phase,
        work: Vec<Invocation>,
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> Result<(), LoadError> {
        let errands =
            work.into_iter().map(|invocation| Errand { invocation, last: "not tried".into() });
        let errands: Arc<Mutex<VecDeque<Errand>>> = Arc::new(Mutex::new(errands.collect()));
        let stop = cancel.child_token();
        let mut tasks = JoinSet::new();
        for worker in self.workers.drain(..) {
            let errands = Arc::clone(&errands);
            let shared = Arc::clone(&self.shared);
            tasks.spawn(worker.run_errands(shared, phase, errands, deadline, stop.clone()));
        }
        self.join(tasks, &stop).await?;
        let left = lock(&errands).pop_front();
        match left {
            None => Ok(()),
            Some(_) if cancel.is_cancelled() => Err(LoadError::Cancelled { phase }),
            Some(Errand { invocation, last }) => {
                Err(LoadError::Deadline { phase, invocation, last })
            }
        }
    }

    /// Waits for every worker and takes it back; says what went wrong first. A run that has lost a
    /// client, or cannot record, is lost: the first failure stops the others.
    async fn join(
        &mut self,
        mut tasks: JoinSet<(Worker, Result<(), RecordError>)>,
        stop: &CancellationToken,
    ) -> Result<(), LoadError> {
        let mut outcome = Ok(());
        while let Some(task) = tasks.join_next().await {
            let result = match task {
                Ok((worker, result)) => {
                    self.workers.push(worker);
                    result.map_err(LoadError::from)
                }
                Err(crash) => Err(crash.into()),
            };
            if result.is_err() {
                stop.cancel();
            }
            outcome = outcome.and(result);
        }
        self.workers.sort_by_key(|worker| worker.process % self.shared.concurrency);
        outcome
    }
}

impl Worker {
    async fn drive(
        mut self,
        shared: Arc<Shared>,
        cancel: CancellationToken,
    ) -> (Self, Result<(), RecordError>) {
        loop {
            let due = lock(&shared.pace).due(Instant::now());
            tokio::select! {
                biased;
                () = cancel.cancelled() => return (self, Ok(())),
                () = sleep_until(due.into()) => {}
            }
            let invocation = lock(&shared.generator).next();
            let outcome = execute(&mut self.process, &mut *self.placed, &shared, &invocation).await;
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => return (self, Err(error)),
            };
            lock(&shared.generator).observe(&invocation, &outcome);
            if self.following.is_some() && matches!(outcome, Outcome::Fail { .. }) {
                cancel
                    .run_until_cancelled(sleep_until((Instant::now() + RETRY_PAUSE).into()))
                    .await;
            }
        }
    }

    /// Takes errands until there are none, or no time. One that did not succeed goes back to the end
    /// of the queue, so that another client may have more luck.
    async fn run_errands(
        mut self,
        shared: Arc<Shared>,
        phase: Phase,
        errands: Arc<Mutex<VecDeque<Errand>>>,
        deadline: Instant,
        cancel: CancellationToken,
    ) -> (Self, Result<(), RecordError>) {
        while Instant::now() < deadline && !cancel.is_cancelled() {
            let Some(mut errand) = lock(&errands).pop_front() else {
                break;
            };
            let client = self.following.as_mut().unwrap_or(&mut self.placed);
            let outcome =
                execute(&mut self.process, &mut **client, &shared, &errand.invocation).await;
            let last = match outcome {
                Ok(Outcome::Ok { value, .. }) => match phase {
                    Phase::SetUp if shared.workload.is_set_up(&value) => continue,
                    Phase::SetUp => value.to_string(),
                    Phase::FinalReads => {
                        let next = shared.workload.final_read_after(&errand.invocation, &value);
                        if let Some(invocation) = next {
                            let last = "not tried".into();
                            lock(&errands).push_front(Errand { invocation, last });
                        }
                        continue;
                    }
                },
                Ok(Outcome::Fail { error } | Outcome::Info { error }) => error.to_string(),
                Err(error) => {
                    lock(&errands).push_back(errand);
                    return (self, Err(error));
                }
            };
            errand.last = last;
            lock(&errands).push_back(errand);
            tokio::select! {
                () = cancel.cancelled() => {}
                () = sleep_until((Instant::now() + RETRY_PAUSE).into()) => {}
            }
        }
        (self, Ok(()))
    }
}

/// Carries out one operation and writes down both its ends. After an unknown outcome the client goes
/// on as another process, because the operation of the old one may still be under way.
async fn execute(
    process: &mut u64,
    client: &mut dyn Client,
    shared: &Shared,
    invocation: &Invocation,
) -> Result<Outcome, RecordError> {
    let open = shared.recorder.invoke(*process, invocation).await?;
    let deadline = Instant::now() + shared.operation_timeout;
    let outcome = client.execute(invocation, deadline).await;
    open.complete(&outcome);
    shared.tallies.count(invocation.f, &outcome);
    if matches!(outcome, Outcome::Info { .. }) {
        *process += shared.concurrency;
    }
    Ok(outcome)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another client ends the run anyway; nothing that these guard is half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
