//! The ledger workload: accounts of a few books trade shares for cash.
//!
//! Trades are the majority. Their sizes are drawn so that most go through and some are rejected:
//! accounts run out of a symbol or of cash now and then, and a few operations name an account that
//! does not exist, trade with themselves or move nothing. Rejections are answers like any other, and
//! a system that gets one wrong is caught.

pub(crate) mod values;

use checker::history::Operations;
use checker::model::ModelName;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};

use super::keys::{Keys, is_read};
use super::{Generator, Invocation, Workload};
use crate::audit::{Audit, conservation};
use crate::client::{Mapping, Outcome};
use crate::plan::WorkloadPlan;

pub(super) const NAME: &str = "ledger";

/// What is traded. Three symbols keep each account's holdings small enough to run out sometimes.
const SYMBOLS: [&str; 3] = ["ACME", "BOLT", "CRUX"];

/// What every account begins with: cash in cents, and shares of each symbol.
const CASH: u64 = 1_000_000;
const SHARES: u64 = 100;

/// The largest size of each kind of operation. A trade at the middle of both ranges moves a
/// hundredth of an account's cash and a tenth of its shares: after some tens of trades some
/// account is short of something.
const QUANTITY_MAX: u64 = 20;
const PRICE_MAX: u64 = 2_500;
const TRANSFER_MAX: u64 = 50_000;
const DEPOSIT_MAX: u64 = 10_000;

/// How many operations of a hundred change something, and how many are reads.
const MUTATIONS: u32 = 71;
const READS: u8 = 100 - MUTATIONS as u8;

/// One operation in this many is a mistake on purpose.
const MISTAKES: u32 = 50;

/// The last trades that a history read in the middle of a run asks for.
const EXCERPT: u64 = 20;

/// Books `book-0`, `book-1` and so on, each with accounts `a0`, `a1` and so on.
#[derive(Clone, Debug)]
pub struct Ledger {
    books: u64,
    accounts: u64,
    zipf: f64,
    reads: Option<u8>,
}

impl Ledger {
    /// Makes a workload.
    pub fn new(plan: &WorkloadPlan) -> Self {
        Self {
            books: plan.keys.max(1),
            // Trades need two accounts.
            accounts: plan.accounts.max(2),
            zipf: plan.zipf,
            reads: plan.read_percent,
        }
    }

    fn books(&self) -> impl Iterator<Item = String> {
        (0..self.books).map(|number| format!("book-{number}"))
    }

    fn accounts(&self) -> impl Iterator<Item = String> {
        (0..self.accounts).map(|number| format!("a{number}"))
    }
}

impl Workload for Ledger {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mapping(&self) -> Mapping {
        Mapping::Ledger
    }

    fn set_up(&self) -> Vec<Invocation> {
        let holdings: Value =
            SYMBOLS.iter().map(|&symbol| (symbol.to_owned(), json!(SHARES))).collect();
        let open = |book: String, account| {
            let value = json!({"account": account, "cash": CASH, "holdings": holdings});
            Invocation::new("open", book, value)
        };
        self.books()
            .flat_map(|book| self.accounts().map(move |account| (book.clone(), account)))
            .map(|(book, account)| open(book, account))
            .collect()
    }

    /// An account that exists will do: an earlier attempt with an unknown outcome opened it.
    fn is_set_up(&self, answer: &Value) -> bool {
        answer.get("rejected").is_none_or(|why| why == "account-exists")
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        Box::new(Mix {
            random,
            draw: Keys::new(self.books, self.zipf),
            reads: self.reads,
            trades: vec![0; self.books().count()],
            books: self.books().collect(),
            accounts: self.accounts().collect(),
        })
    }

    /// After the book comes its whole history, page by page.
    fn final_read_after(&self, read: &Invocation, answer: &Value) -> Option<Invocation> {
        let from = match read.f {
            "book" => 1,
            _ => {
                let page = answer.get("trades")?.as_array()?;
                let last = page.last()?.get("trade")?.as_u64()?;
                let total = answer.get("total")?.as_u64()?;
                if last >= total {
                    return None;
                }
                last + 1
            }
        };
        Some(Invocation::new("history", read.key.clone(), json!({"from": from, "limit": 0})))
    }

