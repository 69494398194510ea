//! Clocks that are set wrong, over the control that a node has for tests.

use proto::admin::AdjustClockRequest;

use super::snapshots::{put_until_done, wait_for};
use super::*;

fn jump(seconds: i64) -> AdjustClockRequest {
    AdjustClockRequest { jump_ns: seconds * 1_000_000_000, ..AdjustClockRequest::default() }
}

#[tokio::test]
async fn a_clock_cannot_be_set_unless_the_configuration_says_so() {
    let folder = TempDir::new().unwrap();
    let mut config = configs(1, &folder).await.remove(0);
    let node = Running::start(&config).await;
    leader(std::slice::from_ref(&node)).await;
    let refused = node.admin().adjust_clock(jump(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.metadata().get(proto::REASON_KEY).unwrap(), "sound-clock");
    node.stop().await;

    config.adjustable_clock = true;
    let node = Running::start(&config).await;
    leader(std::slice::from_ref(&node)).await;
    let rate = |rate| AdjustClockRequest { rate: Some(rate), ..AdjustClockRequest::default() };
    let refused = node.admin().adjust_clock(rate(0.0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let reading = node.admin().adjust_clock(rate(1.5)).await.unwrap().into_inner();
    assert_eq!(reading.rate, 1.5);
    let reading = node.admin().adjust_clock(jump(-5)).await.unwrap().into_inner();
    assert!(reading.ahead_ns < 0 && reading.rate == 1.5, "{reading:?}");
    let settle = AdjustClockRequest { settle: true, ..AdjustClockRequest::default() };
    let reading = node.admin().adjust_clock(settle).await.unwrap().into_inner();
    // What it was set back by is made up for, but for the moments since.
    assert!(reading.ahead_ns > -4_000_000_000 && reading.rate == 1.0, "{reading:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_jumps_is_unseated_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let mut nodes = Vec::new();
    for config in configs(3, &folder).await {
        nodes.push(Running::start(&Config { adjustable_clock: true, ..config }).await);
    }
    // Forward, it takes everybody for gone; back, its heartbeats do not come.
    for seconds in [60, -3600] {
        let place = leader(&nodes).await;
        let old = nodes[place].status().await.unwrap();
        nodes[place].admin().adjust_clock(jump(seconds)).await.unwrap();
        for node in &nodes {
            let is_later = |status: &StatusResponse| status.term > old.term && status.leader > 0;
            wait_for(node, "nobody else is elected", is_later).await;
        }
        let settle = AdjustClockRequest { settle: true, ..AdjustClockRequest::default() };
        nodes[place].admin().adjust_clock(settle).await.unwrap();
        put_until_done(&nodes, "k", "v").await;
    }
    for node in nodes {
        node.stop().await;
    }
}
