//! Histories of a stock-trade ledger.

use std::collections::BTreeMap;

use checker::history::EventType;
use serde_json::{Value, json};

use super::{Called, Question, Random, Reference};

const BOOKS: u64 = 5;
const ACCOUNTS: u64 = 5;
const SYMBOLS: u64 = 3;

#[derive(Clone, Default)]
struct Book {
    accounts: BTreeMap<String, (u64, BTreeMap<String, u64>)>,
    trades: Vec<Value>,
}

/// Five books, of which each operation concerns one.
#[derive(Default)]
pub(crate) struct Ledger {
    books: Vec<Book>,
    /// Every book as it was some hundred operations ago.
    old: Vec<Book>,
    applied: u64,
    opened: u64,
}

impl Ledger {
    fn number(question: &Question, field: &str) -> u64 {
        question.value[field].as_u64().expect("the question has this number")
    }

    fn name(question: &Question, field: &str) -> String {
        question.value[field].as_str().expect("the question has this name").to_owned()
    }

    fn read(book: &Book, question: &Question) -> Value {
        let account = |(cash, holdings): &(u64, BTreeMap<String, u64>)| json!({ "cash": cash, "holdings": holdings });
        match question.f {
            "account" => match book.accounts.get(&Self::name(question, "account")) {
                Some(found) => account(found),
                None => json!({ "rejected": "unknown-account" }),
            },
            "book" => {
                let accounts: BTreeMap<_, _> =
                    book.accounts.iter().map(|(name, found)| (name, account(found))).collect();
                json!({ "accounts": accounts, "trades": book.trades.len() })
            }
            _ => {
                let from = Self::number(question, "from").max(1) - 1;
                let limit = match Self::number(question, "limit") {
                    0 => usize::MAX,
                    limit => limit as usize,
                };
                let trades: Vec<_> = book.trades.iter().skip(from as usize).take(limit).collect();
                json!({ "trades": trades, "total": book.trades.len() })
            }
        }
    }

    fn change(book: &mut Book, question: &Question) -> Result<Value, &'static str> {
        let amount = |field| Self::number(question, field);
        let name = |field| Self::name(question, field);
        match question.f {
            "open" => {
                let holdings = serde_json::from_value(question.value["holdings"].clone())
                    .expect("holdings were asked for");
                book.accounts.insert(name("account"), (amount("cash"), holdings));
            }
            "deposit" => {
                book.accounts.get_mut(&name("account")).ok_or("unknown-account")?.0 +=
                    amount("amount")
            }
            "withdraw" => {
                let cash = &mut book.accounts.get_mut(&name("account")).ok_or("unknown-account")?.0;
                *cash = cash.checked_sub(amount("amount")).ok_or("insufficient-cash")?;
            }
            "transfer" => {
                let (from, to) = (name("from"), name("to"));
                if !book.accounts.contains_key(&from) || !book.accounts.contains_key(&to) {
                    return Err("unknown-account");
                }
                let cash = &mut book.accounts.get_mut(&from).ok_or("unknown-account")?.0;
                *cash = cash.checked_sub(amount("amount")).ok_or("insufficient-cash")?;
                let left = *cash;
                book.accounts.get_mut(&to).ok_or("unknown-account")?.0 += amount("amount");
                return Ok(json!({ "cash": left }));
            }
            _ => {
                let (buyer, seller, symbol) = (name("buyer"), name("seller"), name("symbol"));
                let (quantity, cost) = (amount("quantity"), amount("quantity") * amount("price"));
                if !book.accounts.contains_key(&buyer) || !book.accounts.contains_key(&seller) {
                    return Err("unknown-account");
                }
                if book.accounts[&buyer].0 < cost {
                    return Err("insufficient-cash");
                }
                let held = book.accounts[&seller].1.get(&symbol).copied().unwrap_or(0);
                if held < quantity {
                    return Err("insufficient-shares");
                }
                let seller = book.accounts.get_mut(&seller).ok_or("unknown-account")?;
                seller.0 += cost;
                seller.1.insert(symbol.clone(), held - quantity);
                seller.1.retain(|_, held| *held > 0);
                let buyer = book.accounts.get_mut(&buyer).ok_or("unknown-account")?;
                buyer.0 -= cost;
                *buyer.1.entry(symbol).or_default() += quantity;
                let mut trade = question.value.clone();
                trade["trade"] = json!(book.trades.len() + 1);
                book.trades.push(trade);
                return Ok(json!({ "trade": book.trades.len() }));
            }
        }
        let (cash, holdings) = &book.accounts[&name("account")];
        Ok(json!({ "cash": cash, "holdings": holdings }))
    }

    fn index(question: &Question) -> usize {
        let digits = question.key.as_deref().and_then(|key| key.strip_prefix("book-"));
        digits.and_then(|digits| digits.parse().ok()).expect("every question names a book")
    }
}

