use super::*;
use crate::engine::{EngineName, decide};
use crate::model::register::{Register, RegisterAnswer, RegisterOp};
use crate::model::{Scalar, Step};
use crate::search::{Budget, Found};

fn write(value: i64, span: (u64, u64), position: Option<u64>) -> Entry<Register> {
    let op = RegisterOp::Write(Scalar::Int(value));
    entry(op, RegisterAnswer::Written, span, position)
}

fn read(value: i64, span: (u64, u64), position: Option<u64>) -> Entry<Register> {
    entry(RegisterOp::Read, RegisterAnswer::Value(Scalar::Int(value)), span, position)
}

fn entry(
    op: RegisterOp,
    seen: RegisterAnswer,
    (invoked, completed): (u64, u64),
    position: Option<u64>,
) -> Entry<Register> {
    let step = Step { op, seen: Some(seen), is_certain: true };
    Entry { step, process: invoked, invoked, completed: Some(completed), tie: 0, position }
}

fn check(entries: &[Entry<Register>], is_witnessed: bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let budget = Budget { deadline, memory: 1 << 30 };
    let choice = Some(EngineName::Witnessed);
    let decided = decide(&Register(Scalar::Nil), entries, budget, choice);
    assert_eq!(matches!(decided.searched.found, Found::Order(_)), is_witnessed, "{decided:?}");
}

#[test]
fn positions_are_believed_if_they_explain_everything() {
    let twice = |a, b, c| [write(1, (1, 9), a), write(2, (1, 9), b), write(1, (1, 9), c)];
    let and = |mut entries: Vec<_>, read| {
        entries.push(read);
        entries
    };
    let written = twice(Some(3), Some(1), Some(2)).to_vec();
    check(&and(written.clone(), read(1, (2, 9), Some(3))), true);
    check(&and(written.clone(), read(2, (1, 9), Some(1))), true);
    check(&and(written.clone(), read(2, (1, 9), Some(3))), false);
    check(&and(written, read(1, (1, 9), None)), false);
    // Where nothing was answered no order was named either.
    check(&[], false);
    // True to the values, not to the times.
    let early =
        vec![write(1, (1, 2), Some(2)), write(1, (5, 6), Some(1)), read(1, (7, 8), Some(2))];
    check(&early, false);
}

#[test]
fn what_changes_something_comes_before_who_saw_it_and_they_stand_as_they_were_called() {
    let order = |entries: &[Entry<Register>]| match rule(
        &Register(Scalar::Nil),
        entries,
        &mut Views::default(),
    ) {
        Ruling::Candidate { order, .. } => Some(order),
        _ => None,
    };
    let first = Some(1);
    // Those who saw it may have been called before it.
    let seen = [read(1, (5, 9), first), read(1, (1, 9), first), write(1, (3, 9), first)];
    assert_eq!(order(&seen), Some(vec![2, 1, 0]));
    // What is unknown has no position and no place.
    let mut lost = write(2, (1, 9), None);
    (lost.step.is_certain, lost.completed) = (false, None);
    assert_eq!(order(&[lost.clone(), write(1, (1, 9), first)]), Some(vec![1]));
    // Who answers without a position may stand anywhere, so nothing is said; nor if nobody answers.
    assert_eq!(order(&[write(1, (1, 2), None), read(1, (3, 4), first)]), None);
    assert_eq!((order(&[lost]), order(&[])), (None, None));
}
