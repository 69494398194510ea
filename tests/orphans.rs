//! However a harness ends, nothing of its cluster outlives it.

use std::path::PathBuf;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::stormproof::{
    addresses_of, describe, is_listening, processes_of, run_folder, start_run, stormproof, wait_for,
};

const NODES: usize = 3;

/// A harness in the middle of its storm.
struct Storm {
    harness: Child,
    folder: PathBuf,
    _store: TempDir,
}

/// Starts a run that would go on for long, and waits until its clients have begun.
fn start() -> Storm {
    let store = tempfile::tempdir().unwrap();
    let harness = start_run(store.path(), &["--nodes", "3", "--time-limit", "10m"]);
    let folder = wait_for("the run folder", || run_folder(store.path()));
    wait_for("every node", || (processes_of(&folder).len() >= NODES).then_some(()));
    wait_for("the first operations", || {
        let history = std::fs::read_to_string(folder.join("history.jsonl")).ok()?;
        (history.lines().count() > 100).then_some(())
    });
    assert!(addresses_of(&folder).iter().any(|&address| is_listening(address)));
    Storm { harness, folder, _store: store }
}

/// Sends the harness a signal and checks that nothing is left once it has ended.
fn nothing_outlives(signal: Signal, code: Option<i32>) {
    let storm = start();
    kill(Pid::from_raw(storm.harness.id().try_into().unwrap()), signal).unwrap();
    let output = storm.harness.wait_with_output().unwrap();
    assert_eq!(output.status.code(), code, "{}", describe(&output));
    wait_for("the end of every node", || processes_of(&storm.folder).is_empty().then_some(()));
    let addresses = addresses_of(&storm.folder);
    assert!(addresses.len() >= NODES * NODES, "{addresses:?}");
    wait_for("the end of every listener", || {
        addresses.iter().all(|&address| !is_listening(address)).then_some(())
    });
    // Whatever the end, what the clients saw until then can be judged, and the end is told.
    let judged = stormproof(&["check", storm.folder.to_str().unwrap()]);
    assert_eq!(judged.status.code(), Some(4), "{}", describe(&judged));
    let text = String::from_utf8_lossy(&judged.stdout);
    assert!(text.contains("ok linearizability"), "{}", describe(&judged));
}

#[test]
fn nothing_outlives_ctrl_c() {
    nothing_outlives(Signal::SIGINT, Some(4));
}

#[test]
fn nothing_outlives_a_polite_end() {
    nothing_outlives(Signal::SIGTERM, Some(4));
}

#[test]
fn nothing_outlives_a_kill() {
    nothing_outlives(Signal::SIGKILL, None);
}
