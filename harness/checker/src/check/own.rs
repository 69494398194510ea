//! Judging operations of a model of one's own, as plain values instead of a recording.
//!
//! A history file brings its operations as JSON, and a model's reading of them; whoever has a state
//! of their own, and typed operations, needs neither. The guarantees are the same: an order that was
//! found is replayed before it is believed, a violation comes with its shortest bad prefix, and
//! running out of time or memory is no pass. The guide is in [`crate::model`].

use std::collections::HashMap;
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::history::{
    Event, EventType, Format, OperationRef, Pair, Pairing, Process, Recorded, Recording, Text,
    Value,
};
use crate::model::{End, Model, Reading};
use crate::verdict::Verdict;

use super::dispatch::Subject;
use super::judge::{Case, judge as judge_case};
use super::{Options, PartitionReport, TIME_LIMIT_MAX, compose};

/// An operation of a model: who asked what, when, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<M: Model> {
    /// The client, which does one operation at a time.
    pub process: u64,
    /// What was asked.
    pub op: M::Op,
    /// When it was invoked, by any clock that all clients share.
    pub invoked: u64,
    /// What came of it.
    pub outcome: Outcome<M::Ret>,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<Ret> {
    /// It happened, with this answer.
    Answered {
        /// When the answer was there.
        completed: u64,
        /// What was answered.
        answer: Ret,
    },
    /// It happened; what was answered says nothing, or was not kept.
    Done {
        /// When the answer was there.
        completed: u64,
    },
    /// It certainly did not happen, as the client learned.
    Failed {
        /// When it learned that.
        completed: u64,
    },
    /// Nobody knows: it may take effect at any later time, or never.
    Unknown,
}

impl<M: Model> Operation<M> {
    /// An operation that was answered.
    pub fn answered(process: u64, op: M::Op, invoked: u64, completed: u64, answer: M::Ret) -> Self {
        Self { process, op, invoked, outcome: Outcome::Answered { completed, answer } }
    }

    /// An operation that certainly happened, whatever it answered.
    pub fn done(process: u64, op: M::Op, invoked: u64, completed: u64) -> Self {
        Self { process, op, invoked, outcome: Outcome::Done { completed } }
    }

    /// An operation of which nobody knows whether it took effect.
    pub fn unknown(process: u64, op: M::Op, invoked: u64) -> Self {
        Self { process, op, invoked, outcome: Outcome::Unknown }
    }

    fn completed(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Answered { completed, .. }
            | Outcome::Done { completed }
            | Outcome::Failed { completed } => Some(completed),
            Outcome::Unknown => None,
        }
    }
}

/// How long judging may take, and how much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// When to give up.
    pub time: Duration,
    /// In bytes; kept as well as [`Model::weight`] tells what states take.
    pub memory: u64,
}

impl Default for Limits {
    /// The same as for recordings.
    fn default() -> Self {
        let Options { time_limit, memory_limit, .. } = Options::default();
        Self { time: time_limit, memory: memory_limit }
    }
}

/// What the checker says of operations.
///
/// Operations are named by their places among those that were given, from 0 in
/// [`PartitionReport::linearization`], and from 1 wherever a witness speaks of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict on the whole.
    pub verdict: Verdict,
    /// The partitions with their verdicts.
    pub partitions: Vec<PartitionReport>,
}

/// Why operations make no history; operations are named by their places, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// An operation was answered before it was invoked.
    #[error("operation {place} was answered before it was invoked")]
    AnsweredTooSoon {
        /// The operation.
        place: usize,
    },
    /// A process invoked an operation while one of its own was not answered yet.
    #[error(
        "process {process} invoked operation {later} before its operation {earlier} was answered"
    )]
    Overlap {
        /// The process.
        process: u64,
        /// The operation that was not answered yet.
        earlier: usize,
        /// The operation that was invoked too soon.
        later: usize,
    },
}

