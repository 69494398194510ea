//! The nemesis on clusters of parrots, with a real history.

use std::path::Path;
use std::sync::{Arc, Mutex};

use checker::history::{Event, Process};

use super::*;
use crate::cluster::tests::{Mood, Parrots, Version, give_books, give_disk, say, start_parrots};
use crate::disk::damage::Damage;
use crate::disk::{Ailment, Disk};
use crate::fault::{
    Condition, Family, Fault, Link, Links, Restart, Sequence, Step, Target, Topology, Wire,
};
use crate::process::{ProcessState, Processes};
use crate::recorder::Recording;
use crate::system::Clock;

const MS: Duration = Duration::from_millis(1);
const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);

fn fault(at: u64, duration: u64, fault: Fault) -> ScheduledFault {
    ScheduledFault { at: at as u32 * MS, duration: duration as u32 * MS, fault, draw: None }
}

fn read_history(file: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(file).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    events.collect()
}

struct Outcome {
    report: NemesisReport,
    history: Vec<Event>,
}

/// Runs a schedule on three parrots, of which n2 leads, and looks on with `look`.
async fn run(schedule: Vec<ScheduledFault>, look: impl AsyncFnOnce(Look<'_>)) -> Outcome {
    run_plan(Plan { nodes: 3, schedule: Some(schedule), ..Plan::default() }, look).await
}

async fn run_plan(plan: Plan, look: impl AsyncFnOnce(Look<'_>)) -> Outcome {
    run_parrots(Parrots { version: Version::Old, ..Parrots::default() }, plan, look).await
}

async fn run_parrots(parrots: Parrots, plan: Plan, look: impl AsyncFnOnce(Look<'_>)) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let moods = Arc::clone(&parrots.moods);
    let clocks = Arc::clone(&parrots.clocks);
    let mut cluster = start_parrots(parrots, plan.clone(), folder.path()).await.unwrap();
    let disk = plan.brings(Fault::needs_disk).then(|| give_disk(&mut cluster, folder.path()));
    say(folder.path(), cluster.nodes(), 5, Some(N2));
    let file = folder.path().join("history.jsonl");
    let (recorder, recording) = Recorder::create(&file).unwrap();
    let nemesis = Nemesis::new(&plan);
    let cancel = CancellationToken::new();
    let look = look(Look {
        in_force: nemesis.in_force(),
        processes: cluster.processes(),
        cancel: cancel.clone(),
        run: folder.path().into(),
        moods,
        clocks,
        disk,
        cluster: &cluster,
    });
    let (report, ()) = tokio::join!(nemesis.run(&cluster, &recorder, cancel), look);
    drop(recorder);
    recording.finish().await.unwrap();
    // Whatever was done has been undone.
    assert!(cluster.network().modes().await.is_empty());
    let states = cluster.processes().borrow().states.clone();
    let are_running = cluster.members().iter().all(|it| states[it] == ProcessState::Running);
    assert!(are_running, "{states:?}");
    assert_eq!(cluster.shutdown().await, []);
    let history = read_history(&file);
    Outcome { report, history }
}

struct Look<'a> {
    cluster: &'a Cluster,
    run: std::path::PathBuf,
    moods: Arc<Mutex<Vec<Mood>>>,
    clocks: Arc<Mutex<Vec<(NodeId, Clock)>>>,
    /// That of n1, if the plan hurts disks.
    disk: Option<Arc<Disk>>,
    in_force: watch::Receiver<Vec<String>>,
    processes: watch::Receiver<Processes>,
    cancel: CancellationToken,
}

async fn nothing(_: Look<'_>) {}

/// Renders an event of the nemesis, but for what differs from run to run.
fn describe(event: &Event) -> String {
    assert_eq!(event.process, Process::NEMESIS);
    let value = |key: &str| event.value[key].to_string().replace('"', "");
    format!("{} {} {} {}", event.f, value("edge"), value("nodes"), value("result"))
}

#[tokio::test]
async fn both_edges_of_every_fault_are_recorded() {
    let schedule = vec![
        fault(0, 300, Fault::Kill(Target::Leader)),
        fault(50, 3_000, Fault::Partition(Topology::Isolate(Target::Leader))),
        fault(100, 2_000, Fault::Pause(Target::Node(N1))),
    ];
    let outcome = run(schedule, nothing).await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    // The second fault waits for a leader: n2 is dead, and a parrot elects nobody.
    assert_eq!(
        lines,
        [
            "kill begin [n2] installed",
            "pause begin [n1] installed",
            "kill end [n2] undone",
            "partition begin [n2] installed",
            "pause end [n1] undone",
            "partition end [n2] undone",
        ]
    );
    assert!(outcome.history.is_sorted_by_key(|event| event.time));
    let leader = |edge: usize| outcome.history[edge].value["leader"].to_string();
    // Those that begin say who led: nobody, while n2 was dead.
    assert_eq!([0, 1, 3].map(leader), [r#""n2""#, "null", r#""n2""#]);
    assert_eq!(outcome.report.leader_hits(), 2);
    let counts = outcome.report.counts();
    assert_eq!(counts[&Family::Kill].installed, 1);
    assert_eq!(counts[&Family::Partition].installed, 1);
}

#[tokio::test]
async fn a_fault_waits_for_whom_it_is_to_hit() {
    let schedule = vec![
        fault(0, 300, Fault::Kill(Target::Node(N1))),
        fault(50, 100, Fault::Pause(Target::Node(N1))),
    ];
    let outcome = run(schedule, nothing).await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "kill begin [n1] installed",
            "kill end [n1] undone",
            "pause begin [n1] installed",
            "pause end [n1] undone",
        ]
    );
}

#[tokio::test]
async fn whom_a_fault_hits_follows_from_its_own_draw() {
    let nodes = NodeId::first(3);
    let draws: Vec<Seed> = (0..8).map(Seed::new).collect();
    let schedule = draws.iter().zip(1..).map(|(&draw, place)| ScheduledFault {
        draw: Some(draw),
        ..fault(100 * place, 5, Fault::Pause(Target::One))
    });
    let census = Census { nodes: &nodes, leader: Some(N2) };
    let expected = draws.iter().map(|draw| Target::One.resolve(&census, &mut draw.generator()));
    let expected: Vec<_> = expected.map(Result::unwrap).collect();
    assert!(nodes.iter().all(|node| expected.contains(&vec![*node])), "{expected:?}");
    let outcome = run(schedule.collect(), nothing).await;
    let hit: Vec<_> = outcome.report.faults.into_iter().map(|it| it.nodes).collect();
    assert_eq!(hit, expected);
}

#[tokio::test]
async fn a_partition_cuts_what_it_says() {
    let isolate = Fault::Partition(Topology::Isolate(Target::Leader));
    let outcome = run(vec![fault(0, 50, isolate)], nothing).await;
    let cut = outcome.history[0].value["cut"].to_string();
    assert_eq!(cut, r#"[["n1","n2"],["n2","n1"],["n2","n3"],["n3","n2"]]"#);
    assert_eq!(outcome.report.leader_hits(), 1);
    let record = &outcome.report.faults[0];
    assert!(record.ended.unwrap() >= record.began);
}

#[tokio::test]
async fn overlapping_faults_end_one_by_one() {
    let schedule = vec![
        fault(0, 400, Fault::Pause(Target::Node(N1))),
        fault(50, 100, Fault::Pause(Target::Leader)),
        fault(100, 500, Fault::Kill(Target::Node(N1))),
    ];
    let outcome = run(schedule, nothing).await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "pause begin [n1] installed",
            "pause begin [n2] installed",
            "kill begin [n1] installed",
            "pause end [n2] undone",
            // Nothing is left to continue, and that is no trouble.
            "pause end [n1] undone",
            "kill end [n1] undone",
        ]
    );
}

#[tokio::test]
async fn a_node_that_is_restarted_under_a_pause_is_stopped_again() {
    let schedule = vec![
        fault(0, 3_600_000, Fault::Pause(Target::Node(N1))),
        fault(50, 50, Fault::Kill(Target::Node(N1))),
    ];
    let outcome = run(schedule, async |mut look| {
        let mut states = Vec::new();
        let is_over = |faults: &Vec<String>| faults == &["pause n1 (n1)"];
        tokio::time::timeout(30_000 * MS, async {
            // Both faults first, then one again.
            look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
            let mut state = || look.processes.borrow_and_update().states[&N1];
            states.push(state());
            look.in_force.wait_for(is_over).await.unwrap();
            states.push(state());
        })
        .await
        .unwrap();
        assert_eq!(states, [ProcessState::Killed, ProcessState::Paused]);
        look.cancel.cancel();
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "pause begin [n1] installed",
            "kill begin [n1] installed",
            "kill end [n1] undone",
            "pause end [n1] undone",
        ]
    );
}

#[tokio::test]
async fn a_clock_goes_right_again_while_its_node_is_paused() {
    let back = Fault::ClockBack { target: Target::Node(N1), by: 60_000 * MS };
    let schedule = vec![fault(0, 300, back), fault(50, 3_600_000, Fault::Pause(Target::Node(N1)))];
    let outcome = run(schedule, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        let expected = [(N1, Clock::Back(60_000 * MS)), (N1, Clock::Right)];
        assert_eq!(*look.clocks.lock().unwrap(), expected);
        assert_eq!(look.processes.borrow().states[&N1], ProcessState::Paused);
        look.cancel.cancel();
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "clock begin [n1] installed",
            "pause begin [n1] installed",
            "clock end [n1] undone",
            "pause end [n1] undone",
        ]
    );
}

#[tokio::test]
async fn who_is_started_anew_has_a_clock_that_nobody_has_to_set_right() {
    let by = 60_000 * MS;
    let schedule = vec![
        fault(0, 2_000, Fault::ClockAhead { target: Target::Node(N1), by }),
        fault(50, 100, Fault::Kill(Target::Node(N1))),
    ];
    run(schedule, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        look.in_force.wait_for(Vec::is_empty).await.unwrap();
        assert_eq!(*look.clocks.lock().unwrap(), [(N1, Clock::Ahead(by))]);
    })
    .await;
}

