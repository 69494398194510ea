//! Larger histories, linearizable by construction: whoever calls one a violation raises a false
//! alarm, and whoever cannot tell is too slow.

use super::family::{self, Family};
use super::random::{Shape, history};
use serde_json::{Value, json};

use crate::check::{Options, check};
use crate::history::{EventType, Recorded};
use crate::model::Model;
use crate::verdict::Verdict;

fn check_large<M: Model>(family: &Family<M>, seeds: u64, shape: &Shape) {
    for seed in 0..seeds {
        let recording = history(family, seed, shape);
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone().into()),
            failed_cas: family.failed_cas,
            ..Options::default()
        };
        let report = check(&recording, &options).expect("what was generated can be read");
        assert_eq!(
            report.verdict,
            Verdict::Linearizable,
            "{}, seed {seed}, {shape:?}",
            family.name
        );
    }
}

/// Nothing distorted, nothing odd.
const WHOLE: Shape = Shape {
    clients: 4,
    operations: 100,
    info: 0,
    fail: 0,
    ties: 0,
    distorted: 0,
    reuses: false,
    shuffled: 0,
    has_positions: false,
};
const BUSY: Shape = Shape { clients: 8, operations: 400, info: 0, fail: 5, ties: 20, ..WHOLE };
const LOSSY: Shape = Shape { clients: 5, operations: 300, info: 5, fail: 5, ties: 20, ..WHOLE };

#[test]
fn registers_are_judged_at_length() {
    for shape in [BUSY, LOSSY] {
        check_large(&family::register("register"), 100, &shape);
        check_large(&family::register_with_cas("cas"), 100, &shape);
        // A fail that was made up would be a false observation.
        check_large(
            &family::register_with_observed_cas("cas observed"),
            100,
            &Shape { fail: 0, ..shape },
        );
        check_large(&family::multi_register("several registers"), 100, &shape);
    }
}

#[test]
fn locks_are_judged_at_length() {
    for shape in [BUSY, LOSSY] {
        check_large(&family::mutex("lock"), 100, &shape);
    }
}

#[test]
fn keys_are_judged_at_length() {
    check_large(&family::key("key"), 100, &BUSY);
    check_large(&family::key("key"), 100, &Shape { operations: 100, ..LOSSY });
}

#[test]
fn a_window_of_more_than_128_operations_is_judged() {
    for clients in [65, 100, 150, 300] {
        let shape = Shape { clients, operations: 1000, info: 0, fail: 0, ties: 20, ..WHOLE };
        check_large(&family::register("register"), 2, &shape);
    }
}

/// A wrong read while more operations are open than fit in one word, or in two.
/// They write few values: with seventy different ones nobody could try all orders.
#[test]
fn a_violation_in_a_wide_window_is_found() {
    let family = family::register("register");
    for open in [70, 130, 200] {
        let shape = Shape { clients: 8, operations: 100, ties: 20, ..WHOLE };
        let mut recording = history(&family, open, &shape);
        let model = recording.events[0].event.clone();
        let mut time = recording.events.iter().filter_map(|recorded| recorded.event.time).max();
        let mut push = |process, event_type, f: &str, value: Value| {
            time = time.map(|time| time + 1);
            let mut event = model.clone();
            event.process = crate::history::Process::Client(process);
            (event.time, event.event_type, event.f, event.value) =
                (time, event_type, f.into(), value.into());
            recording.events.push(Recorded { line: recording.events.len() + 1, column: 1, event });
            recording.events.len()
        };
        for index in 0..open {
            push(1_000 + index, EventType::Invoke, "write", json!(10 + index % 3));
        }
        push(9_000, EventType::Invoke, "read", Value::Null);
        let line = push(9_000, EventType::Ok, "read", json!(9));
        for index in 0..open {
            push(1_000 + index, EventType::Ok, "write", json!(10 + index % 3));
        }
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone().into()),
            ..Options::default()
        };
        let report = check(&recording, &options).expect("what was generated can be read");
        let Verdict::Violation { witness } = report.verdict else {
            panic!("{open} open: {:?}", report.verdict);
        };
        assert_eq!((witness.shortest, witness.end.completed_line), (true, Some(line)), "{open}");
    }
}
