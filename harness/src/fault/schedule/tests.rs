//! Schedules keep their bounds whatever the seed and the storm.

use proptest::prelude::*;

use super::*;
use crate::fault::{Links, Restart, Topology};

fn storms() -> impl Strategy<Value = Storm> {
    let span = |max: u64| (0..max).prop_map(Duration::from_millis);
    let targets = proptest::sample::subsequence(Target::NAMED.to_vec(), 1..=Target::NAMED.len());
    (span(3_000), span(1_000), span(2_000), 1..3_000_u64, span(4_000), targets).prop_map(
        |(calm, gap_min, gap_more, duration_min, duration_more, targets)| {
            let duration_min = Duration::from_millis(duration_min);
            Storm {
                calm,
                gap_min,
                gap_max: gap_min + gap_more,
                duration_min,
                duration_max: duration_min + duration_more,
                targets,
                pause_min: Duration::from_millis(1),
                overlap: 4,
                ..Storm::default()
            }
        },
    )
}

fn families() -> impl Strategy<Value = BTreeSet<Family>> {
    proptest::sample::subsequence(PLAIN.to_vec(), 0..=PLAIN.len()).prop_map(BTreeSet::from_iter)
}

/// The families that every system has faults of.
const PLAIN: [Family; 9] = [
    Family::Kill,
    Family::Pause,
    Family::Restart,
    Family::Partition,
    Family::Delay,
    Family::Throttle,
    Family::Refuse,
    Family::Reset,
    Family::Blackhole,
];

fn is_of(group: Group) -> impl Fn(&&ScheduledFault) -> bool {
    move |fault| fault.fault.family().group() == group
}

fn is_partition(fault: &&ScheduledFault) -> bool {
    is_of(Group::Partitions)(fault)
}

fn end(fault: &ScheduledFault) -> Duration {
    fault.at + fault.duration
}

/// How many faults are in force at once at most.
fn overlap(schedule: &[ScheduledFault]) -> usize {
    let at_once = |fault: &ScheduledFault| {
        schedule.iter().filter(|other| other.at <= fault.at && end(other) > fault.at).count()
    };
    schedule.iter().map(at_once).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn bounds_are_kept(
        storm in storms(),
        families in families(),
        seconds in 0..60_u64,
        seed in 0..u64::MAX,
    ) {
        let limit = Duration::from_secs(seconds);
        let seed = Seed::new(seed);
        storm.check().unwrap();
        let schedule = generate(&storm, &families, limit, seed);
        prop_assert_eq!(&schedule, &generate(&storm, &families, limit, seed));
        prop_assert!(schedule.is_sorted_by_key(|fault| fault.at));
        if storm.check_room(&families, limit).is_ok() {
            check_complete(&schedule, &families);
        }
        for group in Group::ALL {
            let lane: Vec<_> = schedule.iter().filter(is_of(group)).collect();
            for fault in &lane {
                prop_assert!(families.contains(&fault.fault.family()));
                prop_assert!(fault.at >= storm.calm + storm.gap_min);
                prop_assert!(fault.duration <= storm.duration_max);
                prop_assert!(end(fault) <= limit);
                prop_assert!(fault.draw.is_some());
                prop_assert_eq!(fault.fault.check(), Ok(()));
                match fault.fault {
                    Fault::Kill(target) => prop_assert!(storm.targets.contains(&target)),
                    Fault::Pause(target) => {
                        prop_assert!(storm.targets.contains(&target));
                        prop_assert!(fault.duration >= storm.pause_min.min(storm.duration_min));
                        continue;
                    }
                    Fault::Restart(Restart::AtOnce(_)) => {
                        prop_assert!(fault.duration <= storm.duration_min);
                        continue;
                    }
                    Fault::Delay { latency, jitter, .. } => {
                        prop_assert!(!latency.is_zero() && latency <= storm.latency_max);
                        prop_assert!(jitter <= latency);
                    }
                    Fault::Throttle { bytes_per_second, .. } => {
                        prop_assert!(bytes_per_second >= storm.bytes_per_second_min);
                    }
                    _ => {}
                }
                prop_assert!(fault.duration >= storm.duration_min);
            }
            for pair in lane.windows(2) {
                let gap = pair[1].at - end(pair[0]);
                prop_assert!(gap >= storm.gap_min && gap <= storm.gap_max);
            }
        }
    }

    #[test]
    fn no_more_faults_are_in_force_at_once_than_allowed(
        storm in storms(),
        families in families(),
        lanes in 1..8_u64,
        seed in 0..u64::MAX,
    ) {
        let storm = Storm { overlap: lanes, gap_min: Duration::from_millis(1), ..storm };
        let storm = Storm { gap_max: storm.gap_max.max(storm.gap_min), ..storm };
        let schedule = generate(&storm, &families, Duration::from_secs(30), Seed::new(seed));
        prop_assert!(overlap(&schedule) <= lanes as usize);
    }

    #[test]
    fn a_swarm_keeps_the_bounds_of_bounds(
        storm in storms(),
        families in families(),
        seed in 0..u64::MAX,
    ) {
        let (drawn, on) = storm.draw_swarm(&families, Seed::new(seed));
        prop_assert!(on.is_subset(&families));
        prop_assert_eq!(on.is_empty(), families.is_empty());
        drawn.check().unwrap();
        prop_assert!(!drawn.swarm && drawn.overlap <= storm.overlap);
        prop_assert_eq!(storm.draw_swarm(&families, Seed::new(seed)), (drawn.clone(), on.clone()));
        let limit = Duration::from_secs(20);
        let fitting = drawn.fit(&on, limit, Seed::new(seed));
        check_complete(&generate(&drawn, &fitting, limit, Seed::new(seed)), &fitting);
    }

    #[test]
    fn one_lane_does_not_shift_the_other(storm in storms(), seed in 0..u64::MAX) {
        let limit = Duration::from_secs(40);
        let seed = Seed::new(seed);
        let mut all = generate(&storm, &PLAIN.into(), limit, seed);
        let alone = generate(&storm, &[Family::Partition].into(), limit, seed);
        all.retain(|fault| is_partition(&fault));
        prop_assert_eq!(all, alone);
    }
}

