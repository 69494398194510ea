//! What a node that has ended said last, in a line.
//!
//! Whoever reads it wants to know why. Programs end in many words: a line of their log with the stack in it,
//! or one line that says what is wrong and hundreds about where. The file keeps them all.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// How much of what a node printed is looked at: more than the stacks of all that it did at once.
const TAIL_MAX: u64 = 1 << 20;

/// How many characters of it an error quotes.
const WORDS_MAX: usize = 500;

/// Returns how much a node has printed so far.
pub(super) fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |file| file.len())
}

/// Reads what a node printed last of what stands in its file from an offset on.
pub(super) fn read(log: &Path, from: u64) -> Box<str> {
    let printed = read_tail(log, from).unwrap_or_default();
    summarise(&String::from_utf8_lossy(&printed))
}

fn read_tail(log: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let tail = file.metadata()?.len().saturating_sub(TAIL_MAX);
    file.seek(SeekFrom::Start(from.max(tail)))?;
    let mut printed = Vec::new();
    file.take(TAIL_MAX).read_to_end(&mut printed)?;
    Ok(printed)
}

/// Finds the line that says why.
fn summarise(printed: &str) -> Box<str> {
    let mut lines: Vec<&str> = printed.lines().map(str::trim).collect();
    lines.retain(|line| !line.is_empty());
    let words = match lines.iter().position(|line| is_panic(line)) {
        // Where it happened, and in the next line what.
        Some(place) if lines[place].ends_with(':') => {
            lines[place..].iter().take(2).copied().collect::<Vec<_>>().join(" ")
        }
        Some(place) => lines[place].into(),
        None => describe(lines.last().copied().unwrap_or("it printed nothing")),
    };
    words.chars().take(WORDS_MAX).collect::<String>().into()
}

/// Tells whether a line is the first of a program that crashes; where it was follows.
fn is_panic(line: &str) -> bool {
    // Those of Go and of Rust.
    ["panic: ", "fatal error: "].iter().any(|it| line.starts_with(it))
        || line.starts_with("thread '") && line.contains(" panicked at ")
}

/// Renders a line of a log, of which only the message counts if it is told apart from the rest.
fn describe(line: &str) -> String {
    let fields: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    match (text("msg"), text("error")) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message.into(),
        (None, _) => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_why_is_found() {
        let cases = [
            ("", "it printed nothing"),
            ("starting\n\nerror: no such file\n\n", "error: no such file"),
            (
                "{\"level\":\"info\",\"msg\":\"opened\"}\n{\"level\":\"fatal\",\"msg\":\"discovery failed\",\
                 \"error\":\"crc mismatch\",\"stacktrace\":\"main.main\\n\\tmain.go:28\"}\n",
                "discovery failed: crc mismatch",
            ),
            ("{\"msg\":\"closed\"}", "closed"),
            (
                "listening\npanic: failed to open database\n\ngoroutine 1 [running]:\nmain.main()\n\tmain.go:2\n",
                "panic: failed to open database",
            ),
            (
                "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds\nnote: run with a backtrace\n",
                "thread 'main' panicked at src/main.rs:2:5: index out of bounds",
            ),
            (
                "thread 'main' panicked at 'of old', src/main.rs:2",
                "thread 'main' panicked at 'of old', src/main.rs:2",
            ),
        ];
        for (printed, expected) in cases {
            assert_eq!(&*summarise(printed), expected);
        }
        assert_eq!(summarise(&"é".repeat(900)).chars().count(), WORDS_MAX);
    }

    #[test]
    fn only_what_was_printed_since_counts() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("stderr.log");
        assert_eq!((length(&log), &*read(&log, 0)), (0, "it printed nothing"));
        let before = "panic: long ago\n";
        std::fs::write(&log, format!("{before}error: now\n")).unwrap();
        assert_eq!(&*read(&log, before.len() as u64), "error: now");
        assert_eq!(&*read(&log, 0), "panic: long ago");
        assert_eq!(&*read(&log, 1_000), "it printed nothing");
    }
}
