//! One line: straight into an event where it is as we write it, by way of a map otherwise.
//!
//! The straight way knows only what a good line looks like. Whatever it stumbles over is read again by
//! the long way, which knows every exception and says what is wrong.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::history::fields::{WrongField, column_of, event_from};
use crate::history::text::{Text, Texts};
use crate::history::value::{TextSeed, ValueSeed};
use crate::history::{Event, ReadError};

/// Reads lines; what their texts have in common is shared.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    texts: Texts,
}

/// Why a line is no event.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is no JSON object.
    Syntax {
        /// Where, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A key stands twice in it, and nobody can say which is meant.
    Twice {
        /// Where, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// It is one, with a field that makes no sense.
    Field {
        /// Where, from 1.
        column: usize,
        /// Which, and why.
        wrong: WrongField,
    },
}

impl Refused {
    /// Moves the place to the right.
    pub(super) fn shift(mut self, indent: usize) -> Self {
        let (Self::Syntax { column, .. } | Self::Twice { column, .. } | Self::Field { column, .. }) =
            &mut self;
        *column += indent;
        self
    }

    /// Makes an error of it.
    pub(super) fn at(self, name: &str, line: usize) -> ReadError {
        let (column, problem, remedy) = match self {
            Self::Field { column, wrong } => return wrong.at(name, line, column),
            Self::Syntax { column, problem } => {
                (column, problem, "mend or remove the line, or name another --format")
            }
            Self::Twice { column, problem } => {
                (column, problem, "remove the one that is not meant")
            }
        };
        ReadError::Malformed { name: name.to_owned(), line, column, problem, remedy }
    }
}

impl LineReader {
    /// Reads a line without the space around it.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Event, Refused> {
        let text = str::from_utf8(line).map_err(|error| Refused::Syntax {
            column: error.valid_up_to() + 1,
            problem: "the line is not UTF-8".to_owned(),
        })?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let straight = EventSeed(&mut self.texts).deserialize(&mut deserializer);
        if let Ok(event) = straight.and_then(|event| deserializer.end().map(|()| event)) {
            return Ok(event);
        }
        let map: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            let problem = format!("this is no JSON object: {}", without_place(&error));
            Refused::Syntax { column: error.column().max(1), problem }
        })?;
        // The map has kept the last of two values of one key.
        if let Err(error) = serde_json::from_str::<NoTwins>(text) {
            // The parser stands behind the name's closing quote.
            let problem = without_place(&error);
            let name_bytes = problem.len().saturating_sub(stands_twice("").len());
            let column = error.column().saturating_sub(name_bytes).max(1);
            return Err(Refused::Twice { column, problem });
        }
        event_from(map, &mut self.texts)
            .map_err(|wrong| Refused::Field { column: column_of(line, wrong.field), wrong })
    }
}

/// What a parser says is wrong, without the place, which is counted otherwise here.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned()
}

fn stands_twice(name: &str) -> String {
    format!("the key `{name}` stands twice in one map")
}

/// Reads an event as our own recorder writes it: every field at most once, and of its own type.
struct EventSeed<'a>(&'a mut Texts);

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = Event;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = Event;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let texts = self.0;
        let (mut process, mut event_type, mut f, mut value) = (None, None, None, None);
        let (mut key, mut error) = (None, None);
        let (mut index, mut time, mut position) = (None, None, None);
        let mut others = Vec::new();
        // Of a field that may be null it must be remembered that it was there.
        while let Some(field) = map.next_key_seed(FieldSeed(texts))? {
            match field {
                Field::Process => once(&mut process, map.next_value()?)?,
                Field::Type => once(&mut event_type, map.next_value()?)?,
                Field::F => once(&mut f, map.next_value_seed(TextSeed(texts))?)?,
                Field::Value => once(&mut value, map.next_value_seed(ValueSeed(texts))?)?,
                Field::Key => once(&mut key, map.next_value_seed(OptionSeed(texts))?)?,
                Field::Error => once(&mut error, map.next_value_seed(OptionSeed(texts))?)?,
                Field::Index => once(&mut index, map.next_value()?)?,
                Field::Time => once(&mut time, map.next_value()?)?,
                Field::Position => once(&mut position, map.next_value()?)?,
                Field::Other(name) if others.contains(&name) => {
                    return Err(A::Error::custom(TWICE));
                }
                Field::Other(name) => {
                    map.next_value::<NoTwins>()?;
                    others.push(name);
                }
            }
        }
        Ok(Event {
            index: index.flatten(),
            time: time.flatten(),
            process: process.ok_or_else(|| A::Error::missing_field("process"))?,
            event_type: event_type.ok_or_else(|| A::Error::missing_field("type"))?,
            f: f.ok_or_else(|| A::Error::missing_field("f"))?,
            key: key.flatten(),
            value: value.unwrap_or_default(),
            position: position.flatten(),
            error: error.flatten(),
        })
    }
}

/// The long way says which.
const TWICE: &str = "a field stands twice";

/// Keeps a field that was not there before.
fn once<T, E: Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(TWICE)),
    }
}

/// The fields of an event.
enum Field {
    Index,
    Time,
    Process,
    Type,
    F,
    Key,
    Value,
    Position,
    Error,
    /// One that says nothing to us.
    Other(Text),
}

/// Reads the name of a field.
struct FieldSeed<'a>(&'a mut Texts);

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = Field;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
        Ok(match name {
            "index" => Field::Index,
            "time" => Field::Time,
            "process" => Field::Process,
            "type" => Field::Type,
            "f" => Field::F,
            "key" => Field::Key,
            "value" => Field::Value,
            "position" => Field::Position,
            "error" => Field::Error,
            other => Field::Other(self.0.share(other)),
        })
    }
}

/// Reads a text that is shared, or null.
struct OptionSeed<'a>(&'a mut Texts);

impl<'de> DeserializeSeed<'de> for OptionSeed<'_> {
    type Value = Option<Text>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Text>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for OptionSeed<'_> {
    type Value = Option<Text>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string or null")
    }

    fn visit_none<E: Error>(self) -> Result<Option<Text>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Text>, D::Error> {
        TextSeed(self.0).deserialize(deserializer).map(Some)
    }
}

/// Anything in which no object has two values of one name.
struct NoTwins;

impl<'de> Deserialize<'de> for NoTwins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NoTwins {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(stands_twice(&name)));
            }
            names.insert(name);
            map.next_value::<Self>()?;
        }
        Ok(self)
    }
}