/// A schedule has a fault of every family that was asked for.
#[track_caller]
fn check_complete(schedule: &[ScheduledFault], families: &BTreeSet<Family>) {
    for &family in families {
        let has_one = schedule.iter().any(|fault| fault.fault.family() == family);
        assert!(has_one, "no {family}: {schedule:?}");
    }
}

#[test]
fn a_default_run_sees_something_of_as_much_as_it_has_time_for() {
    let storm = Storm::default();
    for (seconds, families_min, faults_min) in [(4, 2, 2), (5, 4, 4), (11, 9, 9), (30, 9, 10)] {
        let limit = Duration::from_secs(seconds);
        for seed in 0..300 {
            let seed = Seed::new(seed);
            let families = storm.fit(&PLAIN.into(), limit, seed);
            assert!(families.len() >= families_min, "{seconds} s: {families:?}");
            storm.check_room(&families, limit).unwrap();
            let schedule = generate(&storm, &families, limit, seed);
            check_complete(&schedule, &families);
            assert!(schedule.len() >= faults_min, "{seconds} s: {schedule:?}");
        }
    }
    let short = storm.any_fault_min();
    assert!(!storm.fit(&PLAIN.into(), short, Seed::new(1)).is_empty());
    assert!(storm.fit(&PLAIN.into(), short - Duration::from_millis(1), Seed::new(1)).is_empty());
}

#[test]
fn either_family_of_a_lane_may_come_first() {
    let limit = Duration::from_secs(10);
    let families = [Family::Kill, Family::Pause].into();
    let first = |seed| generate(&Storm::default(), &families, limit, Seed::new(seed))[0].fault;
    let kills = (0..100).filter(|seed| first(*seed).family() == Family::Kill).count();
    assert!((30..=70).contains(&kills), "{kills} of 100 begin with a kill");
}

#[test]
fn families_come_as_often_as_their_weights_say() {
    let weights = [(Family::Kill, 6), (Family::Pause, 2), (Family::Delay, 0)].into();
    let storm = Storm { weights, ..Storm::default() };
    let families = [Family::Kill, Family::Pause, Family::Delay].into();
    let schedule = generate(&storm, &families, Duration::from_secs(600), Seed::new(4));
    let count = |family| schedule.iter().filter(|it| it.fault.family() == family).count();
    let (kills, pauses) = (count(Family::Kill), count(Family::Pause));
    assert!(kills > 50 && pauses * 3 <= kills + 6 && kills <= pauses * 3 + 6, "{kills} {pauses}");
    assert_eq!(count(Family::Delay), 0);
}

