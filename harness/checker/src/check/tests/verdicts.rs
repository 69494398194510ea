//! Verdicts on histories that were written for the purpose: vacuous ones, limits, facets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::{NilRead, Options, Report, check};
use crate::engine::EngineName;
use crate::history::read_bytes;
use crate::model::ModelName;
use crate::verdict::{Unknown, Verdict};

fn judge(content: &str, options: &Options) -> Report {
    let recording = read_bytes("h", content.as_bytes(), None).expect("it can be read");
    check(&recording, options).expect("it can be judged")
}

/// Lines of a history from (process, type, f, value), times counted up.
fn history(key: Option<&str>, events: &[(u64, &str, &str, Value)]) -> String {
    let line = |(time, (process, event_type, f, value)): (usize, &(u64, &str, &str, Value))| {
        json!({ "time": time, "process": process, "type": event_type, "f": f, "key": key, "value": value })
            .to_string()
            + "\n"
    };
    events.iter().enumerate().map(line).collect()
}

#[test]
fn what_was_never_answered_is_no_pass() {
    let register = Options { model: Some(ModelName::CasRegister), ..Options::default() };
    let nil_unknown = Options { nil_read: NilRead::Unknown, ..register.clone() };
    let nothing = Some(Unknown::NothingAnswered);
    let invoke = r#"{"process":0,"type":"invoke","f":"read"}"#;
    let nemesis = r#"{"process":"nemesis","type":"info","f":"kill"}"#;
    for (content, options, expected) in [
        (String::new(), &register, Some(Unknown::Empty)),
        ("[]".to_owned(), &register, Some(Unknown::Empty)),
        (nemesis.to_owned(), &register, nothing.clone()),
        ("{:process :nemesis :type :info :f :kill}".to_owned(), &register, nothing.clone()),
        ("[{:process :nemesis :type :info :f :kill}".to_owned(), &register, nothing.clone()),
        // Whole by its own form, and nobody asked anything.
        ("[{:process :nemesis :type :info :f :kill}]".to_owned(), &register, None),
        ("[{:process 0 :type :invoke :f :read}]".to_owned(), &register, nothing.clone()),
        (invoke.to_owned(), &register, nothing.clone()),
        (format!("{invoke}\n{}", invoke.replace("invoke", "info")), &register, nothing.clone()),
        (format!("{invoke}\n{}", invoke.replace("invoke", "fail")), &register, nothing.clone()),
        (format!("{invoke}\n{}", invoke.replace("invoke", "ok")), &register, None),
        (format!("{invoke}\n{}", invoke.replace("invoke", "ok")), &nil_unknown, nothing),
    ] {
        let expected = expected.map_or(Verdict::Linearizable, |why| Verdict::Unknown { why });
        assert_eq!(judge(&content, options).verdict, expected, "{content}");
    }
}

#[test]
fn the_longest_time_limit_is_taken() {
    let options = Options { time_limit: Duration::MAX, ..Options::default() };
    let good = [(0, "invoke", "write", json!(1)), (0, "ok", "write", json!(1))];
    assert_eq!(judge(&history(None, &good), &options).verdict, Verdict::Linearizable);
    let mut bad = good.to_vec();
    bad.extend([(0, "invoke", "read", Value::Null), (0, "ok", "read", json!(2))]);
    assert_eq!(judge(&history(None, &bad), &options).verdict.exit_code(), 1);
}

#[test]
fn what_ended_unknown_is_no_completion_of_a_witness() {
    let mut events = Vec::new();
    for process in 10..15 {
        events.push((process, "invoke", "write", json!(process)));
        events.push((process, "info", "write", Value::Null));
    }
    events.extend([(0, "invoke", "read", Value::Null), (0, "ok", "read", json!(99))]);
    let Verdict::Violation { witness } =
        judge(&history(None, &events), &Options::default()).verdict
    else {
        panic!("nobody wrote what was read");
    };
    assert_eq!((witness.completions, witness.end.completed_line), (1, Some(12)));
}

/// A book in which the search of the whole drowns in unknowns, so that facets decide. The first
/// account's facet is bad late, the second's early: the shortest bad prefix ends early.
fn drowning() -> String {
    let account = |cash: u64| json!({ "cash": cash, "holdings": {} });
    let mut events = Vec::new();
    for name in ["a", "b", "z"] {
        events.push((0, "invoke", "open", json!({ "account": name, "cash": 100, "holdings": {} })));
        events.push((0, "ok", "open", account(100)));
    }
    for index in 0..24 {
        let amount = 1u64 << index;
        events.push((
            100 + index,
            "invoke",
            "deposit",
            json!({ "account": "z", "amount": amount }),
        ));
    }
    events.push((0, "invoke", "account", json!({ "account": "b" })));
    events.push((0, "ok", "account", account(999)));
    for cash in 101..109 {
        events.push((0, "invoke", "deposit", json!({ "account": "a", "amount": 1 })));
        events.push((0, "ok", "deposit", account(cash)));
    }
    events.push((0, "invoke", "account", json!({ "account": "a" })));
    events.push((0, "ok", "account", account(777)));
    history(Some("bk"), &events)
}

