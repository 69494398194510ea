//! Writes a history that is linearizable by construction, for measuring the checker:
//! `generate KIND CLIENTS OPERATIONS [INFO_PERMILLE [SEED [stale]]]` with KIND `register` (five
//! values), `unique`, `cas` or `ledger` (five books).
//!
//! The register kinds follow the generator that other checkers were measured with: a counter is
//! the time, a random client takes its next step, idle to invoked to applied to completed.
//! `stale` makes the first read after nine tenths of the operations answer with old news.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use checker::history::{Event, EventType, Process, write_event};
use serde_json::{Value, json};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What is asked of the reference.
struct Question {
    key: Option<String>,
    f: &'static str,
    value: Value,
    is_mutation: bool,
}

trait Reference {
    fn ask(&mut self, random: &mut Random) -> Question;
    fn apply(&mut self, question: &Question) -> (EventType, Value);
    /// The reads with which a run ends.
    fn ask_last(&self) -> Vec<Question> {
        Vec::new()
    }
    /// What the same question was answered long ago.
    fn stale(&mut self, question: &Question) -> Option<Value>;
}

struct Register {
    kind: String,
    value: u64,
    written: u64,
}

impl Reference for Register {
    fn ask(&mut self, random: &mut Random) -> Question {
        let f =
            ["read", "write", "cas"][random.below(if self.kind == "cas" { 3 } else { 2 }) as usize];
        self.written += 1;
        let value = match (f, self.kind.as_str()) {
            ("read", _) => Value::Null,
            ("write", "unique") => json!(self.written),
            ("write", _) => json!(1 + random.below(5)),
            _ => json!([1 + random.below(5), 1 + random.below(5)]),
        };
        Question { key: None, f, value, is_mutation: f != "read" }
    }

    fn apply(&mut self, question: &Question) -> (EventType, Value) {
        let value = &question.value;
        match question.f {
            "read" => return (EventType::Ok, json!(self.value)),
            "write" => self.value = value.as_u64().expect("an integer was asked for"),
            _ if value[0] == self.value => {
                self.value = value[1].as_u64().expect("an integer was asked for")
            }
            _ => return (EventType::Fail, value.clone()),
        }
        (EventType::Ok, value.clone())
    }

    fn stale(&mut self, question: &Question) -> Option<Value> {
        (question.f == "read").then(|| json!(0))
    }
}

const BOOKS: u64 = 5;
const ACCOUNTS: u64 = 5;
const SYMBOLS: u64 = 3;

#[derive(Clone, Default)]
struct Book {
    accounts: BTreeMap<String, (u64, BTreeMap<String, u64>)>,
    trades: Vec<Value>,
}

#[derive(Default)]
struct Ledger {
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

    fn stale(&mut self, question: &Question) -> Option<Value> {
        matches!(question.f, "account" | "book")
            .then(|| Self::read(&self.old[Self::index(question)], question))
    }
}

/// A client's place in its operation.
struct Client {
    process: u64,
    question: Option<Question>,
    answer: Option<(EventType, Value)>,
    /// Whether the outcome will be unknown, and if so whether it happens.
    lost: Option<bool>,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| {
        words.get(index).and_then(|word| word.parse().ok()).unwrap_or(default)
    };
    let kind = words.first().cloned().unwrap_or("register".to_owned());
    let (clients, operations, info) = (number(1, 16), number(2, 10_000), number(3, 0));
    let mut random = Random(number(4, 1));
    let mut is_stale_due = words.get(5).is_some_and(|word| word == "stale");
    let mut reference: Box<dyn Reference> = match kind.as_str() {
        "ledger" => Box::new(Ledger::default()),
        _ => Box::new(Register { kind, value: 0, written: 0 }),
    };
    let idle = |process| Client { process, question: None, answer: None, lost: None };
    let mut slots: Vec<Client> = (0..clients).map(idle).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut time, mut issued, mut completed) = (0, 0, 0);
    while completed < operations {
        let slot = &mut slots[random.below(clients) as usize];
        let mut emit = |process, question: &Question, event_type, value| {
            let event = event(time, process, question, event_type, value);
            time += 1;
            write_event(&mut out, &event)
        };
        let Some(question) = &slot.question else {
            if issued < operations {
                issued += 1;
                let question = reference.ask(&mut random);
                slot.lost = (question.is_mutation && random.below(1000) < info)
                    .then(|| random.below(2) == 0);
                emit(slot.process, &question, EventType::Invoke, question.value.clone())?;
                slot.question = Some(question);
            }
            continue;
        };
        if slot.answer.is_none() && slot.lost != Some(false) {
            slot.answer = Some(reference.apply(question));
            continue;
        }
        if slot.lost.is_some() {
            emit(slot.process, question, EventType::Info, Value::Null)?;
            slot.process += clients;
        } else if let Some((event_type, mut value)) = slot.answer.take() {
            if is_stale_due
                && completed * 10 >= operations * 9
                && let Some(stale) = reference.stale(question)
            {
                is_stale_due = stale == value;
                value = stale;
            }
            emit(slot.process, question, event_type, value)?;
        }
        completed += 1;
        *slot = Client { process: slot.process, question: None, answer: None, lost: None };
    }
    // A run ends with reads of everything, made one after the other.
    for (process, question) in reference.ask_last().into_iter().enumerate() {
        let (event_type, answer) = reference.apply(&question);
        for (event_type, value) in
            [(EventType::Invoke, question.value.clone()), (event_type, answer)]
        {
            let process = u64::MAX - process as u64;
            let event = event(time, process, &question, event_type, value);
            time += 1;
            write_event(&mut out, &event)?;
        }
    }
    out.flush()
}

/// Makes an event; the number that counts the events is also their time.
fn event(
    time: u64,
    process: u64,
    question: &Question,
    event_type: EventType,
    value: Value,
) -> Event {
    Event {
        index: Some(time),
        time: Some(time),
        process: Process::Client(process),
        event_type,
        f: question.f.to_owned(),
        key: question.key.clone(),
        value,
        position: None,
        error: None,
    }
}
