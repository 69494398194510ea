//! `stormproof sim`: simulated clusters by the thousand.

mod interrupt;
mod output;
mod session;

use std::collections::BTreeSet;
use std::io::{Write, stderr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io, thread};

use clap::Args;

use crate::campaign::Campaign;
use crate::fault::FaultId;
use crate::plan::{Flaw, Plan, Wishes, Workload};
use crate::random::Seed;
use crate::run::{RunOptions, RunReport, Verdict, run};
use crate::shrink::{Shrunk, shrink};
use interrupt::{end_on_interrupt, lock};
use output::Progress;
use session::Session;

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_UNKNOWN: u8 = 3;

/// Simulate whole clusters, each in one thread and from one seed.
///
/// The consensus core and the state machines of the node run on simulated disks, links and clocks, in
/// virtual time: a night of storms takes seconds, and a seed gives the same run every time. After every
/// event the invariants of the whole cluster are checked, at the end everything is mended and the cluster
/// must come back, and what the clients saw is judged like any recorded history.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimArgs {
    /// The seeds, such as 0..1000
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "0..1000")]
    seeds: Seeds,
    /// How many seeds run at a time [default: one for each processor]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Begin no more seeds after this time, such as 10m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// What the clients do: ledger, register or kv
    #[arg(long, value_name = "NAME", default_value = "ledger")]
    workload: Workload,
    /// How many nodes each cluster begins with [default: the seed draws 3 or 5]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=15))]
    nodes: Option<u64>,
    /// How long faults come in each run [default: the seed draws 4 to 20 seconds]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    storm: Option<Duration>,
    /// Operations begun in a simulated second, were each answered at once [default: 50]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// Run one seed, and write its story and its history to a folder
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "shrink"])]
    replay: Option<u64>,
    /// Take out of a failing seed's schedule what it does not need to fail
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    shrink: Option<u64>,
    /// With --replay: only these faults of the schedule, by their numbers; `none` for none
    #[arg(long, value_name = "LIST", value_parser = parse_faults, requires = "replay")]
    only: Option<Faults>,
    /// With --replay and --shrink: where the folder is made
    #[arg(long, value_name = "FOLDER", default_value = "stormproof-sim")]
    store: PathBuf,
    /// Print a JSON object for each seed that did not pass, and one for the whole
    #[arg(long)]
    json: bool,
    /// A mistake for the nodes to make, to see that it is found
    #[arg(long, value_name = "NAME", hide = true)]
    flaw: Option<Flaw>,
}

const EXAMPLES: &str = "\
Examples:
  stormproof sim                            a thousand clusters, and what became of them
  stormproof sim --seeds 0..1000000 --time 1h
  stormproof sim --workload register --nodes 5
  stormproof sim --replay 42                seed 42 once more, as a story
  stormproof sim --shrink 42                what seed 42 needs to fail

Exit codes:
  0  every seed passed
  1  some seed failed; the command that replays it is printed
  2  the arguments cannot be carried out
  3  of some seed nobody can tell: the search ended at its limits
  130, 143  interrupted, or told to end, and no seed has failed by then";

/// A range of seeds on the command line.
#[derive(Clone, Debug)]
struct Seeds(Range<u64>);

/// Numbers of faults on the command line.
#[derive(Clone, Debug)]
struct Faults(BTreeSet<FaultId>);

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || format!("`{text}` is no range of seeds; write A..B, such as 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let from = from.parse().map_err(|_| wrong())?;
    let to = to.parse().map_err(|_| wrong())?;
    if from < to { Ok(Seeds(from..to)) } else { Err(wrong()) }
}

fn parse_faults(text: &str) -> Result<Faults, String> {
    if text == "none" {
        return Ok(Faults(BTreeSet::new()));
    }
    let number = |part: &str| part.trim().parse().map(FaultId);
    let wrong = |_| format!("`{text}` is no list of faults; write numbers such as 3,7");
    text.split(',').map(number).collect::<Result<_, _>>().map(Faults).map_err(wrong)
}

/// Carries out `stormproof sim`.
#[must_use]
pub fn main(args: &SimArgs) -> ExitCode {
    let done = match (args.replay, args.shrink) {
        (Some(seed), _) => args.replay(seed),
        (None, Some(seed)) => args.shrink(seed),
        (None, None) => args.campaign(),
    };
    done.unwrap_or_else(|error| {
        // Where even that cannot be said, the exit code must do.
        let _ = writeln!(stderr(), "error: {error}");
        ExitCode::from(EXIT_USAGE)
    })
}

