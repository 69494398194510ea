//! Disks, files and clocks are hurt for real: what does not sync is found out, what does passes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::stormproof::{describe, processes_of, run_folder, start_run, stormproof, wait_for};

/// A short run of a directed schedule over registers.
fn plan(schedule: &[&str]) -> String {
    let faults: Vec<_> = schedule.iter().map(|fault| format!("[[schedule]]\n{fault}\n")).collect();
    format!(
        "nodes = 3\nseed = 1\ntime_limit = \"8s\"\n\n[workload]\nname = \"register\"\nkeys = 2\n\n{}",
        faults.join("\n")
    )
}

/// How a run ended: its exit code, its judgement, and the edges of its faults.
struct Run {
    code: Option<i32>,
    verdict: Value,
    edges: Vec<Value>,
    events: Vec<Value>,
    said: String,
}

fn run(schedule: &[&str], arguments: &[&str]) -> Run {
    let store = tempfile::tempdir().unwrap();
    let file = store.path().join("plan.toml");
    fs::write(&file, plan(schedule)).unwrap();
    let runs = store.path().join("runs");
    let mut all = vec!["run", "--store", runs.to_str().unwrap(), "--plan", file.to_str().unwrap()];
    all.extend(arguments);
    let output = stormproof(&all);
    let folder = run_folder(&runs).unwrap_or_else(|| panic!("{}", describe(&output)));
    assert!(processes_of(&folder).is_empty(), "nodes outlived the run");
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let events: Vec<Value> =
        read("history.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let edges = events.iter().filter(|event| event["process"] == "nemesis");
    Run {
        code: output.status.code(),
        verdict: serde_json::from_str(&read("verdict.json")).unwrap(),
        edges: edges.map(|event| event["value"].clone()).collect(),
        events: events.clone(),
        said: describe(&output),
    }
}

impl Run {
    /// Returns whether disks of ours could not be mounted, and says so.
    fn is_without_disks(&self) -> bool {
        let skipped = self.edges.iter().find_map(|edge| edge["result"]["skipped"].as_str());
        if let Some(why) = skipped {
            println!("not shown here: {why}");
        }
        skipped.is_some()
    }

    fn notes(&self) -> String {
        let notes =
            self.edges.iter().flat_map(|edge| edge["notes"].as_array().into_iter().flatten());
        notes.map(|note| format!("{}\n", note.as_str().unwrap())).collect()
    }

    fn count(&self, family: &str) -> &Value {
        &self.verdict["faults"][family]["installed"]
    }
}

const POWER: [&str; 2] = [
    "at = \"2s\"\nduration = \"500ms\"\nfault = { power-loss = { target = \"all\" } }",
    "at = \"5s\"\nduration = \"500ms\"\nfault = { power-loss = { target = \"all\", torn = true } }",
];

#[test]
fn a_power_loss_takes_what_was_not_synced_and_nothing_else() {
    let sound = run(&POWER, &[]);
    if sound.is_without_disks() {
        return;
    }
    assert_eq!(sound.code, Some(0), "{}", sound.said);
    assert_eq!(*sound.count("power"), 2);
    // It came in the middle of a sync.
    assert!(sound.notes().contains("lost 1 writes to 1 files"), "{}", sound.notes());

    let flawed = run(&POWER, &["--flaw", "no-fsync"]);
    assert_eq!(flawed.code, Some(1), "{}", flawed.said);
    let checks = flawed.verdict["checks"].as_array().unwrap();
    let linearizability = checks.iter().find(|check| check["name"] == "linearizability").unwrap();
    assert_eq!(linearizability["verdict"], "violation", "{}", flawed.said);
}

#[test]
fn a_node_whose_disk_fails_stops_and_comes_back() {
    let run = run(
        &[
            "at = \"1s\"\nduration = \"1s\"\nfault = { slow-sync = { target = \"all\", delay = \"200ms\" } }",
            "at = \"3s\"\nduration = \"1s\"\nfault = { failing-sync = { target = \"leader\", once = true } }",
            "at = \"5s\"\nduration = \"1s\"\nfault = { disk-full = \"leader\" }",
        ],
        &[],
    );
    if run.is_without_disks() {
        return;
    }
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert_eq!(*run.count("disk"), 3);
    // Two leaders had to go.
    assert!(run.verdict["elections"].as_u64().unwrap() >= 3, "{}", run.said);

    // While every sync takes 200 ms, no write takes less.
    let edge = |edge: &str| {
        let slow = |event: &&Value| {
            let value = &event["value"];
            value["edge"] == edge && value["fault"].as_str().unwrap_or("").starts_with("slow")
        };
        run.events.iter().find(slow).unwrap()
    };
    let begin = edge("begin")["time"].as_u64().unwrap();
    let end =
        edge("end")["time"].as_u64().unwrap() - edge("end")["value"]["took_ns"].as_u64().unwrap();
    let mut slowed = 0;
    for (place, event) in run.events.iter().enumerate() {
        let time = event["time"].as_u64().unwrap();
        if event["type"] != "invoke" || event["f"] != "write" || time < begin {
            continue;
        }
        let is_its_end = |other: &&Value| other["process"] == event["process"];
        let Some(ended) = run.events[place + 1..].iter().find(is_its_end) else { continue };
        let ended_at = ended["time"].as_u64().unwrap();
        if ended["type"] == "ok" && ended_at < end {
            assert!(ended_at - time >= 200_000_000, "{event} {ended}");
            slowed += 1;
        }
    }
    assert!(slowed > 0, "no write ended while syncs were slow\n{}", run.said);
}

#[test]
fn damage_in_the_middle_of_a_log_is_refused() {
    let run = run(
        &[
            "at = \"2s\"\nduration = \"500ms\"\nfault = { damage = { target = \"follower\", damage = \"bit-flip\" } }",
            "at = \"4s\"\nduration = \"500ms\"\nfault = { damage = { target = \"leader\", damage = \"truncated-tail\" } }",
            // Nobody gives back what this one has lost.
            "at = \"6s\"\nduration = \"300ms\"\nfault = { damage = { target = \"n1\", damage = \"bit-flip\", replaced = true } }",
        ],
        &[],
    );
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert_eq!(*run.count("damage"), 3);
    let notes = run.notes();
    // On a busy machine there may be no time for changing members; then it is given its file back.
    let is_replaced = notes.contains("n1 was replaced\nn4 joined\n");
    assert!(is_replaced || notes.contains("n1 was restored, not replaced"), "{notes}");
    assert_eq!(notes.matches("refused to start and was restored").count(), 2, "{notes}");
    assert!(notes.contains("bit flip at byte") && notes.contains("is damaged at byte"), "{notes}");
}

#[test]
fn wrong_clocks_cost_leaders_their_office_and_nothing_else() {
    let run = run(
        &[
            "at = \"1s\"\nduration = \"1s\"\nfault = { clock-ahead = { target = \"leader\", by = \"1m\" } }",
            "at = \"3s\"\nduration = \"1500ms\"\nfault = { clock-back = { target = \"leader\", by = \"1h\" } }",
            "at = \"5s\"\nduration = \"1s\"\nfault = { clock-drift = { target = \"one\", percent = 200 } }",
            "at = \"6500ms\"\nduration = \"1s\"\nfault = { clock-drift = { target = \"minority\", percent = 50 } }",
        ],
        &[],
    );
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert_eq!(*run.count("clock"), 4);
    // Under load, a leader that is set back still has something to say, and stays.
    assert!(run.verdict["elections"].as_u64().unwrap() >= 2, "{}", run.said);
}

/// Under a lease, what a leader believes hangs on its clock.
#[test]
fn a_lease_outlasts_a_small_drift_and_no_large_one() {
    let run = |percent: u32, lease: &str| {
        let drift = format!(
            "at = \"1s\"\nduration = \"6500ms\"\n\
             fault = {{ clock-drift = {{ target = \"leader\", percent = {percent} }} }}"
        );
        // The tables of a plan may stand in any order. Others are elected within two seconds, and a
        // leader whose clock is slow goes on for that long.
        let cut = format!(
            "at = \"2s\"\nduration = \"5s\"\nfault = {{ partition = {{ isolate = \"leader\" }} }}\n\n\
             [timings]\nelection_timeout = \"1s\"\n\n{lease}"
        );
        let reads = ["--rate", "400", "--read-percent", "80", "--operation-timeout", "300ms"];
        // Who is to be deceived has to stay with the old leader.
        let pinned = ["--placements", "leader,n1,n2,n3,n1,n2,n3,n1,n2,n3"];
        run(&[&drift, &cut], &[&reads[..], &pinned[..]].concat())
    };
    let lease = "[node.lease]\ndrift = \"5%\"\n\n";
    let sound = run(97, lease);
    assert_eq!(sound.code, Some(0), "{}", sound.said);
    assert!(sound.verdict["elections"].as_u64().unwrap() >= 2, "{}", sound.said);
    let asking = run(10, "");
    assert_eq!(asking.code, Some(0), "{}", asking.said);
    let stale = run(10, lease);
    assert_eq!(stale.code, Some(1), "{}", stale.said);
}

#[test]
fn nothing_is_left_of_disks_when_the_harness_is_killed() {
    let store = tempfile::tempdir().unwrap();
    let arguments = ["--nodes", "3", "--time-limit", "10m", "--faults", "power,disk"];
    let mut harness = start_run(store.path(), &arguments);
    let folder = wait_for("the run folder", || run_folder(store.path()));
    wait_for("the first operations", || {
        let history = fs::read_to_string(folder.join("history.jsonl")).ok()?;
        (history.lines().count() > 100).then_some(())
    });
    harness.kill().unwrap();
    harness.wait().unwrap();
    wait_for("the end of every node", || processes_of(&folder).is_empty().then_some(()));
    assert!(!is_mounted(&folder), "a disk is still mounted below {}", folder.display());
    fs::remove_dir_all(folder).unwrap();
}

fn is_mounted(folder: &Path) -> bool {
    fs::read_to_string("/proc/self/mounts").unwrap().contains(folder.to_str().unwrap())
}
