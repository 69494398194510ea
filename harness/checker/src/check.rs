//! Judging a recording: options, partitions, and the report.

pub(crate) mod dispatch;
mod judge;
mod keys;
mod options;
pub mod own;
mod pool;
mod report;
mod witness;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use keys::PartitionKeys;
pub use options::{FailedCas, NilRead, Options, initial_from};
pub use report::{Counts, PartitionReport, Report};

use crate::history::{Pairing, ReadError, Recording, StructureError, Value, Warning, operations};
use crate::model::{Guess, Model, ModelName, guess};
use crate::stream::Alarm;
use crate::verdict::{Unknown, Verdict};

use dispatch::{Subject, Visitor, dispatch, initial_value};
use judge::{Case, judge};
pub(crate) use judge::{Cut, read_all};
pub(crate) use witness::sighting;

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
pub(crate) const TIME_LIMIT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Judges a recording.
///
/// A history in which nothing was answered would pass whatever the system did, so it is `Unknown`.
/// The one exception is a recording that is whole by its own form (EDN in a vector or list that is
/// closed) and holds no operation at all: that nobody asked anything is then what it says.
pub fn check(recording: &Recording, options: &Options) -> Result<Report, CheckError> {
    let started = Instant::now();
    let operations = Pairing::of(recording)?;
    let model = choose_model(recording, &operations, options)?;
    let case = Case {
        recording,
        operations: &operations,
        options,
        deadline: started + options.time_limit.min(TIME_LIMIT_MAX),
    };
    let initial = initial_value(model.model, options);
    let partitions = dispatch(model.model, options, Judging(&case))??;
    let verdict = compose(recording, &partitions);
    let mut warnings = recording.warnings.clone();
    warnings.extend(operations.warnings.iter().cloned());
    if partitions.is_empty() && verdict == Verdict::Linearizable {
        warnings.push(Warning { line: 1, message: NOTHING_ASKED.to_owned() });
    }
    Ok(Report {
        name: recording.name.clone(),
        format: recording.format,
        format_reason: recording.format_reason,
        model: model.model,
        model_reason: model.reason,
        assumptions: options::describe_assumptions(model.model, &initial, options, &operations),
        order: operations.order,
        counts: Counts::of(&operations),
        partitions,
        verdict,
        warnings,
        elapsed: started.elapsed(),
    })
}

/// Has a report say that a stream found a violation, where the judging of the whole came to no end:
/// an alarm is certain. The report stays as it is if it has a verdict of its own.
///
/// # Errors
/// When the recording is not the report's.
pub fn alarmed(
    mut report: Report,
    recording: &Recording,
    options: &Options,
    alarm: &Alarm,
) -> Result<Report, CheckError> {
    if !matches!(report.verdict, Verdict::Unknown { .. }) {
        return Ok(report);
    }
    let operations = operations(recording)?;
    let keys = PartitionKeys::of(recording, &operations, options, report.model)?;
    let witness = witness::of_alarm(recording, &operations, &keys, alarm);
    let verdict = Verdict::Violation { witness: Box::new(witness) };
    let alarming = report.partitions.iter_mut().find(|partition| partition.key == alarm.key);
    if let Some(partition) = alarming {
        partition.verdict = verdict.clone();
    }
    report.verdict = verdict;
    Ok(report)
}

/// Composes the verdict on the whole.
fn compose(recording: &Recording, partitions: &[PartitionReport]) -> Verdict {
    if recording.events.is_empty() {
        return Verdict::Unknown { why: Unknown::Empty };
    }
    let verdicts = partitions.iter().map(|partition| partition.verdict.clone());
    let is_answered = partitions.iter().any(|partition| partition.answered > 0);
    let is_whole_and_empty = partitions.is_empty() && recording.is_closed;
    match verdicts.fold(Verdict::Linearizable, Verdict::worst) {
        Verdict::Linearizable if !is_answered && !is_whole_and_empty => {
            Verdict::Unknown { why: Unknown::NothingAnswered }
        }
        verdict => verdict,
    }
}

fn choose_model(
    recording: &Recording,
    operations: &Pairing<'_>,
    options: &Options,
) -> Result<Guess, CheckError> {
    if let Some(model) = options.model {
        return Ok(Guess { model, reason: "the caller said so".to_owned() });
    }
    guess(operations.iter()).map_err(|no_guess| CheckError::NoModel {
        name: recording.name.clone(),
        functions: no_guess.functions,
        choices: ModelName::choices(),
    })
}

/// Judging, as what is done for every model.
struct Judging<'a>(&'a Case<'a>);

impl Visitor for Judging<'_> {
    type Output = Result<Vec<PartitionReport>, StructureError>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        judge(self.0, subject)
    }
}

/// The warning about a history that says itself that it is whole, and that nobody asked anything.
const NOTHING_ASKED: &str = "the recording is whole, and no client invoked anything in it: it passes for want of operations";