impl Reference for Ledger {
    fn ask_last(&self) -> Vec<Question> {
        let read = |book, f, value| Question {
            key: Some(format!("book-{book}")),
            f,
            value,
            is_mutation: false,
        };
        let whole = json!({ "from": 1, "limit": 0 });
        (0..BOOKS)
            .flat_map(|book| {
                [read(book, "book", Value::Null), read(book, "history", whole.clone())]
            })
            .collect()
    }

    fn ask(&mut self, random: &mut Random) -> Question {
        let account = |random: &mut Random| format!("a{}", random.below(ACCOUNTS));
        if self.opened < BOOKS * ACCOUNTS {
            let (book, account) = (self.opened / ACCOUNTS, self.opened % ACCOUNTS);
            self.opened += 1;
            let holdings: BTreeMap<String, u64> =
                (0..SYMBOLS).map(|symbol| (format!("S{symbol}"), 1000)).collect();
            let value = json!({ "account": format!("a{account}"), "cash": 1_000_000, "holdings": holdings });
            return Question {
                key: Some(format!("book-{book}")),
                f: "open",
                value,
                is_mutation: false,
            };
        }
        let book = random.below(BOOKS);
        let (first, step) = (random.below(ACCOUNTS), 1 + random.below(ACCOUNTS - 1));
        let (from, to) = (format!("a{first}"), format!("a{}", (first + step) % ACCOUNTS));
        let amount = 1 + random.below(100);
        let (f, value) = match random.below(100) {
            0..55 => {
                let symbol = format!("S{}", random.below(SYMBOLS));
                (
                    "trade",
                    json!({ "buyer": from, "seller": to, "symbol": symbol, "quantity": 1 + random.below(20), "price": 10 * (1 + random.below(50)) }),
                )
            }
            55..60 => ("deposit", json!({ "account": account(random), "amount": amount })),
            60..65 => ("withdraw", json!({ "account": account(random), "amount": amount })),
            65..70 => ("transfer", json!({ "from": from, "to": to, "amount": amount })),
            70..85 => ("account", json!({ "account": account(random) })),
            85..95 => ("book", Value::Null),
            _ => {
                let count =
                    self.books.get(book as usize).map_or(0, |book| book.trades.len() as u64);
                ("history", json!({ "from": 1 + count.saturating_sub(10), "limit": 20 }))
            }
        };
        let is_mutation = matches!(f, "trade" | "deposit" | "withdraw" | "transfer");
        Question { key: Some(format!("book-{book}")), f, value, is_mutation }
    }

    fn apply(&mut self, question: &Question) -> (EventType, Value) {
        self.books.resize(BOOKS as usize, Book::default());
        self.applied += 1;
        if self.applied.is_multiple_of(100) {
            self.old = self.books.clone();
        }
        let book = &mut self.books[Self::index(question)];
        let answer = match question.f {
            "account" | "book" | "history" => Self::read(book, question),
            _ => Self::change(book, question)
                .unwrap_or_else(|rejected| json!({ "rejected": rejected })),
        };
        (EventType::Ok, answer)
    }

    fn stale(&mut self, question: &Question, _called: Called) -> Option<Value> {
        matches!(question.f, "account" | "book")
            .then(|| Self::read(&self.old[Self::index(question)], question))
    }
}
