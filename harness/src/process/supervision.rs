//! The supervisor's own thread and the threads that watch its children.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getppid};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::Disk;
use crate::disk::mount::{self, Service};
use crate::process::{Exit, Launch, ProcessError, ProcessState, Processes, UnexpectedExit};
use crate::system::NodeId;

type Reply = oneshot::Sender<Result<(), ProcessError>>;

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Event {
    Launch {
        node: NodeId,
        launch: Box<Launch>,
        reply: Reply,
    },
    Signal {
        node: NodeId,
        awaited: Awaited,
        reply: Reply,
    },
    Excuse {
        node: NodeId,
        is_excused: bool,
        reply: Reply,
    },
    /// Who has not ended yet has no reason to any more.
    BringToAccount {
        node: NodeId,
        reply: Reply,
    },
    /// The kernel says so; the pid tells an earlier process of the node from its present one.
    Changed {
        node: NodeId,
        pid: Pid,
        change: Awaited,
    },
}

/// What an action on a process is to bring about, and what the kernel reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    Gone,
    Stopped,
    Continued,
}

/// A disk and its service to a process.
type Mounted = (Arc<Disk>, Service);

/// A process that has not been reaped yet.
#[derive(Debug)]
struct Child {
    pid: Pid,
    is_stopped: bool,
    /// We have sent SIGKILL, so its end is our doing.
    is_doomed: bool,
    waiting: Vec<(Awaited, Reply)>,
    watcher: JoinHandle<()>,
    disk: Option<Mounted>,
    gives_up: fn(Exit) -> bool,
}

#[derive(Debug)]
pub(super) struct Supervision {
    children: BTreeMap<NodeId, Child>,
    events: mpsc::WeakSender<Event>,
    publish: watch::Sender<Processes>,
}

impl Supervision {
    pub(super) fn new(events: mpsc::WeakSender<Event>, publish: watch::Sender<Processes>) -> Self {
        Self { children: BTreeMap::new(), events, publish }
    }

    /// Serves until the handle is gone, then kills and reaps whatever is left.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        while let Some(event) = inbox.blocking_recv() {
            self.handle(event);
        }
        // Watchers that have something to say find nobody and end.
        drop(inbox);
        for child in self.children.values() {
            child.kill();
        }
        for child in std::mem::take(&mut self.children).into_values() {
            reap(child.pid);
            let _ = child.watcher.join();
            if let Some((_, service)) = child.disk {
                service.wait();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Launch { node, launch, reply } => {
                let result = self.handle_launch(node, &launch);
                let _ = reply.send(result);
            }
            Event::Signal { node, awaited, reply } => self.handle_signal(node, awaited, reply),
            Event::Excuse { node, is_excused, reply } => {
                self.publish.send_modify(|processes| {
                    if is_excused {
                        processes.excused.insert(node);
                    } else {
                        processes.excused.remove(&node);
                    }
                });
                let _ = reply.send(Ok(()));
            }
            Event::BringToAccount { node, reply } => {
                if self.children.contains_key(&node) {
                    self.publish.send_modify(|processes| {
                        processes.excused.remove(&node);
                    });
                }
                let _ = reply.send(Ok(()));
            }
            Event::Changed { node, pid, change } => {
                if self.children.get(&node).is_some_and(|child| child.pid == pid) {
                    self.handle_changed(node, change);
                }
            }
        }
    }

    fn handle_launch(&mut self, node: NodeId, launch: &Launch) -> Result<(), ProcessError> {
        if self.children.contains_key(&node) {
            return Err(ProcessError::Running { node });
        }
        let (pid, disk) = spawn(launch)?;
        let events = self.events.clone();
        let watcher = std::thread::Builder::new()
            .name(format!("watch {node}"))
            .spawn(move || watch_child(node, pid, &events));
        let watcher = watcher.map_err(|error| {
            let _ = killpg(pid, Signal::SIGKILL);
            reap(pid);
            ProcessError::Thread(error)
        })?;
        let (is_stopped, is_doomed, waiting) = (false, false, Vec::new());
        let gives_up = launch.gives_up;
        let child = Child { pid, is_stopped, is_doomed, waiting, watcher, disk, gives_up };
        self.children.insert(node, child);
        self.set_state(node, ProcessState::Running);
        Ok(())
    }

    fn handle_signal(&mut self, node: NodeId, awaited: Awaited, reply: Reply) {
        let Some(child) = self.children.get_mut(&node) else {
            let _ = reply.send(Err(ProcessError::NotRunning { node }));
            return;
        };
        let signal = match awaited {
            Awaited::Gone => Signal::SIGKILL,
            Awaited::Stopped => Signal::SIGSTOP,
            Awaited::Continued => Signal::SIGCONT,
        };
        // The kernel reports changes only. If nothing is under way that could be changed, a process
        // that is as it is wanted stays so.
        let is_as_wanted = awaited != Awaited::Gone
            && child.waiting.is_empty()
            && child.is_stopped == (awaited == Awaited::Stopped);
        let sent = killpg(child.pid, signal);
        if awaited == Awaited::Gone {
            child.end_disk();
        }
        match sent {
            Ok(()) if is_as_wanted => {
                let _ = reply.send(Ok(()));
            }
            Ok(()) => {
                child.is_doomed |= awaited == Awaited::Gone;
                child.waiting.push((awaited, reply));
            }
            Err(errno) => {
                let source = errno.into();
                let _ = reply.send(Err(ProcessError::Signal { node, source }));
            }
        }
    }

    fn handle_changed(&mut self, node: NodeId, change: Awaited) {
        if change == Awaited::Gone {
            return self.handle_gone(node);
        }
        let Some(child) = self.children.get_mut(&node) else {
            return;
        };
        child.is_stopped = change == Awaited::Stopped;
        let waiting = std::mem::take(&mut child.waiting);
        let (seen, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(awaited, _)| *awaited == change);
        child.waiting = rest;
        self.set_state(
            node,
            match change {
                Awaited::Stopped => ProcessState::Paused,
                Awaited::Continued | Awaited::Gone => ProcessState::Running,
            },
        );
        for (_, reply) in seen {
            let _ = reply.send(Ok(()));
        }
    }

    fn handle_gone(&mut self, node: NodeId) {
        let Some(child) = self.children.remove(&node) else {
            return;
        };
        // What the process itself may have started is in its group and has no business left. Until
        // the process is reaped the group's number is still ours.
        let _ = killpg(child.pid, Signal::SIGKILL);
        // Nobody else waits for children, so there is a status; a missing one is at least no success.
        let exit = reap(child.pid).unwrap_or(Exit::Code(-1));
        let _ = child.watcher.join();
        let mut is_overfull = false;
        if let Some((disk, service)) = child.disk {
            service.wait();
            is_overfull = disk.is_overfull();
        }
        // A node that ends on its own just before our signal reaches it has still ended on its own.
        if child.is_doomed && exit == Exit::Signal(Signal::SIGKILL as i32) {
            self.set_state(node, ProcessState::Killed);
        } else {
            let unexpected = UnexpectedExit { node, exit };
            tracing::warn!(%node, %exit, "node ended by itself");
            self.publish.send_modify(|processes| {
                // Whoever crashes does not do what it had a reason to; but what a disk of ours that is too
                // small does to it shows nothing, however it takes that.
                let has_reason = processes.excused.contains(&node) && (child.gives_up)(exit);
                if !has_reason && !is_overfull {
                    processes.excused.remove(&node);
                    processes.exits.push(unexpected);
                }
                processes.states.insert(node, ProcessState::Exited(exit));
            });
        }
        for (awaited, reply) in child.waiting {
            let _ = reply.send(match awaited {
                Awaited::Gone => Ok(()),
                Awaited::Stopped | Awaited::Continued => Err(ProcessError::Ended { node, exit }),
            });
        }
    }

    fn set_state(&self, node: NodeId, state: ProcessState) {
        self.publish.send_modify(|processes| {
            processes.states.insert(node, state);
        });
    }
}

