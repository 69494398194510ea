//! What came of the seeds so far, for whoever waits for all of them or interrupts.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use super::output::{self, Progress};
use super::{EXIT_FAILED, EXIT_UNKNOWN, exit_code};
use crate::campaign::Tally;
use crate::run::{RunReport, Verdict};

/// Verdicts as they come.
pub(super) struct Session {
    progress: Progress,
    reach: Reach,
    tally: Tally,
    /// The options by which a replay is the run that it replays.
    wishes: String,
    is_json: bool,
    /// Whether everything so far could be said.
    said: io::Result<()>,
    is_over: bool,
}

/// How far the seeds have come.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// All of them.
    pub(super) seeds: Range<u64>,
    /// The first that has no verdict, …
    pub(super) first_open: u64,
    /// … and those behind it that have one: seeds begin in their order, and do not end in it.
    ended_ahead: BTreeSet<u64>,
    /// Somebody did not want to wait for the others.
    pub(super) is_interrupted: bool,
}

impl Reach {
    fn new(seeds: Range<u64>) -> Self {
        let first_open = seeds.start;
        Self { seeds, first_open, ended_ahead: BTreeSet::new(), is_interrupted: false }
    }

    fn note(&mut self, seed: u64) {
        self.ended_ahead.insert(seed);
        while self.ended_ahead.remove(&self.first_open) {
            self.first_open += 1;
        }
    }

    /// Returns how many seeds have no verdict.
    pub(super) fn left(&self) -> u64 {
        self.seeds.end - self.first_open - self.ended_ahead.len() as u64
    }
}

impl Session {
    pub(super) fn new(seeds: Range<u64>, wishes: String, is_json: bool) -> Self {
        Self {
            progress: Progress::new(seeds.end - seeds.start),
            reach: Reach::new(seeds),
            tally: Tally::default(),
            wishes,
            is_json,
            said: Ok(()),
            is_over: false,
        }
    }

    /// Takes what came of the next seed, and how things stand with it.
    pub(super) fn add(&mut self, report: &RunReport, tally: &Tally) {
        let Self { progress, said, wishes, is_json, .. } = self;
        if !matches!(report.verdict, Verdict::Pass) && said.is_ok() {
            progress.step_aside(|| *said = output::print_report(report, wishes, *is_json));
        }
        progress.show(tally);
        self.reach.note(report.plan.seed.0);
        self.tally = tally.clone();
    }

    /// Says what came of all, and returns the exit code: that of the worst.
    pub(super) fn finish(&mut self) -> io::Result<u8> {
        self.is_over = true;
        self.progress.finish();
        std::mem::replace(&mut self.said, Ok(()))?;
        output::print_tally(&self.tally, &self.reach, self.is_json)?;
        Ok(exit_code(!self.tally.failed.is_empty(), !self.tally.unknown.is_empty()))
    }

    /// Says what came of those that have ended, and returns the exit code: a failure stays one. Nothing
    /// if everything was said, and the program is about to end by itself.
    pub(super) fn interrupt(&mut self, otherwise: u8) -> Option<u8> {
        if self.is_over {
            return None;
        }
        self.reach.is_interrupted = true;
        // Who interrupts a pipe ends its reader too: what cannot be said must not hide the exit code.
        let code = self.finish().unwrap_or(EXIT_UNKNOWN);
        let has_failed = code == EXIT_FAILED || !self.tally.failed.is_empty();
        Some(if has_failed { EXIT_FAILED } else { otherwise })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn session(failed: &[u64], unknown: &[u64]) -> Session {
        let mut session = Session::new(0..9, String::new(), true);
        let named = |seeds: &[u64]| -> BTreeMap<u64, String> {
            seeds.iter().map(|&seed| (seed, "what was wrong".to_owned())).collect()
        };
        session.tally =
            Tally { failed: named(failed), unknown: named(unknown), ..Tally::default() };
        session
    }

    #[test]
    fn the_worst_decides_even_when_interrupted() {
        for (failed, unknown, finished, interrupted) in [
            (&[][..], &[][..], 0, 130),
            (&[], &[4], EXIT_UNKNOWN, 130),
            (&[2], &[], EXIT_FAILED, EXIT_FAILED),
            (&[2], &[4], EXIT_FAILED, EXIT_FAILED),
        ] {
            assert_eq!(session(failed, unknown).finish().unwrap(), finished);
            assert_eq!(session(failed, unknown).interrupt(130), Some(interrupted));
        }
    }

    #[test]
    fn what_was_said_is_not_said_twice() {
        let mut session = session(&[], &[]);
        session.finish().unwrap();
        assert_eq!(session.interrupt(130), None);
    }

    #[test]
    fn a_seed_that_ends_early_is_not_asked_for_again() {
        let mut reach = Reach::new(3..9);
        for (ended, left, open) in [(4, 5, 3), (6, 4, 3), (3, 3, 5), (5, 2, 7), (7, 1, 8)] {
            reach.note(ended);
            assert_eq!((reach.left(), reach.first_open), (left, open), "after {ended}");
        }
    }
}
