//! `stormproof check --follow`: a history is judged while it is being written.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stormproof::{describe, wait_for};

fn follow(path: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_stormproof"))
        .args(["check", "--follow"])
        .args(arguments)
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A write that is answered before a read that sees a value.
fn write_and_read(written: u64, seen: u64) -> String {
    let event = |kind: &str, f: &str, value: &str| {
        format!(r#"{{"process":0,"type":"{kind}","f":"{f}","value":{value}}}"#) + "\n"
    };
    let (written, seen) = (written.to_string(), seen.to_string());
    event("invoke", "write", &written)
        + &event("ok", "write", &written)
        + &event("invoke", "read", "null")
        + &event("ok", "read", &seen)
}

fn end_of(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

#[test]
fn a_violation_ends_it_at_once_with_a_witness() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    // It waits for the file, for the rest of a line, and for more.
    let mut child = follow(&path, &["--model", "register"]);
    let text = (1..500).map(|value| write_and_read(value, value)).collect::<String>();
    let stale = write_and_read(500, 499);
    let (begin, end) = stale.split_at(stale.len() - 5);
    for part in [&text[..1000], &text[1000..], begin] {
        append(&path, part);
        assert!(child.try_wait().unwrap().is_none(), "nothing is wrong so far");
    }
    append(&path, end);
    let output = end_of(child);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("read") && said.contains("499"), "{}", describe(&output));
}

#[test]
fn it_ends_when_nothing_more_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    append(&path, &write_and_read(1, 1));
    let output = end_of(follow(&path, &["--idle", "200ms"]));
    assert_eq!(output.status.code(), Some(0), "{}", describe(&output));

    // A history that is out of the order of its times is judged in the end.
    let late = r#"{"process":0,"time":9,"type":"invoke","f":"read","value":null}"#;
    let early = r#"{"process":1,"time":1,"type":"invoke","f":"write","value":1}"#;
    let answer = r#"{"process":0,"time":9,"type":"ok","f":"read","value":2}"#;
    fs::write(&path, format!("{late}\n{early}\n{answer}\n")).unwrap();
    let output = end_of(follow(&path, &["--idle", "200ms"]));
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("judged in the end"), "{}", describe(&output));
}

#[test]
fn a_violation_stands_whatever_the_judging_of_the_whole_comes_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    append(&path, &write_and_read(1, 2));
    let output = end_of(follow(&path, &["--time-limit", "0s", "--engine", "search"]));
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("NOT linearizable") && said.contains("line 4"), "{}", describe(&output));
}

#[test]
fn a_signal_ends_it_with_the_verdict_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    append(&path, &write_and_read(1, 1));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let child = follow(&path, &[]);
        let status = format!("/proc/{}/status", child.id());
        wait_for("a handler of the signal", || {
            let status = fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
            (caught & (1 << (signal as u64 - 1)) != 0).then_some(())
        });
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let output = end_of(child);
        assert_eq!(output.status.code(), Some(0), "{signal}: {}", describe(&output));
    }
}

#[test]
fn it_does_not_write_over_what_it_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    append(&path, &write_and_read(1, 1));
    let written = fs::read(&path).unwrap();
    let output = end_of(follow(&path, &["--idle", "1ms", "--junit", path.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    assert_eq!(fs::read(&path).unwrap(), written);
}
