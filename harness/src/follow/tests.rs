use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

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
