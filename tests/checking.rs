//! Judging, proving and converting histories through the command that users have.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::stormproof::{STORMPROOF, describe, stormproof, wait_for};

const GOOD: &str = "small/set_ok.jsonl";
const BAD: &str = "small/set_bad.jsonl";

/// The path of a history of the corpus.
fn history(name: &str) -> String {
    format!("{}/histories/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A place for what a test writes.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Copies histories of the corpus, and returns the folder that holds nothing else.
    fn with_histories(&self, names: &[&str]) -> String {
        let folder = PathBuf::from(self.path("histories"));
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            let from = history(name);
            fs::copy(&from, folder.join(Path::new(&from).file_name().unwrap())).unwrap();
        }
        folder.display().to_string()
    }
}

/// Calls the binary, which must end with this code and say these words on either output.
#[track_caller]
fn call(arguments: &[&str], code: i32, words: &[&str]) -> Output {
    let output = stormproof(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", describe(&output));
    for word in words {
        assert!(describe(&output).contains(word), "{arguments:?}: {word:?}\n{}", describe(&output));
    }
    output
}

#[test]
fn certificates_prove_verdicts_and_nothing_else() {
    let folder = Folder::new();
    for (name, other, code, said) in
        [(GOOD, BAD, 0, "proven linearizable"), (BAD, GOOD, 1, "proven NOT linearizable")]
    {
        let (history, proof) = (history(name), folder.path("proof.json"));
        call(&["check", "--certificate", &proof, &history], code, &[]);
        call(&["verify", &proof, &history], 0, &[said]);
        call(&["verify", &proof, &self::history(other)], 1, &["about another file"]);
        let certificate = fs::read_to_string(&proof).unwrap();
        for (what, tampered) in tampered(&certificate) {
            fs::write(&proof, tampered).unwrap();
            let output = stormproof(&["verify", "--json", &proof, &history]);
            let end: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}, {what}\n{}", describe(&output));
            assert_eq!(end["proven"], false, "{name}, {what}\n{}", describe(&output));
        }
        fs::write(&proof, &certificate[1..]).unwrap();
        call(&["verify", &proof, &history], 2, &["no certificate"]);
    }
    call(&["verify", &folder.path("absent"), &history(GOOD)], 2, &["absent"]);
    call(&["verify", &history(GOOD), &history(GOOD)], 2, &["no certificate"]);
}

/// What a liar might make of a certificate: one operation less, or the opposite verdict.
fn tampered(certificate: &str) -> Vec<(&'static str, String)> {
    let parsed: Value = serde_json::from_str(certificate).unwrap();
    let without_first = |mut certificate: Value| {
        let list = match parsed["verdict"].as_str() {
            Some("linearizable") => &mut certificate["partitions"][0]["order"],
            _ => &mut certificate["core"]["operations"],
        };
        list.as_array_mut().unwrap().remove(0);
        certificate.to_string()
    };
    let mut list = vec![("without the first operation", without_first(parsed.clone()))];
    if parsed["verdict"] == "violation" {
        let mut empty = parsed.clone();
        empty["core"]["operations"] = Value::Array(vec![]);
        list.push(("without any operation", empty.to_string()));
        let mut opposite = parsed.clone();
        opposite["verdict"] = "linearizable".into();
        opposite["partitions"] = Value::Array(vec![]);
        list.push(("as linearizable", opposite.to_string()));
    }
    list
}

#[test]
fn conversions_keep_events_and_verdict() {
    let folder = Folder::new();
    let verdict_of = |history: &str| -> (Value, Value) {
        let output = stormproof(&["check", "--json", history]);
        let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["verdict"].take(), report["counts"].take())
    };
    for name in [BAD, "jepsen-etcd/etcd_000.log", "porcupine-kv/c01-ok.edn"] {
        let original = history(name);
        let expected = verdict_of(&original);
        for (format, extension) in [("jsonl", "jsonl"), ("edn", "edn"), ("text", "log")] {
            let there = folder.path(&format!("there.{extension}"));
            call(&["convert", &original, &there], 0, &[]);
            assert_eq!(verdict_of(&there), expected, "{name} as {format}");
            let back = call(&["convert", "--to", "jsonl", &there], 0, &[]);
            let direct = call(&["convert", "--to", "jsonl", &original], 0, &[]);
            assert_eq!(back.stdout, direct.stdout, "{name} by way of {format}");
        }
    }
    let there = folder.path("there.jsonl");
    call(&["convert", &there, &there], 2, &["the history itself"]);
    call(&["convert", &there, &folder.path("there.xml")], 2, &["--to"]);
    call(&["convert", &there, "/proc/nowhere/there.edn"], 2, &["/proc/nowhere"]);
}

