//! Audits: judges of a history by rules of their own, beside the search for an order.
//!
//! An auditor knows what must hold whatever the order of the operations was, names the rule that is
//! broken and shows by which operations. Where an outcome is unknown it reckons with both, so what it
//! finds is certain, and what it passes may still be wrong. It shares nothing with the models.
//!
//! [`elements`] audits sets and lists, [`queue`], [`counter`] and [`lock`] what they are called, and
//! [`conservation`] the ledger and the bank.

pub mod conservation;
pub mod counter;
pub mod elements;
pub mod lock;
pub mod queue;
#[cfg(test)]
mod script;

use std::collections::BTreeMap;
use std::fmt;

use checker::history::{Operation, Operations, Outcome};
use serde::Serialize;
use serde_json::Value;

/// What an auditor has to say of a history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// The auditor.
    #[serde(skip)]
    pub name: &'static str,
    /// Its finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// What a pass rests on, for people.
    #[serde(skip)]
    pub summary: String,
    /// What it has counted and measured.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub measures: Value,
}

/// What a judge of a history found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// All rules hold.
    Pass,
    /// A rule is broken; the first breach found.
    Violation {
        /// The proof.
        breach: Box<Breach>,
    },
    /// The history does not say enough to tell.
    Unknown {
        /// What is missing.
        why: String,
    },
}

impl Finding {
    /// Returns the finding's weight in a composition, on the same scale as
    /// [`checker::verdict::Verdict::rank`].
    pub fn rank(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Unknown { .. } => 1,
            Self::Violation { .. } => 3,
        }
    }
}

/// A rule that was broken, and how one can see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The rule, as the auditor's documentation names it.
    pub rule: &'static str,
    /// The object: a book, a set, a lock.
    pub key: String,
    /// What is wrong, in words.
    pub explanation: String,
    /// The lines of the operations that prove it: each one's invocation, then its completion.
    pub lines: Vec<usize>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        let Self { rule, key, explanation, .. } = self;
        write!(f, "{rule}: {key}: {explanation} (lines {})", lines.join(", "))
    }
}

impl Breach {
    pub(crate) fn new(
        rule: impl Into<&'static str>,
        key: &str,
        explanation: String,
        proof: &[&Operation],
    ) -> Box<Self> {
        let lines = proof.iter().flat_map(|operation| {
            let completed = operation.completed.map(|moment| moment.line);
            std::iter::once(operation.invoked.line).chain(completed)
        });
        Box::new(Self { rule: rule.into(), key: key.into(), explanation, lines: lines.collect() })
    }
}

/// Why an object was not passed.
pub(crate) enum Fault {
    Breach(Box<Breach>),
    /// A value that is none of the workload's.
    Shape {
        line: usize,
    },
}

impl From<Box<Breach>> for Fault {
    fn from(breach: Box<Breach>) -> Self {
        Self::Breach(breach)
    }
}

impl Fault {
    /// Makes the fault of an operation whose invocation or answer cannot be read.
    fn shape(operation: &Operation) -> Self {
        Self::Shape { line: operation.completed.unwrap_or(operation.invoked).line }
    }
}

/// Audits each object by itself: `check` returns what keeps it from being passed, if it is no breach.
/// The first breach is the finding; otherwise any doubt.
pub(crate) fn each_object(
    operations: &Operations,
    mut check: impl FnMut(&str, &[&Operation]) -> Result<Option<String>, Fault>,
) -> Finding {
    let mut objects: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &operations.list {
        if let Some(key) = &operation.key {
            objects.entry(key).or_default().push(operation);
        }
    }
    let mut doubt = None;
    for (key, operations) in &objects {
        match check(key, operations) {
            Ok(None) => {}
            Ok(Some(why)) => drop(doubt.get_or_insert(why)),
            Err(Fault::Breach(breach)) => return Finding::Violation { breach },
            Err(Fault::Shape { line }) => {
                let why = format!("line {line} holds a value that is none of the workload's");
                doubt.get_or_insert(why);
            }
        }
    }
    match doubt {
        Some(why) => Finding::Unknown { why },
        None => Finding::Pass,
    }
}

/// Returns the instant at which the operation was certainly over, if it was answered.
fn answered(operation: &Operation) -> Option<u64> {
    match (&operation.outcome, operation.completed) {
        (Outcome::Ok(_), Some(completed)) => Some(completed.instant),
        _ => None,
    }
}

/// Tells whether `earlier` was over before `later` began. What ended unknown is never over.
fn precedes(earlier: &Operation, later: &Operation) -> bool {
    answered(earlier).is_some_and(|over| over < later.invoked.instant)
}

/// Renders a span of nanoseconds for people.
fn milliseconds(nanoseconds: u64) -> String {
    format!("{:.1} ms", std::time::Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::script::Script;
    use super::*;

    #[test]
    fn a_breach_is_found_behind_a_doubt() {
        let mut script = Script::default();
        script.ok(1, "add", json!(1), json!(1));
        let one = script.operations();
        let mut other = script.operations();
        other.list[0].key = Some("z".into());
        let both = Operations { list: [one.list, other.list].concat(), ..script.operations() };
        let finding = each_object(&both, |key, operations| match key {
            "k" => Ok(Some("nobody knows".into())),
            _ => Err(Breach::new("lost", key, "it is away".into(), operations).into()),
        });
        assert!(matches!(finding, Finding::Violation { breach } if breach.key == "z"));
    }
}
