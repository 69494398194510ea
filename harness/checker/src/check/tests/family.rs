//! The families of random histories: what is asked, and how an answer is written.

use serde_json::{Value, json};

use crate::check::FailedCas;
use crate::history::{EventType, OperationRef};
use crate::model::append_list::{self, AppendList, ListAnswer};
use crate::model::counter::{self, Counter, CounterOp};
use crate::model::fifo_queue::{self, FifoQueue, QueueAnswer};
use crate::model::kv::{self, Key, KvAnswer};
use crate::model::ledger::{self, Account, Book, LedgerAnswer, Rejection, Trade};
use crate::model::lock::{self, Lock, LockAnswer};
use crate::model::multi_register::{self, Micro, Registers};
use crate::model::mutex::{self, Mutex};
use crate::model::priority_queue::{self, PriorityAnswer, PriorityQueue};
use crate::model::register::{self, Keys, Register, RegisterAnswer, RegisterOp};
use crate::model::set::{self, Set, SetAnswer};
use crate::model::stack::{self, Stack, StackAnswer};
use crate::model::{Model, ModelName, Reader, Reading, Scalar, Unreadable};

use super::random::Random;

/// Writes a completion: from the question, its answer and its value in the history.
type Render<Op, Ret> = fn(&Op, &Ret, &Value) -> (EventType, Value);

