use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

pub(super) fn event(access: Access, call: u64, ret: u64) -> Event {
    Event { access, span: Span { call, ret }, is_certain: true }
}

pub(super) fn lost(access: Access, call: u64) -> Event {
    Event { access, span: Span { call, ret: Span::NEVER }, is_certain: false }
}

/// Reads see 0 to begin with; values are below 8.
fn check(events: &[Event], expected: Ruling) {
    let accesses = Accesses { initial: 0, values: 8, events: events.to_vec() };
    assert_eq!(rule(&accesses), expected, "{events:?}");
}

#[test]
fn clusters_are_put_in_order() {
    use Access::{Read, Swap, Write};
    check(&[], Ruling::Order(vec![]));
    // A stale read: 1 was overwritten before it was called.
    let stale = [event(Write(1), 1, 2), event(Write(2), 3, 4), event(Read(1), 5, 6)];
    check(&stale, Ruling::NoOrder(vec![0, 1, 2]));
    // At the very instant of the return it is none.
    let tied = [event(Write(1), 1, 2), event(Write(2), 3, 5), event(Read(1), 5, 6)];
    check(&tied, Ruling::Order(vec![0, 2, 1]));
    // The initial value, too late, and in time.
    check(&[event(Write(1), 1, 2), event(Read(0), 3, 4)], Ruling::NoOrder(vec![0, 1]));
    check(&[event(Write(1), 1, 3), event(Read(0), 3, 4)], Ruling::Order(vec![1, 0]));
    // A value that nobody wrote, and one from the future.
    check(&[event(Read(5), 1, 2)], Ruling::NoOrder(vec![0]));
    check(&[event(Write(1), 3, 4), event(Read(1), 1, 2)], Ruling::NoOrder(vec![0, 1]));
    // An unknown write that was seen happened, one that was not need not have.
    check(&[lost(Write(1), 1), event(Read(0), 2, 3)], Ruling::Order(vec![1]));
    let seen = [lost(Write(1), 1), event(Read(1), 2, 3), event(Read(0), 4, 5)];
    check(&seen, Ruling::NoOrder(vec![0, 1, 2]));
    // Swaps chain clusters; a read of the first value after a read of the last is late.
    let swapped = |read| {
        let swap = event(Swap { from: 0, to: 1 }, 1, 9);
        [swap, event(Swap { from: 1, to: 2 }, 1, 9), event(Read(2), 2, 3), event(Read(read), 4, 5)]
    };
    check(&swapped(2), Ruling::Order(vec![0, 1, 2, 3]));
    check(&swapped(1), Ruling::NoOrder(vec![3, 2]));
    let twice = [event(Swap { from: 0, to: 1 }, 1, 9), event(Swap { from: 0, to: 2 }, 1, 9)];
    check(&twice, Ruling::NoOrder(vec![0, 1]));
    let round = [event(Swap { from: 1, to: 2 }, 1, 9), event(Swap { from: 2, to: 1 }, 1, 9)];
    check(&round, Ruling::NoOrder(vec![0, 1]));
    // A value that was seen and written twice is for others; one that nobody saw is not.
    let repeated = |read| [event(Write(1), 1, 2), event(Write(1), 3, 4), event(Read(read), 1, 9)];
    check(&repeated(0), Ruling::Order(vec![2, 0, 1]));
    check(&repeated(1), Ruling::Unfit("a value that was seen may come from several writes"));
}

/// Random accesses: writes of mostly new values, reads and swaps of values that were written.
fn random(random: &mut Random) -> Accesses {
    let count = 2 + random.below(7);
    let has_swaps = random.is(60);
    let repeats = [0, 0, 10][random.below(3) as usize];
    let length_max = 1 + random.below(8);
    let mut next = 1;
    let mut events = Vec::new();
    for _ in 0..count {
        let span = random.span(length_max);
        let mut new = |random: &mut Random| {
            next += u32::from(next == 1 || !random.is(repeats));
            next - 1
        };
        let old = random.below(4) as u32;
        let access = match random.below(10) {
            0..4 => Access::Write(new(random)),
            4..6 if has_swaps => Access::Swap { from: old, to: new(random) },
            _ => Access::Read(old),
        };
        let is_certain = matches!(access, Access::Read(_)) || random.is(80);
        let ret = if is_certain { span.ret } else { Span::NEVER };
        let access = match access {
            Access::Swap { from, to } if from == to => Access::Write(to),
            access => access,
        };
        events.push(Event { access, span: Span { ret, ..span }, is_certain });
    }
    Accesses { initial: 0, values: 16, events }
}

#[test]
fn rulings_are_those_of_a_brute_force() {
    let mut tally = Tally::default();
    for seed in 0..cases() {
        let accesses = random(&mut Random(seed));
        let events = &accesses.events;
        let placed =
            events.iter().map(|event| Placed { span: event.span, is_certain: event.is_certain });
        // An unknown swap that finds another value changes nothing: like one that never was.
        let step = |state: &Value, index: usize| match events[index].access {
            Access::Write(value) => Some(value),
            Access::Read(value) => (*state == value).then_some(value),
            Access::Swap { from, to } => (*state == from).then_some(to),
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        brute.check(0, &rule(&accesses), &mut tally, &|| format!("seed {seed}: {events:#?}"));
    }
    tally.demand("unique register", 15);
}
