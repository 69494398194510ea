//! What a run draws for itself: swarms, and pauses that are over before anybody misses the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::Duration;

use harness::fault::Family;
use harness::plan::Plan;
use harness::scenarios;
use harness::seed::Seed;
use serde_json::Value;

use crate::stormproof::{describe, processes_of, run_folder, start_run, state_of, wait_for};

/// How a run ended, and what is left of it.
struct Ran {
    output: Output,
    plan: Plan,
    verdict: Value,
    /// The edges of its faults, in order.
    edges: Vec<Value>,
}

/// Calls `stormproof run`, and looks on until it has ended.
fn run(arguments: &[&str], look: impl FnOnce(&Path, &mut dyn FnMut() -> bool)) -> Ran {
    let store = tempfile::tempdir().unwrap();
    let mut harness = start_run(store.path(), arguments);
    let folder = wait_for("the run folder", || run_folder(store.path()));
    look(&folder, &mut || harness.try_wait().unwrap().is_some());
    let output = harness.wait_with_output().unwrap();
    assert!(processes_of(&folder).is_empty(), "nodes outlived the run");
    let read = |name| {
        fs::read_to_string(folder.join(name)).unwrap_or_else(|_| panic!("{}", describe(&output)))
    };
    let events = read("history.jsonl");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Ran {
        plan: Plan::read(&folder.join("plan.toml")).unwrap(),
        verdict: serde_json::from_str(&read("verdict.json")).unwrap(),
        edges: events.filter(|event| event["process"] == "nemesis").collect(),
        output,
    }
}

/// Families that every machine has what it takes for.
const FAMILIES: [Family; 9] = [
    Family::Kill,
    Family::Pause,
    Family::Restart,
    Family::Partition,
    Family::Delay,
    Family::Throttle,
    Family::Refuse,
    Family::Reset,
    Family::Blackhole,
];

/// One whose storm is unlike that of the next.
const SEED: u64 = 1;

const TIME_LIMIT: Duration = Duration::from_secs(12);

/// Returns what a short swarm with this seed comes to.
fn swarm(seed: u64) -> Plan {
    let plan = scenarios::by_name("swarm").unwrap().plan().unwrap();
    let (seed, faults) = (Seed::new(seed), FAMILIES.into());
    Plan { nodes: 3, seed, faults, time_limit: TIME_LIMIT, ..plan }.settled()
}

#[test]
fn a_swarm_brings_what_its_seed_has_drawn_and_nothing_else() {
    let drawn = swarm(SEED);
    let other = swarm(SEED + 1);
    assert_ne!(drawn.faults, other.faults, "which faults are on");
    assert_ne!(drawn.storm.duration_max, other.storm.duration_max, "how long they last");
    assert_ne!(drawn.storm.latency_max, other.storm.latency_max, "how late links are");

    let families = FAMILIES.map(Family::name).join(",");
    let (limit, seed) = (format!("{}s", TIME_LIMIT.as_secs()), SEED.to_string());
    let line = ["--plan", "swarm", "--nodes", "3", "--time-limit", &limit, "--seed", &seed];
    let ran = run(&[&line[..], &["--faults", &families]].concat(), |_, _| {});
    assert_eq!(ran.output.status.code(), Some(0), "{}", describe(&ran.output));
    assert_eq!(ran.plan, drawn, "one seed draws the same, wherever it is drawn");
    // Each kind of fault that was drawn took effect, and no other came.
    let planned: BTreeSet<_> =
        drawn.schedule.iter().flatten().map(|it| it.fault.to_string()).collect();
    let begun = ran.edges.iter().map(|edge| &edge["value"]).filter(|it| it["edge"] == "begin");
    for edge in begun {
        assert!(planned.contains(edge["fault"].as_str().unwrap()), "{edge}");
    }
    let counts = ran.verdict["faults"].as_object().unwrap();
    let installed = counts.iter().filter(|(_, counts)| counts["installed"].as_u64() > Some(0));
    let installed: BTreeSet<Family> = installed.map(|(name, _)| name.parse().unwrap()).collect();
    assert_eq!(installed, drawn.faults, "{}", ran.verdict);
}

/// Pauses of 5 to 24 ms each, of everybody in turn, close together.
fn blinks() -> String {
    let mut plan =
        "nodes = 3\nseed = 2\ntime_limit = \"10s\"\n[workload]\nname = \"register\"\n".to_owned();
    for blink in 0..BLINKS {
        let target = ["leader", "all", "one"][blink % 3];
        let (at, duration) = (1_000 + 60 * blink, 5 + blink % 20);
        plan.push_str(&format!(
            "[[schedule]]\nat = \"{at}ms\"\nduration = \"{duration}ms\"\nfault = {{ pause = \"{target}\" }}\n"
        ));
    }
    plan
}

const BLINKS: usize = 60;

#[test]
fn pauses_of_milliseconds_stop_processes_and_break_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("blinks.toml");
    fs::write(&plan, blinks()).unwrap();
    let mut seen: BTreeMap<i32, usize> = BTreeMap::new();
    let ran = run(&["--plan", plan.to_str().unwrap()], |folder, is_over| {
        let pids =
            wait_for("three nodes", || Some(processes_of(folder)).filter(|pids| pids.len() == 3));
        while !is_over() {
            for &pid in pids.iter().filter(|&&pid| state_of(pid) == Some('T')) {
                *seen.entry(pid).or_default() += 1;
            }
            thread::sleep(Duration::from_micros(500));
        }
    });
    assert_eq!(ran.output.status.code(), Some(0), "{}", describe(&ran.output));
    // A busy machine may have no time for all of them.
    let installed = ran.verdict["faults"]["pause"]["installed"].as_u64().unwrap();
    assert!(installed >= BLINKS as u64 / 2, "{}", ran.verdict);
    assert_eq!(seen.len(), 3, "who was seen standing still, and how often: {seen:?}");

    let mut lasted = Vec::new();
    for (place, begin) in
        ran.edges.iter().enumerate().filter(|(_, it)| it["value"]["edge"] == "begin")
    {
        let is_end = |it: &&Value| {
            it["value"]["edge"] == "end" && it["value"]["nodes"] == begin["value"]["nodes"]
        };
        let end = ran.edges[place..].iter().find(is_end).unwrap();
        lasted.push(end["time"].as_u64().unwrap() - begin["time"].as_u64().unwrap());
    }
    lasted.sort_unstable();
    assert!(lasted[0] >= 5_000_000, "{lasted:?}");
}
