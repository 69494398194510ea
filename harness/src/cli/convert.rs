//! `stormproof convert`: writes a history in another format.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use checker::history::{Format, Process, ReadError, Recording, read, read_bytes, write};
use clap::{Args, ValueEnum};

use super::beside::is_same_file;
use super::check::{FormatArg, history_of};
use super::say::{print, remark};

/// Write a history in another format.
///
/// Events keep their process, type, function, key, value, time, index, position and error. What was
/// written is read back and compared before the command succeeds.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ConvertArgs {
    /// The history, or the folder of a run; - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Where to write it; standard output if left out, or -
    #[arg(value_name = "OUT")]
    output: Option<PathBuf>,
    /// The format to write; told from the name of OUT if left out
    #[arg(long, value_enum)]
    to: Option<Target>,
    /// The format of the history; told from the content if left out
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Write it even if the format cannot hold something that may matter to a verdict
    #[arg(long)]
    lossy: bool,
}

const EXAMPLES: &str = "\
Examples:
  stormproof convert history.edn history.jsonl
  stormproof convert --to text runs/2026-11-20T03-00-00 | less
  stormproof convert --to edn history.jsonl | clojure -M analyse.clj

Formats:
  jsonl  one JSON object a line
  edn    one map a line, as Jepsen's history.edn; texts are strings, functions keywords
  text   the lines of Jepsen's history.txt: process, type, function and value with tabs between,
         behind them what else is known: :key \"x\", :index 1, :time 5, :position 9, :error \"…\"

Of EDN, reading keeps no difference between keywords, symbols and strings, nor between lists,
vectors and sets; tags and fields that say nothing to a checker are left out.

Exit codes:
  0  it was written, and reads back as the same events
  2  it could not be read or written, or the format cannot hold it (see --lossy)
  4  it does not read back as the same events: a defect";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// One JSON object a line
    Jsonl,
    /// One map of EDN a line
    Edn,
    /// The lines of Jepsen's history.txt
    #[value(alias = "jepsen-log")]
    Text,
}

impl From<Target> for Format {
    fn from(target: Target) -> Self {
        match target {
            Target::Jsonl => Self::Jsonl,
            Target::Edn => Self::Edn,
            Target::Text => Self::JepsenLog,
        }
    }
}

/// Why a history was not converted.
#[derive(Debug, thiserror::Error)]
enum ConvertError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("failed to tell the format to write: name it with --to jsonl, edn or text")]
    NoTarget,
    #[error(
        "{name}: it says of itself that it is whole and nobody was asked anything, which is a verdict; only EDN can \
         say so: write --to edn, or add --lossy"
    )]
    Whole { name: String },
    #[error(
        "{}: this is the history itself, of which what says nothing to a checker would be lost; name another file",
        .0.display()
    )]
    Onto(PathBuf),
    #[error("failed to write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to write standard output: {0}")]
    Print(#[source] io::Error),
    #[error(
        "what was written does not read back as the same events: this is a defect, please report it"
    )]
    Changed,
}

impl ConvertError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Changed => 4,
            _ => 2,
        }
    }
}

/// Converts and says what was lost.
#[must_use]
pub fn run(args: &ConvertArgs) -> ExitCode {
    match convert(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            remark(format_args!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn convert(args: &ConvertArgs) -> Result<(), ConvertError> {
    let target = args.to.or_else(|| target_of(args.output.as_deref()?));
    let target = Format::from(target.ok_or(ConvertError::NoTarget)?);
    let input = history_of(&args.input);
    if let Some(output) = args.output.as_deref().filter(|output| is_same_file(&input, output)) {
        return Err(ConvertError::Onto(output.to_owned()));
    }
    let recording = read(&input, args.format.map(Into::into))?;
    for warning in &recording.warnings {
        remark(format_args!("warning: {}:{}: {}", recording.name, warning.line, warning.message));
    }
    if loses_verdict(&recording, target) {
        if !args.lossy {
            return Err(ConvertError::Whole { name: recording.name });
        }
        remark(format_args!("warning: {}: that it is whole is lost", recording.name));
    }
    let content = convert_to(&recording, target)?;
    match args.output.as_deref().filter(|output| *output != Path::new("-")) {
        Some(path) => fs::write(path, content)
            .map_err(|source| ConvertError::Write { path: path.to_owned(), source }),
        None => print(&content).map_err(ConvertError::Print),
    }
}

/// Tells the format from a file's name.
fn target_of(path: &Path) -> Option<Target> {
    match path.extension()?.to_str()? {
        "jsonl" | "json" | "ndjson" => Some(Target::Jsonl),
        "edn" => Some(Target::Edn),
        "txt" | "log" => Some(Target::Text),
        _ => None,
    }
}

/// Whether a recording that passes as it is would be unknown in another format: that it is whole
/// counts only if nobody asked anything.
fn loses_verdict(recording: &Recording, target: Format) -> bool {
    let is_remark = |process| process == Process::NEMESIS;
    recording.is_closed
        && target != Format::Edn
        && recording.events.iter().all(|recorded| is_remark(recorded.event.process))
}

/// Writes a recording and reads it back.
fn convert_to(recording: &Recording, target: Format) -> Result<Vec<u8>, ConvertError> {
    let mut content = Vec::new();
    write(&mut content, recording, target).expect("a vector takes all that is written");
    let again = read_bytes("what was written", &content, Some(target))
        .map_err(|_| ConvertError::Changed)?;
    let events = |recording: &Recording| recording.events.len();
    let is_same = events(recording) == events(&again)
        && recording.events.iter().zip(&again.events).all(|(a, b)| a.event == b.event);
    if is_same { Ok(content) } else { Err(ConvertError::Changed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(content: &str) -> Recording {
        read_bytes("h", content.as_bytes(), None).unwrap()
    }

    #[test]
    fn only_what_decides_a_verdict_is_refused() {
        let nemesis = "{:process :nemesis, :type :info, :f :kill}";
        let client = "{:process 0, :type :invoke, :f :read}";
        for (content, target, expected) in [
            (format!("[{nemesis}]"), Format::Jsonl, true),
            (format!("[{nemesis}]"), Format::JepsenLog, true),
            (format!("[{nemesis}]"), Format::Edn, false),
            (format!("[{nemesis} {client}]"), Format::Jsonl, false),
            (nemesis.to_owned(), Format::Jsonl, false),
            ("[]".to_owned(), Format::Jsonl, true),
        ] {
            assert_eq!(loses_verdict(&recording(&content), target), expected, "{content}");
        }
    }

    #[test]
    fn what_was_written_is_compared() {
        let edn = recording("[{:process 0, :type :invoke, :f :write, :value {:a [1 nil]}}]");
        for target in [Format::Jsonl, Format::Edn, Format::JepsenLog] {
            let content = convert_to(&edn, target).unwrap();
            assert_eq!(recording(str::from_utf8(&content).unwrap()).format, target);
        }
    }
}
