//! Histories in the making, for the tests of auditors. The time of each event is ten times its line.

use checker::history::{Operations, operations, read_bytes};
use serde_json::{Value, json};

use super::{Audit, Finding};

/// A history on the key `k`.
#[derive(Default)]
pub(super) struct Script {
    text: String,
    lines: usize,
}

impl Script {
    pub(super) fn event(&mut self, process: u64, kind: &str, f: &str, value: Value) -> &mut Self {
        self.lines += 1;
        let event = json!({"index": self.lines - 1, "time": self.lines * 10, "process": process,
            "type": kind, "f": f, "key": "k", "value": value});
        self.text += &format!("{event}\n");
        self
    }

    pub(super) fn ok(&mut self, process: u64, f: &str, input: Value, output: Value) -> &mut Self {
        self.event(process, "invoke", f, input).event(process, "ok", f, output)
    }

    pub(super) fn info(&mut self, process: u64, f: &str, input: Value) -> &mut Self {
        self.event(process, "invoke", f, input).event(process, "info", f, Value::Null)
    }

    pub(super) fn fail(&mut self, process: u64, f: &str, input: Value) -> &mut Self {
        self.event(process, "invoke", f, input).event(process, "fail", f, Value::Null)
    }

    pub(super) fn operations(&self) -> Operations {
        operations(&read_bytes("script", self.text.as_bytes(), None).unwrap()).unwrap()
    }

    /// The auditor passes it.
    #[track_caller]
    pub(super) fn check_passes(&self, audit: impl Fn(&Operations) -> Audit) -> Audit {
        let audit = audit(&self.operations());
        assert_eq!(audit.finding, Finding::Pass, "{}", self.text);
        audit
    }

    /// The auditor finds this rule broken, and names lines that there are.
    #[track_caller]
    pub(super) fn check_breaks(&self, audit: impl Fn(&Operations) -> Audit, rule: &str) -> Audit {
        let audit = audit(&self.operations());
        match &audit.finding {
            Finding::Violation { breach } if breach.rule == rule => {
                assert!(!breach.lines.is_empty());
                assert!(breach.lines.iter().all(|line| (1..=self.lines).contains(line)));
            }
            other => panic!("expected a breach of {rule:?}, not {other:?}:\n{}", self.text),
        }
        audit
    }

    /// The auditor cannot tell.
    #[track_caller]
    pub(super) fn check_unknown(&self, audit: impl Fn(&Operations) -> Audit) -> Audit {
        let audit = audit(&self.operations());
        assert!(matches!(audit.finding, Finding::Unknown { .. }), "{audit:?}:\n{}", self.text);
        audit
    }
}
