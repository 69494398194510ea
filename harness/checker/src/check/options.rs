//! How to judge, and what is thereby taken for granted.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::EngineName;
use crate::history::{Order, Pairing, Tally, Value};
use crate::model::ModelName;

/// What a read that returned nil saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NilRead {
    /// That there was no value.
    #[default]
    Absent,
    /// Nothing: the recorder kept no value, and the read constrains nothing.
    Unknown,
}

/// What a compare-and-set that completed with `fail` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedCas {
    /// Only that it was not applied.
    #[default]
    Dropped,
    /// That the value was not the expected one.
    Observed,
}

/// How to judge.
///
/// The defaults are the same for every format: where recordings differ, nothing is guessed, and
/// the report says what was assumed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model; none to tell it from the functions that the history names.
    pub model: Option<ModelName>,
    /// The value before the first operation; none for the model's own (nil; for kv-append the
    /// empty string).
    pub initial: Option<Value>,
    /// What a nil read saw.
    pub nil_read: NilRead,
    /// What a failed compare-and-set says.
    pub failed_cas: FailedCas,
    /// The engine; none for the fastest that knows the history, by partition. The verdict of an
    /// engine that does not know the history is unknown: another one is not asked in its place.
    pub engine: Option<EngineName>,
    /// When to give up.
    pub time_limit: Duration,
    /// How much memory the search may take, in bytes.
    pub memory_limit: u64,
    /// How many partitions are judged at once; none for as many as there are processors.
    pub jobs: Option<NonZeroUsize>,
}

impl Default for Options {
    /// A minute and two gigabytes: what a desk machine can spare while one waits.
    fn default() -> Self {
        Self {
            model: None,
            initial: None,
            nil_read: NilRead::default(),
            failed_cas: FailedCas::default(),
            engine: None,
            time_limit: Duration::from_secs(60),
            memory_limit: 2 << 30,
            jobs: None,
        }
    }
}

/// Reads an initial value as users write it: `nil`, JSON such as `0` or `""`, or a bare word.
#[must_use]
pub fn initial_from(text: &str) -> Value {
    match text {
        "nil" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into())),
    }
}

/// Says in sentences what the verdict takes for granted, as far as it matters for this history.
pub(super) fn describe_assumptions(
    model: ModelName,
    initial: &Value,
    options: &Options,
    operations: &Pairing<'_>,
) -> Vec<String> {
    let mut assumptions = Vec::new();
    let initial = if initial.is_null() { "nil".to_owned() } else { initial.to_string() };
    match model {
        ModelName::Register
        | ModelName::CasRegister
        | ModelName::KvRegister
        | ModelName::MultiRegister => {
            assumptions
                .push(format!("before the first operation a register holds {initial} (--initial)"));
        }
        ModelName::Kv | ModelName::KvAppend => {
            assumptions
                .push(format!("before the first operation a key holds {initial} (--initial)"));
        }
        ModelName::Mutex => assumptions
            .push("the lock does not know its holder, and is free at first (--initial)".to_owned()),
        ModelName::Lock => assumptions.push(format!(
            "the lock is held by the process that acquired it, or by the owner that the invocation \
             names, and before the first operation it is {} (--initial)",
            if initial == "nil" { "free" } else { &initial }
        )),
        ModelName::Set
        | ModelName::FifoQueue
        | ModelName::Stack
        | ModelName::PriorityQueue
        | ModelName::AppendList => assumptions.push(format!(
            "before the first operation the {} {} (--initial)",
            model.name().replace('-', " "),
            if initial == "nil" { "is empty".to_owned() } else { format!("holds {initial}") }
        )),
        ModelName::Counter => assumptions.push(format!(
            "before the first operation the counter stands at {} (--initial)",
            if initial == "nil" { "0" } else { &initial }
        )),
        ModelName::Ledger => assumptions.push("a book begins empty".to_owned()),
    }
    let Tally { has_nil_read, has_failed_cas, .. } = operations.tally;
    if has_nil_read {
        assumptions.push(match options.nil_read {
            NilRead::Absent => {
                "a read that returned nil saw that there was no value (--nil-read absent)"
                    .to_owned()
            }
            NilRead::Unknown => {
                "a read that returned nil says nothing (--nil-read unknown)".to_owned()
            }
        });
    }
    if has_failed_cas {
        assumptions.push(match options.failed_cas {
            FailedCas::Dropped => {
                "a failed cas says only that it was not applied (--failed-cas dropped)".to_owned()
            }
            FailedCas::Observed => {
                "a failed cas saw another value than it expected (--failed-cas observed)".to_owned()
            }
        });
    }
    assumptions.push(match operations.order {
        Order::Time => "times decide what precedes what; ties are concurrent".to_owned(),
        Order::Lines => "the order of the lines decides what precedes what".to_owned(),
    });
    assumptions
}
