//! `stormproof check`: judges recorded histories.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use checker::certificate::certify;
use checker::check::{CheckError, Options, Report, alarmed, check};
use checker::explain::{Explanation, explain};
use checker::history::{Format, ReadError, read_bytes};
use checker::model::ModelName;
use checker::stream::Alarm;
use checker::verdict::Verdict;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::beside;
use super::say::{remark, say};
use crate::describe_error;
use crate::facts::Facts;
use crate::judgement::{Evidence, Judgement, Searched, conclude};
use crate::page::{page, run_page};
use crate::plan::Plan;
use crate::run::RunFolder;
use crate::workload;

mod args;
mod files;
mod follow;
mod junit;
mod outcome;
mod session;

pub use args::CheckArgs;
pub(super) use args::FormatArg;
use files::HistoryFile;
pub(super) use files::history_of;
use outcome::Outcome;
use session::Session;

/// How long a file may take before a line says that it is being judged.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_no_verdict() {
        let judged: Result<Judged, CheckFailure> = contain_crash(|| panic!("on purpose"));
        assert!(matches!(judged, Err(CheckFailure::Crashed)));
        assert_eq!(Outcome::of(&judged), Outcome::Crashed);
    }
}
