//! `stormproof run`: puts a cluster through a storm and judges what its clients saw.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterError;
use crate::fault::Family;
use crate::judgement::Judgement;
use crate::plan::{Plan, PlanError};
use crate::run::{Progress, RunError, RunFolder, run as carry_out};
use crate::seed::Seed;
use crate::system::{self, SystemError};
use crate::workload;

/// The exit code for arguments that cannot be carried out.
const EXIT_USAGE: u8 = 2;

/// The exit code for a harness or a cluster that could not be run.
const EXIT_FAILED: u8 = 4;

/// Puts a cluster through a storm and judges what its clients saw.
///
/// Starts the nodes as processes on this machine, every link through a proxy of its own; drives
/// clients; kills, pauses and partitions nodes; heals everything; reads everything back; and judges
/// whether the clients' records can be explained at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Begin with this plan (TOML); the options given besides change it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The system under test [default: stormproof]
    #[arg(long, value_parser = parse_system, value_name = "NAME")]
    system: Option<String>,
    /// How many nodes [default: 5]
    #[arg(long, value_name = "COUNT")]
    nodes: Option<u64>,
    /// What the clients do: ledger or register [default: ledger]
    #[arg(long, value_parser = parse_workload, value_name = "NAME")]
    workload: Option<String>,
    /// The faults, separated by commas, or none: kill, pause, partition [default: all of them]
    #[arg(long, value_parser = parse_faults, value_name = "LIST")]
    faults: Option<Faults>,
    /// How long the storm lasts [default: 30s]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    time_limit: Option<Duration>,
    /// Operations begun in a second by all clients together; 0 means as many as can be [default: 200]
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// How many clients, each doing one operation at a time [default: 10]
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<u64>,
    /// The seed of every random choice [default: a fresh one]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<Seed>,
    /// Where run folders are made
    #[arg(long, value_name = "FOLDER", default_value = "stormproof-runs")]
    store: PathBuf,
    /// The node's program [default: this one, as `stormproof node`]
    #[arg(long, value_name = "PATH")]
    node_bin: Option<PathBuf>,
    /// A flaw for the nodes to have, to see that it is found: local-reads
    #[arg(long, value_name = "NAME", hide = true)]
    flaw: Vec<String>,
    /// Print the judgement as JSON instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  stormproof run                                      five nodes, every fault, 30 seconds
  stormproof run --workload register --faults partition --time-limit 2m
  stormproof run --seed 42                            the same storm again
  stormproof run --plan stormproof-runs/…/plan.toml   a recorded run again
  stormproof run --node-bin ./target/release/stormproof-node

Exit codes:
  0  the system kept its promise
  1  it broke it; the witness is printed
  2  the arguments cannot be carried out
  3  nobody can tell: the storm did not bite, or the search ended at its limits
  4  the harness or the cluster could not be run, or the run was interrupted";

/// Families of fault, as a list on the command line.
#[derive(Clone, Debug)]
struct Faults(Vec<Family>);

fn parse_faults(text: &str) -> Result<Faults, crate::fault::FamilyError> {
    if text == "none" {
        return Ok(Faults(vec![]));
    }
    text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(Faults)
}

fn parse_system(name: &str) -> Result<String, String> {
    parse_name(name, &system::NAMES)
}

fn parse_workload(name: &str) -> Result<String, String> {
    parse_name(name, &workload::NAMES)
}

fn parse_name(name: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&name) {
        return Ok(name.into());
    }
    Err(format!("there is {}", known.join(" and ")))
}

impl RunArgs {
    /// Returns the plan that the arguments ask for, with everything settled that the seed decides.
    fn plan(&self) -> Result<Plan, PlanError> {
        let mut plan = match &self.plan {
            Some(path) => Plan::read(path)?,
            None => Plan { seed: Seed::fresh(), ..Plan::default() },
        };
        // A recorded schedule belongs to its seed, its faults and its length.
        let changes_schedule =
            self.seed.is_some() || self.faults.is_some() || self.time_limit.is_some();
        if changes_schedule {
            plan.schedule = None;
        }
        if let Some(system) = &self.system {
            plan.system.clone_from(system);
        }
        if let Some(workload) = &self.workload {
            plan.workload.name.clone_from(workload);
        }
        if let Some(Faults(families)) = &self.faults {
            plan.faults = families.iter().copied().collect();
        }
        if let Some(path) = &self.node_bin {
            plan.node.bin = Some(path.clone());
        }
        plan.nodes = self.nodes.unwrap_or(plan.nodes);
        plan.time_limit = self.time_limit.unwrap_or(plan.time_limit);
        plan.rate = self.rate.unwrap_or(plan.rate);
        plan.concurrency = self.concurrency.unwrap_or(plan.concurrency);
        plan.seed = self.seed.unwrap_or(plan.seed);
        plan.node.flaws.extend(self.flaw.iter().cloned());
        plan.check()?;
        Ok(plan.settled())
    }
}

/// Runs the storm and prints the judgement.
#[must_use]
pub fn run(args: &RunArgs) -> ExitCode {
    let prepared = args.plan().map_err(RunError::from).and_then(|plan| {
        let folder = RunFolder::create(&args.store, &plan)?;
        plan.write(&folder.plan())?;
        Ok((plan, folder))
    });
    let (plan, folder) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, EXIT_FAILED),
    };
    if !args.json {
        println!("seed {}", plan.seed);
    }
    eprintln!("run folder {}", folder.path().display());
    let progress = Progress::new();
    let result = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signals = tokio::spawn(cancel_on_signal(cancel.clone()));
        let result = carry_out(&plan, &folder, &progress, &cancel).await;
        signals.abort();
        result
    });
    progress.finish();
    match result {
        Ok(judgement) => print(&judgement, &plan, &folder, args.json),
        Err(error) => {
            let code = exit_code(&error);
            fail(&error, code)
        }
    }
}

/// Waits for the first SIGINT or SIGTERM: the run then cleans up after itself and ends.
async fn cancel_on_signal(cancel: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("failed to listen for signals: Ctrl-C will not clean up politely");
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("interrupted: ending the cluster");
    cancel.cancel();
}

fn print(judgement: &Judgement, plan: &Plan, folder: &RunFolder, json: bool) -> ExitCode {
    if json {
        let mut value = serde_json::to_value(judgement)
            .expect("a judgement has string keys and finite numbers");
        value["folder"] = folder.path().display().to_string().into();
        println!("{value}");
    } else {
        print!("\n{}", judgement.describe());
        println!("\n  run folder   {}", folder.path().display());
        println!("\nseed {}", plan.seed);
    }
    ExitCode::from(judgement.verdict.exit_code())
}

fn exit_code(error: &RunError) -> u8 {
    match error {
        RunError::Workload { .. }
        | RunError::Plan(_)
        | RunError::Folder(_)
        | RunError::Cluster(ClusterError::System(SystemError::Program { .. })) => EXIT_USAGE,
        _ => EXIT_FAILED,
    }
}

fn fail(error: &dyn Error, code: u8) -> ExitCode {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    eprintln!("error: {line}");
    ExitCode::from(code)
}
