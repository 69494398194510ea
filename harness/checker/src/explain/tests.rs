//! What is said of small violations, whole.

use serde_json::{Value, json};

use crate::check::{Options, check};
use crate::history::read_bytes;
use crate::model::ModelName;

use super::explain;

/// Explains a history from (process, type, f, value).
fn explained(model: ModelName, events: &[(u64, &str, &str, Value)]) -> String {
    let line = |(process, event_type, f, value): &(u64, &str, &str, Value)| {
        json!({ "process": process, "type": event_type, "f": f, "value": value }).to_string() + "\n"
    };
    let content: String = events.iter().map(line).collect();
    let recording = read_bytes("h", content.as_bytes(), None).expect("it can be read");
    let options = Options { model: Some(model), ..Options::default() };
    let report = check(&recording, &options).expect("it can be judged");
    explain(&recording, &options, &report).expect("it is a violation").to_string()
}

fn check_text(model: ModelName, events: &[(u64, &str, &str, Value)], expected: &str) {
    let found = explained(model, events);
    let trim = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(trim(&found), trim(expected), "{found}");
}

#[test]
fn a_stale_read_is_told_by_what_overwrote_it() {
    check_text(
        ModelName::Register,
        &[
            (0, "invoke", "write", json!(2)),
            (0, "ok", "write", json!(2)),
            (0, "invoke", "write", json!(2)),
            (1, "invoke", "read", json!(null)),
            (0, "ok", "write", json!(2)),
            (1, "ok", "read", json!(2)),
            (1, "invoke", "write", json!(3)),
            (2, "invoke", "write", json!(4)),
            (1, "ok", "write", json!(3)),
            (3, "invoke", "read", json!(null)),
            (3, "ok", "read", json!(2)),
        ],
        "read by process 3 returned 2 (lines 10-11), but write 3 by process 1 (lines 7-9) had \
         completed before it began, and what leads there had completed before that began: \
         write 2 (2 operations)
         the core: 2 operations; none of them can be left out:
         happened  process 1 write 3 -> 3 (lines 7-9)
         answered  process 3 read -> 2 (lines 10-11)
         and whether or not these took effect:
         write 2, 2 operations (invoked from line 1 on, all completed by line 5)
         left out: 2 operations that none of these can notice
         process 1                   [- write 3 -]
         process 3                                 [- read -> 2 -]
         any        [. write 2 ×2 .]
         line       1              5 7           9 10            11",
    );
}

#[test]
fn an_answer_out_of_nowhere_stands_alone() {
    check_text(
        ModelName::Register,
        &[
            (0, "invoke", "write", json!(1)),
            (0, "ok", "write", json!(1)),
            (1, "invoke", "read", json!(null)),
            (1, "ok", "read", json!(7)),
            (0, "invoke", "write", json!(7)),
        ],
        "read by process 1 returned 7 (lines 3-4), but nothing that was invoked before it \
         completed leads to that
         the core: 1 operation; none of them can be left out:
         answered  process 1 read -> 7 (lines 3-4)
         left out: 1 operation that none of these can notice
         process 1  [- read -> 7 -]
         line       3             4",
    );
}

#[test]
fn a_lost_update_is_told_by_two_that_both_succeeded() {
    let text = explained(
        ModelName::CasRegister,
        &[
            (0, "invoke", "write", json!(0)),
            (0, "ok", "write", json!(0)),
            (1, "invoke", "cas", json!([0, 1])),
            (2, "invoke", "cas", json!([0, 2])),
            (1, "ok", "cas", json!([0, 1])),
            (2, "ok", "cas", json!([0, 2])),
        ],
    );
    let expected = "cas [0,1] by process 1 succeeded (lines 3-5), and cas [0,2] by process 2 \
                    succeeded (lines 4-6): after either of them nothing leads to the other's answer";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn an_older_value_after_a_newer_one_is_told_by_the_two_reads() {
    let text = explained(
        ModelName::Register,
        &[
            (0, "invoke", "write", json!(1)),
            (0, "ok", "write", json!(1)),
            (0, "invoke", "write", json!(2)),
            (1, "invoke", "read", json!(null)),
            (1, "ok", "read", json!(2)),
            (2, "invoke", "read", json!(null)),
            (2, "ok", "read", json!(1)),
        ],
    );
    let expected = "read by process 2 returned 1 (lines 6-7), but read by process 1 returned 2 \
                    (lines 4-5) had completed before it began";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_lock_that_two_hold_needs_no_third() {
    let text = explained(
        ModelName::Mutex,
        &[
            (0, "invoke", "acquire", json!(null)),
            (0, "ok", "acquire", json!(null)),
            (0, "invoke", "release", json!(null)),
            (0, "ok", "release", json!(null)),
            (1, "invoke", "acquire", json!(null)),
            (2, "invoke", "acquire", json!(null)),
            (1, "ok", "acquire", json!(null)),
            (2, "ok", "acquire", json!(null)),
        ],
    );
    assert!(text.contains("the core: 2 operations"), "{text}");
    assert!(text.contains("process 1 acquire") && text.contains("process 2 acquire"), "{text}");
}
