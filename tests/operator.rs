//! Orders to a running cluster, through the seam that faults use.

use std::collections::BTreeSet;
use std::time::Instant;

use harness::cluster::Cluster;
use harness::plan::Plan;
use harness::system::{NodeId, OrderError};

use crate::stormproof::{PATIENCE, processes_of};

#[test]
fn our_own_node_takes_every_order() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut plan = Plan { nodes: 3, recovery_deadline: PATIENCE, ..Plan::default() };
        plan.node.bin = Some(env!("CARGO_BIN_EXE_stormproof-node").into());
        let cluster = Cluster::start(&plan, folder.path()).await.unwrap();
        let old = cluster.wait_for_leader(PATIENCE).await.unwrap();
        let follower = cluster.nodes().iter().copied().find(|&node| node != old.node).unwrap();
        let all: BTreeSet<NodeId> = cluster.nodes().iter().copied().collect();
        let mut operator = cluster.operator();
        let deadline = Instant::now() + PATIENCE;

        operator.transfer(follower, deadline).await.unwrap();
        let new = cluster.wait_for_leader(PATIENCE).await.unwrap();
        assert!(new.term > old.term, "{new:?} after {old:?}");
        assert_eq!(operator.members(deadline).await.unwrap(), all);

        // Orders that name what is so already change nothing.
        operator.add(old.node, deadline).await.unwrap();
        operator.remove(old.node, deadline).await.unwrap();
        operator.remove(old.node, deadline).await.unwrap();
        let without: BTreeSet<_> = all.iter().copied().filter(|&node| node != old.node).collect();
        assert_eq!(operator.members(deadline).await.unwrap(), without);
        operator.add(old.node, deadline).await.unwrap();
        assert_eq!(operator.members(deadline).await.unwrap(), all);

        operator.compact(follower, deadline).await.unwrap();
        let refused = operator.compact(NodeId::new(9), deadline).await;
        assert!(matches!(refused, Err(OrderError::Refused { .. })), "{refused:?}");
        cluster.shutdown().await;
    });
    assert!(processes_of(folder.path()).is_empty());
}
