use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

/// Appends in the order of their calls, mostly, and reads of what may have been there.
fn random(random: &mut Random) -> Vec<Event> {
    let count = 2 + random.below(7);
    let (length_max, lost, answered) = (1 + random.below(8), random.below(30), random.below(80));
    let odd = random.below(8);
    let mut spans: Vec<Span> = (0..count).map(|_| random.span(length_max)).collect();
    spans.sort_by_key(|span| span.call);
    let (mut events, mut appended) = (Vec::new(), Vec::<u64>::new());
    for span in spans {
        let is_read = random.is(50);
        let is_certain = is_read || !random.is(lost);
        let surely = appended.iter().filter(|ret| **ret < span.call).count() as u64;
        let length = surely + random.below(appended.len() as u64 + 1 - surely);
        let action = if is_read {
            let length = if random.is(odd) { random.below(6) } else { length };
            let mut list: Vec<u32> = (0..length as u32).collect();
            if length > 1 && random.is(odd) {
                list.swap(0, random.below(length) as usize);
            }
            Action::Read(list)
        } else {
            let element = appended.len() as u32 - u32::from(!appended.is_empty() && random.is(2));
            appended.push(if is_certain { span.ret } else { Span::NEVER });
            let length = appended.len() + random.is(odd) as usize;
            let length = Some(length).filter(|_| is_certain && random.is(answered));
            Action::Append { element, length }
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
        let step = |state: &Vec<Element>, index: usize| match &events[index].action {
            Action::Append { element, length } => {
                let next = [&state[..], &[*element]].concat();
                length.is_none_or(|length| length == next.len()).then_some(next)
            }
            Action::Read(list) => (state == list).then(|| state.clone()),
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        brute.check(Vec::new(), &rule(16, &events), &mut tally, &|| {
            format!("seed {seed}: {events:#?}")
        });
    }
    tally.demand("list", 10);
}
