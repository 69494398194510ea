//! How a cluster comes back when nothing hinders it any more.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Stop;
use crate::cluster::{Cluster, ClusterError, ClusterStatus};
use crate::process::ProcessState;

/// How long to wait between two looks at a cluster that recovers.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How long it may take to make clear who is in the cluster, when nothing is in force any more.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// Undoes every fault, and waits until every node is back; returns from when on nothing hindered the cluster
/// any more, from which on it has so long for all of it. Whoever ended the last fault may have waited for a
/// node since: that was the cluster's own time.
pub(super) async fn come_back(
    cluster: &Cluster,
    storm_end: Instant,
    patience: Duration,
) -> Result<Instant, Stop> {
    match cluster.heal_all().await {
        // It is asked again, for as long as there is time.
        Ok(()) | Err(ClusterError::Mute { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let start = cluster.eased_at().max(storm_end);
    let left = || patience.saturating_sub(start.elapsed());
    // Who has no leader yet can make nothing clear.
    let is_settled = cluster.settle_members(left().min(SETTLE_PATIENCE)).await.is_ok();
    let leader = cluster.wait_for_leader(left()).await;
    leader.map_err(|error| match error {
        ClusterError::Leaderless { last, .. } => {
            ClusterError::Leaderless { deadline: patience, last }
        }
        other => other,
    })?;
    if !is_settled {
        let settled = cluster.settle_members(left()).await;
        settled.map_err(|error| ClusterError::Unsettled(Box::new(error)))?;
    }
    wait_for_all(cluster, start, patience).await?;
    Ok(start)
}

/// Waits until every node that runs follows the leader and has applied what the leader knew to be
/// committed when the cluster was healed: a majority alone would hide a node that stays away.
async fn wait_for_all(cluster: &Cluster, start: Instant, patience: Duration) -> Result<(), Stop> {
    let mut goal = None;
    loop {
        let status = cluster.poll().await;
        goal = goal.or_else(|| commit_index(&status));
        let absent = goal.and_then(|goal| describe_absent(&status, goal));
        match absent {
            None if goal.is_some() && start.elapsed() < patience => return Ok(()),
            None if goal.is_some() => {
                let [took, patience] = [start.elapsed(), patience].map(|span| span.as_secs_f64());
                let why = format!("every node was back after {took:.1} s only, over {patience} s");
                return Err(Stop::Away(why));
            }
            absent if start.elapsed() >= patience => {
                let absent = absent.unwrap_or_else(|| "nobody leads any more".into());
                let patience = humantime::format_duration(patience);
                return Err(Stop::Away(format!("{patience} after the storm {absent}")));
            }
            _ => sleep(ASK_AGAIN).await,
        }
    }
}

/// Returns what the leader knows to be committed, if one leads.
fn commit_index(status: &ClusterStatus) -> Option<u64> {
    let leader = status.agreed()?;
    Some(status.nodes[&leader.node].status.as_ref()?.commit_index)
}

/// Says which of the running nodes are not back, and what they say, if any is not.
fn describe_absent(status: &ClusterStatus, goal: u64) -> Option<String> {
    let leader = status.agreed();
    let running = status.nodes.iter().filter(|(_, health)| {
        // One that ended by itself is a finding of its own.
        matches!(health.process, ProcessState::Running | ProcessState::Paused)
    });
    let absent = running.filter_map(|(node, health)| match &health.status {
        None => Some(format!("{node} does not answer")),
        Some(says) if says.leader.is_none() || says.leader != leader.map(|it| it.node) => {
            Some(format!("{node} follows nobody or another in term {}", says.term))
        }
        Some(says) if says.last_applied < goal => {
            Some(format!("{node} has applied {} of {goal} entries", says.last_applied))
        }
        Some(_) => None,
    });
    let absent: Vec<String> = absent.collect();
    (!absent.is_empty()).then(|| absent.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use tokio_util::sync::CancellationToken;

    use crate::cluster::tests::{Mood, Parrots, hurry, led_by, let_nap, say, start_parrots};
    use crate::fault::{Fault, ScheduledFault, Target};
    use crate::nemesis::{Nemesis, NemesisReport};
    use crate::plan::Plan;
    use crate::recorder::Recorder;
    use crate::system::{NodeId, NodeStatus};

    const N1: NodeId = NodeId::new(1);
    const N2: NodeId = NodeId::new(2);

    /// Heals a cluster that nobody knows whether n1 has left, and that is in such a mood.
    async fn come_back_doubtful(
        leader: Option<NodeId>,
        refusals: usize,
        patience: Duration,
    ) -> Result<Vec<NodeId>, Stop> {
        let folder = tempfile::tempdir().unwrap();
        let parrots = Parrots::default();
        let moods: Arc<Mutex<Vec<Mood>>> = Arc::clone(&parrots.moods);
        let plan = Plan { nodes: 3, schedule: Some(vec![]), ..Plan::default() };
        let cluster = start_parrots(parrots, plan, folder.path()).await.unwrap();
        say(folder.path(), cluster.nodes(), 5, Some(N2));
        moods.lock().unwrap().push(Mood::KeepsSilent);
        cluster.dismiss(N1, patience).await.unwrap_err();
        say(folder.path(), cluster.nodes(), 6, leader);
        moods.lock().unwrap().extend(vec![Mood::Refuses; refusals]);
        let back = come_back(&cluster, Instant::now(), patience).await.map(|_| cluster.members());
        cluster.shutdown().await;
        back
    }

    #[test]
    fn who_lags_or_follows_nobody_or_does_not_answer_is_away() {
        let n3 = NodeId::new(3);
        let describe = |change: fn(&mut NodeStatus)| {
            let mut status = led_by(5, N2);
            for health in status.nodes.values_mut() {
                health.status.as_mut().unwrap().last_applied = 7;
            }
            change(status.nodes.get_mut(&n3).unwrap().status.as_mut().unwrap());
            describe_absent(&status, 7)
        };
        assert_eq!(describe(|_| {}), None);
        let lagging = describe(|says| says.last_applied = 6);
        assert_eq!(lagging.as_deref(), Some("n3 has applied 6 of 7 entries"));
        let alone = [describe(|says| says.leader = None), describe(|says| says.leader = Some(N1))];
        let follows = "n3 follows nobody or another in term 5";
        assert_eq!(alone.each_ref().map(Option::as_deref), [Some(follows); 2]);
        let mut mute = led_by(5, N2);
        mute.nodes.get_mut(&n3).unwrap().status = None;
        assert_eq!(describe_absent(&mute, 0).as_deref(), Some("n3 does not answer"));
        mute.nodes.get_mut(&n3).unwrap().process = ProcessState::Killed;
        assert_eq!(describe_absent(&mute, 0), None);
    }

    #[tokio::test]
    async fn who_is_in_is_made_clear_as_soon_as_somebody_leads() {
        let patience = Duration::from_secs(30);
        for refusals in [0, 1] {
            let back = come_back_doubtful(Some(N2), refusals, patience).await;
            assert_eq!(back.unwrap(), [N2, NodeId::new(3)], "{refusals} refusals");
        }
    }

    #[tokio::test]
    async fn who_settles_late_has_less_time_for_the_rest() {
        let patience = Duration::from_millis(600);
        let folder = tempfile::tempdir().unwrap();
        let parrots = Parrots::default();
        let moods: Arc<Mutex<Vec<Mood>>> = Arc::clone(&parrots.moods);
        let plan = Plan { nodes: 3, schedule: Some(vec![]), ..Plan::default() };
        let cluster = start_parrots(parrots, plan, folder.path()).await.unwrap();
        moods.lock().unwrap().push(Mood::KeepsSilent);
        cluster.dismiss(N1, patience).await.unwrap_err();
        say(folder.path(), cluster.nodes(), 6, None);
        moods.lock().unwrap().push(Mood::Stalls);
        let begun = Instant::now();
        let back = come_back(&cluster, begun, patience).await;
        let took = begun.elapsed();
        assert!(matches!(&back, Err(Stop::Away(why)) if why.contains("no leader after 600ms")));
        assert!((patience..patience * 2).contains(&took), "{took:?}");
        cluster.shutdown().await;
    }

    #[tokio::test]
    async fn what_the_leader_took_the_others_have_less() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { nodes: 3, schedule: Some(vec![]), ..Plan::default() };
        let cluster = start_parrots(Parrots::default(), plan, folder.path()).await.unwrap();
        say(folder.path(), cluster.nodes(), 5, Some(N2));
        say(folder.path(), &[N1], 5, None);
        let patience = Duration::from_secs(30);
        let (now, long_ago) = (Instant::now(), Instant::now().checked_sub(patience).unwrap());
        match wait_for_all(&cluster, long_ago, patience).await {
            Err(Stop::Away(why)) => assert!(why.contains("n1 follows nobody"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert!(now.elapsed() < patience / 2, "the time is up already");
        cluster.shutdown().await;
    }

    #[tokio::test]
    async fn a_cluster_that_a_change_has_wedged_stays_away() {
        let soon = Duration::from_millis(300);
        for (leader, refusals, expected) in
            [(Some(N2), 2, "failed to make clear who is in the cluster"), (None, 1, "no leader")]
        {
            match come_back_doubtful(leader, refusals, soon).await {
                Err(Stop::Away(why)) => assert!(why.contains(expected), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// What became of a storm that was ended while all nodes were dead, each of which naps when it starts.
    struct AfterNap {
        report: NemesisReport,
        /// How long it took until all faults had ended.
        ending: Duration,
        back: Result<Duration, Stop>,
    }

    async fn come_back_sleepy(nap: Duration, hasty: bool, patience: Duration) -> AfterNap {
        let folder = tempfile::tempdir().unwrap();
        let (at, duration) = (Duration::ZERO, 3_600 * SECOND);
        let kill = ScheduledFault { at, duration, fault: Fault::Kill(Target::All), draw: None };
        let plan = Plan { nodes: 3, schedule: Some(vec![kill]), ..Plan::default() };
        let parrots = Parrots::default();
        let mut cluster = start_parrots(parrots, plan.clone(), folder.path()).await.unwrap();
        say(folder.path(), cluster.nodes(), 5, Some(N2));
        let_nap(folder.path(), cluster.nodes(), nap);
        if hasty {
            hurry(&mut cluster, 2 * SECOND);
        }
        let file = folder.path().join("history.jsonl");
        let (recorder, recording) = Recorder::create(&file).unwrap();
        let nemesis = Nemesis::new(&plan);
        let mut in_force = nemesis.in_force();
        let cancel = CancellationToken::new();
        let cancelling = async {
            in_force.wait_for(|faults| !faults.is_empty()).await.unwrap();
            cancel.cancel();
            Instant::now()
        };
        let storm = nemesis.run(&cluster, &recorder, cancel.clone());
        let (report, storm_end) = tokio::join!(storm, cancelling);
        let ending = storm_end.elapsed();
        let back = come_back(&cluster, storm_end, patience).await.map(|start| start.elapsed());
        drop(recorder);
        recording.finish().await.unwrap();
        cluster.shutdown().await;
        AfterNap { report, ending, back }
    }

    #[tokio::test]
    async fn who_takes_long_to_start_when_the_storm_is_over_uses_up_the_time() {
        let soon = come_back_sleepy(SECOND, false, 30 * SECOND).await;
        assert!(soon.report.faults[0].trouble.is_none(), "{:?}", soon.report);
        let took = soon.back.unwrap();
        assert!(took >= SECOND && soon.ending >= SECOND, "{took:?}");
        match come_back_sleepy(SECOND, false, SECOND / 2).await.back {
            // Whoever asks late sees nobody in time, and whoever asks early sees them come too late.
            Err(Stop::Away(why)) => {
                assert!(why.contains("0.5 s") || why.contains("500ms"), "{why}")
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_for_who_does_not_answer() {
        let hour = 3_600 * SECOND;
        let never = come_back_sleepy(hour, true, SECOND / 2).await;
        // They are waited for side by side, and not after each other.
        assert!(never.ending < 5 * SECOND, "{:?}", never.ending);
        let trouble = never.report.faults[0].trouble.clone().unwrap();
        assert_eq!(trouble, "n1 does not answer 2s after its start");
        match never.back {
            Err(Stop::Away(why)) => assert!(why.contains("no leader after 500ms"), "{why}"),
            other => panic!("{other:?}"),
        }
        // Who is given up on for the moment may yet come, as long as there is time.
        let late = come_back_sleepy(3 * SECOND, true, 30 * SECOND).await;
        assert!(late.back.unwrap() >= 3 * SECOND);
    }

    #[tokio::test]
    async fn who_is_slow_when_all_is_healed_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { nodes: 3, schedule: Some(vec![]), ..Plan::default() };
        let mut cluster = start_parrots(Parrots::default(), plan, folder.path()).await.unwrap();
        hurry(&mut cluster, SECOND / 5);
        say(folder.path(), cluster.nodes(), 5, Some(N2));
        let_nap(folder.path(), &[N1], SECOND);
        cluster.kill(N1).await.unwrap();
        let back = come_back(&cluster, Instant::now(), 30 * SECOND).await.unwrap();
        assert!(back.elapsed() >= SECOND, "n1 was not waited for");
        cluster.shutdown().await;
    }
}
