//! Accounts of a few books trade shares for cash. Most trades go through, some are rejected: an account
//! runs out of a symbol or of cash, or a client makes a mistake.

use machine::ledger::{
    Account, Answer, Command, Content, Operation as Ask, Outcome, Query, Receipt, Rejection, Terms,
};
use serde_json::{Map, Value, json};

use super::{Body, Operation};
use crate::random::Random;

const SYMBOLS: [&str; 2] = ["ACME", "BOLT"];
const CASH: u64 = 100_000;
const SHARES: u64 = 60;
const QUANTITY_MAX: u64 = 20;
const PRICE_MAX: u64 = 900;
const TRANSFER_MAX: u64 = 15_000;
const DEPOSIT_MAX: u64 = 5_000;
/// Thousandths of the operations that are mistakes on purpose.
const MISTAKES: u64 = 20;
/// The largest excerpt of a history that is asked for in the middle of a run.
const EXCERPT: u64 = 20;

/// Draws operations on books.
#[derive(Debug)]
pub(crate) struct Mix {
    random: Random,
    books: u64,
    accounts: u64,
}

impl Mix {
    pub(super) fn new(mut random: Random) -> Self {
        let (books, accounts) = (random.within(1..4), random.within(2..6));
        Self { random, books, accounts }
    }

    pub(super) fn beginning(&self) -> Vec<Operation> {
        let accounts =
            (0..self.books).flat_map(|book| (0..self.accounts).map(move |it| (book, it)));
        accounts.map(|(book, account)| open(&book_name(book), account)).collect()
    }

    pub(super) fn ending(&mut self) -> Vec<Operation> {
        let each = (0..self.books).map(book_name).flat_map(|book| {
            [deposit(&book, account_name(0), 1), read_book(&book), read_history(&book, 1, 0)]
        });
        each.collect()
    }

    pub(super) fn next(&mut self) -> Operation {
        let book = book_name(self.random.below(self.books));
        match self.random.below(100) {
            0..50 => self.trade(&book),
            50..60 => {
                let (from, to) = self.pair();
                let amount = self.size(TRANSFER_MAX);
                let value = json!({"from": from, "to": to, "amount": amount});
                write("transfer", &book, value, Ask::Transfer { from, to, amount })
            }
            60..64 => {
                let (account, amount) = (self.account(), self.size(DEPOSIT_MAX));
                deposit(&book, account, amount)
            }
            64..68 => {
                let (account, amount) = (self.account(), self.size(DEPOSIT_MAX));
                let value = json!({"account": account, "amount": amount});
                write("withdraw", &book, value, Ask::Withdraw { account, amount })
            }
            68..82 => {
                let account = self.account();
                let value = json!({"account": account});
                read("account", &book, value, Query::Account { book: book.clone(), account })
            }
            82..94 => read_book(&book),
            _ => {
                let from = self.random.below(200);
                read_history(&book, from, self.random.within(1..EXCERPT))
            }
        }
    }

    fn trade(&mut self, book: &str) -> Operation {
        let (buyer, seller) = self.pair();
        let symbol = (*self.random.pick(&SYMBOLS)).to_owned();
        let (quantity, price) = (self.size(QUANTITY_MAX), self.random.below(PRICE_MAX));
        let value = json!({"buyer": buyer, "seller": seller, "symbol": symbol,
            "quantity": quantity, "price": price});
        let terms = Terms { buyer, seller, symbol, quantity, price };
        write("trade", book, value, Ask::Trade(terms))
    }

    fn account(&mut self) -> String {
        account_name(self.random.below(self.accounts))
    }

    /// Two different accounts, except by mistake.
    fn pair(&mut self) -> (String, String) {
        let first = self.random.below(self.accounts);
        if self.is_mistake() {
            let other =
                if self.random.permille(500) { account_name(first) } else { "nobody".into() };
            return (account_name(first), other);
        }
        let second = (first + self.random.within(1..self.accounts)) % self.accounts;
        (account_name(first), account_name(second))
    }

    /// A size from 1 up, except by mistake.
    fn size(&mut self, most: u64) -> u64 {
        if self.is_mistake() { 0 } else { self.random.within(1..most + 1) }
    }

