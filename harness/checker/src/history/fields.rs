//! An event's fields: what each must be, in whatever format they come.

use serde_json::{Map, Value};

use super::text::Texts;
use super::{Event, EventType, Nemesis, Process, ReadError};

/// What is wrong with an event that is otherwise well-formed.
#[derive(Clone, Copy, Debug)]
pub(in crate::history) struct WrongField {
    pub(in crate::history) field: &'static str,
    problem: &'static str,
    remedy: &'static str,
}

impl WrongField {
    pub(in crate::history) fn describe(self) -> String {
        format!("`{}` {}: {}", self.field, self.problem, self.remedy)
    }

    pub(in crate::history) fn at(self, name: &str, line: usize, column: usize) -> ReadError {
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
pub(in crate::history) fn column_of(raw: &[u8], field: &str) -> usize {
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
pub(in crate::history) fn event_from(
    mut map: Map<String, Value>,
    texts: &mut Texts,
) -> Result<Event, WrongField> {
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
        Some(Value::String(f)) => texts.share(&f),
        Some(Value::Null) | None if process == Process::NEMESIS => texts.share(""),
        Some(_) => return wrong("f", "is not a string", "name the operation's function"),
        None => return wrong("f", "is missing", "name the operation's function"),
    };
    let key = match map.remove("key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(texts.share(&key)),
        Some(Value::Number(key)) => Some(texts.share(&key.to_string())),
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
        Some(Value::String(error)) => Some(texts.share(&error)),
        Some(error) => Some(texts.share(&error.to_string())),
    };
    let value = map.remove("value").unwrap_or(Value::Null).into();
    Ok(Event { index, time, process, event_type, f, key, value, position, error })
}
