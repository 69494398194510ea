//! Plans survive being written and read; mistakes in them are named.

use super::*;
use crate::fault::{Condition, Links, Restart, Step, Topology};
use crate::messages::{MessageAction, MessageKind, MessageRule};
use crate::system::NodeId;

#[test]
fn a_settled_plan_is_read_as_it_was_written() {
    for seed in 0..20 {
        let plan = Plan {
            seed: Seed::new(seed).derive("some run"),
            placements: vec![Placement::Random, Placement::Pinned(NodeId::new(2))],
            node: NodePlan {
                bin: Some("/bin/node".into()),
                upgrade: Some("/bin/next".into()),
                flaws: vec!["local-reads".into()],
                snapshot: SnapshotPlan { entries: 7, keep: 3 },
                lease: Some(LeasePlan { drift: "5%".into() }),
            },
            workload: WorkloadPlan {
                name: "set".into(),
                sessions: seed % 2 == 0,
                read_percent: Some(20),
                zipf: 1.5,
                value_size: 100,
                ..WorkloadPlan::default()
            },
            ..Plan::default()
        }
        .settled();
        let text = plan.print().unwrap();
        assert_eq!(Plan::parse(&text).unwrap(), plan, "{text}");
        // Nothing is left to settle.
        assert_eq!(plan.clone().settled(), plan);
    }
}

#[test]
fn every_fault_can_be_written_down() {
    let span = Duration::from_millis(70);
    let mut faults = vec![
        Fault::Partition(Topology::Halves),
        Fault::Partition(Topology::RandomHalves),
        Fault::Partition(Topology::Bridge),
        Fault::Partition(Topology::MajoritiesRing),
        Fault::Partition(Topology::LeaderWithClients),
        Fault::Grow,
        Fault::Flap { topology: Topology::Bridge, period: span },
        Fault::Flap { topology: Topology::Outbound(Target::Leader), period: span },
    ];
    let drop_all = MessageRule { kind: None, percent: 100, action: MessageAction::Drop };
    let kind = Some(MessageKind::RequestVoteResponse);
    let delay_votes = MessageRule { kind, percent: 1, action: MessageAction::Delay(span) };
    let named = Target::NAMED.into_iter();
    for target in named.chain([Target::Node(NodeId::new(2))]) {
        faults.extend([
            Fault::Kill(target),
            Fault::Pause(target),
            Fault::Shrink(target),
            Fault::Replace(target),
            Fault::Transfer(target),
            Fault::Snapshot(target),
            Fault::Upgrade(target),
            Fault::Restart(Restart::AtOnce(target)),
            Fault::Restart(Restart::Rolling(target)),
            Fault::Delay { links: Links::To(target), latency: span, jitter: Duration::ZERO },
            Fault::Throttle { links: Links::From(target), bytes_per_second: 1_000 },
            Fault::Refuse(Links::Both(target)),
            Fault::Reset(Links::Clients(target)),
            Fault::Blackhole(Links::To(target)),
            Fault::Messages { links: Links::From(target), rule: drop_all },
            Fault::Messages { links: Links::Both(target), rule: delay_votes },
            Fault::Partition(Topology::Outbound(target)),
            Fault::Partition(Topology::Inbound(target)),
        ]);
        if target != Target::All {
            faults.push(Fault::Partition(Topology::Isolate(target)));
        }
    }
    let schedule = faults.into_iter().map(|fault| ScheduledFault {
        at: Duration::from_millis(1_234),
        duration: Duration::from_secs(90),
        fault,
        draw: None,
    });
    let schedule: Vec<_> = schedule.collect();
    let begin = |(step, it): (usize, &ScheduledFault)| Step {
        begin: Some(it.fault),
        name: Some(format!("f{step}")),
        until: (step % 2 == 0).then_some(Condition::NewLeader),
        duration: span * u32::from(step % 3 == 0),
        ..Step::default()
    };
    let mut steps: Vec<Step> = schedule.iter().enumerate().map(begin).collect();
    steps.push(Step { wait: span, end: Some("f0".into()), ..Step::default() });
    let sequence = vec![Sequence { at: span, steps }];
    let node = NodePlan { upgrade: Some("next".into()), ..NodePlan::default() };
    for schedule in [Some(schedule), Some(Vec::new()), None] {
        let sequence = sequence.clone();
        let plan = Plan { schedule, sequence, node: node.clone(), ..Plan::default() };
        let text = plan.print().unwrap();
        assert_eq!(Plan::parse(&text).unwrap(), plan, "{text}");
    }
}

