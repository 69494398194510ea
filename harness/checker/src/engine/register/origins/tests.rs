use super::super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::super::Access::{Read, Swap, Write};
use super::super::tests::{event, lost};
use super::*;

const EXPLAINED: Ruling = Ruling::Unfit("every answer has a write that it may have seen");

/// Reads see 0 to begin with; values are below 8.
fn check(events: &[Event], expected: Ruling) {
    let accesses = Accesses { initial: 0, values: 8, events: events.to_vec() };
    assert_eq!(rule(&accesses), expected, "{events:?}");
}

#[test]
fn an_answer_needs_a_write_that_nothing_overwrote() {
    // Both writes of 1 came before that of 2, and that before the question.
    let stale =
        [event(Write(1), 1, 2), event(Write(1), 1, 3), event(Write(2), 4, 5), event(Read(1), 6, 7)];
    check(&stale, Ruling::NoOrder(vec![1, 2, 3]));
    // At the very instant of the return or the call it need not have.
    let mut tied = stale;
    tied[2].span.ret = 6;
    check(&tied, EXPLAINED);
    let mut tied = stale;
    tied[1].span.ret = 4;
    check(&tied, EXPLAINED);
    // Nor if it may never have happened.
    let mut unsure = stale;
    unsure[2] = lost(Write(2), 4);
    check(&unsure, EXPLAINED);
    // A third write of 1, open when it was asked, or of unknown outcome.
    for third in [event(Write(1), 7, 9), lost(Write(1), 1)] {
        check(&[stale.as_slice(), &[third]].concat(), EXPLAINED);
    }
    check(&[stale.as_slice(), &[event(Write(1), 8, 9)]].concat(), Ruling::NoOrder(vec![1, 2, 3]));
    // A write of the same value overwrites nothing that matters, even if it was called last.
    let again = [event(Write(2), 1, 2), event(Write(1), 3, 4), event(Read(2), 5, 6)];
    check(&again, Ruling::NoOrder(vec![0, 1, 2]));
    let again = [event(Write(1), 1, 2), event(Write(2), 3, 4), event(Read(2), 5, 6)];
    check(&again, EXPLAINED);
    // Of two answers the one that was there first is named.
    let two = [stale.as_slice(), &[event(Read(1), 6, 6)]].concat();
    check(&two, Ruling::NoOrder(vec![1, 2, 4]));
}

#[test]
fn what_nobody_wrote_cannot_be_seen() {
    check(&[event(Read(0), 1, 2)], EXPLAINED);
    check(&[event(Write(1), 1, 2), event(Read(0), 3, 4)], Ruling::NoOrder(vec![0, 1]));
    check(&[event(Write(1), 1, 2), event(Read(5), 3, 4)], Ruling::NoOrder(vec![1]));
    check(&[event(Write(1), 3, 4), event(Read(1), 1, 2)], Ruling::NoOrder(vec![1]));
    check(&[event(Write(1), 2, 4), event(Read(1), 1, 2)], EXPLAINED);
    // Swaps see as well as write, unless nobody knows whether they did.
    let swapped = event(Swap { from: 0, to: 1 }, 1, 2);
    check(&[swapped, event(Read(0), 3, 4)], Ruling::NoOrder(vec![0, 1]));
    check(&[swapped, event(Swap { from: 0, to: 2 }, 3, 4)], Ruling::NoOrder(vec![0, 1]));
    check(&[swapped, lost(Swap { from: 0, to: 2 }, 3)], EXPLAINED);
    check(&[swapped, event(Swap { from: 1, to: 2 }, 3, 4)], EXPLAINED);
}

/// Random accesses of few values, mostly legal for a reference or nearly so.
fn random(random: &mut Random) -> Accesses {
    let count = 2 + random.below(8);
    let values = 2 + random.below(3);
    let length_max = 1 + random.below(6);
    let has_swaps = random.is(40);
    let value = |random: &mut Random| random.below(values) as u32;
    let mut events = Vec::new();
    for _ in 0..count {
        let span = random.span(length_max);
        let (from, to) = (value(random), value(random));
        let access = match random.below(10) {
            0..4 => Write(to),
            4..6 if has_swaps && from != to => Swap { from, to },
            _ => Read(from),
        };
        let is_certain = matches!(access, Read(_)) || random.is(85);
        let ret = if is_certain { span.ret } else { Span::NEVER };
        events.push(Event { access, span: Span { ret, ..span }, is_certain });
    }
    Accesses { initial: 0, values: 8, events }
}

/// For every answer a plain look at all writes and all pairs of them.
fn is_explained(accesses: &Accesses) -> bool {
    let events = &accesses.events;
    let begin = Event { access: Write(accesses.initial), ..event(Write(0), 0, 0) };
    let writes: Vec<Event> =
        events.iter().copied().chain([begin]).filter(|event| event.written().is_some()).collect();
    events.iter().filter(|event| event.is_certain && event.seen().is_some()).all(|seer| {
        writes.iter().any(|write| {
            write.written() == seer.seen()
                && !seer.span.precedes(write.span)
                && !writes.iter().any(|other| {
                    other.is_certain
                        && other.written() != seer.seen()
                        && write.span.precedes(other.span)
                        && other.span.precedes(seer.span)
                })
        })
    })
}

#[test]
fn rulings_are_true_and_as_many_as_they_can_be() {
    let mut tally = Tally::default();
    for seed in 0..cases() {
        let mut accesses = random(&mut Random(seed));
        // The initial value is before everything.
        accesses.events.iter_mut().for_each(|event| event.span.call += 1);
        accesses
            .events
            .iter_mut()
            .for_each(|event| event.span.ret = event.span.ret.saturating_add(1));
        let events = &accesses.events;
        let ruling = rule(&accesses);
        let what = || format!("seed {seed}: {events:#?}");
        assert_eq!(matches!(ruling, Ruling::NoOrder(_)), !is_explained(&accesses), "{}", what());
        let placed =
            events.iter().map(|event| Placed { span: event.span, is_certain: event.is_certain });
        let step = |state: &Value, index: usize| match events[index].access {
            Write(value) => Some(value),
            Read(value) => (*state == value).then_some(value),
            Swap { from, to } => (*state == from).then_some(to),
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        brute.check(0, &ruling, &mut tally, &what);
    }
    println!("origins: {tally:?}");
    assert!(tally.contradictions.min(tally.unfit) * 5 > cases(), "{tally:?}");
}
