//! What came of a file, in a word and as an exit code.

use super::{CheckFailure, Judged};
use crate::judgement::{Judgement, RunVerdict};

/// What came of a file, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Linearizable,
    Unknown,
    Unreadable,
    HarnessFailure,
    Crashed,
    Violation,
}

impl Outcome {
    /// All of them, the worst last.
    pub(super) const ALL: [Self; 6] = [
        Self::Linearizable,
        Self::Unknown,
        Self::Unreadable,
        Self::HarnessFailure,
        Self::Crashed,
        Self::Violation,
    ];

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::HarnessFailure => "harness failure",
            Self::Crashed => "crashed",
            Self::Violation => "violation",
        }
    }

    pub(super) fn of(judged: &Result<Judged, CheckFailure>) -> Self {
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

    pub(super) fn of_run(judgement: &Judgement) -> Self {
        match judgement.verdict {
            RunVerdict::Pass => Self::Linearizable,
            RunVerdict::Unknown => Self::Unknown,
            RunVerdict::HarnessFailure => Self::HarnessFailure,
            RunVerdict::Violation => Self::Violation,
        }
    }

    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Linearizable => 0,
            Self::Violation => 1,
            Self::Unreadable => 2,
            Self::Unknown => 3,
            Self::HarnessFailure | Self::Crashed => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_file_decides() {
        assert!(Outcome::ALL.is_sorted());
        assert_eq!(Outcome::ALL.map(Outcome::exit_code), [0, 3, 2, 4, 4, 1]);
    }
}
