//! etcd as the system under test: real members, hurt for real.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, ClusterStatus};
use harness::fault::Link;
use harness::plan::Plan;
use harness::process::{ProcessState, Processes};
use harness::system::{NodeId, OrderError};
use serde_json::Value;
use tokio::time::timeout;

use crate::stormproof::{PATIENCE, describe, processes_of, run_folder, stormproof, wait_until};

/// Tells whether there is an etcd to test, and says so if not.
fn is_installed() -> bool {
    let found = Command::new("etcd").arg("--version").output().is_ok();
    if !found {
        println!("skipped: etcd is not on PATH (apt-get install etcd-server)");
    }
    found
}

/// Runs a plan, and returns the verdict. Nothing is left of the cluster but what it printed.
fn run(plan: &str, arguments: &[&str], code: i32) -> Value {
    let store = tempfile::tempdir().unwrap();
    let file = store.path().join("etcd.toml");
    fs::write(&file, plan).unwrap();
    let runs = store.path().join("runs");
    let call = ["run", "--plan", file.to_str().unwrap(), "--store", runs.to_str().unwrap()];
    let output = stormproof(&[&call, arguments].concat());
    assert_eq!(output.status.code(), Some(code), "{}", describe(&output));
    let folder = run_folder(&runs).unwrap();
    nothing_is_left(&folder);
    serde_json::from_str(&fs::read_to_string(folder.join("verdict.json")).unwrap()).unwrap()
}

fn nothing_is_left(folder: &Path) {
    assert!(processes_of(folder).is_empty(), "members outlived the run");
    for node in ["n1", "n2", "n3"] {
        let node = folder.join("nodes").join(node);
        assert!(node.join("stderr.log").is_file(), "what {node:?} printed is kept");
        assert!(!node.join("data").exists(), "the data of {node:?} are still there");
    }
}

#[test]
fn etcd_survives_a_storm_with_clients_at_every_member() {
    if !is_installed() {
        return;
    }
    let plan = r#"
        system = "etcd"
        nodes = 3
        seed = 5
        time_limit = "12s"
        concurrency = 9
        placements = ["n1", "n2", "n3"]
        faults = ["kill", "pause", "partition"]
        [workload]
        name = "register"
    "#;
    let verdict = run(plan, &[], 0);
    assert_eq!(verdict["verdict"], "pass", "{verdict}");
    assert!(verdict["elections"].as_u64().unwrap() > 1, "{verdict}");
}

/// The old leader is cut off with its clients, who go on reading what it has.
#[test]
fn serializable_reads_are_caught() {
    if !is_installed() {
        return;
    }
    let plan = r#"
        system = "etcd"
        nodes = 3
        seed = 11
        time_limit = "100s"
        concurrency = 9
        placements = ["n1", "n2", "n3"]
        [workload]
        name = "register"
        keys = 2
        reads = "serializable"
        [[schedule]]
        at = "1s"
        duration = "5s"
        fault = { partition = { isolate = "leader" } }
        [[schedule]]
        at = "10s"
        duration = "80s"
        fault = { partition = { isolate = "leader" } }
    "#;
    let verdict = run(plan, &["--fail-fast"], 1);
    let checks = verdict["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == "linearizability").unwrap();
    assert_eq!(found["verdict"], "violation", "{verdict}");
}

/// Starts three members, does something to them and ends them. The plan goes on with `rest`.
fn with_members(rest: &str, test: impl AsyncFnOnce(&Cluster)) {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plan = "system = \"etcd\"\nnodes = 3\nrecovery_deadline = \"1m\"\n";
    let plan = format!("{plan}[workload]\nname = \"register\"\n{rest}");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let cluster = Cluster::start(&Plan::parse(&plan).unwrap(), folder.path()).await.unwrap();
        test(&cluster).await;
        assert_eq!(cluster.shutdown().await, [], "nobody ended by itself who had no reason to");
    });
    nothing_is_left(folder.path());
}

#[test]
fn links_are_cut_one_way_and_orders_are_taken() {
    with_members("", async |cluster| {
        let old = cluster.wait_for_leader(PATIENCE).await.unwrap();
        let others: Vec<NodeId> =
            cluster.nodes().iter().copied().filter(|&node| node != old.node).collect();

        // Nothing that the leader says arrives: the others elect another, and it learns of that.
        let outbound = others.iter().map(|&to| Link { from: old.node, to }).collect();
        cluster.network().cut_exactly(outbound).await.unwrap();
        wait_until(cluster, "another leader, whom the old one hears", |status| {
            status.agreed().is_some_and(|new| {
                new.node != old.node && follows(status, old.node) == Some(new.node)
            })
        })
        .await;
        cluster.network().cut_exactly(BTreeSet::new()).await.unwrap();

        // Nothing that is said to the leader arrives: it hears no majority, and gives up.
        let old = cluster.wait_for_leader(PATIENCE).await.unwrap();
        let others = cluster.nodes().iter().copied().filter(|&node| node != old.node);
        let inbound = others.map(|from| Link { from, to: old.node }).collect();
        cluster.network().cut_exactly(inbound).await.unwrap();
        wait_until(cluster, "another leader", |status| {
            status.leader().is_some_and(|new| new.node != old.node)
                && follows(status, old.node) != Some(old.node)
        })
        .await;
        cluster.network().cut_exactly(BTreeSet::new()).await.unwrap();
        wait_until(cluster, "one leader for all", |status| {
            let leader = status.agreed().map(|leader| leader.node);
            leader.is_some() && cluster.nodes().iter().all(|&node| follows(status, node) == leader)
        })
        .await;

        take_orders(cluster).await;
    });
}

