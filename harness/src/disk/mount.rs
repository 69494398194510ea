//! How a node comes to its disk: its process first mounts the disk, where nobody else sees it, and
//! then becomes the node.
//!
//! A file system can only be mounted by whom the kernel trusts with the namespace, and a FUSE device
//! only by a process of the user namespace that opened it. So the child does it all: it gets a mount
//! namespace, and unless it is root a user namespace with it; it opens the device, mounts it, sends it
//! to the harness through its standard input, which is a socket, and executes the node's program. Its
//! pid, group and parent stay what they were; nothing that is a node's own changes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getegid, geteuid, getppid};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::Disk;
use super::server::Server;

/// The harness's own program, which knows how to be a child that mounts.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The command of that program by which it does.
pub const COMMAND: &str = "on-disk";

/// Where the kernel lends file systems to programs.
const DEVICE: &str = "/dev/fuse";

/// How long a child may take to mount: it is a program's start and a few calls of the kernel.
const MOUNT_DEADLINE: Duration = Duration::from_secs(10);

/// How long the kernel may take to unmount what the last process of a namespace leaves.
const UNMOUNT_DEADLINE: Duration = Duration::from_secs(5);

/// What the child is told.
#[derive(Debug, clap::Args)]
pub struct OnDiskArgs {
    /// Where to mount
    #[arg(long)]
    at: PathBuf,
    /// The process without which this one must not live
    #[arg(long)]
    parent: i32,
    /// What to become then; if it is nothing, only try whether it can write
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// A disk that cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action}")]
pub struct MountError {
    action: &'static str,
    source: io::Error,
}

fn failed<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> MountError {
    move |source| MountError { action, source: source.into() }
}

/// Mounts a disk and becomes what the arguments say; returns only if that fails, or if that is all.
pub fn run(args: OnDiskArgs) -> ExitCode {
    match become_node(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", crate::describe_error(&error));
            ExitCode::FAILURE
        }
    }
}

fn become_node(args: OnDiskArgs) -> Result<(), MountError> {
    leave_namespaces()?;
    // Another user namespace makes the kernel forget whose death ours should follow.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed("ask for the death signal"))?;
    if getppid() != Pid::from_raw(args.parent) {
        return Err(failed("outlive its parent")(Errno::ESRCH));
    }
    let device = mount_device(&args.at)?;
    send_device(&device).map_err(failed("hand over the device"))?;
    drop(device);
    // Until the kernel has asked, it takes root for the folder's owner, whom the namespace may not know,
    // and lets nobody write.
    std::fs::metadata(&args.at).map_err(failed("look at the disk"))?;
    let [program, arguments @ ..] = args.command.as_slice() else {
        let folder = args.at.join("probe");
        return std::fs::create_dir(folder).map_err(failed("write to the disk"));
    };
    let error = Command::new(program).args(arguments).stdin(Stdio::null()).exec();
    Err(failed("start the node's program")(error))
}

/// Gets a mount namespace of its own, out of which no mount shows.
fn leave_namespaces() -> Result<(), MountError> {
    let (user, group) = (geteuid(), getegid());
    let mounts = CloneFlags::CLONE_NEWNS;
    if !user.is_root() || unshare(mounts) == Err(Errno::EPERM) {
        unshare(mounts | CloneFlags::CLONE_NEWUSER)
            .map_err(failed("get a user namespace, which takes root or a kernel that allows it"))?;
        // In it, everybody is who they were.
        let write = |file, text: String| std::fs::write(file, text);
        write("/proc/self/setgroups", "deny".into())
            .and_then(|()| write("/proc/self/gid_map", format!("{group} {group} 1")))
            .and_then(|()| write("/proc/self/uid_map", format!("{user} {user} 1")))
            .map_err(failed("name its user in the namespace"))?;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(failed("keep mounts to itself"))
}

fn mount_device(at: &Path) -> Result<File, MountError> {
    let device = File::options().read(true).write(true).open(DEVICE);
    let device = device.map_err(failed("open /dev/fuse"))?;
    let (fd, user, group) = (device.as_raw_fd(), geteuid(), getegid());
    let options = format!("fd={fd},rootmode=40000,user_id={user},group_id={group}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("stormproof"), at, Some("fuse"), flags, Some(options.as_str()))
        .map_err(failed("mount the disk"))?;
    Ok(device)
}

fn send_device(device: &File) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let devices = [device.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&devices));
    sendmsg(io::stdin(), &[IoSlice::new(b"!")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

fn receive_device(socket: &UnixStream) -> io::Result<OwnedFd> {
    socket.set_read_timeout(Some(MOUNT_DEADLINE))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let received = recvmsg(socket, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let device = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut devices) => devices.next(),
        _ => None,
    });
    let is_whole = received.bytes == 1 && !received.flags.contains(ReturnFlags::CTRUNC);
    device.filter(|_| is_whole).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Makes of a node's command one that mounts a disk first. The end of the socket is to be its standard
/// input, and the calling process its parent.
pub(crate) fn wrap(command: &Command, at: &Path) -> Command {
    let mut wrapped = Command::new(OWN_PROGRAM);
    wrapped
        .arg(COMMAND)
        .arg("--at")
        .arg(at)
        .args(["--parent", &std::process::id().to_string(), "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// A disk that is being served to a child.
#[derive(Debug)]
pub(crate) struct Service {
    thread: JoinHandle<()>,
    /// Closed when the thread is done.
    ended: mpsc::Receiver<()>,
}

impl Service {
    /// Serves a disk to the child that has the other end of the socket, until that is gone.
    pub(crate) fn start(disk: Arc<Disk>, socket: UnixStream) -> io::Result<Self> {
        let (alive, ended) = mpsc::channel();
        disk.begin();
        let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
            if let Err(error) = serve(disk, &socket) {
                tracing::warn!(%error, "disk not served");
            }
            drop(alive);
        })?;
        Ok(Self { thread, ended })
    }

    /// Waits until nothing more can come from a child that is gone.
    pub(crate) fn wait(self) {
        match self.ended.recv_timeout(UNMOUNT_DEADLINE) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tracing::error!("a disk stays mounted though its node is gone");
            }
            // A panic has been reported where it happened.
            _ => drop(self.thread.join()),
        }
    }
}

fn serve(disk: Arc<Disk>, socket: &UnixStream) -> io::Result<()> {
    let device = receive_device(socket)?;
    Session::from_fd(Server(disk), device, SessionACL::All, Config::default())?.run()
}

/// Says why disks cannot be mounted here, if so. Tries it, at a folder that is there.
pub fn probe(at: &Path) -> Result<(), String> {
    let attempt = || -> io::Result<std::process::Output> {
        let (ours, theirs) = UnixStream::pair()?;
        let service = Service::start(Arc::new(Disk::new(at.into())), ours)?;
        let mut command = Command::new(OWN_PROGRAM);
        command.arg(COMMAND).arg("--at").arg(at);
        command.args(["--parent", &std::process::id().to_string()]);
        let output = command.stdin(OwnedFd::from(theirs)).stderr(Stdio::piped()).output()?;
        // The command holds the other end of the socket, without which the service would wait.
        drop(command);
        service.wait();
        Ok(output)
    };
    match attempt() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
        Err(error) => Err(format!("failed to try it: {error}")),
    }
}
