//! An honest queue, and each rule broken.

use serde_json::{Value, json};

use super::super::script::Script;
use super::*;

impl Script {
    fn enqueue(&mut self, value: i64) -> &mut Self {
        self.ok(1, "enqueue", json!(value), json!(value))
    }

    /// None: it was found empty.
    fn dequeue(&mut self, value: Option<i64>) -> &mut Self {
        self.ok(2, "dequeue", Value::Null, json!(value))
    }
}

#[test]
fn an_honest_queue_passes() {
    let mut script = Script::default();
    script.dequeue(None).enqueue(5).enqueue(6).dequeue(Some(5)).dequeue(Some(6)).dequeue(None);
    // Two that come together may leave in any order.
    script.event(1, "invoke", "enqueue", json!(7)).event(3, "invoke", "enqueue", json!(8));
    script.event(1, "ok", "enqueue", json!(7)).event(3, "ok", "enqueue", json!(8));
    script.dequeue(Some(8)).dequeue(Some(7));
    // What is unknown may or may not be there.
    script.info(4, "enqueue", json!(9)).dequeue(None).dequeue(Some(9));
    script.info(5, "enqueue", json!(10)).dequeue(None);
    let audit = script.check_passes(check);
    let expected = json!({"enqueued": 4, "dequeued": 5, "empty": 4, "unknown_dequeues": 0});
    assert_eq!(audit.measures, expected);
}

#[test]
fn a_dequeue_of_unknown_outcome_accounts_for_one() {
    let mut script = Script::default();
    script.enqueue(5).info(3, "dequeue", Value::Null).dequeue(None);
    script.check_passes(check);
    script.enqueue(6).dequeue(None);
    script.check_breaks(check, "lost");
}

#[test]
fn what_is_still_inside_leaves_a_doubt() {
    let mut script = Script::default();
    script.dequeue(None).enqueue(5);
    script.check_unknown(check);
    script.dequeue(Some(5));
    script.check_passes(check);
}

#[test]
fn what_came_and_never_left_an_empty_queue_is_lost() {
    let mut script = Script::default();
    script.enqueue(5).enqueue(6).dequeue(Some(5)).dequeue(None);
    script.check_breaks(check, "lost");
}

#[test]
fn nothing_leaves_twice() {
    let mut script = Script::default();
    script.enqueue(5).dequeue(Some(5)).dequeue(Some(5));
    script.check_breaks(check, "duplicated");
}

#[test]
fn nothing_leaves_that_did_not_come() {
    let mut script = Script::default();
    script.dequeue(Some(5));
    script.check_breaks(check, "phantom");
    script.enqueue(5);
    script.check_breaks(check, "phantom");
    let mut script = Script::default();
    script.fail(1, "enqueue", json!(5)).dequeue(Some(5));
    script.check_breaks(check, "phantom");
}

#[test]
fn a_queue_is_not_empty_while_something_is_in_it() {
    let mut script = Script::default();
    script.enqueue(5).dequeue(None).dequeue(Some(5));
    script.check_breaks(check, "hidden");
    // It may have been taken when the other looked.
    let mut script = Script::default();
    script.enqueue(5).event(3, "invoke", "dequeue", Value::Null).dequeue(None);
    script.event(3, "ok", "dequeue", json!(5));
    script.check_passes(check);
    // So it may, if it was taken while the other looked.
    let mut script = Script::default();
    script.enqueue(5).event(3, "invoke", "dequeue", Value::Null);
    script.event(2, "invoke", "dequeue", Value::Null).event(3, "ok", "dequeue", Value::Null);
    script.event(2, "ok", "dequeue", json!(5));
    script.check_passes(check);
}

#[test]
fn first_in_is_first_out() {
    let mut script = Script::default();
    script.enqueue(5).enqueue(6).enqueue(7).dequeue(Some(5)).dequeue(Some(7)).dequeue(Some(6));
    script.check_breaks(check, "reordered");
}
