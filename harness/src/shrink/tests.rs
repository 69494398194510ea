//! What is left is minimal, has failed, and came in time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::fault::{Fault, ScheduledFault, Target};
use crate::judgement::RunVerdict;
use crate::scenarios;
use crate::seed::Seed;

use super::*;

/// Runs plans in no time: whether one fails is a question to a function of its faults.
struct Fake<F> {
    fails: F,
    elapsed: Duration,
    run_takes: Duration,
    began: Vec<Duration>,
    failed: BTreeSet<Vec<usize>>,
    kept: usize,
}

impl<F: FnMut(&[usize]) -> Option<bool>> Fake<F> {
    fn new(fails: F) -> Self {
        Self {
            fails,
            elapsed: Duration::ZERO,
            run_takes: Duration::from_secs(10),
            began: Vec::new(),
            failed: BTreeSet::new(),
            kept: usize::MAX,
        }
    }
}

impl<F: FnMut(&[usize]) -> Option<bool>> Trial for Fake<F> {
    fn run(&mut self, plan: &Plan) -> Option<Ending> {
        self.began.push(self.elapsed);
        self.elapsed += self.run_takes;
        let faults = places(plan);
        let has_failed = (self.fails)(&faults)?;
        if has_failed {
            self.failed.insert(faults);
        }
        Some(ending(if has_failed { RunVerdict::Violation } else { RunVerdict::Pass }))
    }

    fn elapsed(&self) -> Duration {
        self.elapsed
    }

    fn keep(&mut self, faults: usize) {
        self.kept = faults;
    }
}

fn ending(verdict: RunVerdict) -> Ending {
    Ending { verdict, judges: ["linearizability".into()].into() }
}

/// A plan whose faults know their places by their times.
fn plan(count: usize) -> Plan {
    let fault = |place: usize| ScheduledFault {
        at: Duration::from_secs(place as u64),
        duration: Duration::from_secs(1),
        fault: Fault::Kill(Target::Leader),
        draw: Some(Seed::new(place as u64)),
    };
    Plan { schedule: Some((0..count).map(fault).collect()), ..Plan::default() }
}

fn places(plan: &Plan) -> Vec<usize> {
    plan.schedule.iter().flatten().map(|it| it.at.as_secs() as usize).collect()
}

fn shrink_by(
    count: usize,
    tries: usize,
    fake: &mut Fake<impl FnMut(&[usize]) -> Option<bool>>,
) -> Shrunk {
    let options = ShrinkOptions { tries, time_limit: Duration::MAX };
    shrink(&plan(count), &ending(RunVerdict::Violation), &options, fake)
}

/// The faults of a bit mask.
fn faults_of(mask: usize) -> Vec<usize> {
    (0..usize::BITS as usize).filter(|bit| mask >> bit & 1 == 1).collect()
}

fn mask_of(faults: &[usize]) -> usize {
    faults.iter().map(|place| 1 << place).sum()
}

proptest! {
    /// Where it takes certain faults to fail, exactly those are left.
    #[test]
    fn what_it_takes_is_what_is_left(count in 0_usize..24, seed in any::<usize>()) {
        let needed = seed & ((1 << count) - 1);
        let mut fake = Fake::new(|faults: &[usize]| Some(mask_of(faults) & needed == needed));
        let shrunk = shrink_by(count, 1, &mut fake);
        prop_assert_eq!(&shrunk.kept, &faults_of(needed));
        prop_assert_eq!(places(shrunk.plan.as_ref().unwrap()), faults_of(needed));
        prop_assert_eq!(shrunk.end, ShrinkEnd::Minimal);
        prop_assert_eq!(fake.kept, needed.count_ones() as usize);
        prop_assert!(shrunk.runs <= 2 + count * (count + 3), "{} runs", shrunk.runs);
    }

    /// Whatever fails and whatever does not: what is left has failed, and no single fault can go.
    #[test]
    fn what_is_left_is_minimal(count in 1_usize..8, failing in prop::collection::btree_set(any::<u8>(), 0..80)) {
        let all = (1_usize << count) - 1;
        let fails = |mask: usize| mask == all || failing.contains(&(mask as u8));
        let mut fake = Fake::new(|faults: &[usize]| Some(fails(mask_of(faults))));
        let shrunk = shrink_by(count, 1, &mut fake);
        prop_assert!(fake.failed.contains(&shrunk.kept));
        let mask = mask_of(&shrunk.kept);
        for place in &shrunk.kept {
            prop_assert!(!fails(mask & !(1 << place)), "{place} of {mask:b} can go");
        }
    }

    /// A failure that comes and goes: nothing is returned that was not seen to fail, and what is
    /// needed stays.
    #[test]
    fn what_never_failed_is_never_returned(count in 0_usize..10, seed in any::<usize>(), coins in prop::collection::vec(any::<bool>(), 1..50)) {
        let needed = seed & ((1 << count) - 1);
        let mut coins = coins.into_iter().cycle();
        let mut fake = Fake::new(|faults: &[usize]| {
            Some(mask_of(faults) & needed == needed && coins.next().unwrap_or_default())
        });
        let shrunk = shrink_by(count, 2, &mut fake);
        match shrunk.plan {
            Some(plan) => {
                prop_assert!(fake.failed.contains(&places(&plan)));
                prop_assert_eq!(mask_of(&shrunk.kept) & needed, needed);
            }
            None => prop_assert_eq!(shrunk.end, ShrinkEnd::NotReproduced),
        }
    }

    /// No run begins when the time is over, and what was found by then is returned.
    #[test]
    fn the_time_is_kept(count in 1_usize..16, seed in any::<usize>(), seconds in 0_u64..300) {
        let needed = seed & ((1 << count) - 1);
        let time_limit = Duration::from_secs(seconds);
        let mut fake = Fake::new(|faults: &[usize]| Some(mask_of(faults) & needed == needed));
        let options = ShrinkOptions { tries: 2, time_limit };
        let shrunk = shrink(&plan(count), &ending(RunVerdict::Violation), &options, &mut fake);
        prop_assert!(fake.began.iter().all(|&began| began < time_limit));
        prop_assert_eq!(shrunk.runs, fake.began.len());
        match shrunk.end {
            ShrinkEnd::TimeLimit => prop_assert!(fake.elapsed >= time_limit),
            end => prop_assert_eq!(end, ShrinkEnd::Minimal),
        }
        prop_assert_eq!(shrunk.plan.is_some(), seconds > 0);
        if let Some(plan) = shrunk.plan {
            prop_assert!(fake.failed.contains(&places(&plan)));
        }
    }
}

