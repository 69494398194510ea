//! Streams: what is said of a history while it comes is what is said of it in the end.

use crate::check::{Options, alarmed, check};
use crate::history::{Process, Recorded, Recording};
use crate::model::{Model, ModelName};
use crate::stream::{Alarm, Conclusion, Held, Limits, Stream, Undecided};
use crate::verdict::Verdict;

use super::family::{self, Family};
use super::random::{Random, Shape, history};
use super::{describe, nil_read_of};

/// Histories of each family.
const CASES: u64 = 2_000;

/// Feeds a recording event by event, settles now and then, and says when it was first alarmed.
fn feed(recording: &Recording, mut stream: Stream, seed: u64) -> (Option<Alarm>, Conclusion) {
    let mut random = Random::new(seed);
    for recorded in &recording.events {
        let alarm = stream.push(recorded);
        let alarm = if alarm.is_none() && random.is(30) { stream.settle() } else { alarm };
        if alarm.is_some() {
            return (alarm, stream.finish());
        }
    }
    (None, stream.finish())
}

fn beginning(recording: &Recording, events: usize) -> Recording {
    Recording { events: recording.events[..events].to_vec(), ..recording.clone() }
}

fn is_in_order(recording: &Recording) -> bool {
    recording.events.is_sorted_by_key(|recorded| recorded.event.time)
}

/// How often a stream said what.
#[derive(Debug, Default)]
struct Tally {
    good: u32,
    bad: u32,
    early: u32,
    undecided: u32,
}

fn check_stream(recording: &Recording, options: &Options, limits: Limits, seed: u64) -> Tally {
    let repeat = || format!("seed {seed}:\n{}", describe(recording));
    let Ok(report) = check(recording, options) else { return Tally::default() };
    let model = options.model.expect("a family knows its model");
    let stream = Stream::new(model, options.clone(), limits).expect("the batch could begin, too");
    let (alarm, conclusion) = feed(recording, stream, seed);
    let mut tally = Tally::default();
    match (&conclusion, &report.verdict) {
        // An event on a later line with an earlier time may explain what could not be explained.
        (Conclusion::Violation(said), _) if !is_in_order(recording) => {
            let so_far = check(&beginning(recording, said.events), options);
            let so_far = so_far.expect("a beginning reads like the whole").verdict;
            assert!(matches!(so_far, Verdict::Violation { .. }), "{said:?}: {}", repeat());
        }
        (Conclusion::Violation(said), Verdict::Violation { witness }) => {
            tally.bad += 1;
            tally.early += u32::from(said.events < recording.events.len());
            assert!(alarm.is_none_or(|alarm| alarm == *said), "{}", repeat());
            // The shortest bad beginning is that of the first partition that has one.
            assert!(
                report.partitions.len() > 1 || Some(said.events) >= witness.end.completed_line,
                "{said:?} before the shortest bad beginning: {}",
                repeat()
            );
            let so_far = check(&beginning(recording, said.events), options);
            let so_far = so_far.expect("a beginning reads like the whole").verdict;
            assert!(
                matches!(so_far, Verdict::Violation { .. }),
                "{said:?}, but so far it is {so_far:?}: {}",
                repeat()
            );
        }
        (Conclusion::Linearizable, Verdict::Linearizable) => tally.good += 1,
        (Conclusion::Unknown(Undecided::NothingAnswered), Verdict::Unknown { .. }) => {}
        (Conclusion::Unknown(why), _) if *why != Undecided::NothingAnswered => tally.undecided += 1,
        (said, verdict) => panic!("{said:?}, but it is {verdict:?}: {}", repeat()),
    }
    tally
}

