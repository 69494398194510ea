//! A whole load against a system in memory, of which the recorder's file must tell the truth.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use checker::history::{Operation, Operations, Outcome as End, operations, read};
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::plan::WorkloadPlan;
use crate::recorder::Recording;
use crate::system::{BoxFuture, NodeId};
use crate::workload::{Ledger, Register};

fn register() -> Register {
    Register::new(&WorkloadPlan { keys: 3, ..WorkloadPlan::default() })
}

fn ledger() -> Ledger {
    Ledger::new(&WorkloadPlan { keys: 1, accounts: 2, ..WorkloadPlan::default() })
}

const FAR: Duration = Duration::from_secs(60);

/// Registers in memory, with a client that loses one answer in ten and refuses one request in ten.
#[derive(Clone)]
struct Registers {
    values: Arc<Mutex<BTreeMap<String, Value>>>,
    random: ChaCha12Rng,
    is_dead: bool,
    /// After how many operations the client crashes, if it ever does.
    crash_after: Option<u64>,
}

impl Registers {
    fn answer(&mut self, invocation: &Invocation) -> Outcome {
        if let Some(left) = &mut self.crash_after {
            *left = left.checked_sub(1).expect("this client is meant to crash");
        }
        let draw = self.random.random_range(0..10);
        if draw == 0 || self.is_dead {
            return Outcome::Fail { error: "refused".into() };
        }
        let mut values = self.values.lock().unwrap();
        let register = values.entry(invocation.key.clone()).or_default();
        let value = match invocation.f {
            "read" => register.clone(),
            "write" => {
                *register = invocation.value.clone();
                register.clone()
            }
            _ if invocation.value[0] == *register => {
                *register = invocation.value[1].clone();
                invocation.value.clone()
            }
            _ => json!({"mismatch": register.clone()}),
        };
        match draw {
            1 => Outcome::Info { error: "timeout".into() },
            _ => Outcome::Ok { value, position: None },
        }
    }
}

impl Client for Registers {
    fn execute<'a>(&'a mut self, invocation: &'a Invocation, _: Instant) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let outcome = self.answer(invocation);
            tokio::task::yield_now().await;
            outcome
        })
    }
}

struct Run {
    _folder: TempDir,
    path: PathBuf,
    load: Load,
    recording: Recording,
}

fn run(workload: Arc<dyn Workload>, concurrency: usize, rate: f64, is_dead: bool) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let (recorder, recording) = Recorder::create(&path).unwrap();
    let options = LoadOptions {
        concurrency,
        rate,
        operation_timeout: FAR,
        placements: vec![Placement::LeaderFollowing, Placement::Pinned(NodeId::new(1))],
    };
    let values = Arc::new(Mutex::new(BTreeMap::new()));
    let load = Load::new(workload, &options, recorder, Seed::new(5), |seed, _| {
        let values = Arc::clone(&values);
        Box::new(Registers { values, random: seed.generator(), is_dead, crash_after: None })
    });
    Run { _folder: folder, path, load, recording }
}

async fn drive_until(load: &mut Load, total: u64) {
    let cancel = CancellationToken::new();
    let tallies = load.tallies();
    let watch = async {
        let start = Instant::now();
        while tallies.total().total() < total {
            assert!(start.elapsed() < FAR, "only {:?}", tallies.total());
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (driven, ()) = tokio::join!(load.drive(&cancel), watch);
    driven.unwrap();
}

fn judge(path: &std::path::Path) -> Operations {
    operations(&read(path, None).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invocation_is_completed_and_counted() {
    let mut run = run(Arc::new(register()), 4, 0.0, false);
    let never = CancellationToken::new();
    run.load.set_up(Instant::now() + FAR, &never).await.unwrap();
    drive_until(&mut run.load, 2000).await;
    run.load.read_finally(Instant::now() + FAR, &never).await.unwrap();
    let tallies = run.load.tallies();
    run.recording.finish().await.unwrap();

    let Operations { list, .. } = judge(&run.path);
    assert_eq!(list.len() as u64, tallies.total().total());
    let count = |is: &dyn Fn(&Operation) -> bool| list.iter().filter(|at| is(at)).count() as u64;
    let total = tallies.total();
    assert_eq!(count(&|at| matches!(at.outcome, End::Ok(_))), total.ok);
    assert_eq!(count(&|at| matches!(at.outcome, End::Fail(_))), total.fail);
    assert_eq!(count(&|at| at.outcome == End::Info), total.info);
    assert!(list.iter().all(|at| at.completed.is_some()));
    assert!(total.info > 0 && total.fail > 0 && total.refused > 0, "{total:?}");
    // A process whose outcome is unknown does nothing more.
    let mut lost = std::collections::BTreeSet::new();
    for operation in &list {
        assert!(!lost.contains(&operation.process), "{operation:?}");
        if operation.outcome == End::Info {
            lost.insert(operation.process);
        }
    }
    // Every register was read at the end.
    let last: Vec<&Operation> =
        list.iter().rev().filter(|at| matches!(at.outcome, End::Ok(_))).collect();
    assert!(last[..3].iter().all(|at| at.f == "read"), "{:?}", &last[..3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_is_kept() {
    let mut run = run(Arc::new(register()), 4, 500.0, false);
    let start = Instant::now();
    drive_until(&mut run.load, 100).await;
    // A fifth of a second's worth, less what jitter may bring forward; a slow machine takes longer.
    assert!(start.elapsed() > Duration::from_millis(150), "{:?}", start.elapsed());
    run.recording.finish().await.unwrap();
}

#[tokio::test]
async fn a_client_that_crashes_ends_the_storm_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let (recorder, recording) = Recorder::create(&path).unwrap();
    let options =
        LoadOptions { concurrency: 4, rate: 0.0, operation_timeout: FAR, placements: Vec::new() };
    let mut count = 0;
    let mut load = Load::new(Arc::new(register()), &options, recorder, Seed::new(5), |seed, _| {
        count += 1;
        let values = Arc::default();
        let crash_after = (count == 2).then_some(10);
        Box::new(Registers { values, random: seed.generator(), is_dead: false, crash_after })
    });
    let never = CancellationToken::new();
    let driven = tokio::time::timeout(FAR, load.drive(&never)).await.unwrap();
    assert!(matches!(driven, Err(LoadError::Crashed(_))), "{driven:?}");
    assert!(!never.is_cancelled(), "the rest of the run is the caller's to end");
    recording.finish().await.unwrap();
    let Operations { list, .. } = judge(&path);
    assert!(list.iter().any(|at| at.outcome == End::Info), "the crashed operation is unknown");
}

#[tokio::test]
async fn a_system_that_does_not_serve_is_a_deadline() {
    let mut run = run(Arc::new(ledger()), 2, 0.0, true);
    let never = CancellationToken::new();
    let error =
        run.load.set_up(Instant::now() + Duration::from_millis(20), &never).await.unwrap_err();
    assert!(matches!(&error, LoadError::Deadline { phase: Phase::SetUp, .. }), "{error}");
    assert!(error.to_string().ends_with("of book-0 did not succeed, at last: refused"), "{error}");
    never.cancel();
    let error = run.load.read_finally(Instant::now() + FAR, &never).await.unwrap_err();
    assert!(matches!(error, LoadError::Cancelled { phase: Phase::FinalReads }), "{error}");
    run.recording.finish().await.unwrap();
}
