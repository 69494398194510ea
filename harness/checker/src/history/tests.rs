//! Tables for the readers and for pairing: what is read, what is refused and where, what is warned of.

use proptest::prelude::*;

use super::{
    Event, EventType, Format, Order, Outcome, Process, Recorded, Recording, Value, json,
    operations, read_bytes, write, write_event,
};

fn read(content: &str) -> Recording {
    read_bytes("h", content.as_bytes(), None).unwrap_or_else(|error| panic!("{error}\n{content}"))
}

/// Line, process (none for the nemesis), type, function and value of every event.
fn shape(recording: &Recording) -> Vec<(usize, Option<u64>, EventType, String, Value)> {
    let shape = |process| match process {
        Process::Client(process) => Some(process),
        Process::Nemesis(_) => None,
    };
    let events = recording.events.iter();
    events
        .map(|recorded| {
            (
                recorded.line,
                shape(recorded.event.process),
                recorded.event.event_type,
                recorded.event.f.to_string(),
                recorded.event.value.clone(),
            )
        })
        .collect()
}

#[track_caller]
fn check_error(content: &[u8], format: Option<Format>, expected: &str) {
    let error = read_bytes("h", content, format).expect_err("this should be refused").to_string();
    assert!(error.starts_with(expected), "{error}\nexpected to begin {expected}");
    assert!(error.contains(';'), "no remedy: {error}");
}

#[test]
fn the_three_formats_say_the_same() {
    let expected = vec![
        (1, Some(0), EventType::Invoke, "write".to_owned(), json!(5)),
        (2, None, EventType::Info, "kill".to_owned(), Value::Null),
        (3, Some(0), EventType::Ok, "write".to_owned(), json!(5)),
        (4, Some(1), EventType::Invoke, "cas".to_owned(), json!([1, 2])),
        (5, Some(1), EventType::Info, "cas".to_owned(), Value::Null),
    ];
    let jsonl = r#"{"process":0,"type":"invoke","f":"write","value":5}
{"process":"nemesis","type":"info","f":"kill"}
{"process":0,"type":"ok","f":"write","value":5}
{"process":1,"type":"invoke","f":"cas","value":[1,2]}
{"process":1,"type":"info","f":"cas","value":null,"error":"timed-out"}
"#;
    let edn = "[{:process 0, :type :invoke, :f :write, :value 5}
{:process :nemesis, :type :info, :f :kill, :value nil}
#jepsen.history.Op{:process 0, :type :ok, :f :write, :value 5} ; done
{:process 1 :type :invoke :f :cas :value (1 2)} #_{:process 1}
{:process 1, :type :info, :f :cas, :value nil, :error :timed-out}]
";
    let log = "INFO  jepsen.util - 0\t:invoke\t:write\t5
INFO [2015-01-01 12:00:00] jepsen worker - jepsen.util :nemesis\t:info\t:kill\tnil
INFO  jepsen.util - 0\t:ok\t:write\t5
INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out
";
    for (content, format) in [(jsonl, Format::Jsonl), (edn, Format::Edn), (log, Format::JepsenLog)]
    {
        for content in
            [content.to_owned(), content.replace('\n', "\r\n"), format!("\u{feff}{content}")]
        {
            let recording = read(&content);
            assert_eq!(recording.format, format);
            assert_eq!(shape(&recording), expected, "{format}");
            assert_eq!(recording.events[4].event.error.as_deref(), Some("timed-out"), "{format}");
            assert_eq!(recording.warnings, [], "{format}");
        }
    }
}

#[test]
fn what_is_written_is_read_back() {
    let event = Event {
        index: Some(3),
        time: Some(7),
        process: Process::Client(2),
        event_type: EventType::Ok,
        f: "trade".into(),
        key: Some("b".into()),
        value: json!({ "trade": 88 }),
        position: Some(9),
        error: None,
    };
    let mut line = Vec::new();
    write_event(&mut line, &event).unwrap();
    assert_eq!(read_bytes("h", &line, None).unwrap().events[0].event, event);
}

