//! The bank workload: cash moves between accounts of several books, and all books are read at once.
//!
//! What is moved between books cannot be judged book by book. All accounts are judged as one: in the
//! history they are accounts `BOOK/ACCOUNT` of the one book `bank`, whose model is the ledger's. What
//! all of them hold together never changes, which the conservation auditor sees by itself.

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

pub(super) const NAME: &str = "bank";

/// The book that stands for all of them.
const BANK: &str = "bank";

/// What every account begins with, and the most that is moved at once: some transfers are rejected
/// because there is too little.
const CASH: u64 = 100;
const AMOUNT_MAX: u64 = 40;

/// How many operations of a hundred are reads, if the plan does not say.
const READS: u8 = 30;

/// Accounts of the books `book-0`, `book-1` and so on.
#[derive(Clone, Debug)]
pub struct Bank {
    books: u64,
    accounts: u64,
    zipf: f64,
    reads: u8,
}

impl Bank {
    /// Makes a workload.
    pub fn new(plan: &WorkloadPlan) -> Self {
        Self {
            books: plan.keys.max(1),
            // With a single book there must be somebody to give to.
            accounts: plan.accounts.max(2),
            zipf: plan.zipf,
            reads: plan.read_percent.unwrap_or(READS),
        }
    }
}

fn account(book: impl std::fmt::Display, account: u64) -> String {
    format!("book-{book}/a{account}")
}

impl Workload for Bank {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mapping(&self) -> Mapping {
        Mapping::Bank
    }

    fn set_up(&self) -> Vec<Invocation> {
        let open = |name| {
            Invocation::new("open", BANK, json!({"account": name, "cash": CASH, "holdings": {}}))
        };
        let books = 0..self.books;
        books
            .flat_map(|book| (0..self.accounts).map(move |name| account(book, name)))
            .map(open)
            .collect()
    }

    /// An account that exists will do: an earlier attempt with an unknown outcome opened it.
    fn is_set_up(&self, answer: &Value) -> bool {
        answer.get("rejected").is_none_or(|why| why == "account-exists")
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        let draw = Keys::new(self.books, self.zipf);
        Box::new(Mix { random, draw, accounts: self.accounts, reads: self.reads })
    }

    fn functions(&self) -> Vec<&'static str> {
        super::functions(self.reads, &["book"], &["transfer"])
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
    draw: Keys,
    accounts: u64,
    reads: u8,
}

impl Mix {
    fn account(&mut self) -> String {
        let book = self.draw.draw(&mut self.random);
        account(book, self.random.random_range(0..self.accounts))
    }
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        if is_read(self.reads, &mut self.random) {
            return Invocation::new("book", BANK, Value::Null);
        }
        // Now and then an account gives to itself, which is refused.
        let (from, to) = (self.account(), self.account());
        let amount = self.random.random_range(1..=AMOUNT_MAX);
        Invocation::new("transfer", BANK, json!({"from": from, "to": to, "amount": amount}))
    }

    fn observe(&mut self, _: &Invocation, _: &Outcome) {}

    fn final_reads(&self) -> Vec<Invocation> {
        vec![Invocation::new("book", BANK, Value::Null)]
    }
}
