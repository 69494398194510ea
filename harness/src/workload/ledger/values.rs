//! Values of the ledger as they stand in a history.

use std::collections::BTreeMap;

use checker::history::{Operation, Value};
use serde::Deserialize;

use super::Fault;

/// The argument of `open`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Open {
    pub(super) account: String,
    pub(super) cash: u64,
    #[serde(default)]
    pub(super) holdings: BTreeMap<String, u64>,
}

/// The argument of `deposit` and `withdraw`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Amount {
    pub(super) amount: u64,
}

/// The argument of `trade`, and a trade as the history lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Terms {
    pub(super) buyer: String,
    pub(super) seller: String,
    pub(super) symbol: String,
    pub(super) quantity: u64,
    pub(super) price: u64,
}

/// The answer to `trade`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Number {
    pub(super) trade: u64,
}

/// The answer to `book`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Book {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) trades: u64,
}

/// An account in the answer to `book`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Account {
    pub(super) cash: u64,
    pub(super) holdings: BTreeMap<String, u64>,
}

/// The argument of `history`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Range {
    pub(super) from: u64,
    pub(super) limit: u64,
}

/// The answer to `history`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Page {
    pub(super) trades: Vec<Entry>,
    pub(super) total: u64,
}

/// A line of the history.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) trade: u64,
    #[serde(flatten)]
    pub(super) terms: Terms,
}

/// Reads the argument of an operation.
pub(super) fn input<'a, T: Deserialize<'a>>(operation: &'a Operation) -> Result<T, Fault> {
    let line = operation.invoked.line;
    T::deserialize(&operation.input).map_err(|_| Fault::Shape { line })
}

/// Reads the answer of an operation.
pub(super) fn output<'a, T: Deserialize<'a>>(
    operation: &'a Operation,
    answer: &'a Value,
) -> Result<T, Fault> {
    let line = operation.completed.unwrap_or(operation.invoked).line;
    T::deserialize(answer).map_err(|_| Fault::Shape { line })
}
