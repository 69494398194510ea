//! `stormproof run`, from the first process to the verdict.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::stormproof::{
    addresses_of, describe, is_listening, processes_of, run_folder, stormproof,
};

/// A run and what it left in its folder.
struct Run {
    output: Output,
    verdict: Value,
    store: tempfile::TempDir,
}

fn run(arguments: &[&str]) -> Run {
    let store = tempfile::tempdir().unwrap();
    let mut all = vec!["run", "--store", store.path().to_str().unwrap()];
    all.extend(arguments);
    let output = stormproof(&all);
    let folder = run_folder(store.path()).unwrap_or_else(|| panic!("{}", describe(&output)));
    for file in ["plan.toml", "history.jsonl", "facts.json", "verdict.json", "report.html"] {
        assert!(folder.join(file).is_file(), "{file} is missing\n{}", describe(&output));
    }
    let verdict = fs::read_to_string(folder.join("verdict.json")).unwrap();
    assert!(processes_of(&folder).is_empty(), "nodes outlived the run");
    let listening = addresses_of(&folder).into_iter().find(|&address| is_listening(address));
    assert_eq!(listening, None, "somebody still listens");
    is_judged_the_same_again(&folder, &output, &verdict);
    Run { output, verdict: serde_json::from_str(&verdict).unwrap(), store }
}

/// Judges the run again without the cluster: every check must find the same.
fn is_judged_the_same_again(folder: &Path, output: &Output, verdict: &str) {
    let again = stormproof(&["check", "--json", folder.to_str().unwrap()]);
    assert_eq!(again.status.code(), output.status.code(), "{}", describe(&again));
    let findings = |text: &str| {
        let judgement: Value = serde_json::from_str(text).unwrap();
        let checks = judgement["checks"].as_array().unwrap().clone().into_iter();
        let mut found = vec![judgement["verdict"].clone(), judgement["operations"].clone()];
        found.extend(checks.map(|check| {
            // How long the search took is another every time.
            let summary = check["summary"].as_str().unwrap();
            let summary = summary.split(" partitions, ").next().unwrap_or_default();
            let summary = summary.split("judged in").next().unwrap_or_default();
            json!([check["name"], check["verdict"], summary])
        }));
        found
    };
    assert_eq!(findings(&String::from_utf8_lossy(&again.stdout)), findings(verdict));
}

/// The plan under which the flaw is caught and the clean node passes.
const PLAN: [&str; 10] = [
    "--workload",
    "register",
    "--nodes",
    "3",
    "--time-limit",
    "20s",
    "--seed",
    "7",
    "--faults",
    "partition,pause",
];

#[test]
fn a_clean_node_passes() {
    let run = run(&PLAN);
    assert_eq!(run.output.status.code(), Some(0), "{}", describe(&run.output));
    assert_eq!(run.verdict["verdict"], "pass", "{}", run.verdict);
}

#[test]
fn a_node_that_reads_without_a_round_is_caught() {
    let mut arguments = PLAN.to_vec();
    arguments.extend(["--flaw", "local-reads"]);
    let run = run(&arguments);
    assert_eq!(run.output.status.code(), Some(1), "{}", describe(&run.output));
    assert_eq!(run.verdict["verdict"], "violation", "{}", run.verdict);
}

#[test]
fn a_run_that_fails_fast_ends_at_the_violation() {
    let arguments: Vec<&str> =
        PLAN.iter().map(|it| if *it == "20s" { "10m" } else { it }).collect();
    let run = run(&[&arguments[..], &["--flaw", "local-reads", "--fail-fast"]].concat());
    assert_eq!(run.output.status.code(), Some(1), "{}", describe(&run.output));
    let checks = run.verdict["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(of("linearizability")["verdict"], "violation", "{}", run.verdict);
    assert!(of("coverage")["summary"].as_str().unwrap().contains("ended early"), "{}", run.verdict);
    assert!(
        run.verdict["recovered_after"].is_null(),
        "nobody waits for the cluster then: {}",
        run.verdict
    );
}

#[test]
fn the_ledger_survives_kills_pauses_and_partitions() {
    let run = run(&["--time-limit", "15s", "--seed", "3", "--faults", "kill,pause,partition"]);
    let text = String::from_utf8_lossy(&run.output.stdout);
    assert_eq!(run.output.status.code(), Some(0), "{}", describe(&run.output));
    assert_eq!(text.matches("seed 3").count(), 2, "the seed is printed first and last\n{text}");
}

#[test]
fn a_storm_that_did_not_bite_is_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    // Nobody is there to be cut off from.
    let text = "nodes = 1\ntime_limit = \"2s\"\n[[schedule]]\nat = \"1s\"\nduration = \"500ms\"\n\
                fault = { partition = { isolate = \"leader\" } }\n";
    fs::write(&plan, text).unwrap();
    let run = run(&["--plan", plan.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(3), "{}", describe(&run.output));
    let text = String::from_utf8_lossy(&run.output.stdout);
    assert!(text.contains("the storm did not bite"), "{text}");
}

/// Who joins empty when the log has been compacted can only be sent a snapshot.
const REPLACED: &str = r#"
nodes = 3
time_limit = "7s"
[node.snapshot]
entries = 20
keep = 1
[workload]
name = "register"
[[schedule]]
at = "1s"
duration = "1s"
fault = { snapshot = "all" }
[[schedule]]
at = "3s"
duration = "1s"
fault = { replace = "leader" }
"#;

#[test]
fn snapshots_that_travel_are_counted_and_the_members_told() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    fs::write(&plan, REPLACED).unwrap();
    let run = run(&["--plan", plan.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(0), "{}", describe(&run.output));
    assert!(run.verdict["snapshots"].as_u64() >= Some(1), "{}", run.verdict);
    let store = run_folder(run.store.path()).unwrap();
    let history = fs::read_to_string(store.join("history.jsonl")).unwrap();
    let mut events = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let edge = events.find(|event| event["f"] == "membership").unwrap();
    let members = edge["value"]["members"].as_array().unwrap();
    assert!(members.len() == 3 && members.contains(&json!("n4")), "{edge}");
}
