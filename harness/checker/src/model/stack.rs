//! A stack.
//!
//! `push 5` (ok: nil, true or an echo) · `pop` (ok: the latest element, nil if the stack was empty).

use std::hash::{Hash, Hasher};

use crate::history::Value;
use rpds::ListSync;
use stateright::semantics::SequentialSpec;

use super::digest::digest_after;
use super::{Model, Reader, Reading, Scalar, Unreadable, done, element, end_of, taken};
use crate::history::OperationRef;

/// The stack: its elements, the latest first, each with the digest of all below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    elements: ListSync<(Scalar, u128)>,
    digest: u128,
}

/// What can be asked of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StackOp {
    Push(Scalar),
    Pop,
}

/// What a stack answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StackAnswer {
    Pushed,
    /// The latest element.
    Popped(Scalar),
    Empty,
}

impl PartialEq for Stack {
    fn eq(&self, other: &Self) -> bool {
        (self.elements.len(), self.digest) == (other.elements.len(), other.digest)
    }
}

impl Eq for Stack {}

impl Hash for Stack {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Stack {
    /// Puts an element on top.
    pub(crate) fn push(&mut self, element: &Scalar) {
        self.elements.push_front_mut((element.clone(), self.digest));
        self.digest = digest_after(self.digest, element);
    }

    fn pop(&mut self) -> Option<Scalar> {
        let (latest, below) = self.elements.first()?.clone();
        self.elements.drop_first_mut();
        self.digest = below;
        Some(latest)
    }
}

impl SequentialSpec for Stack {
    type Op = StackOp;
    type Ret = StackAnswer;

    fn invoke(&mut self, op: &StackOp) -> StackAnswer {
        match op {
            StackOp::Push(element) => {
                self.push(element);
                StackAnswer::Pushed
            }
            StackOp::Pop => self.pop().map_or(StackAnswer::Empty, StackAnswer::Popped),
        }
    }
}

/// What a step adds to what its state shares with the one before, in bytes.
const LINK_BYTES: usize = 96;

/// How many elements a description names.
const ELEMENTS_SHOWN: usize = 16;

impl Model for Stack {
    fn is_pure(op: &StackOp, seen: Option<&StackAnswer>) -> bool {
        *op == StackOp::Pop && seen == Some(&StackAnswer::Empty)
    }

    fn would_answer(&self, op: &StackOp) -> String {
        match self.clone().invoke(op) {
            StackAnswer::Pushed => "ok".to_owned(),
            StackAnswer::Popped(element) => element.to_string(),
            StackAnswer::Empty => "nil".to_owned(),
        }
    }

    fn describe(&self) -> String {
        let held = self.elements.iter().map(|(element, _)| element);
        let shown: Vec<String> = held.take(ELEMENTS_SHOWN).map(Scalar::to_string).collect();
        match self.elements.len() {
            0 => "the stack is empty".to_owned(),
            len if len > ELEMENTS_SHOWN => {
                format!("the stack holds {len} elements, the latest first: {}, …", shown.join(", "))
            }
            _ => format!("the stack holds, the latest first, {}", shown.join(", ")),
        }
    }

    fn weight(&self) -> usize {
        if self.elements.is_empty() { 0 } else { LINK_BYTES }
    }
}

/// Reads an operation on a stack.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<Stack>, Unreadable> {
    let (op, end) = match operation.f.as_str() {
        "push" => (
            StackOp::Push(element(operation)?),
            end_of(operation, |value: &Value| done(operation, value, StackAnswer::Pushed))?,
        ),
        "pop" => (
            StackOp::Pop,
            end_of(operation, |value| {
                taken(operation, value, reader, StackAnswer::Empty, StackAnswer::Popped)
            })?,
        ),
        _ => return Err(Unreadable::function(operation, "push and pop")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}
