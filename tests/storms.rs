//! Every kind of fault bites on real nodes, and everything that was done is undone.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use harness::cluster::Cluster;
use harness::fault::{
    Condition, Fault, FaultResult, Links, Restart, Sequence, Step, Target, Topology,
};
use harness::nemesis::{Nemesis, NemesisReport};
use harness::plan::Plan;
use harness::recorder::Recorder;
use tokio_util::sync::CancellationToken;

use crate::stormproof::{PATIENCE, processes_of};

const SECOND: Duration = Duration::from_secs(1);

/// Carries out one sequence on three nodes, and looks at what is left of it.
fn carry_out(steps: Vec<Step>, look: impl AsyncFnOnce(&Cluster)) -> NemesisReport {
    let folder = tempfile::tempdir().unwrap();
    let next = folder.path().join("next-version");
    fs::copy(env!("CARGO_BIN_EXE_stormproof-node"), &next).unwrap();
    let sequence = vec![Sequence { at: Duration::ZERO, steps }];
    let mut plan = Plan {
        nodes: 3,
        time_limit: PATIENCE,
        recovery_deadline: PATIENCE,
        schedule: Some(Vec::new()),
        sequence,
        ..Plan::default()
    };
    plan.node.bin = Some(env!("CARGO_BIN_EXE_stormproof-node").into());
    plan.node.upgrade = Some(next);
    plan.check().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(async {
        let cluster = Cluster::start(&plan, folder.path()).await.unwrap();
        cluster.wait_for_leader(PATIENCE).await.unwrap();
        let (recorder, recording) = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
        let nemesis = Nemesis::new(&plan);
        let report = nemesis.run(&cluster, &recorder, CancellationToken::new()).await;
        drop(recorder);
        recording.finish().await.unwrap();
        assert!(cluster.network().modes().await.is_empty());
        cluster.heal_all().await.unwrap();
        cluster.wait_for_leader(PATIENCE).await.unwrap();
        look(&cluster).await;
        assert_eq!(cluster.shutdown().await, []);
        report
    });
    assert!(processes_of(folder.path()).is_empty());
    for record in &report.faults {
        let fault = record.scheduled.fault;
        assert_eq!(record.result, FaultResult::Installed, "{fault}: {record:?}");
        assert_eq!(record.trouble, None, "{fault}: {record:?}");
        assert!(record.ended.is_some(), "{fault}: {record:?}");
    }
    report
}

/// Brings a fault, and ends it when another node has come to lead because of it.
fn until_deposed(number: usize, fault: Fault) -> [Step; 3] {
    let name = Some(format!("f{number}"));
    let leader = Some(Condition::Leader);
    let new = Some(Condition::NewLeader);
    [
        Step { until: leader, begin: Some(fault), name: name.clone(), ..Step::default() },
        Step { until: new, end: name, ..Step::default() },
        Step { until: leader, wait: SECOND / 5, ..Step::default() },
    ]
}

#[test]
fn faults_that_hinder_a_leader_cost_it_its_office() {
    let leader = Target::Leader;
    let (latency, jitter) = (5 * SECOND, Duration::ZERO);
    let faults = [
        Fault::Delay { links: Links::From(leader), latency, jitter },
        Fault::Throttle { links: Links::From(leader), bytes_per_second: 1 },
        Fault::Refuse(Links::Both(leader)),
        Fault::Reset(Links::Both(leader)),
        Fault::Blackhole(Links::From(leader)),
        Fault::Flap { topology: Topology::Isolate(leader), period: 4 * SECOND },
        Fault::Partition(Topology::LeaderWithClients),
        Fault::Restart(Restart::AtOnce(Target::All)),
    ];
    let steps = faults.into_iter().enumerate();
    let steps: Vec<Step> = steps.flat_map(|(number, fault)| until_deposed(number, fault)).collect();
    let report = carry_out(steps, async |_| {});
    // None was skipped: each found a leader, and made another lead.
    assert_eq!(report.faults.len(), 8);
    assert!(report.leader_hits() >= 7, "{report:?}");
}

#[test]
fn operators_change_everything_and_the_cluster_stays() {
    let wait = |wait| Step { wait, until: Some(Condition::Leader), ..Step::default() };
    let begin = |fault| Step { begin: Some(fault), ..wait(SECOND / 2) };
    let mut steps = Vec::from(until_deposed(0, Fault::Transfer(Target::Follower)));
    steps.extend([
        begin(Fault::Shrink(Target::Leader)),
        wait(SECOND),
        begin(Fault::Snapshot(Target::All)),
        begin(Fault::Replace(Target::Follower)),
        wait(SECOND),
        begin(Fault::Grow),
        wait(SECOND),
        begin(Fault::Restart(Restart::Rolling(Target::All))),
        Step { duration: SECOND, ..begin(Fault::Upgrade(Target::All)) },
        wait(3 * SECOND),
    ]);
    let report = carry_out(steps, async |cluster| {
        let members = cluster.members();
        assert_eq!(members.len(), 3, "{members:?}");
        let deadline = std::time::Instant::now() + PATIENCE;
        let decided = cluster.operator().members(deadline).await.unwrap();
        assert_eq!(decided, members.iter().copied().collect::<BTreeSet<_>>());
        // Whoever stayed throughout runs the new program, and so does who is running at all.
        let status = cluster.poll().await;
        assert!(members.iter().all(|node| status.nodes[node].status.is_some()), "{status:?}");
        assert!(!cluster.upgraded().is_empty());
    });
    assert_eq!(report.faults.len(), 7);
    let order = report.faults.iter().find(|it| matches!(it.scheduled.fault, Fault::Shrink(_)));
    assert_eq!(
        order.unwrap().leader.map(|leader| vec![leader]),
        Some(order.unwrap().nodes.clone())
    );
}
