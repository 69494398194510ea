//! Sessions, from the command line to three nodes and back: what is sent again is done once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::cluster::Cluster;
use harness::fault::Link;
use harness::plan::Plan;
use harness::process::ProcessState;
use harness::system::NodeId;
use serde_json::{Value, json};

use crate::stormproof::{End, PATIENCE, client, describe, run_folder, stormproof};

/// A cluster of three, called through the client tool.
struct Stage {
    cluster: Cluster,
    endpoints: String,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut plan = Plan { nodes: 3, recovery_deadline: PATIENCE, ..Plan::default() };
        plan.node.bin = Some(env!("CARGO_BIN_EXE_stormproof-node").into());
        let cluster = runtime.block_on(async {
            let cluster = Cluster::start(&plan, folder.path()).await.unwrap();
            cluster.wait_for_leader(PATIENCE).await.unwrap();
            cluster
        });
        let addresses = cluster.client_addresses();
        let endpoints: Vec<String> = addresses.values().map(ToString::to_string).collect();
        Self { cluster, endpoints: endpoints.join(","), folder, runtime }
    }

    /// Calls the client tool with the words of a line.
    fn call(&self, line: &str) -> End {
        client(&self.endpoints, line)
    }

    /// Calls the client tool, which must be answered.
    fn ask(&self, line: &str) -> Value {
        let end = self.call(line);
        assert_eq!(end.code, 0, "{line}: {end:?}");
        end.line
    }

    fn open(&self, ttl: &str) -> u64 {
        let opened = self.ask(&format!("session open --ttl {ttl} --timeout 30s"));
        opened["value"]["session"].as_u64().unwrap()
    }

    fn fund(&self) {
        self.ask("open book bob --cash 1000 --exactly-once --timeout 30s");
        self.ask("open book alice --holding ACME=100 --exactly-once --timeout 30s");
    }

    /// What all has come to: balances and the number of trades.
    fn book(&self) -> Value {
        let mut last = self.call("book book");
        let deadline = Instant::now() + PATIENCE;
        while last.code != 0 && Instant::now() < deadline {
            last = self.call("book book");
        }
        assert_eq!(last.code, 0, "{last:?}");
        last.line["value"].clone()
    }

    fn kill_and_restart(&self, nodes: &[NodeId]) {
        self.runtime.block_on(async {
            for &node in nodes {
                self.cluster.kill(node).await.unwrap();
                assert_eq!(self.cluster.processes().borrow().states[&node], ProcessState::Killed);
            }
        });
        self.runtime.block_on(self.cluster.restart(nodes)).unwrap();
        self.runtime.block_on(self.cluster.wait_for_leader(PATIENCE)).unwrap();
    }

    fn end(self) {
        self.runtime.block_on(self.cluster.shutdown());
        assert!(crate::stormproof::processes_of(self.folder.path()).is_empty());
    }
}

const TRADE: &str = "trade book --buyer bob --seller alice --symbol ACME --quantity 1 --price 7";

#[test]
fn a_trade_that_is_sent_again_is_done_once_whatever_happens_to_the_nodes() {
    let stage = Stage::new();
    stage.fund();
    let session = stage.open("10m");
    let in_session = |n: u64| format!("{TRADE} --session {session} --sequence {n} --timeout 30s");
    let after = |trades: u64| {
        let (paid, shares) = (7 * trades, trades);
        json!({
            "accounts": {
                "alice": {"cash": paid, "holdings": {"ACME": 100 - shares}},
                "bob": {"cash": 1_000 - paid, "holdings": {"ACME": shares}},
            },
            "trades": trades,
        })
    };
    let first = stage.ask(&in_session(1));
    assert_eq!(first["value"], json!({"trade": 1}));
    // The very answer: the trade's number, and its place in the log.
    let same = |again: &Value| {
        assert_eq!((&again["value"], &again["position"]), (&first["value"], &first["position"]));
    };
    same(&stage.ask(&in_session(1)));
    assert_eq!(stage.book(), after(1));

    // The next leader knows it from its own log.
    let old = stage.runtime.block_on(stage.cluster.wait_for_leader(PATIENCE)).unwrap();
    stage.runtime.block_on(stage.cluster.kill(old.node)).unwrap();
    same(&stage.ask(&in_session(1)));
    let second = stage.ask(&in_session(2));
    assert_eq!(second["value"], json!({"trade": 2}));
    assert_eq!(stage.book(), after(2));
    stage.runtime.block_on(stage.cluster.restart(&[old.node])).unwrap();

    // So do nodes that have all lost what they held in memory.
    stage.kill_and_restart(stage.cluster.nodes());
    same(&stage.ask(&in_session(1)));
    assert_eq!(stage.ask(&in_session(2))["position"], second["position"]);
    assert_eq!(stage.book(), after(2));

    // Outside of a session it is done every time.
    assert_eq!(stage.ask(TRADE)["value"], json!({"trade": 3}));
    assert_eq!(stage.book(), after(3));
    stage.end();
}

