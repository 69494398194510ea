//! One line of a history: somebody invoked an operation, or learned how one ended.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

use super::{Text, Value};

/// Who acts: a logical client, or the nemesis, whose events are remarks and never operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Process {
    /// A logical client, which does one operation at a time.
    Client(u64),
    /// The one who brings the faults.
    Nemesis(Nemesis),
}

/// The name under which the nemesis appears in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Nemesis {
    /// Written as `"nemesis"`.
    #[serde(rename = "nemesis")]
    Nemesis,
}

impl Process {
    /// The nemesis.
    pub const NEMESIS: Self = Self::Nemesis(Nemesis::Nemesis);
}

/// A number or the nemesis' name, told apart as they come: what serde derives keeps a copy of every
/// value to try one after the other, of millions of events.
impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProcessVisitor)
    }
}

struct ProcessVisitor;

impl Visitor<'_> for ProcessVisitor {
    type Value = Process;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the number of a client, or \"nemesis\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Process, E> {
        Ok(Process::Client(number))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Process, E> {
        match name {
            "nemesis" => Ok(Process::NEMESIS),
            _ => Err(E::invalid_value(Unexpected::Str(name), &self)),
        }
    }
}

/// What an event says about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventType {
    /// The operation begins.
    Invoke,
    /// It happened, with the value given.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// Nobody knows: it may take effect at any later time. Of the nemesis: a remark.
    Info,
}

/// One event of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The event's number in the history, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Monotonic nanoseconds since the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// Who acts.
    pub process: Process,
    /// What the event says.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The operation's function, such as `read` or `trade`.
    pub f: Text,
    /// The independent object that the operation is about, such as a register or a book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
    /// The argument of an invocation, the result of a completion.
    #[serde(default)]
    pub value: Value,
    /// Where the system says that the operation stands in its own order, such as a log index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Why an operation failed or is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
}
