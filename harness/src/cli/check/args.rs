//! What `stormproof check` can be asked, and how it teaches that.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use checker::check::{FailedCas, NilRead, Options, initial_from};
use checker::engine::EngineName;
use checker::history::Format;
use checker::model::ModelName;
use clap::{Args, ValueEnum};

/// Judge recorded histories: linearizable, or not and here is why.
///
/// A history is JSON Lines (our own), EDN (Jepsen, Knossos) or a Jepsen log; `-` is standard input.
/// The folder of a run stands for the run, which is judged as a whole again, without the cluster; any
/// other folder is searched for histories and folders of runs. Format and model are told from the
/// content; what was assumed is printed with the verdict.
#[derive(Debug, Args)]
#[command(after_long_help = long_help())]
pub struct CheckArgs {
    /// Histories, folders of runs, or folders to search; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// What the system ought to do; told from the functions in the history if left out
    #[arg(long, value_parser = parse_model, value_name = "MODEL", help = format!("What the system ought to do: {} [default: told from the functions in the history]", ModelName::choices()))]
    pub(super) model: Option<ModelName>,
    /// The value before the first operation: nil, JSON such as 0 or '""', or a word [default: nil; kv-append: ""]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) initial: Option<String>,
    /// What a read that returned nil saw
    #[arg(long, value_enum, default_value_t)]
    nil_read: NilReadArg,
    /// What a compare-and-set that completed with fail says
    #[arg(long, value_enum, default_value_t)]
    failed_cas: FailedCasArg,
    /// By what to judge; the fastest that knows the history if left out
    #[arg(long, value_parser = parse_engine, value_name = "ENGINE", help = format!("By what to judge: {} [default: the fastest that knows the history]", EngineName::choices()))]
    pub(super) engine: Option<EngineName>,
    /// The format of the files; told from the content if left out
    #[arg(long, value_enum)]
    pub(super) format: Option<FormatArg>,
    /// When to give up on a file, such as 500ms, 60s, 10m or 2h
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "TIME")]
    pub(super) time_limit: Duration,
    /// How much memory the search may take, such as 512MiB or 2GiB
    #[arg(long, value_parser = parse_bytes, default_value = "2GiB", value_name = "SIZE")]
    pub(super) memory_limit: u64,
    /// How many partitions to judge at once [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,
    /// Say of a violation which few operations contradict one another, in words and as a timeline
    #[arg(long)]
    pub(super) explain: bool,
    /// Write a page to look at in a browser: what every process did when; of several files into a folder of this name
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Write a proof of the verdict that `stormproof verify` checks; of several files into a folder of this name
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// Write the verdicts as JUnit XML, one test case a history; only linearizable ones are green
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Judge a history while it is being written (JSON Lines), and end at the first violation
    #[arg(long)]
    pub(super) follow: bool,
    /// With --follow: end once nothing was written for so long, such as 30s [default: at Ctrl-C]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", requires = "follow")]
    pub(super) idle: Option<Duration>,
    /// Print one JSON object a line and file instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Examples, exit codes, and what histories of each model look like.
fn long_help() -> String {
    let mut text = format!("{EXAMPLES}\n\n{MODELS}");
    for model in ModelName::ALL {
        text += &format!("\n  {:<15} {}", model.name(), model.usage());
    }
    text
}

const MODELS: &str = "\
Models: the functions that each knows with the shapes of their values, and after the arrow
what an ok may say. Answers of nil, true or what was asked say only that it was done.";

const EXAMPLES: &str = "\
Examples:
  stormproof check runs/2026-11-20T03-00-00        a run, as it judged itself: more than its history
  stormproof check history.jsonl other.edn         several files; the worst verdict is the exit code
  stormproof check --junit verdicts.xml runs       all histories in a folder, for a build server
  stormproof check --model cas-register --initial 0 --nil-read unknown mongodb.edn
  stormproof check --engine search history.jsonl   by the search, whatever the history is like
  stormproof check --explain history.jsonl         which operations contradict one another
  stormproof check --report page.html history.jsonl
  stormproof check --follow --idle 1m history.jsonl
  stormproof check --certificate proof.json history.jsonl && stormproof verify proof.json history.jsonl
  stormproof check --json night/*.jsonl | jq -r 'select(.verdict == \"violation\") | .name'

Exit codes, of several files the first that applies:
  1  a history is not linearizable, or a run's system broke its promise in another way
  4  the checker itself failed on a file: a defect, and no verdict; or the harness of a run failed,
     or was interrupted or killed
  2  a file could not be read or makes no sense, or what was asked for beside the verdict (proof,
     page, JUnit) could not be written, or the arguments are wrong
  3  a search ended at its time or memory limit, or the engine that --engine names does
     not know such histories, or there was nothing to judge: no events, or no answer; or the storm
     of a run did not bite
  130, 143  it was interrupted or told to end; what was judged by then was printed
  0  every history is linearizable, every run passed";

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum NilReadArg {
    /// That there was no value
    #[default]
    Absent,
    /// Nothing: the recorder kept no value
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FailedCasArg {
    /// Only that it was not applied
    #[default]
    Dropped,
    /// That the value was not the expected one
    Observed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum FormatArg {
    /// One JSON object a line
    Jsonl,
    /// Maps of EDN, in a vector or list or one after the other
    Edn,
    /// The lines that jepsen.util logs, and Jepsen's history.txt
    #[value(alias = "text")]
    JepsenLog,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Edn => Self::Edn,
            FormatArg::JepsenLog => Self::JepsenLog,
        }
    }
}

impl CheckArgs {
    pub(super) fn options(&self) -> Options {
        Options {
            model: self.model,
            initial: self.initial.as_deref().map(initial_from),
            nil_read: match self.nil_read {
                NilReadArg::Absent => NilRead::Absent,
                NilReadArg::Unknown => NilRead::Unknown,
            },
            failed_cas: match self.failed_cas {
                FailedCasArg::Dropped => FailedCas::Dropped,
                FailedCasArg::Observed => FailedCas::Observed,
            },
            engine: self.engine,
            time_limit: self.time_limit,
            memory_limit: self.memory_limit,
            jobs: self.jobs,
        }
    }

    /// What is to be written beside the verdicts.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Path> {
        let targets = [&self.certificate, &self.report, &self.junit];
        targets.into_iter().filter_map(Option::as_deref)
    }

    pub(super) fn format(&self) -> Option<Format> {
        self.format.map(Into::into)
    }
}

fn parse_model(text: &str) -> Result<ModelName, String> {
    text.parse()
}

fn parse_engine(text: &str) -> Result<EngineName, String> {
    text.parse()
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is no size; write a number and KiB, MiB or GiB, such as 512MiB");
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let bytes = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    Ok((number * bytes as f64) as u64)
}

/// Splits `1.5GiB` into 1.5 and `GiB`.
fn split_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in
            [("17", 17), ("2KiB", 2048), ("512 MiB", 512 << 20), ("1.5g", 3 << 29)]
        {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "GiB", "1PiB", "-1"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
