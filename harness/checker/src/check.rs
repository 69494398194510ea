//! Judging a recording: options, partitions, and the report.

mod report;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

pub use report::{Counts, PartitionReport, Report};

use crate::history::{ReadError, StructureError};
use crate::model::ModelName;

/// What a read that returned nil saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NilRead {
    /// That there was no value.
    #[default]
    Absent,
    /// Nothing: the recorder kept no value, and the read constrains nothing.
    Unknown,
}

/// What a compare-and-set that completed with `fail` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedCas {
    /// Only that it was not applied.
    #[default]
    Dropped,
    /// That the value was not the expected one.
    Observed,
}

/// How to judge.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model; none to tell it from the functions that the history names.
    pub model: Option<ModelName>,
    /// The value before the first operation, of models that have one; none for the model's own.
    pub initial: Option<Value>,
    /// What a nil read saw.
    pub nil_read: NilRead,
    /// What a failed compare-and-set says.
    pub failed_cas: FailedCas,
    /// When to give up.
    pub time_limit: Duration,
    /// How much memory the search may take, in bytes.
    pub memory_limit: u64,
}

impl Default for Options {
    /// A minute and two gigabytes: what a desk machine can spare while one waits.
    fn default() -> Self {
        Self {
            model: None,
            initial: None,
            nil_read: NilRead::default(),
            failed_cas: FailedCas::default(),
            time_limit: Duration::from_secs(60),
            memory_limit: 2 << 30,
        }
    }
}

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
    #[error("{name}:1:1: no model fits the functions {functions}; name one with --model {choices}")]
    NoModel {
        /// The recording's name.
        name: String,
        /// The functions that it names.
        functions: String,
        /// The models to choose from.
        choices: String,
    },
    /// The initial value is none that the model can begin with.
    #[error("the initial value {value} does not fit the model {model}; {remedy}")]
    Initial {
        /// The value.
        value: Value,
        /// The model.
        model: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// Judges a recording.
pub fn check(recording: &crate::history::Recording, options: &Options) -> Result<Report, CheckError> {
    let _ = (recording, options);
    unimplemented!()
}
