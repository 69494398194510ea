use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

/// An append that answered with the length afterwards, or did not.
fn append(element: Element, length: Option<usize>, call: u64, ret: u64) -> Event {
    let (action, is_certain) = (Action::Append { element, length }, ret != Span::NEVER);
    Event { action, span: Span { call, ret }, is_certain }
}

fn read(list: &[Element], call: u64, ret: u64) -> Event {
    Event { action: Action::Read(list.to_vec()), span: Span { call, ret }, is_certain: true }
}

#[test]
fn places_are_told_by_reads_and_lengths() {
    let check = |events: &[Event], expected| assert_eq!(rule(8, events), expected, "{events:?}");
    // Nothing stands twice in a list to which it was appended once.
    check(&[append(1, None, 1, 2), read(&[1, 1], 3, 4)], Ruling::NoOrder(vec![1]));
    // The place that 2 was given is that of 1, or that of nobody.
    let taken = |length| [append(1, None, 1, 2), read(&[1], 1, 9), append(2, Some(length), 3, 9)];
    check(&taken(1), Ruling::NoOrder(vec![2, 1]));
    check(&taken(0), Ruling::NoOrder(vec![2, 1]));
    check(&taken(2), Ruling::Order(vec![0, 1, 2]));
    // Of those that nobody saw the one called first comes first, whatever is listed first.
    let unseen = [append(2, None, 3, 4), append(1, None, 1, 2)];
    check(&unseen, Ruling::Order(vec![1, 0]));
    // An unknown one need not have happened: it leaves no doubt where the others stand.
    let lost = [append(1, Some(1), 1, 2), append(2, None, 1, Span::NEVER)];
    check(&lost, Ruling::Order(vec![0]));
}

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
