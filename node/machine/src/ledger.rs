//! The stock-trade ledger: books of accounts that hold cash and shares.
//!
//! A book springs into being with its first account, and nothing but a transfer across books concerns
//! two of them. Cash is in integer cents, shares are whole, both are `u64`, and no arithmetic wraps: what would pass
//! the end of the range is rejected. Invariants of a book:
//!
//! - **L1 Conservation.** Cash and shares change in sum only by opens, deposits and withdrawals, and
//!   by transfers across books, which leave the sum over all books as it is.
//! - **L2 All or nothing.** A rejected command changes nothing.
//! - **L3 No gaps.** Trades are numbered 1, 2, 3, … in the order of the log.
//! - **L4 No empty holdings.** A holding of no shares is absent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{StateMachine, Weigh};

mod account;
#[cfg(test)]
mod tests;

pub use account::{Account, NAME_MAX};

/// How many trades one answer holds at most. At the longest names and largest numbers that is some
/// 250 KB, far from the 4 MiB that a gRPC client decodes by default.
pub const HISTORY_MAX: usize = 1000;

/// All books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    books: BTreeMap<String, Book>,
}

/// Accounts that trade with each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    accounts: BTreeMap<String, Account>,
    trades: Vec<Trade>,
}

/// A command and the book that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The book's name.
    pub book: String,
    /// What to do in it.
    pub operation: Operation,
}

/// What can be done in a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opens an account with an endowment.
    Open {
        /// The new account.
        account: String,
        /// Its cash.
        cash: u64,
        /// Its shares; a symbol that is listed twice adds up.
        holdings: Vec<(String, u64)>,
    },
    /// Adds cash from outside.
    Deposit {
        /// The account that gets it.
        account: String,
        /// How much.
        amount: u64,
    },
    /// Takes cash out of the book.
    Withdraw {
        /// The account that gives it.
        account: String,
        /// How much.
        amount: u64,
    },
    /// Shares against cash.
    Trade(Terms),
    /// Moves cash between two accounts.
    Transfer {
        /// The source.
        from: String,
        /// The destination.
        to: String,
        /// How much.
        amount: u64,
    },
    /// Moves cash to an account of another book, or of this one.
    TransferAcross {
        /// The source, in this book.
        from: String,
        /// The other book.
        to_book: String,
        /// The destination, in the other book.
        to: String,
        /// How much.
        amount: u64,
    },
}

/// What a trade is about: the buyer pays `quantity × price`, the seller hands over `quantity` shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Pays.
    pub buyer: String,
    /// Delivers.
    pub seller: String,
    /// Which shares.
    pub symbol: String,
    /// How many.
    pub quantity: u64,
    /// Cents for each; 0 is a gift.
    pub price: u64,
}

/// A trade's number within its book, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TradeNumber(pub u64);

/// A trade that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Its number.
    pub number: TradeNumber,
    /// What it was about.
    pub terms: Terms,
}

/// What a command came to.
pub type Outcome = Result<Receipt, Rejection>;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Receipt {
    /// The account just after an open, deposit or withdrawal.
    Account(Account),
    /// The number that the trade got.
    Trade(TradeNumber),
    /// A transfer.
    Transfer {
        /// The source's cash just after.
        from_cash: u64,
    },
}

/// Why a command was not carried out, or a read found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such account, or no such book.
    #[error("unknown account")]
    UnknownAccount,
    /// The account to be opened exists.
    #[error("account exists")]
    AccountExists,
    /// The payer has too little.
    #[error("insufficient cash")]
    InsufficientCash,
    /// The seller has too few.
    #[error("insufficient shares")]
    InsufficientShares,
    /// A sum or product would not fit.
    #[error("overflow")]
    Overflow,
    /// Both sides are the same account.
    #[error("both sides are the same account")]
    SelfTrade,
    /// Nothing would move.
    #[error("zero quantity")]
    ZeroQuantity,
    /// A name to be created is empty or longer than [`NAME_MAX`].
    #[error("invalid name")]
    InvalidName,
}

/// A look into a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// One account.
    Account {
        /// The book.
        book: String,
        /// The account.
        account: String,
    },
    /// All accounts.
    Book {
        /// The book.
        book: String,
    },
    /// All accounts of several books.
    Books {
        /// The books; empty for all.
        books: BTreeSet<String>,
    },
    /// Its trades.
    History {
        /// The book.
        book: String,
        /// The first number of interest; 0 is taken for 1.
        from: u64,
        /// How many at most; 0 and what is beyond [`HISTORY_MAX`] mean that.
        limit: usize,
    },
}

