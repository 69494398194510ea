//! A full disk stops its node, and the node comes back when there is room.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::{
    Fault, FaultId, FaultKind, Plan, RunOptions, RunReport, Seed, Target, Verdict, Wishes, run,
};

/// Runs a seed with no faults but one, which begins after two seconds and lasts one.
fn run_with(seed: u64, kind: FaultKind) -> RunReport {
    let wishes = Wishes { storm: Some(Duration::from_secs(5)), ..Wishes::default() };
    let mut plan = Plan::draw(Seed(seed), &wishes);
    let (at, span) = (Duration::from_secs(2), Duration::from_secs(1));
    plan.faults = vec![Fault { id: FaultId(0), at, span, kind }];
    run(&plan, RunOptions { is_told: true, ..RunOptions::default() })
}

#[test]
fn a_full_disk_stops_its_node_until_there_is_room() {
    let mut stopped = 0;
    for seed in 0..20 {
        let report = run_with(seed, FaultKind::FullDisk(Target::Leader));
        assert!(matches!(report.verdict, Verdict::Pass), "seed {seed}: {}", report.verdict);
        let told = |what: &str| {
            let mut lines = report.story.lines();
            lines.find(|line| line.contains(what)).map(|line| line[..10].trim().parse::<f64>())
        };
        let Some(stop) = told("stops: its disk failed to find room") else { continue };
        let over = told("fault #0 is over").unwrap().unwrap();
        assert!(stop.unwrap() < over + 0.1, "seed {seed}");
        assert_eq!(report.counts.crashes, 1, "seed {seed}: it starts only when there is room");
        let mut starts = report.story.lines().filter(|line| line.ends_with(" starts"));
        let last = starts.next_back().unwrap();
        assert!(last[..10].trim().parse::<f64>().unwrap() >= over, "seed {seed}: {last}");
        stopped += 1;
    }
    assert!(stopped >= 15, "only {stopped} of 20 leaders stopped");
}

#[test]
fn a_scarce_disk_stops_nobody_and_keeps_snapshots_out() {
    let mut refused = 0;
    for seed in 0..20 {
        let report = run_with(seed, FaultKind::ScarceDisk(Target::Leader));
        assert!(matches!(report.verdict, Verdict::Pass), "seed {seed}: {}", report.verdict);
        assert_eq!(report.counts.crashes, 0, "seed {seed}");
        refused += u32::from(report.story.contains("could not save snapshot"));
    }
    assert!(refused > 0, "no snapshot was refused");
}

/// To be stuck makes a disk slower, and never quicker: between the ends of two syncs lies at least one.
#[test]
fn a_disk_that_was_stuck_for_a_moment_ends_no_sync_early() {
    let millis = Duration::from_millis;
    for seed in 0..10 {
        let wishes = Wishes { storm: Some(millis(5000)), ..Wishes::default() };
        let mut plan = Plan::draw(Seed(seed), &wishes);
        (plan.storage.sync, plan.storage.jitter) = (millis(6), Duration::ZERO);
        let stuck = |id: u32| Fault {
            id: FaultId(id),
            at: millis(500) + millis(17) * id,
            span: millis(2),
            kind: FaultKind::StuckDisk(Target::Leader),
        };
        plan.faults = (0..200).map(stuck).collect();
        let report = run(&plan, RunOptions { is_told: true, ..RunOptions::default() });
        let storm = report.story.split("the storm is over").next().unwrap();
        let mut last = BTreeMap::new();
        for line in storm.lines().filter(|line| line.contains(" has writes up to ")) {
            let mut words = line.split_whitespace();
            let time: f64 = words.next().unwrap().parse().unwrap();
            let before = last.insert(words.next().unwrap(), time).unwrap_or_default();
            assert!(time - before > 0.005_99, "seed {seed}: {line}");
        }
        assert!(last.len() > 1, "seed {seed}: only {last:?} wrote");
    }
}
