//! The report: the verdict and all that one must know to believe it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::engine::EngineName;
use crate::history::{Format, Order, Pairing, Tally, Warning};
use crate::model::ModelName;
use crate::verdict::{Reached, Unknown, Verdict, Witness};

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

impl Counts {
    /// Counts operations.
    pub(super) fn of(operations: &Pairing<'_>) -> Self {
        let Tally { ok, fail, .. } = operations.tally;
        Self { ok, fail, info: operations.len() - ok - fail }
    }
}

/// One partition and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionReport {
    /// The key; none if the history was judged whole.
    pub key: Option<String>,
    /// Its operations.
    pub operations: usize,
    /// Those of them whose answers say something.
    pub answered: usize,
    /// Its verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The engine that judged it.
    pub engine: EngineName,
    /// Why that one.
    pub engine_reason: String,
    /// If it is linearizable, an order that shows it: operations by their places among the
    /// recording's. Those of unknown outcome that it leaves out took no effect; those that change
    /// nothing and of which no answer is known may stand anywhere.
    #[serde(skip)]
    pub linearization: Option<Vec<usize>>,
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

impl Report {
    /// Renders the report for a human, without warnings: those go elsewhere.
    #[must_use]
    pub fn describe(&self) -> String {
        self.to_string()
    }

    /// Counts the partitions that each engine judged, and why, the first reason of many; the most
    /// frequent engine first.
    fn engines(&self) -> Vec<(usize, EngineName, &str)> {
        let mut engines: Vec<(usize, EngineName, &str)> = Vec::new();
        for partition in &self.partitions {
            let is_it =
                |(_, engine, _): &&mut (usize, EngineName, &str)| *engine == partition.engine;
            match engines.iter_mut().find(is_it) {
                Some((count, _, _)) => *count += 1,
                None => engines.push((1, partition.engine, &partition.engine_reason)),
            }
        }
        engines.sort_by_key(|(count, _, _)| std::cmp::Reverse(*count));
        engines
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { ok, fail, info } = self.counts;
        let verdict = match &self.verdict {
            Verdict::Linearizable => "linearizable",
            Verdict::Violation { .. } => "NOT linearizable",
            Verdict::Unknown { .. } => "unknown",
        };
        writeln!(out, "{}: {verdict}", self.name)?;
        match &self.verdict {
            Verdict::Linearizable => {}
            Verdict::Violation { witness } => describe_witness(out, witness)?,
            Verdict::Unknown { why } => writeln!(out, "  {}", describe_unknown(why))?,
        }
        let violated = self
            .partitions
            .iter()
            .filter(|partition| matches!(partition.verdict, Verdict::Violation { .. }))
            .count();
        if violated > 1 {
            writeln!(
                out,
                "  {violated} of {} partitions are not linearizable; the earliest violation is shown",
                self.partitions.len()
            )?;
        }
        writeln!(
            out,
            "  operations: {ok} ok, {fail} fail, {info} info; partitions: {}; judged in {:.3?}",
            self.partitions.len(),
            self.elapsed
        )?;
        writeln!(out, "  format: {} ({})", self.format, self.format_reason)?;
        writeln!(out, "  model: {} ({})", self.model, self.model_reason)?;
        for (count, engine, reason) in self.engines() {
            let of = match (count, self.partitions.len()) {
                (_, 1) => String::new(),
                (count, all) => format!(" for {count} of {all} partitions"),
            };
            writeln!(out, "  engine: {engine}{of} ({reason})")?;
        }
        for assumption in &self.assumptions {
            writeln!(out, "  assumed: {assumption}")?;
        }
        Ok(())
    }
}

fn describe_witness(out: &mut fmt::Formatter<'_>, witness: &Witness) -> fmt::Result {
    let which = match witness.shortest {
        true => "the shortest prefix that is not linearizable",
        false => {
            "knowing all the later lines (there was no time to do without), the prefix that cannot be explained"
        }
    };
    let of = witness.key.as_ref().map(|key| format!(" of {key:?}")).unwrap_or_default();
    let line = witness.end.completed_line.unwrap_or(witness.end.invoked_line);
    writeln!(out, "  {which}{of} ends at line {line}, after {} completions:", witness.completions)?;
    writeln!(out, "    {}", witness.end)?;
    if !witness.unordered.is_empty() {
        writeln!(out, "  operations that cannot be ordered:")?;
        for operation in &witness.unordered {
            writeln!(out, "    {operation}")?;
        }
    }
    if !witness.maybe.is_empty() {
        writeln!(out, "  whether or not any of these of unknown outcome took effect:")?;
        for operation in &witness.maybe {
            writeln!(out, "    {operation}")?;
        }
    }
    for dead_end in &witness.dead_ends {
        writeln!(out, "  a legal order comes as far as: {}", dead_end.state)?;
    }
    if let Some(dead_end) = witness.dead_ends.first().filter(|dead_end| !dead_end.last.is_empty()) {
        writeln!(out, "  the first of these after, the latest last:")?;
        for operation in &dead_end.last {
            writeln!(out, "    {operation}")?;
        }
    }
    Ok(())
}

fn describe_unknown(why: &Unknown) -> String {
    match why {
        Unknown::Time { reached } => {
            format!("the time limit was reached: {}; raise --time-limit", describe_reached(reached))
        }
        Unknown::Memory { reached } => format!(
            "the memory limit was reached: {}; raise --memory-limit",
            describe_reached(reached)
        ),
        Unknown::Empty => "it holds no event, so there is nothing to judge".to_owned(),
        Unknown::NothingAnswered => {
            "no operation in it was answered, so whatever the system did would pass".to_owned()
        }
        Unknown::Unfit { engine, why } => {
            format!("the engine {engine} cannot judge it: {why}; leave out --engine")
        }
        Unknown::SelfCheck => {
            "the search found an order that its own replay refused: this is a defect of the checker"
                .to_owned()
        }
    }
}

fn describe_reached(reached: &Reached) -> String {
    let mut text = format!(
        "{} of {} completions were explained",
        reached.completions, reached.completions_total
    );
    if let Some(partition) = &reached.partition {
        _ = write!(text, " of {partition:?}");
    }
    _ = write!(text, ", up to line {}, in {} configurations", reached.line, reached.configurations);
    text
}
