//! The report: the verdict and all that one must know to believe it.

use std::time::Duration;

use serde::Serialize;

use crate::history::{Format, Order, Warning};
use crate::model::ModelName;
use crate::verdict::Verdict;

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Happened.
    pub ok: usize,
    /// Certainly did not happen.
    pub fail: usize,
    /// Unknown, those without a completion among them.
    pub info: usize,
}

/// One partition and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionReport {
    /// The key; none if the history was judged whole.
    pub key: Option<String>,
    /// Its operations.
    pub operations: usize,
    /// Its verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Configurations that the search visited.
    pub configurations: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// The verdict on one recording and all that one must know to believe it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The recording's name.
    pub name: String,
    /// The format it was read in.
    pub format: Format,
    /// Why in that one.
    pub format_reason: &'static str,
    /// The model.
    pub model: ModelName,
    /// Why that one.
    pub model_reason: String,
    /// What was taken for granted, in whole sentences.
    pub assumptions: Vec<String>,
    /// What decided which operation precedes which.
    pub order: Order,
    /// How many operations ended how.
    pub counts: Counts,
    /// The partitions with their verdicts.
    pub partitions: Vec<PartitionReport>,
    /// The verdict on the whole.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the reader should know.
    pub warnings: Vec<Warning>,
    /// How long the judging took.
    pub elapsed: Duration,
}
