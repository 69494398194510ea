//! Every workload against our own nodes: the clean node passes, a flawed one is caught by what it reads.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::stormproof::{describe, run_folder, stormproof};

/// A run's end and its `verdict.json`.
fn run(arguments: &str) -> (Output, Value) {
    let store = tempfile::tempdir().unwrap();
    let mut all = vec!["run", "--store", store.path().to_str().unwrap(), "--nodes", "3"];
    all.extend(arguments.split_whitespace());
    let output = stormproof(&all);
    let folder = run_folder(store.path()).unwrap_or_else(|| panic!("{}", describe(&output)));
    let verdict = fs::read_to_string(folder.join("verdict.json"));
    let verdict = verdict.unwrap_or_else(|_| panic!("{}", describe(&output)));
    (output, serde_json::from_str(&verdict).unwrap())
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{verdict}"))
}

#[test]
fn every_workload_passes_on_a_clean_node_and_is_audited() {
    let auditors = [
        ("set", "elements"),
        ("list", "elements"),
        ("counter", "counter"),
        ("queue", "queue"),
        ("lock", "lock"),
        ("bank", "conservation"),
    ];
    for (workload, auditor) in auditors {
        let options = "--faults none --time-limit 2s --rate 150 --keys 2 --zipf 1";
        let (output, verdict) = run(&format!("--workload {workload} {options}"));
        assert_eq!(output.status.code(), Some(0), "{workload}: {}", describe(&output));
        for name in ["linearizability", auditor, "availability", "coverage"] {
            assert_eq!(check(&verdict, name)["verdict"], "pass", "{workload}: {verdict}");
        }
        let answers = &check(&verdict, "availability")["details"]["measures"];
        assert!(answers["ok_per_second_connected"].as_f64() > Some(20.0), "{workload}: {answers}");
    }
}

#[test]
fn a_list_survives_a_storm_with_values_of_a_kilobyte() {
    let options = "--faults kill,pause --time-limit 8s --seed 5 --value-size 1000";
    let (output, verdict) = run(&format!("--workload list {options}"));
    assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
    let recoveries = &check(&verdict, "availability")["details"]["measures"]["recoveries"];
    assert!(!recoveries.as_array().unwrap().is_empty(), "{verdict}");
}

#[test]
fn a_set_that_is_read_without_a_round_is_caught_and_the_element_named() {
    let options = "--placements n1,n2,n3,leader --read-percent 60 --keys 1 --seed 7";
    let storm = "--faults partition,pause --time-limit 2m --fail-fast --flaw local-reads";
    let (output, verdict) = run(&format!("--workload set {options} {storm}"));
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert_eq!(check(&verdict, "linearizability")["verdict"], "violation", "{verdict}");
    let elements = check(&verdict, "elements");
    assert_eq!(elements["verdict"], "violation", "{verdict}");
    let rule = elements["details"]["breach"]["rule"].as_str().unwrap();
    assert!(["lost", "stale"].contains(&rule), "{elements}");
}
