//! Tables of what the models do, and of how operations are read for them.

mod collections;

use crate::history::{Value, json};
use stateright::semantics::SequentialSpec;

use crate::check::{FailedCas, NilRead};
use crate::history::{Moment, Operation, Outcome};

use super::kv::{self, Key};
use super::ledger::{self, Book};
use super::multi_register;
use super::mutex::Mutex;
use super::register::{self, Keys, RegisterAnswer};
use super::{End, Model, ModelName, Reader, Scalar, guess};

const READER: Reader = Reader { nil_read: NilRead::Absent, failed_cas: FailedCas::Dropped };

fn operation(key: Option<&str>, f: &str, input: Value, outcome: Outcome) -> Operation {
    let invoked = Moment { instant: 0, line: 1, event: 0 };
    let completed = Some(Moment { instant: 1, line: 2, event: 1 });
    Operation {
        process: 0,
        f: f.into(),
        key: key.map(Into::into),
        input,
        outcome,
        invoked,
        completed,
        position: None,
    }
}

/// Plays a script of questions and answers; the last answer of each pair is what is expected.
fn check_ledger(book: &str, script: &[(&str, Value, Value)]) {
    let mut state = Book::new(book);
    for (f, input, expected) in script {
        let reading = ledger::read(
            &operation(Some(book), f, input.clone(), Outcome::Ok(expected.clone())).as_ref(),
        );
        let reading =
            reading.unwrap_or_else(|unreadable| panic!("{f} {input}: {}", unreadable.problem));
        let End::Answered(seen) = reading.end else { panic!("{f} was answered") };
        let next = state.step(&reading.op, seen.as_ref());
        state = next.unwrap_or_else(|| {
            panic!("{f} {input} -> {expected}, but {:?}", state.clone().invoke(&reading.op))
        });
    }
}

#[test]
fn a_book_does_what_the_ledger_promises() {
    let rejected = |why: &str| json!({ "rejected": why });
    let account = |cash: u64, held: Value| json!({ "cash": cash, "holdings": held });
    let trade = |buyer: &str, seller: &str, quantity: u64, price: u64| json!({ "buyer": buyer, "seller": seller, "symbol": "X", "quantity": quantity, "price": price });
    check_ledger(
        "b",
        &[
            ("book", Value::Null, json!({ "accounts": {}, "trades": 0 })),
            ("account", json!({ "account": "a" }), rejected("unknown-account")),
            ("open", json!({ "account": "", "cash": 1 }), rejected("invalid-name")),
            ("open", json!({ "account": "a".repeat(65), "cash": 1 }), rejected("invalid-name")),
            (
                "open",
                json!({ "account": "a", "cash": 1, "holdings": { "": 1 } }),
                rejected("invalid-name"),
            ),
            (
                "open",
                json!({ "account": "a", "cash": 100, "holdings": { "X": 5, "Y": 0 } }),
                account(100, json!({ "X": 5 })),
            ),
            ("open", json!({ "account": "a", "cash": 7 }), rejected("account-exists")),
            (
                "open",
                json!({ "account": "b", "cash": u64::MAX - 1, "holdings": { "X": u64::MAX } }),
                account(u64::MAX - 1, json!({ "X": u64::MAX })),
            ),
            ("deposit", json!({ "account": "z", "amount": 0 }), rejected("zero-quantity")),
            ("deposit", json!({ "account": "z", "amount": 1 }), rejected("unknown-account")),
            ("deposit", json!({ "account": "b", "amount": 2 }), rejected("overflow")),
            ("deposit", json!({ "account": "a", "amount": 5 }), account(105, json!({ "X": 5 }))),
            ("withdraw", json!({ "account": "a", "amount": 106 }), rejected("insufficient-cash")),
            ("withdraw", json!({ "account": "a", "amount": 5 }), account(100, json!({ "X": 5 }))),
            ("trade", trade("a", "a", 0, 1), rejected("zero-quantity")),
            ("trade", trade("z", "z", 1, 1), rejected("self-trade")),
            ("trade", trade("a", "z", 1, 1), rejected("unknown-account")),
            ("trade", trade("a", "b", 2, u64::MAX), rejected("overflow")),
            ("trade", trade("a", "b", 1, 101), rejected("insufficient-cash")),
            ("trade", trade("b", "a", 6, 1), rejected("insufficient-shares")),
            ("trade", trade("a", "b", 1, 2), rejected("overflow")),
            ("trade", trade("b", "a", 1, 1), rejected("overflow")),
            (
                "withdraw",
                json!({ "account": "b", "amount": u64::MAX - 11 }),
                account(10, json!({ "X": u64::MAX })),
            ),
            ("trade", trade("a", "b", 3, 2), json!({ "trade": 1 })),
            ("trade", trade("a", "b", 1, 0), json!({ "trade": 2 })),
            ("account", json!({ "account": "a" }), account(94, json!({ "X": 9 }))),
            ("open", json!({ "account": "c", "cash": 1 }), account(1, json!({}))),
            ("trade", trade("b", "a", 9, 0), rejected("overflow")),
            ("trade", trade("c", "a", 9, 0), json!({ "trade": 3 })),
            ("account", json!({ "account": "a" }), account(94, json!({}))),
            ("transfer", json!({ "from": "a", "to": "a", "amount": 0 }), rejected("zero-quantity")),
            ("transfer", json!({ "from": "z", "to": "z", "amount": 1 }), rejected("self-trade")),
            (
                "transfer",
                json!({ "from": "a", "to": "z", "amount": 1 }),
                rejected("unknown-account"),
            ),
            (
                "transfer",
                json!({ "from": "a", "to": "b", "amount": 95 }),
                rejected("insufficient-cash"),
            ),
            ("transfer", json!({ "from": "a", "to": "b", "amount": 4 }), json!({ "cash": 90 })),
            (
                "history",
                json!({ "from": 2, "limit": 1 }),
                json!({ "trades": [{ "trade": 2, "buyer": "a", "seller": "b", "symbol": "X", "quantity": 1, "price": 0 }], "total": 3 }),
            ),
            ("history", json!({ "from": 4, "limit": 0 }), json!({ "trades": [], "total": 3 })),
        ],
    );
    check_ledger("", &[("open", json!({ "account": "a", "cash": 1 }), rejected("invalid-name"))]);
}

