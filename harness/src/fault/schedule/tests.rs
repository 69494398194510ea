//! Schedules keep their bounds whatever the seed and the storm.

use proptest::prelude::*;

use super::*;

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
            }
        },
    )
}

fn families() -> impl Strategy<Value = BTreeSet<Family>> {
    proptest::sample::subsequence(Family::ALL.to_vec(), 0..=3).prop_map(BTreeSet::from_iter)
}

fn is_partition(fault: &ScheduledFault) -> bool {
    fault.fault.family() == Family::Partition
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
        let (network, processes): (Vec<_>, Vec<_>) = schedule.iter().partition(|fault| is_partition(fault));
        for lane in [network, processes] {
            for fault in &lane {
                prop_assert!(families.contains(&fault.fault.family()));
                prop_assert!(fault.at >= storm.calm + storm.gap_min);
                prop_assert!(fault.duration >= storm.duration_min);
                prop_assert!(fault.duration <= storm.duration_max);
                prop_assert!(fault.at + fault.duration <= limit);
                prop_assert!(fault.draw.is_some());
                if let Fault::Kill(target) | Fault::Pause(target) = fault.fault {
                    prop_assert!(storm.targets.contains(&target));
                }
            }
            for pair in lane.windows(2) {
                let gap = pair[1].at - (pair[0].at + pair[0].duration);
                prop_assert!(gap >= storm.gap_min && gap <= storm.gap_max);
            }
        }
    }

    #[test]
    fn one_lane_does_not_shift_the_other(storm in storms(), seed in 0..u64::MAX) {
        let limit = Duration::from_secs(40);
        let seed = Seed::new(seed);
        let mut all = generate(&storm, &Family::ALL.into(), limit, seed);
        let alone = generate(&storm, &[Family::Partition].into(), limit, seed);
        all.retain(is_partition);
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
fn a_default_run_sees_something_of_everything_however_short() {
    let storm = Storm::default();
    let families = Family::ALL.into();
    for (seconds, faults_min) in [(5, 3), (10, 3), (20, 5), (30, 6)] {
        let limit = Duration::from_secs(seconds);
        storm.check_room(&families, limit).unwrap();
        for seed in 0..300 {
            let schedule = generate(&storm, &families, limit, Seed::new(seed));
            check_complete(&schedule, &families);
            assert!(schedule.len() >= faults_min, "{seconds} s: {schedule:?}");
        }
    }
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
fn a_run_without_room_is_refused_and_told_how_much_it_takes() {
    let check = |storm: &Storm, families: &[Family], milliseconds| {
        let families = families.iter().copied().collect();
        let result = storm.check_room(&families, Duration::from_millis(milliseconds));
        result.map_err(|error| error.to_string())
    };
    let storm = Storm::default();
    let error = check(&storm, &Family::ALL, 4_999).unwrap_err();
    assert!(error.contains("`time_limit` must be at least 5s"), "{error}");
    assert_eq!(check(&storm, &Family::ALL, 5_000), Ok(()));
    assert_eq!(check(&storm, &[Family::Kill, Family::Partition], 3_500), Ok(()));
    assert!(check(&storm, &[Family::Partition], 3_499).is_err());
    assert_eq!(check(&storm, &[], 1), Ok(()));
    let hail = Storm {
        gap_min: Duration::ZERO,
        duration_min: Duration::from_millis(1),
        ..Storm::default()
    };
    assert_eq!(check(&hail, &Family::ALL, 400_000), Ok(()));
    let error = check(&hail, &Family::ALL, 600_000).unwrap_err();
    assert!(error.contains("ask for up to 600000 faults, over 500000"), "{error}");
}
