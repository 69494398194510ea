//! The judgement on a run: what every checker found, composed into one verdict.
//!
//! Verdicts compose as a lattice: a violation outweighs a failure of the harness, which outweighs
//! unknown, which outweighs a pass. A run that proves nothing is not a pass: faults that never bit,
//! or an operation that never once did what it is for, make it unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

use checker::check::{CheckError, Options, Report, check};
use checker::history::{self, ReadError, StructureError};
use checker::verdict::{RANK_HARNESS_FAILURE, Verdict};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::Rivals;
use crate::conservation::Finding;
use crate::fault::Family;
use crate::load::Tally;
use crate::nemesis::Counts;
use crate::plan::Plan;
use crate::process::UnexpectedExit;
use crate::workload::Workload;

/// The verdict on a run, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunVerdict {
    /// The system kept its promise, through a storm that bit.
    Pass,
    /// Nobody can tell.
    Unknown,
    /// The harness itself failed.
    HarnessFailure,
    /// The system broke its promise.
    Violation,
}

impl RunVerdict {
    /// Returns the exit code of a program that ends with this verdict.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Violation => 1,
            Self::Unknown => 3,
            Self::HarnessFailure => 4,
        }
    }

    /// Returns the verdict of this weight, on the scale of [`Verdict::rank`].
    fn of_rank(rank: u8) -> Self {
        match rank {
            0 => Self::Pass,
            1 => Self::Unknown,
            RANK_HARNESS_FAILURE => Self::HarnessFailure,
            _ => Self::Violation,
        }
    }
}

impl fmt::Display for RunVerdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Pass => "PASS",
            Self::Unknown => "UNKNOWN",
            Self::HarnessFailure => "HARNESS FAILURE",
            Self::Violation => "VIOLATION",
        })
    }
}

/// What was seen of the system during a run, besides the history.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Observed {
    /// How many operations ended how, by function.
    pub operations: BTreeMap<&'static str, Tally>,
    /// How many faults were brought, by family.
    pub faults: BTreeMap<Family, Counts>,
    /// How many terms had a leader.
    pub elections: usize,
    /// How long after the end of the last fault the cluster answered everything again; none if it
    /// did not within the deadline.
    pub recovered_after: Option<Duration>,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_recovered: Option<String>,
    /// Nodes that ended without our doing.
    pub unexpected_exits: Vec<UnexpectedExit>,
    /// Terms that had more than one leader.
    pub rivals: Vec<Rivals>,
}

/// What one checker found.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The checker.
    pub name: &'static str,
    /// Its verdict.
    pub verdict: RunVerdict,
    /// What it has to say, in lines for people.
    pub summary: String,
    /// The checker's own report.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// The judgement on a run. It is what `verdict.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The worst of the checks.
    pub verdict: RunVerdict,
    /// The seed, from which the plan follows.
    pub seed: u64,
    /// What every checker found.
    pub checks: Vec<Check>,
    /// What was seen of the system.
    #[serde(flatten)]
    pub observed: Observed,
}

/// The history could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its events make no sense together.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The model could not make sense of it.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Judges a run by its history and by what was seen of the system.
pub fn judge(
    plan: &Plan,
    workload: &dyn Workload,
    history: &Path,
    observed: Observed,
) -> Result<Judgement, JudgeError> {
    let recording = history::read(history, None)?;
    let operations = history::operations(&recording)?;
    let options = Options { model: Some(workload.model()), ..Options::default() };
    let report = check(&recording, &options)?;

    let mut checks = vec![describe_linearizability(&report)];
    let findings = workload.judge(&operations).into_iter();
    checks.extend(findings.map(|(name, finding)| describe_finding(name, &finding)));
    checks.push(check_recovery(&observed));
    checks.push(check_nodes(&observed));
    checks.push(check_coverage(plan, workload, &observed));

    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(RunVerdict::Unknown);
    Ok(Judgement { verdict, seed: plan.seed.number(), checks, observed })
}

fn describe_linearizability(report: &Report) -> Check {
    Check {
        name: "linearizability",
        verdict: RunVerdict::of_rank(report.verdict.rank()),
        summary: match &report.verdict {
            Verdict::Linearizable => format!(
                "linearizable by the {} model ({} operations in {} partitions, {:.1} s)",
                report.model.name(),
                report.counts.ok + report.counts.info,
                report.partitions.len(),
                report.elapsed.as_secs_f64(),
            ),
            Verdict::Violation { .. } | Verdict::Unknown { .. } => report.describe(),
        },
        details: to_json(report),
    }
}

