//! `stormproof run`: puts a cluster through a storm and judges what its clients saw.

mod load;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::say::{remark, say};
use super::storm::{EXIT_FAILED, EXIT_USAGE, Storms, exit_code, keep, remark_error};
use crate::describe_error;
use crate::fault::{Family, Group};
use crate::plan::{Plan, PlanError, WorkloadPlan};
use crate::run::{Ended, Progress, RunError, RunFolder, StormEnd};
use crate::scenarios;
use crate::seed::Seed;
use crate::system;
use crate::workload;
use load::LoadArgs;

/// Puts a cluster through a storm and judges what its clients saw.
///
/// Starts the nodes as processes on this machine, every link through a proxy of its own; drives
/// clients; kills, pauses and partitions nodes; heals everything; reads everything back; and judges
/// whether the clients' records can be explained at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Begin with this plan, one of `stormproof scenarios` or a file (TOML); the options given besides
    /// change it, but not its schedule
    #[arg(long, value_name = "NAME|FILE")]
    plan: Option<PathBuf>,
    /// The system under test [default: stormproof]
    #[arg(long, value_parser = parse_system, value_name = "NAME")]
    system: Option<String>,
    /// How many nodes [default: 5]
    #[arg(long, value_name = "COUNT")]
    nodes: Option<u64>,
    /// What the clients do: ledger, register, set, list, counter, queue, lock or bank [default: ledger]
    #[arg(long, value_parser = parse_workload, value_name = "NAME")]
    workload: Option<String>,
    // Its help is made of the families themselves.
    #[arg(long, help = name_faults(), long_help = explain_faults())]
    #[arg(value_parser = parse_faults, value_name = "LIST")]
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
    /// Let clients send what has an unknown outcome again, in sessions that make it take effect once
    #[arg(long)]
    sessions: bool,
    #[command(flatten)]
    load: LoadArgs,
    /// The seed of every random choice [default: the plan's; without a plan a fresh one]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<Seed>,
    /// End the run as soon as what the clients saw cannot be explained
    #[arg(long)]
    fail_fast: bool,
    /// Where run folders are made
    #[arg(long, value_name = "FOLDER", default_value = "stormproof-runs")]
    store: PathBuf,
    /// The node's program [default: this one, as `stormproof node`; of another system, the one on PATH]
    #[arg(long, visible_alias = "etcd-bin", value_name = "PATH")]
    node_bin: Option<PathBuf>,
    /// The program that nodes are upgraded to, one by one and for good: another version of the same. The
    /// plan `upgrade` needs it
    #[arg(long, value_name = "PATH")]
    upgrade_to: Option<PathBuf>,
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
  stormproof run --workload set --placements n1,n2,n3 --zipf 1
  stormproof run --sessions --faults kill,pause       is a request that is sent again done once?
  stormproof run --seed 42                            the same storm again
  stormproof run --time-limit 8h --fail-fast          until morning, or until it is broken
  stormproof run --plan quick                         a plan that ships with the binary
  stormproof run --plan stormproof-runs/…/plan.toml   a recorded run again
  stormproof run --node-bin ./target/release/stormproof-node
  stormproof run --plan upgrade --upgrade-to NEW      a rolling upgrade to another version

Exit codes:
  0  the system kept its promise
  1  it broke it; the witness is printed
  2  the arguments cannot be carried out
  3  nobody can tell: the storm did not bite, or the search ended at its limits
  4  the harness or the cluster could not be run, or the run was interrupted";

/// Families of fault, as a list on the command line.
#[derive(Clone, Debug)]
struct Faults(BTreeSet<Family>);

/// Names every family of fault, in a line.
fn name_faults() -> String {
    let names = Family::ALL.map(Family::name).join(", ");
    format!("The faults, separated by commas, or none: {names} [default: all that there can be]")
}

/// Says of every family of fault what it does.
fn explain_faults() -> String {
    let families = Family::ALL.map(|family| format!("  {family:<11} {}", family.describe()));
    let group = |group: Group| {
        let members = Family::ALL.into_iter().filter(|family| family.group() == group);
        let members: Vec<_> = members.map(Family::name).collect();
        format!("  {:<11} {}", group.name(), members.join(", "))
    };
    format!(
        "The faults, separated by commas, or none [default: all that the system and the plan have \
         what it takes for, and the time room for]\n\n{}\n\nSeveral at once:\n{}",
        families.join("\n"),
        Group::ALL.map(group).join("\n"),
    )
}

fn parse_faults(text: &str) -> Result<Faults, crate::fault::FamilyError> {
    if text == "none" {
        return Ok(Faults(BTreeSet::new()));
    }
    let words = text.split(',').map(|word| Family::of_word(word.trim()));
    let families = words.collect::<Result<Vec<_>, _>>()?;
    Ok(Faults(families.into_iter().flatten().collect()))
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
    Err(format!("there is {}", known.join(", ")))
}

