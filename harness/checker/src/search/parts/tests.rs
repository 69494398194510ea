//! Histories of several registers, split and whole.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use stateright::semantics::SequentialSpec;

use crate::model::multi_register::{Micro, Registers};
use crate::model::{Scalar, Step};
use crate::search::{
    Budget, Entry, Found, Place, Searched, Stop, Strategy, is_proof, search, search_with,
};

use super::{search_each, split};

/// An operation: process, invoked, completed, and micro-operations such as `x=1` and `x?1`.
type Line<'a> = (u64, u64, Option<u64>, &'a [&'a str]);

fn registers() -> Registers {
    Registers { initial: Scalar::Int(0), values: Default::default() }
}

fn entries(lines: &[Line<'_>]) -> Vec<Entry<Registers>> {
    let entry = |(tie, (process, invoked, completed, micros)): (usize, &Line<'_>)| {
        let (mut op, mut seen) = (Vec::new(), Vec::new());
        for micro in *micros {
            let (key, value) = micro.split_at(1);
            let is_read = value.starts_with('?');
            let value = Scalar::Int(value[1..].parse().expect("a value is a digit"));
            match is_read {
                true => {
                    op.push(Micro::Read(key.into()));
                    seen.push(Some(value));
                }
                false => op.push(Micro::Write(key.into(), value)),
            }
        }
        let is_certain = completed.is_some();
        Entry {
            step: Step { op, seen: is_certain.then_some(seen), is_certain },
            process: *process,
            invoked: *invoked,
            completed: *completed,
            tie: tie as u64,
            position: None,
        }
    };
    lines.iter().enumerate().map(entry).collect()
}

fn check_split(lines: &[Line<'_>], expected: Option<&[&[u32]]>) {
    let expected = expected.map(|groups| groups.iter().map(|group| group.to_vec()).collect());
    assert_eq!(split(&entries(lines)), expected, "{lines:?}");
}

#[test]
fn what_no_part_and_no_tie_connects_falls_apart() {
    let (x, y): (&[&str], &[&str]) = (&["x=1"], &["y=1"]);
    check_split(&[(0, 1, Some(2), x), (1, 1, Some(2), y)], Some(&[&[0], &[1]]));
    check_split(
        &[(0, 1, Some(2), x), (1, 1, None, y), (2, 3, Some(4), &["x?1"])],
        Some(&[&[0, 2], &[1]]),
    );
    // A transaction on both connects them.
    check_split(&[(0, 1, Some(2), x), (1, 1, Some(2), y), (2, 3, None, &["x?1", "y=2"])], None);
    // So does one process that did the one and at the same instant the other.
    check_split(&[(0, 1, Some(2), x), (0, 2, Some(3), y)], None);
    check_split(&[(0, 1, Some(2), x), (0, 3, Some(4), y)], Some(&[&[0], &[1]]));
    check_split(&[(0, 1, Some(2), x), (1, 2, Some(3), y)], Some(&[&[0], &[1]]));
    check_split(&[(0, 1, Some(2), x), (0, 2, None, y)], None);
    // What is about nothing connects nothing.
    check_split(&[(0, 1, Some(2), &[]), (1, 1, Some(2), x)], Some(&[&[0], &[1]]));
}

#[test]
fn of_several_contradictions_the_one_that_ends_first_is_told() {
    let stale = [
        (0, 1, Some(2), &["x=1"][..]),
        (1, 1, Some(2), &["y=1"]),
        (0, 3, Some(9), &["x?0"]),
        (1, 3, Some(5), &["y?0"]),
    ];
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(60), memory: 1 << 30 };
    let searched = search(&registers(), &entries(&stale), budget);
    assert_eq!(searched.place, Place::Here);
    let Found::NoOrder { entry: 3, dead } = searched.found else { panic!("{:?}", searched.found) };
    assert_eq!(dead[0].unordered, [3]);
    assert_eq!(dead[0].last, [1]);
    assert!(dead[0].state.starts_with("y = 1"), "{}", dead[0].state);
}

/// However many groups are left after a contradiction, the user waits for a part of the time once.
#[test]
fn after_a_contradiction_all_that_is_left_shares_one_deadline() {
    let micros: [&[&str]; 4] = [&["w=1"], &["x=1"], &["y=1"], &["z=1"]];
    let lines: Vec<Line<'_>> =
        micros.iter().zip(0..).map(|(micro, process)| (process, 1, Some(2), *micro)).collect();
    let entries = entries(&lines);
    let groups = split(&entries).expect("four registers have nothing to do with each other");
    let limit = Duration::from_secs(3_600);
    let budget = Budget { deadline: Instant::now() + limit, memory: 1 << 30 };
    let deadlines = RefCell::new(Vec::new());
    search_each(&entries, &groups, budget, |_, budget| {
        deadlines.borrow_mut().push(budget.deadline);
        let found = Found::NoOrder { entry: 0, dead: Vec::new() };
        Searched { found, configurations: 0, place: Place::Here }
    });
    let deadlines = deadlines.into_inner();
    assert_eq!(deadlines.len(), 4);
    assert!(deadlines[3] < budget.deadline - limit / 2, "it is a part of the time");
    // None takes it from those after it.
    assert!(deadlines[1] < deadlines[2] && deadlines[2] < deadlines[3], "{deadlines:?}");
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Clients one after another on four registers, their operations stretched over one another, some
/// of them unknown and one answer distorted in most histories.
fn random_entries(seed: u64) -> Vec<Entry<Registers>> {
    let mut random = Random(seed);
    let mut state = registers();
    let clients = 2 + random.below(4);
    let ties = random.below(3);
    let mut free = vec![1; clients as usize];
    let mut entries = Vec::new();
    for tie in 0..6 + random.below(14) {
        let process = random.below(clients);
        let key = ["w", "x", "y", "z"][random.below(4) as usize];
        let op = match random.below(2) {
            0 => vec![Micro::Read(key.into())],
            _ => vec![Micro::Write(key.into(), Scalar::Int(1 + random.below(2) as i64))],
        };
        // Applied at three times its place: an operation lasts from before to after.
        let now = 3 * (tie + 2);
        let invoked = free[process as usize].max(now - random.below(9).min(now - 1)).min(now);
        let completed = now + random.below(3);
        free[process as usize] = completed + u64::from(random.below(3) >= ties);
        let is_certain = matches!(op[0], Micro::Read(_)) || random.below(8) > 0;
        let mut seen = state.invoke(&op);
        if random.below(16) == 0 && !seen.is_empty() {
            seen[0] = Some(Scalar::Int(random.below(3) as i64));
        }
        let step = Step { op, seen: is_certain.then_some(seen), is_certain };
        let completed = is_certain.then_some(completed);
        let entry = Entry { step, process, invoked, completed, tie, position: None };
        entries.push(entry);
    }
    entries
}

#[test]
fn apart_and_together_the_search_says_the_same() {
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(600), memory: 1 << 30 };
    let (mut good, mut bad, mut exact) = (0, 0, 0);
    for seed in 0..4_000 {
        let entries = random_entries(seed);
        let all: Vec<&Entry<Registers>> = entries.iter().collect();
        let apart = search(&registers(), &entries, budget);
        let together = search_with(&registers(), &all, budget, Strategy::Race);
        let at = |entry: usize| (entries[entry].completed, entries[entry].tie);
        let places = (apart.place, together.place);
        match (apart.found, together.found) {
            (Found::Order(order), Found::Order(_)) => {
                assert!(is_proof(&registers(), &all, &order), "seed {seed}");
                good += usize::from(split(&entries).is_some());
            }
            (Found::NoOrder { entry: apart, .. }, Found::NoOrder { entry: together, .. }) => {
                let is_same = match places {
                    (Place::Here, Place::Here) => apart == together,
                    (Place::NotBefore, Place::Here) => at(apart) <= at(together),
                    (Place::Here, Place::NotBefore) => at(together) <= at(apart),
                    _ => true,
                };
                assert!(is_same, "seed {seed}: {apart} {together} {places:?}: {entries:?}");
                exact += usize::from(places == (Place::Here, Place::Here));
                bad += usize::from(split(&entries).is_some());
            }
            (apart, together) => panic!("seed {seed}: {apart:?}, {together:?}: {entries:?}"),
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
    assert!(exact > 300, "{exact} exact");
}

/// What is said of all where one group has no order and the search of another came to no end.
#[test]
fn a_contradiction_outweighs_a_search_without_end_and_says_less_then() {
    let line = |process| (process, 1, Some(2 + process), &["x=1"][..]);
    let entries = entries(&[line(0), line(1), line(2)]);
    let groups = [vec![0], vec![1], vec![2]];
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(60), memory: 1 << 30 };
    let all = |of_group: &dyn Fn(u64) -> (Found, Place)| {
        search_each(&entries, &groups, budget, |mine, _| {
            let (found, place) = of_group(mine[0].process);
            Searched { found, configurations: 5, place }
        })
    };
    let order = || (Found::Order(vec![0]), Place::Here);
    let stopped = || {
        let found = Found::Stopped { why: Stop::Memory, entry: 0, completions: 1 };
        (found, Place::Anywhere)
    };
    let bad = |place| (Found::NoOrder { entry: 0, dead: Vec::new() }, place);

    let searched = all(&|process| if process == 1 { stopped() } else { order() });
    // One group came one completion far, the others to their ends.
    let is_it = matches!(searched.found, Found::Stopped { entry: 1, completions: 3, .. });
    assert!(is_it && searched.configurations == 15, "{searched:?}");

    for (others, place) in [(Place::Here, Place::Here), (Place::NotBefore, Place::NotBefore)] {
        for worse in [0, 2] {
            let of_group = |process| match process {
                1 => order(),
                _ if process == worse => bad(others),
                _ => bad(Place::Here),
            };
            let searched = all(&of_group);
            assert!(matches!(searched.found, Found::NoOrder { entry: 0, .. }), "{searched:?}");
            assert_eq!(searched.place, place);
        }
    }
    let searched = all(&|process| if process == 1 { stopped() } else { bad(Place::Here) });
    // The group that was not searched to its end may have had none earlier.
    assert!(matches!(searched.found, Found::NoOrder { entry: 0, .. }), "{searched:?}");
    assert_eq!(searched.place, Place::Anywhere);
}
