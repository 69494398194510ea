//! What came of several histories so far, for whoever waits for all of them or interrupts.

use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::junit::Suite;
use super::{CheckFailure, Judged, Outcome};
use crate::cli::beside;
use crate::cli::say::{remark, say};

/// The exit code of a program that was interrupted from the keyboard.
const INTERRUPTED: u8 = 130;

/// The exit code of a program that was told to end, as a build server tells a job out of time.
const TERMINATED: u8 = 143;

/// Verdicts as they come.
#[derive(Debug)]
pub(super) struct Session {
    total: usize,
    outcomes: Vec<(PathBuf, Outcome)>,
    junit: Option<(PathBuf, Suite)>,
    has_summary: bool,
    /// Whether something that was asked for beside the verdicts is not there.
    is_lacking: bool,
}

impl Session {
    pub(super) fn new(total: usize, junit: Option<PathBuf>, is_json: bool) -> Self {
        Self {
            total,
            outcomes: Vec::new(),
            junit: junit.map(|path| (path, Suite::new())),
            has_summary: total > 1 && !is_json,
            is_lacking: false,
        }
    }

    /// Takes what came of the next history.
    pub(super) fn add(&mut self, path: &Path, judged: &Result<Judged, CheckFailure>) {
        let outcome = Outcome::of(judged);
        self.is_lacking |= judged.as_ref().is_ok_and(|judged| judged.is_lacking);
        self.outcomes.push((path.to_owned(), outcome));
        if let Some((_, suite)) = &mut self.junit {
            match judged {
                Ok(Judged { run: Some(judgement), report, .. }) => {
                    suite.add_run(path, judgement, report.elapsed);
                }
                Err(CheckFailure::Run(judgement)) => suite.add_run(path, judgement, Duration::ZERO),
                Ok(judged) => suite.add(path, &judged.report),
                Err(error) => suite.add_error(path, outcome.name(), &error.to_string()),
            }
        }
    }

    /// Says what came of all, and returns the exit code: that of the worst.
    pub(super) fn finish(&self) -> u8 {
        if self.has_summary && !self.outcomes.is_empty() {
            say(&self.describe());
        }
        let written = self.junit.as_ref().map(|(path, suite)| beside::write(path, &suite.render()));
        let mut worst = self.outcomes.iter().map(|(_, outcome)| *outcome).max();
        if let Some(Err(error)) = &written {
            remark(format_args!("error: {error}"));
        }
        if self.is_lacking || matches!(written, Some(Err(_))) {
            worst = worst.max(Some(Outcome::Unreadable));
        }
        worst.map_or(0, Outcome::exit_code)
    }

    /// Says what came of those that were judged, and returns the exit code: a violation stays one.
    fn interrupt(&mut self, otherwise: u8) -> u8 {
        let left = self.total - self.outcomes.len();
        remark(format_args!("interrupted: {left} of {} histories have no verdict", self.total));
        if let Some((path, suite)) = &mut self.junit {
            suite.add_error(path, "interrupted", &format!("{left} histories have no verdict"));
        }
        let code = self.finish();
        if code == Outcome::Violation.exit_code() { code } else { otherwise }
    }

    /// One line of counts, and one for each history that did not pass, the worst first.
    fn describe(&self) -> String {
        let count = |outcome| self.outcomes.iter().filter(|(_, of)| *of == outcome).count();
        let counts = Outcome::ALL.iter().rev().filter(|outcome| count(**outcome) > 0);
        let counts: Vec<String> =
            counts.map(|outcome| format!("{} {}", count(*outcome), outcome.name())).collect();
        let mut text =
            format!("{} of {} histories: {}\n", self.outcomes.len(), self.total, counts.join(", "));
        let mut others: Vec<_> =
            self.outcomes.iter().filter(|(_, outcome)| *outcome > Outcome::Linearizable).collect();
        others.sort_by_key(|(_, outcome)| std::cmp::Reverse(*outcome));
        for (path, outcome) in others {
            text += &format!("  {}: {}\n", path.display(), outcome.name());
        }
        text
    }
}

/// Ends the program when it is interrupted or told to end, with what is known by then.
pub(super) fn end_on_interrupt(session: &Arc<Mutex<Session>>) {
    let session = Arc::clone(session);
    on_signals(move |code| {
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        process::exit(session.interrupt(code).into());
    });
}

/// Calls the action, on a thread of its own, at every interrupt and every demand to end, with the exit
/// code of a program that ends by it.
pub(super) fn on_signals(mut act: impl FnMut(u8) + Send + 'static) {
    // Whoever cannot be told of signals ends by them, as programs do; the action is kept all the same,
    // because its end may mean something to others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
    let signals = runtime.as_ref().and_then(|runtime| {
        // They count from here on, and not from when the thread gets to run.
        let _context = runtime.enter();
        Some((signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?))
    });
    thread::spawn(move || {
        let (Some(runtime), Some((mut interrupts, mut terminations))) = (runtime, signals) else {
            let _kept = act;
            loop {
                thread::park();
            }
        };
        runtime.block_on(async {
            loop {
                act(tokio::select! {
                    _ = interrupts.recv() => INTERRUPTED,
                    _ = terminations.recv() => TERMINATED,
                });
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(outcomes: &[Outcome], total: usize) -> Session {
        let mut session = Session::new(total, None, false);
        let numbered = outcomes.iter().enumerate();
        session.outcomes =
            numbered.map(|(number, outcome)| (format!("h{number}").into(), *outcome)).collect();
        session
    }

    #[test]
    fn the_summary_counts_and_names_what_did_not_pass() {
        let outcomes =
            [Outcome::Unknown, Outcome::Linearizable, Outcome::Violation, Outcome::Unknown];
        let expected = "4 of 5 histories: 1 violation, 2 unknown, 1 linearizable\n  \
                        h2: violation\n  h0: unknown\n  h3: unknown\n";
        assert_eq!(session(&outcomes, 5).describe(), expected);
    }

    #[test]
    fn the_worst_decides_even_when_interrupted() {
        for (outcomes, finished, interrupted) in [
            (&[][..], 0, 130),
            (&[Outcome::Linearizable], 0, 130),
            (&[Outcome::Unknown, Outcome::Linearizable], 3, 130),
            (&[Outcome::Violation, Outcome::Linearizable], 1, 1),
        ] {
            assert_eq!(session(outcomes, 3).finish(), finished);
            assert_eq!(session(outcomes, 3).interrupt(INTERRUPTED), interrupted);
        }
    }

    #[test]
    fn what_could_not_be_written_weighs_as_what_could_not_be_read() {
        for (outcome, expected) in [
            (Outcome::Linearizable, 2),
            (Outcome::Unknown, 2),
            (Outcome::Crashed, 4),
            (Outcome::Violation, 1),
        ] {
            let mut lacking = session(&[outcome], 1);
            lacking.is_lacking = true;
            let mut without_junit = session(&[outcome], 1);
            without_junit.junit = Some(("/proc/nowhere/verdicts.xml".into(), Suite::new()));
            assert_eq!((lacking.finish(), without_junit.finish()), (expected, expected));
        }
    }
}
