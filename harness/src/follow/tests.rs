use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::*;

fn event(process: u64, kind: &str, f: &str, value: &str) -> String {
    format!(r#"{{"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#) + "\n"
}

/// A write of a value and a read that sees one.
fn write_and_read(written: u64, seen: u64) -> String {
    let (written, seen) = (written.to_string(), seen.to_string());
    [("invoke", "write", written.as_str()), ("ok", "write", &written)]
        .into_iter()
        .chain([("invoke", "read", "null"), ("ok", "read", &seen)])
        .map(|(kind, f, value)| event(0, kind, f, value))
        .collect()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn steps(follower: &mut Follower) -> Step {
    loop {
        match follower.step().unwrap() {
            Step::More => {}
            step => return step,
        }
    }
}

#[test]
fn a_missing_file_and_a_torn_line_are_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut follower = Follower::new(path.clone(), Options::default());
    assert_eq!(steps(&mut follower), Step::Nothing);
    append(&path, &write_and_read(1, 1));
    assert_eq!(steps(&mut follower), Step::Nothing);
    assert_eq!(follower.events(), 4);
    let text = write_and_read(2, 1);
    let (begin, end) = text.split_at(text.len() - 9);
    append(&path, begin);
    assert_eq!(steps(&mut follower), Step::Nothing);
    assert_eq!(follower.events(), 7);
    append(&path, end);
    let Step::Alarm(alarm) = steps(&mut follower) else { panic!("a stale read") };
    assert_eq!(alarm.completion, 7);
}

#[test]
fn another_model_is_told_when_the_first_does_not_know_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut follower = Follower::new(path.clone(), Options::default());
    append(&path, &write_and_read(1, 1));
    assert_eq!(steps(&mut follower), Step::Nothing);
    append(&path, &event(0, "invoke", "cas", "[1,2]"));
    append(&path, &event(0, "ok", "cas", "[1,2]"));
    append(&path, &write_and_read(3, 2));
    let Step::Alarm(alarm) = steps(&mut follower) else { panic!("a stale read") };
    assert_eq!(alarm.completion, 9);
}

/// Follows events that come one by one, and returns what was said first that is not that there is
/// nothing new; and what the follower is then.
fn follow_each(options: Options, events: &[(u64, &str, &str, &str)]) -> (Option<Step>, Follower) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut follower = Follower::new(path.clone(), options);
    for (process, kind, f, value) in events {
        append(&path, &event(*process, kind, f, value));
        let step = steps(&mut follower);
        if step != Step::Nothing {
            return (Some(step), follower);
        }
    }
    (None, follower)
}

#[track_caller]
fn check_passes(events: &[(u64, &str, &str, &str)]) {
    let (step, follower) = follow_each(Options::default(), events);
    assert_eq!(step, None);
    assert_eq!(follower.events(), events.len());
}

#[track_caller]
fn check_alarms(model: ModelName, at: usize, events: &[(u64, &str, &str, &str)]) {
    let (step, follower) = follow_each(Options::default(), events);
    assert!(matches!(&step, Some(Step::Alarm(alarm)) if alarm.completion == at), "{step:?}");
    assert_eq!(follower.model(), Some(model));
}

#[test]
fn a_beginning_of_reads_is_not_taken_for_a_register() {
    let counter = |second: &'static str| {
        [
            (0, "invoke", "read", "null"),
            (0, "ok", "read", "0"),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", "0"),
            (0, "invoke", "add", "2"),
            (0, "ok", "add", "2"),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", second),
        ]
    };
    check_passes(&counter("2"));
    check_alarms(ModelName::Counter, 7, &counter("3"));
    let set = |second: &'static str| {
        [
            (0, "invoke", "read", "null"),
            (0, "ok", "read", "[]"),
            (0, "invoke", "add", "2"),
            (0, "ok", "add", "2"),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", second),
        ]
    };
    check_passes(&set("[2]"));
    check_alarms(ModelName::Set, 5, &set("[]"));
    let list = |second: &'static str| {
        [
            (0, "invoke", "read", "null"),
            (0, "ok", "read", "[]"),
            (0, "invoke", "append", "2"),
            (0, "ok", "append", "2"),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", second),
        ]
    };
    check_passes(&list("[2]"));
    check_alarms(ModelName::AppendList, 5, &list("[3]"));
}