/// How to make and read histories of one model.
pub(super) struct Family<M: Model> {
    pub(super) name: &'static str,
    pub(super) model: ModelName,
    /// The object's key, and the operations with which every history begins.
    pub(super) key: Option<&'static str>,
    pub(super) prelude: Vec<(&'static str, Value)>,
    pub(super) initial: M,
    pub(super) initial_value: Value,
    pub(super) failed_cas: FailedCas,
    /// Whether the question alone decides the answer, so that stateright's tester can judge too.
    pub(super) is_deterministic: bool,
    pub(super) propose: fn(&mut Random) -> (&'static str, Value),
    pub(super) read: fn(&OperationRef<'_>, &Reader) -> Result<Reading<M>, Unreadable>,
    pub(super) render: Render<M::Op, M::Ret>,
}

/// Makes a test of each family.
macro_rules! families {
    ($($name:ident: $what:literal,)*) => {
        $(
            #[test]
            #[doc = $what]
            fn $name() {
                check_family(&family::$name($what));
            }
        )*
    };
}
pub(super) use families;

fn value_of(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Nil => Value::Null,
        Scalar::Bool(bool) => json!(bool),
        Scalar::Int(int) => json!(int),
        Scalar::Large(int) => json!(int),
        Scalar::Text(text) => json!(text.as_str()),
    }
}

pub(super) fn register(name: &'static str) -> Family<Register> {
    Family {
        name,
        model: ModelName::Register,
        key: None,
        prelude: Vec::new(),
        initial: Register(Scalar::Int(0)),
        initial_value: json!(0),
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose: |random| match random.is(50) {
            true => ("read", Value::Null),
            false => ("write", json!(random.below(3))),
        },
        read: |operation, reader| register::read(operation, reader, Keys::InEvent, false),
        render: render_register,
    }
}

/// Values that are mostly written once.
pub(super) fn unique_register(name: &'static str) -> Family<Register> {
    Family {
        propose: |random| match random.below(6) {
            0..3 => ("read", Value::Null),
            3 | 4 => ("write", json!(random.below(12))),
            _ => ("cas", json!([random.below(4), 4 + random.below(12)])),
        },
        ..register_with_cas(name)
    }
}

fn render_register(op: &RegisterOp, answer: &RegisterAnswer, input: &Value) -> (EventType, Value) {
    match (op, answer) {
        (_, RegisterAnswer::Value(value)) => (EventType::Ok, value_of(value)),
        (_, RegisterAnswer::Mismatch(found)) => {
            (EventType::Ok, json!({ "mismatch": found.as_ref().map(value_of) }))
        }
        _ => (EventType::Ok, input.clone()),
    }
}

pub(super) fn register_with_cas(name: &'static str) -> Family<Register> {
    Family {
        model: ModelName::CasRegister,
        initial: Register(Scalar::Nil),
        initial_value: Value::Null,
        propose: |random| match random.below(5) {
            0 | 1 => ("read", Value::Null),
            2 => ("write", json!(random.below(3))),
            _ => ("cas", json!([random.below(3), random.below(3)])),
        },
        read: |operation, reader| register::read(operation, reader, Keys::InEvent, true),
        ..register(name)
    }
}

pub(super) fn register_with_observed_cas(name: &'static str) -> Family<Register> {
    Family {
        failed_cas: FailedCas::Observed,
        render: |op, answer, input| match answer {
            RegisterAnswer::Mismatch(_) => (EventType::Fail, input.clone()),
            _ => render_register(op, answer, input),
        },
        ..register_with_cas(name)
    }
}

pub(super) fn key(name: &'static str) -> Family<Key> {
    Family {
        name,
        model: ModelName::Kv,
        key: None,
        prelude: Vec::new(),
        initial: Key(Scalar::Nil),
        initial_value: Value::Null,
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose: |random| {
            let text = ["", "a", "b"][random.below(3) as usize];
            let expected =
                [json!(null), json!(""), json!("a"), json!("ab")][random.below(4) as usize].clone();
            match random.below(7) {
                0 | 1 => ("get", Value::Null),
                2 => ("put", json!(text)),
                3 | 4 => ("append", json!(text)),
                5 => ("cas", json!({ "expected": expected, "value": text })),
                _ => ("delete", Value::Null),
            }
        },
        read: kv::read,
        render: |_, answer, input| {
            let value = match answer {
                KvAnswer::Stored => input.clone(),
                KvAnswer::Value(value) => value_of(value),
                KvAnswer::Length(length) if *length == 1 => input.clone(),
                KvAnswer::Length(length) => json!({ "length": length }),
                KvAnswer::Swapped => json!({ "swapped": true }),
                KvAnswer::Mismatch(found) => json!({ "mismatch": found.as_ref().map(value_of) }),
                KvAnswer::Existed(existed) => json!({ "existed": existed }),
            };
            (EventType::Ok, value)
        },
    }
}

/// Values that are mostly stored once.
pub(super) fn unique_key(name: &'static str) -> Family<Key> {
    Family {
        propose: |random| {
            let text =
                |number: u64| json!(["", "a", "b", "ab", "ba", "c", "d", "e"][number as usize]);
            match random.below(8) {
                0..4 => ("get", Value::Null),
                4 | 5 => ("put", text(random.below(8))),
                6 => {
                    let (expected, new) = (text(random.below(3)), text(random.below(8)));
                    ("cas", json!({ "expected": expected, "value": new }))
                }
                _ => ("delete", Value::Null),
            }
        },
        ..key(name)
    }
}

pub(super) fn mutex(name: &'static str) -> Family<Mutex> {
    Family {
        name,
        model: ModelName::Mutex,
        key: None,
        prelude: Vec::new(),
        initial: Mutex::default(),
        initial_value: Value::Null,
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose: |random| match random.is(50) {
            true => ("acquire", Value::Null),
            false => ("release", Value::Null),
        },
        read: |operation, _| mutex::read(operation),
        render: |_, answer, _| (EventType::Ok, json!(answer)),
    }
}

pub(super) fn lock(name: &'static str) -> Family<Lock> {
    Family {
        name,
        model: ModelName::Lock,
        key: None,
        prelude: Vec::new(),
        initial: Lock::default(),
        initial_value: Value::Null,
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose: |random| {
            let f = if random.is(50) { "acquire" } else { "release" };
            let owner = match random.below(3) {
                0 => Value::Null,
                1 => json!({ "owner": "a" }),
                _ => json!({ "owner": "b" }),
            };
            (f, owner)
        },
        read: |operation, _| lock::read(operation),
        render: |_, answer, input| {
            let value = match answer {
                LockAnswer::Done => json!(true),
                // Not every system tells every token.
                LockAnswer::Token(token) if token % 4 == 0 => input.clone(),
                LockAnswer::Token(token) => json!({ "token": *token as i64 }),
                LockAnswer::Refused => json!(false),
            };
            (EventType::Ok, value)
        },
    }
}

pub(super) fn lock_with_tokens(name: &'static str) -> Family<Lock> {
    Family {
        initial: Lock { owner: None, token: Some(0) },
        initial_value: json!({ "token": 0 }),
        is_deterministic: false,
        ..lock(name)
    }
}

/// A family of collections, which all begin empty.
fn collection<M: Model + Default>(
    name: &'static str,
    model: ModelName,
    propose: fn(&mut Random) -> (&'static str, Value),
    read: fn(&OperationRef<'_>, &Reader) -> Result<Reading<M>, Unreadable>,
    render: Render<M::Op, M::Ret>,
) -> Family<M> {
    Family {
        name,
        model,
        key: None,
        prelude: Vec::new(),
        initial: M::default(),
        initial_value: Value::Null,
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose,
        read,
        render,
    }
}

pub(super) fn set(name: &'static str) -> Family<Set> {
    let propose = |random: &mut Random| match random.below(6) {
        0 | 1 => ("read", Value::Null),
        2 | 3 => ("add", json!(random.below(3))),
        4 => ("remove", json!(random.below(3))),
        _ => ("contains", json!(random.below(3))),
    };
    collection(name, ModelName::Set, propose, set::read, |_, answer, input| {
        let value = match answer {
            SetAnswer::Added(added) if *input == json!(1) => json!({ "added": added }),
            SetAnswer::Removed(removed) if *input == json!(1) => json!({ "removed": removed }),
            SetAnswer::Added(_) | SetAnswer::Removed(_) => input.clone(),
            SetAnswer::Contains(is_there) => json!(is_there),
            SetAnswer::Elements(elements) => elements.iter().map(value_of).collect(),
            SetAnswer::Twice(_) => unreachable!("no set answers this"),
        };
        (EventType::Ok, value)
    })
}

pub(super) fn fifo_queue(name: &'static str) -> Family<FifoQueue> {
    let propose = |random: &mut Random| match random.is(50) {
        true => ("dequeue", Value::Null),
        false => ("enqueue", json!(random.below(3))),
    };
    collection(name, ModelName::FifoQueue, propose, fifo_queue::read, |_, answer, input| {
        let value = match answer {
            QueueAnswer::Enqueued => input.clone(),
            QueueAnswer::Dequeued(element) => value_of(element),
            QueueAnswer::Empty => Value::Null,
        };
        (EventType::Ok, value)
    })
}

pub(super) fn stack(name: &'static str) -> Family<Stack> {
    let propose = |random: &mut Random| match random.is(50) {
        true => ("pop", Value::Null),
        false => ("push", json!(random.below(3))),
    };
    collection(name, ModelName::Stack, propose, stack::read, |_, answer, input| {
        let value = match answer {
            StackAnswer::Pushed => input.clone(),
            StackAnswer::Popped(element) => value_of(element),
            StackAnswer::Empty => Value::Null,
        };
        (EventType::Ok, value)
    })
}

pub(super) fn priority_queue(name: &'static str) -> Family<PriorityQueue> {
    let propose = |random: &mut Random| match random.below(6) {
        0 | 1 => ("pop-min", Value::Null),
        2 => ("pop-max", Value::Null),
        _ => ("insert", json!([random.below(3), 7])),
    };
    let read = priority_queue::read;
    collection(name, ModelName::PriorityQueue, propose, read, |_, answer, input| {
        let value = match answer {
            PriorityAnswer::Inserted => input.clone(),
            PriorityAnswer::Popped { priority, value } => {
                let priority = priority.as_ref().expect("the queue knows it");
                json!([value_of(priority), value_of(value)])
            }
            PriorityAnswer::Empty => Value::Null,
        };
        (EventType::Ok, value)
    })
}

pub(super) fn priority_queue_with_ties(name: &'static str) -> Family<PriorityQueue> {
    Family {
        is_deterministic: false,
        propose: |random| match random.below(6) {
            0 | 1 => ("pop-min", Value::Null),
            2 => ("pop-max", Value::Null),
            _ => ("insert", json!([random.below(2), random.below(3)])),
        },
        ..priority_queue(name)
    }
}

pub(super) fn counter(name: &'static str) -> Family<Counter> {
    let propose = |random: &mut Random| match random.below(6) {
        0 | 1 => ("read", Value::Null),
        2 | 3 => ("add", json!(random.below(3))),
        4 => ("increment", Value::Null),
        _ => ("decrement", json!(random.below(3))),
    };
    collection(name, ModelName::Counter, propose, counter::read, |op, answer, input| {
        let after = json!(*answer as i64);
        let value = match op {
            CounterOp::Read => after,
            CounterOp::Add(_) if input.is_null() => after,
            CounterOp::Add(1) => json!({ "value": after }),
            CounterOp::Add(-1) => json!({ "before": *answer as i64 + 1 }),
            CounterOp::Add(_) => input.clone(),
        };
        (EventType::Ok, value)
    })
}

pub(super) fn append_list(name: &'static str) -> Family<AppendList> {
    let propose = |random: &mut Random| match random.is(40) {
        true => ("read", Value::Null),
        false => ("append", json!(random.below(3))),
    };
    collection(name, ModelName::AppendList, propose, append_list::read, |_, answer, input| {
        let value = match answer {
            ListAnswer::Length(length) if *input == json!(1) => json!({ "length": length }),
            ListAnswer::Length(length) if *input == json!(2) => json!({ "index": length - 1 }),
            ListAnswer::Length(_) => input.clone(),
            ListAnswer::Elements(elements) => elements.list().iter().map(value_of).collect(),
        };
        (EventType::Ok, value)
    })
}

pub(super) fn multi_register(name: &'static str) -> Family<Registers> {
    Family {
        name,
        model: ModelName::MultiRegister,
        key: None,
        prelude: Vec::new(),
        initial: Registers { initial: Scalar::Int(0), values: Default::default() },
        initial_value: json!(0),
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose: |random| {
            let mut micros = Vec::new();
            for _ in 0..=random.below(2) {
                let key = ["x", "y"][random.below(2) as usize];
                micros.push(match random.is(50) {
                    true => json!(["r", key, null]),
                    false => json!(["w", key, random.below(3)]),
                });
            }
            ("txn", Value::Array(micros))
        },
        read: multi_register::read,
        render: |op, answer, input| {
            let mut found = answer.iter();
            let mut micros = input.clone();
            for (micro, written) in
                op.iter().zip(micros.as_array_mut().expect("a transaction is a list"))
            {
                if let Micro::Read(_) = micro {
                    let value =
                        found.next().and_then(Option::as_ref).expect("every read has an answer");
                    written[2] = value_of(value);
                }
            }
            (EventType::Ok, micros)
        },
    }
}

pub(super) fn ledger(name: &'static str) -> Family<Book> {
    Family {
        name,
        model: ModelName::Ledger,
        key: Some("bk"),
        prelude: vec![
            ("open", json!({ "account": "a", "cash": 3, "holdings": { "X": 2 } })),
            ("open", json!({ "account": "b", "cash": 2, "holdings": { "X": 3 } })),
        ],
        initial: Book::new("bk"),
        initial_value: Value::Null,
        failed_cas: FailedCas::Dropped,
        is_deterministic: true,
        propose: propose_ledger,
        read: |operation, _| ledger::read(operation),
        render: |_, answer, _| (EventType::Ok, render_ledger(answer)),
    }
}

pub(super) fn propose_ledger(random: &mut Random) -> (&'static str, Value) {
    let account = ["a", "b", "c"][random.below(3) as usize];
    let other = ["a", "b", "c"][random.below(3) as usize];
    match random.below(12) {
        0..=2 => (
            "open",
            json!({ "account": account, "cash": random.below(3), "holdings": { "X": random.below(3) } }),
        ),
        3 => ("deposit", json!({ "account": account, "amount": random.below(3) })),
        4 => ("withdraw", json!({ "account": account, "amount": random.below(3) })),
        5..=7 => (
            "trade",
            json!({ "buyer": account, "seller": other, "symbol": "X", "quantity": random.below(3), "price": random.below(2) }),
        ),
        8 => ("transfer", json!({ "from": account, "to": other, "amount": random.below(3) })),
        9 => ("account", json!({ "account": account })),
        10 => ("book", Value::Null),
        _ => ("history", json!({ "from": random.below(3), "limit": random.below(3) })),
    }
}

pub(super) fn render_ledger(answer: &LedgerAnswer) -> Value {
    let account = |account: &Account| {
        let holdings: serde_json::Map<String, Value> = account
            .holdings
            .iter()
            .map(|(symbol, held)| (symbol.to_string(), json!(held)))
            .collect();
        json!({ "cash": account.cash, "holdings": holdings })
    };
    match answer {
        LedgerAnswer::Rejected(rejection) => json!({ "rejected": rejection_name(*rejection) }),
        LedgerAnswer::Account(found) => account(found),
        LedgerAnswer::Traded(number) => json!({ "trade": number }),
        LedgerAnswer::Transferred(cash) => json!({ "cash": cash }),
        LedgerAnswer::Book { accounts, trades } => {
            let accounts: serde_json::Map<String, Value> =
                accounts.iter().map(|(name, found)| (name.to_string(), account(found))).collect();
            json!({ "accounts": accounts, "trades": trades })
        }
        LedgerAnswer::History { trades, total } => {
            let trade = |(number, trade): &(u64, Trade)| {
                let Trade { buyer, seller, symbol, quantity, price } = trade;
                json!({ "trade": number, "buyer": buyer.as_ref(), "seller": seller.as_ref(), "symbol": symbol.as_ref(), "quantity": quantity, "price": price })
            };
            json!({ "trades": trades.iter().map(trade).collect::<Vec<_>>(), "total": total })
        }
        LedgerAnswer::TradedBeside(_) => unreachable!("no book answers this"),
    }
}

fn rejection_name(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::UnknownAccount => "unknown-account",
        Rejection::AccountExists => "account-exists",
        Rejection::InsufficientCash => "insufficient-cash",
        Rejection::InsufficientShares => "insufficient-shares",
        Rejection::Overflow => "overflow",
        Rejection::SelfTrade => "self-trade",
        Rejection::ZeroQuantity => "zero-quantity",
        Rejection::InvalidName => "invalid-name",
    }
}
