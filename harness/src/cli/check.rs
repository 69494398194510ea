//! `stormproof check`: judges recorded histories.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use checker::certificate::certify;
use checker::check::{
    CheckError, FailedCas, NilRead, Options, Report, alarmed, check, initial_from,
};
use checker::engine::EngineName;
use checker::explain::{Explanation, explain};
use checker::history::{Format, ReadError, read_bytes};
use checker::model::ModelName;
use checker::stream::Alarm;
use checker::verdict::Verdict;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::beside;
use super::say::{remark, say};
use crate::describe_error;
use crate::facts::Facts;
use crate::judgement::{Evidence, Judgement, RunVerdict, Searched, conclude};
use crate::page::{page, run_page};
use crate::plan::Plan;
use crate::run::RunFolder;
use crate::workload;

mod files;
mod follow;
mod junit;
mod session;

use files::HistoryFile;
pub(super) use files::history_of;
use session::Session;

/// The exit code for arguments that make no sense.
const EXIT_USAGE: u8 = 2;

/// How long a file may take before a line says that it is being judged.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Judge recorded histories: linearizable, or not and here is why.
///
/// A history is JSON Lines (our own), EDN (Jepsen, Knossos) or a Jepsen log; `-` is standard input.
/// The folder of a run stands for the run, which is judged as a whole again, without the cluster; any
/// other folder is searched for histories and folders of runs. Format and model are told from the content; what was assumed is printed with the
/// verdict.
#[derive(Debug, Args)]
#[command(after_long_help = long_help())]
pub struct CheckArgs {
    /// Histories, folders of runs, or folders to search; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the system ought to do; told from the functions in the history if left out
    #[arg(long, value_parser = parse_model, value_name = "MODEL", help = format!("What the system ought to do: {} [default: told from the functions in the history]", ModelName::choices()))]
    model: Option<ModelName>,
    /// The value before the first operation: nil, JSON such as 0 or '""', or a word [default: nil; kv-append: ""]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    initial: Option<String>,
    /// What a read that returned nil saw
    #[arg(long, value_enum, default_value_t)]
    nil_read: NilReadArg,
    /// What a compare-and-set that completed with fail says
    #[arg(long, value_enum, default_value_t)]
    failed_cas: FailedCasArg,
    /// By what to judge; the fastest that knows the history if left out
    #[arg(long, value_parser = parse_engine, value_name = "ENGINE", help = format!("By what to judge: {} [default: the fastest that knows the history]", EngineName::choices()))]
    engine: Option<EngineName>,
    /// The format of the files; told from the content if left out
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// When to give up on a file, such as 500ms, 60s, 10m or 2h
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "TIME")]
    time_limit: Duration,
    /// How much memory the search may take, such as 512MiB or 2GiB
    #[arg(long, value_parser = parse_bytes, default_value = "2GiB", value_name = "SIZE")]
    memory_limit: u64,
    /// How many partitions to judge at once [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Say of a violation which few operations contradict one another, in words and as a timeline
    #[arg(long)]
    explain: bool,
    /// Write a page to look at in a browser: what every process did when; of several files into a folder of this name
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a proof of the verdict that `stormproof verify` checks; of several files into a folder of this name
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write the verdicts as JUnit XML, one test case a history; only linearizable ones are green
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Judge a history while it is being written (JSON Lines), and end at the first violation
    #[arg(long)]
    follow: bool,
    /// With --follow: end once nothing was written for so long, such as 30s [default: at Ctrl-C]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", requires = "follow")]
    idle: Option<Duration>,
    /// Print one JSON object a line and file instead of text
    #[arg(long)]
    json: bool,
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
pub(super) enum FormatArg {
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
    fn options(&self) -> Options {
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
    fn targets(&self) -> impl Iterator<Item = &Path> {
        let targets = [&self.certificate, &self.report, &self.junit];
        targets.into_iter().filter_map(Option::as_deref)
    }

    fn format(&self) -> Option<Format> {
        self.format.map(Into::into)
    }
}

/// Judges every file and prints what came of it; the exit code is that of the worst.
#[must_use]
pub fn run(args: CheckArgs) -> ExitCode {
    let options = args.options();
    let files = files::find(&args.files);
    if let Some(target) = args.targets().find(|target| files::is_history_among(target, &files)) {
        remark(format_args!(
            "error: {}: this is a history and not to be written over; name another file",
            target.display()
        ));
        return ExitCode::from(Outcome::Unreadable.exit_code());
    }
    if args.follow {
        return follow::run(&args);
    }
    let session = Session::new(files.len(), args.junit.clone(), args.json);
    let session = Arc::new(Mutex::new(session));
    session::end_on_interrupt(&session);
    for (index, file) in files.iter().enumerate() {
        let path = &file.path;
        let model = args.model.or_else(|| model_of_run(file.run.as_deref()?));
        let options = Options { model, ..options.clone() };
        // Of several files the others are still worth a verdict.
        let judged = with_progress(path, (index + 1, files.len()), || {
            contain_crash(|| judge(file, &args, files.len() == 1, &options))
        });
        // What is printed is also counted: an interrupt comes before both or after.
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        session.add(path, &judged);
        print(path, &judged, args.json);
    }
    let session = session.lock().unwrap_or_else(PoisonError::into_inner);
    ExitCode::from(session.finish())
}

/// Why there is no report on a file.
#[derive(Debug, thiserror::Error)]
enum CheckFailure {
    /// The file could not be judged.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The checker panicked; where and why stands on standard error.
    #[error(
        "the checker itself failed on this file, which has no verdict: this is a defect of the checker"
    )]
    Crashed,
    /// It is the history of a run, and has no report; what else is known of the run does.
    #[error("{}", .0.describe())]
    Run(Box<Judgement>),
}