#[test]
fn plans_of_old_say_what_they_said() {
    let text = r#"
        faults = ["kill", "pause", "partition"]
        [storm]
        calm = "1s"
        gap_min = "500ms"
        gap_max = "2s"
        duration_min = "1s"
        duration_max = "5s"
        targets = ["one", "minority", "leader", "follower"]
        [[schedule]]
        at = "2s 500ms"
        draw = 7
        duration = "3s"
        fault = { partition = { isolate = "leader" } }
        [[schedule]]
        at = "3s"
        duration = "3s"
        fault = { partition = "halves" }
        [[schedule]]
        at = "4s"
        duration = "3s"
        fault = { kill = "n1" }
    "#;
    let plan = Plan::parse(text).unwrap();
    assert_eq!(plan.faults.len(), 3);
    let schedule = plan.schedule.unwrap();
    assert_eq!(schedule[0].fault, Fault::Partition(Topology::Isolate(Target::Leader)));
    assert_eq!(schedule[2].fault, Fault::Kill(Target::Node(NodeId::new(1))));
}

#[test]
fn everything_means_what_there_is_time_and_means_for() {
    let families = |text: &str| {
        let plan = Plan::parse(text).unwrap().settled();
        let came: BTreeSet<Family> = plan.faults().map(Fault::family).collect();
        assert!(came.is_subset(&plan.faults), "{text}");
        // What is settled says the same again, and its storm is one of these families.
        assert_eq!(Plan::parse(&plan.print().unwrap()).unwrap(), plan);
        let again = Plan { schedule: None, ..plan.clone() };
        again.check().unwrap();
        assert_eq!(again.settled().faults().map(Fault::family).collect::<BTreeSet<_>>(), came);
        came
    };
    let all = families("time_limit = \"60s\"");
    assert!(all.len() == Family::ALL.len() - 1 && !all.contains(&Family::Upgrade), "{all:?}");
    assert_eq!(families("faults = [\"upgrade\"]\n[node]\nupgrade = \"b\"").len(), 1);
    let few = families("time_limit = \"4s\"");
    assert!(!few.is_empty() && few.len() < all.len(), "{few:?}");
    assert_eq!(families("faults = [\"delay\"]"), [Family::Delay].into());
    assert!(families("faults = []").is_empty());
    let swarm = |seed| families(&format!("seed = {seed}\n[storm]\nswarm = true"));
    assert_eq!(swarm(1), swarm(1));
    assert!((2..10).any(|seed| swarm(seed) != swarm(1)));
    let few = |seed| {
        families(&format!("seed = {seed}\nfaults = [\"kill\", \"pause\"]\n[storm]\nswarm = true"))
    };
    assert!((1..10).any(|seed| few(seed).len() == 1));
    // A disk of a minority is none of the targets there are.
    let text = "time_limit = \"60s\"\n[storm]\ntargets = [\"minority\"]\nweights = { kill = 0 }";
    let most = families(text);
    assert!(!most.contains(&Family::Disk) && !most.contains(&Family::Kill), "{most:?}");
    assert!(most.contains(&Family::Pause), "{most:?}");
}

#[test]
fn who_asks_for_everything_still_does_when_the_plan_is_settled() {
    let asks = |text: &str| Plan::parse(text).unwrap().settled().asks_for_everything();
    assert!(asks("system = \"etcd\"\n[workload]\nname = \"register\""));
    assert!(asks("[storm]\nswarm = true"));
    assert!(!asks("faults = [\"kill\", \"disk\"]"));
    // A schedule names its faults.
    let fault = "[[schedule]]\nat = \"1s\"\nduration = \"1s\"\nfault = { disk-full = \"one\" }\n";
    let plan = Plan::parse(fault).unwrap().settled();
    assert_eq!((&plan.faults, plan.by_hand), (&[Family::Disk].into(), true));
    assert_eq!(Plan::parse(&plan.print().unwrap()).unwrap(), plan);
    assert!(!Plan::parse(&format!("faults = [\"disk\"]\n{fault}")).unwrap().by_hand);
    assert!(Plan::parse("schedule = []").unwrap().faults.is_empty());
}

