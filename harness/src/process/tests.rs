//! Real processes, small ones: shells that say their pid and sleep.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// Generous: only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Tells a copy of this test program to make orphans; its value is the folder to work in.
const ORPHANS: &str = "STORMPROOF_TEST_ORPHANS";

const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);

fn shell(folder: &Path, script: &str) -> Launch {
    Launch {
        command: CommandLine {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
        },
        stdout: folder.join("stdout.log"),
        stderr: folder.join("stderr.log"),
        disk: None,
        gives_up: |exit| exit == Exit::Code(7),
    }
}

fn sleeper(folder: &Path, name: &str) -> Launch {
    Launch { stdout: folder.join(name), ..shell(folder, "echo $$; exec sleep 1000") }
}

/// Waits until `probe` finds something.
fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "still waiting for {what}");
        std::thread::yield_now();
    }
}

/// Reads the last pid that a sleeper wrote to its log.
fn pid_in(log: &Path) -> Pid {
    wait_for("a pid", || {
        let text = std::fs::read_to_string(log).ok()?;
        let last = text.strip_suffix('\n')?.lines().last()?;
        Some(Pid::from_raw(last.parse().ok()?))
    })
}

/// Returns the letter by which the kernel calls the process's state; none if there is no process. A
/// zombie that nobody reaps counts as gone.
fn state_of(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    (state != 'Z').then_some(state)
}

#[tokio::test]
async fn actions_return_when_their_effect_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("n1.log");
    let supervisor = Supervisor::start().unwrap();
    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
    assert_eq!(supervisor.state(N1), Some(ProcessState::Running));
    let pid = pid_in(&log);

    supervisor.pause(N1).await.unwrap();
    assert_eq!(state_of(pid), Some('T'));
    assert_eq!(supervisor.state(N1), Some(ProcessState::Paused));
    supervisor.pause(N1).await.unwrap();

    supervisor.resume(N1).await.unwrap();
    assert_ne!(state_of(pid), Some('T'));
    assert_eq!(supervisor.state(N1), Some(ProcessState::Running));
    supervisor.resume(N1).await.unwrap();

    supervisor.pause(N1).await.unwrap();
    supervisor.kill(N1).await.unwrap();
    assert_eq!(state_of(pid), None);
    assert_eq!(supervisor.state(N1), Some(ProcessState::Killed));
    assert!(supervisor.processes().borrow().exits.is_empty());

    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
    let next = wait_for("another pid", || Some(pid_in(&log)).filter(|&next| next != pid));
    assert!(state_of(next).is_some());
    supervisor.shutdown().await;
    assert_eq!(state_of(next), None);
}

#[tokio::test]
async fn a_pause_can_be_taken_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
    let pid = pid_in(&folder.path().join("n1.log"));
    for _ in 0..200 {
        supervisor.pause(N1).await.unwrap();
        assert_eq!(state_of(pid), Some('T'));
        supervisor.resume(N1).await.unwrap();
        assert_ne!(state_of(pid), Some('T'));
    }
    supervisor.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    for result in
        [supervisor.kill(N1).await, supervisor.pause(N1).await, supervisor.resume(N1).await]
    {
        assert!(matches!(result, Err(ProcessError::NotRunning { node: N1 })));
    }
    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
    let again = supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await;
    assert!(matches!(again, Err(ProcessError::Running { node: N1 })));

    let mut missing = sleeper(folder.path(), "n2.log");
    missing.command.program = "/no/such/program".into();
    let error = supervisor.launch(N2, missing).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let nowhere = sleeper(folder.path(), "no/such/folder");
    let error = supervisor.launch(N2, nowhere).await.unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
    assert_eq!(supervisor.state(N2), None);
}

#[tokio::test]
async fn a_node_that_ends_by_itself_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    let mut processes = supervisor.processes();
    supervisor.launch(N1, shell(folder.path(), "echo why >&2; exit 7")).await.unwrap();
    supervisor.launch(N2, shell(folder.path(), "kill -ABRT $$")).await.unwrap();
    let both = processes.wait_for(|processes| processes.exits.len() == 2);
    let mut exits = tokio::time::timeout(DEADLINE, both).await.unwrap().unwrap().exits.clone();
    exits.sort_by_key(|exit| exit.node);
    assert_eq!(exits[0].to_string(), "node n1 ended by itself: exit code 7");
    assert_eq!(exits[1].to_string(), "node n2 ended by itself: SIGABRT");
    assert_eq!(supervisor.state(N1), Some(ProcessState::Exited(Exit::Code(7))));
    let log = std::fs::read_to_string(folder.path().join("stderr.log")).unwrap();
    assert_eq!(log, "why\n");
    // It may be started again.
    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
}

#[tokio::test]
async fn dropping_the_supervisor_kills_everything() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
    supervisor.launch(N2, sleeper(folder.path(), "n2.log")).await.unwrap();
    let pids = ["n1.log", "n2.log"].map(|log| pid_in(&folder.path().join(log)));
    supervisor.pause(N2).await.unwrap();
    drop(supervisor);
    assert_eq!(pids.map(state_of), [None, None]);
}

/// Does nothing unless it is run by the test below.
#[tokio::test]
async fn make_orphans_when_asked() {
    let Ok(folder) = std::env::var(ORPHANS) else {
        return;
    };
    let supervisor = Supervisor::start().unwrap();
    supervisor.launch(N1, sleeper(folder.as_ref(), "n1.log")).await.unwrap();
    supervisor.launch(N2, sleeper(folder.as_ref(), "n2.log")).await.unwrap();
    pid_in(&Path::new(&folder).join("n2.log"));
    supervisor.pause(N2).await.unwrap();
    std::fs::write(Path::new(&folder).join("ready"), "").unwrap();
    // Not for ever: the test that is to kill this may fail first.
    let _ = tokio::time::timeout(2 * DEADLINE, std::future::pending::<()>()).await;
}

#[test]
fn a_killed_harness_leaves_nobody() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let mut harness = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::make_orphans_when_asked"])
            .env(ORPHANS, folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the harness", || folder.path().join("ready").exists().then_some(()));
        let pids = ["n1.log", "n2.log"].map(|log| pid_in(&folder.path().join(log)));
        assert!(pids.iter().all(|&pid| state_of(pid).is_some()));
        kill(Pid::from_raw(harness.id().try_into().unwrap()), signal).unwrap();
        harness.wait().unwrap();
        for pid in pids {
            wait_for("the orphans' end", || state_of(pid).is_none().then_some(()));
        }
    }
}

#[tokio::test]
async fn only_who_gives_up_is_excused() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    let mut processes = supervisor.processes();
    for (script, is_excused) in [("exit 7", true), ("exit 101", false), ("kill -SEGV $$", false)] {
        supervisor.excuse(N1, true).await.unwrap();
        let before = processes.borrow().exits.len();
        supervisor.launch(N1, shell(folder.path(), script)).await.unwrap();
        let has_ended =
            |it: &Processes| matches!(it.states.get(&N1), Some(ProcessState::Exited(_)));
        processes.wait_for(has_ended).await.unwrap();
        let now = processes.borrow().clone();
        assert_eq!(now.exits.len() == before, is_excused, "{script}");
        assert_eq!(now.excused.contains(&N1), is_excused, "{script}");
    }
    supervisor.launch(N1, sleeper(folder.path(), "n1.log")).await.unwrap();
    supervisor.excuse(N1, true).await.unwrap();
    supervisor.excuse_unless_ended(N1).await.unwrap();
    assert!(processes.borrow().excused.is_empty());
    supervisor.shutdown().await;
}
