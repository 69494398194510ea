use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

fn random(random: &mut Random) -> (bool, Vec<Event>) {
    let count = 2 + random.below(7);
    let (length_max, lost) = (2 + random.below(9), random.below(30));
    let is_held = random.is(30);
    let mut turn = is_held;
    let mut now = 0;
    let mut events = Vec::new();
    for _ in 0..count {
        // Mostly one after the other, with neighbours that overlap.
        now += random.below(4);
        let ret = now + random.below(length_max);
        turn = !turn;
        let acquires = turn ^ random.is(8);
        let is_certain = !random.is(lost);
        let ret = if is_certain { ret } else { Span::NEVER };
        events.push(Event { acquires, span: Span { call: now, ret }, is_certain });
    }
    (is_held, events)
}

#[test]
fn rulings_are_those_of_a_brute_force() {
    let mut tally = Tally::default();
    for seed in 0..cases() {
        let (is_held, events) = random(&mut Random(seed));
        let placed =
            events.iter().map(|event| Placed { span: event.span, is_certain: event.is_certain });
        let step = |state: &bool, index: usize| {
            (*state != events[index].acquires).then_some(events[index].acquires)
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        let ruling = rule(is_held, &events);
        brute.check(is_held, &ruling, &mut tally, &|| format!("seed {seed}: {events:#?}"));
    }
    tally.demand("mutex", 15);
}