#[test]
fn a_fault_is_easy_to_read() {
    let fault = ScheduledFault {
        at: Duration::from_millis(2_500),
        duration: Duration::from_secs(3),
        fault: Fault::Partition(Topology::Isolate(Target::Leader)),
        draw: Some(Seed::new(7)),
    };
    let plan = Plan { schedule: Some(vec![fault]), ..Plan::default() };
    let expected = r#"
[[schedule]]
at = "2s 500ms"
draw = 7
duration = "3s"
fault = { partition = { isolate = "leader" } }
"#;
    let text = plan.print().unwrap();
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn faults_draw_apart_from_each_other() {
    let fault = ScheduledFault {
        at: Duration::from_secs(1),
        duration: Duration::from_secs(1),
        fault: Fault::Kill(Target::One),
        draw: None,
    };
    let plan = Plan { schedule: Some(vec![fault.clone(), fault]), ..Plan::default() };
    let settled = plan.settled().schedule.unwrap();
    assert_ne!(settled[0].draw, settled[1].draw);
}

/// A plan of this text is refused, in one line that says this and where.
fn check_refused(text: &str, expected: &str) {
    let error = Plan::parse(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    check_refused("nodes = 3\nnods = 4", "plan:2:1: unknown field `nods`");
    check_refused("nodes = ", "plan:1:");
    check_refused("nodes = \"five\"", "plan:1:9: invalid type");
    check_refused("time_limit = \"soon\"", "is no duration such as");
    check_refused("faults = [\"meteor\"]", "unknown variant `meteor`");
    check_refused("seed = -1", "plan:1:8");
    let entry = "[[schedule]]\nat = \"1s\"\nduration = \"1s\"\n";
    check_refused(&format!("{entry}fault = {{ kill = \"captain\" }}"), "plan:4:");
    check_refused(&format!("{entry}fault = {{ kill = \"captain\" }}"), "no target \"captain\"");
    check_refused(&format!("{entry}fault = {{ flood = \"one\" }}"), "unknown variant `flood`");
    check_refused(&format!("{entry}loud = true\nfault = {{ kill = \"one\" }}"), "plan:4:1");
    check_refused(entry, "missing field `fault`");
}

#[test]
fn the_impossible_is_refused() {
    check_refused("system = \"abacus\"", "`system` \"abacus\" is none of");
    check_refused("nodes = 0", "`nodes` must be from 1");
    check_refused("rate = -1.0", "`rate`");
    check_refused("rate = inf", "`rate`");
    check_refused("concurrency = 0", "`concurrency` must be at least 1");
    check_refused("[workload]\nkeys = 0", "`workload.keys`");
    check_refused("concurrency = 16385", "`concurrency` must be at most 16384");
    check_refused(
        "[workload]\nname = \"abacus\"",
        "`workload.name` \"abacus\" is none of: ledger, ",
    );
    check_refused("[workload]\nread_percent = 101", "`workload.read_percent` must be at most 100");
    check_refused(
        "[workload]\nname = \"lock\"\nread_percent = 50",
        "the workload lock reads nothing",
    );
    check_refused("[workload]\nzipf = -0.5", "`workload.zipf` must be from 0 to 10");
    check_refused("[workload]\nzipf = nan", "`workload.zipf`");
    check_refused("[workload]\nvalue_size = 1", "`workload.value_size` has no meaning");
    let large = "[workload]\nname = \"register\"\nvalue_size = 1000000";
    check_refused(large, "`workload.value_size` must be at most 262144");
    check_refused("time_limit = \"0s\"", "`time_limit`");
    check_refused("time_limit = \"2s\"", "`time_limit` must be at least 3s 500ms");
    let three = "faults = [\"kill\", \"pause\", \"partition\"]\ntime_limit = \"4s\"";
    check_refused(three, "`time_limit` must be at least 5s");
    check_refused("faults = [\"upgrade\"]", "`faults` have upgrade, for which there is ");
    check_refused("[storm]\noverlap = 0", "`storm.overlap`");
    check_refused("[storm]\npause_min = \"1h\"", "`storm.pause_min`");
    check_refused("[storm]\nlatency_max = \"0s\"", "`storm.latency_max`");
    check_refused("[storm]\nbytes_per_second_min = 0", "`storm.bytes_per_second_min`");
    check_refused("[storm.weights]\nmeteor = 1", "unknown variant `meteor`");
    check_refused("[storm.weights]\nkill = 1000001", "`storm.weights` must be at most 1000000");
    let none = "faults = [\"kill\", \"pause\"]\n[storm.weights]\nkill = 0";
    check_refused(none, "`storm.weights` leave out kill, which `faults` names");
    let many = "faults = [\"kill\", \"disk\"]\n[storm]\ntargets = [\"minority\", \"all\"]";
    check_refused(many, "`storm.targets` leave out disk, which `faults` names");
    let nothing: String = Family::ALL.iter().map(|family| format!("{family} = 0\n")).collect();
    check_refused(&format!("[storm.weights]\n{nothing}"), "`storm.weights` leave out every fault");
    let entry = "[[schedule]]\nat = \"1s\"\nduration = \"1s\"\nfault = ";
    let flap = "{ flap = { topology = \"bridge\", period = \"1ms\" } }";
    check_refused(&format!("{entry}{flap}"), "`schedule` flaps faster");
    let isolate = "{ partition = { isolate = \"all\" } }";
    check_refused(&format!("{entry}{isolate}"), "which cuts nothing");
    let throttle = "{ throttle = { links = { to = \"n1\" }, bytes_per_second = 0 } }";
    check_refused(&format!("{entry}{throttle}"), "which is a blackhole");
    check_refused(&format!("{entry}{{ refuse = {{ to = \"n9\" }} }}"), "targets n9");
    let sequence = "[[sequence]]\nat = \"1s\"\nsteps = ";
    check_refused(&format!("{sequence}[{{ end = \"cut\" }}]"), "which is not in force");
    check_refused(&format!("{sequence}[]"), "begins no fault");
    let late = "[[sequence]]\nat = \"30s\"\nsteps = [{ begin = { kill = \"one\" } }]";
    check_refused(late, "when `time_limit` has ended the storm");
    check_refused("time_limit = \"8days\"", "`time_limit` must be at most 7days");
    check_refused("[node]\nflaws = [\"local-writes\"]", "no flaw \"local-writes\"");
    check_refused("nodes = 3\nplacements = [\"n3\", \"n4\"]", "name n4, but there are 3 nodes");
    check_refused("placements = [\"captain\"]", "is leader, random, or a node such as n1");
    check_refused("[storm]\ngap_max = \"1ms\"", "`storm.gap_max`");
    check_refused("[storm]\ntargets = []", "`storm.targets`");
    check_refused(
        "nodes = 3\n[[schedule]]\nat = \"1s\"\nduration = \"1s\"\nfault = { kill = \"n4\" }",
        "targets n4, but there are 3 nodes",
    );
}

#[test]
fn a_schedule_of_ones_own_may_be_as_short_as_one_likes() {
    let text = "time_limit = \"1s\"\nschedule = []";
    assert_eq!(Plan::parse(text).unwrap().schedule, Some(Vec::new()));
    assert!(Plan::parse("time_limit = \"1s\"\nfaults = []").is_ok());
}

#[test]
fn clients_are_placed_as_the_plan_says_or_mixed() {
    let plan = Plan::parse("concurrency = 4\nplacements = [\"n2\", \"leader\"]").unwrap();
    let asked = [Placement::Pinned(NodeId::new(2)), Placement::LeaderFollowing];
    assert_eq!(plan.client_placements(), asked);
    let mixed = Plan::default().client_placements();
    assert_eq!(mixed.len(), 10);
    assert_eq!(mixed.iter().filter(|it| **it == Placement::LeaderFollowing).count(), 7);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Plan::read(Path::new("no/such/plan.toml")).unwrap_err();
    assert!(error.to_string().contains("no/such/plan.toml"), "{error}");
}

#[test]
fn faults_of_machines_are_read_as_they_are_printed_and_bounded() {
    let read = |fault: &str| {
        Plan::parse(&format!("[[schedule]]\nat = \"1s\"\nduration = \"1s\"\nfault = {fault}\n"))
    };
    for (text, said) in [
        ("{ power-loss = { target = \"all\" } }", "power loss of all"),
        ("{ power-loss = { target = \"n1\", torn = true } }", "power loss of n1 with torn writes"),
        ("{ disk-full = \"leader\" }", "full disk of leader"),
        ("{ slow-sync = { target = \"one\", delay = \"5s\" } }", "slow syncs of one by 5s"),
        ("{ failing-sync = { target = \"one\" } }", "failing syncs of one"),
        ("{ failing-sync = { target = \"one\", once = true } }", "one failing sync of one"),
        ("{ damage = { target = \"one\", damage = \"bit-flip\" } }", "bit flip of one"),
        (
            "{ damage = { target = \"leader\", damage = \"truncated-tail\", replaced = true } }",
            "truncated tail of leader, to be replaced",
        ),
        ("{ clock-ahead = { target = \"one\", by = \"1day\" } }", "clock of one ahead by 1day"),
        ("{ clock-back = { target = \"one\", by = \"1s\" } }", "clock of one back by 1s"),
        ("{ clock-drift = { target = \"one\", percent = 50 } }", "clock of one at 50 %"),
    ] {
        let plan = read(text).unwrap();
        assert_eq!(plan.schedule.as_ref().unwrap()[0].fault.to_string(), said);
        assert_eq!(Plan::parse(&plan.print().unwrap()).unwrap(), plan, "{text}");
    }
    for (text, said) in [
        ("{ slow-sync = { target = \"one\", delay = \"6s\" } }", "longer than 5s"),
        ("{ clock-drift = { target = \"one\", percent = 0 } }", "1 to 10000 percent"),
        ("{ clock-back = { target = \"one\", by = \"25h\" } }", "more than a day"),
        ("{ power-loss = { target = \"one\", when = \"now\" } }", "unexpected keys"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