#[test]
fn what_a_session_refuses_was_not_done_by_this_call_and_nothing_more_is_claimed() {
    let stage = Stage::new();
    stage.fund();
    let session = stage.open("10m");
    let call =
        |line: &str, n: u64| stage.call(&format!("{line} --session {session} --sequence {n}"));
    let deposit = |n, first: u64| {
        call(&format!("deposit book bob 5 --first-unanswered {first} --timeout 30s"), n)
    };
    assert_eq!(deposit(1, 1).code, 0);
    let cash = || stage.book()["accounts"]["bob"]["cash"].as_u64().unwrap();
    assert_eq!(cash(), 1_005);
    let refused = |end: &End, why: &str| {
        assert_eq!((end.code, &end.line["outcome"]), (3, &json!("info")), "{end:?}");
        assert!(end.said.contains(why), "{why}: {end:?}");
        assert!(end.said.contains("an earlier request under this number"), "{end:?}");
    };
    // The same number for another command, even of another kind.
    refused(&call("deposit book bob 6", 1), "used for another command");
    refused(&call("add key value", 1), "used for another command");
    // A rejection is an answer like any other, and is kept like one.
    let broke = call("withdraw book bob 9000", 2);
    assert_eq!((broke.code, &broke.line["value"]["rejected"]), (1, &json!("insufficient-cash")));
    stage.ask("deposit book bob 10000 --exactly-once");
    let broke = call("withdraw book bob 9000", 2);
    assert_eq!((broke.code, &broke.line["value"]["rejected"]), (1, &json!("insufficient-cash")));
    // Acknowledged, too far ahead, closed.
    assert_eq!(deposit(4, 3).code, 0);
    refused(&deposit(1, 1), "forgotten");
    refused(&deposit(3 + 256, 1), "not acknowledged");
    assert_eq!(stage.ask(&format!("session keep-alive {session}"))["value"]["ttl_ms"], 600_000);
    assert_eq!(stage.ask(&format!("session close {session}"))["value"]["existed"], true);
    assert_eq!(stage.ask(&format!("session close {session}"))["value"]["existed"], false);
    refused(&deposit(4, 3), "ended");
    assert_eq!(stage.call(&format!("session keep-alive {session}")).code, 1);
    assert_eq!(cash(), 11_010);

    // One that nobody uses ends. To ask is to use it, so the pauses grow until one is long enough.
    let session = stage.open("1s");
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(300);
    while stage.call(&format!("session keep-alive {session}")).code != 1 {
        assert!(Instant::now() < deadline, "a session of one second lives for {pause:?}");
        std::thread::sleep(pause);
        pause *= 2;
    }
    stage.end();
}

/// The tool begins with a node of its own choice. Only if that is the leader which was just cut off does
/// an attempt end in doubt, so a few operations are needed to see one.
const OPERATIONS_MAX: u64 = 50;

#[test]
fn an_operation_in_a_session_has_an_answer_even_if_an_attempt_is_lost() {
    let stage = Stage::new();
    stage.fund();
    let session = stage.open("10m");
    let mut trades = 0;
    let mut unclear = 0;
    while unclear == 0 && trades < OPERATIONS_MAX {
        let leader = stage.runtime.block_on(stage.cluster.wait_for_leader(PATIENCE)).unwrap().node;
        // The leader takes what it is sent into its log, and can neither carry it out nor say that it
        // will not.
        let others = stage.cluster.nodes().iter().filter(|&&node| node != leader);
        let cut = others.flat_map(|&other| {
            [Link { from: leader, to: other }, Link { from: other, to: leader }]
        });
        stage.runtime.block_on(stage.cluster.network().cut_exactly(cut.collect())).unwrap();
        trades += 1;
        let ticket = format!("--session {session} --sequence {trades} --first-unanswered {trades}");
        let traded = stage.ask(&format!("{TRADE} {ticket} --timeout 50s"));
        assert_eq!(traded["value"], json!({"trade": trades}), "{traded}");
        unclear += traded["unclear"].as_u64().unwrap();
        let healed = stage.cluster.network().cut_exactly(BTreeSet::new());
        stage.runtime.block_on(healed).unwrap();
    }
    assert!(unclear > 0, "no attempt of {trades} operations was lost");
    assert_eq!(stage.book()["trades"], json!(trades));
    stage.end();
}

#[test]
fn clients_in_sessions_see_everything_done_once_in_a_storm() {
    let store = tempfile::tempdir().unwrap();
    let store_path = store.path().to_str().unwrap();
    let storm = ["run", "--sessions", "--store", store_path, "--seed", "1", "--time-limit", "20s"];
    let output = stormproof(&storm);
    assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
    let folder = run_folder(store.path()).unwrap();
    let plan = std::fs::read_to_string(folder.join("plan.toml")).unwrap();
    assert!(plan.contains("sessions = true"), "{plan}");
}
