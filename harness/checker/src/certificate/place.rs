//! Places: how a certificate names an event of the file.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::{Operation, Operations, Recording};

/// Where an event stands in the file: its line, and the column only where that is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// The only event that begins on this line, from 1.
    Line(usize),
    /// One of several that begin on a line.
    Column {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(out, "line {line}"),
            Self::Column { line, column } => write!(out, "line {line}, column {column}"),
        }
    }
}

/// The places of a recording's events.
pub(crate) struct Places {
    of_event: Vec<Place>,
}

impl Places {
    /// Finds the place of every event.
    pub(crate) fn of(recording: &Recording) -> Self {
        let events = &recording.events;
        let line_of = |index: usize| events.get(index).map(|recorded| recorded.line);
        let place = |index: usize| {
            let line = events[index].line;
            let is_shared =
                line_of(index + 1) == Some(line) || (index > 0 && line_of(index - 1) == Some(line));
            match is_shared {
                true => Place::Column { line, column: events[index].column },
                false => Place::Line(line),
            }
        };
        Self { of_event: (0..events.len()).map(place).collect() }
    }

    /// Returns the place of an event, by its number among all events.
    pub(crate) fn of_event(&self, event: usize) -> Place {
        self.of_event[event]
    }

    /// Returns the place of an operation's invocation.
    pub(crate) fn of_operation(&self, operation: &Operation) -> Place {
        self.of_event[operation.invoked.event]
    }

    /// Finds operations by the places of their invocations.
    pub(crate) fn invocations(&self, operations: &Operations) -> HashMap<Place, usize> {
        let list = operations.list.iter().enumerate();
        list.map(|(index, operation)| (self.of_operation(operation), index)).collect()
    }
}
