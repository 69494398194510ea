//! The conservation auditor: what a ledger may not do, whatever the order of its operations.
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

mod trades;
mod wealth;

use checker::history::{Operation, Operations, Outcome, Value};
use serde::Deserialize;

use super::{Audit, Breach, Fault, answered, each_object, precedes};

/// The rules; the module's documentation says what they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl From<Rule> for &'static str {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Accounts => "accounts",
            Rule::Cash => "cash",
            Rule::Shares => "shares",
            Rule::Count => "count",
            Rule::History => "history",
            Rule::Twice => "twice",
            Rule::Lost => "lost",
        }
    }
}

/// Audits every book of a ledger's history.
pub fn check(operations: &Operations) -> Audit {
    let finding = each_object(operations, |book, operations| {
        let unread = check_book(book, operations)?;
        Ok((unread > 0)
            .then(|| format!("{unread} acknowledged trades of {book} were never read back")))
    });
    let summary = "every rule holds".into();
    Audit { name: "conservation", finding, summary, measures: serde_json::Value::Null }
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

/// Reads the argument of an operation.
fn input<'a, T: Deserialize<'a>>(operation: &'a Operation) -> Result<T, Fault> {
    let line = operation.invoked.line;
    T::deserialize(&operation.input).map_err(|_| Fault::Shape { line })
}

/// Reads the answer of an operation.
fn output<'a, T: Deserialize<'a>>(operation: &'a Operation, answer: &'a Value) -> Result<T, Fault> {
    T::deserialize(answer).map_err(|_| Fault::shape(operation))
}

#[cfg(test)]
mod tests;
