//! The judgement on a run: what every checker found, composed into one verdict.
//!
//! Verdicts compose as a lattice: a violation outweighs a failure of the harness, which outweighs
//! unknown, which outweighs a pass. A run that proves nothing is not a pass: faults that never bit,
//! or an operation that never once did what it is for, make it unknown.

mod coverage;
mod remains;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checker::check::{CheckError, Options, Report, check};
use checker::history::{self, Format, Recording};
use checker::verdict::{RANK_HARNESS_FAILURE, Verdict};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::{Audit, Finding};
use crate::availability::{self, Terms};
use crate::cluster::{Leadership, Rivals};
use crate::describe_error;
use crate::facts::Facts;
use crate::fault::Family;
use crate::load::Tally;
use crate::nemesis::Counts;
use crate::plan::{Plan, span};
use crate::process::{Exit, UnexpectedExit};
use crate::workload::Workload;
use coverage::check_coverage;

/// The verdict on a run, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// What a run says of itself that somebody interrupted. It came to no end of its own, but nothing broke.
pub(crate) const INTERRUPTED: &str = "the run was interrupted";

/// From when on who led.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reign {
    /// When it was seen to begin, by the clock of the history.
    #[serde(with = "span")]
    pub at: Duration,
    /// Who led; none if nobody was seen to.
    pub leader: Option<Leadership>,
}

/// What was seen of the system during a run, besides the history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// How many operations ended how, by function, in the whole run.
    pub operations: BTreeMap<String, Tally>,
    /// The same of the storm alone: what is done before and read after it succeeds without it.
    pub storm_operations: BTreeMap<String, Tally>,
    /// How many faults were brought, by family.
    pub faults: BTreeMap<Family, Counts>,
    /// The families of fault that this machine has no means for, and what is the matter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lacking: BTreeMap<Family, String>,
    /// How many faults hit the node that led.
    pub leader_hits: usize,
    /// Why it is not certain that a fault was undone.
    pub fault_troubles: Vec<String>,
    /// How many terms had a leader.
    pub elections: usize,
    /// How many snapshots travelled: were sent to a node that lagged too far behind, and installed
    /// there. At least so many were seen; none if the system does not tell.
    pub snapshots: Option<u64>,
    /// Who led from when on.
    pub reigns: Vec<Reign>,
    /// How long after everything had been healed every node was back and every read was answered.
    #[serde(with = "span::optional")]
    pub recovered_after: Option<Duration>,
    /// Why the cluster did not serve though nothing hindered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_recovered: Option<String>,
    /// Why the run was ended before its plan was carried out, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<String>,
    /// What a run that was to end at the first violation could judge in the end only, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unwatched: Vec<String>,
    /// Nodes that ended without our doing.
    pub unexpected_exits: Vec<UnexpectedExit>,
    /// Terms that had more than one leader.
    pub rivals: Vec<Rivals>,
    /// What went wrong with the harness itself.
    pub harness_failures: Vec<String>,
}

impl Observed {
    /// Notes the counts of the whole run.
    pub fn note_operations(&mut self, tallies: BTreeMap<&'static str, Tally>) {
        self.operations = tallies.into_iter().map(|(f, tally)| (f.into(), tally)).collect();
    }

    /// Says how many snapshots travelled.
    #[must_use]
    pub fn describe_snapshots(&self) -> String {
        self.snapshots.map_or("unknown".into(), |count| count.to_string())
    }

    /// Says whether something failed that is not the system's: the harness, or the machine that killed a
    /// node.
    fn is_machine_at_fault(&self) -> bool {
        let is_killed = |it: &UnexpectedExit| is_killed_by_others(it.exit);
        let has_failed = self.harness_failures.iter().any(|why| why != INTERRUPTED);
        has_failed || self.unexpected_exits.iter().any(is_killed)
    }

    /// Notes what the storm added to the counts.
    pub fn note_storm(&mut self, before: &BTreeMap<&'static str, Tally>) {
        self.storm_operations = self.operations.clone();
        for (f, tally) in &mut self.storm_operations {
            *tally -= before.get(f.as_str()).copied().unwrap_or_default();
        }
    }
}

