//! `stormproof check --follow`: judges a history while it is being written.
//!
//! It ends at the first violation, when nothing was written for `--idle`, or when it is interrupted;
//! then what was read is judged once more as a whole, for the witness.

use std::fs;
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use checker::check::Options;
use checker::history::{Format, ReadError};
use checker::stream::Alarm;
use checker::verdict::Verdict;
use indicatif::{ProgressBar, ProgressStyle};

use super::session::{Session, on_signals};
use super::{CheckArgs, CheckFailure, contain_crash, files, judge_content};
use super::{model_of_run, print, with_progress};
use crate::cli::say::remark;
use crate::cli::storm::EXIT_USAGE;
use crate::follow::{Follower, Step};

/// How long to wait for more: a human takes it for at once.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Follows a history and prints what came of it; the exit code is that of the verdict.
pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let [file] = args.files.as_slice() else {
        remark("error: --follow follows one history");
        return ExitCode::from(EXIT_USAGE);
    };
    if args.format().is_some_and(|format| format != Format::Jsonl) {
        remark("error: --follow reads JSON Lines only");
        return ExitCode::from(EXIT_USAGE);
    }
    let path = files::history_of(file);
    let of_run = || file.is_dir().then(|| model_of_run(file)).flatten();
    let options = Options { model: args.model.or_else(of_run), ..args.options() };
    let judged = contain_crash(|| {
        let read_failed =
            |source| CheckFailure::Check(ReadError::Io { path: path.clone(), source }.into());
        let mut follower = Follower::new(path.clone(), options.clone());
        let interrupted = on_interrupt();
        let alarm = follow(&path, &mut follower, args.idle, &interrupted).map_err(read_failed)?;
        let mut content = fs::read(&path).map_err(read_failed)?;
        if let Some(Alarm { completion, .. }) = &alarm {
            let events = follower.events();
            remark(format_args!(
                "violation: no order explains event {completion} (of {events} so far)"
            ));
            // What was written since may be more than anybody can judge in time.
            let end = usize::try_from(follower.bytes()).unwrap_or(usize::MAX);
            if args.certificate.is_some() && content.len() > end {
                // It names what it is of by its digest.
                let name = path.display();
                remark(format_args!(
                    "certified are the first {end} bytes of {name}: verify them (head -c {end})"
                ));
            }
            content.truncate(end);
        }
        // The model may have been told by what was written after the violation.
        let is_guessed = options.model.is_none();
        let options = match &alarm {
            Some(_) => Options { model: options.model.or(follower.model()), ..options.clone() },
            None => options.clone(),
        };
        let mut judged = with_progress(&path, (1, 1), || {
            judge_content(&path, content, args, true, &options, None, alarm.as_ref())
        })?;
        if is_guessed && alarm.is_some() {
            "all that was read told so".clone_into(&mut judged.report.model_reason);
        }
        if alarm.is_some() && matches!(judged.report.verdict, Verdict::Linearizable) {
            remark("error: judged as a whole, it has an order, so one of the two judges is wrong");
            return Err(CheckFailure::Crashed);
        }
        Ok(judged)
    });
    let mut session = Session::new(1, args.junit.clone(), args.json);
    session.add(&path, &judged);
    print(&path, &judged, args.json);
    ExitCode::from(session.finish())
}

/// Reads until there is a violation, or there is no more to come.
fn follow(
    path: &Path,
    follower: &mut Follower,
    idle: Option<Duration>,
    interrupted: &Receiver<()>,
) -> std::io::Result<Option<Alarm>> {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} following {msg} ({elapsed})");
    bar.set_style(style.expect("the template is a constant"));
    let mut warned = false;
    let (mut length, mut changed) = (0, Instant::now());
    loop {
        let step = follower.step()?;
        let (events, held) = (follower.events(), follower.operations_held());
        bar.set_message(format!("{}: {events} events, {held} operations held", path.display()));
        bar.tick();
        let wait = match step {
            Step::Alarm(alarm) => {
                bar.finish_and_clear();
                return Ok(Some(alarm));
            }
            Step::More => Duration::ZERO,
            Step::Nothing => LOOK_AGAIN,
            Step::GivenUp { key, why } => {
                let name = path.display();
                remark(format_args!(
                    "warning: {name}: {key:?} will be judged in the end only: {why}"
                ));
                Duration::ZERO
            }
            Step::Blind(why) => {
                if !std::mem::replace(&mut warned, true) {
                    let name = path.display();
                    remark(format_args!(
                        "warning: {name}: it will be judged in the end only: {why}"
                    ));
                }
                LOOK_AGAIN
            }
        };
        let now = fs::metadata(path).map_or(0, |file| file.len());
        if now != length || wait.is_zero() {
            (length, changed) = (now, Instant::now());
        }
        let is_idle = idle.is_some_and(|idle| changed.elapsed() >= idle);
        let is_interrupted = interrupted.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
        if is_idle || is_interrupted {
            bar.finish_and_clear();
            return Ok(None);
        }
    }
}

/// Tells of the first interrupt or demand to end; the second ends the program.
fn on_interrupt() -> Receiver<()> {
    let (tell, told) = channel();
    let mut is_told = false;
    on_signals(move |code| {
        if std::mem::replace(&mut is_told, true) {
            process::exit(code.into());
        }
        // Whoever follows may have come to an end by itself.
        let _ = tell.send(());
    });
    told
}