fn check_family<M: Model>(family: &Family<M>) {
    let mut tally = Tally::default();
    let mut given_up = 0;
    for seed in 0..CASES {
        let mut shape = Shape::of(seed);
        shape.operations += seed % 12;
        let recording = history(family, seed, &shape);
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone().into()),
            nil_read: nil_read_of(seed),
            failed_cas: family.failed_cas,
            ..Options::default()
        };
        let exact = Limits { piece: 1 + seed as usize % 5, ..Limits::default() };
        let of = check_stream(&recording, &options, exact, seed);
        // Where hardly anything was answered there are more explanations than are kept.
        given_up += if shape.shuffled == 0 { of.undecided } else { 0 };
        tally.good += of.good;
        tally.bad += of.bad;
        tally.early += of.early;
        let tight =
            Limits { piece: 1, waiting: 1, unknowns: 1, configurations: 2, ..Limits::default() };
        tally.undecided += check_stream(&recording, &options, tight, seed).undecided;
    }
    println!("{}: {tally:?}", family.name);
    let least = CASES as u32 / 100;
    assert!(given_up <= least / 10, "too many came to no end: {given_up}");
    let Tally { good, bad, early, undecided } = tally;
    assert!(good.min(bad).min(early).min(undecided) > least, "one-sided: {tally:?}");
}

macro_rules! streams {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                check_family(&family::$name(stringify!($name)));
            }
        )*
    };
}

streams! {
    register,
    register_with_observed_cas,
    key,
    multi_register,
    lock_with_tokens,
    fifo_queue,
    priority_queue_with_ties,
    counter,
    append_list,
    ledger,
}

/// Histories of several keys, as one.
fn merged(seed: u64, keys: u64) -> Recording {
    let family = family::register("register");
    let of_key = |key: u64| {
        let mut shape = Shape { operations: 6, shuffled: 0, ..Shape::of(seed) };
        shape.distorted = if key == 1 { 60 } else { 0 };
        let mut recording = history(&family, seed * keys + key, &shape);
        for Recorded { event, .. } in &mut recording.events {
            event.key = Some(format!("k{key}").as_str().into());
            if let Process::Client(process) = &mut event.process {
                *process += 1000 * key;
            }
        }
        recording
    };
    let mut whole = of_key(0);
    whole.events.extend((1..keys).flat_map(|key| of_key(key).events));
    whole.events.sort_by_key(|recorded| recorded.event.time);
    for (index, recorded) in whole.events.iter_mut().enumerate() {
        recorded.line = index + 1;
    }
    whole
}

#[test]
fn keys_do_not_hold_each_other_up() {
    let mut tally = Tally::default();
    for seed in 0..1_000 {
        let initial = Some(family::register("register").initial_value.into());
        let options = Options { model: Some(ModelName::Register), initial, ..Options::default() };
        let limits = Limits { piece: 2, ..Limits::default() };
        let of = check_stream(&merged(seed, 3), &options, limits, seed);
        tally.good += of.good;
        tally.bad += of.bad;
        assert_eq!(of.undecided, 0);
    }
    assert!(tally.good > 100 && tally.bad > 100, "{tally:?}");
}

/// Feeds a long history, and returns the most that was held at any time.
fn most_held(info: u64, limits: &Limits) -> (Held, Conclusion) {
    let shape = Shape {
        clients: 8,
        operations: 60_000,
        info,
        fail: 0,
        ties: 0,
        distorted: 0,
        reuses: false,
        shuffled: 0,
        has_positions: false,
    };
    let family = family::register("register");
    let recording = history(&family, 1, &shape);
    let initial = Some(family.initial_value.into());
    let options = Options { model: Some(ModelName::Register), initial, ..Options::default() };
    let mut stream = Stream::new(ModelName::Register, options, limits.clone()).unwrap();
    let mut most = Held::default();
    for (index, recorded) in recording.events.iter().enumerate() {
        assert_eq!(stream.push(recorded), None);
        if index % 16 == 0 {
            let Held { operations, configurations } = stream.held();
            most.operations = most.operations.max(operations);
            most.configurations = most.configurations.max(configurations);
        }
    }
    (most, stream.finish())
}

#[test]
fn what_is_held_does_not_grow_with_the_history() {
    let limits = Limits::default();
    let (most, conclusion) = most_held(0, &limits);
    assert_eq!(conclusion, Conclusion::Linearizable);
    assert!(most.operations < 2 * limits.piece && most.configurations < 200, "{most:?}");

    // Hundreds of writes of which nobody knows whether they took effect.
    let limits = Limits { unknowns: 50, waiting: 300, ..Limits::default() };
    let (most, conclusion) = most_held(2, &limits);
    assert_eq!(conclusion, Conclusion::Unknown(Undecided::Unknowns));
    assert!(most.operations < 1000 && most.configurations < 500, "{most:?}");
}

