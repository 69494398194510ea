//! `stormproof sim`: simulated clusters from the command line.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stormproof::{STORMPROOF, describe, stormproof, wait_for};

fn sim(store: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let store = store.to_str().unwrap();
    stormproof(&[&["sim", "--store", store], arguments].concat())
}

fn json_lines(output: &std::process::Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn seeds_pass_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let output = sim(folder.path(), &["--seeds", "0..20"]);
    assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("20 seeds: 20 passed, 0 failed, 0 unknown"), "{text}");
    assert!(text.contains("in a second on one core"), "{text}");
}

/// A failing seed is named with a command that replays it; the replay fails in the same way, leaves its
/// story and its history behind, and the history alone convicts it; and the schedule shrinks.
#[test]
fn a_failing_seed_is_replayed_judged_and_shrunk() {
    let folder = tempfile::tempdir().unwrap();
    let flawed = ["--flaw", "local-reads", "--json"];
    let output = sim(folder.path(), &[&flawed[..], &["--seeds", "0..3"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let found = json_lines(&output);
    let failing = &found[0];
    assert_eq!(failing["verdict"], "fail");
    let seed = failing["seed"].to_string();
    let command = failing["replay"].as_str().unwrap();
    assert_eq!(command, format!("stormproof sim --replay {seed} --flaw local-reads"));

    let output = sim(folder.path(), &[&flawed[..], &["--replay", &seed]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let replayed = &json_lines(&output)[0];
    assert_eq!(replayed["trace"], failing["trace"], "a replay is another run");
    let run = folder.path().join(format!("seed-{seed}"));
    let story = fs::read_to_string(run.join("trace.txt")).unwrap();
    assert!(story.contains("is leader in term"), "{story}");
    let judged = stormproof(&["check", run.join("history.jsonl").to_str().unwrap()]);
    assert_eq!(judged.status.code(), Some(1), "{}", describe(&judged));

    let output = sim(folder.path(), &[&flawed[..], &["--shrink", &seed]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let shrunk = &json_lines(&output)[0];
    let length = |report: &serde_json::Value| report["schedule"].as_array().unwrap().len();
    assert!(length(shrunk) <= length(failing));
    assert!(shrunk["replay"].as_str().unwrap().contains("--only"), "{shrunk}");
}

/// Sends a signal to a campaign that would take days, once it listens and has printed so many lines;
/// returns its exit code, and all that it printed on standard output and on standard error.
fn interrupt(arguments: &[&str], lines: usize, signal: Signal) -> (Option<i32>, String, String) {
    let mut child = Command::new(STORMPROOF)
        .args(["sim", "--seeds", "10..10000000", "--jobs", "2"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    for _ in 0..lines {
        reader.read_line(&mut printed).unwrap();
    }
    let status = format!("/proc/{}/status", child.id());
    wait_for("somebody to wait for signals", || {
        let status = fs::read_to_string(&status).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        (blocked >> (signal as i32 - 1) & 1 == 1).then_some(())
    });
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    // It must not wait for somebody to read what it prints.
    let rest = thread::spawn(move || io::read_to_string(reader).unwrap());
    let end = wait_for("the end of the campaign", || child.try_wait().unwrap());
    printed += &rest.join().unwrap();
    (end.code(), printed, io::read_to_string(child.stderr.unwrap()).unwrap())
}

#[test]
fn an_interrupted_campaign_ends_with_what_is_known() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let (end, printed, remarks) = interrupt(&[], 0, signal);
        assert_eq!(end, Some(code), "{printed}{remarks}");
        assert!(printed.contains(" of 9999990 seeds: "), "{printed}");
        assert!(remarks.contains("interrupted: "), "{remarks}");
    }
    // A failure stays one.
    let flawed = ["--flaw", "local-reads", "--json"];
    let (end, printed, remarks) = interrupt(&flawed, 2, Signal::SIGINT);
    assert_eq!(end, Some(1), "{printed}{remarks}");
    let last = printed.lines().last().unwrap();
    let whole: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(whole["interrupted"], true, "{whole}");
    let failed = whole["failed"].as_array().unwrap();
    assert!(failed.len() >= 2 && whole["left"].as_u64().unwrap() > 9_000_000, "{whole}");
    assert!(remarks.contains("is the first of them"), "{remarks}");
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--seeds", "5"][..],
        &["--seeds", "5..5"],
        &["--workload", "stocks"],
        &["--nodes", "0"],
        &["--flaw", "laziness"],
        &["--replay", "1", "--shrink", "1"],
        &["--replay", "1", "--only", "first"],
    ] {
        let output = sim(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{}", describe(&output));
    }
    let output = sim(std::path::Path::new("/proc/nowhere"), &["--replay", "1"]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}
