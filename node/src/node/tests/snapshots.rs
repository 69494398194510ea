//! Nodes whose logs are short: what the log no longer holds, a snapshot does.

use proto::admin::SnapshotRequest;
use proto::kv::PutRequest;

use super::*;

/// So few entries that a handful of puts is more than a log holds.
const SHORT: SnapshotPolicy = SnapshotPolicy { entries: 8, bytes: 1 << 20, keep: 2 };

async fn short_configs(nodes: u64, folder: &TempDir) -> Vec<Config> {
    let configs = configs(nodes, folder).await;
    configs.into_iter().map(|config| Config { snapshot: SHORT, ..config }).collect()
}

/// Puts to whoever leads until it is done.
pub(super) async fn put_until_done(nodes: &[Running], key: &str, value: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let place = leader(nodes).await;
        let put = PutRequest { key: key.to_owned(), value: value.to_owned() };
        match nodes[place].kv().put(put).await {
            Ok(_) => return,
            // The leader fell; a put that is done twice is done.
            Err(status) => assert!(Instant::now() < deadline, "{status}"),
        }
    }
}

/// Reads a key from this very node until it answers.
pub(super) async fn get_until_answered(node: &Running, key: &str) -> Option<String> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match node.kv().get(GetRequest { key: key.to_owned() }).await {
            Ok(found) => return found.into_inner().value,
            Err(status) => assert!(Instant::now() < deadline, "{status}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a node's status is as it should be.
pub(super) async fn wait_for(
    node: &Running,
    what: &str,
    is_so: impl Fn(&StatusResponse) -> bool,
) -> StatusResponse {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let status = node.status().await;
        if let Some(status) = &status
            && is_so(status)
        {
            return status.clone();
        }
        assert!(Instant::now() < deadline, "{what}: {status:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_node_goes_on_from_its_snapshot() {
    let folder = TempDir::new().unwrap();
    let config = short_configs(1, &folder).await.remove(0);
    let mut nodes = vec![Running::start(&config).await];
    for number in 0..20 {
        put_until_done(&nodes, &format!("k{}", number % 5), &number.to_string()).await;
    }
    wait_for(&nodes[0], "no snapshot was taken", |status| status.snapshot_index >= 8).await;
    // One that is asked for is of everything.
    let taken = nodes[0].admin().snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    let status = nodes[0].status().await.unwrap();
    assert_eq!((taken.index, status.snapshot_index), (21, 21), "{status:?}");
    assert_eq!(status.first_log_index, 20, "{status:?}");
    // There is nothing new to be said.
    let again = nodes[0].admin().snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    assert_eq!(again, taken);
    put_until_done(&nodes, "k0", "last").await;
    nodes.remove(0).stop().await;

    nodes.push(Running::start(&config).await);
    leader(&nodes).await;
    let status = nodes[0].status().await.unwrap();
    assert_eq!((status.recovered_snapshot, status.recovered_entries), (21, 1), "{status:?}");
    for (key, value) in [("k0", "last"), ("k1", "16"), ("k4", "19")] {
        assert_eq!(get_until_answered(&nodes[0], key).await.as_deref(), Some(value));
    }
    nodes.remove(0).stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_away_gets_a_snapshot_and_all_restart_from_theirs() {
    let folder = TempDir::new().unwrap();
    let configs = short_configs(3, &folder).await;
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(Running::start(config).await);
    }
    put_until_done(&nodes, "k", "before").await;
    let first = leader(&nodes).await;
    let away = (0..3).find(|place| *place != first).unwrap();
    nodes.remove(away).stop().await;
    // Several pieces, and far more entries than a log holds.
    let large = "x".repeat(900_000);
    for number in 0..4 {
        put_until_done(&nodes, &format!("large{number}"), &large).await;
    }
    for number in 0..30 {
        put_until_done(&nodes, "k", &number.to_string()).await;
    }
    let place = leader(&nodes).await;
    wait_for(&nodes[place], "the log is not compacted", |status| status.first_log_index > 20).await;

    nodes.insert(away, Running::start(&configs[away]).await);
    let arrived = |status: &StatusResponse| status.snapshot_index > 20;
    let status = wait_for(&nodes[away], "no snapshot came", arrived).await;
    assert_eq!(status.recovered_snapshot, 0, "{status:?}");
    assert_eq!(status.snapshots_received, 1, "{status:?}");
    let sender = nodes[leader(&nodes).await].status().await.unwrap();
    assert_eq!(sender.snapshots_received, 0, "{sender:?}");
    assert_eq!(get_until_answered(&nodes[away], "k").await.as_deref(), Some("29"));
    assert_eq!(get_until_answered(&nodes[away], "large3").await, Some(large.clone()));

    for node in nodes.drain(..) {
        node.stop().await;
    }
    for config in &configs {
        nodes.push(Running::start(config).await);
    }
    put_until_done(&nodes, "k", "after").await;
    for node in &nodes {
        let status = node.status().await.unwrap();
        assert!(status.recovered_snapshot > 20, "{status:?}");
        assert_eq!(status.snapshots_received, 0, "it counts since its start: {status:?}");
        assert_eq!(get_until_answered(node, "k").await.as_deref(), Some("after"));
        assert_eq!(get_until_answered(node, "large0").await, Some(large.clone()));
    }
    for node in nodes {
        node.stop().await;
    }
}