#[test]
fn pauses_are_of_every_length() {
    let storm = Storm::default();
    let pauses = generate(&storm, &[Family::Pause].into(), Duration::from_secs(900), Seed::new(2));
    let count = |from: u64, to: u64| {
        let range = Duration::from_millis(from)..Duration::from_millis(to);
        pauses.iter().filter(|pause| range.contains(&pause.duration)).count()
    };
    let (blinks, short, long) = (count(5, 50), count(50, 500), count(500, 5_000));
    assert!(blinks > 50 && short > 50 && long > 50, "{blinks} {short} {long}");
}

#[test]
fn messages_of_rare_kinds_are_seldom_chosen() {
    let limit = Duration::from_secs(3_000);
    let storm = Storm::default();
    let schedule = generate(&storm, &[Family::Messages].into(), limit, Seed::new(1));
    let kinds: Vec<_> = schedule
        .iter()
        .filter_map(|it| match it.fault {
            Fault::Messages { rule, .. } => rule.kind,
            _ => None,
        })
        .collect();
    let common = kinds.iter().filter(|kind| kind.is_common()).count();
    assert!((60..80).contains(&(100 * common / kinds.len())), "{common} of {}", kinds.len());
    for kind in crate::messages::MessageKind::TOLD_APART {
        assert!(kinds.contains(&kind), "{kind:?} of {}", kinds.len());
    }
}

#[test]
fn more_lanes_than_groups_bring_more_at_once() {
    let most = |overlap_max| {
        let storm = Storm { overlap: overlap_max, ..Storm::default() };
        overlap(&generate(&storm, &Family::ALL.into(), Duration::from_secs(120), Seed::new(8)))
    };
    assert_eq!((most(1), most(2), most(3)), (1, 2, 3));
    assert!(most(8) > 4, "{}", most(8));
}

#[test]
fn swarms_differ() {
    let swarm = |seed| Storm::default().draw_swarm(&PLAIN.into(), Seed::new(seed));
    let families: BTreeSet<_> = (0..40).map(|seed| swarm(seed).1).collect();
    assert!(families.len() > 25, "{}", families.len());
    fn differ<T: Ord>(least: usize, of: impl Fn(Storm) -> T) {
        let storm = |seed| Storm::default().draw_swarm(&PLAIN.into(), Seed::new(seed)).0;
        let drawn: BTreeSet<T> = (0..40).map(|seed| of(storm(seed))).collect();
        assert!(drawn.len() >= least, "{} of {least}", drawn.len());
    }
    differ(20, |storm| storm.duration_max);
    differ(20, |storm| storm.gap_max);
    differ(20, |storm| storm.latency_max);
    differ(5, |storm| storm.bytes_per_second_min);
    differ(2, |storm| storm.overlap);
    differ(4, |storm| storm.weights.get(&Family::Kill).copied());
}

#[test]
fn lanes_do_not_beat_in_time() {
    let families = [Family::Kill, Family::Partition].into();
    let limit = Duration::from_secs(60);
    let is_in_time = |seed: &u64| {
        let schedule = generate(&Storm::default(), &families, limit, Seed::new(*seed));
        let first = |family| schedule.iter().find(|it| it.fault.family() == family).map(|it| it.at);
        first(Family::Kill) == first(Family::Partition)
    };
    let count = (0..50).filter(is_in_time).count();
    assert!(count <= 5, "in {count} of 50 storms both begin at once");
}

/// Returns the faults of a family in a storm of many hours.
fn long_storm(family: Family) -> Vec<Fault> {
    let limit = Duration::from_secs(6_000);
    let schedule = generate(&Storm::default(), &[family].into(), limit, Seed::new(3));
    schedule.into_iter().map(|it| it.fault).collect()
}

/// Numbers are drawn from all of their range, to both of its ends.
#[track_caller]
fn check_range(family: Family, low: f64, high: f64, number: impl Fn(&Fault) -> Option<f64>) {
    let numbers: Vec<f64> = long_storm(family).iter().filter_map(number).collect();
    let [least, most] = [f64::min, f64::max].map(|of| numbers.iter().copied().reduce(of).unwrap());
    assert!(least >= low && most <= high, "{family}: from {least} to {most}");
    assert!(least <= low * 1.5 && most >= high / 1.5, "{family}: only {least} to {most}");
}