/// What a [`Query`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The account, or [`Rejection::UnknownAccount`].
    Account(Result<Account, Rejection>),
    /// The whole book; empty if there is no such book.
    Book {
        /// By name, ascending.
        accounts: Vec<(String, Account)>,
        /// How many trades it has seen.
        trades: u64,
    },
    /// Several books, by name, ascending; those that do not exist are empty.
    Books(Vec<(String, Content)>),
    /// A part of the book's trades.
    History {
        /// Those asked for, ascending.
        trades: Vec<Trade>,
        /// How many there are altogether.
        total: u64,
    },
}

/// What is in a book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// By name, ascending.
    pub accounts: Vec<(String, Account)>,
    /// How many trades it has seen.
    pub trades: u64,
}

impl StateMachine for Ledger {
    type Command = Command;
    type Outcome = Outcome;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, Command { book, operation }: &Command) -> Outcome {
        // Only an open may create a book, and only if it is not rejected.
        if let Operation::Open { account, cash, holdings } = operation {
            return self.open(book, account, *cash, holdings).map(Receipt::Account);
        }
        if let Operation::TransferAcross { from, to_book, to, amount } = operation {
            let from_cash = self.transfer_across((book, from), (to_book, to), *amount)?;
            return Ok(Receipt::Transfer { from_cash });
        }
        let mut nowhere = Book::default();
        let book = self.books.get_mut(book).unwrap_or(&mut nowhere);
        match operation {
            Operation::Open { .. } | Operation::TransferAcross { .. } => {
                unreachable!("handled above")
            }
            Operation::Deposit { account, amount } => {
                book.deposit(account, *amount).map(Receipt::Account)
            }
            Operation::Withdraw { account, amount } => {
                book.withdraw(account, *amount).map(Receipt::Account)
            }
            Operation::Trade(terms) => book.trade(terms).map(Receipt::Trade),
            Operation::Transfer { from, to, amount } => {
                book.transfer(from, to, *amount).map(|from_cash| Receipt::Transfer { from_cash })
            }
        }
    }

    fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Account { book, account } => Answer::Account(
                self.books
                    .get(book)
                    .and_then(|book| book.accounts.get(account))
                    .cloned()
                    .ok_or(Rejection::UnknownAccount),
            ),
            Query::Book { book } => {
                let Content { accounts, trades } = self.content(book);
                Answer::Book { accounts, trades }
            }
            Query::Books { books } => {
                let asked = if books.is_empty() {
                    self.books.keys().collect::<Vec<_>>()
                } else {
                    books.iter().collect()
                };
                let contents = asked.into_iter().map(|book| (book.clone(), self.content(book)));
                Answer::Books(contents.collect())
            }
            Query::History { book, from, limit } => {
                let trades = self.books.get(book).map_or(&[][..], |book| &book.trades);
                Answer::History {
                    trades: excerpt(trades, *from, *limit).to_vec(),
                    total: trades.len() as u64,
                }
            }
        }
    }
}

impl Weigh for Outcome {
    fn weight(&self) -> usize {
        match self {
            Ok(Receipt::Account(account)) => account.weight(),
            Ok(Receipt::Trade(_) | Receipt::Transfer { .. }) | Err(_) => 0,
        }
    }
}

impl Ledger {
    /// Returns whether L3 and L4 hold everywhere, as they must in a state that was read from outside.
    pub(crate) fn is_sound(&self) -> bool {
        self.books.values().all(|book| {
            let numbers = book.trades.iter().map(|trade| trade.number.0);
            numbers.eq(1..=book.trades.len() as u64)
                && book.accounts.values().all(|account| !account.holdings.values().any(|n| *n == 0))
        })
    }

    fn content(&self, book: &str) -> Content {
        self.books.get(book).map_or_else(Content::default, |book| Content {
            accounts: book
                .accounts
                .iter()
                .map(|(name, account)| (name.clone(), account.clone()))
                .collect(),
            trades: book.trades.len() as u64,
        })
    }

    /// Moves cash between accounts that each have their book. Both new balances are computed before
    /// the first one is stored (L2).
    fn transfer_across(
        &mut self,
        (from_book, from): (&str, &str),
        (to_book, to): (&str, &str),
        amount: u64,
    ) -> Result<u64, Rejection> {
        if from_book == to_book {
            let book = self.books.get_mut(from_book);
            // In a book that does not exist, what else is wrong comes first all the same.
            return book.unwrap_or(&mut Book::default()).transfer(from, to, amount);
        }
        check_moves_something(amount)?;
        let source = self.account(from_book, from)?.cash;
        let target = self.account(to_book, to)?.cash;
        let source = source.checked_sub(amount).ok_or(Rejection::InsufficientCash)?;
        let target = target.checked_add(amount).ok_or(Rejection::Overflow)?;
        self.account(from_book, from)?.cash = source;
        self.account(to_book, to)?.cash = target;
        Ok(source)
    }