#[test]
fn a_prefix_found_by_a_facet_is_narrowed_from_the_beginning() {
    let options = Options { time_limit: Duration::from_secs(8), ..Options::default() };
    let Verdict::Violation { witness } = judge(&drowning(), &options).verdict else {
        panic!("two reads are wrong");
    };
    assert_eq!((witness.shortest, witness.end.completed_line), (true, Some(32)));
}

/// 1 was overwritten for good when two reads begin that return it. The search knows of both; at the
/// end of the shortest bad prefix only the first has been answered.
#[test]
fn a_witness_names_what_was_known_at_its_end() {
    let write = |process, value| {
        [(process, "invoke", "write", json!(value)), (process, "ok", "write", json!(value))]
    };
    let [begun, ended] = write(0, 1);
    let events = [
        &write(2, 1)[..],
        &write(2, 2),
        &[begun, (1, "invoke", "read", Value::Null), (1, "ok", "read", json!(1))],
        &write(2, 2),
        &[(1, "invoke", "read", Value::Null), (3, "invoke", "read", Value::Null)],
        &write(2, 3),
        &[(1, "ok", "read", json!(1)), (3, "ok", "read", json!(1)), ended],
    ];
    let options = Options { model: Some(ModelName::Register), ..Options::default() };
    let report = judge(&history(None, &events.concat()), &options);
    assert_eq!(report.partitions[0].engine, EngineName::Search);
    let Verdict::Violation { witness } = report.verdict else { panic!("1 was overwritten") };
    assert_eq!((witness.shortest, witness.end.completed_line), (true, Some(14)));
    let processes: Vec<u64> = witness.unordered.iter().map(|sighting| sighting.process).collect();
    assert!(processes.contains(&1) && !processes.contains(&3), "{:?}", witness.unordered);
}

/// Whoever asks for one engine hears what that knows. Of the beginning that ends with the wrong read
/// it knows nothing: there nobody knows yet that the swap was none, and who wrote 1.
#[test]
fn a_prefix_that_the_engine_does_not_know_is_not_called_the_shortest() {
    let events = [
        (0, "invoke", "write", json!(1)),
        (0, "ok", "write", json!(1)),
        (1, "invoke", "cas", json!([5, 1])),
        (2, "invoke", "read", Value::Null),
        (2, "ok", "read", json!(1)),
        (2, "invoke", "read", Value::Null),
        (2, "ok", "read", json!(7)),
        (1, "ok", "cas", json!({ "mismatch": 1 })),
    ];
    for (engine, shortest) in [(None, true), (Some(EngineName::UniqueRegister), false)] {
        let model = Some(ModelName::CasRegister);
        let options = Options { model, engine, ..Options::default() };
        let report = judge(&history(Some("k"), &events), &options);
        assert_eq!(report.partitions[0].engine, EngineName::UniqueRegister);
        let Verdict::Violation { witness } = report.verdict else { panic!("nobody wrote 7") };
        assert_eq!((witness.shortest, witness.end.completed_line), (shortest, Some(7)));
    }
}

/// What engines know of a model's operations: whoever is told too little leaves them to the search,
/// and whoever is told too much has its order refused.
#[test]
fn engines_are_told_what_operations_were() {
    let (nil, done) = (Value::Null, Value::Null);
    for (model, operations, engine, exit_code) in [
        // Who replaces a value by the same has read it.
        (
            ModelName::CasRegister,
            vec![("write", json!(1), json!(1)), ("cas", json!([1, 1]), json!([1, 1]))],
            EngineName::UniqueRegister,
            0,
        ),
        // Nobody fails who finds what was expected.
        (
            ModelName::CasRegister,
            vec![("write", json!(1), json!(1)), ("cas", json!([1, 2]), json!({ "mismatch": 1 }))],
            EngineName::UniqueRegister,
            1,
        ),
        // Who found nothing to delete has seen that there was nothing.
        (
            ModelName::Kv,
            vec![
                ("put", json!("a"), done.clone()),
                ("delete", nil.clone(), json!({ "existed": false })),
            ],
            EngineName::UniqueRegister,
            1,
        ),
        (
            ModelName::Kv,
            vec![
                ("delete", nil.clone(), json!({ "existed": false })),
                ("put", json!("a"), done.clone()),
            ],
            EngineName::UniqueRegister,
            0,
        ),
        // No set holds an element twice.
        (
            ModelName::Set,
            vec![("add", json!(1), done.clone()), ("read", nil.clone(), json!([1, 1]))],
            EngineName::GrowOnlySet,
            1,
        ),
        // Who found its element there did not add it.
        (
            ModelName::Set,
            vec![("add", json!(1), json!({ "added": false })), ("read", nil.clone(), json!([1]))],
            EngineName::Search,
            1,
        ),
        // Who adds nothing reads.
        (
            ModelName::Counter,
            vec![
                ("add", json!(2), done.clone()),
                ("add", json!(0), json!({ "value": 2 })),
                ("read", nil.clone(), json!(2)),
            ],
            EngineName::SteadyCounter,
            0,
        ),
    ] {
        let both = |(f, input, output): &(&'static str, Value, Value)| {
            [(0, "invoke", *f, input.clone()), (0, "ok", *f, output.clone())]
        };
        let events: Vec<_> = operations.iter().flat_map(both).collect();
        let options = Options { model: Some(model), ..Options::default() };
        let report = judge(&history(Some("k"), &events), &options);
        let partition = &report.partitions[0];
        assert_eq!(
            (partition.engine, report.verdict.exit_code()),
            (engine, exit_code),
            "{operations:?}: {}",
            partition.engine_reason
        );
        assert!(!partition.engine_reason.contains("refused"), "{}", partition.engine_reason);
    }
}

