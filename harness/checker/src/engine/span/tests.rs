use super::*;
use crate::engine::tests::{Random, cases};
use crate::model::Step;
use crate::model::register::{Register, RegisterOp};

fn entry(process: u64, invoked: u64, completed: Option<u64>) -> Entry<Register> {
    let step = Step { op: RegisterOp::Read, seen: None, is_certain: completed.is_some() };
    Entry { step, process, invoked, completed, tie: 0, position: None }
}

#[test]
fn processes_that_are_tied_at_one_instant_have_no_spans() {
    let alone = [entry(1, 1, Some(3)), entry(2, 0, Some(3)), entry(1, 3, Some(4))];
    assert!(spans(&alone).is_ok());
    let both =
        [entry(1, 1, Some(3)), entry(2, 0, Some(3)), entry(1, 3, None), entry(2, 3, Some(3))];
    assert_eq!(spans(&both), Err(Ruling::Unfit(TIED)));
}

/// Spans say of every two entries what is known of them.
#[test]
fn spans_say_what_came_before_what() {
    let (mut fit, mut tied) = (0, 0);
    for seed in 0..cases() {
        let mut random = Random(seed);
        let mut entries = Vec::new();
        let mut now = [0; 3];
        for _ in 0..3 + random.below(6) {
            let process = random.below(3);
            let free = &mut now[process as usize];
            let invoked = *free + random.below(3);
            let completed = invoked + random.below(3);
            *free = completed;
            entries.push(entry(process, invoked, Some(completed).filter(|_| random.is(85))));
        }
        // Some end at the instant that stands for no return at all.
        let latest =
            entries.iter().filter_map(|entry| entry.completed.max(Some(entry.invoked))).max();
        let later = if random.is(10) { Span::NEVER - latest.unwrap_or(0) } else { 0 };
        for entry in &mut entries {
            entry.invoked += later;
            entry.completed = entry.completed.map(|completed| completed + later);
        }
        let Ok(spans) = spans(&entries) else {
            continue;
        };
        fit += 1;
        for (a, first) in entries.iter().enumerate() {
            assert_eq!(spans[a].ret == Span::NEVER, first.completed.is_none(), "seed {seed}");
            for (b, second) in entries.iter().enumerate() {
                let is_before = first.completed.is_some_and(|completed| {
                    let is_tie = completed == second.invoked;
                    completed < second.invoked || is_tie && first.process == second.process && a < b
                });
                tied += u64::from(is_before && first.completed == Some(second.invoked));
                assert_eq!(spans[a].precedes(spans[b]), is_before, "seed {seed}: {entries:#?}");
            }
        }
    }
    assert!(fit > 1_000 && tied > 1_000, "{fit} fit, {tied} tied");
}