#[test]
fn an_alarm_under_a_model_that_is_no_longer_told_is_none() {
    let lock = [
        (0, "invoke", "acquire", "null"),
        (0, "ok", "acquire", r#"{"token":7}"#),
        (1, "invoke", "release", "null"),
        (1, "ok", "release", "false"),
    ];
    check_passes(&lock);
    let again = [(1, "invoke", "acquire", "null"), (1, "ok", "acquire", r#"{"token":8}"#)];
    check_alarms(ModelName::Lock, 5, &[&lock[..], &again[..]].concat());
}

#[test]
fn nothing_is_passed_by_a_model_that_is_no_longer_told() {
    let lock = |second: &'static str| {
        [
            (0, "invoke", "acquire", "null"),
            (0, "ok", "acquire", r#"{"token":7}"#),
            (0, "invoke", "release", "null"),
            (0, "ok", "release", "null"),
            (1, "invoke", "acquire", "null"),
            (1, "ok", "acquire", second),
        ]
    };
    check_passes(&lock(r#"{"token":8}"#));
    // Of a mutex, which the first line tells, any answer says that it was taken.
    check_alarms(ModelName::Lock, 5, &lock(r#"{"token":5}"#));
}

/// What the model cannot read, and what ends nothing, does not undo what is certain before it.
#[test]
fn what_comes_after_an_alarm_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    // As many operations as are judged at once, the last of them a stale read.
    let begin = write_and_read(1, 1).repeat(127) + "\n" + &write_and_read(2, 1);
    let rest = event(0, "invoke", "sing", "null") + &event(7, "ok", "read", "null");
    append(&path, &(begin.clone() + &rest));
    let options = Options { model: Some(ModelName::Register), ..Options::default() };
    let mut follower = Follower::new(path, options);
    let step = steps(&mut follower);
    assert!(matches!(&step, Step::Alarm(alarm) if alarm.events == 512), "{step:?}");
    assert_eq!((follower.events(), follower.bytes()), (512, begin.len() as u64));
}

#[test]
fn an_initial_value_waits_for_the_model_that_it_is_for() {
    let options = Options { initial: Some(json!([1, 2]).into()), ..Options::default() };
    let events = |seen: &'static str| {
        [
            (0, "invoke", "write", "1"),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", seen),
            (0, "invoke", "add", "3"),
            (0, "ok", "add", "3"),
        ]
    };
    // Only that of a set, of which nothing tells before something is added.
    let (step, follower) = follow_each(options.clone(), &events("[1,2]")[1..]);
    assert_eq!((step, follower.model()), (None, Some(ModelName::Set)));
    let (step, _) = follow_each(options.clone(), &events("[1]")[1..]);
    assert!(matches!(step, Some(Step::Alarm(_))), "{step:?}");
    // A register cannot begin with it, and is no reason to stop.
    let (step, follower) = follow_each(options, &events("[1,2]")[..1]);
    assert_eq!((step, follower.model()), (None, None));
}

#[test]
fn a_model_that_knows_an_event_late_judges_from_the_start_and_holds_nothing_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut follower = Follower::new(path.clone(), Options::default());
    append(&path, &write_and_read(1, 1).repeat(5_000));
    assert_eq!(steps(&mut follower), Step::Nothing);
    // No register holds what this reads, and so far nothing else is told.
    append(&path, &(event(0, "invoke", "read", "null") + &event(0, "ok", "read", r#"{"a":1}"#)));
    assert_eq!(steps(&mut follower), Step::Nothing);
    append(&path, &event(0, "invoke", "cas", "[1,2]"));
    assert_eq!(steps(&mut follower), Step::Nothing);
    assert!(follower.operations_held() < 10);
}

#[test]
fn what_is_given_up_is_said_once_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let options = Options { memory_limit: 1, ..Options::default() };
    let on =
        |key: &str, text: String| text.replace("\"value\"", &format!(r#""key":"{key}","value""#));
    let mut follower = Follower::new(path.clone(), options.clone());
    // A piece of one operation takes no memory; with many open at once it does.
    let many = |kind| (0..40).map(move |id| event(id, kind, "write", &id.to_string()));
    let hard = many("invoke").chain(many("ok")).chain([write_and_read(1, 41)]);
    append(&path, &on("b", hard.collect::<String>()));
    let step = steps(&mut follower);
    assert!(matches!(&step, Step::GivenUp { key, .. } if key == "b"), "{step:?}");
    assert_eq!(steps(&mut follower), Step::Nothing);
    append(&path, &on("a", write_and_read(1, 2)));
    let step = steps(&mut follower);
    assert!(matches!(&step, Step::Alarm(alarm) if alarm.key.as_deref() == Some("a")), "{step:?}");
}

#[test]
fn what_cannot_be_followed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("nonsense", "no event\n".to_owned()),
        ("twice", event(0, "invoke", "read", "null").repeat(2)),
        ("foreign", event(0, "invoke", "read", "null") + &event(1, "invoke", "sing", "null")),
    ] {
        let path = folder.path().join(name);
        append(&path, &text);
        let options = Options { model: Some(ModelName::Register), ..Options::default() };
        let mut follower = Follower::new(path, options);
        let step = steps(&mut follower);
        assert!(matches!(step, Step::Blind(_)), "{name}: {step:?}");
        assert_eq!(steps(&mut follower), step, "{name}");
    }
}
