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
         of these, an order comes no further than write 3 by process 1 (lines 7-9): the register holds 3
         next could be: read by process 3 returned 2 (lines 10-11); here it would have returned 3
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
         of these, an order comes no further than the beginning: the register holds nil
         next could be: read by process 1 returned 7 (lines 3-4); here it would have returned nil
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
    for next in [
        "cas [0,2] by process 2 succeeded (lines 4-6); here it would have returned a mismatch with 1",
        "cas [0,1] by process 1 succeeded (lines 3-5); here it would have returned a mismatch with 2",
    ] {
        assert!(text.contains(next), "{text}");
    }
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

/// Each operation that could come next is told with what it would have needed, whatever the model.
#[test]
fn what_could_come_next_is_told_in_the_words_of_its_model() {
    let nil = || json!(null);
    let cases = [
        (ModelName::FifoQueue, "enqueue", json!(1), "dequeue", nil(), json!(2), "1"),
        (ModelName::Stack, "push", json!(1), "pop", nil(), json!(2), "1"),
        (ModelName::PriorityQueue, "insert", json!(1), "pop-min", nil(), json!(2), "1"),
        (ModelName::Set, "add", json!(1), "read", nil(), json!([2]), "[1]"),
        (ModelName::AppendList, "append", json!(1), "read", nil(), json!([2]), "[1]"),
        (ModelName::Counter, "add", json!(1), "read", nil(), json!(2), "1"),
        (ModelName::Kv, "put", json!("1"), "get", nil(), json!("2"), "\"1\""),
        (ModelName::Lock, "acquire", nil(), "acquire", nil(), json!(true), "false"),
        (ModelName::Mutex, "acquire", nil(), "acquire", nil(), json!(true), "false"),
    ];
    for (model, first, asked, second, input, seen, expected) in cases {
        let answer = if asked.is_null() { json!(true) } else { asked.clone() };
        let text = explained(
            model,
            &[
                (0, "invoke", first, asked),
                (0, "ok", first, answer),
                (1, "invoke", second, input),
                (1, "ok", second, seen),
            ],
        );
        // The core may do without the first.
        let needed = [expected, "nil", "[]", "0"].map(|it| format!("would have returned {it}\n"));
        assert!(needed.iter().any(|needed| text.contains(needed)), "{model:?}: {text}");
    }
}

/// What would have been answered is as short as what was.
#[test]
fn a_long_answer_is_not_told_whole() {
    let long = "x".repeat(5_000);
    let text = explained(
        ModelName::Register,
        &[
            (0, "invoke", "write", json!(1)),
            (0, "ok", "write", json!(1)),
            (0, "invoke", "write", json!(long)),
            (0, "ok", "write", json!(long)),
            (1, "invoke", "read", json!(null)),
            (1, "ok", "read", json!(1)),
        ],
    );
    let expected = format!("here it would have returned \"{}…\n", &long[..59]);
    assert!(text.contains(&expected), "{text}");
}

/// Nothing that ended before something in the order began comes after it, and of one process nothing
/// out of its order.
#[test]
fn an_order_that_comes_no_further_is_true_to_the_times() {
    let text = explained(
        ModelName::Register,
        &[
            (0, "invoke", "write", json!(1)),
            (0, "ok", "write", json!(1)),
            (1, "invoke", "write", json!(2)),
            (2, "invoke", "read", json!(null)),
            (2, "ok", "read", json!(2)),
            (3, "invoke", "read", json!(null)),
            (3, "ok", "read", json!(1)),
        ],
    );
    let expected = "write 2 (line 3), then read by process 2 returned 2 (lines 4-5): the \
                    register holds 2";
    assert!(text.contains(expected), "{text}");
    let next = "read by process 3 returned 1 (lines 6-7); here it would have returned 2";
    assert!(text.contains(next), "{text}");
}