#[test]
fn a_wrong_history_of_trades_is_not_admitted() {
    let mut book = Book::new("b");
    for account in ["a", "b"] {
        let open = json!({ "account": account, "cash": 9, "holdings": { "X": 9 } });
        book.invoke(
            &ledger::read(&operation(Some("b"), "open", open, Outcome::Info).as_ref()).unwrap().op,
        );
    }
    let told = |number: u64, price: u64| json!({ "trade": number, "buyer": "a", "seller": "b", "symbol": "X", "quantity": 1, "price": price });
    for price in [0, 1, 2] {
        let trade =
            json!({ "buyer": "a", "seller": "b", "symbol": "X", "quantity": 1, "price": price });
        book.invoke(
            &ledger::read(&operation(Some("b"), "trade", trade, Outcome::Info).as_ref())
                .unwrap()
                .op,
        );
    }
    for (from, limit, trades, total, is_legal) in [
        (1, 0, vec![told(1, 0), told(2, 1), told(3, 2)], 3, true),
        (1, 0, vec![told(1, 0)], 3, true),
        (2, 1, vec![told(2, 1)], 3, true),
        (4, 1, vec![], 3, true),
        (1, 0, vec![], 3, false),
        (1, 1, vec![told(1, 0), told(2, 1)], 3, false),
        (1, 0, vec![told(1, 0), told(3, 2)], 3, false),
        (1, 0, vec![told(2, 1)], 3, false),
        (1, 0, vec![told(1, 1)], 3, false),
        (1, 0, vec![told(1, 0)], 2, false),
    ] {
        let (input, answer) =
            (json!({ "from": from, "limit": limit }), json!({ "trades": trades, "total": total }));
        let reading = ledger::read(
            &operation(Some("b"), "history", input, Outcome::Ok(answer.clone())).as_ref(),
        )
        .unwrap();
        let End::Answered(seen) = reading.end else { panic!("it was answered") };
        assert_eq!(
            book.step(&reading.op, seen.as_ref()).is_some(),
            is_legal,
            "from {from} limit {limit}: {answer}"
        );
    }
}

