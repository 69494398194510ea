//! The lines that `jepsen.util` logs, `INFO  jepsen.util - 0\t:invoke\t:read\tnil`, and that Jepsen keeps
//! as `history.txt`.
//!
//! Whatever stands before the process is the logger's; lines without an operation are other
//! chatter and are skipped with one warning.
//!
//! With tabs between its fields a line is
//!
//! ```text
//! PROCESS  TYPE  FUNCTION  [VALUE  [ERROR]]  [:key TEXT] [:index N] [:time N] [:position N] [:error TEXT]
//! ```
//!
//! with a number or `:nemesis` for the process, `:invoke`, `:ok`, `:fail` or `:info` for the type, a
//! keyword or a string for the function, and a form of EDN for the value. Jepsen's lines end with the
//! value or the error; the named fields behind them, in any order, are ours, so that a line can hold all
//! that an event does.

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
    let (column, f) = fields[2];
    let f = match f.trim() {
        quoted if quoted.starts_with('"') => text_of(quoted, column)?,
        name => name.trim_start_matches(':').to_owned(),
    };
    let mut named = Named::default();
    let mut fields = fields;
    while fields.len() > 3 && named.take(fields[fields.len() - 1])? {
        fields.pop();
    }
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
        index: named.index,
        time: named.time,
        process,
        event_type,
        f: f.into(),
        key: named.key.map(Into::into),
        value: value.into(),
        position: named.position,
        error: named.error.or(error).map(Into::into),
    })
}

/// What a line says behind the fields that Jepsen knows.
#[derive(Default)]
struct Named {
    key: Option<String>,
    index: Option<u64>,
    time: Option<u64>,
    position: Option<u64>,
    error: Option<String>,
}

impl Named {
    /// Takes a field if it is a named one; an error is a column and what is wrong there.
    fn take(&mut self, (column, field): (usize, &str)) -> Result<bool, (usize, String)> {
        let Some((name, content)) = field.split_once(' ') else {
            return Ok(false);
        };
        let content_column = column + name.len() + 1;
        let is_first = match name {
            ":key" => self.key.replace(text_of(content, content_column)?).is_none(),
            ":error" => self.error.replace(text_of(content, content_column)?).is_none(),
            ":index" | ":time" | ":position" => {
                let number = content.trim().parse().map_err(|_| {
                    (content_column, format!("`{name}` is not a whole number from 0"))
                })?;
                let place = match name {
                    ":index" => &mut self.index,
                    ":time" => &mut self.time,
                    _ => &mut self.position,
                };
                place.replace(number).is_none()
            }
            _ => return Ok(false),
        };
        match is_first {
            true => Ok(true),
            false => Err((column, format!("`{name}` stands twice"))),
        }
    }
}

/// Reads a text, as a string of EDN or a keyword; an error is a column and what is wrong there.
fn text_of(field: &str, column: usize) -> Result<String, (usize, String)> {
    match edn::parse_value(field) {
        Ok(Value::String(text)) => Ok(text),
        Ok(_) => Err((column, "this is no text".to_owned())),
        Err(wrong) => Err((column + wrong.offset, wrong.problem)),
    }
}