    fn functions(&self) -> Vec<&'static str> {
        let mutations = ["trade", "transfer", "deposit", "withdraw"];
        super::functions(self.reads.unwrap_or(READS), &["account", "book", "history"], &mutations)
    }

    fn model(&self) -> ModelName {
        ModelName::Ledger
    }

    fn judge(&self, operations: &Operations) -> Vec<Audit> {
        vec![conservation::check(operations)]
    }
}

struct Mix {
    random: ChaCha12Rng,
    books: Vec<String>,
    draw: Keys,
    /// How many operations of a hundred are reads, if the plan says so.
    reads: Option<u8>,
    accounts: Vec<String>,
    /// The highest trade number that somebody saw in each book.
    trades: Vec<u64>,
}

impl Mix {
    fn account(&mut self) -> String {
        self.accounts[self.random.random_range(0..self.accounts.len())].clone()
    }

    /// Two different accounts, except by mistake.
    fn pair(&mut self) -> (String, String) {
        let count = self.accounts.len();
        let first = self.random.random_range(0..count);
        if self.is_mistake() {
            return match self.random.random_bool(0.5) {
                true => (self.accounts[first].clone(), self.accounts[first].clone()),
                false => (self.accounts[first].clone(), "nobody".into()),
            };
        }
        let second = (first + self.random.random_range(1..count)) % count;
        (self.accounts[first].clone(), self.accounts[second].clone())
    }

    /// A size from 1 up, except by mistake.
    fn size(&mut self, largest: u64) -> u64 {
        if self.is_mistake() { 0 } else { self.random.random_range(1..=largest) }
    }

    fn is_mistake(&mut self) -> bool {
        self.random.random_range(0..MISTAKES) == 0
    }
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        let book = self.draw.draw(&mut self.random);
        let kind = match self.reads {
            None => self.random.random_range(0..100),
            Some(reads) if is_read(reads, &mut self.random) => {
                self.random.random_range(MUTATIONS..100)
            }
            Some(_) => self.random.random_range(0..MUTATIONS),
        };
        let (f, value) = match kind {
            0..55 => {
                let (buyer, seller) = self.pair();
                let symbol = SYMBOLS[self.random.random_range(0..SYMBOLS.len())];
                let quantity = self.size(QUANTITY_MAX);
                let price = self.random.random_range(0..=PRICE_MAX);
                let value = json!({"buyer": buyer, "seller": seller, "symbol": symbol,
                    "quantity": quantity, "price": price});
                ("trade", value)
            }
            55..65 => {
                let (from, to) = self.pair();
                let amount = self.size(TRANSFER_MAX);
                ("transfer", json!({"from": from, "to": to, "amount": amount}))
            }
            draw @ 65..MUTATIONS => {
                let account = self.account();
                let amount = self.size(DEPOSIT_MAX);
                let f = if draw < 68 { "deposit" } else { "withdraw" };
                (f, json!({"account": account, "amount": amount}))
            }
            MUTATIONS..83 => ("account", json!({"account": self.account()})),
            83..95 => ("book", Value::Null),
            _ => {
                let from = self.trades[book].saturating_sub(EXCERPT) + 1;
                ("history", json!({"from": from, "limit": 2 * EXCERPT}))
            }
        };
        Invocation::new(f, self.books[book].clone(), value)
    }

    fn observe(&mut self, invocation: &Invocation, outcome: &Outcome) {
        let Outcome::Ok { value, .. } = outcome else {
            return;
        };
        let number = match invocation.f {
            "trade" => value.get("trade"),
            "history" => value.get("total"),
            _ => None,
        };
        let book = self.books.iter().position(|book| *book == invocation.key);
        if let (Some(number), Some(book)) = (number.and_then(Value::as_u64), book) {
            self.trades[book] = self.trades[book].max(number);
        }
    }

    fn final_reads(&self) -> Vec<Invocation> {
        self.books.iter().map(|book| Invocation::new("book", book, Value::Null)).collect()
    }
}

#[cfg(test)]
mod tests;
