//! A book of a stock-trade ledger: accounts with cash and shares, and trades between them.
//!
//! Written from the ledger's description, apart from the system that implements it. Within a book
//! trades are numbered 1, 2, 3, … without gaps, so an answered trade says exactly how many trades
//! came before it. What the answers say of trade numbers sharpens what is known of the trades
//! whose outcome is unknown: see [`Model::sharpen`].

mod facet;
mod read;
mod trades;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

pub(crate) use read::read;
pub(crate) use trades::{Trade, Trades};

use super::{Model, Step};
use crate::search::{Budget, Entry, Found};

/// The name of an account or a symbol.
pub(crate) type Name = Arc<str>;

/// The longest name that `open` takes, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What an account owns; shares of which it has none are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) cash: u64,
    pub(crate) holdings: BTreeMap<Name, u64>,
}

/// A book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Book {
    /// The book's own name: opening an account under a bad one is rejected.
    pub(crate) name: Name,
    pub(crate) accounts: BTreeMap<Name, Arc<Account>>,
    pub(crate) trades: Trades,
}

/// What can be asked of a book.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LedgerOp {
    /// Holdings as asked for: a symbol may stand there twice.
    Open {
        account: Name,
        cash: u64,
        holdings: Vec<(Name, u64)>,
    },
    Deposit {
        account: Name,
        amount: u64,
    },
    Withdraw {
        account: Name,
        amount: u64,
    },
    Trade(Trade),
    Transfer {
        from: Name,
        to: Name,
        amount: u64,
    },
    Account {
        account: Name,
    },
    Book,
    History {
        from: u64,
        limit: u64,
    },
}

/// Why a book refuses an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rejection {
    UnknownAccount,
    AccountExists,
    InsufficientCash,
    InsufficientShares,
    Overflow,
    SelfTrade,
    ZeroQuantity,
    InvalidName,
}

impl fmt::Display for Rejection {
    /// Writes its name in a history.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// What a book answers, or what is known of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LedgerAnswer {
    Rejected(Rejection),
    Account(Account),
    Traded(u64),
    /// The source's cash just after.
    Transferred(u64),
    Book {
        accounts: BTreeMap<Name, Arc<Account>>,
        trades: u64,
    },
    History {
        trades: Vec<(u64, Trade)>,
        total: u64,
    },
    /// Never an answer, but what is known of a trade that was not answered: if it happened, then
    /// under a number that no answered trade has.
    TradedBeside(Arc<Numbers>),
}

/// What all answers together say of a book's trade numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Numbers that answered trades have.
    answered: BTreeSet<u64>,
    /// What `history` told of numbers.
    told: BTreeMap<u64, Trade>,
}

impl std::hash::Hash for Numbers {
    /// Every trade of a partition carries the same numbers: to hash them whole for each would take
    /// time with the square of the history.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.answered.len(), self.told.len()).hash(state);
    }
}

impl Numbers {
    fn of(steps: &[Step<Book>]) -> Self {
        let mut numbers = Self::default();
        for step in steps {
            match &step.seen {
                Some(LedgerAnswer::Traded(number)) => _ = numbers.answered.insert(*number),
                Some(LedgerAnswer::History { trades, .. }) => {
                    numbers.told.extend(trades.iter().cloned());
                }
                _ => {}
            }
        }
        numbers
    }

    /// Whether a number may belong to an unanswered trade that does not touch an account.
    fn allow_elsewhere(&self, number: u64, account: &Name) -> bool {
        let is_elsewhere = |trade: &Trade| !trade.touches(account);
        !self.answered.contains(&number) && self.told.get(&number).is_none_or(is_elsewhere)
    }

    fn allow(&self, number: u64, trade: &Trade) -> bool {
        !self.answered.contains(&number) && self.told.get(&number).is_none_or(|told| told == trade)
    }
}

