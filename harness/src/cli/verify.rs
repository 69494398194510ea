//! `stormproof verify`: checks the proof of a verdict, without the engines that gave it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use checker::certificate::{Proven, VerifyError, verify};
use clap::Args;
use serde_json::{Value, json};

use super::say::{remark, say};

/// Verify that a certificate proves the verdict on a history.
///
/// `stormproof check --certificate FILE` writes the proof of its verdict. Verifying shares the
/// readers and the models with the judging, and nothing of the engines: an order is replayed
/// operation by operation, the core of a violation is searched through to its end.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The certificate
    #[arg(value_name = "CERTIFICATE")]
    certificate: PathBuf,
    /// The history that it is about, or the folder of a run; - for standard input
    #[arg(value_name = "HISTORY")]
    history: PathBuf,
    /// When to give up on the core of a violation, such as 500ms, 60s or 10m
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "TIME")]
    time_limit: Duration,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  stormproof check --certificate proof.json history.jsonl
  stormproof verify proof.json history.jsonl

Exit codes:
  0  the certificate proves what it says
  1  it does not: the message says which operation is wrong, and how
  2  the certificate or the history cannot be read, or the arguments are wrong";

/// What can keep a certificate from being verified.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("failed to read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: the certificate is not text", .0.display())]
    NotText(PathBuf),
    #[error("{}: {source}", path.display())]
    Verify { path: PathBuf, source: VerifyError },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Verify { source: VerifyError::NotProven(_), .. } => 1,
            _ => 2,
        }
    }

    /// What a program that reads the outcome can use of it.
    fn reason(&self) -> Value {
        match self {
            Self::Verify { source: VerifyError::NotProven(reason), .. } => json!(reason),
            _ => Value::Null,
        }
    }
}

/// Verifies and says what came of it.
#[must_use]
pub fn run(args: &VerifyArgs) -> ExitCode {
    match prove(args) {
        Ok(proven) => {
            let text = match args.json {
                true => json!({ "proven": true, "claim": proven }).to_string(),
                false => describe(&args.history, &proven),
            };
            say(&(text + "\n"));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if args.json {
                let (error, reason) = (failure.to_string(), failure.reason());
                let line = json!({ "proven": false, "error": error, "reason": reason });
                say(&format!("{line}\n"));
            }
            remark(format_args!("error: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn prove(args: &VerifyArgs) -> Result<Proven, Failure> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })
    };
    let certificate = String::from_utf8(read(&args.certificate)?)
        .map_err(|_| Failure::NotText(args.certificate.clone()))?;
    let history = super::check::history_of(&args.history);
    let content = read(&history)?;
    verify(&certificate, &history.display().to_string(), &content, args.time_limit)
        .map_err(|source| Failure::Verify { path: args.certificate.clone(), source })
}

fn describe(history: &Path, proven: &Proven) -> String {
    let history = history.display();
    match proven {
        Proven::Linearizable { partitions, explained } => format!(
            "{history}: proven linearizable; partitions: {partitions}; answers explained: {explained}"
        ),
        Proven::Violation { key, operations } => {
            let of = key.as_ref().map(|key| format!(" of {key:?}")).unwrap_or_default();
            format!(
                "{history}: proven NOT linearizable; operations{of} that contradict one another: {operations}"
            )
        }
    }
}
