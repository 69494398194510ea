use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

fn random(random: &mut Random) -> Vec<Event> {
    let count = 2 + random.below(7);
    let (length_max, lost, answered) = (1 + random.below(8), random.below(30), random.below(60));
    let amount = [1, 1, 3, -2][random.below(4) as usize];
    let odd = random.below(20) / 10 * 10;
    let mut events = Vec::new();
    for at in 0..count {
        let span = random.span(length_max);
        // Mostly what is plausible by then.
        let plausible = |random: &mut Random| {
            amount * (span.call * count / 20 + random.below(3)).min(at + 1) as i128
                + i128::from(random.is(2))
        };
        let is_read = random.is(40);
        let is_certain = is_read || !random.is(lost);
        let action = match is_read {
            true => Action::Read(plausible(random)),
            false => Action::Add {
                amount: amount + i128::from(random.is(odd / 5)),
                after: Some(plausible(random)).filter(|_| is_certain && random.is(answered)),
            },
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
        let step = |state: &i128, index: usize| match events[index].action {
            Action::Add { amount, after } => {
                let next = state + amount;
                after.is_none_or(|after| after == next).then_some(next)
            }
            Action::Read(seen) => (*state == seen).then_some(seen),
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        brute.check(0, &rule(0, &events), &mut tally, &|| format!("seed {seed}: {events:#?}"));
    }
    tally.demand("counter", 15);
}
