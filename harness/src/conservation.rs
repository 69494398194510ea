//! The conservation checker: what a ledger may not do, whatever the order of its operations.
//!
//! It looks at a book as an auditor does, from the clients' records alone, and shares nothing with
//! the model by which the same history is searched for an order. Where an outcome is unknown it
//! reckons with both; so what it finds is certain, and what it passes may still be wrong.
//!
//! The rules, by the names that witnesses carry:
//!
//! - **accounts**: an account is opened once, is in its book ever after, and never before.
//! - **cash**, **shares**: what the accounts of a book hold together is what opens and deposits have
//!   brought and withdrawals have taken; trades and transfers only move it.
//! - **count**: the number of trades never falls, and never exceeds the trades that were asked for.
//! - **history**: the pages of a book's history have no gap, no repetition and no second version.
//! - **twice**: no trade stands in the history more often than it was asked for, no two trades were
//!   acknowledged under one number.
//! - **lost**: an acknowledged trade stands in the history under its number, as it was asked for.

mod parse;
mod trades;
mod wealth;

use std::collections::BTreeMap;
use std::fmt;

use checker::history::{Operation, Operations, Outcome, Value};
use serde::Serialize;

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
    /// The rule.
    pub rule: Rule,
    /// The book.
    pub book: String,
    /// What is wrong, in words.
    pub explanation: String,
    /// The lines of the operations that prove it: each one's invocation, then its completion.
    pub lines: Vec<usize>,
}

/// The rules; the module's documentation says what they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// An account is opened once and stays.
    Accounts,
    /// Cash is conserved.
    Cash,
    /// Shares are conserved.
    Shares,
    /// The number of trades grows, with what was asked for.
    Count,
    /// The history is one list without gaps.
    History,
    /// No trade happens twice.
    Twice,
    /// No acknowledged trade is lost.
    Lost,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        write!(f, "{}: {} (lines {})", self.book, self.explanation, lines.join(", "))
    }
}

impl Breach {
    fn new(rule: Rule, book: &str, explanation: String, proof: &[&Operation]) -> Box<Self> {
        let lines = proof.iter().flat_map(|operation| {
            let completed = operation.completed.map(|moment| moment.line);
            std::iter::once(operation.invoked.line).chain(completed)
        });
        Box::new(Self { rule, book: book.into(), explanation, lines: lines.collect() })
    }
}

/// Why a book was not passed.
enum Fault {
    Breach(Box<Breach>),
    /// A value that is none of the ledger's.
    Shape {
        line: usize,
    },
}

impl From<Box<Breach>> for Fault {
    fn from(breach: Box<Breach>) -> Self {
        Self::Breach(breach)
    }
}

/// Audits every book of a ledger's history.
pub fn check(operations: &Operations) -> Finding {
    let mut books: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &operations.list {
        if let Some(book) = &operation.key {
            books.entry(book).or_default().push(operation);
        }
    }
    let mut doubt = None;
    for (book, operations) in &books {
        match check_book(book, operations) {
            Ok(0) => {}
            Ok(unread) => {
                let why = format!("{unread} acknowledged trades of {book} were never read back");
                doubt.get_or_insert(why);
            }
            Err(Fault::Breach(breach)) => return Finding::Violation { breach },
            Err(Fault::Shape { line }) => {
                let why = format!("line {line} holds a value that is none of the ledger's");
                doubt.get_or_insert(why);
            }
        }
    }
    match doubt {
        Some(why) => Finding::Unknown { why },
        None => Finding::Pass,
    }
}

/// Audits one book; returns how many acknowledged trades no history read has shown.
fn check_book(name: &str, operations: &[&Operation]) -> Result<usize, Fault> {
    wealth::check(name, operations)?;
    trades::check(name, operations)
}

/// How far an operation can be relied on to have changed the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It was done.
    Certain,
    /// It may have been done, or be done yet.
    Possible,
    /// It was refused or did not happen.
    None,
}

fn effect(operation: &Operation) -> Effect {
    match &operation.outcome {
        Outcome::Ok(answer) if answer.get("rejected").is_some() => Effect::None,
        Outcome::Ok(_) => Effect::Certain,
        Outcome::Info => Effect::Possible,
        Outcome::Fail(_) => Effect::None,
    }
}

/// Tells whether `earlier` was over before `later` began. What ended unknown is never over.
fn precedes(earlier: &Operation, later: &Operation) -> bool {
    match (&earlier.outcome, earlier.completed) {
        (Outcome::Ok(_), Some(completed)) => completed.instant < later.invoked.instant,
        _ => false,
    }
}

/// Tells whether `read`, which has completed, may have seen the effect of `operation`.
fn may_be_seen(operation: &Operation, read: &Operation) -> bool {
    read.completed.is_some_and(|completed| operation.invoked.instant <= completed.instant)
}

/// Returns the answer of an operation that has one and was not refused.
fn answer(operation: &Operation) -> Option<&Value> {
    match &operation.outcome {
        Outcome::Ok(answer) if answer.get("rejected").is_none() => Some(answer),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
