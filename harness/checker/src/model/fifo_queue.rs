//! A first-in first-out queue.
//!
//! `enqueue 5` (ok: nil, true or an echo) · `dequeue` (ok: the oldest element, nil if the queue was
//! empty). A `fail` says only that nothing was enqueued or dequeued. Jepsen's `drain` is many
//! dequeues, not one operation, and must be recorded as such.

use std::hash::{Hash, Hasher};

use crate::history::Value;
use rpds::VectorSync;
use stateright::semantics::SequentialSpec;

use super::digest::digest_of;
use super::{Model, Reader, Reading, Scalar, Unreadable, done, element, end_of, taken};
use crate::engine::{PolynomialEngine, views};
use crate::history::OperationRef;

/// The queue: everything that was ever enqueued, and how much of it is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct FifoQueue {
    enqueued: VectorSync<Scalar>,
    dequeued: usize,
    /// A polynomial in [`BASE`] with the elements' digests as coefficients, the oldest highest.
    digest: u128,
}

/// An odd number without a pattern in its bits.
const BASE: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// What can be asked of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum QueueOp {
    Enqueue(Scalar),
    Dequeue,
}

/// What a queue answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum QueueAnswer {
    Enqueued,
    /// The oldest element.
    Dequeued(Scalar),
    Empty,
}

impl PartialEq for FifoQueue {
    fn eq(&self, other: &Self) -> bool {
        (self.len(), self.digest) == (other.len(), other.digest)
    }
}

impl Eq for FifoQueue {}

impl Hash for FifoQueue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl FifoQueue {
    fn len(&self) -> usize {
        self.enqueued.len() - self.dequeued
    }

    /// Puts an element behind all others.
    pub(crate) fn enqueue(&mut self, element: &Scalar) {
        self.enqueued.push_back_mut(element.clone());
        self.digest = self.digest.wrapping_mul(BASE).wrapping_add(digest_of(element));
    }

    fn dequeue(&mut self) -> Option<Scalar> {
        let oldest = self.enqueued.get(self.dequeued)?.clone();
        let power = u32::try_from(self.len() - 1)
            .expect("a queue of four billion elements does not fit in memory");
        let term = digest_of(&oldest).wrapping_mul(BASE.wrapping_pow(power));
        self.digest = self.digest.wrapping_sub(term);
        self.dequeued += 1;
        Some(oldest)
    }
}

impl SequentialSpec for FifoQueue {
    type Op = QueueOp;
    type Ret = QueueAnswer;

    fn invoke(&mut self, op: &QueueOp) -> QueueAnswer {
        match op {
            QueueOp::Enqueue(element) => {
                self.enqueue(element);
                QueueAnswer::Enqueued
            }
            QueueOp::Dequeue => self.dequeue().map_or(QueueAnswer::Empty, QueueAnswer::Dequeued),
        }
    }
}

/// What a step adds to what its state shares with the one before, in bytes.
const PATH_BYTES: usize = 1024;

/// How many elements a description names.
const ELEMENTS_SHOWN: usize = 16;

impl Model for FifoQueue {
    fn is_pure(op: &QueueOp, seen: Option<&QueueAnswer>) -> bool {
        *op == QueueOp::Dequeue && seen == Some(&QueueAnswer::Empty)
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::QUEUE
    }

    fn would_answer(&self, op: &QueueOp) -> String {
        match self.clone().invoke(op) {
            QueueAnswer::Enqueued => "ok".to_owned(),
            QueueAnswer::Dequeued(element) => element.to_string(),
            QueueAnswer::Empty => "nil".to_owned(),
        }
    }

    fn describe(&self) -> String {
        let held = (self.dequeued..).map_while(|index| self.enqueued.get(index));
        let shown: Vec<String> = held.take(ELEMENTS_SHOWN).map(Scalar::to_string).collect();
        match self.len() {
            0 => "the queue is empty".to_owned(),
            len if len > ELEMENTS_SHOWN => {
                format!("the queue holds {len} elements, the oldest first: {}, …", shown.join(", "))
            }
            _ => format!("the queue holds, the oldest first, {}", shown.join(", ")),
        }
    }

    fn weight(&self) -> usize {
        if self.enqueued.is_empty() { 0 } else { PATH_BYTES }
    }
}

/// Reads an operation on a queue.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<FifoQueue>, Unreadable> {
    let (op, end) = match operation.f.as_str() {
        "enqueue" => (
            QueueOp::Enqueue(element(operation)?),
            end_of(operation, |value: &Value| done(operation, value, QueueAnswer::Enqueued))?,
        ),
        "dequeue" => (
            QueueOp::Dequeue,
            end_of(operation, |value| {
                taken(operation, value, reader, QueueAnswer::Empty, QueueAnswer::Dequeued)
            })?,
        ),
        _ => return Err(Unreadable::function(operation, "enqueue and dequeue")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}
