//! Both sides are proven: nodes that make a mistake are found out, and what is found can be shrunk.

use sim::{Flaw, Plan, RunOptions, RunReport, Seed, Wishes, run, shrink};

/// Seeds within which each flaw must be found.
const SEEDS: u64 = 400;

fn plan(seed: u64, flaw: Option<Flaw>) -> Plan {
    Plan::draw(Seed(seed), &Wishes { flaw, ..Wishes::default() })
}

/// Returns the first run in which the flaw is found.
fn find(flaw: Flaw) -> RunReport {
    let reports = (0..SEEDS).map(|seed| run(&plan(seed, Some(flaw)), RunOptions::default()));
    let mut failing = reports.filter(|report| report.verdict.failure().is_some());
    failing.next().unwrap_or_else(|| panic!("{flaw} is not found in {SEEDS} seeds"))
}

#[test]
fn every_flaw_is_found() {
    for flaw in Flaw::ALL {
        let report = find(flaw);
        let failure = report.verdict.failure().unwrap();
        println!("{flaw}: seed {}: {}", report.plan.seed, failure.kind());
    }
}

/// What clients see gives a flaw away that leaves every log in order.
#[test]
fn flaws_that_only_clients_see_are_found_by_the_checker() {
    for flaw in [Flaw::LocalReads, Flaw::ForgetSessions, Flaw::UnknownAsFailed] {
        assert_eq!(find(flaw).verdict.failure().unwrap().kind(), "Linearizability", "{flaw}");
    }
}

#[test]
fn a_schedule_shrinks_to_what_the_failure_needs() {
    let mut shrunk_some = false;
    for flaw in [Flaw::HastySnapshot, Flaw::AckBeforeDurable] {
        let report = find(flaw);
        let kind = report.verdict.failure().unwrap().kind();
        let shrunk = shrink(&report.plan, RunOptions::default(), |_| {}).unwrap();
        let left = shrunk.report.plan.faults.len();
        println!("{flaw}: {left} of {} faults left after {} runs", shrunk.before, shrunk.runs);
        assert_eq!(shrunk.report.verdict.failure().unwrap().kind(), kind);
        shrunk_some |= left < shrunk.before;
        // Nothing more can go.
        for fault in &shrunk.report.plan.faults {
            let mut fewer = shrunk.report.plan.clone();
            fewer.faults.retain(|other| other.id != fault.id);
            let report = run(&fewer, RunOptions::default());
            let still = report.verdict.failure().is_some_and(|failure| failure.kind() == kind);
            assert!(!still, "{flaw} fails without {fault} as well");
        }
    }
    assert!(shrunk_some);
}

#[test]
fn what_passes_does_not_shrink() {
    assert!(shrink(&plan(0, None), RunOptions::default(), |_| {}).is_none());
}
