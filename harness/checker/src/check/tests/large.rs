//! Larger histories, linearizable by construction: whoever calls one a violation raises a false
//! alarm, and whoever cannot tell is too slow.

use super::family::{self, Family};
use super::random::{Shape, history};
use crate::check::{Options, check};
use crate::model::Model;
use crate::verdict::Verdict;

fn check_large<M: Model>(family: &Family<M>, seeds: u64, shape: &Shape) {
    for seed in 0..seeds {
        let recording = history(family, seed, shape);
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone()),
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

const BUSY: Shape = Shape { clients: 8, operations: 400, info: 0, fail: 5, ties: 20, distorted: 0 };
const LOSSY: Shape =
    Shape { clients: 5, operations: 300, info: 5, fail: 5, ties: 20, distorted: 0 };

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
        let shape = Shape { clients, operations: 1000, info: 0, fail: 0, ties: 20, distorted: 0 };
        check_large(&family::register("register"), 2, &shape);
    }
}
