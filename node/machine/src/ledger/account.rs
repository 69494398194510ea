//! What one account holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Rejection;

/// The longest name of a book, an account or a symbol, in bytes: room for a UUID with a prefix, and
/// a bound on what an answer can weigh.
pub const NAME_MAX: usize = 64;

/// What a holding takes besides its symbol: a number, a string's fixed part, its share of a tree.
const HOLDING_WEIGHT: usize = 64;

/// Cash and shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// In cents.
    pub cash: u64,
    /// By symbol; never 0.
    pub holdings: BTreeMap<String, u64>,
}

impl Account {
    /// Returns an account with this endowment; listings of one symbol add up, empty ones are dropped.
    pub(super) fn endowed(cash: u64, holdings: &[(String, u64)]) -> Result<Self, Rejection> {
        let mut account = Self { cash, holdings: BTreeMap::new() };
        for (symbol, quantity) in holdings {
            let sum = account.shares(symbol).checked_add(*quantity).ok_or(Rejection::Overflow)?;
            account.settle(cash, symbol, sum);
        }
        Ok(account)
    }

    /// Returns how many shares of a symbol the account holds.
    #[must_use]
    pub fn shares(&self, symbol: &str) -> u64 {
        self.holdings.get(symbol).copied().unwrap_or(0)
    }

    /// Returns the memory that the holdings take, roughly.
    pub(super) fn weight(&self) -> usize {
        self.holdings.keys().map(|symbol| symbol.len() + HOLDING_WEIGHT).sum()
    }

    /// Sets the cash and the shares of one symbol.
    pub(super) fn settle(&mut self, cash: u64, symbol: &str, shares: u64) {
        self.cash = cash;
        if shares == 0 {
            self.holdings.remove(symbol);
        } else {
            self.holdings.insert(symbol.to_owned(), shares);
        }
    }
}

/// Returns whether a name may be given to something new.
pub(super) fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX
}
