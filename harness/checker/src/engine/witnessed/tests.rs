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
    let decided = decide(&Register(Scalar::Nil), entries.to_vec(), budget, choice);
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
