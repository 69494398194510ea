//! A lock that knows its owner, and numbers its acquisitions.
//!
//! `acquire` succeeds when the lock is free, `release` when the owner asks. The owner is the process,
//! or whom the invocation names: `{"owner": "a"}` or `{"client": "a"}`. `acquire` may answer with a
//! fencing token, `{"token": 7}` or `{"fence": 7}`, which must be greater than every token before
//! it; nil, true or an echo says only that it was done, false that it was not: the lock was held,
//! or not by who released it. The lock is not reentrant.

use crate::history::Value;
use stateright::semantics::SequentialSpec;

use super::counter::integer;
use super::{Model, Reading, Scalar, Unreadable, end_of, is_mere_done};
use crate::engine::{PolynomialEngine, views};
use crate::history::OperationRef;

/// The lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    pub(crate) owner: Option<Owner>,
    /// The least that the latest token can have been; none while there is no bound.
    pub(crate) token: Option<i128>,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Process(u64),
    Named(Scalar),
}

/// What can be asked of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockOp {
    Acquire(Owner),
    Release(Owner),
}

/// What a lock answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockAnswer {
    /// It was done.
    Done,
    /// It was acquired, under this token.
    Token(i128),
    /// It was not done.
    Refused,
}

impl Lock {
    fn acquire(&mut self, owner: &Owner, token: Option<i128>) {
        self.owner = Some(owner.clone());
        self.token = token.or(self.token_next());
    }

    /// The least that the next token can be.
    fn token_next(&self) -> Option<i128> {
        self.token.map(|token| token.saturating_add(1))
    }
}

impl SequentialSpec for Lock {
    type Op = LockOp;
    type Ret = LockAnswer;

    /// Answers with the least token that can be, if there is a bound.
    fn invoke(&mut self, op: &LockOp) -> LockAnswer {
        match op {
            LockOp::Acquire(owner) if self.owner.is_none() => {
                self.acquire(owner, None);
                self.token.map_or(LockAnswer::Done, LockAnswer::Token)
            }
            LockOp::Release(owner) if self.owner.as_ref() == Some(owner) => {
                self.owner = None;
                LockAnswer::Done
            }
            LockOp::Acquire(_) | LockOp::Release(_) => LockAnswer::Refused,
        }
    }
}

impl Model for Lock {
    const HAS_HOPELESS: bool = true;

    fn admits(seen: &LockAnswer, answer: &LockAnswer) -> bool {
        match (seen, answer) {
            (LockAnswer::Done, LockAnswer::Token(_)) | (LockAnswer::Token(_), LockAnswer::Done) => {
                true
            }
            (LockAnswer::Token(seen), LockAnswer::Token(least)) => seen >= least,
            _ => seen == answer,
        }
    }

    fn is_pure(_op: &LockOp, seen: Option<&LockAnswer>) -> bool {
        seen == Some(&LockAnswer::Refused)
    }

    /// Which token comes next is the system's choice, and so known only from what was seen.
    fn step(&self, op: &LockOp, seen: Option<&LockAnswer>) -> Option<Self> {
        let mut next = self.clone();
        let answer = next.invoke(op);
        if let (LockOp::Acquire(_), Some(LockAnswer::Token(token))) = (op, seen) {
            next.token = Some(*token);
        }
        seen.is_none_or(|seen| Self::admits(seen, &answer)).then_some(next)
    }

    /// Tokens only grow.
    fn is_hopeless(&self, _op: &LockOp, seen: Option<&LockAnswer>) -> bool {
        matches!((seen, self.token), (Some(LockAnswer::Token(seen)), Some(least)) if *seen <= least)
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::LOCK
    }

    fn would_answer(&self, op: &LockOp) -> String {
        match self.clone().invoke(op) {
            LockAnswer::Done => "ok".to_owned(),
            LockAnswer::Token(least) => format!("a token of at least {least}"),
            LockAnswer::Refused => "false".to_owned(),
        }
    }

    fn describe(&self) -> String {
        let owner = match &self.owner {
            None => "the lock is free".to_owned(),
            Some(Owner::Process(process)) => format!("process {process} holds the lock"),
            Some(Owner::Named(name)) => format!("{name} holds the lock"),
        };
        match self.token {
            None => owner,
            Some(token) => format!("{owner}, and the latest token is at least {token}"),
        }
    }

    fn weight(&self) -> usize {
        0
    }
}

const ACQUIRED: &str = "{\"token\": number}, what was asked, true, false or nil";
const RELEASED: &str = "what was asked, true, false or nil";

/// Reads an operation on a lock.
pub(crate) fn read(operation: &OperationRef<'_>) -> Result<Reading<Lock>, Unreadable> {
    let (op, end) = match operation.f.as_str() {
        "acquire" | "lock" => {
            let answer = |value: &Value| match (token(value), value) {
                (Some(token), _) => Ok(Some(LockAnswer::Token(token))),
                (None, Value::Bool(false)) => Ok(Some(LockAnswer::Refused)),
                _ if is_mere_done(operation, value) => Ok(Some(LockAnswer::Done)),
                _ => Err(Unreadable::output(operation, value, ACQUIRED)),
            };
            (LockOp::Acquire(owner(operation)?), end_of(operation, answer)?)
        }
        "release" | "unlock" => {
            let answer = |value: &Value| match value {
                Value::Bool(false) => Ok(Some(LockAnswer::Refused)),
                _ if token(value).is_some() || is_mere_done(operation, value) => {
                    Ok(Some(LockAnswer::Done))
                }
                _ => Err(Unreadable::output(operation, value, RELEASED)),
            };
            (LockOp::Release(owner(operation)?), end_of(operation, answer)?)
        }
        _ => return Err(Unreadable::function(operation, "acquire and release")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}

/// The names under which a value holds a token, or the lock's owner.
pub(crate) const FIELDS: [&str; 4] = ["token", "fence", "owner", "client"];

fn token(value: &Value) -> Option<i128> {
    integer(value.get(FIELDS[0]).or_else(|| value.get(FIELDS[1]))?)
}

fn owner(operation: &OperationRef<'_>) -> Result<Owner, Unreadable> {
    let input = operation.input;
    match input.get(FIELDS[2]).or_else(|| input.get(FIELDS[3])) {
        None => Ok(Owner::Process(operation.process)),
        Some(name) => Scalar::read(name)
            .map(Owner::Named)
            .ok_or_else(|| Unreadable::input(operation, "one with a plain owner")),
    }
}

/// Reads what a lock begins with: nil for free, or an owner, a latest token or both.
pub(crate) fn initial(value: &Value) -> Option<Lock> {
    let field = |name: &str| value.get(name).filter(|value| !value.is_null());
    match value {
        Value::Null => Some(Lock::default()),
        Value::Object(map) if map.keys().all(|name| name == "owner" || name == "token") => {
            let owner = field("owner").map(|name| Scalar::read(name).map(Owner::Named));
            let token = field("token").map(integer);
            Some(Lock {
                owner: owner.map_or(Some(None), |owner| owner.map(Some))?,
                token: token.map_or(Some(None), |token| token.map(Some))?,
            })
        }
        _ => None,
    }
}
