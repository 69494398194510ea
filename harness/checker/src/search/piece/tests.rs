//! Histories that are told in pieces.

use std::time::{Duration, Instant};

use crate::model::multi_register::{Micro, Registers};
use crate::model::{Scalar, Step};
use crate::search::{Budget, Entry};

use super::{Advanced, Front, Unknowns};

fn read(key: &str) -> Micro {
    Micro::Read(key.into())
}

fn write(key: &str, value: i64) -> Micro {
    Micro::Write(key.into(), Scalar::Int(value))
}

/// A transaction from one instant to another, and what its reads saw.
fn entry(
    process: u64,
    (invoked, completed): (u64, u64),
    op: &[Micro],
    seen: &[Scalar],
) -> Entry<Registers> {
    let seen = Some(seen.iter().cloned().map(Some).collect());
    Entry {
        step: Step { op: op.to_vec(), seen, is_certain: true },
        process,
        invoked,
        completed: Some(completed),
        tie: completed,
        position: None,
    }
}

/// In the first piece nobody writes y, so the transaction that reads it as nil seems to overwrite
/// everything, and could be put off until the last write of x. It must come before somebody writes
/// y, which is known only in the second piece.
#[test]
fn what_overwrites_everything_in_a_piece_is_not_put_off_beyond_it() {
    let first = [
        entry(0, (1, 11), &[read("y"), write("x", 1)], &[Scalar::Nil]),
        entry(1, (2, 3), &[write("x", 3)], &[]),
        entry(2, (4, 10), &[write("x", 2)], &[]),
    ];
    let second = [
        entry(4, (6, 7), &[write("y", 9)], &[]),
        entry(1, (8, 9), &[read("x"), read("y")], &[Scalar::Int(3), Scalar::Int(9)]),
    ];
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(60), memory: 1 << 30 };
    let front = Front::new(Registers { initial: Scalar::Nil, values: Default::default() });
    let advance = |front: &Front<Registers>, new: &[Entry<Registers>], before| match front.advance(
        new,
        before,
        Unknowns::Once,
        budget,
    ) {
        Advanced::Front(front) => front,
        other => panic!("the history has an order: {other:?}"),
    };
    let front = advance(&front, &first, Some(5));
    advance(&front, &second, None);
}