/// Judges, and takes a panic for what it is: neither a pass nor a reason to leave out other files.
fn contain_crash<T>(judge: impl FnOnce() -> Result<T, CheckFailure>) -> Result<T, CheckFailure> {
    // Nothing of what the judging may have left half done is used again.
    catch_unwind(AssertUnwindSafe(judge)).unwrap_or(Err(CheckFailure::Crashed))
}

/// What came of a file, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Linearizable,
    Unknown,
    Unreadable,
    HarnessFailure,
    Crashed,
    Violation,
}

impl Outcome {
    /// All of them, the worst last.
    const ALL: [Self; 6] = [
        Self::Linearizable,
        Self::Unknown,
        Self::Unreadable,
        Self::HarnessFailure,
        Self::Crashed,
        Self::Violation,
    ];

    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::HarnessFailure => "harness failure",
            Self::Crashed => "crashed",
            Self::Violation => "violation",
        }
    }

    fn of(judged: &Result<Judged, CheckFailure>) -> Self {
        match judged {
            Ok(Judged { run: Some(judgement), .. }) => Self::of_run(judgement),
            Ok(Judged { report, .. }) => match report.verdict.exit_code() {
                0 => Self::Linearizable,
                1 => Self::Violation,
                _ => Self::Unknown,
            },
            Err(CheckFailure::Check(_)) => Self::Unreadable,
            Err(CheckFailure::Crashed) => Self::Crashed,
            Err(CheckFailure::Run(judgement)) => Self::of_run(judgement),
        }
    }

    fn of_run(judgement: &Judgement) -> Self {
        match judgement.verdict {
            RunVerdict::Pass => Self::Linearizable,
            RunVerdict::Unknown => Self::Unknown,
            RunVerdict::HarnessFailure => Self::HarnessFailure,
            RunVerdict::Violation => Self::Violation,
        }
    }

    fn exit_code(self) -> u8 {
        match self {
            Self::Linearizable => 0,
            Self::Violation => 1,
            Self::Unreadable => 2,
            Self::Unknown => 3,
            Self::HarnessFailure | Self::Crashed => 4,
        }
    }
}

/// Returns the model that a run's history is meant for, by the plan in its folder.
fn model_of_run(folder: &Path) -> Option<ModelName> {
    let plan = Plan::read(&RunFolder::plan_in(folder)).ok()?;
    Some(workload::by_name(&plan.workload)?.model())
}

