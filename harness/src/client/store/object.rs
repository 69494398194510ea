//! What the document under a key stands for, and what operations make of it.
//!
//! Documents are JSON; a key without one holds an empty object: no value, no elements, zero, free.
//!
//! | object | document | operations and their answers |
//! |---|---|---|
//! | register | `5` | `read` → `5` · `write 5` → `5` · `cas [5, 6]` → `[5, 6]` or `{"mismatch": 4}` |
//! | set | `[5, 6]` | `add 7` → `{"added": true}` · `read` → `[5, 6, 7]` |
//! | list | `[5, 6]` | `append 7` → `{"length": 3}` · `read` → `[5, 6, 7]` |
//! | counter | `5` | `add 2` → `{"value": 7}` · `read` → `7` |
//! | queue | `[5, 6]` | `enqueue 7` → `7` · `dequeue` → `5`, nil if it is empty |
//! | bank | `{"b/a": 5}` | as a ledger's book of accounts without shares: `open`, `transfer`, `book` |
//! | lock | `{"owner": "a", "token": 3}` | `acquire {"owner": "b"}` → `{"token": 4}`, false if it is held · `release {"owner": "a"}` → true, false if another has it |

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::workload::ledger::values::{Open, Transfer};

/// What a document stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// An integer, or none.
    Register,
    /// Integers, each at most once, that are only added.
    Set,
    /// Integers in the order in which they came, which are only added.
    List,
    /// A number.
    Counter,
    /// Integers, first in, first out.
    Queue,
    /// A lock that knows its owner and numbers its acquisitions.
    Lock,
    /// Accounts of several books, with cash.
    Bank,
}

/// What an operation makes of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Nothing; the document alone gives the answer.
    None {
        /// The answer.
        answer: Value,
    },
    /// Another one.
    Document {
        /// The document afterwards.
        next: Value,
        /// The answer, once it is there.
        answer: Value,
    },
}

