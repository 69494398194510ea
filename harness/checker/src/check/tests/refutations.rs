//! Weakened histories of every family: never without an order where the history has one, and a
//! small core of what has none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::history::operations;
use crate::model::{Model, Reader};
use crate::refutation::{Exhausted, Limit, Member, Role, Weakened, exhaust, members, shrink};

use super::family::{self, Family};
use super::random::{Random, Shape, history};
use super::{describe, nil_read_of, oracle_of};

/// Histories of each family.
const CASES: u64 = 2_000;

/// Weakened histories of each history that has an order.
const WEAKENED: u64 = 6;

fn limit() -> Limit {
    Limit { deadline: Instant::now() + Duration::from_secs(60), configurations: 1_000_000 }
}

/// A role that may be given to a member, or none.
fn draw_role<M: Model>(member: &Member<M>, random: &mut Random) -> Option<Role> {
    match random.below(4) {
        0 if member.is_certain() => Some(Role::Answered),
        1 if member.is_certain() => Some(Role::Happened),
        2 => Some(Role::Optional),
        _ => None,
    }
}

fn check_family<M: Model>(family: &Family<M>) {
    let (mut good, mut weakened_bad, mut bad, mut named, mut hurries) = (0, 0, 0, 0, 0);
    for seed in 0..CASES {
        let recording = history(family, seed, &Shape::of(seed));
        let Ok(operations) = operations(&recording) else { continue };
        let reader = Reader { nil_read: nil_read_of(seed), failed_cas: family.failed_cas };
        let readings =
            operations.list.iter().map(|operation| (family.read)(&operation.as_ref(), &reader));
        let Ok(readings) = readings.collect::<Result<Vec<_>, _>>() else { continue };
        let repeat = || format!("{}, seed {seed}:\n{}", family.name, describe(&recording));
        let key = family.key;
        let members = members(&operations.list, &readings, key, None);
        let whole: BTreeMap<usize, Role> = (0..members.len())
            .map(|index| match members[index].is_certain() {
                true => (index, Role::Answered),
                false => (index, Role::Optional),
            })
            .collect();
        let has_order = |roles: &BTreeMap<usize, Role>| {
            let pieces = Weakened::of(&members, roles).pieces;
            match exhaust(&family.initial, &pieces, limit()) {
                Exhausted::GaveUp => None,
                found => Some(found == Exhausted::Order),
            }
        };
        let is_linearizable = oracle_of(family, &recording, nil_read_of(seed)).is_linearizable();
        assert_eq!(has_order(&whole), Some(is_linearizable), "the whole: {}", repeat());
        let mut random = Random::new(seed);
        if is_linearizable {
            good += 1;
        }
        for _ in 0..WEAKENED {
            let roles = members.iter().enumerate();
            let roles: BTreeMap<usize, Role> = roles
                .filter_map(|(index, member)| Some((index, draw_role(member, &mut random)?)))
                .collect();
            let found = has_order(&roles);
            if is_linearizable {
                assert_ne!(found, Some(false), "weakened by {roles:?}: {}", repeat());
            }
            weakened_bad += u64::from(found == Some(false));
        }
        if is_linearizable {
            continue;
        }
        bad += 1;
        let shrunk = shrink(&family.initial, &members, None, limit().deadline)
            .unwrap_or_else(|| panic!("there is a core: {}", repeat()));
        assert_eq!(has_order(&shrunk.roles), Some(false), "{shrunk:?} {}", repeat());
        assert!(shrunk.is_minimal, "{}", repeat());
        for index in shrunk.roles.keys() {
            let mut fewer = shrunk.roles.clone();
            fewer.remove(index);
            assert_ne!(has_order(&fewer), Some(false), "without {index}: {shrunk:?} {}", repeat());
        }
        named += shrunk.roles.len() as u64;
        // Without time for more than the first attempt nothing is said to be minimal.
        if let Some(hurried) = shrink(&family.initial, &members, None, Instant::now()) {
            assert!(!hurried.is_minimal, "{hurried:?} {}", repeat());
            assert_eq!(has_order(&hurried.roles), Some(false), "{hurried:?} {}", repeat());
            hurries += 1;
        }
    }
    println!("{}: {good} good, {bad} bad, {named} named, {weakened_bad} weakened", family.name);
    assert!(good > CASES / 40 && bad > CASES / 40, "{}: {good} {bad}", family.name);
    assert!(weakened_bad > 0, "{}: no weakened history was bad", family.name);
    assert!(hurries > 0, "{}: no core was found in a hurry", family.name);
}

#[test]
fn weakening_takes_no_order_away_and_cores_are_minimal() {
    check_family(&family::register("registers"));
    check_family(&family::register_with_cas("registers with cas"));
    check_family(&family::register_with_observed_cas("registers with failed cas"));
    check_family(&family::key("keys"));
    check_family(&family::mutex("locks"));
    check_family(&family::multi_register("several registers"));
    check_family(&family::lock("locks with owners"));
    check_family(&family::lock_with_tokens("locks with tokens"));
    check_family(&family::set("sets"));
    check_family(&family::fifo_queue("queues"));
    check_family(&family::stack("stacks"));
    check_family(&family::priority_queue("priority queues"));
    check_family(&family::priority_queue_with_ties("priority queues with ties"));
    check_family(&family::counter("counters"));
    check_family(&family::append_list("lists"));
    check_family(&family::ledger("books"));
}

/// Whoever has not looked at everything says neither that there is an order nor that there is none.
#[test]
fn what_was_not_searched_through_is_given_up() {
    let family = family::register_with_cas("registers with cas");
    let mut given_up = 0;
    for seed in 0..300 {
        let recording = history(&family, seed, &Shape::of(seed));
        let operations = operations(&recording).expect("the generator pairs its events");
        let reader = Reader { nil_read: nil_read_of(seed), failed_cas: family.failed_cas };
        let readings =
            operations.list.iter().map(|operation| (family.read)(&operation.as_ref(), &reader));
        let Ok(readings) = readings.collect::<Result<Vec<_>, _>>() else { continue };
        let members = members(&operations.list, &readings, family.key, None);
        let pieces = Weakened::of(&members, &BTreeMap::new()).pieces;
        let role = |member: &Member<_>| match member.is_certain() {
            true => Role::Answered,
            false => Role::Optional,
        };
        let whole = members.iter().map(role).enumerate().collect();
        for pieces in [pieces, Weakened::of(&members, &whole).pieces] {
            let expected = exhaust(&family.initial, &pieces, limit());
            for configurations in [0, 2, 5, 10] {
                let limit = Limit { configurations, ..limit() };
                match exhaust(&family.initial, &pieces, limit) {
                    Exhausted::GaveUp => given_up += 1,
                    found => assert_eq!(found, expected, "seed {seed}, {configurations}"),
                }
            }
        }
    }
    assert!(given_up > 300, "{given_up}");
}
