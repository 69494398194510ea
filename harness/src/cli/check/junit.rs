//! The verdicts as JUnit's XML, which build servers show: one test case a history.
//!
//! Only a history that is linearizable is green. A violation is a failure; an unknown verdict, and a
//! file that could not be judged, are errors, because a build that did not learn what it asked must not
//! pass.

use std::path::Path;
use std::time::Duration;

use crate::judgement::{Judgement, RunVerdict};
use checker::check::Report;
use checker::verdict::{Unknown, Verdict};
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

/// Test cases as they come.
#[derive(Debug)]
pub(super) struct Suite(TestSuite);

impl Suite {
    pub(super) fn new() -> Self {
        Self(TestSuite::new("histories"))
    }

    /// Adds a history that was judged.
    pub(super) fn add(&mut self, path: &Path, report: &Report) {
        let (kind, name, summary) = match &report.verdict {
            Verdict::Linearizable => {
                return self.push(path, TestCaseStatus::success(), report.elapsed);
            }
            Verdict::Violation { witness } => {
                (NonSuccessKind::Failure, "violation", format!("not linearizable: {}", witness.end))
            }
            Verdict::Unknown { why } => (NonSuccessKind::Error, "unknown", describe_unknown(why)),
        };
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(name).set_message(summary).set_description(report.describe());
        self.push(path, status, report.elapsed);
    }

    /// Adds a run that was judged as a whole.
    pub(super) fn add_run(&mut self, path: &Path, judgement: &Judgement, elapsed: Duration) {
        let kind = match judgement.verdict {
            RunVerdict::Pass => return self.push(path, TestCaseStatus::success(), elapsed),
            RunVerdict::Violation => NonSuccessKind::Failure,
            RunVerdict::Unknown | RunVerdict::HarnessFailure => NonSuccessKind::Error,
        };
        let verdict = judgement.verdict.to_string().to_lowercase();
        let mut status = TestCaseStatus::non_success(kind);
        status
            .set_type(verdict.clone())
            .set_message(format!("{verdict}: {}", judgement.judges().join(", ")))
            .set_description(judgement.describe());
        self.push(path, status, elapsed);
    }

    /// Adds a history that could not be judged.
    pub(super) fn add_error(&mut self, path: &Path, name: &str, error: &str) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type(name).set_message(error);
        self.push(path, status, Duration::ZERO);
    }

    fn push(&mut self, path: &Path, status: TestCaseStatus, time: Duration) {
        let mut case = TestCase::new(path.display().to_string(), status);
        case.set_classname("stormproof.check").set_time(time);
        self.0.add_test_case(case);
    }

    /// Renders what came so far.
    pub(super) fn render(&self) -> String {
        let mut report = Junit::new("stormproof check");
        report.add_test_suite(self.0.clone());
        report.to_string().expect("what was said of histories can be written as XML")
    }
}

fn describe_unknown(why: &Unknown) -> String {
    let reason = serde_json::to_value(why)
        .ok()
        .and_then(|why| Some(why.get("reason")?.as_str()?.to_owned()));
    format!("unknown: {}", reason.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use checker::check::{Options, check};
    use checker::history::read_bytes;

    use super::*;

    #[test]
    fn only_linearizable_histories_are_green() {
        let mut suite = Suite::new();
        let line =
            |event_type: &str, f: &str, value: &str| format!("0\t:{event_type}\t:{f}\t{value}\n");
        let write = line("invoke", "write", "5") + &line("ok", "write", "5");
        let read = line("invoke", "read", "nil");
        for (name, content) in [
            ("good", write.clone() + &read + &line("ok", "read", "5")),
            ("bad<&>", write + &read + &line("ok", "read", "6")),
            ("unanswered", read),
        ] {
            let recording = read_bytes(name, content.as_bytes(), None).unwrap();
            suite.add(Path::new(name), &check(&recording, &Options::default()).unwrap());
        }
        suite.add_error(Path::new("gone"), "unreadable", "failed to read gone");
        let xml = suite.render();
        for expected in [
            r#"tests="4""#,
            r#"failures="1""#,
            r#"errors="2""#,
            "bad&lt;&amp;&gt;",
            r#"type="violation""#,
            r#"type="unknown""#,
            r#"type="unreadable""#,
            "operations that cannot be ordered",
        ] {
            assert!(xml.contains(expected), "{expected} is not in\n{xml}");
        }
    }
}
