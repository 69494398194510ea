//! Operations as plain values are judged as a recording of them is.

use crate::check::own::{Judgement, Limits, Misfit, Operation, Outcome, judge};
use crate::check::{Options, check};
use crate::history::operations;
use crate::model::fifo_queue::{FifoQueue, QueueAnswer, QueueOp};
use crate::model::{End, Model, Reader, Scalar};
use crate::verdict::{Unknown, Verdict};

use super::describe;
use super::family::{self, Family};
use super::random::{Shape, history};

fn judge_queue(operations: &[Operation<FifoQueue>]) -> Result<Judgement, Misfit> {
    judge(&FifoQueue::default(), operations, &Limits::default())
}

/// Judges random histories of a family both ways.
fn check_family<M: Model>(family: &Family<M>) {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..1_500 {
        // In a recording that is out of order, lines have another order than operations here; and
        // plain operations name no positions.
        let shape = Shape { shuffled: 0, ties: 0, has_positions: false, ..Shape::of(seed) };
        let recording = history(family, seed, &shape);
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone().into()),
            failed_cas: family.failed_cas,
            ..Options::default()
        };
        let Ok(report) = check(&recording, &options) else { continue };
        let reader = Reader { nil_read: options.nil_read, failed_cas: options.failed_cas };
        let repeat = || format!("{}, seed {seed}:\n{}", family.name, describe(&recording));
        let (mut plain, mut sources) = (Vec::new(), Vec::new());
        let recorded = operations(&recording).expect("the generator pairs its events").list;
        // Their order does not matter, so they are given backwards.
        for (source, operation) in recorded.iter().enumerate().rev() {
            let reading =
                (family.read)(&operation.as_ref(), &reader).expect("the checker could read it");
            let completed = operation.completed.map_or(0, |completed| completed.instant);
            let outcome = match reading.end {
                End::Answered(Some(answer)) => Outcome::Answered { completed, answer },
                End::Answered(None) => Outcome::Done { completed },
                End::Refused => Outcome::Failed { completed },
                End::Open => Outcome::Unknown,
            };
            let (process, invoked) = (operation.process, operation.invoked.instant);
            plain.push(Operation { process, op: reading.op, invoked, outcome });
            sources.push(source);
        }
        let judgement = judge(&family.initial, &plain, &Limits::default());
        let judgement = judgement.unwrap_or_else(|misfit| panic!("{misfit}: {}", repeat()));
        match (&report.verdict, &judgement.verdict) {
            (Verdict::Linearizable, Verdict::Linearizable) => {
                good += 1;
                let order = judgement.partitions[0].linearization.iter().flatten();
                let order: Vec<usize> = order.map(|place| sources[*place]).collect();
                assert_eq!(Some(order), report.partitions[0].linearization, "{}", repeat());
            }
            (Verdict::Violation { witness }, Verdict::Violation { witness: plain }) => {
                bad += 1;
                let line = plain.end.completed_line.expect("it was completed");
                let completed = recorded[sources[line - 1]].completed.map(|moment| moment.line);
                assert!(plain.shortest, "{}", repeat());
                assert_eq!(completed, witness.end.completed_line, "{}", repeat());
            }
            (Verdict::Unknown { .. }, Verdict::Unknown { .. }) => {}
            (recorded, plain) => panic!("{recorded:?}, but {plain:?}: {}", repeat()),
        }
    }
    assert!(good > 300 && bad > 200, "{}: {good} good, {bad} bad", family.name);
}

#[test]
fn plain_operations_are_judged_as_recorded_ones() {
    check_family(&family::register_with_cas("register with cas"));
    check_family(&family::fifo_queue("first-in first-out queue"));
    check_family(&family::lock_with_tokens("lock with fencing tokens"));
}

#[test]
fn what_makes_no_history_is_refused() {
    let dequeue = |process, invoked, completed| {
        Operation::answered(process, QueueOp::Dequeue, invoked, completed, QueueAnswer::Empty)
    };
    for (operations, expected) in [
        (vec![dequeue(0, 1, 2), dequeue(0, 2, 3)], None),
        (vec![dequeue(0, 5, 6), dequeue(0, 1, 2), dequeue(0, 2, 5)], None),
        (vec![dequeue(0, 1, 1), dequeue(0, 1, 1)], None),
        (vec![dequeue(1, 1, 9), dequeue(0, 2, 3)], None),
        (vec![Operation::unknown(0, QueueOp::Dequeue, 1), dequeue(0, 2, 3)], None),
        (vec![dequeue(1, 1, 2), dequeue(0, 4, 3)], Some(Misfit::AnsweredTooSoon { place: 1 })),
        (
            vec![dequeue(7, 2, 5), dequeue(7, 1, 3)],
            Some(Misfit::Overlap { process: 7, earlier: 1, later: 0 }),
        ),
    ] {
        assert_eq!(judge_queue(&operations).err(), expected, "{operations:?}");
    }
}

#[test]
fn what_was_never_answered_is_no_pass() {
    let enqueue = || QueueOp::Enqueue(Scalar::Int(1));
    for (operations, expected) in [
        (vec![], Some(Unknown::Empty)),
        (vec![Operation::unknown(0, enqueue(), 1)], Some(Unknown::NothingAnswered)),
        (vec![Operation::done(0, enqueue(), 1, 2)], None),
    ] {
        let judgement = judge_queue(&operations).expect("it is a history");
        let expected = expected.map_or(Verdict::Linearizable, |why| Verdict::Unknown { why });
        assert_eq!(judgement.verdict, expected, "{operations:?}");
    }
}
