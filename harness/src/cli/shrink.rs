//! `stormproof shrink`: finds the fewest faults with which a recorded run still fails.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::say::{remark, say};
use super::storm::{EXIT_FAILED, EXIT_UNKNOWN, EXIT_USAGE, Storms, keep, remark_error};
use crate::describe_error;
use crate::judgement::RunVerdict;
use crate::plan::Plan;
use crate::replay::Ending;
use crate::run::{Progress, RunFolder, StormEnd};
use crate::shrink::{Part, ShrinkEnd, ShrinkOptions, Shrunk, Trial, parts, shrink};

/// Find the fewest faults with which a recorded run still fails.
///
/// Runs the recorded plan again and again with faults taken out of its schedule, and keeps what
/// still ends in the same violation, found by the same judge.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShrinkArgs {
    /// The folder of the recorded run, which found a violation
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How often a smaller schedule is tried before it is taken not to fail
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    tries: u64,
    /// When to end with what was found by then
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration)]
    time_limit: Duration,
    /// Where to write the smaller plan [default: shrunk.toml in the run's folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where the folders of the runs are made; only that of the smallest failing one stays
    #[arg(long, value_name = "FOLDER", default_value = "stormproof-runs")]
    store: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  stormproof shrink stormproof-runs/2026-11-21T01-07-45-register-42
  stormproof shrink --tries 5 --time-limit 2h stormproof-runs/…
  stormproof run --plan stormproof-runs/…/shrunk.toml

Exit codes:
  0  a plan that fails was written, as small as it could be made in the time
  2  the folder is not that of a run that found a violation, or the plan could not be written
  3  the recorded plan did not fail again
  4  the harness or the cluster could not be run, or it was interrupted; what had been found was
     written";