impl Book {
    /// An empty book.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn account(&mut self, name: &Name) -> Result<&mut Account, Rejection> {
        self.accounts.get_mut(name).map(Arc::make_mut).ok_or(Rejection::UnknownAccount)
    }

    fn open(
        &mut self,
        name: &Name,
        cash: u64,
        asked: &[(Name, u64)],
    ) -> Result<LedgerAnswer, Rejection> {
        let is_valid = |name: &Name| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        if !is_valid(&self.name)
            || !is_valid(name)
            || !asked.iter().all(|(symbol, _)| is_valid(symbol))
        {
            return Err(Rejection::InvalidName);
        }
        if self.accounts.contains_key(name) {
            return Err(Rejection::AccountExists);
        }
        let mut holdings = BTreeMap::<Name, u64>::new();
        for (symbol, quantity) in asked.iter().filter(|(_, quantity)| *quantity > 0) {
            let held = holdings.entry(symbol.clone()).or_default();
            *held = held.checked_add(*quantity).ok_or(Rejection::Overflow)?;
        }
        let account = Account { cash, holdings };
        self.accounts.insert(name.clone(), Arc::new(account.clone()));
        Ok(LedgerAnswer::Account(account))
    }

    /// Adds to or takes from an account's cash.
    fn change_cash(
        &mut self,
        name: &Name,
        amount: u64,
        change: impl FnOnce(u64) -> Result<u64, Rejection>,
    ) -> Result<LedgerAnswer, Rejection> {
        if amount == 0 {
            return Err(Rejection::ZeroQuantity);
        }
        let account = self.account(name)?;
        account.cash = change(account.cash)?;
        Ok(LedgerAnswer::Account(account.clone()))
    }

    fn transfer(&mut self, from: &Name, to: &Name, amount: u64) -> Result<LedgerAnswer, Rejection> {
        if amount == 0 {
            return Err(Rejection::ZeroQuantity);
        }
        if from == to {
            return Err(Rejection::SelfTrade);
        }
        let (source, target) = (self.peek(from)?.cash, self.peek(to)?.cash);
        let source = source.checked_sub(amount).ok_or(Rejection::InsufficientCash)?;
        let target = target.checked_add(amount).ok_or(Rejection::Overflow)?;
        self.account(from)?.cash = source;
        self.account(to)?.cash = target;
        Ok(LedgerAnswer::Transferred(source))
    }

    fn trade(&mut self, trade: &Trade) -> Result<LedgerAnswer, Rejection> {
        if trade.quantity == 0 {
            return Err(Rejection::ZeroQuantity);
        }
        if trade.buyer == trade.seller {
            return Err(Rejection::SelfTrade);
        }
        let (buyer, seller) = (self.peek(&trade.buyer)?, self.peek(&trade.seller)?);
        let cost = trade.quantity.checked_mul(trade.price).ok_or(Rejection::Overflow)?;
        let buyer_cash = buyer.cash.checked_sub(cost).ok_or(Rejection::InsufficientCash)?;
        let held = |account: &Account| account.holdings.get(&trade.symbol).copied().unwrap_or(0);
        let seller_held =
            held(seller).checked_sub(trade.quantity).ok_or(Rejection::InsufficientShares)?;
        let seller_cash = seller.cash.checked_add(cost).ok_or(Rejection::Overflow)?;
        let buyer_held = held(buyer).checked_add(trade.quantity).ok_or(Rejection::Overflow)?;

        let seller = self.account(&trade.seller)?;
        seller.cash = seller_cash;
        if seller_held == 0 {
            seller.holdings.remove(&trade.symbol);
        } else {
            seller.holdings.insert(trade.symbol.clone(), seller_held);
        }
        let buyer = self.account(&trade.buyer)?;
        buyer.cash = buyer_cash;
        buyer.holdings.insert(trade.symbol.clone(), buyer_held);
        self.trades = self.trades.with(trade.clone());
        Ok(LedgerAnswer::Traded(self.trades.count()))
    }

    fn peek(&self, name: &Name) -> Result<&Account, Rejection> {
        self.accounts.get(name).map(Arc::as_ref).ok_or(Rejection::UnknownAccount)
    }

    fn apply(&mut self, op: &LedgerOp) -> Result<LedgerAnswer, Rejection> {
        match op {
            LedgerOp::Open { account, cash, holdings } => self.open(account, *cash, holdings),
            LedgerOp::Deposit { account, amount } => self.change_cash(account, *amount, |cash| {
                cash.checked_add(*amount).ok_or(Rejection::Overflow)
            }),
            LedgerOp::Withdraw { account, amount } => self.change_cash(account, *amount, |cash| {
                cash.checked_sub(*amount).ok_or(Rejection::InsufficientCash)
            }),
            LedgerOp::Trade(trade) => self.trade(trade),
            LedgerOp::Transfer { from, to, amount } => self.transfer(from, to, *amount),
            LedgerOp::Account { account } => Ok(LedgerAnswer::Account(self.peek(account)?.clone())),
            LedgerOp::Book => Ok(LedgerAnswer::Book {
                accounts: self.accounts.clone(),
                trades: self.trades.count(),
            }),
            LedgerOp::History { from, limit } => {
                let trades = self.trades.numbered(*from, *limit);
                Ok(LedgerAnswer::History { trades, total: self.trades.count() })
            }
        }
    }

    /// Whether a read would have this answer, found out without making the answer.
    fn is_read_legal(&self, op: &LedgerOp, seen: &LedgerAnswer) -> bool {
        match (op, seen) {
            (LedgerOp::Account { account }, LedgerAnswer::Account(seen)) => {
                self.peek(account).is_ok_and(|found| found == seen)
            }
            (LedgerOp::Book, LedgerAnswer::Book { accounts, trades }) => {
                *trades == self.trades.count() && *accounts == self.accounts
            }
            (LedgerOp::History { from, limit }, LedgerAnswer::History { trades, total }) => {
                let is_short = *limit == 0 || trades.len() as u64 <= *limit;
                is_short && *total == self.trades.count() && self.is_excerpt(*from, trades)
            }
            (op, seen) => self.clone().invoke(op) == *seen,
        }
    }

    /// Whether these are the book's trades from a number on. An answer holds as many as fit, so
    /// it may stop early; but it holds at least one if there is one to give.
    fn is_excerpt(&self, from: u64, seen: &[(u64, Trade)]) -> bool {
        let from = from.max(1);
        match seen.is_empty() {
            true => from > self.trades.count(),
            false => self.trades.numbered(from, seen.len() as u64) == seen,
        }
    }
}

