//! The nodes' processes: started, stopped, continued and killed, and none of them outlives us.
//!
//! One thread, the supervisor, owns every child (H1). It has to be a thread of its own that lives as
//! long as they do: the kernel's "kill me when my parent dies" (`PR_SET_PDEATHSIG`) means the
//! *thread* that made the child, so a child made on a runtime's pool dies whenever that pool shrinks.
//! With it, even a harness that is killed with SIGKILL leaves nothing behind, stopped children
//! included. Every child leads a process group, and signals go to the group.
//!
//! For each child a second thread sleeps in `waitid` and tells the supervisor what the kernel says
//! became of it, so an action is answered when its effect was seen (H2), and a node that ends by
//! itself is noticed. That thread only peeks at an ended child; the supervisor reaps it. So a pid
//! that is signalled is always still ours.

mod supervision;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::Disk;
use crate::system::{CommandLine, NodeId};
use supervision::{Awaited, Event, Supervision};

/// How many events may wait for the supervisor. Each node has at most a handful under way.
const EVENTS_MAX: usize = 256;

/// How to start one node.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What to run.
    pub command: CommandLine,
    /// Where its standard output goes, after what is there already.
    pub stdout: PathBuf,
    /// Where its standard error goes, after what is there already.
    pub stderr: PathBuf,
    /// A disk to mount for it, if it is not to use the machine's.
    pub disk: Option<Arc<Disk>>,
    /// Tells which ends of it can be excused.
    pub gives_up: fn(Exit) -> bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// What a node's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// We stopped it.
    Paused,
    /// We killed it.
    Killed,
    /// It ended, and not by us.
    Exited(Exit),
}

/// A process that ended without our doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnexpectedExit {
    /// The node.
    pub node: NodeId,
    /// How it ended.
    pub exit: Exit,
}

/// All processes as the supervisor knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// Every node that was ever started.
    pub states: BTreeMap<NodeId, ProcessState>,
    /// Every unexpected end so far, in order.
    pub exits: Vec<UnexpectedExit>,
    /// The nodes that may end by themselves, because of what is done to them.
    pub excused: BTreeSet<NodeId>,
}

/// An action on a process did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is nothing to act on.
    #[error("{node} is not running")]
    NotRunning {
        /// The node.
        node: NodeId,
    },
    /// It runs already.
    #[error("{node} is running already")]
    Running {
        /// The node.
        node: NodeId,
    },
    /// It ended before the effect was seen.
    #[error("{node} ended meanwhile: {exit}")]
    Ended {
        /// The node.
        node: NodeId,
        /// How.
        exit: Exit,
    },
    /// It could not be started.
    #[error("failed to start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file that takes a node's output could not be opened.
    #[error("failed to open log {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel would not deliver the signal.
    #[error("failed to signal {node}")]
    Signal {
        /// The node.
        node: NodeId,
        /// Why.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// There is no supervisor any more.
    #[error("the supervisor of processes is gone")]
    Unsupervised,
}

/// The handle to the supervisor. When it is dropped, every process is killed and reaped.
#[derive(Debug)]
pub struct Supervisor {
    /// Taken only when the supervisor is to end.
    events: Option<mpsc::Sender<Event>>,
    processes: watch::Receiver<Processes>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts the supervisor; it has no processes yet.
    pub fn start() -> Result<Self, ProcessError> {
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let (publish, processes) = watch::channel(Processes::default());
        // The threads that wait for children must not keep the supervisor going once its handle is
        // gone, so they hold a weak sender.
        let supervision = Supervision::new(events.downgrade(), publish);
        let thread = std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || supervision.run(inbox))
            .map_err(ProcessError::Thread)?;
        Ok(Self { events: Some(events), processes, thread: Some(thread) })
    }

    /// Starts a node and returns once its program is running, which does not mean that it is ready.
    pub async fn launch(&self, node: NodeId, launch: Launch) -> Result<(), ProcessError> {
        self.ask(|reply| Event::Launch { node, launch: Box::new(launch), reply }).await
    }

    /// Kills a node and returns once it is gone, and everything that it had under way on its disk.
    pub async fn kill(&self, node: NodeId) -> Result<(), ProcessError> {
        self.act(node, Awaited::Gone).await
    }

    /// Says whether a node that ends by itself from now on has a reason to. An end that is excused, and is
    /// one of those that [can be](Launch::gives_up), is none of the unexpected.
    pub async fn excuse(&self, node: NodeId, is_excused: bool) -> Result<(), ProcessError> {
        self.ask(|reply| Event::Excuse { node, is_excused, reply }).await
    }

    /// Has a node that has not ended by itself no reason to any more.
    pub async fn excuse_unless_ended(&self, node: NodeId) -> Result<(), ProcessError> {
        self.ask(|reply| Event::BringToAccount { node, reply }).await
    }

    /// Stops a node and returns once all of its threads are stopped.
    pub async fn pause(&self, node: NodeId) -> Result<(), ProcessError> {
        self.act(node, Awaited::Stopped).await
    }

    /// Lets a stopped node go on and returns once the kernel says that it does.
    pub async fn resume(&self, node: NodeId) -> Result<(), ProcessError> {
        self.act(node, Awaited::Continued).await
    }

    /// Returns a view of all processes that is always up to date.
    pub fn processes(&self) -> watch::Receiver<Processes> {
        self.processes.clone()
    }

    /// Returns what a node is doing, or nothing if it was never started.
    pub fn state(&self, node: NodeId) -> Option<ProcessState> {
        self.processes.borrow().states.get(&node).copied()
    }

    /// Kills every process and returns once all are gone and reaped.
    pub async fn shutdown(mut self) {
        self.events = None;
        if let Some(thread) = self.thread.take() {
            // An error means that one of the two threads panicked; the children die with it.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn act(&self, node: NodeId, awaited: Awaited) -> Result<(), ProcessError> {
        self.ask(|reply| Event::Signal { node, awaited, reply }).await
    }

    async fn ask(
        &self,
        event: impl FnOnce(oneshot::Sender<Result<(), ProcessError>>) -> Event,
    ) -> Result<(), ProcessError> {
        let (reply, answer) = oneshot::channel();
        let events = self.events.as_ref().ok_or(ProcessError::Unsupervised)?;
        let sent = events.send(event(reply)).await;
        sent.map_err(|_| ProcessError::Unsupervised)?;
        answer.await.map_err(|_| ProcessError::Unsupervised)?
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.events = None;
        if let Some(thread) = self.thread.take() {
            // SIGKILL takes a moment, not a wait: this is short enough for any thread.
            let _ = thread.join();
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}

impl fmt::Display for UnexpectedExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ended by itself: {}", self.node, self.exit)
    }
}

#[cfg(test)]
mod tests;
