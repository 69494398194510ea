//! A full disk stops its node, and the node comes back when there is room.

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
        let starts = report.story.lines().filter(|line| line.ends_with(" starts"));
        let last = starts.last().unwrap();
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