/// Why there is no telling what an operation makes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The operation is none of the object's.
    Unsendable(&'static str),
    /// The document is none that anybody wrote.
    Nonsense(&'static str),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockDocument {
    owner: Option<String>,
    token: u64,
}

/// Reads a document; null if there is none.
pub(super) fn parse(document: Option<String>) -> Result<Value, Mistake> {
    match document {
        None => Ok(Value::Null),
        Some(text) => {
            serde_json::from_str(&text).map_err(|_| Mistake::Nonsense("a value nobody wrote"))
        }
    }
}

impl Object {
    /// Returns what the operation makes of the document, which is null if there is none.
    pub(super) fn effect(self, f: &str, input: &Value, document: Value) -> Result<Effect, Mistake> {
        match self {
            Self::Register => register(f, document),
            Self::Set => set(f, input, elements(document)?),
            Self::List => list(f, input, elements(document)?),
            Self::Counter => counter(f, input, document),
            Self::Queue => queue(f, input, elements(document)?),
            Self::Lock => lock(f, input, document),
            Self::Bank => bank(f, input, document),
        }
    }
}

fn unknown() -> Mistake {
    Mistake::Unsendable("the object has no such operation")
}

fn integer(input: &Value) -> Result<i64, Mistake> {
    input.as_i64().ok_or(Mistake::Unsendable("the operation takes an integer"))
}

/// Reads the elements of a set, a list or a queue.
fn elements(document: Value) -> Result<Vec<i64>, Mistake> {
    let list: Option<Vec<i64>> = Deserialize::deserialize(document)
        .map_err(|_| Mistake::Nonsense("elements that are no integers"))?;
    Ok(list.unwrap_or_default())
}

/// Writing needs no document, so it is not done here.
fn register(f: &str, document: Value) -> Result<Effect, Mistake> {
    match (f, &document) {
        ("read", Value::Null) => Ok(Effect::None { answer: document }),
        ("read", value) if value.is_i64() => Ok(Effect::None { answer: document }),
        ("read", _) => Err(Mistake::Nonsense("a register that holds no integer")),
        _ => Err(unknown()),
    }
}

fn set(f: &str, input: &Value, mut set: Vec<i64>) -> Result<Effect, Mistake> {
    match f {
        "read" => Ok(Effect::None { answer: json!(set) }),
        "add" => {
            let element = integer(input)?;
            if set.contains(&element) {
                return Ok(Effect::None { answer: json!({"added": false}) });
            }
            set.push(element);
            Ok(Effect::Document { next: json!(set), answer: json!({"added": true}) })
        }
        _ => Err(unknown()),
    }
}

fn list(f: &str, input: &Value, mut list: Vec<i64>) -> Result<Effect, Mistake> {
    match f {
        "read" => Ok(Effect::None { answer: json!(list) }),
        "append" => {
            list.push(integer(input)?);
            let answer = json!({"length": list.len()});
            Ok(Effect::Document { next: json!(list), answer })
        }
        _ => Err(unknown()),
    }
}

fn counter(f: &str, input: &Value, document: Value) -> Result<Effect, Mistake> {
    let number: Option<i64> = Deserialize::deserialize(document)
        .map_err(|_| Mistake::Nonsense("a counter that holds no integer"))?;
    let number = number.unwrap_or(0);
    match f {
        "read" => Ok(Effect::None { answer: json!(number) }),
        "add" => {
            let after = number
                .checked_add(integer(input)?)
                .ok_or(Mistake::Nonsense("a counter beyond all that was added"))?;
            Ok(Effect::Document { next: json!(after), answer: json!({"value": after}) })
        }
        _ => Err(unknown()),
    }
}

fn queue(f: &str, input: &Value, mut queue: Vec<i64>) -> Result<Effect, Mistake> {
    match f {
        "enqueue" => {
            queue.push(integer(input)?);
            Ok(Effect::Document { next: json!(queue), answer: input.clone() })
        }
        "dequeue" if queue.is_empty() => Ok(Effect::None { answer: Value::Null }),
        "dequeue" => {
            let oldest = queue.remove(0);
            Ok(Effect::Document { next: json!(queue), answer: json!(oldest) })
        }
        _ => Err(unknown()),
    }
}

fn lock(f: &str, input: &Value, document: Value) -> Result<Effect, Mistake> {
    let lock: Option<LockDocument> = Deserialize::deserialize(document)
        .map_err(|_| Mistake::Nonsense("a lock that is neither held nor free"))?;
    let LockDocument { owner, token } = lock.unwrap_or_default();
    let Some(asker) = input["owner"].as_str() else {
        return Err(Mistake::Unsendable("a lock is asked for by an owner"));
    };
    match f {
        "acquire" if owner.is_none() => {
            let token = token + 1;
            let next = json!({"owner": asker, "token": token});
            Ok(Effect::Document { next, answer: json!({"token": token}) })
        }
        "release" if owner.as_deref() == Some(asker) => {
            let next = json!({"owner": null, "token": token});
            Ok(Effect::Document { next, answer: json!(true) })
        }
        "acquire" | "release" => Ok(Effect::None { answer: json!(false) }),
        _ => Err(unknown()),
    }
}

fn bank(f: &str, input: &Value, document: Value) -> Result<Effect, Mistake> {
    let accounts: Option<BTreeMap<String, u64>> = Deserialize::deserialize(document)
        .map_err(|_| Mistake::Nonsense("a bank whose accounts hold no cash"))?;
    let mut accounts = accounts.unwrap_or_default();
    let unsendable = |_| Mistake::Unsendable("a bank's operation says which accounts");
    let rejected = |why: &str| Ok(Effect::None { answer: json!({ "rejected": why }) });
    let account = |cash: u64| json!({"cash": cash, "holdings": {}});
    match f {
        "book" => {
            let list = accounts.iter().map(|(name, cash)| (name.clone(), account(*cash)));
            let list: Map<String, Value> = list.collect();
            Ok(Effect::None { answer: json!({"accounts": list, "trades": 0}) })
        }
        "open" => {
            let Open { account: name, cash, .. } = Open::deserialize(input).map_err(unsendable)?;
            if accounts.contains_key(&name) {
                return rejected("account-exists");
            }
            accounts.insert(name, cash);
            Ok(Effect::Document { next: json!(accounts), answer: account(cash) })
        }
        "transfer" => {
            let Transfer { from, to, amount } = Transfer::deserialize(input).map_err(unsendable)?;
            if amount == 0 {
                return rejected("zero-quantity");
            }
            if from == to {
                return rejected("self-trade");
            }
            let (Some(&source), Some(&target)) = (accounts.get(&from), accounts.get(&to)) else {
                return rejected("unknown-account");
            };
            let Some(source) = source.checked_sub(amount) else {
                return rejected("insufficient-cash");
            };
            let Some(target) = target.checked_add(amount) else {
                return rejected("overflow");
            };
            accounts.extend([(from, source), (to, target)]);
            Ok(Effect::Document { next: json!(accounts), answer: json!({"cash": source}) })
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies operations one after the other and returns their answers.
    #[track_caller]
    fn check(object: Object, operations: &[(&str, Value, Value)]) {
        let mut document = Value::Null;
        for (f, input, expected) in operations {
            let answer = match object.effect(f, input, document.clone()).unwrap() {
                Effect::None { answer } => answer,
                Effect::Document { next, answer } => {
                    assert_ne!(next, document, "{f} {input} changes something");
                    document = next;
                    answer
                }
            };
            assert_eq!(answer, *expected, "{f} {input}");
        }
    }

    #[test]
    fn objects_begin_empty_and_answer_as_they_ought_to() {
        let nil = || Value::Null;
        check(Object::Register, &[("read", nil(), nil())]);
        check(
            Object::Set,
            &[
                ("read", nil(), json!([])),
                ("add", json!(7), json!({"added": true})),
                ("add", json!(5), json!({"added": true})),
                ("add", json!(7), json!({"added": false})),
                ("read", nil(), json!([7, 5])),
            ],
        );
        check(
            Object::List,
            &[
                ("read", nil(), json!([])),
                ("append", json!(7), json!({"length": 1})),
                ("append", json!(7), json!({"length": 2})),
                ("read", nil(), json!([7, 7])),
            ],
        );
        check(
            Object::Counter,
            &[
                ("read", nil(), json!(0)),
                ("add", json!(3), json!({"value": 3})),
                ("add", json!(-5), json!({"value": -2})),
                ("read", nil(), json!(-2)),
            ],
        );
        check(
            Object::Queue,
            &[
                ("dequeue", nil(), nil()),
                ("enqueue", json!(7), json!(7)),
                ("enqueue", json!(5), json!(5)),
                ("dequeue", nil(), json!(7)),
                ("dequeue", nil(), json!(5)),
                ("dequeue", nil(), nil()),
            ],
        );
        let (a, b) = (json!({"owner": "a"}), json!({"owner": "b"}));
        check(
            Object::Lock,
            &[
                ("release", a.clone(), json!(false)),
                ("acquire", a.clone(), json!({"token": 1})),
                ("acquire", b.clone(), json!(false)),
                ("acquire", a.clone(), json!(false)),
                ("release", b.clone(), json!(false)),
                ("release", a, json!(true)),
                ("acquire", b, json!({"token": 2})),
            ],
        );
        let open = |account: &str| json!({"account": account, "cash": 5, "holdings": {}});
        let transfer = |from, to, amount| json!({"from": from, "to": to, "amount": amount});
        let account = |cash: u64| json!({"cash": cash, "holdings": {}});
        let rejected = |why: &str| json!({ "rejected": why });
        let book = json!({"accounts": {"x": account(2), "y": account(8)}, "trades": 0});
        check(
            Object::Bank,
            &[
                ("book", nil(), json!({"accounts": {}, "trades": 0})),
                ("open", open("x"), account(5)),
                ("open", open("y"), account(5)),
                ("open", open("y"), rejected("account-exists")),
                ("transfer", transfer("x", "y", 3), json!({"cash": 2})),
                ("transfer", transfer("x", "y", 3), rejected("insufficient-cash")),
                ("transfer", transfer("x", "y", 0), rejected("zero-quantity")),
                ("transfer", transfer("x", "x", 1), rejected("self-trade")),
                ("transfer", transfer("x", "z", 1), rejected("unknown-account")),
                ("book", nil(), book),
            ],
        );
    }

    #[test]
    fn what_nobody_wrote_is_nonsense_and_what_nobody_knows_is_not_sent() {
        let cases = [
            (Object::Register, "read", json!("x")),
            (Object::Register, "read", json!(1.5)),
            (Object::Set, "read", json!([1, "x"])),
            (Object::List, "append", json!({})),
            (Object::Counter, "read", json!([])),
            (Object::Queue, "dequeue", json!(5)),
            (Object::Lock, "acquire", json!({"owner": "a"})),
            (Object::Lock, "acquire", json!({"owner": 1, "token": 1})),
            (Object::Bank, "book", json!({"x": -1})),
        ];
        for (object, f, document) in cases {
            let input = json!({"owner": "a"});
            let effect = object.effect(f, &input, document.clone());
            assert!(matches!(effect, Err(Mistake::Nonsense(_))), "{object:?} {document}");
        }
        for object in
            [Object::Set, Object::List, Object::Counter, Object::Queue, Object::Lock, Object::Bank]
        {
            for (f, input) in [("frobnicate", json!(1)), ("add", json!("x"))] {
                let effect = object.effect(f, &input, Value::Null);
                assert!(matches!(effect, Err(Mistake::Unsendable(_))), "{object:?} {f}");
            }
        }
        assert_eq!(parse(Some("{".into())), Err(Mistake::Nonsense("a value nobody wrote")));
        assert_eq!(parse(Some("5   ".into())), Ok(json!(5)));
    }
}