/// Who comes asks the first member that it finds who is in the cluster, and that one may not know.
#[test]
fn members_come_and_go_while_others_are_cut_off() {
    let grows = "[[schedule]]\nat = \"1s\"\nduration = \"1s\"\nfault = \"grow\"";
    with_members(grows, async |cluster| {
        let [n1, n2, n3, n4, n5] = [1, 2, 3, 4, 5].map(NodeId::new);
        cluster.wait_for_leader(PATIENCE).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        // It takes newcomers only when all have been in touch for some seconds, and then at once.
        cluster.operator().add(n5, deadline).await.unwrap();
        cluster.operator().remove(n5, deadline).await.unwrap();
        cluster.operator().transfer(n2, deadline).await.unwrap();

        isolate(cluster, n1).await;
        let mut processes = cluster.processes();
        let (grown, ()) = tokio::join!(cluster.admit(PATIENCE), async {
            let has_ended =
                |it: &Processes| matches!(it.states.get(&n4), Some(ProcessState::Exited(_)));
            timeout(PATIENCE, processes.wait_for(has_ended)).await.unwrap().unwrap();
            cluster.network().cut_exactly(BTreeSet::new()).await.unwrap();
        });
        assert_eq!(grown.unwrap(), n4, "the one whom it asked knew by then");

        isolate(cluster, n3).await;
        cluster.dismiss(n3, PATIENCE).await.unwrap();
        assert_eq!(cluster.members(), [n1, n2, n4]);
        cluster.network().cut_exactly(BTreeSet::new()).await.unwrap();
        assert_eq!(cluster.admit(PATIENCE).await.unwrap(), n5);
        isolate(cluster, n1).await;
        cluster.dismiss(n1, PATIENCE).await.unwrap();
        cluster.heal_all().await.unwrap();
        assert_eq!(cluster.members(), [n2, n4, n5]);
        let members = cluster.operator().members(Instant::now() + PATIENCE).await.unwrap();
        assert_eq!(members, [n2, n4, n5].into());
        cluster.wait_for_leader(PATIENCE).await.unwrap();
    });
}

/// Cuts a member off from all who are in the cluster, and from nobody who comes later.
async fn isolate(cluster: &Cluster, node: NodeId) {
    let others = cluster.members().into_iter().filter(|&it| it != node);
    let cut = others.flat_map(|it| [Link { from: node, to: it }, Link { from: it, to: node }]);
    cluster.network().cut_exactly(cut.collect()).await.unwrap();
}

async fn take_orders(cluster: &Cluster) {
    let leader = cluster.wait_for_leader(PATIENCE).await.unwrap().node;
    let follower = cluster.nodes().iter().copied().find(|&node| node != leader).unwrap();
    let all: BTreeSet<NodeId> = cluster.nodes().iter().copied().collect();
    let newcomer = NodeId::new(4);
    let mut operator = cluster.operator();
    let deadline = Instant::now() + PATIENCE;
    operator.transfer(follower, deadline).await.unwrap();
    wait_until(cluster, "the chosen leader", |status| {
        status.agreed().is_some_and(|leader| leader.node == follower)
    })
    .await;
    assert_eq!(operator.members(deadline).await.unwrap(), all);
    // It need not run to be a member; three of four are a majority.
    operator.add(newcomer, deadline).await.unwrap();
    operator.add(newcomer, deadline).await.unwrap();
    assert_eq!(operator.members(deadline).await.unwrap().len(), 4);
    operator.remove(newcomer, deadline).await.unwrap();
    operator.remove(newcomer, deadline).await.unwrap();
    assert_eq!(operator.members(deadline).await.unwrap(), all);
    operator.compact(leader, deadline).await.unwrap();
    let soon = Instant::now() + Duration::from_millis(300);
    let refused = operator.transfer(newcomer, soon).await;
    assert!(matches!(refused, Err(OrderError::Refused { .. })), "{refused:?}");
}

fn follows(status: &ClusterStatus, node: NodeId) -> Option<NodeId> {
    status.nodes.get(&node)?.status.as_ref()?.leader
}