#[test]
fn edn_values_become_json() {
    for (form, expected) in [
        ("nil", Value::Null),
        ("true", json!(true)),
        ("-5", json!(-5)),
        ("+5", json!(5)),
        ("18446744073709551615", json!(u64::MAX)),
        ("5N", json!(5)),
        ("123456789012345678901234567890N", json!("123456789012345678901234567890N")),
        ("123456789012345678901234567890", json!("123456789012345678901234567890N")),
        ("-0099999999999999999999", json!("-99999999999999999999N")),
        ("1/2", json!("1/2")),
        ("-2/4", json!("-1/2")),
        ("4/2", json!(2)),
        ("1.5M", json!(1.5)),
        (":a.b/c", json!("a.b/c")),
        ("sym", json!("sym")),
        (r#""a\n\"\u00e9""#, json!("a\n\"é")),
        (r"\newline", json!("\n")),
        (r"\(", json!("(")),
        ("#{1}", json!([1])),
        ("#inst \"2020\"", json!({"#inst": "2020"})),
        ("#clojure.lang.MapEntry [1 2]", json!([1, 2])),
        ("^{:m 1} [1 #_2 3]", json!([1, 3])),
        ("{:a {1 2}, \"b\" ()}", json!({ "a": { "1": 2 }, "b": [] })),
        ("##Inf", json!("#Inf")),
    ] {
        let recording = read(&format!("{{:process 0, :type :invoke, :f :write, :value {form}}}\n"));
        assert_eq!(recording.events[0].event.value, expected, "{form}");
    }
}

#[test]
fn errors_name_the_place() {
    let good = r#"{"process":0,"type":"invoke","f":"write","value":5}"#;
    let jsonl = |line: &str| format!("{good}\n{line}\n{good}\n").into_bytes();
    check_error(&jsonl("{\"process\":0,,}"), None, "h:2:14: this is no JSON object");
    check_error(&jsonl("   {\"process\":0,,}"), None, "h:2:17: this is no JSON object");
    check_error(&jsonl("[1]"), None, "h:2:");
    check_error(
        &jsonl(r#"{"process":0,"type":"invoked","f":"w"}"#),
        None,
        "h:2:15: `type` is none of the four",
    );
    check_error(
        &jsonl(r#"{"process":-1,"type":"ok","f":"w"}"#),
        None,
        "h:2:3: `process` is not a whole number",
    );
    check_error(&jsonl(r#"{"type":"ok","f":"w"}"#), None, "h:2:1: `process` is missing");
    check_error(&jsonl(r#"{"process":0,"type":"ok","f":"w","time":-5}"#), None, "h:2:");
    check_error(
        &jsonl(r#"{"process":0,"type":"fail","f":5}"#),
        None,
        "h:2:29: `f` is not a string",
    );
    for array in ["[{\"process\":0}]", "[\n  { \"process\" : 0}]"] {
        check_error(array.as_bytes(), None, "h:1:1: the content is an array of JSON");
    }
    check_error(&jsonl(&"[".repeat(100_000)), None, "h:2:");
    let mut not_utf8 = jsonl(r#"{"process":0,"type":"ok","f":"w","value":"?"}"#);
    let at = not_utf8.iter().position(|byte| *byte == b'?').unwrap();
    not_utf8[at] = 0xff;
    check_error(&not_utf8, None, "h:2:43: the line is not UTF-8");

    let edn =
        |form: &str| format!("[{{:process 0, :type :invoke, :f :read}}\n {form}]\n").into_bytes();
    check_error(&edn("{:process 0, :type :okay, :f :read}"), None, "h:2:16: `type` is none");
    check_error(&edn("5"), None, "h:2:2: an event is a map");
    check_error(&edn("{:process 0 ]"), None, "h:2:14: a bracket closes");
    check_error(&edn(&format!("{{:value {}", "[".repeat(100_000))), None, "h:2:");
    check_error(&edn(&format!("{{:value {}", "#_".repeat(100_000))), None, "h:2:");
    check_error(&edn(&format!("{{:value {}", "#a ".repeat(100_000))), None, "h:2:");
    check_error(&edn("{:process 0, :value \"\\q\"}"), None, "h:2:");
    check_error(b"[{:process 0 :f :\xff}]", None, "h:1:");

    check_error(&edn("{:process 0, :value 1/0}"), None, "h:2:22: `1/0` is no ratio");
    check_error(
        &edn("{:process 0, :type :ok, :f :read :process 1, :type :invoke}"),
        None,
        "h:2:35: the key `process` stands twice",
    );

    check_error(
        b"INFO 0\t:invoke\t:read\tnil\nINFO x\t:ok\t:read\tnil\n",
        None,
        "h:2:6: the process `x`",
    );
    check_error(b"INFO 0\t:ok\t:read\t[1\n", None, "h:1:");
    check_error(b"hello\n", None, "h:1:1: the content is neither");
}

#[test]
fn a_recording_cut_off_is_read_up_to_the_cut() {
    let jsonl = "{\"process\":0,\"type\":\"invoke\",\"f\":\"write\",\"value\":\"é\"}\n{\"process\":0,\"type\":\"ok\",\"f\":\"write\",\"value\":\"é\"}\n";
    let edn = "[{:process 0, :type :invoke, :f :write, :value \"é\"}\n {:process 0, :type :ok, :f :write, :value \"é\"}]\n";
    let log = "INFO 0\t:invoke\t:write\t\"é\"\nINFO 0\t:ok\t:write\t\"é\"\n";
    for content in [jsonl, edn, log] {
        let whole = read(content);
        assert_eq!((whole.events.len(), whole.warnings.len()), (2, 0));
        let first_line = content.find('\n').unwrap() + 1;
        for cut in first_line..content.len() - 1 {
            let part = read_bytes("h", &content.as_bytes()[..cut], Some(whole.format)).unwrap();
            let is_line_end = cut == first_line;
            let is_whole_object = part.events.len() == 2 && part.format != Format::JepsenLog;
            assert!(is_whole_object || part.events.len() == 1, "{cut} of {content}");
            let expected = match whole.format {
                // What stands between the brackets of EDN ends only with the closing one.
                Format::Edn => 1,
                Format::Jsonl | Format::JepsenLog => usize::from(!is_line_end && !is_whole_object),
            };
            assert_eq!(part.warnings.len(), expected, "{cut} of {content}: {:?}", part.warnings);
        }
    }
}

/// Only the end of a recording can be cut off: what lacks its end in the middle must not take what
/// follows with it.
#[test]
fn damage_in_the_middle_is_no_cut() {
    let events = [
        "{:type :invoke, :f :write, :value 1, :process 0}",
        "{:type :ok, :f :write, :value 1, :process 0}",
        "{:type :invoke, :f :read, :value nil, :process 0}",
        "{:type :ok, :f :read, :value 7, :process 0}",
    ];
    let place = "h:2:1: this form is never closed";
    for damaged in [
        "{:type :ok, :f :write, :value 1, :process 0",
        "{:type :ok, :f \"write, :value 1, :process 0}",
        "{:type :ok, :f :write, :value [1, :process 0}",
        "#_ {:type :ok, :f :write, :value 1, :process 0",
        "{:type :ok, :f :write, :value 1, :process 0 ;}",
        "{\"type\" \"ok\", \"f\" \"write\", \"value\" 1, \"process\" 0",
    ] {
        let content = [events[0], damaged, events[2], events[3]].join("\n") + "\n";
        let error = read_bytes("h", content.as_bytes(), Some(Format::Edn)).unwrap_err().to_string();
        assert!(
            error.starts_with(place) || error.contains(" closes what it did not open"),
            "{error}"
        );
        // The last event's beginning is swallowed as well, and is cut itself.
        let content = [events[0], damaged, &events[2][..25]].join("\n");
        let error = read_bytes("h", content.as_bytes(), Some(Format::Edn)).map(|read| read.events);
        assert!(error.is_err(), "{damaged}");
    }
    // A value may have such keys; what is cut within the last event is a cut.
    let content = format!("{}\n{{:process 0, :f :write, :value {{:type 5, :a", events[0]);
    assert_eq!(read(&content).warnings.len(), 1);
}

#[test]
fn keywords_are_values_but_where_a_reason_stands() {
    for (line, value, error) in [
        ("0\t:invoke\t:write\t:a", json!("a"), None),
        ("0\t:ok\t:read\t:zzz", json!("zzz"), None),
        ("0\t:ok\t:read\t", Value::Null, None),
        ("0\t:fail\t:write\t:gone", Value::Null, Some("gone")),
        ("0\t:info\t:write\t:timed-out", Value::Null, Some("timed-out")),
    ] {
        for end in ["\n", "\r\n"] {
            let event = &read(&format!("{line}{end}")).events[0].event;
            assert_eq!((&event.value, event.error.as_deref()), (&value, error), "{line}");
        }
    }
    let event = &read("3\t:ok\t\n").events[0].event;
    assert_eq!((event.f.as_str(), &event.value), ("", &Value::Null));
}

#[test]
fn nothing_at_all_is_an_empty_recording() {
    for content in ["", "\n\n", "  \r\n", "\u{feff}", "; nothing\n"] {
        assert_eq!(read(content).events, [], "{content:?}");
    }
    assert_eq!(read_bytes("h", b"[]", None).unwrap().events, []);
}

/// A client event of JSON Lines: process, type and time.
fn lines(events: &[(u64, &str, Option<u64>)]) -> Recording {
    let line = |(process, event_type, time): &(u64, &str, Option<u64>)| {
        json!({ "process": process, "type": event_type, "f": "read", "time": time }).to_string()
            + "\n"
    };
    read(&events.iter().map(line).collect::<String>())
}

#[test]
fn operations_are_paired() {
    let recording = lines(&[
        (0, "invoke", None),
        (1, "invoke", None),
        (0, "ok", None),
        (1, "info", None),
        (2, "invoke", None),
    ]);
    let operations = operations(&recording).unwrap();
    assert_eq!(operations.order, Order::Lines);
    let ends: Vec<_> = operations
        .list
        .iter()
        .map(|operation| (operation.outcome.clone(), operation.completed.map(|end| end.line)))
        .collect();
    assert_eq!(
        ends,
        [(Outcome::Ok(Value::Null), Some(3)), (Outcome::Info, Some(4)), (Outcome::Info, None)]
    );
}

#[test]
fn events_that_do_not_pair_are_refused() {
    for (events, line, problem) in [
        (&[(0, "ok", None)][..], 1, "process 0 completes read, but has invoked nothing"),
        (&[(0, "invoke", None), (0, "invoke", None)], 2, "its operation of line 1 is still open"),
        (&[(0, "invoke", None), (0, "ok", None), (0, "fail", None)], 3, "has invoked nothing"),
        (&[(0, "invoke", Some(5)), (0, "ok", Some(4))], 2, "runs backwards from line 1"),
    ] {
        let error = operations(&lines(events)).expect_err("this should be refused");
        assert_eq!(error.line, line);
        assert!(error.problem.contains(problem), "{error}");
    }
}

#[test]
fn events_on_one_line_are_told_apart_by_their_columns() {
    let recording = read("[{:process 0 :type :invoke :f :read} {:process 1 :type :ok :f :read}]");
    let error = operations(&recording).expect_err("process 1 has invoked nothing");
    assert!(error.to_string().starts_with("h:1:38: process 1 completes"), "{error}");
}

#[test]
fn a_change_of_keys_within_one_instant_is_warned_of() {
    let line = |time: u64, event_type: &str, key: &str| {
        json!({ "process": 0, "type": event_type, "f": "read", "time": time, "key": key })
            .to_string()
            + "\n"
    };
    for (time, key, expected) in [(5, "x", 0), (6, "y", 0), (5, "y", 1)] {
        let content = line(1, "invoke", "x") + &line(5, "ok", "x") + &line(time, "invoke", key);
        let operations = operations(&read(&content)).unwrap();
        assert_eq!(operations.warnings.len(), expected, "{time} {key}");
    }
}

#[test]
fn odd_times_are_warned_of() {
    let warned = |events: &[(u64, &str, Option<u64>)]| {
        let operations = operations(&lines(events)).unwrap();
        (
            operations.order,
            operations.warnings.into_iter().map(|warning| warning.line).collect::<Vec<_>>(),
        )
    };
    assert_eq!(warned(&[(0, "invoke", Some(1)), (0, "ok", None)]), (Order::Lines, vec![2]));
    assert_eq!(warned(&[(0, "invoke", Some(5)), (1, "invoke", Some(4))]), (Order::Time, vec![2]));
    assert_eq!(warned(&[(0, "invoke", Some(5)), (1, "invoke", Some(5))]), (Order::Time, vec![]));
    let reused = [(0, "invoke", None), (0, "info", None), (0, "invoke", None)];
    assert_eq!(warned(&reused), (Order::Lines, vec![3]));
    // Where one event has no time, it does not matter what the others have.
    let backwards = [(0, "invoke", Some(5)), (0, "ok", Some(4)), (1, "invoke", None)];
    assert_eq!(warned(&backwards), (Order::Lines, vec![3]));
    let late = [(0, "invoke", None), (0, "ok", Some(4)), (1, "invoke", Some(3))];
    assert_eq!(warned(&late), (Order::Lines, vec![1]));
}

/// Reads a text that JSON has, and EDN and logs could stumble over.
fn text() -> impl Strategy<Value = String> {
    let awkward = [
        "",
        " ",
        ":k",
        "a b",
        "\t",
        "\n",
        "\r\n",
        "\"",
        "\\",
        "\\u0041",
        ";",
        "#_",
        "nil",
        "5",
        "é",
        "\u{1f300}",
        "\u{0}",
        "\u{85}",
        "\u{2028}",
        ":time 5",
        "##Inf",
        ",",
        "read",
    ];
    prop_oneof![
        prop::sample::select(awkward.to_vec()).prop_map(str::to_owned),
        ".{0,6}",
        "[a-z-]{1,8}"
    ]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        prop::sample::select(vec![i64::MIN, i64::MAX, 0]).prop_map(Into::into),
        Just(serde_json::Value::from(u64::MAX)),
        prop::num::f64::NORMAL.prop_map(Into::into),
        prop::sample::select(vec![-0.0, 1e300, 5e-324, 1.0]).prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn event() -> impl Strategy<Value = Event> {
    let process = prop_oneof![any::<u64>().prop_map(Process::Client), Just(Process::NEMESIS)];
    let event_type = prop::sample::select(vec![
        EventType::Invoke,
        EventType::Ok,
        EventType::Fail,
        EventType::Info,
    ]);
    let number = || prop::option::of(any::<u64>());
    let fields = (number(), number(), number(), prop::option::of(text()), prop::option::of(text()));
    (process, event_type, text(), value(), fields).prop_map(
        |(process, event_type, f, value, (index, time, position, key, error))| Event {
            index,
            time,
            process,
            event_type,
            f: f.into(),
            key: key.map(Into::into),
            value: value.into(),
            position,
            error: error.map(Into::into),
        },
    )
}

proptest! {
    /// From every format to every other and back, nothing changes.
    #[test]
    fn formats_hold_the_same_events(
        events in prop::collection::vec(event(), 0..6),
        is_closed: bool,
        formats in prop::collection::vec(
            prop::sample::select(vec![Format::Jsonl, Format::Edn, Format::JepsenLog]), 1..4),
    ) {
        let mut recording = read_bytes("h", b"", Some(Format::Jsonl)).unwrap();
        recording.is_closed = is_closed;
        recording.events = events
            .iter()
            .map(|event| Recorded { line: 1, column: 1, event: event.clone() })
            .collect();
        for format in formats {
            let is_closed = recording.is_closed && format == Format::Edn;
            let mut content = Vec::new();
            write(&mut content, &recording, format).unwrap();
            let written = String::from_utf8_lossy(&content).into_owned();
            recording = read_bytes("h", &content, Some(format))
                .unwrap_or_else(|error| panic!("{error}\n{written}"));
            let read: Vec<Event> =
                recording.events.iter().map(|recorded| recorded.event.clone()).collect();
            prop_assert_eq!(&read, &events, "{}", written);
            prop_assert_eq!(&recording.warnings, &vec![], "{}", written);
            prop_assert_eq!(recording.is_closed, is_closed);
            if !events.is_empty() {
                prop_assert_eq!(read_bytes("h", &content, None).unwrap().format, format);
            }
        }
    }
}

/// However large the pieces are in which a file is read: the first wrong line is the one that counts.
#[test]
fn pieces_are_read_as_if_one_after_the_other() {
    let good = r#"{"process":0,"type":"invoke","f":"write","value":5,"time":1}"#;
    let lines = 3 * (1 << 18) / good.len();
    let with = |bad: &[usize]| {
        let line = |line| if bad.contains(&line) { "{\"process\":0,,}\n" } else { good };
        (1..=lines).map(|index| line(index).to_owned() + "\n").collect::<String>()
    };
    let recording = read(&with(&[]));
    assert!(recording.events.iter().map(|recorded| recorded.line).eq(1..=lines));
    for bad in [&[2, lines - 1][..], &[lines / 2, lines - 1], &[lines - 1, lines]] {
        let expected = format!("h:{}:14: this is no JSON object", bad[0]);
        check_error(with(bad).replace("}\n\n", "}\n").as_bytes(), Some(Format::Jsonl), &expected);
    }
    let cut = with(&[]) + "{\"process\":0";
    assert_eq!(
        read(&cut).warnings.iter().map(|warning| warning.line).collect::<Vec<_>>(),
        [lines + 1]
    );
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    for (line, column, key) in [
        (r#"{"process":0,"process":1,"type":"ok","f":"w"}"#, 15, "process"),
        (r#"{"process":0,"type":"ok","f":"w","time":null,"time":5}"#, 47, "time"),
        (r#"{"process":0,"type":"ok","f":"w","node":1,"node":2}"#, 44, "node"),
        (r#"{"process":0,"type":"ok","f":"w","node":{"a":1,"a":2}}"#, 49, "a"),
        (r#"{"process":0,"type":"ok","f":"w","value":[{"b":1,"a":1,"b":2}]}"#, 57, "b"),
        (r#"{"process":0,"type":"ok","f":"w","key":5,"value":{"a":1,"a":2}}"#, 58, "a"),
    ] {
        let expected = format!("h:1:{column}: the key `{key}` stands twice in one map");
        check_error(format!("{line}\n").as_bytes(), None, &expected);
    }
}

/// What our own recorder writes is read the short way; all else must be read the same.
#[test]
fn fields_are_read_in_any_shape() {
    for line in [
        r#"{"process":0,"type":"ok","f":"w","key":"5","value":null,"error":"[1]"}"#,
        r#"{"process":0,"type":"ok","f":"w","key":5,"error":[1]}"#,
        r#" { "node" : { "a" : [ 1 ] } , "f" : "w" , "key":"5", "type" : "ok" , "process" : 0 , "error":[1],"index":null}  "#,
        r#"{"proc\u0065ss":0,"type":"o\u006b","f":"w","key":"\u0035","error":"[1]","time":null}"#,
    ] {
        let event = &read(&format!("{line}\n")).events[0].event;
        let read = (event.process, event.event_type, event.f.as_str(), event.key.as_deref());
        assert_eq!(read, (Process::Client(0), EventType::Ok, "w", Some("5")), "{line}");
        assert_eq!(event.error.as_deref(), Some("[1]"), "{line}");
        assert_eq!((&event.value, event.time, event.index), (&Value::Null, None, None), "{line}");
    }
}

#[test]
fn fields_behind_a_line_of_a_log_are_named() {
    let event = |line: &str| read(&format!("{line}\n")).events[0].event.clone();
    let whole = event("INFO - 3\t:ok\t:read\t5\t:time 7\t:key \"a\\tb\"\t:index 2\t:position 9");
    assert_eq!((whole.time, whole.index, whole.position), (Some(7), Some(2), Some(9)));
    assert_eq!(whole.key.as_deref(), Some("a\tb"));
    let both = event("3\t:info\t:read\tnil\t:timed-out\t:time 7");
    assert_eq!((both.time, both.error.as_deref()), (Some(7), Some(":timed-out")));
    for (line, expected) in [
        ("3\t:ok\t:read\t5\t:time x", "h:1:21: `:time` is not a whole number"),
        ("3\t:ok\t:read\t5\t:time 1\t:time 2", "h:1:15: `:time` stands twice"),
        ("3\t:ok\t:read\t5\t:key 7", "h:1:20: this is no text"),
    ] {
        check_error(format!("{line}\n").as_bytes(), None, expected);
    }
}