fn describe_finding(name: &'static str, finding: &Finding) -> Check {
    Check {
        name,
        verdict: RunVerdict::of_rank(finding.rank()),
        summary: match finding {
            Finding::Pass => "every rule holds".into(),
            Finding::Violation { breach } => breach.to_string(),
            Finding::Unknown { why } => why.clone(),
        },
        details: to_json(finding),
    }
}

/// A cluster that stays away when nothing hinders it any more has broken its promise.
fn check_recovery(observed: &Observed) -> Check {
    let (verdict, summary) = match (&observed.not_recovered, observed.recovered_after) {
        (None, Some(after)) => {
            let after = after.as_secs_f64();
            (RunVerdict::Pass, format!("everything answered {after:.1} s after the storm"))
        }
        (Some(why), _) => (RunVerdict::Violation, why.clone()),
        (None, None) => (RunVerdict::Unknown, "the run ended before its storm did".into()),
    };
    Check { name: "recovery", verdict, summary, details: Value::Null }
}

/// A node never ends by itself, and no term has two leaders.
fn check_nodes(observed: &Observed) -> Check {
    let exits = observed.unexpected_exits.iter();
    let exits = exits.map(|it| format!("{} ended by itself ({})", it.node, it.exit));
    let rivals = observed.rivals.iter();
    let rivals = rivals.map(|it| format!("term {} had {} leaders", it.term, it.nodes.len()));
    let findings: Vec<String> = exits.chain(rivals).collect();
    let (verdict, summary) = match findings.as_slice() {
        [] => (RunVerdict::Pass, "none ended by itself, no term had two leaders".into()),
        findings => (RunVerdict::Violation, findings.join("; ")),
    };
    Check { name: "nodes", verdict, summary, details: Value::Null }
}

/// A storm that did not bite, or a load that did nothing, proves nothing.
fn check_coverage(plan: &Plan, workload: &dyn Workload, observed: &Observed) -> Check {
    let mut gaps = vec![];
    let asked = plan.schedule.iter().flatten().map(|scheduled| scheduled.fault.family());
    for family in asked.collect::<BTreeSet<_>>() {
        let counts = observed.faults.get(&family).copied().unwrap_or_default();
        if counts.installed == 0 {
            gaps.push(format!("the storm did not bite: no {family} took effect"));
        }
    }
    for f in workload.functions() {
        let tally = observed.operations.get(f).copied().unwrap_or_default();
        if tally.ok == tally.refused {
            gaps.push(format!("no {f} ever succeeded"));
        }
    }
    let verdict = if gaps.is_empty() { RunVerdict::Pass } else { RunVerdict::Unknown };
    let summary = match gaps.is_empty() {
        true => "every kind of fault took effect and every kind of operation succeeded".into(),
        false => gaps.join("; "),
    };
    Check { name: "coverage", verdict, summary, details: Value::Null }
}

fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a report has string keys and finite numbers")
}

impl Judgement {
    /// Renders the judgement for people: verdict first, then what it rests on.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("{}\n", self.verdict);
        for check in &self.checks {
            let mut lines = check.summary.lines();
            let first = lines.next().unwrap_or_default();
            let mark = if check.verdict == RunVerdict::Pass { "ok" } else { "!!" };
            let _ = writeln!(text, "  {mark} {:<16} {first}", check.name);
            for line in lines {
                let _ = writeln!(text, "     {line}");
            }
        }
        let _ = writeln!(
            text,
            "\n  {:<12} {:>8} {:>8} {:>8} {:>8}",
            "operation", "ok", "refused", "fail", "info"
        );
        for (f, tally) in &self.observed.operations {
            let Tally { ok, refused, fail, info } = tally;
            let _ = writeln!(text, "  {f:<12} {ok:>8} {refused:>8} {fail:>8} {info:>8}");
        }
        let _ = writeln!(
            text,
            "\n  {:<12} {:>9} {:>8} {:>13}",
            "fault", "installed", "skipped", "indeterminate"
        );
        for (family, counts) in &self.observed.faults {
            let Counts { installed, skipped, indeterminate } = counts;
            let _ =
                writeln!(text, "  {family:<12} {installed:>9} {skipped:>8} {indeterminate:>13}");
        }
        let _ = writeln!(text, "\n  elections    {:>9}", self.observed.elections);
        text
    }
}
