//! Each check finds what it is for, and the worst of them is the verdict.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::fault::{Fault, ScheduledFault, Sequence, Step, Target};
use crate::plan::WorkloadPlan;
use crate::system::NodeId;
use crate::workload;

const GOOD: &str = r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"write","key":"k1","value":1}
{"index":1,"time":2,"process":0,"type":"ok","f":"write","key":"k1","value":1}
{"index":2,"time":3,"process":1,"type":"invoke","f":"read","key":"k1","value":null}
{"index":3,"time":4,"process":1,"type":"ok","f":"read","key":"k1","value":1}
"#;

fn register() -> Arc<dyn Workload> {
    let plan = WorkloadPlan { name: "register".into(), ..WorkloadPlan::default() };
    workload::by_name(&plan).unwrap().into()
}

/// A plan with one fault and what was seen when all went well.
fn fair_weather() -> (Plan, Observed) {
    let kill = vec![scheduled(Fault::Kill(Target::Leader))];
    let plan = Plan { faults: [Family::Kill].into(), schedule: Some(kill), ..Plan::default() };
    let ok = |f: &'static str| (f.to_owned(), Tally { ok: 9, refused: 1, ..Tally::default() });
    let observed = Observed {
        storm_operations: register().functions().into_iter().map(ok).collect(),
        faults: [(Family::Kill, Counts { installed: 1, ..Counts::default() })].into(),
        leader_hits: 1,
        elections: 2,
        recovered_after: Some(Duration::from_millis(300)),
        ..Observed::default()
    };
    (plan, observed)
}

