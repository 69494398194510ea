//! Operations: every invocation with its completion, as a closed interval.

use super::pairing::Pairing;
use super::{Recording, StructureError, Text, Value, Warning};

/// A point in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The instant that decides what precedes what: nanoseconds, or the number of the event.
    pub instant: u64,
    /// The line on which the event stands, from 1.
    pub line: usize,
    /// Where the event stands among all events.
    pub event: usize,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<V = Value> {
    /// It happened, with this answer.
    Ok(V),
    /// It certainly did not happen; the value is the completion's.
    Fail(V),
    /// Nobody knows.
    Info,
}

/// An invocation and how it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation<T = Text, V = Value> {
    /// The client.
    pub process: u64,
    /// The function.
    pub f: T,
    /// The object that it is about, if the recording names one apart from the value.
    pub key: Option<T>,
    /// What it was asked to do.
    pub input: V,
    /// How it ended.
    pub outcome: Outcome<V>,
    /// When it was invoked.
    pub invoked: Moment,
    /// When it was completed; none if it never was. An `info` completes nothing, but is noted.
    pub completed: Option<Moment>,
    /// Where the system says it stands in its own order.
    pub position: Option<u64>,
}

/// An operation whose texts and values are those of its events: a million of them cost nothing to
/// make, and nothing to keep.
pub type OperationRef<'a> = Operation<&'a Text, &'a Value>;

impl Operation {
    /// The same operation, as models read it.
    #[must_use]
    pub fn as_ref(&self) -> OperationRef<'_> {
        let Self { process, invoked, completed, position, .. } = *self;
        let outcome = match &self.outcome {
            Outcome::Ok(value) => Outcome::Ok(value),
            Outcome::Fail(value) => Outcome::Fail(value),
            Outcome::Info => Outcome::Info,
        };
        Operation {
            process,
            f: &self.f,
            key: self.key.as_ref(),
            input: &self.input,
            outcome,
            invoked,
            completed,
            position,
        }
    }
}

impl OperationRef<'_> {
    /// The same operation with texts and values of its own.
    #[must_use]
    pub fn cloned(&self) -> Operation {
        let Self { process, invoked, completed, position, .. } = *self;
        let outcome = match self.outcome {
            Outcome::Ok(value) => Outcome::Ok(value.clone()),
            Outcome::Fail(value) => Outcome::Fail(value.clone()),
            Outcome::Info => Outcome::Info,
        };
        Operation {
            process,
            f: self.f.clone(),
            key: self.key.cloned(),
            input: self.input.clone(),
            outcome,
            invoked,
            completed,
            position,
        }
    }
}

/// What decides which operation precedes which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The events' times; ties are concurrent.
    Time,
    /// The order of the lines.
    Lines,
}

/// The operations of a recording, in the order of their invocations in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Operations {
    /// The operations.
    pub list: Vec<Operation>,
    /// What decides their precedence.
    pub order: Order,
    /// What the reader should know.
    pub warnings: Vec<Warning>,
}

/// Pairs the events of a recording; the nemesis' events are remarks and stay out.
pub fn operations(recording: &Recording) -> Result<Operations, StructureError> {
    let pairing = Pairing::of(recording)?;
    let list = pairing.iter().map(|operation| operation.cloned()).collect();
    Ok(Operations { list, order: pairing.order, warnings: pairing.warnings })
}
