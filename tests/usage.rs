//! What users are told when they ask for something that cannot be.

use crate::stormproof::{describe, stormproof};

/// Calls with these arguments must end with this code and one line that says all of these words.
fn check(arguments: &[&str], code: i32, words: &[&str]) {
    let output = stormproof(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?}\n{}", describe(&output));
    }
}

#[test]
fn usage_errors_say_what_to_do() {
    check(&["run", "--workload", "stocks"], 2, &["stocks", "ledger", "register"]);
    check(&["run", "--system", "zookeeper"], 2, &["zookeeper", "stormproof"]);
    check(&["run", "--faults", "kill,earthquake"], 2, &["earthquake", "partition"]);
    check(&["run", "--nodes", "0"], 2, &["nodes"]);
    check(&["run", "--time-limit", "soon"], 2, &["soon"]);
    check(&["run", "--store", "/proc/nowhere"], 2, &["/proc/nowhere"]);
    check(&["node", "--config", "/nowhere.yaml"], 2, &["/nowhere.yaml"]);
    check(&["check", "/nowhere.jsonl"], 2, &["/nowhere.jsonl"]);
    check(&["client", "--endpoints", "nonsense", "get", "k"], 2, &["nonsense"]);
    check(&["client", "--endpoints", "127.0.0.1:1", "get", "k"], 4, &["127.0.0.1:1"]);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder() {
    let store = tempfile::tempdir().unwrap();
    let folder = store.path().to_str().unwrap();
    check(&["run", "--store", folder, "--node-bin", "/nowhere/node"], 2, &["/nowhere/node"]);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn help_teaches() {
    for command in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["verify", "--help"],
        &["convert", "--help"],
        &["client", "--help"],
    ] {
        let output = stormproof(command);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
        assert!(text.contains("stormproof"), "{text}");
        assert!(text.contains("Examples:"), "{command:?} shows no examples\n{text}");
    }
}