#[test]
fn fencing_tokens_are_told_to_the_engine_that_knows_holds() {
    let hold = |process, token: u64| {
        [
            (process, "invoke", "acquire", Value::Null),
            (process, "ok", "acquire", json!({ "token": token })),
            (process, "invoke", "release", Value::Null),
            (process, "ok", "release", Value::Null),
        ]
    };
    for (tokens, exit_code) in [([1, 2, 3], 0), ([3, 4, 9], 0), ([1, 3, 2], 1), ([1, 2, 2], 1)] {
        let events = [hold(0, tokens[0]), hold(1, tokens[1]), hold(0, tokens[2])].concat();
        let options = Options { model: Some(ModelName::Lock), ..Options::default() };
        let report = judge(&history(None, &events), &options);
        assert_eq!(report.verdict.exit_code(), exit_code, "{tokens:?}");
        assert_eq!(report.partitions[0].engine, EngineName::Holds, "{tokens:?}");
    }
}

#[test]
fn a_limit_of_time_is_kept() {
    // Without the wrong reads there is still no order: a book's read has an account too few.
    let mut events = Vec::new();
    for index in 0..300 {
        let name = format!("a{index}");
        let holdings: serde_json::Map<String, Value> =
            (0..300).map(|symbol| (format!("S{symbol}"), json!(1))).collect();
        let value = json!({ "account": name, "cash": 100, "holdings": holdings });
        events.push((index, "invoke", "open", value));
    }
    events.push((1000, "invoke", "account", json!({ "account": "a1" })));
    events.push((1000, "ok", "account", json!({ "cash": 7, "holdings": {} })));
    let options = Options { time_limit: Duration::from_secs(1), ..Options::default() };
    let started = Instant::now();
    let content = history(Some("bk"), &events);
    let recording = read_bytes("h", content.as_bytes(), None).expect("it can be read");
    let (parsed, judged) =
        (started.elapsed(), check(&recording, &options).expect("it can be judged"));
    assert!(
        judged.elapsed < Duration::from_millis(1500),
        "{:?} {:?}, parsed in {parsed:?}",
        judged.elapsed,
        judged.verdict
    );
}

/// The last instant there is stands for no return inside the engines, and is one all the same.
#[test]
fn what_returns_at_the_last_instant_has_returned() {
    let last = |content: String, event: usize| {
        let time = format!(r#""time":{event},"#);
        assert!(content.contains(&time), "{content}");
        content.replace(&time, &format!(r#""time":{},"#, u64::MAX))
    };
    let mutex = last(
        history(
            None,
            &[
                (0, "invoke", "acquire", Value::Null),
                (1, "invoke", "release", Value::Null),
                (2, "invoke", "release", Value::Null),
                (2, "ok", "release", json!(true)),
            ],
        ),
        3,
    );
    let stale = last(
        history(
            None,
            &[
                (0, "invoke", "write", json!(1)),
                (0, "ok", "write", json!(1)),
                (0, "invoke", "write", json!(2)),
                (0, "ok", "write", json!(2)),
                (1, "invoke", "read", Value::Null),
                (1, "ok", "read", json!(1)),
            ],
        ),
        5,
    );
    for (content, engine, is_legal) in [
        (&mutex, None, true),
        (&mutex, Some(EngineName::Search), true),
        (&stale, None, false),
        (&stale, Some(EngineName::Search), false),
        (&stale, Some(EngineName::Origins), false),
    ] {
        let verdict = judge(content, &Options { engine, ..Options::default() }).verdict;
        assert_eq!(
            verdict == Verdict::Linearizable,
            is_legal,
            "{engine:?} of {content}: {verdict:?}"
        );
        assert!(
            !matches!(verdict, Verdict::Unknown { .. }),
            "{engine:?} of {content}: {verdict:?}"
        );
    }
}
