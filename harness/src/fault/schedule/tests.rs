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

#[test]
fn a_default_run_sees_something_of_everything() {
    for seed in 0..50 {
        let limit = Duration::from_secs(30);
        let seed = Seed::new(seed);
        let schedule = generate(&Storm::default(), &Family::ALL.into(), limit, seed);
        for family in Family::ALL {
            let count = schedule.iter().filter(|fault| fault.fault.family() == family).count();
            assert!(count >= 1, "no {family} with seed {seed}: {schedule:?}");
        }
        assert!(schedule.len() >= 6, "{}", schedule.len());
    }
}
