//! The families of random histories: what is asked, and how an answer is written.

use serde_json::{Value, json};

use crate::check::FailedCas;
use crate::history::{EventType, Operation};
use crate::model::kv::{self, Key, KvAnswer};
use crate::model::ledger::{self, Account, Book, LedgerAnswer, Rejection, Trade};
use crate::model::multi_register::{self, Micro, Registers};
use crate::model::mutex::{self, Mutex};
use crate::model::register::{self, Keys, Register, RegisterAnswer, RegisterOp};
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
    pub(super) propose: fn(&mut Random) -> (&'static str, Value),
    pub(super) read: fn(&Operation, &Reader) -> Result<Reading<M>, Unreadable>,
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
        Scalar::Int(int) => json!(*int as i64),
        Scalar::Text(text) => json!(text.as_ref()),
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
        propose: |random| match random.is(50) {
            true => ("read", Value::Null),
            false => ("write", json!(random.below(3))),
        },
        read: |operation, reader| register::read(operation, reader, Keys::InEvent, false),
        render: render_register,
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

pub(super) fn mutex(name: &'static str) -> Family<Mutex> {
    Family {
        name,
        model: ModelName::Mutex,
        key: None,
        prelude: Vec::new(),
        initial: Mutex::default(),
        initial_value: Value::Null,
        failed_cas: FailedCas::Dropped,
        propose: |random| match random.is(50) {
            true => ("acquire", Value::Null),
            false => ("release", Value::Null),
        },
        read: |operation, _| mutex::read(operation),
        render: |_, answer, _| (EventType::Ok, json!(answer)),
    }
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