/// What is said of a file that could be judged.
#[derive(Debug, Serialize)]
struct Judged {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
    /// The judgement on the whole run, if it is the history of one.
    #[serde(skip)]
    run: Option<Box<Judgement>>,
    /// Whether something that was asked for beside the verdict is not there.
    #[serde(skip)]
    is_lacking: bool,
}

/// Judges a file; if it is the history of a run, the whole run, as the run itself did.
fn judge(
    file: &HistoryFile,
    args: &CheckArgs,
    is_only: bool,
    options: &Options,
) -> Result<Judged, CheckFailure> {
    let path = &file.path;
    let read_failed = |source| CheckError::from(ReadError::Io { path: path.clone(), source });
    let evidence = file.run.as_deref().and_then(|folder| evidence_of(folder, args));
    let content = match fs::read(path) {
        // A harness that was killed at its start has recorded nothing.
        Err(error) if error.kind() == ErrorKind::NotFound && evidence.is_some() => Ok(Vec::new()),
        content => content.map_err(read_failed),
    };
    let judged = content.and_then(|content| {
        judge_content(path, content, args, is_only, options, evidence.as_ref(), None)
    });
    judged.map_err(|error| match &evidence {
        Some(evidence) => CheckFailure::Run(Box::new(conclude(evidence, Err(&error)))),
        None => error.into(),
    })
}

/// Returns what a run is judged by besides its history; none if the folder is that of no run, or of
/// one that kept no facts, or if somebody wants to know about the history by another model.
fn evidence_of(folder: &Path, args: &CheckArgs) -> Option<Evidence> {
    let plan = Plan::read(&RunFolder::plan_in(folder)).ok()?;
    let workload = workload::by_name(&plan.workload)?.into();
    if args.model.is_some() {
        return None;
    }
    match Facts::read(&RunFolder::facts_in(folder)) {
        Ok(facts) => Some(Evidence { plan, workload, facts }),
        Err(error) => {
            let error = describe_error(&error);
            remark(format_args!("warning: only the history is judged, not the run: {error}"));
            None
        }
    }
}

fn judge_content(
    path: &Path,
    content: Vec<u8>,
    args: &CheckArgs,
    is_only: bool,
    options: &Options,
    run: Option<&Evidence>,
    alarm: Option<&Alarm>,
) -> Result<Judged, CheckError> {
    let format = run.map(|_| Format::Jsonl).or(args.format());
    let recording = read_bytes(&path.display().to_string(), &content, format)?;
    // Only a certificate asks for the bytes again, and they may be many.
    let content = args.certificate.is_some().then_some(content);
    let mut report = check(&recording, options)?;
    if let Some(alarm) = alarm {
        report = alarmed(report, &recording, options, alarm)?;
    }
    let is_violation = matches!(report.verdict, Verdict::Violation { .. });
    let is_wanted =
        is_violation && (args.explain || args.certificate.is_some() || args.report.is_some());
    let explained = is_wanted.then(|| explain(&recording, options, &report));
    if let Some(Err(none)) = &explained {
        remark(format_args!("warning: {}: no explanation: {none}", report.name));
    }
    let explanation = explained.and_then(Result::ok);
    let explained = explanation.as_ref();
    let mut is_lacking = false;
    if let (Some(target), Some(content)) = (&args.certificate, &content) {
        let target = beside::path(target, path, is_only, "certificate.json");
        match certify(&recording, content, options, &report, explained) {
            Ok(certificate) => is_lacking |= !keep(&target, &(certificate.to_json() + "\n")),
            Err(none) => {
                remark(format_args!("warning: {} is not written: {none}", target.display()));
                // Of a verdict that is unknown nobody expects a proof.
                is_lacking |= !matches!(report.verdict, Verdict::Unknown { .. });
            }
        }
    }
    let searched = Searched { recording, report };
    let judgement =
        run.map(|evidence| Box::new(conclude(evidence, Ok::<_, &CheckError>(&searched))));
    if let Some(target) = &args.report {
        let Searched { recording, report } = &searched;
        let page = match (run, &judgement) {
            (Some(evidence), Some(judgement)) => {
                let name = path.display().to_string();
                let explanation = explanation.as_ref();
                run_page(&name, judgement, evidence, Some(&searched), explanation)
            }
            _ => page(recording, options, report, explanation.as_ref()),
        };
        match page {
            Ok(page) => is_lacking |= !keep(&beside::path(target, path, is_only, "html"), &page),
            Err(error) => {
                remark(format_args!("error: {} is not written: {error}", target.display()));
                is_lacking = true;
            }
        }
    }
    let Searched { report, .. } = searched;
    let explanation = explanation.filter(|_| args.explain);
    Ok(Judged { report, explanation, run: judgement, is_lacking })
}