impl Child {
    fn kill(&self) {
        // The only possible error is that the process is gone already.
        let _ = killpg(self.pid, Signal::SIGKILL);
        self.end_disk();
    }

    /// A process does not die while it waits for a disk, so what it waits for ends: once the signal is
    /// sent, so that it never sees how.
    fn end_disk(&self) {
        if let Some((disk, _)) = &self.disk {
            disk.end();
        }
    }
}

fn spawn(launch: &Launch) -> Result<(Pid, Option<Mounted>), ProcessError> {
    let command = &launch.command;
    let start = |source| ProcessError::Start { program: command.program.clone(), source };
    let mut process = Command::new(&command.program);
    process
        .args(&command.arguments)
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    let mut service = None;
    if let Some(disk) = &launch.disk {
        let (ours, theirs) = UnixStream::pair().map_err(start)?;
        process = mount::wrap(&process, disk.at());
        process.stdin(OwnedFd::from(theirs));
        let started = Service::start(disk.clone(), ours).map_err(ProcessError::Thread)?;
        service = Some((disk.clone(), started));
    }
    process.stdout(open_log(&launch.stdout)?).stderr(open_log(&launch.stderr)?).process_group(0);
    die_with_parent(&mut process);
    // If that fails, the other end of the socket closes with the command, and the service ends.
    let child = process.spawn().map_err(start)?;
    let pid = i32::try_from(child.id()).expect("the kernel's pids fit its own type");
    Ok((Pid::from_raw(pid), service))
}

/// Has the kernel kill the process when the calling thread ends, however it ends.
#[expect(unsafe_code, reason = "only the child itself can ask for its parent's death signal")]
fn die_with_parent(process: &mut Command) {
    let parent = Pid::this();
    let ask = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died just before; then nobody would tell.
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. These are two system
    // calls; an error is made of an errno, which allocates nothing.
    unsafe {
        process.pre_exec(ask);
    }
}

fn open_log(path: &Path) -> Result<File, ProcessError> {
    let file = File::options().create(true).append(true).open(path);
    file.map_err(|source| ProcessError::Log { path: path.into(), source })
}

/// Takes an ended child's status from the kernel; from then on its pid may be anybody's.
fn reap(pid: Pid) -> Option<Exit> {
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED) {
            Ok(WaitStatus::Exited(_, code)) => return Some(Exit::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Some(Exit::Signal(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Reports what the kernel says of a child until it ends.
fn watch_child(node: NodeId, pid: Pid, events: &mpsc::WeakSender<Event>) {
    let changes = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED;
    let peek = changes | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    loop {
        let change = match waitid(Id::Pid(pid), peek) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => Awaited::Gone,
            Ok(_) => match waitid(Id::Pid(pid), changes | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::Stopped(..)) => Awaited::Stopped,
                Ok(WaitStatus::Continued(_)) => Awaited::Continued,
                // It changed again between the two calls.
                _ => continue,
            },
            Err(Errno::EINTR) => continue,
            // Somebody else has reaped it: the supervisor at its end.
            Err(_) => return,
        };
        let Some(events) = events.upgrade() else {
            return;
        };
        let event = Event::Changed { node, pid, change };
        if events.blocking_send(event).is_err() || change == Awaited::Gone {
            return;
        }
    }
}
