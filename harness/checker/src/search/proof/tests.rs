//! Orders that prove something, and the same ones with a flaw.

use crate::model::register::{Register, RegisterAnswer, RegisterOp};
use crate::model::{Scalar, Step};

use super::*;

/// What one process did from one instant to another; what ends nowhere is unknown.
fn entry(
    process: u64,
    span: (u64, Option<u64>),
    written: Option<i64>,
    seen: i64,
) -> Entry<Register> {
    let (op, answer) = match written {
        Some(value) => (RegisterOp::Write(Scalar::Int(value)), RegisterAnswer::Written),
        None => (RegisterOp::Read, RegisterAnswer::Value(Scalar::Int(seen))),
    };
    let (invoked, completed) = span;
    let is_certain = completed.is_some();
    let step = Step { op, seen: is_certain.then_some(answer), is_certain };
    Entry { step, process, invoked, completed, tie: 0, position: None }
}

fn write(process: u64, span: (u64, Option<u64>), value: i64) -> Entry<Register> {
    entry(process, span, Some(value), 0)
}

fn read(process: u64, span: (u64, Option<u64>), value: i64) -> Entry<Register> {
    entry(process, span, None, value)
}

fn check(entries: &[Entry<Register>], order: &[usize], expected: bool) {
    let all: Vec<&Entry<Register>> = entries.iter().collect();
    let initial = Register(Scalar::Int(0));
    assert_eq!(is_proof(&initial, &all, order), expected, "{order:?} of {entries:#?}");
}

#[test]
fn an_order_holds_what_is_certain_once_and_what_is_unknown_at_most_once() {
    let entries = [write(0, (1, Some(9)), 1), write(1, (1, None), 2), read(2, (1, Some(9)), 1)];
    check(&entries, &[0, 2], true);
    check(&entries, &[1, 0, 2], true);
    check(&entries, &[0], false);
    check(&entries, &[2], false);
    // Legal, and true to time.
    check(&entries, &[0, 2, 0], false);
    check(&entries, &[1, 1, 0, 2], false);
    check(&[], &[], true);
}

#[test]
fn an_order_is_legal() {
    let entries = [write(0, (1, Some(9)), 1), read(1, (1, Some(9)), 1), read(2, (1, Some(9)), 0)];
    check(&entries, &[2, 0, 1], true);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 1, 0]] {
        check(&entries, &order, false);
    }
}

#[test]
fn an_order_is_true_to_what_came_before_what() {
    let apart = [write(0, (1, Some(2)), 1), write(1, (3, Some(4)), 2)];
    check(&apart, &[0, 1], true);
    check(&apart, &[1, 0], false);
    // Closed intervals: what ends at the instant at which another begins is beside it,
    let touching = [write(0, (1, Some(2)), 1), write(1, (2, Some(4)), 2)];
    check(&touching, &[1, 0], true);
    // unless one process did both, however many others stand between.
    let tied = [
        write(0, (1, Some(2)), 1),
        write(0, (2, Some(4)), 2),
        write(1, (1, Some(4)), 3),
        write(0, (4, Some(4)), 4),
    ];
    check(&tied, &[0, 1, 2, 3], true);
    check(&tied, &[0, 2, 1, 3], true);
    for order in [[1, 0, 2, 3], [1, 2, 0, 3], [0, 3, 1, 2], [0, 3, 2, 1], [3, 2, 0, 1]] {
        check(&tied, &order, false);
    }
    // Of what one process did before it lost an answer, nothing is known but the call.
    let lost = [write(0, (1, None), 1), write(0, (1, Some(4)), 2)];
    check(&lost, &[1, 0], true);
    check(&lost, &[0, 1], true);
    // Nor does it hide what did come before what.
    let [lost, first] = lost;
    let tied = [lost, first, write(0, (4, Some(5)), 3)];
    check(&tied, &[1, 0, 2], true);
    check(&tied, &[2, 0, 1], false);
}