#[test]
fn a_failure_that_does_not_come_again_shrinks_nothing() {
    let mut fake = Fake::new(|_: &[usize]| Some(false));
    let shrunk = shrink_by(5, 3, &mut fake);
    assert_eq!((shrunk.end, shrunk.runs), (ShrinkEnd::NotReproduced, 3));
    assert!(shrunk.plan.is_none() && shrunk.kept.is_empty());
}

#[test]
fn as_many_tries_as_were_asked_for_and_no_more() {
    let mut tried: Vec<Vec<usize>> = Vec::new();
    // Two faults of which the first suffices, at the second try.
    let mut fake = Fake::new(|faults: &[usize]| {
        tried.push(faults.to_vec());
        let before = tried.iter().filter(|it| *it == faults).count();
        Some(faults.contains(&0) && before == 2)
    });
    let shrunk = shrink_by(2, 2, &mut fake);
    assert_eq!(shrunk.kept, [0]);
    let expected: [&[usize]; 6] = [&[0, 1], &[0, 1], &[], &[], &[0], &[0]];
    assert_eq!(tried, expected);
}

#[test]
fn an_interruption_leaves_what_was_found() {
    let mut runs = 0;
    let mut fake = Fake::new(|faults: &[usize]| {
        runs += 1;
        (runs < 5).then_some(faults.contains(&3))
    });
    let shrunk = shrink_by(4, 1, &mut fake);
    assert_eq!(shrunk.end, ShrinkEnd::Stopped);
    assert_eq!(shrunk.kept, [2, 3]);
}

#[test]
fn another_failure_is_another() {
    struct Other;
    impl Trial for Other {
        fn run(&mut self, _: &Plan) -> Option<Ending> {
            Some(Ending { verdict: RunVerdict::Violation, judges: ["recovery".into()].into() })
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
        fn keep(&mut self, _: usize) {
            panic!("it is no failure of this kind");
        }
    }
    let options = ShrinkOptions { tries: 1, time_limit: Duration::from_secs(1) };
    let shrunk = shrink(&plan(2), &ending(RunVerdict::Violation), &options, &mut Other);
    assert_eq!(shrunk.end, ShrinkEnd::NotReproduced);
}

#[test]
fn what_a_sequence_begins_can_be_taken_out_with_its_end() {
    let plan = scenarios::by_name("deposed").unwrap().plan().unwrap().settled();
    let parts = parts(&plan);
    let words: Vec<String> = parts.iter().map(Part::to_string).collect();
    assert_eq!(words.len(), 4, "{words:?}");
    assert_eq!(words[1], "pause leader, step 2 of sequence 1");
    for mask in 0..1_usize << parts.len() {
        let kept = faults_of(mask);
        let smaller = with_only(&plan, &parts, &kept);
        smaller.check().unwrap_or_else(|error| panic!("{kept:?}: {error}"));
        let expected: Vec<&String> = kept.iter().map(|&place| &words[place]).collect();
        let left: Vec<Fault> = smaller
            .sequence
            .iter()
            .flat_map(|it| it.steps.iter().filter_map(|step| step.begin))
            .collect();
        assert_eq!(left.len(), kept.len(), "{expected:?}");
        let (begun, ended) = (left.len(), smaller.sequence.iter().flat_map(|it| &it.steps));
        assert_eq!(ended.filter(|step| step.end.is_some()).count(), begun, "{expected:?}");
    }
}