#[test]
fn what_never_ends_is_taken_for_unknown_and_holds_up_nothing_for_ever() {
    let line = |text: &str| text.to_owned() + "\n";
    let event = |time: u64, process: u64, kind: &str, f: &str, value: &str| {
        line(&format!(
            r#"{{"time":{time},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
        ))
    };
    let mut text = event(0, 0, "invoke", "write", "1");
    for turn in 0..100 {
        text += &event(10 * turn + 1, 1, "invoke", "write", "2");
        text += &event(10 * turn + 2, 1, "ok", "write", "2");
        text += &event(10 * turn + 3, 1, "invoke", "read", "null");
        // Nobody ever wrote 3.
        let value = if turn == 90 { "3" } else { "2" };
        text += &event(10 * turn + 4, 1, "ok", "read", value);
    }
    let recording = crate::history::read_bytes("it", text.as_bytes(), None).unwrap();
    for (waiting, alarmed_by) in [(20, 91 * 4 + 1 + 8), (10_000, usize::MAX)] {
        let limits = Limits { waiting, piece: 1, ..Limits::default() };
        let mut stream = Stream::new(ModelName::Register, Options::default(), limits).unwrap();
        let alarm = recording.events.iter().find_map(|recorded| stream.push(recorded));
        match alarm {
            Some(alarm) => assert!(alarm.events <= alarmed_by + 2 * waiting, "{alarm:?}"),
            None => assert_eq!(alarmed_by, usize::MAX),
        }
        let Conclusion::Violation(alarm) = stream.finish() else { panic!("nobody wrote 3") };
        assert_eq!(alarm.completion, 90 * 4 + 4, "the read of 3");
    }
}