#[tokio::test]
async fn of_two_that_ail_a_disk_one_stays() {
    let target = Target::Node(N1);
    let schedule = vec![
        fault(0, 300, Fault::DiskFull(target)),
        fault(10, 3_600_000, Fault::SlowSync { target, delay: MS }),
    ];
    run(schedule, async |mut look| {
        let disk = look.disk.unwrap();
        let slow = Ailment { sync_delay: MS, ..Ailment::default() };
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        assert_eq!(disk.ailment(), Ailment { is_full: true, ..slow });
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        assert_eq!(disk.ailment(), slow);
        look.cancel.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_torn_write_is_left_of_what_the_power_took() {
    let loss = Fault::PowerLoss { target: Target::Node(N1), torn: true };
    let outcome = run(vec![fault(100, 100, loss)], async |mut look| {
        let disk = look.disk.unwrap();
        disk.scribble();
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        let left = disk.files()[0].1.len();
        assert!((4096..2 * 4096).contains(&left), "{left}");
    })
    .await;
    let notes = outcome.history[0].value["notes"].to_string();
    assert_eq!(notes, r#"["n1 lost 1 writes to 1 files"]"#);
}

#[tokio::test]
async fn steps_that_take_longer_than_their_rhythm_hold_up_nobody() {
    let schedule = vec![
        fault(0, 2_000, Fault::Snapshot(Target::All)),
        fault(1_500, 100, Fault::Kill(Target::Node(N1))),
    ];
    let parrots = Parrots { compaction: 600 * MS, ..Parrots::default() };
    let plan = Plan { nodes: 3, schedule: Some(schedule), ..Plan::default() };
    let outcome = run_parrots(parrots, plan, nothing).await;
    let kill = &outcome.report.faults[1];
    let lasted = kill.ended.unwrap() - kill.began;
    assert!(lasted < 2_000 * MS, "{lasted:?}");
}

#[tokio::test]
async fn what_nobody_felt_was_not_brought() {
    let n1 = Target::Node(N1);
    let schedule = vec![
        fault(0, 50, Fault::DiskFull(n1)),
        fault(100, 3_600_000, Fault::DiskFull(n1)),
        // Another fault's hits are not its own.
        fault(100, 3_600_000, Fault::SlowSync { target: n1, delay: MS }),
        fault(200, 10, Fault::PowerLoss { target: n1, torn: false }),
    ];
    let outcome = run(schedule, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 3).await.unwrap();
        look.disk.unwrap().refuse();
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        look.cancel.cancel();
    })
    .await;
    let results: Vec<_> = outcome.report.faults.iter().map(|it| it.result.clone()).collect();
    let unused = FaultResult::Skipped("nobody used the disk so that it was felt".into());
    let synced = FaultResult::Skipped("everything was synced".into());
    assert_eq!(results, [unused.clone(), FaultResult::Installed, unused.clone(), synced]);
    let said = outcome.history.iter().filter(|event| event.value["in_vain"].to_string() != "null");
    assert_eq!(said.count(), 3);
    assert!(outcome.report.faults.iter().all(|it| it.ended.is_some() && it.trouble.is_none()));
}

#[tokio::test]
async fn who_refuses_what_was_damaged_gets_it_back_and_nobody_dies_for_nothing() {
    let damage = |node, damage| {
        let target = Target::Node(node);
        Fault::Damage { target, damage, replaced: false }
    };
    let n3 = NodeId::new(3);
    let schedule = vec![
        fault(300, 300, damage(N1, Damage::BitFlip)),
        fault(310, 300, damage(n3, Damage::TruncatedTail)),
        // It has no book.
        fault(320, 300, damage(N2, Damage::BitFlip)),
    ];
    let outcome = run(schedule, async |mut look| {
        give_books(&look.run, &[N1, n3]);
        // Two begin and end, and one is given up on.
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        look.in_force.wait_for(Vec::is_empty).await.unwrap();
        assert_eq!([1, 2, 3].map(|node| starts(&look.run, NodeId::new(node))), [2, 1, 2]);
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "damage begin [n1] installed",
            "damage begin [n3] installed",
            "damage end [n1] undone",
            "damage end [n3] undone",
            "damage begin [] {skipped:n2 has no file that holds enough to be damaged}",
        ]
    );
    let note = |edge: usize| outcome.history[edge].value["notes"].to_string();
    assert!(note(0).contains("n1: bit flip at byte "), "{}", note(0));
    assert!(note(1).contains("n3: truncated tail at byte "), "{}", note(1));
    let refused = "refused to start and was restored: a parrot cannot read its book";
    assert!(note(2).contains(&format!("n1 {refused}")), "{}", note(2));
    assert!(note(3).contains(&format!("n3 {refused}")), "{}", note(3));
}

#[tokio::test]
async fn an_empty_node_takes_the_place_of_who_refuses_or_it_gets_its_file_back() {
    for is_refused in [false, true] {
        let (target, damage) = (Target::Node(N1), Damage::BitFlip);
        let schedule = vec![fault(300, 300, Fault::Damage { target, damage, replaced: true })];
        let outcome = run(schedule, async |look| {
            give_books(&look.run, &[N1]);
            look.moods.lock().unwrap().extend(is_refused.then_some(Mood::Refuses));
        })
        .await;
        let lines: Vec<_> = outcome.history.iter().map(describe).collect();
        assert_eq!(lines, ["damage begin [n1] installed", "damage end [n1] undone"]);
        let end = &outcome.history[1].value;
        let (members, fate) = match is_refused {
            true => {
                (r#"["n1","n2","n3"]"#, "n1 was restored, not replaced: failed to edit the book")
            }
            false => (r#"["n2","n3","n4"]"#, r#""n1 was replaced","n4 joined""#),
        };
        assert_eq!(end["members"].to_string(), members);
        let notes = end["notes"].to_string();
        assert!(notes.contains("n1 refused to start: a parrot cannot read its book"), "{notes}");
        assert!(notes.contains(fate), "{notes}");
        assert!(outcome.report.faults[0].trouble.is_none());
    }
}

#[tokio::test]
async fn what_is_down_cannot_be_hit_again() {
    let schedule = vec![
        fault(0, 7_000, Fault::Kill(Target::Node(N1))),
        fault(50, 100, Fault::Kill(Target::Node(N1))),
        fault(60, 100, Fault::Pause(Target::Node(N1))),
        fault(70, 100, Fault::Pause(Target::All)),
    ];
    let outcome = run(schedule, nothing).await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "kill begin [n1] installed",
            "pause begin [n2,n3] installed",
            "pause end [n2,n3] undone",
            "kill begin [] {skipped:n1 is not running}",
            "pause begin [] {skipped:n1 is not running}",
            "kill end [n1] undone",
        ]
    );
}

#[tokio::test]
async fn when_it_is_cancelled_everything_is_undone() {
    let schedule = vec![
        fault(0, 3_600_000, Fault::Kill(Target::Node(N1))),
        fault(0, 3_600_000, Fault::Pause(Target::Leader)),
        fault(0, 3_600_000, Fault::Partition(Topology::Bridge)),
        fault(1_000_000, 1, Fault::Kill(Target::All)),
    ];
    let outcome = run(schedule, async |mut look| {
        let all = look.in_force.wait_for(|faults| faults.len() == 3);
        let all = tokio::time::timeout(30_000 * MS, all).await;
        let expected = ["kill n1 (n1)", "pause leader (n2)", "partition bridge"];
        for (found, expected) in all.unwrap().unwrap().iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        look.cancel.cancel();
    })
    .await;
    assert_eq!(outcome.report.faults.len(), 3);
    assert!(outcome.report.faults.iter().all(|record| record.ended.is_some()));
    assert_eq!(outcome.history.len(), 6);
}

#[tokio::test]
async fn faults_of_links_shape_exactly_their_links() {
    let delay = Fault::Delay {
        links: Links::From(Target::Leader),
        latency: 10 * MS,
        jitter: Duration::ZERO,
    };
    let schedule = vec![
        fault(0, 3_600_000, delay),
        fault(1, 3_600_000, Fault::Refuse(Links::Clients(Target::Node(N1)))),
        fault(2, 3_600_000, Fault::Blackhole(Links::To(Target::Node(N1)))),
    ];
    let outcome = run(schedule, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 3).await.unwrap();
        let modes = look.cluster.network().modes().await;
        let n3 = NodeId::new(3);
        let link = |from, to| Wire::Nodes(Link { from, to });
        // The blackhole hides the delay where both are wanted.
        assert_eq!(modes[&link(N2, N1)], crate::proxy::Mode::Blackhole);
        assert_eq!(modes[&link(n3, N1)], crate::proxy::Mode::Blackhole);
        assert!(matches!(modes[&link(N2, n3)], crate::proxy::Mode::Slow(_)));
        assert_eq!(modes.len(), 5, "{modes:?}");
        look.cancel.cancel();
    })
    .await;
    let value = |event: usize, key: &str| outcome.history[event].value[key].to_string();
    assert_eq!(value(0, "links"), r#"[["n2","n1"],["n2","n3"]]"#);
    assert_eq!(value(0, "cut"), "[]");
    assert_eq!(value(1, "clients"), r#"[["first","n1"],["second","n1"]]"#);
    assert_eq!(value(2, "cut"), r#"[["n2","n1"],["n3","n1"]]"#);
    assert_eq!(outcome.history.len(), 6);
}

#[tokio::test]
async fn a_flapping_partition_comes_and_goes_and_is_gone_in_the_end() {
    let flap = Fault::Flap { topology: Topology::Isolate(Target::Leader), period: 30 * MS };
    let outcome = run(vec![fault(0, 3_600_000, flap)], async |look| {
        let mut seen = Vec::new();
        while seen.len() < 6 {
            let is_cut = !look.cluster.network().cuts().await.is_empty();
            if seen.last() != Some(&is_cut) {
                seen.push(is_cut);
            }
            tokio::task::yield_now().await;
        }
        look.cancel.cancel();
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(lines, ["partition begin [n2] installed", "partition end [n2] undone"]);
}

fn starts(run: &Path, node: NodeId) -> usize {
    let file = run.join("nodes").join(node.to_string()).join("starts");
    std::fs::read_to_string(file).unwrap().lines().count()
}

#[tokio::test]
async fn all_restart_at_once_or_one_after_the_other() {
    let schedule = vec![
        fault(0, 100, Fault::Restart(Restart::AtOnce(Target::All))),
        fault(3_000, 3_600_000, Fault::Kill(Target::Node(N1))),
        fault(3_000, 3_600_000, Fault::Pause(Target::Node(N2))),
        fault(3_001, 900, Fault::Restart(Restart::Rolling(Target::All))),
    ];
    let outcome = run(schedule, async |mut look| {
        let dead = |processes: &Processes| {
            processes.states.values().all(|state| *state == ProcessState::Killed)
        };
        look.processes.wait_for(dead).await.unwrap();
        let in_force = |faults: &Vec<String>| faults.iter().any(|it| it.contains("one by one"));
        look.in_force.wait_for(in_force).await.unwrap();
        look.in_force.wait_for(|faults| !in_force(faults)).await.unwrap();
        // Who was killed stays so, who was paused is again, and all others are new.
        let states = look.processes.borrow().states.clone();
        assert_eq!(states[&N1], ProcessState::Killed);
        assert_eq!(states[&N2], ProcessState::Paused);
        let count = |node| starts(&look.run, NodeId::new(node));
        assert_eq!([1, 2, 3].map(count), [2, 3, 3]);
        look.cancel.cancel();
    })
    .await;
    assert_eq!(outcome.report.counts()[&Family::Restart].installed, 2);
    assert!(outcome.report.faults.iter().all(|record| record.trouble.is_none()));
}

#[tokio::test]
async fn a_sequence_hits_the_leader_and_then_the_new_one() {
    let isolate = Fault::Partition(Topology::Isolate(Target::Leader));
    let name = |name: &str| Some(name.to_owned());
    let steps = vec![
        Step { begin: Some(isolate), name: name("cut"), ..Step::default() },
        Step {
            until: Some(Condition::NewLeader),
            begin: Some(Fault::Pause(Target::Leader)),
            ..Step::default()
        },
        Step { wait: 20 * MS, end: name("cut"), ..Step::default() },
        Step { begin: Some(Fault::Kill(Target::Node(N2))), ..Step::default() },
        Step { wait: 20 * MS, ..Step::default() },
    ];
    let sequence = vec![Sequence { at: 10 * MS, steps }];
    let plan = Plan { nodes: 3, schedule: Some(vec![]), sequence, ..Plan::default() };
    let outcome = run_plan(plan, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        say(&look.run, &NodeId::first(3), 6, Some(N1));
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "partition begin [n2] installed",
            "pause begin [n1] installed",
            "partition end [n2] undone",
            "kill begin [n2] installed",
            "pause end [n1] undone",
            "kill end [n2] undone",
        ]
    );
}

#[tokio::test]
async fn what_a_sequence_began_ends_with_it_or_as_soon_as_it_has_begun() {
    let begin = |fault| Step { begin: Some(fault), ..Step::default() };
    let less = Some("less".to_owned());
    let shrink = Step { name: less.clone(), ..begin(Fault::Shrink(Target::Node(N1))) };
    // It is to end while it is under way.
    let steps = vec![shrink, Step { wait: 50 * MS, end: less, ..Step::default() }];
    let first = Sequence { at: Duration::ZERO, steps };
    let kill = begin(Fault::Kill(Target::Node(NodeId::new(3))));
    let steps = vec![kill, Step { wait: 20 * MS, ..Step::default() }];
    let second = Sequence { at: 3_000 * MS, steps };
    let last = fault(5_000, 10, Fault::Pause(Target::Node(N2)));
    let plan = Plan {
        nodes: 3,
        schedule: Some(vec![last]),
        sequence: vec![first, second],
        ..Plan::default()
    };
    let parrots = Parrots { hesitation: 300 * MS, ..Parrots::default() };
    let outcome = run_parrots(parrots, plan, nothing).await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "membership begin [n1] installed",
            "membership end [n1] undone",
            "kill begin [n3] installed",
            "kill end [n3] undone",
            "pause begin [n2] installed",
            "pause end [n2] undone",
        ]
    );
}

#[tokio::test]
async fn who_may_have_left_is_made_up_for_like_who_has() {
    let schedule = vec![fault(300, 50, Fault::Shrink(Target::Node(N1)))];
    let outcome = run(schedule, async |look| {
        look.moods.lock().unwrap().push(Mood::KeepsSilent);
    })
    .await;
    let record = &outcome.report.faults[0];
    assert!(matches!(record.result, FaultResult::Indeterminate(_)), "{record:?}");
    assert_eq!((&record.nodes, &record.trouble), (&vec![N1], &None));
    let edges: Vec<_> =
        outcome.history.iter().map(|event| event.value["members"].to_string()).collect();
    assert_eq!(edges, [r#"["n1","n2","n3"]"#, r#"["n2","n3","n4"]"#]);
}

#[tokio::test]
async fn who_leaves_is_made_up_for_and_who_joins_leaves_again() {
    let schedule = vec![
        fault(0, 3_600_000, Fault::Kill(Target::Node(N1))),
        // n1 is dead, and those who stay are a majority.
        fault(10, 50, Fault::Shrink(Target::Node(N1))),
        fault(3_000, 50, Fault::Grow),
        // The leader leaves.
        fault(6_000, 3_600_000, Fault::Shrink(Target::Leader)),
    ];
    let outcome = run(schedule, async |mut look| {
        let is_last = |faults: &Vec<String>| faults.iter().any(|it| it == "shrink by leader (n2)");
        look.in_force.wait_for(is_last).await.unwrap();
        assert_eq!(look.cluster.members(), [3, 4].map(NodeId::new));
        look.cancel.cancel();
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "kill begin [n1] installed",
            "membership begin [n1] installed",
            "membership end [n1] undone",
            "membership begin [n5] installed",
            "membership end [n5] undone",
            "membership begin [n2] installed",
            // n1 is not started again: it has left.
            "kill end [n1] undone",
            "membership end [n2] undone",
        ]
    );
    assert_eq!(outcome.report.leader_hits(), 1);
    assert!(outcome.report.faults.iter().all(|record| record.trouble.is_none()));
}

#[tokio::test]
async fn what_an_operator_cannot_undo_is_tried_again() {
    let schedule = vec![fault(0, 10, Fault::Shrink(Target::Node(N1)))];
    let outcome = run(schedule, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        // The newcomer is refused, and so is taking back what may be left of it.
        look.moods.lock().unwrap().extend([Mood::Refuses, Mood::Refuses]);
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(lines, ["membership begin [n1] installed", "membership end [n1] undone"]);
    let record = &outcome.report.faults[0];
    assert!(record.ended.unwrap() >= record.began + UNDO_AGAIN, "{record:?}");
    // What was done in vain at first was begun none the less; and who is a member now is told.
    let end = &outcome.history[1].value;
    let took = Duration::from_nanos(end["took_ns"].as_u64().unwrap());
    assert!(took >= UNDO_AGAIN, "{end}");
    let members = |edge: usize| outcome.history[edge].value["members"].to_string();
    assert_eq!(members(0), r#"["n2","n3"]"#);
    assert_eq!(members(1), r#"["n2","n3","n5"]"#);
}

#[tokio::test]
async fn who_was_stopped_for_a_removal_that_is_refused_is_told_of() {
    let schedule = vec![
        fault(0, 10, Fault::Shrink(Target::Node(N1))),
        fault(2_000, 10, Fault::Replace(Target::Node(N1))),
    ];
    let outcome = run(schedule, async |mut look| {
        look.moods.lock().unwrap().push(Mood::Refuses);
        look.in_force.changed().await.unwrap();
        // Moods are taken from the end: the newcomer is let in.
        look.moods.lock().unwrap().extend([Mood::Refuses, Mood::Agrees]);
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    let refused = "failed to edit the book: the parrot is in a mood";
    assert_eq!(
        lines,
        [
            format!("membership begin [n1] {{skipped:{refused}}}"),
            format!("membership begin [n4,n1] {{indeterminate:{refused}}}"),
            "membership end [n4,n1] stays".into(),
        ]
    );
}

#[tokio::test]
async fn an_edge_that_is_written_late_tells_when_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = Some(vec![fault(0, 10, Fault::Grow)]);
    let plan = Plan { nodes: 3, schedule, ..Plan::default() };
    let cluster = start_parrots(Parrots::default(), plan.clone(), folder.path()).await.unwrap();
    let file = folder.path().join("history.jsonl");
    let (recorder, recording) = Recorder::create(&file).unwrap();
    let field = Field { cluster: &cluster, recorder: &recorder, start: Instant::now() };
    let mut nemesis = Nemesis::new(&plan);
    let departure = Departure { order: Order::Admit(1), leader: None, is_cut_short: false };
    nemesis.underway.insert(0, departure);
    // The errand was over long ago, when something else was being done.
    let outcome = errand::Outcome {
        gone: vec![],
        come: vec![NodeId::new(4)],
        taken_back: vec![],
        result: FaultResult::Installed,
    };
    let start = field.start.checked_sub(3_000 * MS).unwrap();
    nemesis.come_back(Report { purpose: Purpose::Begin(0), outcome, start }, field, true).await;
    drop(recorder);
    recording.finish().await.unwrap();
    cluster.shutdown().await;
    let took = read_history(&file)[0].value["took_ns"].as_u64().unwrap();
    assert!(Duration::from_nanos(took) >= 3_000 * MS, "{took}");
}

#[tokio::test]
async fn what_stays_has_both_edges_at_once() {
    let schedule = vec![
        fault(0, 10, Fault::Transfer(Target::Follower)),
        fault(10, 10, Fault::Transfer(Target::Leader)),
        fault(20, 10, Fault::Replace(Target::Node(N1))),
        fault(3_000, 300, Fault::Snapshot(Target::All)),
        fault(4_000, 100, Fault::Upgrade(Target::Node(N2))),
    ];
    let outcome = run(schedule, nothing).await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    let follower = outcome.report.faults[0].nodes[0];
    assert_ne!(follower, N2);
    assert_eq!(
        lines,
        [
            &format!("transfer begin [{follower},n2] installed"),
            &format!("transfer end [{follower},n2] stays"),
            "membership begin [n1,n4] installed",
            "membership end [n1,n4] stays",
            "snapshot begin [n2,n3,n4] installed",
            "snapshot end [n2,n3,n4] undone",
            "upgrade begin [n2] installed",
            "upgrade end [n2] stays",
            "transfer begin [] {skipped:it leads already}",
        ]
    );
    assert_eq!(outcome.report.leader_hits(), 3);
}

#[tokio::test]
async fn who_waits_in_vain_for_a_leader_is_skipped_and_holds_up_nobody() {
    let schedule = vec![
        fault(0, 3_600_000, Fault::Kill(Target::Leader)),
        fault(50, 100, Fault::Pause(Target::Leader)),
        fault(60, 50, Fault::Pause(Target::Node(N1))),
    ];
    let outcome = run(schedule, async |mut look| {
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        // The skip is published like every begin.
        look.in_force.changed().await.unwrap();
        look.cancel.cancel();
    })
    .await;
    let lines: Vec<_> = outcome.history.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "kill begin [n2] installed",
            "pause begin [n1] installed",
            "pause end [n1] undone",
            "pause begin [] {skipped:no node leads}",
            "kill end [n2] undone",
        ]
    );
}

/// A run of a plan without faults, with what the nemesis works on.
struct Stage {
    cluster: Cluster,
    recorder: Recorder,
    _recording: Recording,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan =
            Plan { nodes: 3, schedule: Some(vec![fault(0, 10, Fault::Grow)]), ..Plan::default() };
        let cluster = start_parrots(Parrots::default(), plan, folder.path()).await.unwrap();
        say(folder.path(), cluster.nodes(), 5, Some(N2));
        let (recorder, recording) = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
        Self { cluster, recorder, _recording: recording, _folder: folder }
    }

    fn field(&self) -> Field<'_> {
        Field { cluster: &self.cluster, recorder: &self.recorder, start: Instant::now() }
    }
}

fn report(purpose: Purpose, result: FaultResult) -> Report {
    let (gone, come, taken_back) = (Vec::new(), Vec::new(), Vec::new());
    let outcome = errand::Outcome { gone, come, taken_back, result };
    Report { purpose, outcome, start: Instant::now() }
}

/// Makes a nemesis that waits for n1 to be replaced, which refuses to start.
fn waiting_for_replacement() -> Nemesis {
    let fault = fault(
        0,
        10,
        Fault::Damage { target: Target::Node(N1), damage: Damage::BitFlip, replaced: true },
    );
    let mut nemesis = Nemesis::new(&Plan { schedule: Some(vec![fault]), ..Plan::default() });
    let wounds = Wounds { nodes: vec![N1], ..Wounds::default() };
    let scheduled = nemesis.faults[0].clone();
    let (fault, result) = (scheduled.fault, FaultResult::Installed);
    let record = FaultRecord::begun(scheduled, result, &wounds, None, Duration::ZERO);
    nemesis.records.push(record);
    let mut installed = Installed::new(fault, wounds, 0);
    installed.refused = vec![N1];
    installed.undo = Some(Order::Replace(vec![N1]));
    nemesis.force.add(0, installed);
    nemesis
}

#[tokio::test]
async fn an_errand_that_is_next_at_the_links_holds_up_no_other_that_came_back() {
    let stage = Stage::set().await;
    let network = stage.cluster.network();
    stage.cluster.kill(N1).await.unwrap();
    let mut nemesis = waiting_for_replacement();
    let mut other = pin!(network.set_down(NodeId::new(3), true));
    assert!(futures_util::poll!(&mut other).is_pending());
    let mut errands: FuturesUnordered<Errand<'_>> = FuturesUnordered::new();
    errands.push(Box::pin(async {
        network.set_down(NodeId::new(3), false).await.unwrap();
        report(Purpose::Begin(1), FaultResult::Installed)
    }));
    assert!(futures_util::poll!(errands.next()).is_pending());
    // Now the links are the errand's, which does not know it yet.
    other.await.unwrap();
    let refused = FaultResult::Skipped("the parrot is in a mood".into());
    let reports = vec![report(Purpose::End(0), refused)];
    let taken_in = nemesis.take_in(reports, &mut errands, stage.field());
    tokio::time::timeout(30_000 * MS, taken_in).await.expect("nobody waits for ever");
    assert_eq!(stage.cluster.processes().borrow().states[&N1], ProcessState::Running);
}

#[tokio::test]
async fn what_an_operator_tried_in_vain_gives_the_cluster_no_more_time() {
    let stage = Stage::set().await;
    let cluster = &stage.cluster;
    let eased = cluster.eased_at();
    let mut nemesis = Nemesis::new(&Plan { schedule: Some(vec![]), ..Plan::default() });
    let vain = report(Purpose::End(0), FaultResult::Indeterminate("nobody leads".into()));
    nemesis.come_back(vain, stage.field(), true).await;
    assert_eq!(cluster.eased_at(), eased);
    // What came about does.
    cluster.kill(N1).await.unwrap();
    let mut eased = vec![eased, cluster.eased_at()];
    for order in [Order::Dismiss(vec![N1]), Order::Admit(1), Order::Transfer(NodeId::new(3))] {
        let done = errand(Purpose::Begin(0), order, PATIENCE, cluster).await;
        assert_eq!(done.outcome.result, FaultResult::Installed);
        eased.push(cluster.eased_at());
    }
    assert_eq!(eased[0], eased[1]);
    assert!(eased[1..].is_sorted_by(|one, next| one < next), "{eased:?}");
}

#[tokio::test]
async fn nobody_takes_the_place_of_who_left_meanwhile() {
    let orders = [Order::Dismiss(vec![N1]), Order::Replace(vec![N1])];
    for (first, second) in [(0, 1), (1, 0)] {
        let stage = Stage::set().await;
        let [first, second] = [first, second].map(|number: usize| {
            errand(Purpose::Begin(number), orders[number].clone(), PATIENCE, &stage.cluster)
        });
        // The second waits until the first is done, whatever that takes.
        let (first, second) = tokio::join!(biased; first, second);
        assert_eq!(first.outcome.result, FaultResult::Installed);
        let late = FaultResult::Skipped("n1 is not in the cluster".into());
        assert_eq!(second.outcome.result, late);
        assert!(second.outcome.come.is_empty());
        assert_eq!(stage.cluster.members().len(), 2 + first.outcome.come.len());
    }
}

#[tokio::test]
async fn who_is_given_back_what_was_damaged_is_stopped_again() {
    let damage =
        Fault::Damage { target: Target::Node(N1), damage: Damage::BitFlip, replaced: true };
    let pause = Fault::Pause(Target::Node(N1));
    let schedule = vec![fault(0, 3_600_000, pause), fault(300, 300, damage)];
    let outcome = run(schedule, async |mut look| {
        give_books(&look.run, &[N1]);
        look.moods.lock().unwrap().push(Mood::Refuses);
        look.in_force.wait_for(|faults| faults.len() == 2).await.unwrap();
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        assert_eq!(look.processes.borrow().states[&N1], ProcessState::Paused);
        look.cancel.cancel();
    })
    .await;
    let notes = outcome.history[2].value["notes"].to_string();
    assert!(notes.contains("n1 was restored, not replaced"), "{notes}");
}

#[tokio::test]
async fn who_may_have_been_replaced_stays_out() {
    let (target, damage) = (Target::Node(N1), Damage::BitFlip);
    let schedule = vec![fault(300, 300, Fault::Damage { target, damage, replaced: true })];
    let outcome = run(schedule, async |mut look| {
        give_books(&look.run, &[N1]);
        // Moods are taken from the end: the newcomer is let in.
        look.moods.lock().unwrap().extend([Mood::KeepsSilent, Mood::Agrees]);
        look.in_force.wait_for(|faults| faults.len() == 1).await.unwrap();
        look.in_force.wait_for(Vec::is_empty).await.unwrap();
        assert_eq!(starts(&look.run, N1), 1);
        look.cluster.settle_members(PATIENCE).await.unwrap();
    })
    .await;
    let notes = outcome.history[1].value["notes"].to_string();
    let fate = "n1 stays out until it is clear whether it was replaced: ";
    assert!(notes.contains(fate), "{notes}");
}
