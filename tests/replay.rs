//! `stormproof scenarios`, `replay` and `shrink`: having the same storm again, and less of it.

use std::fs;

use serde_json::Value;

use crate::stormproof::{describe, processes_of, run_folder, stormproof};

/// A storm of which nothing is needed: nodes that read without a round are wrong in calm weather.
const PLAN: &str = r#"
nodes = 3
seed = 7
time_limit = "20s"
[workload]
name = "register"
[node]
flaws = ["local-reads"]
[[schedule]]
at = "2s"
duration = "4s"
fault = { partition = { isolate = "leader" } }
[[schedule]]
at = "7s"
duration = "2s"
fault = { pause = "follower" }
"#;

#[test]
fn a_failure_is_had_again_with_fewer_faults() {
    let store = tempfile::tempdir().unwrap();
    let plan = store.path().join("plan.toml");
    fs::write(&plan, PLAN).unwrap();
    let (first, others) = (store.path().join("first"), store.path().join("others"));
    let (plan, first, others) =
        (plan.to_str().unwrap(), first.to_str().unwrap(), others.to_str().unwrap());
    let run = stormproof(&["run", "--plan", plan, "--store", first, "--fail-fast"]);
    assert_eq!(run.status.code(), Some(1), "{}", describe(&run));
    let folder = run_folder(first.as_ref()).unwrap();
    let folder_path = folder.to_str().unwrap();

    let replay = stormproof(&[
        "replay",
        "--times",
        "2",
        "--fail-fast",
        "--json",
        "--store",
        others,
        folder_path,
    ]);
    assert_eq!(replay.status.code(), Some(0), "{}", describe(&replay));
    let replayed: Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert_eq!(replayed["times"], 2, "{replayed}");
    let same = replayed["runs"].as_array().unwrap().iter().filter(|it| it["reproduced"] == true);
    assert_eq!(replayed["reproduced"], same.count(), "{replayed}");
    let seen_again = replayed["runs"][0]["folder"].as_str().unwrap();
    let recorded = |folder: &str| fs::read_to_string(format!("{folder}/plan.toml")).unwrap();
    assert_eq!(recorded(seen_again), recorded(folder_path), "the same plan");

    let shrink = stormproof(&["shrink", "--store", others, "--json", folder_path]);
    assert_eq!(shrink.status.code(), Some(0), "{}", describe(&shrink));
    let shrunk: Value = serde_json::from_slice(&shrink.stdout).unwrap();
    assert_eq!(shrunk["end"], "minimal", "{shrunk}");
    assert_eq!((shrunk["kept"].as_array().unwrap().len(), &shrunk["faults"]), (0, &2.into()));
    let smaller = fs::read_to_string(shrunk["plan"].as_str().unwrap()).unwrap();
    assert!(smaller.contains("schedule = []"), "{smaller}");
    let witness = shrunk["folder"].as_str().unwrap();
    let judged = stormproof(&["check", witness]);
    assert_eq!(judged.status.code(), Some(1), "{}", describe(&judged));
    assert!(processes_of(store.path()).is_empty(), "nodes outlived their runs");
}

#[test]
fn what_cannot_be_had_again_is_refused() {
    let store = tempfile::tempdir().unwrap();
    let folder = store.path().to_str().unwrap();
    for command in ["replay", "shrink"] {
        let output = stormproof(&[command, folder]);
        assert_eq!(output.status.code(), Some(2), "{command}\n{}", describe(&output));
    }
}

#[test]
fn plans_that_ship_are_listed_and_printed() {
    let listed = stormproof(&["scenarios"]);
    assert_eq!(listed.status.code(), Some(0), "{}", describe(&listed));
    let text = String::from_utf8_lossy(&listed.stdout);
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.starts_with(&["quick", "default"]), "{text}");
    let printed = stormproof(&["scenarios", "quick"]);
    assert!(printed.stdout.starts_with(b"# "), "{}", describe(&printed));
    assert_eq!(stormproof(&["scenarios", "no such"]).status.code(), Some(2));
}