/// Asks whether some order of the operations, true to the order in which they were seen to happen,
/// explains every answer.
///
/// Operations may be given in any order; what precedes what is decided by their times, and ties are
/// concurrent, but for those of one process, which come in the order in which they are given.
pub fn judge<M: Model>(
    initial: &M,
    operations: &[Operation<M>],
    limits: &Limits,
) -> Result<Judgement, Misfit> {
    let started = Instant::now();
    let sorted = sort(operations)?;
    let recording = record(operations);
    let pairs = sorted.iter().map(|place| pair(*place, &operations[*place])).collect();
    let case = Case {
        recording: &recording,
        operations: &Pairing::of_pairs(&recording, pairs),
        options: &Options {
            time_limit: limits.time,
            memory_limit: limits.memory,
            ..Options::default()
        },
        deadline: started + limits.time.min(TIME_LIMIT_MAX),
    };
    let read = |described: &OperationRef<'_>| {
        let operation = &operations[described.invoked.event / 2];
        Ok(Reading {
            key: M::partition(&operation.op).map(Into::into),
            op: operation.op.clone(),
            end: match &operation.outcome {
                Outcome::Answered { answer, .. } => End::Answered(Some(answer.clone())),
                Outcome::Done { .. } => End::Answered(None),
                Outcome::Failed { .. } => End::Refused,
                Outcome::Unknown => End::Open,
            },
        })
    };
    let mut partitions = judge_case(&case, &Subject { initial: &|_| initial.clone(), read: &read })
        .expect("every operation of a model's own type can be read for it");
    for partition in &mut partitions {
        for place in partition.linearization.iter_mut().flatten() {
            *place = sorted[*place];
        }
    }
    Ok(Judgement { verdict: compose(&recording, &partitions), partitions })
}

/// Returns the places in the order of invocation, if each process did one thing after the other.
fn sort<M: Model>(operations: &[Operation<M>]) -> Result<Vec<usize>, Misfit> {
    let mut sorted: Vec<usize> = (0..operations.len()).collect();
    sorted.sort_by_key(|place| operations[*place].invoked);
    let mut last = HashMap::<u64, (usize, u64)>::new();
    for place in sorted.iter().copied() {
        let Operation { process, invoked, .. } = &operations[place];
        match last.get(process) {
            Some((earlier, completed)) if completed > invoked => {
                return Err(Misfit::Overlap { process: *process, earlier: *earlier, later: place });
            }
            _ => {}
        }
        let Some(completed) = operations[place].completed() else { continue };
        if completed < *invoked {
            return Err(Misfit::AnsweredTooSoon { place });
        }
        last.insert(*process, (place, completed));
    }
    Ok(sorted)
}

/// The events that witnesses refer to: two for each operation, at its place, in the words of its own
/// types.
fn record<M: Model>(operations: &[Operation<M>]) -> Recording {
    let words = |value: &dyn Debug| Text::from(format!("{value:?}"));
    let event = |place: usize, event_type, time, f, value| Recorded {
        line: place + 1,
        column: 1,
        event: Event {
            index: None,
            time: Some(time),
            process: Process::Client(operations[place].process),
            event_type,
            f,
            key: None,
            value,
            position: None,
            error: None,
        },
    };
    let both = |(place, operation): (usize, &Operation<M>)| {
        let (end, answer) = match &operation.outcome {
            Outcome::Answered { answer, .. } => (EventType::Ok, Value::String(words(answer))),
            Outcome::Done { .. } => (EventType::Ok, Value::Null),
            Outcome::Failed { .. } => (EventType::Fail, Value::Null),
            Outcome::Unknown => (EventType::Info, Value::Null),
        };
        let (invoked, f) = (operation.invoked, words(&operation.op));
        let ended = operation.completed().unwrap_or(invoked);
        [
            event(place, EventType::Invoke, invoked, f, Value::Null),
            event(place, end, ended, Text::default(), answer),
        ]
    };
    Recording {
        name: String::new(),
        format: Format::Jsonl,
        format_reason: "it was never written",
        events: operations.iter().enumerate().flat_map(both).collect(),
        is_closed: false,
        warnings: Vec::new(),
    }
}

/// The events of an operation: an unknown outcome completes nothing.
fn pair<M: Model>(place: usize, operation: &Operation<M>) -> Pair {
    let invoked =
        u32::try_from(place * 2).expect("a history of four billion events does not fit in memory");
    let completed = operation.completed().and_then(|_| NonZeroU32::new(invoked + 1));
    Pair { invoked, completed }
}
