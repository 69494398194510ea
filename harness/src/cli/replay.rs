//! `stormproof replay`: runs a recorded plan again and tells how often it ends as it did.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::say::{remark, say};
use super::storm::{EXIT_FAILED, EXIT_UNKNOWN, EXIT_USAGE, Storms, keep, remark_error};
use crate::describe_error;
use crate::plan::Plan;
use crate::replay::{Ending, Replays};
use crate::run::{Progress, StormEnd};

/// Run a recorded plan again, and tell how often it ends as it did.
///
/// The same operations are asked for and the same faults brought at the same times. What the machine
/// makes of it is another each time: the answer is a rate.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// The folder of the recorded run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How often to run it
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    times: u64,
    /// End each run as soon as what the clients saw cannot be explained
    #[arg(long)]
    fail_fast: bool,
    /// Where the folders of the new runs are made
    #[arg(long, value_name = "FOLDER", default_value = "stormproof-runs")]
    store: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  stormproof replay stormproof-runs/2026-11-21T01-07-45-ledger-42
  stormproof replay --times 10 --fail-fast stormproof-runs/…

Exit codes:
  0  at least one run ended as the recorded one: the same verdict, by one of the same judges
  2  the folder is not that of a run, or the arguments cannot be carried out
  3  none did
  4  the harness or the cluster could not be run, or the replay was interrupted";

/// Replays the run and prints the rate.
#[must_use]
pub fn run(args: &ReplayArgs) -> ExitCode {
    let (original, plan) = match Ending::of_run(&args.run) {
        Ok(recorded) => recorded,
        Err(error) => {
            remark_error(describe_error(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let storms = match Storms::new() {
        Ok(storms) => storms,
        Err(error) => {
            remark_error(describe_error(&error));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    remark(format_args!("seed {}, recorded: {original}", plan.seed));
    let mut replays = Replays::new(original);
    let mut runs: Vec<Value> = Vec::new();
    let mut failed = None;
    for number in 1..=args.times {
        match replay(args, &storms, &plan, &mut replays, number) {
            Ok(Some(run)) => runs.push(run),
            Ok(None) => break,
            Err(error) => {
                remark_error(&error);
                failed = Some(error);
                break;
            }
        }
    }
    if args.json {
        let object = json!({
            "original": replays.original,
            "seed": plan.seed.number(),
            "times": replays.endings.len(),
            "reproduced": replays.reproduced(),
            "runs": runs,
            "interrupted": storms.is_over(),
            "error": failed,
        });
        say(&format!("{object}\n"));
    } else if !replays.endings.is_empty() {
        say(&replays.describe());
    }
    ExitCode::from(match replays.reproduced() {
        _ if storms.is_over() || failed.is_some() => EXIT_FAILED,
        0 => EXIT_UNKNOWN,
        _ => 0,
    })
}

/// Runs the plan once more; none if that was interrupted.
fn replay(
    args: &ReplayArgs,
    storms: &Storms,
    plan: &Plan,
    replays: &mut Replays,
    number: u64,
) -> Result<Option<Value>, String> {
    let progress = Progress::of(format!("{number} of {}: ", args.times));
    let folder = Storms::prepare(&args.store, plan).map_err(|error| describe_error(&error))?;
    let end = if args.fail_fast { StormEnd::FailFast } else { StormEnd::Planned };
    let ended = storms.carry_out(plan, &folder, &progress, end);
    progress.finish();
    if storms.is_over() {
        return Ok(None);
    }
    let ended = ended.map_err(|error| describe_error(&error))?;
    keep(&ended, &folder);
    let ending = Ending::from(&ended.judgement);
    let path = folder.path().display();
    remark(format_args!("{number} of {}: {ending}  {path}", args.times));
    let run = json!({
        "folder": path.to_string(),
        "verdict": ending.verdict,
        "judges": ending.judges,
        "reproduced": replays.original.is_same(&ending),
    });
    replays.note(ending);
    Ok(Some(run))
}
