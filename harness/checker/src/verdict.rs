//! Verdicts: what the checker says of a history, how verdicts compose, and what proves a violation.

use std::fmt;

use crate::history::{Text, Value};
use serde::Serialize;

use crate::engine::EngineName;

/// What the checker says of a history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// One order of the operations explains all that the clients saw.
    Linearizable,
    /// No order does; the witness says where every explanation ends.
    Violation {
        /// The proof.
        witness: Box<Witness>,
    },
    /// The search ended before it could tell.
    Unknown {
        /// What stopped it.
        why: Unknown,
    },
}

impl Verdict {
    /// Composes two verdicts: a violation outweighs unknown, which outweighs linearizable.
    ///
    /// Of two violations the one whose bad prefix ends on the earlier line is kept. A harness
    /// failure, which stands between violation and unknown, is no verdict on a history: whoever
    /// runs clusters adds it by comparing [`Verdict::rank`] with [`RANK_HARNESS_FAILURE`].
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if let (Self::Violation { witness: a }, Self::Violation { witness: b }) = (&self, &other) {
            let line = |witness: &Witness| witness.end.completed_line.unwrap_or(usize::MAX);
            return if line(b) < line(a) { other } else { self };
        }
        if other.rank() > self.rank() { other } else { self }
    }

    /// Returns the verdict's weight in a composition: the heavier wins.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Linearizable => 0,
            Self::Unknown { .. } => 1,
            Self::Violation { .. } => 3,
        }
    }

    /// Returns the exit code of a program that ends with this verdict.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Linearizable => 0,
            Self::Violation { .. } => 1,
            Self::Unknown { .. } => 3,
        }
    }
}

/// The weight of a harness failure in a composition, between unknown and violation.
pub const RANK_HARNESS_FAILURE: u8 = 2;

/// Why a search ended without a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Unknown {
    /// The time limit was reached.
    Time {
        /// How far the search came.
        reached: Reached,
    },
    /// The memory limit was reached.
    Memory {
        /// How far the search came.
        reached: Reached,
    },
    /// The history holds no event.
    Empty,
    /// No operation in the history was answered, so no answer could be wrong.
    NothingAnswered,
    /// The engine that was asked for does not know such histories.
    Unfit {
        /// The engine.
        engine: EngineName,
        /// What it does not know of this one.
        why: &'static str,
    },
    /// The search found an order that did not survive its own replay: a defect of the checker.
    SelfCheck,
}

/// How far a search came before it was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The partition that was being searched.
    pub partition: Option<String>,
    /// Completions that were explained.
    pub completions: usize,
    /// Completions in the partition.
    pub completions_total: usize,
    /// The line of the first completion that was not explained yet.
    pub line: usize,
    /// Configurations that were visited.
    pub configurations: u64,
}

/// An operation as a witness names it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sighting {
    /// The client.
    pub process: u64,
    /// The operation's function.
    pub f: Text,
    /// What it was asked to do.
    pub input: Value,
    /// How it had ended by the end of the prefix.
    pub ended: Ended,
    /// What the client saw, if it saw an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The line of the invocation.
    pub invoked_line: usize,
    /// The line of the completion, if it was completed by the end of the prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_line: Option<usize>,
    /// The `index` of the completion, where the recording has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_index: Option<u64>,
    /// The time of the completion in nanoseconds, where the recording has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_time: Option<u64>,
}

/// How an operation had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// It happened.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// It was open, or its outcome unknown.
    Open,
}

/// The proof of a violation.
///
/// The *shortest bad prefix* is the shortest beginning of a partition, ending with a completion,
/// that is itself not linearizable when it is taken for the whole recording: operations that have
/// no completion in it are open, with an unknown answer, whatever the rest of the recording says.
/// Every shorter beginning of the partition is linearizable. "Beginning" is meant in the order
/// that decides precedence: by time, of one instant first the invocations, then the completions
/// in the order of their lines; or by lines.
///
/// To find it takes searches of their own. If there was no time for them, the prefix ends with the
/// first completion up to which no order was found that explains the *whole* recording, answers
/// included that were given later: a longer prefix may be needed to see the violation without
/// looking ahead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Witness {
    /// The partition in which it happened; none if the history was judged whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The operation whose completion ends the shortest bad prefix.
    pub end: Sighting,
    /// Where that completion stands among the recording's events.
    #[serde(skip)]
    pub end_event: Option<usize>,
    /// Whether the prefix is the shortest bad prefix: false if there was no time to find it.
    pub shortest: bool,
    /// Completed operations of the partition within the prefix.
    pub completions: usize,
    /// The operations that the search could not put in order where it came furthest.
    pub unordered: Vec<Sighting>,
    /// Operations with an unknown outcome that might have taken effect there.
    pub maybe: Vec<Sighting>,
    /// Where the search came furthest.
    pub dead_ends: Vec<DeadEnd>,
}

/// One of the furthest legal configurations, from which the prefix could not be completed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadEnd {
    /// The state reached, as the model describes it.
    pub state: String,
    /// The last operations of the order that led there, the latest last.
    pub last: Vec<Sighting>,
}

impl fmt::Display for Sighting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "process {} {}", self.process, self.f)?;
        if !self.input.is_null() {
            write!(out, " {}", brief(&self.input))?;
        }
        match (self.ended, &self.output) {
            (Ended::Ok, Some(output)) => write!(out, " -> {}", brief(output))?,
            (Ended::Ok, None) => write!(out, " -> ok")?,
            (Ended::Fail, _) => write!(out, " -> failed")?,
            (Ended::Open, _) => write!(out, " -> outcome unknown")?,
        }
        match self.completed_line {
            None => write!(out, " (line {})", self.invoked_line),
            Some(completed) => write!(out, " (lines {}-{completed})", self.invoked_line),
        }
    }
}

/// The longest value that is printed whole in a human's verdict.
const BRIEF_BYTES: usize = 160;

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().find(|(at, _)| *at >= BRIEF_BYTES) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
