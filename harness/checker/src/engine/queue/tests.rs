use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

fn event(action: Action, call: u64, ret: u64) -> Event {
    Event { action, span: Span { call, ret }, is_certain: true }
}

fn check(events: &[Event], expected: Ruling) {
    assert_eq!(rule(events), expected, "{events:?}");
}

#[test]
fn patterns_are_found() {
    use Action::{Dequeue, Empty, Enqueue};
    check(&[], Ruling::Order(vec![]));
    check(&[event(Dequeue(1), 1, 2)], Ruling::NoOrder(vec![0]));
    check(&[event(Dequeue(1), 1, 2), event(Enqueue(1), 3, 4)], Ruling::NoOrder(vec![1, 0]));
    let entered = [event(Enqueue(1), 1, 2), event(Enqueue(2), 3, 4)];
    let and = |more: &[Event]| [&entered[..], more].concat();
    check(&and(&[event(Dequeue(2), 5, 6)]), Ruling::NoOrder(vec![0, 1, 2]));
    let turned = [event(Dequeue(2), 5, 6), event(Dequeue(1), 7, 8)];
    check(&and(&turned), Ruling::NoOrder(vec![0, 3, 1, 2]));
    let tied = [event(Dequeue(2), 5, 7), event(Dequeue(1), 7, 8)];
    check(&and(&tied), Ruling::Order(vec![0, 1, 3, 2]));
    let twice = [event(Dequeue(1), 5, 9), event(Dequeue(1), 5, 9)];
    check(&and(&twice), Ruling::NoOrder(vec![0, 2, 3]));
    // Neither element is there all the time, but one of them always is.
    let covered = [event(Dequeue(1), 6, 9), event(Empty, 5, 8)];
    check(&and(&covered), Ruling::NoOrder(vec![3, 1]));
    let by_two = [event(Dequeue(1), 6, 9), event(Dequeue(2), 8, 9), event(Empty, 3, 7)];
    check(&and(&by_two), Ruling::NoOrder(vec![4, 0, 2, 1, 3]));
}

#[test]
fn unknown_dequeues_matter_where_they_may_have_taken_what_stayed() {
    use Action::{Dequeue, Empty, Enqueue};
    let lost = |call| Event {
        action: Action::Lost,
        span: Span { call, ret: Span::NEVER },
        is_certain: false,
    };
    let entered = [event(Enqueue(1), 1, 2), event(Enqueue(2), 3, 4)];
    let and = |more: &[Event]| [&entered[..], more].concat();
    check(&and(&[lost(5)]), Ruling::Order(vec![0, 1]));
    // Whoever took 1 did so before 2 was taken, or nobody did.
    check(&and(&[event(Dequeue(2), 5, 6), lost(6)]), Ruling::Unfit(LOST));
    check(&and(&[event(Dequeue(2), 5, 6), lost(7)]), Ruling::NoOrder(vec![0, 1, 2]));
    check(&and(&[event(Empty, 5, 6), lost(6)]), Ruling::Unfit(LOST));
    check(&and(&[event(Empty, 5, 6), lost(7)]), Ruling::NoOrder(vec![2, 0]));
    // Both are known to have been taken.
    let turned = [event(Dequeue(2), 5, 6), event(Dequeue(1), 7, 8), lost(1)];
    check(&and(&turned), Ruling::NoOrder(vec![0, 3, 1, 2]));
    // That 3 stayed could be the unknown one's doing, but not that 2 left before 1.
    let more = [turned[0], turned[1], lost(1), event(Enqueue(3), 1, 2)];
    check(&and(&more), Ruling::NoOrder(vec![0, 3, 1, 2]));
}

/// Actions of clients on a queue, then some of them distorted.
fn random(random: &mut Random) -> Vec<Event> {
    let count = 2 + random.below(7);
    let (length_max, lost, empty) = (1 + random.below(8), random.below(20), random.below(40));
    let mut events = Vec::new();
    let mut entered = 0;
    for _ in 0..count {
        let span = random.span(length_max);
        let is_certain = !random.is(lost);
        let action = match random.below(100) {
            roll if roll < empty => Action::Empty,
            roll if roll < empty + (100 - empty) / 2 || entered == 0 => {
                entered += u32::from(entered == 0 || !random.is(2));
                Action::Enqueue(entered)
            }
            _ => Action::Dequeue(1 + random.below(u64::from(entered)) as u32),
        };
        let action = match action {
            Action::Dequeue(_) | Action::Empty if !is_certain => Action::Lost,
            action => action,
        };
        let is_certain = is_certain || action == Action::Lost && random.is(5);
        let ret = if is_certain { span.ret } else { Span::NEVER };
        events.push(Event { action, span: Span { ret, ..span }, is_certain });
    }
    events
}

#[test]
fn rulings_are_those_of_a_brute_force() {
    let mut tally = Tally::default();
    for seed in 0..cases() {
        let events = random(&mut Random(seed));
        let placed =
            events.iter().map(|event| Placed { span: event.span, is_certain: event.is_certain });
        let step = |state: &Vec<Element>, index: usize| match events[index].action {
            Action::Enqueue(element) => Some([&state[..], &[element]].concat()),
            Action::Dequeue(element) => {
                (state.first() == Some(&element)).then(|| state[1..].to_vec())
            }
            Action::Empty => state.is_empty().then(Vec::new),
            Action::Lost => Some(state.get(1..).unwrap_or_default().to_vec()),
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        brute
            .check(Vec::new(), &rule(&events), &mut tally, &|| format!("seed {seed}: {events:#?}"));
    }
    tally.demand("queue", 15);
}