/// Judges this history and these observations.
fn verdict(history: &str, change: impl FnOnce(&mut Plan, &mut Observed)) -> Judgement {
    let (mut plan, mut observed) = fair_weather();
    change(&mut plan, &mut observed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    fs::write(&path, history).unwrap();
    let events = Some(history.lines().count() as u64);
    let facts = Facts { is_whole: true, events, observed };
    let evidence = Evidence { plan, workload: register(), facts };
    judge(&evidence, path, Options::default()).0
}

fn failing(judgement: &Judgement) -> Vec<(&'static str, RunVerdict)> {
    let checks = judgement.checks.iter().filter(|check| check.verdict != RunVerdict::Pass);
    checks.map(|check| (check.name, check.verdict)).collect()
}

fn coverage(judgement: &Judgement) -> &Check {
    judgement.checks.iter().find(|check| check.name == "coverage").unwrap()
}

#[test]
fn a_run_in_which_all_went_well_passes() {
    let judgement = verdict(GOOD, |_, _| {});
    assert_eq!(judgement.verdict, RunVerdict::Pass, "{}", judgement.describe());
}

#[test]
fn each_check_finds_what_it_is_for() {
    type Change = fn(&mut Plan, &mut Observed);
    let cases: [(&str, Change, RunVerdict); 12] = [
        (
            "recovery",
            |_, it| it.not_recovered = Some("n2 stays away".into()),
            RunVerdict::Violation,
        ),
        ("recovery", |_, it| it.recovered_after = None, RunVerdict::Unknown),
        (
            "nodes",
            |_, it| {
                let node = NodeId::new(3);
                it.unexpected_exits = vec![UnexpectedExit { node, exit: Exit::Code(4) }];
            },
            RunVerdict::Violation,
        ),
        (
            "nodes",
            |_, it| {
                let exit = Exit::Signal(Signal::SIGKILL as i32);
                it.unexpected_exits = vec![UnexpectedExit { node: NodeId::new(3), exit }];
            },
            RunVerdict::HarnessFailure,
        ),
        (
            "nodes",
            |_, it| {
                let nodes = [1, 2].map(NodeId::new).into();
                it.rivals = vec![Rivals { term: 4, nodes }];
            },
            RunVerdict::Violation,
        ),
        (
            "nodes",
            |_, it| {
                let nonsense = Tally { fail: 2, nonsense: 2, ..Tally::default() };
                it.operations = [("read".into(), nonsense)].into();
            },
            RunVerdict::Violation,
        ),
        ("coverage", |_, it| it.faults.clear(), RunVerdict::Unknown),
        (
            "coverage",
            |_, it| it.faults.get_mut(&Family::Kill).unwrap().indeterminate = 1,
            RunVerdict::Unknown,
        ),
        ("coverage", |_, it| it.fault_troubles = vec!["n1 stays down".into()], RunVerdict::Unknown),
        ("coverage", |_, it| it.ended_early = Some("a violation".into()), RunVerdict::Unknown),
        // It was answered, but only ever with a refusal.
        (
            "coverage",
            |_, it| it.storm_operations.get_mut("cas").unwrap().refused = 9,
            RunVerdict::Unknown,
        ),
        (
            "harness",
            |_, it| it.harness_failures = vec!["disk full".into()],
            RunVerdict::HarnessFailure,
        ),
    ];
    for (name, change, expected) in cases {
        let judgement = verdict(GOOD, change);
        assert_eq!(failing(&judgement), [(name, expected)], "{}", judgement.describe());
        assert_eq!(judgement.verdict, expected);
    }
}

fn scheduled(fault: Fault) -> ScheduledFault {
    let second = Duration::from_secs(1);
    ScheduledFault { at: second, duration: second, fault, draw: None }
}

#[test]
fn who_asks_for_everything_gets_what_the_machine_allows_and_who_names_faults_all_of_them() {
    let all = BTreeSet::from(Family::ALL);
    let named: BTreeSet<Family> = [Family::Kill, Family::Pause, Family::Disk].into();
    let (kill_pause, disk) = (&[Family::Kill, Family::Pause][..], &[Family::Disk][..]);
    for (asked, bit, lacking, expected) in [
        (&all, &[Family::Kill, Family::Pause, Family::Disk][..], &[][..], RunVerdict::Pass),
        (&all, kill_pause, disk, RunVerdict::Pass),
        // What the machine does not lack found nobody to hurt: enough others did.
        (&all, kill_pause, &[], RunVerdict::Pass),
        (&all, &[Family::Kill], &[], RunVerdict::Unknown),
        (&all, &[], disk, RunVerdict::Unknown),
        // As many as that are not most.
        (&all, &[Family::Kill], disk, RunVerdict::Unknown),
        (&named, kill_pause, disk, RunVerdict::Unknown),
        (&named, kill_pause, &[], RunVerdict::Unknown),
    ] {
        let judgement = verdict(GOOD, |plan, observed| {
            let others = [Fault::Pause(Target::One), Fault::DiskFull(Target::One)];
            plan.schedule.as_mut().unwrap().extend(others.map(scheduled));
            plan.faults.clone_from(asked);
            let installed = Counts { installed: 1, ..Counts::default() };
            observed.faults = bit.iter().map(|&family| (family, installed)).collect();
            observed.lacking = lacking.iter().map(|&it| (it, "no disks".into())).collect();
        });
        assert_eq!(judgement.verdict, expected, "{bit:?} of {asked:?}: {}", judgement.describe());
        if asked == &all && bit == kill_pause {
            let machine = "took effect but disk, for which this machine has no disks, every";
            let vain = "took effect but no disk: none is known to have hurt anybody, every";
            let said = if lacking.is_empty() { vain } else { machine };
            assert!(coverage(&judgement).summary.contains(said), "{}", judgement.describe());
        }
    }
}

#[test]
fn a_machine_that_allows_no_fault_has_shown_nothing() {
    for indeterminate in [0, 1] {
        let judgement = verdict(GOOD, |plan, observed| {
            plan.faults = Family::ALL.into();
            plan.schedule = Some(vec![scheduled(Fault::DiskFull(Target::One))]);
            let counts = Counts { skipped: 1, indeterminate, ..Counts::default() };
            observed.faults = [(Family::Disk, counts)].into();
            observed.lacking = [(Family::Disk, "no disks".into())].into();
        });
        assert_eq!(failing(&judgement), [("coverage", RunVerdict::Unknown)]);
    }
}

#[test]
fn everything_is_still_asked_for_when_the_plan_is_settled() {
    let judgement = verdict(GOOD, |plan, observed| {
        let settled = Plan::default().settled();
        let families = settled.faults().map(Fault::family).collect::<BTreeSet<_>>();
        *plan = settled;
        let installed = Counts { installed: 1, ..Counts::default() };
        let is_of_disks = |family: &&Family| family.needs_disk();
        let (disks, others): (Vec<_>, Vec<_>) = families.iter().partition(is_of_disks);
        assert_eq!(disks.len(), 2);
        observed.faults = others.into_iter().map(|&family| (family, installed)).collect();
        observed.lacking = disks.into_iter().map(|&it| (it, "no disks".into())).collect();
    });
    assert_eq!(failing(&judgement), [], "{}", judgement.describe());
    let summary = &coverage(&judgement).summary;
    assert!(summary.contains("but power and disk, for which"), "{summary}");
}

#[test]
fn faults_of_a_sequence_have_to_bite_like_those_of_a_schedule() {
    for (bit, expected) in [(true, RunVerdict::Pass), (false, RunVerdict::Unknown)] {
        let judgement = verdict(GOOD, |plan, observed| {
            let pause = Some(Fault::Pause(Target::Leader));
            let steps = vec![Step { begin: pause, ..Step::default() }];
            plan.schedule = Some(vec![]);
            plan.sequence = vec![Sequence { at: Duration::from_secs(1), steps }];
            let counts = match bit {
                true => Counts { installed: 1, ..Counts::default() },
                false => Counts { skipped: 1, ..Counts::default() },
            };
            observed.faults = [(Family::Pause, counts)].into();
        });
        assert_eq!(judgement.verdict, expected, "{}", judgement.describe());
    }
}

#[test]
fn a_storm_that_may_depose_leaders_has_to_hit_one_or_to_see_another() {
    let [leader, follower, one] = [Target::Leader, Target::Follower, Target::One].map(Fault::Kill);
    for (fault, by_hand, hits, elections, expected) in [
        (leader, false, 0, 1, RunVerdict::Unknown),
        (leader, false, 1, 1, RunVerdict::Pass),
        (leader, false, 0, 2, RunVerdict::Pass),
        (follower, false, 0, 1, RunVerdict::Pass),
        (one, false, 0, 1, RunVerdict::Unknown),
        // Who writes it down means anybody.
        (one, true, 0, 1, RunVerdict::Pass),
        (leader, true, 0, 1, RunVerdict::Unknown),
    ] {
        let judgement = verdict(GOOD, |plan, observed| {
            plan.by_hand = by_hand;
            plan.schedule = Some(vec![scheduled(fault)]);
            observed.leader_hits = hits;
            observed.elections = elections;
        });
        assert_eq!(judgement.verdict, expected, "{fault}: {}", judgement.describe());
        let says_spared = coverage(&judgement).summary.contains("no leader was hit");
        assert_eq!(says_spared, hits == 0 && elections == 1);
    }
}

#[test]
fn people_are_told_how_many_snapshots_travelled() {
    for (snapshots, said) in [(Some(12), "snapshots           12\n"), (None, "unknown\n")] {
        let judgement = verdict(GOOD, |_, observed| observed.snapshots = snapshots);
        assert!(judgement.describe().ends_with(said), "{}", judgement.describe());
    }
}

#[test]
fn a_violation_outweighs_a_failure_of_the_harness() {
    let stale =
        GOOD.replace(r#""f":"read","key":"k1","value":1}"#, r#""f":"read","key":"k1","value":7}"#);
    for failure in [INTERRUPTED, "disk full"] {
        let judgement = verdict(&stale, |_, it| {
            it.harness_failures = vec![failure.into()];
            it.recovered_after = None;
        });
        assert_eq!(judgement.verdict, RunVerdict::Violation, "{}", judgement.describe());
        assert_eq!(judgement.verdict.exit_code(), 1);
    }
}

#[test]
fn silence_proves_nothing_on_a_machine_that_broke() {
    let silent = |change: fn(&mut Observed)| {
        failing(&verdict(GOOD, |_, it| {
            it.not_recovered = Some("n2 stays away".into());
            change(it);
        }))
    };
    fn exit(exit: Exit) -> Vec<UnexpectedExit> {
        vec![UnexpectedExit { node: NodeId::new(3), exit }]
    }
    let (unknown, failed) = (("recovery", RunVerdict::Unknown), RunVerdict::HarnessFailure);
    let by_harness = silent(|it| it.harness_failures = vec!["disk full".into()]);
    assert_eq!(by_harness, [unknown, ("harness", failed)]);
    let by_hand = silent(|it| it.harness_failures = vec![INTERRUPTED.into()]);
    assert_eq!(by_hand, [("recovery", RunVerdict::Violation), ("harness", failed)]);
    let by_memory = silent(|it| it.unexpected_exits = exit(Exit::Signal(Signal::SIGKILL as i32)));
    assert_eq!(by_memory, [unknown, ("nodes", failed)]);
    // A node that ends by itself is the system's own doing.
    let broken = RunVerdict::Violation;
    let by_itself = silent(|it| it.unexpected_exits = exit(Exit::Code(4)));
    assert_eq!(by_itself, [("recovery", broken), ("nodes", broken)]);
}

#[test]
fn a_history_that_lost_events_is_not_judged_for_whole() {
    let (plan, observed) = fair_weather();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let lost_two: String = GOOD.lines().take(2).map(|line| format!("{line}\n")).collect();
    let facts = Facts { is_whole: true, events: Some(4), observed };
    let evidence = Evidence { plan, workload: register(), facts };
    for rest in [lost_two, format!("{GOOD}{{\"index\":4,\"ti")] {
        fs::write(&path, rest).unwrap();
        let (judgement, _) = judge(&evidence, path.clone(), Options::default());
        assert_eq!(judgement.verdict, RunVerdict::HarnessFailure);
    }
}

/// What the harness of a run in fair weather left when it was killed in the middle of a line.
fn judge_remains(change: impl FnOnce(&mut Observed)) -> Judgement {
    let kill = r#"{"index":4,"time":5,"process":"nemesis","type":"info","f":"kill","value":{"edge":"begin","fault":"kill leader","nodes":["n1"],"leader":"n1","result":"installed","took_ns":1}}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    fs::write(&path, format!("{GOOD}{kill}\n{{\"index\":5,\"ti")).unwrap();
    let (plan, _) = fair_weather();
    let mut facts = Facts::default();
    change(&mut facts.observed);
    judge(&Evidence { plan, workload: register(), facts }, path, Options::default()).0
}

#[test]
fn what_a_killed_harness_left_is_judged_as_far_as_it_goes() {
    let judgement = judge_remains(|_| {});
    let expected = [
        ("recovery", RunVerdict::Unknown),
        ("coverage", RunVerdict::Unknown),
        ("harness", RunVerdict::HarnessFailure),
    ];
    assert_eq!(failing(&judgement), expected, "{}", judgement.describe());
    let observed = &judgement.observed;
    assert_eq!(observed.faults[&Family::Kill].installed, 1);
    assert_eq!((observed.leader_hits, observed.operations["read"].ok), (1, 1));
    assert_eq!(coverage(&judgement).summary, "no cas succeeded during the storm");
}

#[test]
fn what_a_killed_harness_had_noticed_counts() {
    let nodes = [1, 2].map(NodeId::new).into();
    let judgement = judge_remains(|it| it.rivals = vec![Rivals { term: 4, nodes }]);
    assert_eq!(judgement.verdict, RunVerdict::Violation, "{}", judgement.describe());
}

#[test]
fn the_storm_is_counted_without_what_was_done_before_it() {
    let before = [("open", Tally { ok: 5, ..Tally::default() })].into();
    let mut observed = Observed {
        operations: [
            ("open".into(), Tally { ok: 5, ..Tally::default() }),
            ("trade".into(), Tally { ok: 7, refused: 2, fail: 1, info: 1, ..Tally::default() }),
        ]
        .into(),
        ..Observed::default()
    };
    observed.note_storm(&before);
    assert_eq!(observed.storm_operations["open"], Tally::default());
    assert_eq!(observed.storm_operations["trade"], observed.operations["trade"]);
}