/// Writes a file beside the verdict, which stands without it; false if that failed, which was said.
fn keep(target: &Path, content: &str) -> bool {
    beside::write(target, content)
        .inspect_err(|error| remark(format_args!("error: {error}")))
        .is_ok()
}

fn print(path: &Path, judged: &Result<Judged, CheckFailure>, is_json: bool) {
    match judged {
        Ok(judged) => {
            let Judged { report, explanation, run, .. } = judged;
            for warning in &report.warnings {
                remark(format_args!(
                    "warning: {}:{}: {}",
                    report.name, warning.line, warning.message
                ));
            }
            if is_json {
                let object = match run {
                    Some(judgement) => describe_run(path, judgement, explanation.as_ref()),
                    None => json!(judged),
                };
                say(&format!("{object}\n"));
            } else {
                say(&run.as_ref().map_or_else(|| report.describe(), |run| run.describe()));
                if let Some(explanation) = explanation {
                    say(&format!("\n{explanation}"));
                }
            }
        }
        Err(CheckFailure::Run(judgement)) if is_json => {
            say(&format!("{}\n", describe_run(path, judgement, None)));
        }
        Err(CheckFailure::Run(judgement)) => say(&judgement.describe()),
        Err(error) => {
            if is_json {
                let name = path.display().to_string();
                let error = error.to_string();
                say(&format!(
                    "{}\n",
                    json!({"name": name, "verdict": Value::Null, "error": error})
                ));
            }
            match error {
                CheckFailure::Check(error) => remark(format_args!("error: {error}")),
                CheckFailure::Crashed | CheckFailure::Run(_) => {
                    remark(format_args!("error: {}: {error}", path.display()));
                }
            }
        }
    }
}

/// What is said of a run in JSON: the same as when it was judged first, and of which file.
fn describe_run(path: &Path, judgement: &Judgement, explanation: Option<&Explanation>) -> Value {
    let mut object = json!(judgement);
    object["name"] = path.display().to_string().into();
    if let Some(explanation) = explanation {
        object["explanation"] = json!(explanation);
    }
    object
}

/// Shows on a terminal that a file is being judged, once it takes long.
fn with_progress<T>(path: &Path, (place, total): (usize, usize), work: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let name = path.file_name().unwrap_or(OsStr::new("history")).to_string_lossy().into_owned();
    let name = if total > 1 { format!("{place} of {total}: {name}") } else { name };
    thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(PROGRESS_AFTER) != Err(mpsc::RecvTimeoutError::Timeout) {
                return;
            }
            let style = ProgressStyle::with_template("{spinner} judging {msg} ({elapsed})");
            let bar = ProgressBar::new_spinner().with_message(name).with_elapsed(PROGRESS_AFTER);
            bar.set_style(style.expect("the template is a constant"));
            bar.enable_steady_tick(Duration::from_millis(200));
            // Ends when the sender is dropped, even by a panic.
            _ = is_done.recv();
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
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

    #[test]
    fn the_worst_file_decides() {
        assert!(Outcome::ALL.is_sorted());
        assert_eq!(Outcome::ALL.map(Outcome::exit_code), [0, 3, 2, 4, 4, 1]);
    }

    #[test]
    fn a_crash_is_no_verdict() {
        let judged: Result<Judged, CheckFailure> = contain_crash(|| panic!("on purpose"));
        assert!(matches!(judged, Err(CheckFailure::Crashed)));
        assert_eq!(Outcome::of(&judged), Outcome::Crashed);
    }
}
