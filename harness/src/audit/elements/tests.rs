//! Each fate of an element, and each rule broken.

use serde_json::{Value, json};

use super::super::script::Script;
use super::*;

fn set(operations: &Operations) -> Audit {
    check(Kind::Set, operations)
}

fn list(operations: &Operations) -> Audit {
    check(Kind::List, operations)
}

impl Script {
    fn add(&mut self, element: i64) -> &mut Self {
        self.ok(1, "add", json!(element), json!({"added": true}))
    }

    fn append(&mut self, element: i64, length: u64) -> &mut Self {
        self.ok(1, "append", json!(element), json!({"length": length}))
    }

    fn read(&mut self, elements: &[i64]) -> &mut Self {
        self.ok(2, "read", Value::Null, json!(elements))
    }
}

#[test]
fn what_is_added_and_stays_passes() {
    let mut script = Script::default();
    script.read(&[]).add(5).read(&[5]).info(3, "add", json!(6)).read(&[5]);
    // It was unknown and turns up later; a read under way with an addition may miss it.
    script.event(2, "invoke", "read", Value::Null).add(7).event(2, "ok", "read", json!([5]));
    script.read(&[7, 5, 6]).fail(4, "add", json!(8)).read(&[5, 6, 7]);
    let audit = script.check_passes(set);
    let expected = json!({"attempted": 4, "acknowledged": 2, "seen": 3, "never_read": 0,
        "lost": 0, "stale": 0, "stale_max_ns": 0, "missing": []});
    assert_eq!(audit.measures, expected);
}

#[test]
fn what_was_acknowledged_and_no_read_could_show_was_never_read() {
    let mut script = Script::default();
    script.read(&[]).add(5);
    assert_eq!(script.check_unknown(set).measures["never_read"], 1);
}

#[test]
fn an_acknowledged_element_that_a_later_read_lacks_is_lost() {
    let mut script = Script::default();
    script.add(5).add(6).read(&[6]);
    let audit = script.check_breaks(set, "lost");
    assert_eq!((&audit.measures["lost"], &audit.measures["never_read"]), (&json!(1), &json!(0)));
    assert_eq!(audit.measures["missing"][0]["known_ns"], 20);
}

#[test]
fn an_unknown_element_that_was_seen_must_stay() {
    let mut script = Script::default();
    script.info(1, "add", json!(5)).read(&[5]).read(&[]);
    script.check_breaks(set, "lost");
    let mut script = Script::default();
    script.info(1, "add", json!(5)).read(&[]).read(&[5]);
    script.check_passes(set);
}

#[test]
fn an_element_that_is_away_for_a_while_is_stale_and_for_how_long() {
    let mut script = Script::default();
    // Known at 20, missed by a read that begins at 50.
    script.add(5).read(&[5]).read(&[]).read(&[5]);
    let audit = script.check_breaks(set, "stale");
    assert_eq!(
        (&audit.measures["stale"], &audit.measures["stale_max_ns"]),
        (&json!(1), &json!(30))
    );
    // What is lost for good is told first.
    script.add(6).read(&[5]);
    script.check_breaks(set, "lost");
}

#[test]
fn a_read_has_each_element_once() {
    let mut script = Script::default();
    script.add(5).read(&[5, 5]);
    script.check_breaks(set, "duplicated");
    let mut script = Script::default();
    script.append(5, 1).read(&[5, 5]);
    script.check_breaks(list, "duplicated");
}

#[test]
fn a_read_has_nothing_that_nobody_added() {
    let mut script = Script::default();
    script.add(5).read(&[5, 6]);
    script.check_breaks(set, "phantom");
    // Neither what is only added later, nor what was certainly not.
    script.add(6);
    script.check_breaks(set, "phantom");
    let mut script = Script::default();
    script.fail(1, "add", json!(5)).read(&[5]);
    script.check_breaks(set, "phantom");
}

#[test]
fn a_list_keeps_its_order() {
    let mut script = Script::default();
    script.append(5, 1).append(6, 2).read(&[5, 6]).append(7, 3).read(&[5, 6, 7]);
    script.check_passes(list);
    script.read(&[6, 5, 7]);
    script.check_breaks(list, "reordered");
    let mut script = Script::default();
    script.append(5, 2).info(3, "append", json!(6)).read(&[5, 6]);
    script.check_breaks(list, "reordered");
    let mut script = Script::default();
    script.append(5, 1).append(6, 1).read(&[5]).read(&[5, 6]);
    script.check_breaks(list, "reordered");
}

#[test]
fn another_value_is_no_breach_but_a_doubt() {
    let mut script = Script::default();
    script.ok(1, "read", Value::Null, json!(["x"]));
    script.check_unknown(set);
}
