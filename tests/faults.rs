//! Each fault is shown to bite, on real nodes: it has the effect that it is for, and its end has too.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use harness::cluster::{Cluster, ClusterStatus, Leadership};
use harness::fault::Link;
use harness::messages::{MessageAction, MessageKind, MessageRule};
use harness::plan::Plan;
use harness::process::ProcessState;
use harness::system::NodeId;

use crate::stormproof::{PATIENCE, processes_of, stormproof, wait_until};

/// Runs a test against a cluster of three nodes that has a leader.
fn with_cluster<F>(test: impl FnOnce(Cluster, Leadership) -> F)
where
    F: Future<Output = Cluster>,
{
    with_plan(Plan::default(), test);
}

/// The same with a plan that says more.
fn with_plan<F>(plan: Plan, test: impl FnOnce(Cluster, Leadership) -> F)
where
    F: Future<Output = Cluster>,
{
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut plan = Plan { nodes: 3, recovery_deadline: PATIENCE, ..plan };
        plan.node.bin = Some(env!("CARGO_BIN_EXE_stormproof-node").into());
        let cluster = Cluster::start(&plan, folder.path()).await.unwrap();
        let leader = cluster.wait_for_leader(PATIENCE).await.unwrap();
        test(cluster, leader).await.shutdown().await;
    });
    assert!(processes_of(folder.path()).is_empty());
}

fn term(status: &ClusterStatus, node: NodeId) -> u64 {
    let health = status.nodes.get(&node);
    health.and_then(|health| health.status.as_ref()).map_or(0, |status| status.term)
}

#[test]
fn a_partition_changes_the_leader() {
    with_cluster(async |cluster, old| {
        let others = cluster.nodes().iter().copied().filter(|&node| node != old.node);
        let cut: BTreeSet<Link> = others
            .flat_map(|other| {
                [Link { from: old.node, to: other }, Link { from: other, to: old.node }]
            })
            .collect();
        cluster.network().cut_exactly(cut).await.unwrap();
        wait_until(&cluster, "another leader", |status| {
            status.leader().is_some_and(|new| new.node != old.node && new.term > old.term)
        })
        .await;
        cluster.network().cut_exactly(BTreeSet::new()).await.unwrap();
        wait_until(&cluster, "one leader for all", |status| {
            let agreed = status.agreed();
            agreed.is_some_and(|new| {
                cluster.nodes().iter().all(|&node| term(status, node) == new.term)
            })
        })
        .await;
        cluster
    });
}

#[test]
fn a_link_cut_one_way_silences_only_that_way() {
    with_cluster(async |cluster, old| {
        // Nothing of what the leader says arrives, so the others elect another; what they say still
        // reaches the old leader, so it learns of their term.
        let others = cluster.nodes().iter().copied().filter(|&node| node != old.node);
        let cut = others.map(|to| Link { from: old.node, to }).collect();
        cluster.network().cut_exactly(cut).await.unwrap();
        wait_until(&cluster, "a new term everywhere", |status| {
            status.leader().is_some_and(|new| new.node != old.node)
                && term(status, old.node) > old.term
        })
        .await;
        cluster
    });
}

#[test]
fn a_leader_whose_appends_are_lost_one_by_one_is_replaced() {
    let messages = r#"
        [[schedule]]
        at = "1s"
        duration = "1s"
        fault = { messages = { links = { from = "leader" }, rule = { percent = 1, action = "drop" } } }
    "#;
    with_plan(Plan::parse(messages).unwrap(), async |cluster, old| {
        let of_links = |from: NodeId, rule: MessageRule| {
            let others = cluster.nodes().iter().filter(move |&&to| to != from);
            others.map(move |&to| (Link { from, to }, vec![rule])).collect::<BTreeMap<_, _>>()
        };
        // Everything else that the leader says still arrives.
        let kind = Some(MessageKind::AppendEntries);
        let lost = MessageRule { kind, percent: 100, action: MessageAction::Drop };
        cluster.network().rule_exactly(&of_links(old.node, lost));
        wait_until(&cluster, "another leader", |status| {
            status.leader().is_some_and(|new| new.node != old.node && new.term > old.term)
        })
        .await;
        let links: Vec<_> = cluster.nodes().iter().map(|&to| Link { from: old.node, to }).collect();
        let hits = cluster.network().messages_hit(links.iter().map(|link| (link, &lost)));
        assert!(hits > 0);
        // Messages that come twice or late, from all nodes to all, are nothing that Raft minds.
        let delay = MessageAction::Delay(Duration::from_millis(3));
        for action in [MessageAction::Duplicate, MessageAction::Reorder, delay] {
            let rule = MessageRule { kind: None, percent: 50, action };
            let nodes = cluster.nodes().iter();
            let all = nodes.flat_map(|&from| of_links(from, rule)).collect();
            cluster.network().rule_exactly(&all);
            let endpoints = cluster.client_addresses();
            let endpoints: Vec<_> = endpoints.values().map(ToString::to_string).collect();
            let put = ["client", "--endpoints", &endpoints.join(","), "add", "key", "1"];
            let output = tokio::task::block_in_place(|| stormproof(&put));
            assert!(output.status.success(), "{action:?}: {output:?}");
        }
        cluster.heal_all().await.unwrap();
        wait_until(&cluster, "one leader for all", |status| status.agreed().is_some()).await;
        cluster
    });
}

#[test]
fn a_pause_lets_the_term_grow() {
    with_cluster(async |cluster, old| {
        cluster.pause(old.node).await.unwrap();
        assert_eq!(cluster.processes().borrow().states[&old.node], ProcessState::Paused);
        wait_until(&cluster, "a higher term", |status| {
            status.leader().is_some_and(|new| new.term > old.term)
        })
        .await;
        cluster.resume(old.node).await.unwrap();
        wait_until(&cluster, "the old leader's return", |status| {
            status.agreed().is_some_and(|new| term(status, old.node) == new.term)
        })
        .await;
        cluster
    });
}

#[test]
fn a_kill_ends_the_process_and_its_log_is_replayed() {
    with_cluster(async |cluster, leader| {
        let endpoint = cluster.client_addresses()[&leader.node].to_string();
        for value in ["1", "2", "3"] {
            let put = ["client", "--endpoints", &endpoint, "add", "key", value];
            let output = tokio::task::block_in_place(|| stormproof(&put));
            assert!(output.status.success(), "{output:?}");
        }
        cluster.kill(leader.node).await.unwrap();
        assert_eq!(cluster.processes().borrow().states[&leader.node], ProcessState::Killed);

        cluster.restart(&[leader.node]).await.unwrap();
        wait_until(&cluster, "the replay of its log", |status| {
            let says = status.nodes[&leader.node].status.as_ref();
            // Three puts and the no-op of the term.
            says.is_some_and(|says| says.recovered_entries >= 4 && says.last_applied >= 4)
        })
        .await;
        cluster
    });
}
