//! The lines that `jepsen.util` logs: `INFO  jepsen.util - 0\t:invoke\t:read\tnil`.
//!
//! Whatever stands before the process is the logger's; lines without an operation are other
//! chatter and are skipped with one warning.

use serde_json::Value;

use super::edn::{self, FormError};
use super::jsonl::cut_off;
use super::{Event, EventType, Process, ReadError, Recorded, Recording, Warning};

/// Whether a line of a log is about an operation.
pub(super) fn is_operation(line: &[u8]) -> bool {
    let mut fields = line.split(|byte| *byte == b'\t').skip(1);
    fields.next().is_some_and(|field| event_type(field).is_some()) && fields.next().is_some()
}

fn event_type(field: &[u8]) -> Option<EventType> {
    match field.trim_ascii() {
        b":invoke" => Some(EventType::Invoke),
        b":ok" => Some(EventType::Ok),
        b":fail" => Some(EventType::Fail),
        b":info" => Some(EventType::Info),
        _ => None,
    }
}

pub(super) fn read_into(recording: &mut Recording, content: &[u8]) -> Result<(), ReadError> {
    let mut skipped: Option<(usize, usize)> = None;
    for (index, raw) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        if raw.trim_ascii().is_empty() {
            continue;
        }
        // A value that was cut short can still be a value, so such a line is not believed at all.
        if !raw.ends_with(b"\n") {
            recording.warnings.push(cut_off(line));
        } else if is_operation(raw) {
            let event = parse_line(without_newline(raw)).map_err(|(column, problem)| {
                ReadError::Malformed {
                    name: recording.name.clone(),
                    line,
                    column,
                    problem,
                    remedy: "mend or remove the line",
                }
            })?;
            recording.events.push(Recorded { line, column: 1, event });
        } else {
            let (first, count) = skipped.unwrap_or((line, 0));
            skipped = Some((first, count + 1));
        }
    }
    if let Some((line, count)) = skipped {
        let message = format!(
            "{count} lines, of which this is the first, hold no operation and were skipped"
        );
        recording.warnings.insert(0, Warning { line, message });
    }
    Ok(())
}

/// A trailing tab belongs to the line: it says that a field is empty.
fn without_newline(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

/// Parses a line with an operation; an error is a column, from 1, and what is wrong there.
fn parse_line(raw: &[u8]) -> Result<Event, (usize, String)> {
    let text = str::from_utf8(raw)
        .map_err(|error| (error.valid_up_to() + 1, "the line is not UTF-8".to_owned()))?;
    let mut at = 0;
    let fields: Vec<(usize, &str)> = text
        .split('\t')
        .map(|field| {
            let column = at + 1;
            at += field.len() + 1;
            (column, field)
        })
        .collect();
    let (_, before) = fields[0];
    let name = before.rsplit([' ', ']']).next().unwrap_or(before);
    let process = match name.trim_start_matches(':') {
        "nemesis" => Process::NEMESIS,
        number => {
            let column = 1 + before.len() - name.len();
            Process::Client(
                number
                    .parse()
                    .map_err(|_| (column, format!("the process `{name}` is no number")))?,
            )
        }
    };
    let event_type = event_type(fields[1].1.as_bytes())
        .ok_or((fields[1].0, "this is no event type".to_owned()))?;
    let f = fields[2].1.trim().trim_start_matches(':').to_owned();
    let form = |index: usize| match fields.get(index) {
        None => Ok(Value::Null),
        Some((column, field)) => edn::parse_value(field)
            .map_err(|wrong: FormError| (column + wrong.offset, wrong.problem)),
    };
    let (mut value, mut error) =
        (form(3)?, fields.get(4).map(|(_, field)| field.trim().to_owned()));
    // `:info :write :timed-out` puts the reason where the value stands in other events.
    if matches!(event_type, EventType::Info | EventType::Fail)
        && fields.get(3).is_some_and(|(_, field)| field.trim_start().starts_with(':'))
    {
        error = error.or(value.as_str().map(str::to_owned));
        value = Value::Null;
    }
    Ok(Event {
        index: None,
        time: None,
        process,
        event_type,
        f: f.into(),
        key: None,
        value: value.into(),
        position: None,
        error: error.map(Into::into),
    })
}