impl SimArgs {
    fn wishes(&self) -> Wishes {
        Wishes {
            workload: Some(self.workload),
            nodes: self.nodes,
            storm: self.storm,
            rate: self.rate,
            only: self.only.as_ref().map(|Faults(only)| only.clone()),
            flaw: self.flaw,
        }
    }

    /// Returns the options by which a replay is the run that it replays.
    fn describe_wishes(&self) -> String {
        let mut text = String::new();
        if self.workload != Workload::Ledger {
            text += &format!(" --workload {}", self.workload);
        }
        text += &self.nodes.map_or(String::new(), |nodes| format!(" --nodes {nodes}"));
        text += &self.rate.map_or(String::new(), |rate| format!(" --rate {rate}"));
        if let Some(storm) = self.storm {
            text += &format!(" --storm '{}'", humantime::format_duration(storm));
        }
        text += &self.flaw.map_or(String::new(), |flaw| format!(" --flaw {flaw}"));
        text
    }

    fn campaign(&self) -> io::Result<ExitCode> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let campaign = Campaign {
            seeds: self.seeds.0.clone(),
            jobs: self.jobs.unwrap_or(processors),
            time_limit: self.time,
            wishes: self.wishes(),
            options: RunOptions::default(),
        };
        let session = Session::new(campaign.seeds.clone(), self.describe_wishes(), self.json);
        let session = Arc::new(Mutex::new(session));
        end_on_interrupt(&session, Session::interrupt);
        campaign.run(|report, tally| lock(&session).add(report, tally));
        lock(&session).finish().map(ExitCode::from)
    }

    fn replay(&self, seed: u64) -> io::Result<ExitCode> {
        let plan = Plan::draw(Seed(seed), &self.wishes());
        let report = run(&plan, RunOptions { is_told: true, ..RunOptions::default() });
        if !self.json {
            output::say(&report.story)?;
        }
        self.keep(&report)?;
        output::print_report(&report, &self.describe_wishes(), self.json)?;
        Ok(exit_code_of(&report).into())
    }

    fn shrink(&self, seed: u64) -> io::Result<ExitCode> {
        let plan = Plan::draw(Seed(seed), &self.wishes());
        let options = RunOptions::default();
        let (wishes, is_json) = (self.describe_wishes(), self.json);
        // What is to be said of the smallest schedule so far, and to whoever interrupts.
        let smallest = Arc::new(Mutex::new(None));
        end_on_interrupt(&smallest, |smallest: &mut Option<String>, usual| {
            Some(output::interrupt_shrink(smallest.as_deref(), usual))
        });
        let progress = Progress::new(plan.faults.len() as u64);
        let shrunk = shrink(&plan, options, |Shrunk { report, before, runs }| {
            progress.say(format!("{} faults left", report.plan.faults.len()));
            let described = output::describe_shrunk(report, *before, *runs, &wishes, is_json);
            *lock(&smallest) = Some(described);
        });
        progress.finish();
        // What is nearly said is not said twice.
        let _end = lock(&smallest);
        let Some(Shrunk { report, before, runs }) = shrunk else {
            output::say(&format!("seed {seed} does not fail, so there is nothing to shrink\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        let report = run(&report.plan, RunOptions { is_told: true, ..options });
        self.keep(&report)?;
        output::say(&output::describe_shrunk(&report, before, runs, &wishes, is_json))?;
        Ok(exit_code_of(&report).into())
    }

    /// Writes the story and the history of a run to its folder.
    fn keep(&self, report: &RunReport) -> io::Result<()> {
        let folder = self.store.join(format!("seed-{}", report.plan.seed));
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|error| describe_failure("write", &path, &error))
        };
        fs::create_dir_all(&folder)
            .map_err(|error| describe_failure("make the folder", &folder, &error))?;
        write("trace.txt", report.story.as_bytes())?;
        write("history.jsonl", &report.history)?;
        writeln!(stderr(), "story and history are in {}", folder.display())
    }
}

fn describe_failure(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to {what} {}: {error}", path.display()))
}

fn exit_code_of(report: &RunReport) -> u8 {
    let is_unknown = matches!(report.verdict, Verdict::Unknown(_));
    exit_code(report.verdict.failure().is_some(), is_unknown)
}

fn exit_code(has_failed: bool, is_unknown: bool) -> u8 {
    match (has_failed, is_unknown) {
        (true, _) => EXIT_FAILED,
        (false, true) => EXIT_UNKNOWN,
        (false, false) => 0,
    }
}