/// Writes of which nobody knows whether they took effect are taken to do so as often as one likes
/// where they are many. Of equal ones one is enough then, so that nothing grows; of writes that
/// certainly took effect, and each once, none can be left out.
#[test]
fn of_equal_unknowns_one_is_kept_and_of_equal_certain_ones_all() {
    let event = |time: u64, process: u64, kind: &str, f: &str, value: u64| {
        let value = if f == "read" && kind == "invoke" { "null".into() } else { value.to_string() };
        let on = format!(r#""time":{time},"process":{process},"type":"{kind}""#);
        format!("{{{on},\"f\":\"{f}\",\"value\":{value}}}\n")
    };
    let mut text = String::new();
    for turn in 0..20 {
        let (time, lost) = (100 * turn, 1_000 + turn);
        // Two writes of 1 over all that follows, and both are needed.
        text += &event(time + 10, 1, "invoke", "write", 1);
        text += &event(time + 11, 2, "invoke", "write", 1);
        text += &event(time + 12, 3, "invoke", "read", 0);
        text += &event(time + 13, lost, "invoke", "write", 9);
        text += &event(time + 14, lost, "info", "write", 9);
        let twice = [("write", 2), ("read", 1), ("write", 2), ("read", 1)];
        for (time, (f, value)) in (time + 20..).step_by(2).zip(twice) {
            text += &event(time, 4, "invoke", f, value);
            text += &event(time + 1, 4, "ok", f, value);
        }
        text += &event(time + 60, 1, "ok", "write", 1);
        text += &event(time + 61, 2, "ok", "write", 1);
        text += &event(time + 62, 3, "ok", "read", 1);
    }
    text += &event(5_000, 4, "invoke", "read", 0);
    text += &event(5_001, 4, "ok", "read", 7);
    let recording = crate::history::read_bytes("it", text.as_bytes(), None).unwrap();
    let limits = Limits { unknowns: 2, ..Limits::default() };
    let mut stream = Stream::new(ModelName::Register, Options::default(), limits).unwrap();
    for (index, recorded) in recording.events.iter().enumerate() {
        let alarm = stream.push(recorded).or_else(|| stream.settle());
        assert_eq!(alarm, None, "event {index}");
        assert!(stream.held().operations < 12, "event {index}: {:?}", stream.held());
    }
    assert!(stream.given_up().is_empty(), "{:?}", stream.given_up());
    let Conclusion::Violation(alarm) = stream.finish() else { panic!("nobody wrote 7") };
    assert_eq!(alarm.completion, recording.events.len() - 1);
}

/// What ends at the latest instant can be judged only once time goes on, wherever it does.
#[test]
fn what_ended_last_of_a_key_is_judged_when_another_goes_on() {
    let event = |time: u64, key: &str, kind: &str, f: &str, value: &str| {
        let on = format!(r#""time":{time},"process":{},"key":"{key}""#, u8::from(key == "b"));
        format!("{{{on},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n")
    };
    for (seen, expected) in [("2", None), ("1", Some(5))] {
        let text = [
            event(1, "a", "invoke", "write", "1"),
            event(2, "a", "ok", "write", "1"),
            event(3, "a", "invoke", "write", "2"),
            event(4, "a", "ok", "write", "2"),
            event(5, "a", "invoke", "read", "null"),
            event(6, "a", "ok", "read", seen),
            event(7, "b", "invoke", "write", "1"),
            event(8, "b", "ok", "write", "1"),
        ];
        let recording = crate::history::read_bytes("it", text.concat().as_bytes(), None).unwrap();
        let limits = Limits::default();
        let mut stream = Stream::new(ModelName::Register, Options::default(), limits).unwrap();
        let mut look = |recorded| stream.push(recorded).or_else(|| stream.settle());
        let alarm = recording.events.iter().find_map(&mut look);
        assert_eq!(alarm.map(|alarm| alarm.completion), expected);
    }
}

#[test]
fn a_partition_that_is_given_up_is_told_of_at_once() {
    // Increments of unknown outcome lead to ever more states, however they are counted.
    let line = |process: u64, kind: &str, f: &str, value: &str| {
        let event = format!(r#""process":{process},"type":"{kind}","f":"{f}","value":{value}"#);
        format!("{{\"key\":\"k\",{event}}}\n")
    };
    let lost = |process| line(process, "invoke", "add", "1") + &line(process, "info", "add", "1");
    let seen = line(0, "invoke", "read", "null") + &line(0, "ok", "read", "0");
    let text: String = (1..=20).map(|process| lost(process) + &seen).collect();
    let recording = crate::history::read_bytes("it", text.as_bytes(), None).unwrap();
    for (unknowns, expected) in [(100, 0), (10, 1)] {
        let limits = Limits { unknowns, piece: 1, ..Limits::default() };
        let mut stream = Stream::new(ModelName::Counter, Options::default(), limits).unwrap();
        for recorded in &recording.events {
            assert_eq!(stream.push(recorded).or_else(|| stream.settle()), None);
        }
        let given_up = stream.given_up();
        assert_eq!(given_up.len(), expected, "{given_up:?}");
        if let [only] = given_up {
            assert_eq!((only.key.as_deref(), &only.why), (Some("k"), &Undecided::Unknowns));
            assert_eq!(stream.held().operations, 0);
        }
    }
}

#[test]
fn an_alarm_stands_where_the_judging_came_to_no_end() {
    let on = |key: &str, mut recording: Recording| {
        for Recorded { event, .. } in &mut recording.events {
            event.key = Some(key.into());
        }
        recording
    };
    let text = r#"{"process":0,"type":"invoke","f":"write","value":1}
{"process":0,"type":"ok","f":"write","value":1}
{"process":1,"type":"invoke","f":"read","value":null}
{"process":1,"type":"ok","f":"read","value":2}
"#;
    let recording = crate::history::read_bytes("it", text.as_bytes(), None).unwrap();
    let recording = on("k", recording);
    let options = Options { model: Some(ModelName::Register), ..Options::default() };
    let alarm = Alarm { key: Some("k".into()), completion: 3, events: 4 };
    let report = check(&recording, &options).unwrap();
    assert!(matches!(report.verdict, Verdict::Violation { .. }));
    let same = alarmed(report.clone(), &recording, &options, &alarm).unwrap();
    assert_eq!(same, report, "what has a verdict keeps it");
    let mut ended = report;
    ended.verdict = Verdict::Unknown { why: crate::verdict::Unknown::SelfCheck };
    ended.partitions[0].verdict = ended.verdict.clone();
    let ended = alarmed(ended, &recording, &options, &alarm).unwrap();
    let Verdict::Violation { witness } = &ended.verdict else { panic!("{ended:?}") };
    assert_eq!(ended.partitions[0].verdict, ended.verdict);
    assert_eq!((witness.completions, witness.end.completed_line), (2, Some(4)));
    assert!(!witness.shortest);
}
