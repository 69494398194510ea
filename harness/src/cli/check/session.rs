//! What came of several histories so far, for whoever waits for all of them or interrupts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::junit::Suite;
use super::{CheckFailure, Judged, Outcome, say};

/// The exit code of a program that was interrupted from the keyboard.
const INTERRUPTED: u8 = 130;

/// Verdicts as they come.
#[derive(Debug)]
pub(super) struct Session {
    total: usize,
    outcomes: Vec<(PathBuf, Outcome)>,
    junit: Option<(PathBuf, Suite)>,
    has_summary: bool,
}

impl Session {
    pub(super) fn new(total: usize, junit: Option<PathBuf>, is_json: bool) -> Self {
        Self {
            total,
            outcomes: Vec::new(),
            junit: junit.map(|path| (path, Suite::new())),
            has_summary: total > 1 && !is_json,
        }
    }

    /// Takes what came of the next history.
    pub(super) fn add(&mut self, path: &Path, judged: &Result<Judged, CheckFailure>) {
        let outcome = Outcome::of(judged);
        self.outcomes.push((path.to_owned(), outcome));
        if let Some((_, suite)) = &mut self.junit {
            match judged {
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
        let written =
            self.junit.as_ref().map(|(path, suite)| (path, fs::write(path, suite.render())));
        let worst = self.outcomes.iter().map(|(_, outcome)| *outcome).max();
        let code = worst.map_or(0, Outcome::exit_code);
        match written {
            Some((path, Err(error))) => {
                eprintln!("error: failed to write {}: {error}", path.display());
                if code == Outcome::Violation.exit_code() {
                    code
                } else {
                    Outcome::Unreadable.exit_code()
                }
            }
            _ => code,
        }
    }

    /// Says what came of those that were judged, and returns the exit code: a violation stays one.
    fn interrupt(&mut self) -> u8 {
        let left = self.total - self.outcomes.len();
        eprintln!("interrupted: {left} of {} histories have no verdict", self.total);
        if let Some((path, suite)) = &mut self.junit {
            suite.add_error(path, "interrupted", &format!("{left} histories have no verdict"));
        }
        let code = self.finish();
        if code == Outcome::Violation.exit_code() { code } else { INTERRUPTED }
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

/// Ends the program when it is interrupted, with what is known by then.
pub(super) fn end_on_interrupt(session: &Arc<Mutex<Session>>) {
    let session = Arc::clone(session);
    // Whoever cannot be told of interrupts ends by them, as programs do.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            process::exit(session.interrupt().into());
        }
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
        let expected = "4 of 5 histories: 1 not linearizable, 2 unknown, 1 linearizable\n  \
                        h2: not linearizable\n  h0: unknown\n  h3: unknown\n";
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
            assert_eq!(session(outcomes, 3).interrupt(), interrupted);
        }
    }
}