#[test]
fn a_key_does_what_the_store_promises() {
    let mut state = Key(Scalar::Nil);
    for (f, input, expected) in [
        ("get", Value::Null, Value::Null),
        ("delete", Value::Null, json!({ "existed": false })),
        ("append", json!("ab"), json!({ "length": 2 })),
        ("append", json!("é"), json!({ "length": 4 })),
        ("cas", json!({ "expected": null, "value": "z" }), json!({ "mismatch": "abé" })),
        ("cas", json!({ "expected": "abé", "value": "z" }), json!({ "swapped": true })),
        ("get", Value::Null, json!("z")),
        ("put", json!("y"), json!("y")),
        ("delete", Value::Null, json!({ "existed": true })),
        ("cas", json!({ "expected": null, "value": "x" }), json!({ "swapped": true })),
    ] {
        let reading = kv::read(
            &operation(Some("k"), f, input.clone(), Outcome::Ok(expected.clone())).as_ref(),
            &READER,
        )
        .unwrap();
        let End::Answered(Some(seen)) = reading.end else { panic!("{f} says something") };
        state = state
            .step(&reading.op, Some(&seen))
            .unwrap_or_else(|| panic!("{f} {input} -> {expected}"));
    }
}

#[test]
fn a_lock_is_held_once() {
    let mut lock = Mutex::default();
    let answers: Vec<bool> = "aarr"
        .chars()
        .map(|f| {
            lock.invoke(&if f == 'a' {
                super::mutex::MutexOp::Acquire
            } else {
                super::mutex::MutexOp::Release
            })
        })
        .collect();
    assert_eq!(answers, [true, false, true, false]);
}

#[test]
fn parameters_decide_what_nil_and_a_failed_cas_say() {
    let nil_read = operation(None, "read", Value::Null, Outcome::Ok(Value::Null));
    let failed = operation(None, "cas", json!([1, 2]), Outcome::Fail(json!([1, 2])));
    let end = |operation: &Operation, nil_read, failed_cas| {
        register::read(&operation.as_ref(), &Reader { nil_read, failed_cas }, Keys::InEvent, true)
            .unwrap()
            .end
    };
    let absent = End::Answered(Some(RegisterAnswer::Value(Scalar::Nil)));
    assert_eq!(end(&nil_read, NilRead::Absent, FailedCas::Dropped), absent);
    assert_eq!(end(&nil_read, NilRead::Unknown, FailedCas::Dropped), End::Answered(None));
    assert_eq!(end(&failed, NilRead::Absent, FailedCas::Dropped), End::Refused);
    assert_eq!(
        end(&failed, NilRead::Absent, FailedCas::Observed),
        End::Answered(Some(RegisterAnswer::Mismatch(None)))
    );
}

#[test]
fn a_register_is_named_by_key_or_value() {
    for (key, input, answer) in [
        (Some("k"), json!([1, 2]), json!({ "mismatch": 7 })),
        (None, json!(["k", [1, 2]]), json!(["k", { "mismatch": 7 }])),
    ] {
        let reading = register::read(
            &operation(key, "cas", input, Outcome::Ok(answer)).as_ref(),
            &READER,
            Keys::Demanded,
            true,
        )
        .unwrap();
        assert_eq!(reading.key.as_deref(), Some("k"));
        assert_eq!(
            reading.end,
            End::Answered(Some(RegisterAnswer::Mismatch(Some(Scalar::Int(7)))))
        );
    }
    let nameless = operation(None, "write", json!(5), Outcome::Info);
    assert!(register::read(&nameless.as_ref(), &READER, Keys::Demanded, true).is_err());
}

#[test]
fn what_the_models_cannot_read_is_refused() {
    let register = |f: &str, input: Value, answer: Value| {
        register::read(
            &operation(None, f, input, Outcome::Ok(answer)).as_ref(),
            &READER,
            Keys::InEvent,
            true,
        )
        .is_err()
    };
    assert!(register("append", json!(1), Value::Null));
    assert!(register("write", json!(1.5), Value::Null));
    assert!(register("cas", json!([1]), Value::Null));
    assert!(register("cas", json!([1, 2]), json!({ "mismatch": 1, "more": 2 })));
    assert!(register("read", Value::Null, json!([1])));
    let ledger = |f: &str, input: Value, answer: Value| {
        ledger::read(&operation(Some("b"), f, input, Outcome::Ok(answer)).as_ref()).is_err()
    };
    assert!(ledger(
        "deposit",
        json!({ "account": "a", "amount": -1 }),
        json!({ "rejected": "overflow" })
    ));
    assert!(ledger("deposit", json!({ "account": "a" }), json!({ "rejected": "overflow" })));
    assert!(ledger(
        "deposit",
        json!({ "account": "a", "amount": 1 }),
        json!({ "rejected": "no-such-reason" })
    ));
    assert!(ledger(
        "trade",
        json!({ "buyer": "a", "seller": "b", "symbol": "X", "quantity": 1, "price": 1 }),
        json!({ "trade": "one" })
    ));
    assert!(ledger::read(&operation(None, "book", Value::Null, Outcome::Info).as_ref()).is_err());
    let txn = operation(None, "txn", json!([["append", "x", 1]]), Outcome::Info);
    assert!(multi_register::read(&txn.as_ref(), &READER).is_err());
}

