//! `stormproof scenarios`: the plans that ship with the binary.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::say::{remark, say};
use super::storm::EXIT_USAGE;
use crate::scenarios::{ALL, Scenario, by_name};

/// List the plans that ship with the binary, or print one.
///
/// `stormproof run --plan NAME` runs one; a printed one is a beginning for a plan of one's own.
#[derive(Debug, Args)]
pub struct ScenariosArgs {
    /// The one to print; all are listed if left out
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Lists them, or prints one.
#[must_use]
pub fn run(args: &ScenariosArgs) -> ExitCode {
    match &args.name {
        None => say(&ALL.iter().map(|it| describe(it, args.json)).collect::<String>()),
        Some(name) => match by_name(name) {
            Some(scenario) if args.json => {
                let Scenario { name, text } = scenario;
                let object = json!({"name": name, "summary": scenario.summary(), "plan": text});
                say(&format!("{object}\n"));
            }
            Some(scenario) => say(scenario.text),
            None => {
                let names: Vec<_> = ALL.iter().map(|it| it.name).collect();
                remark(format_args!("error: there is no {name:?}; there is {}", names.join(", ")));
                return ExitCode::from(EXIT_USAGE);
            }
        },
    }
    ExitCode::SUCCESS
}

fn describe(scenario: &Scenario, is_json: bool) -> String {
    let (name, summary) = (scenario.name, scenario.summary());
    match is_json {
        true => json!({"name": name, "summary": summary}).to_string() + "\n",
        false => format!("{name:<12} {summary}\n"),
    }
}
