//! The page of a run: its verdict in plain words, what its clients felt and when faults were in force
//! over one common time, and the witness of a violation.
//!
//! The charts are drawn of a few hundred spans of time, however long the run; the witness shows the
//! operations around its core. So a page stays small.

mod series;

use std::time::Duration;

use checker::check::{Options, PartitionKeys};
use checker::explain::Explanation;
use checker::history::operations;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use crate::judgement::{Evidence, Judgement, RunVerdict, Searched};
use crate::nemesis::Counts;
use crate::remarks::{Inflicted, Inflicting, inflicted};
use series::Series;

use super::{Data, PageError, SCRIPT, STYLE, TIMELINE, core_of};

const TEMPLATE: &str = include_str!("run.html");
const RUN_STYLE: &str = include_str!("run.css");
const RUN_SCRIPT: &str = include_str!("run.js");
/// The charts' library; its folder says where it is from.
const CHART_STYLE: &str = include_str!("uplot-1.6.32/uPlot.min.css");
const CHART_SCRIPT: &str = include_str!("uplot-1.6.32/uPlot.iife.min.js");

/// How many operations around a core are shown: more than anybody looks at, and a megabyte.
const WITNESS_MAX: usize = 10_000;

/// What the script draws. Times are in seconds.
#[derive(Debug, Default, Serialize)]
struct Storm {
    duration: f64,
    faults: Vec<Band>,
    reigns: Vec<ReignSpan>,
    series: Series,
}

/// A fault that was in force, or may have been.
#[derive(Debug, Serialize)]
struct Band {
    family: String,
    label: String,
    is_certain: bool,
    from: f64,
    until: Option<f64>,
}

/// From when on who led.
#[derive(Debug, Serialize)]
struct ReignSpan {
    at: f64,
    node: Option<String>,
    term: Option<u64>,
}

/// Renders the page of a run.
///
/// # Errors
/// When the report is not on this history.
pub fn run_page(
    name: &str,
    judgement: &Judgement,
    evidence: &Evidence,
    searched: Option<&Searched>,
    explanation: Option<&Explanation>,
) -> Result<String, PageError> {
    let storm = searched.map(|searched| Storm::of(judgement, searched)).transpose()?;
    let witness = match (searched, explanation) {
        (Some(searched), Some(explanation)) => Some(witness(evidence, searched, explanation)?),
        _ => None,
    };
    let (timeline, is_part) = witness.unzip();
    let observed = &judgement.observed;
    let rows = observed.operations.iter().map(|(f, tally)| {
        let (ok, refused, fail, info) = (tally.ok, tally.refused, tally.fail, tally.info);
        context! { f, ok, refused, fail, info }
    });
    let faults = observed.faults.iter().map(|(family, counts)| {
        let Counts { installed, skipped, indeterminate } = counts;
        context! { family => family.name(), installed, skipped, indeterminate }
    });
    let span = |span: Duration| format!("{:.1} s", span.as_secs_f64());
    let mut environment = Environment::new();
    environment.add_template("run.html", TEMPLATE)?;
    Ok(environment.get_template("run.html")?.render(context! {
        name,
        verdict => judgement.verdict.to_string().to_lowercase(),
        class => class(judgement.verdict),
        sentence => sentence(judgement, explanation),
        plan => describe_plan(evidence),
        plan_text => evidence.plan.print().unwrap_or_default(),
        report => judgement.describe(),
        checks => describe_checks(judgement),
        operations => rows.collect::<Vec<_>>(),
        faults => faults.collect::<Vec<_>>(),
        elections => observed.elections,
        snapshots => observed.describe_snapshots(),
        leader_hits => observed.leader_hits,
        recovered => observed.recovered_after.map_or("not seen".into(), span),
        explanation => explanation.map(Explanation::to_string),
        is_part => is_part.flatten(),
        timeline => timeline.map(|data| Value::from_serialize(&data)),
        storm => Value::from_serialize(storm.unwrap_or_default()),
        stage => TIMELINE,
        style => STYLE,
        run_style => RUN_STYLE,
        chart_style => CHART_STYLE,
        script => SCRIPT,
        run_script => RUN_SCRIPT,
        chart_script => CHART_SCRIPT,
    })?)
}

fn class(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass => "pass",
        RunVerdict::Unknown | RunVerdict::HarnessFailure => "unknown",
        RunVerdict::Violation => "violation",
    }
}

/// Says the verdict in plain words.
fn sentence(judgement: &Judgement, explanation: Option<&Explanation>) -> String {
    let observed = &judgement.observed;
    let installed: usize = observed.faults.values().map(|counts| counts.installed).sum();
    let reasons = || {
        let worst = judgement.checks.iter().filter(|check| check.verdict == judgement.verdict);
        let reasons = worst.map(|check| check.summary.lines().next().unwrap_or_default());
        reasons.collect::<Vec<_>>().join("; ")
    };
    match judgement.verdict {
        RunVerdict::Pass => {
            let done: u64 = observed.operations.values().map(|tally| tally.ok).sum();
            format!(
                "The system kept its promise: {done} operations through {installed} faults and \
                 {} elections, and all that its clients saw has an explanation.",
                observed.elections
            )
        }
        RunVerdict::Violation => {
            let why = explanation.map_or_else(reasons, |it| it.sentence.clone());
            format!("The system broke its promise: {why}")
        }
        RunVerdict::Unknown => format!("Nobody can tell: {}", reasons()),
        RunVerdict::HarnessFailure => {
            format!(
                "The harness failed, and what it saw until then broke no promise: {}",
                reasons()
            )
        }
    }
}