impl SequentialSpec for Book {
    type Op = LedgerOp;
    type Ret = LedgerAnswer;

    fn invoke(&mut self, op: &LedgerOp) -> LedgerAnswer {
        self.apply(op).unwrap_or_else(LedgerAnswer::Rejected)
    }
}

impl Model for Book {
    const HAS_REFUTATION: bool = true;

    const HAS_HOPELESS: bool = true;

    fn is_pure(op: &LedgerOp, seen: Option<&LedgerAnswer>) -> bool {
        matches!(op, LedgerOp::Account { .. } | LedgerOp::Book | LedgerOp::History { .. })
            || matches!(seen, Some(LedgerAnswer::Rejected(_)))
    }

    fn step(&self, op: &LedgerOp, seen: Option<&LedgerAnswer>) -> Option<Self> {
        match (op, seen) {
            (LedgerOp::Account { .. } | LedgerOp::Book | LedgerOp::History { .. }, Some(seen)) => {
                self.is_read_legal(op, seen).then(|| self.clone())
            }
            (LedgerOp::Trade(trade), Some(LedgerAnswer::TradedBeside(numbers))) => {
                let is_allowed = numbers.allow(self.trades.count() + 1, trade);
                let mut next = self.clone();
                (is_allowed && matches!(next.invoke(op), LedgerAnswer::Traded(_))).then_some(next)
            }
            (LedgerOp::Trade(_), Some(LedgerAnswer::Traded(number)))
                if *number != self.trades.count() + 1 =>
            {
                None
            }
            _ => {
                let mut next = self.clone();
                let answer = next.invoke(op);
                seen.is_none_or(|seen| *seen == answer).then_some(next)
            }
        }
    }

    /// Trades and accounts only ever become more.
    fn is_hopeless(&self, op: &LedgerOp, seen: Option<&LedgerAnswer>) -> bool {
        let Some(seen) = seen else { return false };
        match (op, seen) {
            (LedgerOp::Trade(_), LedgerAnswer::Traded(number)) => self.trades.count() >= *number,
            (_, LedgerAnswer::Book { accounts, trades }) => {
                self.trades.count() > *trades
                    || self.accounts.keys().any(|account| !accounts.contains_key(account))
            }
            (_, LedgerAnswer::History { total, .. }) => self.trades.count() > *total,
            (LedgerOp::Open { account, .. }, LedgerAnswer::Account(_)) => {
                self.accounts.contains_key(account)
            }
            (
                LedgerOp::Deposit { account, .. }
                | LedgerOp::Withdraw { account, .. }
                | LedgerOp::Account { account },
                LedgerAnswer::Rejected(Rejection::UnknownAccount),
            ) => self.accounts.contains_key(account),
            _ => false,
        }
    }

    const HAS_SHARPENING: bool = true;

    fn sharpen(steps: &mut [Step<Self>]) {
        let numbers = Arc::new(Numbers::of(steps));
        for step in steps {
            if matches!(step.op, LedgerOp::Trade(_)) && step.seen.is_none() {
                step.seen = Some(LedgerAnswer::TradedBeside(numbers.clone()));
            }
        }
    }

    fn refute(entries: &[Entry<Self>], budget: Budget) -> Option<Found> {
        facet::refute(entries, budget)
    }

    fn would_answer(&self, op: &LedgerOp) -> String {
        match self.clone().invoke(op) {
            LedgerAnswer::Rejected(why) => format!("a rejection, {why}"),
            LedgerAnswer::Account(account) => describe_account(&account),
            LedgerAnswer::Traded(number) => format!("the number {number}"),
            LedgerAnswer::Transferred(cash) => format!("cash {cash}"),
            LedgerAnswer::Book { .. } => self.describe(),
            LedgerAnswer::History { trades, total } => {
                format!("{} of {total} trades", trades.len())
            }
            LedgerAnswer::TradedBeside(_) => "a number".to_owned(),
        }
    }

    fn describe(&self) -> String {
        let describe = |(name, account): (&Name, &Arc<Account>)| {
            format!("{name}: {}", describe_account(account))
        };
        let accounts: Vec<String> = self.accounts.iter().map(describe).collect();
        format!("{} trades; {}", self.trades.count(), accounts.join("; "))
    }

    /// An account that changed is a copy of its own; the rest is shared with other states.
    fn weight(&self) -> usize {
        let own = self.accounts.values().filter(|account| Arc::strong_count(account) == 1);
        let copies: usize = own.map(|account| 160 + account.holdings.len() * 48).sum();
        320 + self.accounts.len() * 40 + copies
    }
}

fn describe_account(account: &Account) -> String {
    let shares = account.holdings.iter().map(|(symbol, held)| format!(", {held} {symbol}"));
    format!("cash {}{}", account.cash, shares.collect::<String>())
}