/// What a judgement is made from.
pub struct Evidence {
    /// The settled plan.
    pub plan: Plan,
    /// The workload.
    pub workload: Arc<dyn Workload>,
    /// What was seen of the system.
    pub facts: Facts,
}

/// The history that a judgement was made from, and the checker's report on it.
pub struct Searched {
    /// The history.
    pub recording: Recording,
    /// The report, which the judgement takes into account.
    pub report: Report,
}

/// Why a history has no report.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] history::ReadError),
    /// Nobody can make sense of it.
    #[error(transparent)]
    Check(#[from] CheckError),
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

impl Check {
    /// Takes back that the system broke its promise if all that it did was not to answer: on a machine
    /// that broke, silence proves nothing.
    fn doubt_silence(&mut self) {
        let is_of_silence = matches!(self.name, "availability" | "recovery");
        if is_of_silence && self.verdict == RunVerdict::Violation {
            self.verdict = RunVerdict::Unknown;
            self.summary.insert_str(0, "proves nothing, for the machine or the harness failed: ");
        }
    }
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

/// Judges a run by its history and by what was seen of the system. What cannot be judged is a failure
/// of the harness, and does not hide what the other checks found.
pub fn judge(
    evidence: &Evidence,
    history: PathBuf,
    options: Options,
) -> (Judgement, Result<Searched, HistoryError>) {
    let options = Options { model: Some(evidence.workload.model()), ..options };
    let searched = search(history, &options);
    (conclude(evidence, searched.as_ref()), searched)
}

fn search(history: PathBuf, options: &Options) -> Result<Searched, HistoryError> {
    let recording = history::read(&history, Some(Format::Jsonl))?;
    let report = check(&recording, options)?;
    Ok(Searched { recording, report })
}

/// Judges a run whose history has been searched, or could not be.
pub fn conclude(
    evidence: &Evidence,
    searched: Result<&Searched, &impl std::error::Error>,
) -> Judgement {
    let Evidence { plan, workload, facts } = evidence;
    let mut observed = facts.observed.clone();
    let mut checks = match searched {
        Ok(searched) => {
            if !facts.is_whole {
                remains::fill_in(&mut observed, &searched.recording);
            }
            check_history(evidence, searched)
        }
        Err(error) => vec![unjudged(describe_error(&error))],
    };
    checks.push(check_recovery(&observed));
    checks.push(check_nodes(&observed));
    checks.push(check_coverage(plan, &**workload, &observed));
    if observed.is_machine_at_fault() {
        checks.iter_mut().for_each(Check::doubt_silence);
    }
    let mut failures = observed.harness_failures.clone();
    if !facts.is_whole {
        failures.push("the run did not come to its end: it was killed, or it goes on".into());
    }
    if !failures.is_empty() {
        checks.push(Check {
            name: "harness",
            verdict: RunVerdict::HarnessFailure,
            summary: failures.join("; "),
            details: Value::Null,
        });
    }
    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(RunVerdict::Unknown);
    Judgement { verdict, seed: plan.seed.number(), checks, observed }
}

/// Judges what the clients saw, by the workload's model and by its own rules.
fn check_history(evidence: &Evidence, searched: &Searched) -> Vec<Check> {
    let Evidence { plan, workload, facts } = evidence;
    let Searched { recording, report } = searched;
    let read = recording.events.len() as u64;
    // Of a harness that was killed, the last line may have been cut off in the middle.
    let is_lossy = facts.is_whole && !recording.warnings.is_empty();
    if facts.events.is_some_and(|written| written != read) || is_lossy {
        let written = facts.events.map_or("unknown".into(), |events| events.to_string());
        return vec![unjudged(format!("the history holds {read} events, written: {written}"))];
    }
    let operations = match history::operations(recording) {
        Ok(operations) => operations,
        Err(error) => return vec![unjudged(describe_error(&error))],
    };
    let mut checks = vec![describe_linearizability(report)];
    checks.extend(workload.judge(&operations).iter().map(describe_audit));
    let placements = &plan.client_placements();
    let terms = Terms {
        nodes: plan.nodes,
        deadline: plan.recovery_deadline,
        concurrency: plan.concurrency,
        placements,
    };
    checks.push(describe_audit(&availability::check(recording, terms)));
    checks
}

/// The history could not be judged.
fn unjudged(summary: String) -> Check {
    Check {
        name: "linearizability",
        verdict: RunVerdict::HarnessFailure,
        summary,
        details: Value::Null,
    }
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

fn describe_audit(audit: &Audit) -> Check {
    Check {
        name: audit.name,
        verdict: RunVerdict::of_rank(audit.finding.rank()),
        summary: match &audit.finding {
            Finding::Pass => audit.summary.clone(),
            Finding::Violation { breach } => breach.to_string(),
            Finding::Unknown { why } => why.clone(),
        },
        details: to_json(audit),
    }
}

/// A cluster that stays away when nothing hinders it any more has broken its promise.
fn check_recovery(observed: &Observed) -> Check {
    let (verdict, summary) = match (&observed.not_recovered, observed.recovered_after) {
        (Some(why), _) => (RunVerdict::Violation, why.clone()),
        (None, Some(after)) => {
            let after = after.as_secs_f64();
            let summary = format!("every node was back, every read answered in {after:.1} s");
            (RunVerdict::Pass, summary)
        }
        (None, None) => (RunVerdict::Unknown, "the run ended before that".into()),
    };
    Check { name: "recovery", verdict, summary, details: Value::Null }
}

/// A node never ends by itself, no term has two leaders, and every answer makes sense.
fn check_nodes(observed: &Observed) -> Check {
    let exits = observed.unexpected_exits.iter().map(|it| match it.exit {
        exit if is_killed_by_others(exit) => {
            let why = format!("{} was killed by somebody else, or for want of memory", it.node);
            (RunVerdict::HarnessFailure, why)
        }
        exit => (RunVerdict::Violation, format!("{} ended by itself ({exit})", it.node)),
    });
    let rivals = observed.rivals.iter().map(|it| {
        (RunVerdict::Violation, format!("term {} had {} leaders", it.term, it.nodes.len()))
    });
    let nonsense = observed.operations.iter().filter(|(_, tally)| tally.nonsense > 0);
    let nonsense = nonsense.map(|(f, tally)| {
        let why = format!("{} answers to {f} made no sense; the history has them", tally.nonsense);
        (RunVerdict::Violation, why)
    });
    let findings: Vec<_> = exits.chain(rivals).chain(nonsense).collect();
    let verdict = findings.iter().map(|(verdict, _)| *verdict).max().unwrap_or(RunVerdict::Pass);
    let summary = match findings.as_slice() {
        [] => "none ended by itself, no term had two leaders, every answer made sense".into(),
        findings => findings.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; "),
    };
    Check { name: "nodes", verdict, summary, details: Value::Null }
}

/// Says whether a node was killed, and not by us. It cannot do that to itself by accident; the kernel does it
/// when memory is short.
fn is_killed_by_others(exit: Exit) -> bool {
    exit == Exit::Signal(Signal::SIGKILL as i32)
}

fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a report has string keys and finite numbers")
}

impl Judgement {
    /// Returns the names of the checks that the verdict is by: all that found nothing better.
    #[must_use]
    pub fn judges(&self) -> Vec<&'static str> {
        let worst = self.checks.iter().filter(|check| check.verdict == self.verdict);
        worst.map(|check| check.name).collect()
    }

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
            let Tally { ok, refused, fail, info, .. } = tally;
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
        let _ = writeln!(text, "\n  {:<12} {:>9}", "elections", self.observed.elections);
        let _ = writeln!(text, "  {:<12} {:>9}", "snapshots", self.observed.describe_snapshots());
        for what in &self.observed.unwatched {
            let _ = writeln!(text, "  not watched until the end, but judged: {what}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
