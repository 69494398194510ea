use super::super::tests::{Brute, Placed, Random, Tally, cases};
use super::*;

/// Owners that take turns with a lock, mostly, and mostly one after the other.
fn random(random: &mut Random) -> Vec<Event> {
    let (length_max, lost, odd) = (1 + random.below(6), random.below(15), random.below(12));
    let has_tokens = random.is(40);
    let mut now = [0u64; 3];
    let mut turn = [true; 3];
    let (mut events, mut held, mut token) = (Vec::new(), 0, 0);
    for _ in 0..2 + random.below(7) {
        let owner = if random.is(60) { held } else { random.below(3) as usize };
        let latest = now.into_iter().max().unwrap_or(0);
        let call = (now[owner] + 1).max(latest.saturating_sub(random.below(4)));
        let ret = call + random.below(length_max);
        let acquires = turn[owner] ^ random.is(odd / 3);
        let is_certain = !random.is(lost);
        // Now and then a token comes again, or one from before.
        if acquires {
            token += if random.is(odd) { i128::from(random.is(50)) - 1 } else { 1 };
        }
        events.push(Event {
            owner: owner as Owner,
            acquires,
            token: Some(token).filter(|_| acquires && is_certain && has_tokens),
            span: Span { call, ret: if is_certain { ret } else { Span::NEVER } },
            is_certain,
        });
        (turn[owner], held) = (!acquires, if acquires { owner } else { (owner + 1) % 3 });
        now[owner] = if is_certain { ret } else { 1 << 40 };
    }
    events
}

#[test]
fn tokens_grow_and_are_never_given_twice() {
    let held = |owner: Owner, (from, to): (u64, u64), token: i128| {
        let event = |acquires, token, call| Event {
            owner,
            acquires,
            token,
            span: Span { call, ret: call + 1 },
            is_certain: true,
        };
        [event(true, Some(token), from), event(false, None, to)]
    };
    let check = |tokens: [i128; 2], expected: Ruling| {
        let events = [held(0, (1, 3), tokens[0]), held(1, (5, 7), tokens[1])].concat();
        assert_eq!(rule(&events), expected, "{tokens:?}");
    };
    check([1, 2], Ruling::Order(vec![0, 1, 2, 3]));
    check([1, 9], Ruling::Order(vec![0, 1, 2, 3]));
    check([7, 7], Ruling::NoOrder(vec![0, 2]));
    check([2, 1], Ruling::NoOrder(vec![2, 3, 0, 1]));
}

#[test]
fn rulings_are_those_of_a_brute_force() {
    let mut tally = Tally::default();
    for seed in 0..cases() {
        let events = random(&mut Random(seed));
        let placed =
            events.iter().map(|event| Placed { span: event.span, is_certain: event.is_certain });
        // Tokens grow, by one at least where none is told.
        let step = |state: &(Option<Owner>, i128), index: usize| {
            let Event { owner, acquires, token, .. } = events[index];
            match (state.0, acquires) {
                (None, true) => {
                    let next = token.unwrap_or(state.1 + 1);
                    (next > state.1).then_some((Some(owner), next))
                }
                (Some(holder), false) if holder == owner => Some((None, state.1)),
                _ => None,
            }
        };
        let brute = Brute { placed: placed.collect(), step: &step };
        let ruling = rule(&events);
        brute
            .check((None, i128::MIN), &ruling, &mut tally, &|| format!("seed {seed}: {events:#?}"));
    }
    tally.demand("lock", 15);
}
