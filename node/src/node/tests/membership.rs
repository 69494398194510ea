//! Nodes that come, go and hand over.

use proto::admin::{ChangeMembershipRequest, TransferRequest};
use proto::raft::Membership;

use super::snapshots::{get_until_answered, put_until_done, wait_for};
use super::*;

fn membership(voters: &[u64], learners: &[u64]) -> Membership {
    Membership { voters: voters.to_vec(), outgoing: vec![], learners: learners.to_vec() }
}

/// Asks whoever leads for a change until it is done.
async fn change_until_done(nodes: &[Running], voters: &[u64], learners: &[u64]) {
    let deadline = Instant::now() + DEADLINE;
    let wanted = membership(voters, learners);
    loop {
        let place = leader(nodes).await;
        let request = ChangeMembershipRequest {
            voters: voters.to_vec(),
            learners: learners.to_vec(),
            expected: None,
        };
        match nodes[place].admin().change_membership(request).await {
            Ok(changed) => {
                assert_eq!(changed.into_inner().membership, Some(wanted));
                return;
            }
            Err(status) => assert!(Instant::now() < deadline, "{status}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn reason(status: &Status) -> &str {
    status.metadata().get(proto::REASON_KEY).unwrap().to_str().unwrap()
}

/// Starts nodes of which the first three begin a cluster and the others may join it.
async fn start(configs: &mut [Config], folder: &TempDir) -> Vec<Running> {
    assert!(folder.path().exists());
    let founders: BTreeSet<NodeId> = configs.iter().map(|config| config.id).take(3).collect();
    let mut nodes = Vec::new();
    for config in configs {
        let is_founder = founders.contains(&config.id);
        config.beginning = Some(if is_founder { founders.clone() } else { [].into() });
        nodes.push(Running::start(config).await);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_node_joins_and_the_leader_is_removed() {
    let folder = TempDir::new().unwrap();
    let mut configs = configs(4, &folder).await;
    let mut nodes = start(&mut configs, &folder).await;
    put_until_done(&nodes, "k", "v").await;
    let status = nodes[3].status().await.unwrap();
    assert_eq!((status.membership, status.last_log_index), (Some(membership(&[], &[])), 0));

    change_until_done(&nodes, &[1, 2, 3], &[4]).await;
    let has = |wanted: Membership| {
        move |status: &StatusResponse| status.membership.as_ref() == Some(&wanted)
    };
    wait_for(&nodes[3], "it does not learn", has(membership(&[1, 2, 3], &[4]))).await;
    assert_eq!(get_until_answered(&nodes[3], "k").await.as_deref(), Some("v"));
    change_until_done(&nodes, &[1, 2, 3, 4], &[]).await;
    wait_for(&nodes[3], "it gets no vote", has(membership(&[1, 2, 3, 4], &[]))).await;

    // The leader is removed; the others elect another, and it disturbs nobody.
    let old = leader(&nodes).await;
    let rest: Vec<u64> = (1..=4).filter(|id| *id != old as u64 + 1).collect();
    change_until_done(&nodes, &rest, &[]).await;
    let removed = nodes.remove(old);
    let new = leader(&nodes).await;
    put_until_done(&nodes, "k", "w").await;
    let status = nodes[new].status().await.unwrap();
    assert_eq!(status.membership, Some(membership(&rest, &[])));
    let followers: Vec<u64> = status.followers.iter().map(|follower| follower.id).collect();
    let others: Vec<u64> = rest.iter().copied().filter(|id| *id != status.id).collect();
    assert_eq!(followers, others);
    removed.stop().await;

    // What was decided outlives a restart, though the configurations say nothing of it.
    for node in nodes.drain(..) {
        node.stop().await;
    }
    configs.remove(old);
    for config in &mut configs {
        config.beginning = None;
        nodes.push(Running::start(config).await);
    }
    put_until_done(&nodes, "k", "x").await;
    for node in &nodes {
        assert_eq!(node.status().await.unwrap().membership, Some(membership(&rest, &[])));
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_to_whom_it_is_told() {
    let folder = TempDir::new().unwrap();
    let mut configs = configs(3, &folder).await;
    let nodes = start(&mut configs, &folder).await;
    put_until_done(&nodes, "k", "v").await;
    let old = leader(&nodes).await;
    let to = (old as u64 + 1) % 3 + 1;
    nodes[old].admin().transfer(TransferRequest { to }).await.unwrap();
    let leads = |status: &StatusResponse| status.role() == Role::Leader;
    wait_for(&nodes[to as usize - 1], "it does not lead", leads).await;
    put_until_done(&nodes, "k", "w").await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_and_says_why() {
    let folder = TempDir::new().unwrap();
    let mut configs = configs(3, &folder).await;
    let nodes = start(&mut configs, &folder).await;
    put_until_done(&nodes, "k", "v").await;
    let first = leader(&nodes).await;
    let mut admin = nodes[first].admin();
    let request = |voters: &[u64], learners: &[u64], expected| ChangeMembershipRequest {
        voters: voters.to_vec(),
        learners: learners.to_vec(),
        expected,
    };
    for (request, code, expected) in [
        (request(&[], &[], None), Code::InvalidArgument, "invalid-membership"),
        (request(&[1, 2, 3], &[3], None), Code::InvalidArgument, "invalid-membership"),
        (request(&[1, 2, 3, 9], &[], None), Code::InvalidArgument, "unknown-node"),
        (
            request(&[1, 2], &[], Some(membership(&[1, 2], &[]))),
            Code::Aborted,
            "membership-changed",
        ),
        (
            request(&[1, 2], &[], Some(membership(&[1, 0], &[]))),
            Code::Aborted,
            "membership-changed",
        ),
    ] {
        let status = admin.change_membership(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (code, expected), "{request:?}: {status}");
        assert!(is_marked_not_applied(&status), "{status}");
    }
    for to in [0, first as u64 + 1, 9] {
        let status = admin.transfer(TransferRequest { to }).await.unwrap_err();
        assert_eq!(reason(&status), "no-successor", "{status}");
    }
    let follower = &nodes[(first + 1) % 3];
    knows_leader(follower, first as u64 + 1).await;
    let status = follower.admin().transfer(TransferRequest { to: 1 }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, "not-leader"));
    let hint = status.metadata().get(proto::LEADER_KEY).unwrap();
    assert_eq!(*hint, (first + 1).to_string());
    for node in nodes {
        node.stop().await;
    }
}
