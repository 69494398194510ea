//! What the fuzzer does with an input, and the test that does the same with a few thousand.

// Each target needs one of the two.
#![allow(dead_code)]

use std::time::Duration;

use checker::check::{CheckError, Options, Report, check};
use checker::history::{Event, Format, Recording, read_bytes, write};
use checker::model::ModelName;
use checker::stream::{Limits, Stream};
use checker::verdict::Verdict;

/// Reads, and writes what was read in every format: it must read back as the same events.
pub(crate) fn read_anything(content: &[u8], format: Option<Format>) {
    let Ok(recording) = read_bytes("fuzz", content, format) else {
        return;
    };
    for format in [Format::Jsonl, Format::Edn, Format::JepsenLog] {
        let mut written = Vec::new();
        write(&mut written, &recording, format).expect("a vector takes all that is written");
        match read_bytes("written", &written, Some(format)) {
            Ok(again) => assert!(events(&again).eq(events(&recording)), "{format}"),
            // The formats agree on all but how deep is too deep.
            Err(error) => {
                let problem = error.to_string();
                assert!(
                    problem.contains("too deep") || problem.contains("recursion limit"),
                    "{problem}"
                );
            }
        }
    }
}

fn events(recording: &Recording) -> impl Iterator<Item = &Event> {
    recording.events.iter().map(|recorded| &recorded.event)
}

/// Judges, with whatever model fits, within 50 milliseconds and 64 MiB; whole, and as it comes.
pub(crate) fn check_anything(content: &[u8]) {
    let Ok(recording) = read_bytes("fuzz", content, None) else {
        return;
    };
    let mut options = Options {
        time_limit: Duration::from_millis(50),
        memory_limit: 64 << 20,
        ..Options::default()
    };
    let mut report = check(&recording, &options);
    if let Err(CheckError::NoModel { .. }) = report {
        options.model = Some(ModelName::ALL[content.len() % ModelName::ALL.len()]);
        report = check(&recording, &options);
    }
    if let Ok(Report { model, .. }) = report {
        follow_anything(&recording, &Options { model: Some(model), ..options });
    }
}

/// Feeds a stream that may keep next to nothing; an alarm is one to whoever judges the beginning.
fn follow_anything(recording: &Recording, options: &Options) {
    let limits = Limits {
        waiting: 2,
        unknowns: 2,
        configurations: 4,
        piece: 1,
        piece_time: options.time_limit,
        memory: options.memory_limit,
    };
    let model = options.model.expect("it was told");
    let mut stream = Stream::new(model, options.clone(), limits).expect("the batch could begin");
    let push = |event| stream.push(event).or_else(|| stream.settle());
    if let Some(alarm) = recording.events.iter().find_map(push) {
        let events = recording.events[..alarm.events].to_vec();
        let beginning = Recording { events, ..recording.clone() };
        let verdict = check(&beginning, options).expect("it reads like the whole").verdict;
        assert!(!matches!(verdict, Verdict::Linearizable), "{alarm:?}");
    }
}