#[test]
fn models_are_guessed_from_functions() {
    let of = |functions: &[(&str, Value)], answer: &Outcome| {
        let list: Vec<Operation> = functions
            .iter()
            .map(|(f, input)| operation(None, f, input.clone(), answer.clone()))
            .collect();
        guess(list.iter().map(Operation::as_ref)).ok().map(|guess| guess.model)
    };
    for (functions, expected) in [
        (&[("read", Value::Null), ("write", json!(1))][..], Some(ModelName::Register)),
        (&[("read", Value::Null), ("cas", json!([1, 2]))], Some(ModelName::CasRegister)),
        (&[("read", json!([1, null])), ("write", json!([1, 2]))], Some(ModelName::KvRegister)),
        (&[("read", Value::Null), ("write", json!({ "x": 1 }))], Some(ModelName::MultiRegister)),
        (&[("txn", json!([]))], Some(ModelName::MultiRegister)),
        (&[("get", Value::Null), ("append", json!("x"))], Some(ModelName::Kv)),
        (&[("acquire", Value::Null)], Some(ModelName::Mutex)),
        (&[("trade", Value::Null), ("book", Value::Null)], Some(ModelName::Ledger)),
        (&[("cas", json!({}))], None),
        (&[("enqueue", json!(1))], Some(ModelName::FifoQueue)),
        (&[("read", Value::Null), ("trade", json!(1))], None),
    ] {
        assert_eq!(of(functions, &Outcome::Info), expected, "{functions:?}");
    }
    let read = ("read", Value::Null);
    for (functions, answer, expected) in [
        (&[("add", json!(1)), read.clone()][..], Value::Null, None),
        (&[("add", json!(1)), read.clone()], json!([1]), Some(ModelName::Set)),
        (&[("add", json!(1)), read.clone()], json!(1), Some(ModelName::Counter)),
        (&[("add", json!(1))], json!([1]), None),
        (&[("add", json!(1)), ("remove", json!(1))], Value::Null, Some(ModelName::Set)),
        (&[("increment", Value::Null)], json!(1), Some(ModelName::Counter)),
        (&[("increment", Value::Null), ("contains", json!(1))], json!(1), None),
        (&[("append", json!(1))], json!(1), None),
        (&[("append", json!(1)), read.clone()], json!([1]), Some(ModelName::AppendList)),
        (&[("append", json!("1")), ("get", Value::Null)], json!("1"), Some(ModelName::Kv)),
        (&[("push", json!(1)), ("pop", Value::Null)], json!(1), Some(ModelName::Stack)),
        (&[("push", json!({ "priority": 1 }))], json!(1), Some(ModelName::PriorityQueue)),
        (&[("insert", json!(1)), ("pop-min", json!(1))], json!(1), Some(ModelName::PriorityQueue)),
        (&[("insert", json!(1))], json!(1), None),
        (&[("acquire", Value::Null)], json!(true), Some(ModelName::Mutex)),
        (&[("acquire", Value::Null)], json!({ "token": 1 }), Some(ModelName::Lock)),
        (&[("release", json!({ "owner": "a" }))], Value::Null, Some(ModelName::Lock)),
    ] {
        let found = of(functions, &Outcome::Ok(answer.clone()));
        assert_eq!(found, expected, "{functions:?} answered with {answer}");
    }
}

/// The README has the models' table, and it says what the models say themselves.
#[test]
fn the_table_of_models_is_whole() {
    let readme = include_str!("../../README.md");
    for model in ModelName::ALL {
        let row = format!("| `{model}` | {} |", model.usage());
        assert!(readme.contains(&row), "the README lacks this row:\n{row}");
    }
}
