use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

fn random(random: &mut Random) -> Vec<Event> {
    let count = 2 + random.below(7);
    let (length_max, lost) = (1 + random.below(8), random.below(30));
    let (mut events, mut added) = (Vec::new(), 0);
    for _ in 0..count {
        let span = random.span(length_max);
        let is_read = random.is(50);
        let is_certain = is_read || !random.is(lost);
        let action = match is_read {
            // Mostly an element is seen once its time has come.
            true => Action::Read(
                (0..4)
                    .filter(|element| random.is(if span.call >= element * 3 { 70 } else { 10 }))
                    .map(|element| element as u32)
                    .collect(),
            ),
            false => {
                added += u32::from(!random.is(2));
                Action::Add(added.saturating_sub(1))
            }
        };
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
        let step = |state: &u32, index: usize| match &events[index].action {
            Action::Add(element) => Some(state | 1 << element),
            Action::Read(elements) => {
                let seen = elements.iter().fold(0, |seen, element| seen | 1 << element);
                (*state == seen).then_some(seen)
            }
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        brute.check(0, &rule(16, &events), &mut tally, &|| format!("seed {seed}: {events:#?}"));
    }
    tally.demand("set", 10);
}
