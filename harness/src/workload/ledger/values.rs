//! Values of the ledger and the bank as they stand in a history: what clients send, and auditors read.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The argument of `open`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Open {
    pub(crate) account: String,
    pub(crate) cash: u64,
    #[serde(default)]
    pub(crate) holdings: BTreeMap<String, u64>,
}

/// The argument of `deposit` and `withdraw`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Amount {
    pub(crate) account: String,
    pub(crate) amount: u64,
}

/// The argument of `transfer`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) amount: u64,
}

/// The argument of `transfer-across`, which is sent to the book of the giver.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Across {
    pub(crate) from: String,
    pub(crate) to_book: String,
    pub(crate) to: String,
    pub(crate) amount: u64,
}

/// The argument of `account`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Name {
    pub(crate) account: String,
}

/// The argument of `trade`, and a trade as the history lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Terms {
    pub(crate) buyer: String,
    pub(crate) seller: String,
    pub(crate) symbol: String,
    pub(crate) quantity: u64,
    pub(crate) price: u64,
}

/// The answer to `trade`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Number {
    pub(crate) trade: u64,
}

/// The answer to `book`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Book {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) trades: u64,
}

/// An account in the answer to `book`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) cash: u64,
    pub(crate) holdings: BTreeMap<String, u64>,
}

/// The argument of `history`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Range {
    pub(crate) from: u64,
    /// None if it is 0.
    pub(crate) limit: u32,
}

/// The answer to `history`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) trades: Vec<Entry>,
    pub(crate) total: u64,
}

/// A line of the history.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) trade: u64,
    #[serde(flatten)]
    pub(crate) terms: Terms,
}