#[test]
fn the_worst_history_of_a_folder_decides() {
    let folder = Folder::new();
    let good = folder.with_histories(&[GOOD, "small/stack_ok.jsonl"]);
    call(&["check", &good], 0, &["2 of 2 histories: 2 linearizable"]);
    fs::write(folder.path("histories/nothing.jsonl"), "").unwrap();
    call(&["check", &good], 3, &["nothing.jsonl: unknown"]);
    fs::write(folder.path("histories/broken.jsonl"), "{}\n").unwrap();
    call(&["check", &good], 2, &["broken.jsonl: unreadable", "broken.jsonl:1:"]);
    let all = folder.with_histories(&[BAD]);
    let junit = folder.path("new/verdicts.xml");
    let proofs = folder.path("proofs");
    let words = ["5 of 5 histories: 1 violation, 1 unreadable, 1 unknown, 2 linearizable"];
    call(&["check", "--junit", &junit, "--certificate", &proofs, &all], 1, &words);

    let xml = fs::read_to_string(&junit).unwrap();
    for expected in [
        r#"tests="5""#,
        r#"failures="1""#,
        r#"errors="2""#,
        "set_bad.jsonl",
        r#"type="violation""#,
        r#"type="unknown""#,
        r#"type="unreadable""#,
    ] {
        assert!(xml.contains(expected), "{expected} is not in\n{xml}");
    }
    assert_eq!(fs::read_dir(&proofs).unwrap().count(), 3, "one for each verdict that is known");
}

#[test]
fn what_was_asked_for_and_cannot_be_written_is_no_success() {
    for flag in ["--certificate", "--report", "--junit"] {
        let call = |name, code| {
            call(&["check", flag, "/proc/nowhere/file", &history(name)], code, &["/proc/nowhere"]);
        };
        call(GOOD, 2);
        call(BAD, 1);
    }
}

#[test]
fn histories_are_not_written_over() {
    let folder = Folder::new();
    let (history, other) = (folder.path("history.json"), folder.path("other.jsonl"));
    for path in [&history, &other] {
        fs::copy(self::history(GOOD), path).unwrap();
    }
    let before = fs::read(&other).unwrap();
    for flag in ["--certificate", "--report", "--junit"] {
        for target in [&history, &other] {
            call(&["check", flag, target, &history], 2, &[target, "written over"]);
            assert_eq!(fs::read(target).unwrap(), before, "{flag}");
        }
    }
}

#[test]
fn folders_and_files_without_histories_say_so() {
    let folder = Folder::new();
    let empty = folder.with_histories(&[]);
    call(&["check", &empty], 2, &["history.jsonl"]);
    call(&["check", "/nowhere"], 2, &["/nowhere"]);
    fs::write(folder.path("noise.txt"), "no history\n").unwrap();
    call(&["check", &folder.path("noise.txt")], 2, &["noise.txt:1:1", "--format"]);
    call(&["check", "--memory-limit", "much", &history(GOOD)], 2, &["much", "512MiB"]);
    call(&["check", "--time-limit", "long", &history(GOOD)], 2, &["long"]);
    call(&["check", "--engine", "steam", &history(GOOD)], 2, &["steam", "search"]);
    call(&["check", "--jobs", "0", &history(GOOD)], 2, &["0"]);
}

/// A check that has judged one history and waits for another, which never comes.
fn start_endless_check(first: &str, junit: &str) -> Child {
    let mut child = Command::new(STORMPROOF)
        .args(["check", "--junit", junit, &history(first), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

fn signal(child: &mut Child, signal: Signal) -> ExitStatus {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    wait_for("the end of the check", || child.try_wait().unwrap())
}

#[test]
fn an_interrupted_check_ends_with_what_is_known() {
    let folder = Folder::new();
    let junit = folder.path("verdicts.xml");
    for (first, sent, code) in
        [(GOOD, Signal::SIGINT, 130), (GOOD, Signal::SIGTERM, 143), (BAD, Signal::SIGINT, 1)]
    {
        let mut child = start_endless_check(first, &junit);
        assert_eq!(signal(&mut child, sent).code(), Some(code), "{first}, {sent}");
        let xml = fs::read_to_string(&junit).unwrap();
        assert!(xml.contains(r#"tests="2""#) && xml.contains("interrupted"), "{xml}");
    }
}

#[test]
fn a_verdict_survives_its_reader() {
    for (name, code) in [(GOOD, 0), (BAD, 1), ("absent.jsonl", 2)] {
        let mut child = Command::new(STORMPROOF)
            .args(["check", &history(name), "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        // Standard input is read to its end only now, when nobody listens any more.
        drop(child.stdin.take());
        let end = wait_for("the end of the check", || child.try_wait().unwrap());
        // That nothing came by standard input is an unknown verdict.
        assert_eq!(end.code(), Some(if code == 0 { 3 } else { code }), "{name}");
    }
}