    fn is_mistake(&mut self) -> bool {
        self.random.permille(MISTAKES)
    }
}

fn book_name(number: u64) -> String {
    format!("book-{number}")
}

fn account_name(number: u64) -> String {
    format!("a{number}")
}

fn write(f: &'static str, book: &str, value: Value, operation: Ask) -> Operation {
    let command = Command { book: book.to_owned(), operation };
    let body = Body::Write(machine::Command::Ledger(command));
    Operation { f, key: book.to_owned(), value, body, is_urgent: false }
}

fn read(f: &'static str, book: &str, value: Value, query: Query) -> Operation {
    Operation {
        f,
        key: book.to_owned(),
        value,
        body: Body::Read(machine::Query::Ledger(query)),
        is_urgent: false,
    }
}

fn open(book: &str, account: u64) -> Operation {
    let account = account_name(account);
    let holdings = SYMBOLS.map(|symbol| (symbol.to_owned(), SHARES));
    let listed: Map<String, Value> = holdings.iter().cloned().map(|(s, n)| (s, n.into())).collect();
    let value = json!({"account": account, "cash": CASH, "holdings": listed});
    write("open", book, value, Ask::Open { account, cash: CASH, holdings: holdings.into() })
}

fn deposit(book: &str, account: String, amount: u64) -> Operation {
    let value = json!({"account": account, "amount": amount});
    write("deposit", book, value, Ask::Deposit { account, amount })
}

fn read_book(book: &str) -> Operation {
    read("book", book, Value::Null, Query::Book { book: book.to_owned() })
}

fn read_history(book: &str, from: u64, limit: u64) -> Operation {
    let query = Query::History { book: book.to_owned(), from, limit: limit as usize };
    read("history", book, json!({"from": from, "limit": limit}), query)
}

pub(super) fn describe_outcome(outcome: &Outcome) -> Value {
    match outcome {
        Ok(Receipt::Account(account)) => describe_account(account),
        Ok(Receipt::Trade(number)) => json!({"trade": number.0}),
        Ok(Receipt::Transfer { from_cash }) => json!({"cash": from_cash}),
        Err(rejection) => describe_rejection(*rejection),
    }
}

pub(super) fn describe_answer(answer: &Answer) -> Value {
    match answer {
        Answer::Account(Ok(account)) => describe_account(account),
        Answer::Account(Err(rejection)) => describe_rejection(*rejection),
        Answer::Book { accounts, trades } => {
            let accounts = accounts.iter().map(|(name, it)| (name.clone(), describe_account(it)));
            json!({"accounts": accounts.collect::<Map<_, _>>(), "trades": trades})
        }
        Answer::Books(books) => {
            let books = books.iter().map(|(name, content)| {
                let Content { accounts, trades } = content.clone();
                (name.clone(), describe_answer(&Answer::Book { accounts, trades }))
            });
            Value::Object(books.collect())
        }
        Answer::History { trades, total } => {
            let trades = trades.iter().map(|trade| {
                let Terms { buyer, seller, symbol, quantity, price } = &trade.terms;
                json!({"trade": trade.number.0, "buyer": buyer, "seller": seller,
                    "symbol": symbol, "quantity": quantity, "price": price})
            });
            json!({"trades": trades.collect::<Vec<_>>(), "total": total})
        }
    }
}

fn describe_account(account: &Account) -> Value {
    let holdings = account.holdings.iter().map(|(symbol, count)| (symbol.clone(), (*count).into()));
    json!({"cash": account.cash, "holdings": holdings.collect::<Map<_, _>>()})
}

fn describe_rejection(rejection: Rejection) -> Value {
    let name = match rejection {
        Rejection::UnknownAccount => "unknown-account",
        Rejection::AccountExists => "account-exists",
        Rejection::InsufficientCash => "insufficient-cash",
        Rejection::InsufficientShares => "insufficient-shares",
        Rejection::Overflow => "overflow",
        Rejection::SelfTrade => "self-trade",
        Rejection::ZeroQuantity => "zero-quantity",
        Rejection::InvalidName => "invalid-name",
    };
    json!({"rejected": name})
}