/// Shrinks the run's plan and says what it took out.
#[must_use]
pub fn run(args: &ShrinkArgs) -> ExitCode {
    let (original, plan) = match Ending::of_run(&args.run) {
        Ok(recorded) => recorded,
        Err(error) => {
            remark_error(describe_error(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if original.verdict != RunVerdict::Violation {
        remark_error(format_args!("the run ended with {original}: only a violation is shrunk"));
        return ExitCode::from(EXIT_USAGE);
    }
    let storms = match Storms::new() {
        Ok(storms) => storms,
        Err(error) => {
            remark_error(describe_error(&error));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    storms.end_after(args.time_limit);
    let count = parts(&plan).len();
    remark(format_args!("seed {}, {count} faults, recorded: {original}", plan.seed));
    let tries = usize::try_from(args.tries).unwrap_or(usize::MAX);
    let options = ShrinkOptions { tries, time_limit: args.time_limit };
    let mut runs = Runs {
        args,
        storms: &storms,
        original: &original,
        began: Instant::now(),
        number: 0,
        last: None,
        smallest: None,
        error: None,
    };
    let shrunk = shrink(&plan, &original, &options, &mut runs);
    runs.forget_last();
    let (smallest, error) = (runs.smallest.take(), runs.error.take());
    let written = write(args, &shrunk);
    report(args, &plan, &shrunk, smallest.as_ref(), error.as_deref());
    if let Err(error) = written {
        remark_error(describe_error(&error));
        return ExitCode::from(EXIT_USAGE);
    }
    ExitCode::from(match shrunk.end {
        ShrinkEnd::Stopped => EXIT_FAILED,
        _ if shrunk.plan.is_none() => EXIT_UNKNOWN,
        ShrinkEnd::Minimal | ShrinkEnd::TimeLimit | ShrinkEnd::NotReproduced => 0,
    })
}

/// The runs of a shrinking.
struct Runs<'a> {
    args: &'a ShrinkArgs,
    storms: &'a Storms,
    original: &'a Ending,
    began: Instant,
    number: usize,
    /// The run that ran last, and the smallest that failed.
    last: Option<RunFolder>,
    smallest: Option<RunFolder>,
    error: Option<String>,
}

impl Runs<'_> {
    /// Removes what nobody will look at: a hundred runs would fill a disk.
    fn forget_last(&mut self) {
        if let Some(folder) = self.last.take() {
            remove(&folder);
        }
    }

    fn carry_out(&mut self, plan: &Plan) -> Result<Option<Ending>, String> {
        let progress = Progress::of(format!("run {}: ", self.number));
        let folder =
            Storms::prepare(&self.args.store, plan).map_err(|error| describe_error(&error))?;
        self.last = Some(folder.clone());
        // Where the history itself is the failure, nothing after it need be waited for.
        let end = match self.original.judges.contains("linearizability") {
            true => StormEnd::FailFast,
            false => StormEnd::Planned,
        };
        let ended = self.storms.carry_out(plan, &folder, &progress, end);
        progress.finish();
        if self.storms.is_over() {
            return Ok(None);
        }
        let ended = ended.map_err(|error| describe_error(&error))?;
        keep(&ended, &folder);
        Ok(Some(Ending::from(&ended.judgement)))
    }
}

impl Trial for Runs<'_> {
    fn run(&mut self, plan: &Plan) -> Option<Ending> {
        self.forget_last();
        self.number += 1;
        let ending = self.carry_out(plan).unwrap_or_else(|error| {
            remark_error(&error);
            self.error = Some(error);
            None
        })?;
        let faults = parts(plan).len();
        let elapsed = humantime::format_duration(Duration::from_secs(self.elapsed().as_secs()));
        remark(format_args!("run {}, {elapsed}: {faults} faults, {ending}", self.number));
        Some(ending)
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn keep(&mut self, _faults: usize) {
        if let Some(before) = std::mem::replace(&mut self.smallest, self.last.take()) {
            remove(&before);
        }
    }
}

fn remove(folder: &RunFolder) {
    if let Err(error) = fs::remove_dir_all(folder.path()) {
        remark_error(format_args!("failed to remove {}: {error}", folder.path().display()));
    }
}

fn output(args: &ShrinkArgs) -> PathBuf {
    args.output.clone().unwrap_or_else(|| args.run.join("shrunk.toml"))
}

fn write(args: &ShrinkArgs, shrunk: &Shrunk) -> Result<(), crate::plan::PlanError> {
    shrunk.plan.as_ref().map_or(Ok(()), |plan| plan.write(&output(args)))
}

fn report(
    args: &ShrinkArgs,
    plan: &Plan,
    shrunk: &Shrunk,
    smallest: Option<&RunFolder>,
    error: Option<&str>,
) {
    let faults = parts(plan);
    let of = |is_kept: bool| -> Vec<&Part> {
        let places = 0..faults.len();
        places
            .filter(|place| shrunk.kept.contains(place) == is_kept)
            .map(|place| &faults[place])
            .collect()
    };
    let (kept, removed) = (of(true), of(false));
    let path = output(args).display().to_string();
    if args.json {
        let is_found = shrunk.plan.is_some();
        let object = json!({
            "end": shrunk.end,
            "runs": shrunk.runs,
            "faults": faults.len(),
            "kept": is_found.then_some(&kept),
            "removed": is_found.then_some(&removed),
            "plan": is_found.then_some(path),
            "folder": smallest.map(|folder| folder.path().display().to_string()),
            "error": error,
        });
        return say(&format!("{object}\n"));
    }
    let why = match shrunk.end {
        ShrinkEnd::Minimal => "no single fault more can be taken out",
        ShrinkEnd::NotReproduced => "the recorded plan did not fail again",
        ShrinkEnd::TimeLimit => "the time was over",
        ShrinkEnd::Stopped => "it was ended before it was done",
    };
    let mut text = format!("{} runs: {why}\n", shrunk.runs);
    if shrunk.plan.is_some() {
        text += &format!("{} of {} faults left:\n", kept.len(), faults.len());
        text += &kept.iter().map(|it| describe(it)).collect::<String>();
        if !removed.is_empty() {
            text += "taken out:\n";
        }
        text += &removed.iter().map(|it| describe(it)).collect::<String>();
        if let Some(folder) = smallest {
            text += &format!("\n  run folder   {}\n", folder.path().display());
        }
        text += &format!("  plan         {path}\n  again        stormproof run --plan {path}\n");
    }
    say(&text);
}

fn describe(fault: &Part) -> String {
    format!("  {fault}\n")
}
