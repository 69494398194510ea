//! The binary `stormproof`: the harness, and through `stormproof node` the node that it starts.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harness::cli::{check, client, convert, replay, run, scenarios, shrink, verify};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Puts replicated systems through storms and judges what their clients saw.
#[derive(Parser)]
#[command(name = "stormproof", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put a cluster through a storm and judge what its clients saw
    Run(Box<run::RunArgs>),
    /// Run a recorded plan again, and tell how often it ends as it did
    Replay(replay::ReplayArgs),
    /// Find the fewest faults with which a recorded run still fails
    Shrink(shrink::ShrinkArgs),
    /// List the plans that ship with the binary, or print one
    Scenarios(scenarios::ScenariosArgs),
    /// Judge recorded histories: linearizable, or not and here is why
    Check(check::CheckArgs),
    /// Verify that a certificate proves the verdict on a history
    Verify(verify::VerifyArgs),
    /// Write a history in another format
    Convert(convert::ConvertArgs),
    /// Carry out one operation on a running cluster
    Client(client::ClientArgs),
    /// Simulate whole clusters by the thousand, each from one seed
    Sim(Box<sim::cli::SimArgs>),
    /// Become a program whose disk is the calling process's
    #[command(name = harness::disk::mount::COMMAND, hide = true)]
    OnDisk(harness::disk::mount::OnDiskArgs),
    /// Be one node of the replicated ledger and key-value store
    Node(node::NodeArgs),
}

const EXAMPLES: &str = "\
Examples:
  stormproof run                        a storm over five nodes, and the verdict
  stormproof check history.jsonl        the verdict on a recorded history, from anywhere
  stormproof sim --seeds 0..1000        a thousand simulated clusters
  stormproof node --config n1.yaml      one node
  stormproof client --endpoints 127.0.0.1:7201 status";

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::Scenarios(args) => scenarios::run(&args),
        Command::Check(args) => check::run(args),
        Command::Verify(args) => verify::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Client(args) => client::run(args),
        Command::Sim(args) => sim::cli::main(&args),
        Command::OnDisk(args) => harness::disk::mount::run(args),
        Command::Node(args) => node::main(&args),
    }
}
