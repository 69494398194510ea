//! probe
use clap::Parser;
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: sim::cli::SimArgs,
}
fn main() -> std::process::ExitCode {
    sim::cli::main(&Cli::parse().args)
}