impl RunArgs {
    /// Returns the plan that the arguments ask for, with everything settled that the seed decides.
    fn plan(&self) -> Result<Plan, RunError> {
        let mut plan = match &self.plan {
            Some(name) => match name.to_str().and_then(scenarios::by_name) {
                Some(scenario) => scenario.plan()?,
                None => Plan::read_draft(name)?,
            },
            None => Plan { seed: Seed::fresh(), ..Plan::default() },
        };
        if plan.schedule.is_some() && self.faults.is_some() {
            let why = "decides which faults come; take it out of the plan to use --faults";
            return Err(PlanError::Impossible { key: "schedule", why: why.into() }.into());
        }
        if let Some(system) = &self.system {
            plan.system.clone_from(system);
        }
        match &self.workload {
            Some(workload) => plan.workload.name.clone_from(workload),
            None if self.plan.is_none() => choose_workload(&mut plan),
            None => {}
        }
        if let Some(Faults(families)) = &self.faults {
            plan.faults.clone_from(families);
        }
        if let Some(path) = &self.node_bin {
            plan.node.bin = Some(path.clone());
        }
        if let Some(path) = &self.upgrade_to {
            plan.node.upgrade = Some(path.clone());
        }
        plan.nodes = self.nodes.unwrap_or(plan.nodes);
        plan.time_limit = self.time_limit.unwrap_or(plan.time_limit);
        plan.rate = self.rate.unwrap_or(plan.rate);
        plan.concurrency = self.concurrency.unwrap_or(plan.concurrency);
        plan.workload.sessions |= self.sessions;
        self.load.apply(&mut plan);
        plan.seed = self.seed.unwrap_or(plan.seed);
        plan.node.flaws.extend(self.flaw.iter().cloned());
        plan.check()?;
        Ok(plan.settled())
    }
}

/// Puts the first workload that its system is good for into a plan that nobody wrote.
fn choose_workload(plan: &mut Plan) {
    let usual = std::mem::take(&mut plan.workload.name);
    let system = system::by_name(plan);
    let fits = |name: &&str| {
        let named = WorkloadPlan { name: (*name).into(), ..plan.workload.clone() };
        let workload = workload::by_name(&named);
        let mapping = workload.map(|workload| workload.mapping());
        mapping.zip(system.as_ref()).is_some_and(|(mapping, system)| system.offers(mapping))
    };
    let names = [usual.as_str()].into_iter().chain(workload::NAMES);
    plan.workload.name = names.into_iter().find(fits).unwrap_or(&usual).into();
}

/// Runs the storm and prints the judgement.
#[must_use]
pub fn run(args: &RunArgs) -> ExitCode {
    let prepared = args.plan().and_then(|plan| Ok((Storms::prepare(&args.store, &plan)?, plan)));
    let (folder, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            remark_error(describe_error(&error));
            return ExitCode::from(exit_code(&error));
        }
    };
    if !args.json {
        say(&format!("seed {}\n", plan.seed));
    }
    remark(format_args!("run folder {}", folder.path().display()));
    let end = if args.fail_fast { StormEnd::FailFast } else { StormEnd::Planned };
    let progress = Progress::new();
    let result = match Storms::new() {
        Ok(storms) => storms
            .carry_out(&plan, &folder, &progress, end)
            .map_err(|error| (exit_code(&error), describe_error(&error))),
        Err(error) => Err((EXIT_FAILED, describe_error(&error))),
    };
    progress.finish();
    let code = match result {
        Ok(ended) => print(&ended, &folder, args.json),
        Err((code, error)) => {
            let began = code != EXIT_USAGE;
            if args.json {
                let folder = began.then(|| folder.path().display().to_string());
                let seed = plan.seed.number();
                say(&format!("{}\n", json!({"error": error, "seed": seed, "folder": folder})));
            }
            remark_error(error);
            if !began {
                folder.discard();
                return ExitCode::from(code);
            }
            code
        }
    };
    if !args.json {
        let (path, page, seed) = (folder.path(), folder.page(), plan.seed);
        let report = match page.exists() {
            true => format!("\n  report       {}", page.display()),
            false => String::new(),
        };
        say(&format!(
            "\n  run folder   {}{report}\n  again        stormproof run --plan {}\n\nseed {seed}\n",
            path.display(),
            folder.plan().display(),
        ));
    }
    ExitCode::from(code)
}

/// Prints the judgement, then writes it down: what was found is told even if the disk is full.
fn print(ended: &Ended, folder: &RunFolder, json: bool) -> u8 {
    let judgement = &ended.judgement;
    if json {
        let mut value = json!(judgement);
        value["folder"] = folder.path().display().to_string().into();
        say(&format!("{value}\n"));
    } else {
        say(&format!("\n{}", judgement.describe()));
    }
    keep(ended, folder)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let line = Line::try_parse_from(line.split_whitespace()).unwrap();
        line.run.plan().map_err(|error| describe_error(&error).to_string())
    }

    #[test]
    fn what_a_plan_lacks_the_command_line_may_add() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, "faults = [\"upgrade\"]\n").unwrap();
        for plan_name in ["upgrade", file.to_str().unwrap()] {
            let error = plan(&format!("run --plan {plan_name}")).unwrap_err();
            assert!(error.contains("name one with --upgrade-to"), "{error}");
            let upgrade = plan(&format!("run --plan {plan_name} --upgrade-to new")).unwrap();
            assert_eq!(upgrade.node.upgrade, Some("new".into()));
            assert!(upgrade.brings(|fault| fault.family() == Family::Upgrade));
        }
        let error = plan("run --plan upgrade --upgrade-to new --system etcd").unwrap_err();
        assert!(error.contains("no way to upgrade its members"), "{error}");
        let error = plan("run --plan upgrade --upgrade-to new --nodes 0").unwrap_err();
        assert!(error.contains("`nodes`"), "{error}");
    }
}