#[test]
fn how_hard_a_fault_comes_is_drawn_from_all_that_there_is() {
    let storm = Storm::default();
    let seconds = |span: &Duration| span.as_secs_f64();
    let latency_max = seconds(&storm.latency_max);
    check_range(Family::Delay, 0.002, latency_max, |fault| match fault {
        Fault::Delay { latency, .. } => Some(seconds(latency)),
        _ => None,
    });
    let jitters = long_storm(Family::Delay).into_iter().filter_map(|fault| match fault {
        Fault::Delay { latency, jitter, .. } => Some(jitter > latency / 2),
        _ => None,
    });
    let (wide, narrow): (Vec<bool>, Vec<bool>) = jitters.partition(|is_wide| *is_wide);
    assert!(wide.len() > narrow.len() / 2 && narrow.len() > wide.len() / 2, "{}", wide.len());
    let least = storm.bytes_per_second_min as f64;
    check_range(Family::Throttle, least, 500.0 * least, |fault| match fault {
        Fault::Throttle { bytes_per_second, .. } => Some(*bytes_per_second as f64),
        _ => None,
    });
    let duration_min = seconds(&storm.duration_min);
    check_range(Family::Partition, 0.04, duration_min, |fault| match fault {
        Fault::Flap { period, .. } => Some(seconds(period)),
        _ => None,
    });
    check_range(Family::Disk, 0.002, latency_max, |fault| match fault {
        Fault::SlowSync { delay, .. } => Some(seconds(delay)),
        _ => None,
    });
    check_range(Family::Messages, 5.0, 100.0, |fault| match fault {
        Fault::Messages { rule, .. } => Some(rule.percent.into()),
        _ => None,
    });
    check_range(Family::Clock, 0.05, 60.0, |fault| match fault {
        Fault::ClockAhead { by, .. } => Some(seconds(by)),
        _ => None,
    });
    check_range(Family::Clock, 0.05, 60.0, |fault| match fault {
        Fault::ClockBack { by, .. } => Some(seconds(by)),
        _ => None,
    });
    check_range(Family::Clock, 50.0, 200.0, |fault| match fault {
        Fault::ClockDrift { percent, .. } => Some((*percent).into()),
        _ => None,
    });
}

#[test]
fn every_way_to_hurt_is_on_the_menu() {
    let has = |family, is_such: fn(&Fault) -> bool| long_storm(family).iter().any(is_such);
    for torn in [true, false] {
        let all = Fault::PowerLoss { target: Target::All, torn };
        assert!(long_storm(Family::Power).contains(&all), "{all}");
    }
    for family in
        [Family::Delay, Family::Throttle, Family::Refuse, Family::Reset, Family::Blackhole]
    {
        for target in Storm::default().targets {
            let links = [Links::To, Links::From, Links::Both, Links::Clients].map(|of| of(target));
            let seen: Vec<_> =
                long_storm(family).iter().filter_map(|it| Some(it.shape()?.0)).collect();
            assert!(links.iter().all(|links| seen.contains(links)), "{family} {target}");
        }
    }
    for is_replaced in [true, false] {
        let damages = long_storm(Family::Damage);
        let is_such = |it: &&Fault| it.changes_members() == is_replaced;
        assert!(damages.iter().any(|it| is_such(&it)), "to be replaced: {is_replaced}");
    }
    assert!(has(Family::Partition, |fault| matches!(fault, Fault::Flap { .. })));
    let alone = Fault::Partition(Topology::LeaderWithClients);
    assert!(long_storm(Family::Partition).contains(&alone), "{alone}");
}

#[test]
fn a_run_without_room_is_refused_and_told_how_much_it_takes() {
    let check = |storm: &Storm, families: &[Family], milliseconds| {
        let families = families.iter().copied().collect();
        let result = storm.check_room(&families, Duration::from_millis(milliseconds));
        result.map_err(|error| error.to_string())
    };
    let storm = Storm::default();
    let three = [Family::Kill, Family::Pause, Family::Partition];
    let error = check(&storm, &three, 4_999).unwrap_err();
    assert!(error.contains("`time_limit` must be at least 5s"), "{error}");
    assert_eq!(check(&storm, &three, 5_000), Ok(()));
    assert_eq!(check(&storm, &[Family::Kill, Family::Partition], 3_500), Ok(()));
    assert!(check(&storm, &[Family::Partition], 3_499).is_err());
    assert_eq!(check(&storm, &[], 1), Ok(()));
    let hail = Storm {
        gap_min: Duration::ZERO,
        duration_min: Duration::from_millis(1),
        ..Storm::default()
    };
    assert_eq!(check(&hail, &three, 400_000), Ok(()));
    let error = check(&hail, &three, 600_000).unwrap_err();
    assert!(error.contains("ask for up to 600000 faults, over 500000"), "{error}");
}
