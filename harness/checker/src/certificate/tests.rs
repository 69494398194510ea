//! Certificates that prove, and the same ones with a flaw, each refused for what is wrong with it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::check::{NilRead, Options, check};
use crate::explain::explain;
use crate::history::read_bytes;
use crate::model::ModelName;

use super::{CoreRefusal, NotProven, Place, Proven, Refusal, VerifyError, certify, verify};

/// More than the search of any core here takes.
const LIMIT: Duration = Duration::from_secs(60);

fn line(event_type: &str, process: u64, f: &str, value: Value) -> Value {
    json!({ "process": process, "type": event_type, "f": f, "value": value })
}

fn keyed(key: &str, mut line: Value) -> Value {
    line["key"] = json!(key);
    line
}

/// Writes lines as a history whose order decides.
fn history(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Two writes one after the other, a write of unknown outcome that was read, one that was not, and
/// a failed one.
fn good() -> String {
    history(&[
        line("invoke", 0, "write", json!(1)), // 1
        line("ok", 0, "write", json!(1)),
        line("invoke", 0, "write", json!(2)), // 3
        line("ok", 0, "write", json!(2)),
        line("invoke", 1, "write", json!(3)), // 5
        line("info", 1, "write", Value::Null),
        line("invoke", 2, "write", json!(4)), // 7
        line("invoke", 3, "write", json!(5)), // 8
        line("fail", 3, "write", json!(5)),
        line("invoke", 0, "read", Value::Null), // 10
        line("ok", 0, "read", json!(3)),
    ])
}

/// The certificate of a history, as the value that it is on paper.
fn certificate_of(content: &str) -> Value {
    let recording = read_bytes("h", content.as_bytes(), None).expect("it can be read");
    let options = Options { model: Some(ModelName::Register), ..Options::default() };
    let report = check(&recording, &options).expect("it can be judged");
    let explanation = explain(&recording, &options, &report).ok();
    let certificate =
        certify(&recording, content.as_bytes(), &options, &report, explanation.as_ref());
    serde_json::from_str(&certificate.expect("there is a verdict").to_json()).expect("it is JSON")
}

fn verify_value(certificate: &Value, content: &str) -> Result<Proven, VerifyError> {
    verify(&certificate.to_string(), "h", content.as_bytes(), LIMIT)
}

/// Verifies the certificate of a history after a change to its first partition.
fn refusal_of(content: &str, change: impl FnOnce(&mut Value)) -> NotProven {
    let mut certificate = certificate_of(content);
    verify_value(&certificate, content).expect("before the change it is a proof");
    change(&mut certificate);
    match verify_value(&certificate, content) {
        Err(VerifyError::NotProven(reason)) => reason,
        other => panic!("it is no proof any more: {other:?} {certificate}"),
    }
}

#[test]
fn every_operation_has_a_fate() {
    let certificate = certificate_of(&good());
    assert_eq!(
        certificate["partitions"],
        json!([{ "key": null, "order": [1, 3, 5, 10], "no_effect": [7] }])
    );
    assert_eq!(
        verify_value(&certificate, &good()).expect("it is a proof"),
        Proven::Linearizable { partitions: 1, explained: 3 }
    );
}

#[test]
fn a_flaw_in_an_order_is_named() {
    use Place::Line;
    let at = Line(10);
    for (order, no_effect, expected) in [
        (json!([3, 1, 5, 10]), json!([7]), Refusal::Untimely { at: Line(3), later: Line(1) }),
        (json!([1, 3, 10]), json!([5, 7]), Refusal::Illegal { at, state: state(2) }),
        (json!([1, 5, 3, 10]), json!([7]), Refusal::Untimely { at: Line(5), later: Line(3) }),
        (json!([1, 3, 5, 7, 10]), json!([]), Refusal::Illegal { at, state: state(4) }),
        (json!([1, 3, 5, 10, 7]), json!([7]), Refusal::Twice { at: Line(7) }),
        (json!([1, 3, 3, 5, 10]), json!([7]), Refusal::Twice { at: Line(3) }),
        (json!([1, 3, 5]), json!([7]), Refusal::Missing { at }),
        (json!([1, 3, 5]), json!([7, 10]), Refusal::Missing { at }),
        (json!([1, 3, 5, 10]), json!([]), Refusal::Fateless { at: Line(7) }),
        (json!([1, 3, 8, 5, 10]), json!([7]), Refusal::Failed { at: Line(8) }),
    ] {
        let reason = refusal_of(&good(), |certificate| {
            certificate["partitions"][0]["order"] = order.clone();
            certificate["partitions"][0]["no_effect"] = no_effect.clone();
        });
        assert_eq!(reason, NotProven::Order(expected), "{order} {no_effect}");
    }
    let reason = refusal_of(&good(), |certificate| {
        certificate["partitions"][0]["order"] = json!([1, 3, 5, 11]);
    });
    assert_eq!(reason, NotProven::NoOperation(Line(11)));
}

fn state(value: u64) -> String {
    format!("the register holds {value}")
}

fn timed(time: u64, mut line: Value) -> Value {
    line["time"] = json!(time);
    line
}

#[test]
fn a_process_does_one_thing_after_the_other_though_instants_tie() {
    let content = history(&[
        timed(1, line("invoke", 0, "write", json!(1))),
        timed(5, line("ok", 0, "write", json!(1))),
        timed(5, line("invoke", 0, "write", json!(1))),
        timed(9, line("ok", 0, "write", json!(1))),
    ]);
    let reason = refusal_of(&content, |certificate| {
        certificate["partitions"][0]["order"] = json!([3, 1]);
    });
    let expected = Refusal::Untimely { at: Place::Line(3), later: Place::Line(1) };
    assert_eq!(reason, NotProven::Order(expected));
    // What it did before, and may have taken effect between, hides nothing.
    let content = history(&[
        timed(1, line("invoke", 0, "write", json!(1))),
        timed(1, line("info", 0, "write", Value::Null)),
        timed(2, line("invoke", 0, "write", json!(1))),
        timed(5, line("ok", 0, "write", json!(1))),
        timed(5, line("invoke", 0, "write", json!(1))),
        timed(9, line("ok", 0, "write", json!(1))),
    ]);
    let reason = refusal_of(&content, |certificate| {
        certificate["partitions"][0]["order"] = json!([5, 1, 3]);
        certificate["partitions"][0]["no_effect"] = json!([]);
    });
    let expected = Refusal::Untimely { at: Place::Line(5), later: Place::Line(3) };
    assert_eq!(reason, NotProven::Order(expected));
}

/// Reads of which no answer was kept can stand anywhere, but not anyhow.
#[test]
fn what_says_nothing_stands_in_the_order_of_its_times() {
    let read = |process, time| {
        [
            timed(time, line("invoke", process, "read", Value::Null)),
            timed(time + 1, line("ok", process, "read", Value::Null)),
        ]
    };
    let write = [
        timed(1, line("invoke", 0, "write", json!(1))),
        timed(2, line("ok", 0, "write", json!(1))),
    ];
    // The lines come in another order than the times.
    let content = history(&[write, read(1, 9), read(2, 5), read(3, 7), read(4, 3)].concat());
    let recording = read_bytes("h", content.as_bytes(), None).expect("it can be read");
    let (model, nil_read) = (Some(ModelName::Register), NilRead::Unknown);
    let options = Options { model, nil_read, ..Options::default() };
    let report = check(&recording, &options).expect("it can be judged");
    let certificate = certify(&recording, content.as_bytes(), &options, &report, None);
    let certificate = certificate.expect("there is an order").to_json();
    let proven = verify(&certificate, "h", content.as_bytes(), LIMIT).expect("it is a proof");
    assert_eq!(proven, Proven::Linearizable { partitions: 1, explained: 1 });
}

/// Two keys, each with a write and a read.
fn two_keys() -> String {
    history(&[
        keyed("x", line("invoke", 0, "write", json!(1))),
        keyed("x", line("ok", 0, "write", json!(1))),
        keyed("y", line("invoke", 0, "write", json!(2))),
        keyed("y", line("ok", 0, "write", json!(2))),
        keyed("x", line("invoke", 0, "read", Value::Null)),
        keyed("x", line("ok", 0, "read", json!(1))),
    ])
}

#[test]
fn partitions_are_kept_apart() {
    let reason = refusal_of(&two_keys(), |certificate| {
        certificate["partitions"][0]["key"] = json!("y");
    });
    assert_eq!(reason, NotProven::Order(Refusal::Stray { at: Place::Line(1) }));
    let reason = refusal_of(&two_keys(), |certificate| {
        certificate["partitions"].as_array_mut().expect("a list").pop();
    });
    assert_eq!(reason, NotProven::Order(Refusal::Missing { at: Place::Line(3) }));
    // Two orders of one key could each begin anew.
    let reason = refusal_of(&two_keys(), |certificate| {
        certificate["partitions"] = json!([
            { "key": "x", "order": [1], "no_effect": [] },
            { "key": "x", "order": [5], "no_effect": [] },
            { "key": "y", "order": [3], "no_effect": [] },
        ]);
    });
    assert_eq!(reason, NotProven::Order(Refusal::Doubled { key: Some("x".to_owned()) }));
}

#[test]
fn a_certificate_is_about_one_file_one_model_and_one_reading() {
    let reason = refusal_of(&good(), |certificate| certificate["history"]["sha256"] = json!("00"));
    assert!(matches!(reason, NotProven::OtherFile { .. }), "{reason:?}");
    let mut other = good();
    other = other.replace("\"value\":3", "\"value\":9");
    let verified = verify_value(&certificate_of(&good()), &other);
    assert!(matches!(verified, Err(VerifyError::NotProven(NotProven::OtherFile { .. }))));
    // The same order from another beginning.
    let reads =
        history(&[line("invoke", 0, "read", Value::Null), line("ok", 0, "read", Value::Null)]);
    let reason = refusal_of(&reads, |certificate| certificate["initial"] = json!(7));
    let expected = Refusal::Illegal { at: Place::Line(1), state: state(7) };
    assert_eq!(reason, NotProven::Order(expected));
    // What says nothing is no proof, however well it is ordered.
    let reason = refusal_of(&reads, |certificate| certificate["nil_read"] = json!("unknown"));
    assert_eq!(reason, NotProven::NothingAnswered);
}

#[test]
fn what_is_no_certificate_is_not_taken_for_one() {
    let mut certificate = certificate_of(&good());
    certificate["version"] = json!(2);
    let verified = verify_value(&certificate, &good());
    assert!(matches!(verified, Err(VerifyError::Version { version: 2, .. })), "{verified:?}");
    for text in ["", "{}", "[]", "{\"format\":\"stormproof-certificate\",\"version\":1}"] {
        let verified = verify(text, "h", good().as_bytes(), LIMIT);
        assert!(matches!(verified, Err(VerifyError::Malformed(_))), "{text}: {verified:?}");
    }
    let mut certificate = certificate_of(&good());
    certificate["model"] = json!("ledger");
    let verified = verify_value(&certificate, &good());
    assert!(matches!(verified, Err(VerifyError::History(_))), "{verified:?}");
}

#[test]
fn events_on_one_line_are_told_apart_by_their_columns() {
    let content = "[{:process 0 :type :invoke :f :write :value 1} {:process 0 :type :ok :f :write :value 1}\n\
                   {:process 0 :type :invoke :f :read :value nil}\n{:process 0 :type :ok :f :read :value 1}]";
    let certificate = certificate_of(content);
    assert_eq!(certificate["partitions"][0]["order"], json!([{ "line": 1, "column": 2 }, 2]));
    verify_value(&certificate, content).expect("it is a proof");
}

/// 2 was overwritten by 3 before it was read. Of the other writes one is of unknown outcome.
fn stale() -> String {
    history(&[
        line("invoke", 0, "write", json!(2)), // 1
        line("ok", 0, "write", json!(2)),
        line("invoke", 1, "write", json!(9)), // 3
        line("info", 1, "write", Value::Null),
        line("invoke", 0, "write", json!(3)), // 5
        line("ok", 0, "write", json!(3)),
        line("invoke", 2, "read", Value::Null), // 7
        line("ok", 2, "read", json!(2)),
        line("invoke", 2, "read", Value::Null), // 9
        line("ok", 2, "read", json!(3)),
    ])
}

#[test]
fn a_core_names_no_more_than_it_must() {
    let certificate = certificate_of(&stale());
    assert_eq!(
        certificate["core"],
        json!({ "key": null, "cut": 8, "operations": [
            { "at": 5, "role": "happened" },
            { "at": 7, "role": "answered" },
        ] })
    );
    let proven = verify_value(&certificate, &stale()).expect("it is a proof");
    assert_eq!(proven, Proven::Violation { key: None, operations: 2 });
}

#[test]
fn a_flaw_in_a_core_is_named() {
    use Place::Line;
    let named = |at: usize, role: &str| json!({ "at": at, "role": role });
    let write = || named(5, "happened");
    let read = || named(7, "answered");
    for (cut, operations, expected) in [
        (8, json!([read()]), CoreRefusal::HasOrder),
        (8, json!([write()]), CoreRefusal::HasOrder),
        (8, json!([]), CoreRefusal::HasOrder),
        (8, json!([named(5, "optional"), read()]), CoreRefusal::HasOrder),
        (8, json!([write(), named(7, "happened")]), CoreRefusal::HasOrder),
        (6, json!([write(), read()]), CoreRefusal::NoPart { at: Line(7) }),
        (8, json!([write(), read(), named(9, "answered")]), CoreRefusal::NoPart { at: Line(9) }),
        (8, json!([write(), read(), read()]), CoreRefusal::Twice { at: Line(7) }),
        (
            8,
            json!([write(), read(), named(3, "happened")]),
            CoreRefusal::Overstated { at: Line(3) },
        ),
        (4, json!([write(), read()]), CoreRefusal::NoPart { at: Line(5) }),
        (7, json!([write(), read()]), CoreRefusal::NoCompletion { at: Line(7) }),
    ] {
        let mut certificate = certificate_of(&stale());
        certificate["core"]["cut"] = json!(cut);
        certificate["core"]["operations"] = operations.clone();
        match verify_value(&certificate, &stale()) {
            Err(VerifyError::NotProven(NotProven::Core(reason))) => {
                assert_eq!(reason, expected, "{cut} {operations}")
            }
            other => panic!("{cut} {operations}: {other:?}"),
        }
    }
    // More than is needed is as good a proof, and so is all of the history.
    for (cut, operations) in [
        (json!(8), json!([write(), read(), named(1, "answered"), named(3, "optional")])),
        (json!(null), json!([write(), read()])),
        (json!(10), json!([named(5, "answered"), read()])),
    ] {
        let mut certificate = certificate_of(&stale());
        certificate["core"]["cut"] = cut.clone();
        certificate["core"]["operations"] = operations.clone();
        let verified = verify_value(&certificate, &stale());
        assert!(verified.is_ok(), "{cut} {operations}: {verified:?}");
    }
}

#[test]
fn a_core_does_not_outlive_another_answer() {
    let certificate = certificate_of(&stale());
    let mended = stale().replacen("\"value\":2}\n", "\"value\":3}\n", 3);
    let mut certificate = certificate;
    certificate["history"]["sha256"] = json!(super::digest(mended.as_bytes()));
    let verified = verify_value(&certificate, &mended);
    let expected = NotProven::Core(CoreRefusal::HasOrder);
    assert!(
        matches!(&verified, Err(VerifyError::NotProven(reason)) if *reason == expected),
        "{verified:?} {mended}"
    );
}

/// What begins at the very instant at which a core ends may have taken effect in it.
#[test]
fn a_core_has_part_in_what_begins_at_the_instant_of_its_end() {
    let content = history(&[
        timed(1, line("invoke", 1, "read", Value::Null)),
        timed(5, line("ok", 1, "read", json!(2))),
        timed(5, line("invoke", 2, "write", json!(2))),
        timed(6, line("ok", 2, "write", json!(2))),
        timed(7, line("invoke", 1, "read", Value::Null)),
        timed(8, line("ok", 1, "read", json!(9))),
    ]);
    for (time, cut, at, expected) in
        [(5, 6, 5, None), (5, 2, 1, Some(CoreRefusal::HasOrder)), (6, 2, 1, None)]
    {
        let content = content.replacen(
            r#""process":2,"time":5"#,
            &format!(r#""process":2,"time":{time}"#),
            1,
        );
        assert!(content.contains(&format!(r#""process":2,"time":{time}"#)), "{content}");
        let mut certificate = certificate_of(&content);
        certificate["core"]["cut"] = json!(cut);
        certificate["core"]["operations"] = json!([{ "at": at, "role": "answered" }]);
        match (verify_value(&certificate, &content), expected) {
            (Ok(proven), None) => {
                assert_eq!(proven, Proven::Violation { key: None, operations: 1 })
            }
            (Err(VerifyError::NotProven(NotProven::Core(reason))), Some(expected)) => {
                assert_eq!(reason, expected)
            }
            (verified, _) => panic!("{time}: {verified:?}"),
        }
    }
}

/// A core that was not searched through proves nothing, whatever it claims.
#[test]
fn a_core_that_takes_too_long_is_no_proof() {
    let mut lines: Vec<Value> =
        (0..12).map(|process| line("invoke", process, "write", json!(process))).collect();
    lines.extend((0..12).map(|process| line("ok", process, "write", json!(process))));
    lines.extend([line("invoke", 0, "read", Value::Null), line("ok", 0, "read", json!(99))]);
    let content = history(&lines);
    let mut certificate = certificate_of(&content);
    let named = |at: usize| json!({ "at": at, "role": "answered" });
    certificate["core"]["operations"] = (1..=12).chain([25]).map(named).collect();
    let verify = |limit| verify(&certificate.to_string(), "h", content.as_bytes(), limit);
    let proven = verify(LIMIT).expect("it is a proof");
    assert_eq!(proven, Proven::Violation { key: None, operations: 13 });
    let verified = verify(Duration::ZERO);
    let expected = NotProven::Core(CoreRefusal::GaveUp);
    assert!(
        matches!(&verified, Err(VerifyError::NotProven(reason)) if *reason == expected),
        "{verified:?}"
    );
}
