//! `stormproof sim`: simulated clusters from the command line.

use std::fs;

use crate::stormproof::{describe, stormproof};

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
