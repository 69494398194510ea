//! A harness that is killed, at whatever moment, leaves no process and a record that can be judged.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stormproof::{
    addresses_of, describe, is_listening, processes_of, run_folder, start_run, state_of,
    stormproof, wait_for,
};

/// How many harnesses are killed.
const CRASHES: u64 = 20;

/// How many nodes each has.
const NODES: usize = 3;

/// How many of them at once: most of the time one waits for its nodes.
const AT_ONCE: u64 = 4;

/// What the killed harnesses do to their nodes, without a calm before it: something is nearly always
/// stopped, cut off, without power or out of disk.
const PLAN: &str = r#"
nodes = 3
time_limit = "10m"
rate = 0
faults = ["kill", "pause", "restart", "power", "disk", "partition", "blackhole"]

[workload]
name = "register"

[storm]
calm = "0s"
gap_min = "0ms"
gap_max = "200ms"
duration_min = "500ms"
duration_max = "3s"
"#;

/// The seed of the moments.
const SEED: u64 = 20;

/// When a harness is killed: as soon as this is there.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So many nodes.
    Nodes(usize),
    /// So many bytes of history: anywhere between two lines or within one.
    Bytes(u64),
    /// So many faults that began.
    Faults(usize),
}

/// Draws a moment: every fourth while the cluster is being started, every second among the faults.
fn draw(number: u64) -> Moment {
    // SplitMix64: all that is needed is that the moments differ and are the same every time.
    let mut state = (SEED << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let drawn = state ^ (state >> 31);
    match number % 4 {
        0 => Moment::Nodes((drawn % 4) as usize),
        1 => Moment::Bytes(drawn % 150_000),
        _ => Moment::Faults((drawn % 12) as usize + 1),
    }
}

fn has_come(moment: Moment, folder: &Path) -> bool {
    match moment {
        Moment::Nodes(count) => processes_of(folder).len() >= count,
        Moment::Bytes(bytes) => {
            fs::metadata(folder.join("history.jsonl")).is_ok_and(|file| file.len() >= bytes)
        }
        Moment::Faults(count) => faults_begun(&folder.join("history.jsonl")) >= count,
    }
}

/// How many faults were installed, by what is recorded of them.
fn faults_begun(history: &Path) -> usize {
    let content = fs::read(history).unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let begun = |line: &&str| line.contains(r#""edge":"begin""#) && line.contains(r#""installed""#);
    text.lines().filter(begun).count()
}

/// What was left of a killed harness' run.
struct Remains {
    answered: usize,
    /// Whether nodes were stopped or dead when it was killed.
    was_hurt: bool,
}

/// Kills a harness at a moment and looks at what it left.
fn crash(seed: u64, moment: Moment) -> Remains {
    let store = tempfile::tempdir().unwrap();
    let plan = store.path().join("plan.toml");
    fs::write(&plan, PLAN).unwrap();
    let arguments = ["--plan", plan.to_str().unwrap(), "--seed", &seed.to_string()];
    let harness = start_run(store.path(), &arguments);
    let folder = wait_for("the run folder", || run_folder(store.path()));
    wait_for("the moment", || has_come(moment, &folder).then_some(()));
    let nodes = processes_of(&folder);
    let is_stopped = |pid: &i32| state_of(*pid) == Some('T');
    let was_hurt = nodes.len() < NODES || nodes.iter().any(is_stopped);
    let history = folder.join("history.jsonl");
    let before = fs::read(&history).unwrap_or_default();
    kill(Pid::from_raw(harness.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    let output = harness.wait_with_output().unwrap();
    wait_for("the end of every node", || processes_of(&folder).is_empty().then_some(()));
    for address in addresses_of(&folder) {
        wait_for("the end of a listener", || (!is_listening(address)).then_some(()));
    }

    // What anybody had read of the history is still there, and all of it is whole but the last line.
    let content = fs::read(&history).unwrap_or_default();
    assert!(content.starts_with(&before), "{moment:?}: what was recorded is gone");
    let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let events: Vec<Value> = content[..whole]
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["index"], index, "{moment:?}");
    }

    // Were an operation missing that a client has seen the effect of, no order would explain it.
    let judged = stormproof(&["check", "--json", folder.to_str().unwrap()]);
    assert_eq!(judged.status.code(), Some(4), "{moment:?}\n{}", describe(&judged));
    let judgement: Value = serde_json::from_slice(&judged.stdout).unwrap();
    assert_eq!(judgement["verdict"], "harness-failure", "{judgement}\n{}", describe(&output));
    let answered = events.iter().filter(|event| event["type"] == "ok").count();
    let linearizability = &judgement["checks"][0];
    let expected = if answered > 0 { "pass" } else { "unknown" };
    assert_eq!(linearizability["verdict"], expected, "{moment:?}: {linearizability}");
    let counted = judgement["operations"].as_object().unwrap().values();
    assert_eq!(counted.map(|tally| tally["ok"].as_u64().unwrap()).sum::<u64>(), answered as u64);
    Remains { answered, was_hurt }
}

#[test]
fn a_killed_harness_leaves_no_process_and_a_record_that_can_be_judged() {
    let next = AtomicU64::new(0);
    let crashes = || {
        let mut remains = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CRASHES {
                return remains;
            }
            remains.push(crash(number, draw(number)));
        }
    };
    let remains: Vec<Remains> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(crashes)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(remains.len() as u64, CRASHES);
    let count = |is_so: fn(&Remains) -> bool| remains.iter().filter(|run| is_so(run)).count();
    assert!(count(|run| run.answered == 0) > 0, "none was killed before its clients had begun");
    assert!(count(|run| run.answered > 100) > 0, "none had worked");
    let hurt = count(|run| run.was_hurt && run.answered > 0);
    assert!(hurt > 0, "none was killed while nodes were stopped or dead");
}
