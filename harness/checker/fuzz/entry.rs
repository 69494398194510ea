//! What the fuzzer does with an input, and the test that does the same with a few thousand.

// Each target needs one of the two.
#![allow(dead_code)]

use std::time::Duration;

use checker::check::{CheckError, Options, check};
use checker::history::{Event, Format, Recording, read_bytes, write};
use checker::model::ModelName;

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

/// Judges, with whatever model fits, within 50 milliseconds and 64 MiB.
pub(crate) fn check_anything(content: &[u8]) {
    let Ok(recording) = read_bytes("fuzz", content, None) else {
        return;
    };
    let mut options = Options {
        time_limit: Duration::from_millis(50),
        memory_limit: 64 << 20,
        ..Options::default()
    };
    if let Err(CheckError::NoModel { .. }) = check(&recording, &options) {
        options.model = Some(ModelName::ALL[content.len() % ModelName::ALL.len()]);
        drop(check(&recording, &options));
    }
}