fn describe_plan(evidence: &Evidence) -> String {
    let plan = &evidence.plan;
    format!(
        "{} nodes of {}, {} clients, workload {}, {} of storm, seed {}",
        plan.nodes,
        plan.system,
        plan.concurrency,
        plan.workload.name,
        humantime::format_duration(plan.time_limit),
        plan.seed,
    )
}

fn describe_checks(judgement: &Judgement) -> Vec<Value> {
    let describe = |check: &crate::judgement::Check| {
        let (class, mark) = match check.verdict {
            RunVerdict::Pass => ("good", "✓"),
            RunVerdict::Violation => ("bad", "✗"),
            RunVerdict::Unknown | RunVerdict::HarnessFailure => ("open", "?"),
        };
        let summary = check.summary.lines().next().unwrap_or_default();
        context! { name => check.name, class, mark, summary }
    };
    judgement.checks.iter().map(describe).collect()
}

/// Returns the timeline around a core, and if it is not of the whole history, says so.
fn witness(
    evidence: &Evidence,
    searched: &Searched,
    explanation: &Explanation,
) -> Result<(Data, Option<String>), PageError> {
    let Searched { recording, report } = searched;
    let operations = operations(recording).map_err(checker::check::CheckError::from)?;
    let options = Options { model: Some(evidence.workload.model()), ..Options::default() };
    let keys = PartitionKeys::of(recording, &operations, &options, report.model)?;
    let core = core_of(explanation);
    let key = core.first().map(|&(index, _)| keys.index(index));
    let of_key = (0..operations.list.len()).filter(|&index| Some(keys.index(index)) == key);
    let shown = around(of_key.collect(), core.iter().map(|&(index, _)| index), WITNESS_MAX);
    let count = operations.list.len();
    let is_part = (shown.len() < count)
        .then(|| format!("{} of {count} operations: those about the same object", shown.len()));
    let data = Data::of(recording, &operations, &keys, report, Some(explanation), &shown);
    Ok((data, is_part))
}

/// Returns at most so many of `all`, which is sorted: those of the core, and then its neighbours.
fn around(all: Vec<usize>, core: impl Iterator<Item = usize>, max: usize) -> Vec<usize> {
    if all.len() <= max {
        return all;
    }
    let mut core: Vec<usize> = core.filter_map(|index| all.binary_search(&index).ok()).collect();
    core.sort_unstable();
    core.truncate(max);
    let (Some(&first), Some(&last)) = (core.first(), core.last()) else {
        return all[..max].to_vec();
    };
    let room = max.saturating_sub(last - first + 1);
    let mut shown: Vec<usize> = if room > 0 {
        let from = first.saturating_sub(room / 2).min(all.len() - max);
        (from..from + max).collect()
    } else {
        // It is too far apart: its beginning, and each of its operations wherever it is.
        let beginning = (first..last).filter(|place| core.binary_search(place).is_err());
        beginning.take(max - core.len()).chain(core.iter().copied()).collect()
    };
    shown.sort_unstable();
    shown.into_iter().map(|place| all[place]).collect()
}

impl Storm {
    fn of(judgement: &Judgement, searched: &Searched) -> Result<Self, PageError> {
        let operations =
            operations(&searched.recording).map_err(checker::check::CheckError::from)?;
        let events = searched.recording.events.iter();
        let last = events.filter_map(|recorded| recorded.event.time).max().unwrap_or(0);
        let reign = |reign: &crate::judgement::Reign| ReignSpan {
            at: reign.at.as_secs_f64(),
            node: reign.leader.map(|leader| leader.node.to_string()),
            term: reign.leader.map(|leader| leader.term),
        };
        Ok(Self {
            duration: seconds(last),
            faults: inflicted(&searched.recording).iter().filter_map(Band::of).collect(),
            reigns: judgement.observed.reigns.iter().map(reign).collect(),
            series: Series::of(&operations.list, last),
        })
    }
}

impl Band {
    fn of(fault: &Inflicted) -> Option<Self> {
        let nodes = fault.nodes.join(" ");
        let label = if nodes.is_empty() {
            fault.fault.clone()
        } else {
            format!("{} ({nodes})", fault.fault)
        };
        (fault.result != Inflicting::Skipped).then(|| Self {
            family: fault.family.clone(),
            label,
            is_certain: fault.result == Inflicting::Installed,
            from: seconds(fault.from),
            until: fault.until.map(seconds),
        })
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[cfg(test)]
mod tests;
