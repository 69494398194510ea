//! JSON Lines, one event a line: reader and writer.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::{Event, EventType, Nemesis, Process, ReadError, Recorded, Recording, Warning};

/// Writes an event as one line.
pub fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    out.write_all(b"\n")
}

pub(super) fn read_into(recording: &mut Recording, content: &[u8]) -> Result<(), ReadError> {
    for (index, raw) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let is_cut = !raw.ends_with(b"\n");
        let text = raw.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let column_first = 1 + raw.len() - raw.trim_ascii_start().len();
        match parse_line(text) {
            Ok(object) => {
                let event = event_from(object).map_err(|wrong| {
                    wrong.at(&recording.name, line, column_of(raw, wrong.field))
                })?;
                recording.events.push(Recorded { line, column: column_first, event });
            }
            // The writer ends every line with a newline, so a broken last line without one is a
            // line that was being written when the run was killed.
            Err(_) if is_cut => recording.warnings.push(cut_off(line)),
            Err((column, problem)) => {
                return Err(ReadError::Malformed {
                    name: recording.name.clone(),
                    line,
                    column: column_first + column.saturating_sub(1),
                    problem,
                    remedy: "mend or remove the line, or name another --format",
                });
            }
        }
    }
    Ok(())
}

/// Parses one line; an error is a column, from 1, and what is wrong there.
fn parse_line(text: &[u8]) -> Result<Map<String, Value>, (usize, String)> {
    let text = str::from_utf8(text)
        .map_err(|error| (error.valid_up_to() + 1, "the line is not UTF-8".to_owned()))?;
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message =
            message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        (error.column(), format!("this is no JSON object: {message}"))
    })
}

/// The warning about a recording that ends in mid-line.
pub(super) fn cut_off(line: usize) -> Warning {
    Warning {
        line,
        message: "the recording is cut off in mid-line here, as if its run had been killed; \
                  it was judged up to the line before"
            .to_owned(),
    }
}

/// What is wrong with an event that is otherwise well-formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrongField {
    pub(super) field: &'static str,
    problem: &'static str,
    remedy: &'static str,
}

impl WrongField {
    pub(super) fn describe(self) -> String {
        format!("`{}` {}: {}", self.field, self.problem, self.remedy)
    }

    pub(super) fn at(self, name: &str, line: usize, column: usize) -> ReadError {
        ReadError::Malformed {
            name: name.to_owned(),
            line,
            column,
            problem: format!("`{}` {}", self.field, self.problem),
            remedy: self.remedy,
        }
    }
}

/// The column, from 1, where a field's name stands as a key, `"f"` or `:f`; the first if it does not.
pub(super) fn column_of(raw: &[u8], field: &str) -> usize {
    let is_key = |at: &usize| {
        let after = raw.get(at + field.len());
        match raw[..*at].last() {
            Some(b'"') => after == Some(&b'"'),
            Some(b':') => {
                after.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-_./".contains(byte))
            }
            _ => false,
        }
    };
    let windows = raw.windows(field.len()).enumerate();
    let mut places = windows.filter(|(_, window)| *window == field.as_bytes()).map(|(at, _)| at);
    places.find(is_key).map_or(1, |at| at + 1)
}

/// Makes an event of a map; EDN's maps come here as well, with their keywords as strings.
pub(super) fn event_from(mut map: Map<String, Value>) -> Result<Event, WrongField> {
    let wrong = |field, problem, remedy| Err(WrongField { field, problem, remedy });
    let process = match map.remove("process") {
        Some(Value::Number(number)) => match number.as_u64() {
            Some(number) => Process::Client(number),
            None => {
                return wrong(
                    "process",
                    "is not a whole number from 0",
                    "clients are numbered from 0",
                );
            }
        },
        Some(Value::String(name)) if name == "nemesis" => Process::Nemesis(Nemesis::Nemesis),
        Some(_) => {
            return wrong(
                "process",
                "is neither a number nor \"nemesis\"",
                "number the clients from 0",
            );
        }
        None => return wrong("process", "is missing", "every event says who acted"),
    };
    let event_type = match map.remove("type") {
        Some(Value::String(name)) => match name.as_str() {
            "invoke" => EventType::Invoke,
            "ok" => EventType::Ok,
            "fail" => EventType::Fail,
            "info" => EventType::Info,
            _ => {
                return wrong("type", "is none of the four types", "use invoke, ok, fail or info");
            }
        },
        Some(_) => return wrong("type", "is not a string", "use invoke, ok, fail or info"),
        None => return wrong("type", "is missing", "use invoke, ok, fail or info"),
    };
    let f = match map.remove("f") {
        Some(Value::String(f)) => f,
        Some(Value::Null) | None if process == Process::NEMESIS => String::new(),
        Some(_) => return wrong("f", "is not a string", "name the operation's function"),
        None => return wrong("f", "is missing", "name the operation's function"),
    };
    let key = match map.remove("key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key),
        Some(Value::Number(key)) => Some(key.to_string()),
        Some(_) => {
            return wrong("key", "is neither a string nor a number", "name the object as a string");
        }
    };
    let mut whole = |field| match map.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(WrongField {
                field,
                problem: "is not a whole number from 0",
                remedy: "remove the field or write a number",
            }),
        },
    };
    let (index, time, position) = (whole("index")?, whole("time")?, whole("position")?);
    let error = match map.remove("error") {
        None | Some(Value::Null) => None,
        Some(Value::String(error)) => Some(error),
        Some(error) => Some(error.to_string()),
    };
    let value = map.remove("value").unwrap_or(Value::Null);
    Ok(Event { index, time, process, event_type, f, key, value, position, error })
}
