//! Judging a recording: options, partitions, and the report.

mod judge;
mod options;
mod report;
mod witness;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde_json::Value;

pub use options::{FailedCas, NilRead, Options, initial_from};
pub use report::{Counts, PartitionReport, Report};

use crate::history::{Operations, ReadError, Recording, StructureError, Warning, operations};
use crate::model::kv::{self, Key};
use crate::model::ledger::{self, Book};
use crate::model::multi_register::{self, Registers};
use crate::model::mutex::{self, Mutex};
use crate::model::register::{self, Keys, Register};
use crate::model::{Guess, ModelName, Reader, Scalar, guess};
use crate::verdict::{Unknown, Verdict};

use judge::{Case, judge};

/// Why a recording could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its events do not make up operations, or the model cannot make sense of one.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The model could not be told from the functions in the history.
    #[error(
        "{name}:1:1: no one model fits the functions [{functions}]; name one with --model: {choices}"
    )]
    NoModel {
        /// The recording's name.
        name: String,
        /// The functions that it names.
        functions: String,
        /// The models to choose from.
        choices: String,
    },
    /// The initial value is none that the model can begin with.
    #[error("the model {model} cannot begin with {value}; {remedy}")]
    Initial {
        /// The model.
        model: ModelName,
        /// The value.
        value: Value,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// The longest time limit: as good as none, and no clock is too small for it.
const TIME_LIMIT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Judges a recording.
///
/// A history in which nothing was answered would pass whatever the system did, so it is `Unknown`.
/// The one exception is a recording that is whole by its own form (EDN in a vector or list that is
/// closed) and holds no operation at all: that nobody asked anything is then what it says.
pub fn check(recording: &Recording, options: &Options) -> Result<Report, CheckError> {
    let started = Instant::now();
    let operations = operations(recording)?;
    let model = choose_model(recording, &operations, options)?;
    let case = Case {
        recording,
        operations: &operations,
        options,
        deadline: started + options.time_limit.min(TIME_LIMIT_MAX),
    };
    let reader = Reader { nil_read: options.nil_read, failed_cas: options.failed_cas };
    let initial = initial_value(model.model, options)?;
    let partitions = match model.model {
        ModelName::Register | ModelName::CasRegister | ModelName::KvRegister => {
            let keys =
                if model.model == ModelName::KvRegister { Keys::Demanded } else { Keys::InEvent };
            let has_cas = model.model != ModelName::Register;
            let initial = Register(scalar(model.model, &initial)?);
            judge(
                &case,
                |_| initial.clone(),
                |operation| register::read(operation, &reader, keys, has_cas),
            )?
        }
        ModelName::MultiRegister => {
            let initial = registers(&initial)?;
            judge(&case, |_| initial.clone(), |operation| multi_register::read(operation, &reader))?
        }
        ModelName::Kv | ModelName::KvAppend => {
            let initial = match scalar(model.model, &initial)? {
                initial @ (Scalar::Nil | Scalar::Text(_)) => Key(initial),
                _ => {
                    return Err(no_initial(
                        model.model,
                        &initial,
                        "give a string, or nil for no value",
                    ));
                }
            };
            judge(&case, |_| initial.clone(), |operation| kv::read(operation, &reader))?
        }
        ModelName::Mutex => {
            let initial = match &initial {
                Value::Null | Value::Bool(false) => Mutex { is_held: false },
                Value::Bool(true) => Mutex { is_held: true },
                other => {
                    return Err(no_initial(
                        model.model,
                        other,
                        "give false for free or true for held",
                    ));
                }
            };
            judge(&case, |_| initial.clone(), mutex::read)?
        }
        ModelName::Ledger if initial != Value::Null => {
            return Err(no_initial(
                model.model,
                &initial,
                "leave out --initial: a book begins empty",
            ));
        }
        ModelName::Ledger => judge(&case, |key| Book::new(key.unwrap_or_default()), ledger::read)?,
    };
    let verdict = partitions
        .iter()
        .map(|partition| partition.verdict.clone())
        .fold(Verdict::Linearizable, Verdict::worst);
    let is_answered = partitions.iter().any(|partition| partition.answered > 0);
    let mut warnings = recording.warnings.clone();
    warnings.extend(operations.warnings.iter().cloned());
    let verdict = match verdict {
        _ if recording.events.is_empty() => Verdict::Unknown { why: Unknown::Empty },
        Verdict::Linearizable if !is_answered => {
            if operations.list.is_empty() && recording.is_closed {
                warnings.push(Warning { line: 1, message: NOTHING_ASKED.to_owned() });
                Verdict::Linearizable
            } else {
                Verdict::Unknown { why: Unknown::NothingAnswered }
            }
        }
        verdict => verdict,
    };
    Ok(Report {
        name: recording.name.clone(),
        format: recording.format,
        format_reason: recording.format_reason,
        model: model.model,
        model_reason: model.reason,
        assumptions: options::describe_assumptions(model.model, &initial, options, &operations),
        order: operations.order,
        counts: Counts::of(&operations.list),
        partitions,
        verdict,
        warnings,
        elapsed: started.elapsed(),
    })
}

fn choose_model(
    recording: &Recording,
    operations: &Operations,
    options: &Options,
) -> Result<Guess, CheckError> {
    if let Some(model) = options.model {
        return Ok(Guess { model, reason: "the caller said so".to_owned() });
    }
    guess(&operations.list).map_err(|no_guess| CheckError::NoModel {
        name: recording.name.clone(),
        functions: no_guess.functions,
        choices: ModelName::choices(),
    })
}

/// The value that the caller gave, or else the one with which the model begins.
fn initial_value(model: ModelName, options: &Options) -> Result<Value, CheckError> {
    Ok(match (&options.initial, model) {
        (Some(initial), _) => initial.clone(),
        (None, ModelName::KvAppend) => Value::String(String::new()),
        (None, _) => Value::Null,
    })
}

fn no_initial(model: ModelName, value: &Value, remedy: &'static str) -> CheckError {
    CheckError::Initial { model, value: value.clone(), remedy }
}

fn scalar(model: ModelName, value: &Value) -> Result<Scalar, CheckError> {
    Scalar::read(value)
        .ok_or_else(|| no_initial(model, value, "give a string, an integer, true, false or nil"))
}

/// One value for all registers, or a map with those that differ from nil.
fn registers(value: &Value) -> Result<Registers, CheckError> {
    let Value::Object(map) = value else {
        return Ok(Registers {
            initial: scalar(ModelName::MultiRegister, value)?,
            values: Default::default(),
        });
    };
    let mut values = std::collections::BTreeMap::new();
    for (key, value) in map {
        let value = scalar(ModelName::MultiRegister, value)?;
        if value != Scalar::Nil {
            values.insert(key.as_str().into(), value);
        }
    }
    Ok(Registers { initial: Scalar::Nil, values })
}

/// The warning about a history that says itself that it is whole, and that nobody asked anything.
const NOTHING_ASKED: &str = "the recording is whole, and no client invoked anything in it: it passes for want of operations";