    fn account(&mut self, book: &str, account: &str) -> Result<&mut Account, Rejection> {
        let book = self.books.get_mut(book).ok_or(Rejection::UnknownAccount)?;
        book.accounts.get_mut(account).ok_or(Rejection::UnknownAccount)
    }

    fn open(
        &mut self,
        book: &str,
        account: &str,
        cash: u64,
        holdings: &[(String, u64)],
    ) -> Result<Account, Rejection> {
        let symbols = holdings.iter().map(|(symbol, _)| symbol.as_str());
        if ![book, account].into_iter().chain(symbols).all(account::is_valid_name) {
            return Err(Rejection::InvalidName);
        }
        if self.books.get(book).is_some_and(|book| book.accounts.contains_key(account)) {
            return Err(Rejection::AccountExists);
        }
        let opened = Account::endowed(cash, holdings)?;
        let book = self.books.entry(book.to_owned()).or_default();
        book.accounts.insert(account.to_owned(), opened.clone());
        Ok(opened)
    }
}

impl Book {
    fn deposit(&mut self, account: &str, amount: u64) -> Result<Account, Rejection> {
        check_moves_something(amount)?;
        let account = self.accounts.get_mut(account).ok_or(Rejection::UnknownAccount)?;
        account.cash = account.cash.checked_add(amount).ok_or(Rejection::Overflow)?;
        Ok(account.clone())
    }

    fn withdraw(&mut self, account: &str, amount: u64) -> Result<Account, Rejection> {
        check_moves_something(amount)?;
        let account = self.accounts.get_mut(account).ok_or(Rejection::UnknownAccount)?;
        account.cash = account.cash.checked_sub(amount).ok_or(Rejection::InsufficientCash)?;
        Ok(account.clone())
    }

    /// Settles a trade. Every new balance is computed before the first one is stored (L2).
    fn trade(&mut self, terms: &Terms) -> Result<TradeNumber, Rejection> {
        let Terms { buyer, seller, symbol, quantity, price } = terms;
        check_moves_something(*quantity)?;
        let (before_buyer, before_seller) = self.both(buyer, seller)?;
        let cost = quantity.checked_mul(*price).ok_or(Rejection::Overflow)?;
        let buyer_cash = before_buyer.cash.checked_sub(cost).ok_or(Rejection::InsufficientCash)?;
        let seller_shares = before_seller
            .shares(symbol)
            .checked_sub(*quantity)
            .ok_or(Rejection::InsufficientShares)?;
        let seller_cash = before_seller.cash.checked_add(cost).ok_or(Rejection::Overflow)?;
        let buyer_shares =
            before_buyer.shares(symbol).checked_add(*quantity).ok_or(Rejection::Overflow)?;

        self.existing(buyer).settle(buyer_cash, symbol, buyer_shares);
        self.existing(seller).settle(seller_cash, symbol, seller_shares);
        let number = TradeNumber(self.trades.len() as u64 + 1);
        self.trades.push(Trade { number, terms: terms.clone() });
        Ok(number)
    }

    fn transfer(&mut self, from: &str, to: &str, amount: u64) -> Result<u64, Rejection> {
        check_moves_something(amount)?;
        let (source, destination) = self.both(from, to)?;
        let from_cash = source.cash.checked_sub(amount).ok_or(Rejection::InsufficientCash)?;
        let to_cash = destination.cash.checked_add(amount).ok_or(Rejection::Overflow)?;
        self.existing(from).cash = from_cash;
        self.existing(to).cash = to_cash;
        Ok(from_cash)
    }

    /// Returns two different accounts.
    fn both(&self, one: &str, other: &str) -> Result<(&Account, &Account), Rejection> {
        if one == other {
            return Err(Rejection::SelfTrade);
        }
        match (self.accounts.get(one), self.accounts.get(other)) {
            (Some(one), Some(other)) => Ok((one, other)),
            _ => Err(Rejection::UnknownAccount),
        }
    }

    fn existing(&mut self, account: &str) -> &mut Account {
        self.accounts
            .get_mut(account)
            .expect("the account was looked up under the same exclusive borrow")
    }
}

fn check_moves_something(amount: u64) -> Result<(), Rejection> {
    if amount == 0 { Err(Rejection::ZeroQuantity) } else { Ok(()) }
}

/// Returns the trades from number `from` on, at most `limit` of them.
fn excerpt(trades: &[Trade], from: u64, limit: usize) -> &[Trade] {
    // A trade's number is its place plus one (L3), so no search is needed.
    let start = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX).min(trades.len());
    let limit = if limit == 0 { HISTORY_MAX } else { limit.min(HISTORY_MAX) };
    let end = start.saturating_add(limit).min(trades.len());
    &trades[start..end]
}
