//! Models: what a system ought to do, one operation at a time.
//!
//! A model's state is its own sequential specification (stateright's [`SequentialSpec`]); how the
//! operations of a recording are read for it stands beside it. The models share no code with any
//! system that they judge. [`ModelName`] lists those that there are, and [`ModelName::usage`] says
//! what their histories look like.
//!
//! # Writing a model of one's own
//!
//! A model is a state and what an operation does to it. Say that a ticket office has so many seats,
//! sells each once, and can be asked how many are left:
//!
//! ```
//! use checker::check::own::{Limits, Operation, judge};
//! use checker::model::{Model, SequentialSpec};
//! use checker::verdict::Verdict;
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! struct Office {
//!     seats_left: u32,
//! }
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! enum Op {
//!     Buy,
//!     Count,
//! }
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! enum Answer {
//!     Sold,
//!     SoldOut,
//!     Left(u32),
//! }
//!
//! impl SequentialSpec for Office {
//!     type Op = Op;
//!     type Ret = Answer;
//!
//!     fn invoke(&mut self, op: &Op) -> Answer {
//!         match op {
//!             Op::Buy if self.seats_left == 0 => Answer::SoldOut,
//!             Op::Buy => {
//!                 self.seats_left -= 1;
//!                 Answer::Sold
//!             }
//!             Op::Count => Answer::Left(self.seats_left),
//!         }
//!     }
//! }
//!
//! impl Model for Office {}
//!
//! // Process 0 buys from time 1 to 4; process 1 is told from 2 to 3 that nothing is left, so the
//! // seat was sold by then; process 2 asks for a seat and never learns what came of it.
//! let office = Office { seats_left: 1 };
//! let good = [
//!     Operation::answered(0, Op::Buy, 1, 4, Answer::Sold),
//!     Operation::answered(1, Op::Count, 2, 3, Answer::Left(0)),
//!     Operation::unknown(2, Op::Buy, 2),
//! ];
//! let judgement = judge(&office, &good, &Limits::default())?;
//! assert_eq!(judgement.verdict, Verdict::Linearizable);
//! // An order that explains it: first the sale, then the count; the last took no effect.
//! assert_eq!(judgement.partitions[0].linearization, Some(vec![0, 1]));
//!
//! // The same seat sold twice, one after the other: no order explains that.
//! let bad = [
//!     Operation::answered(0, Op::Buy, 1, 2, Answer::Sold),
//!     Operation::answered(1, Op::Buy, 3, 4, Answer::Sold),
//!     Operation::answered(0, Op::Count, 5, 6, Answer::Left(0)),
//! ];
//! let judgement = judge(&office, &bad, &Limits::default())?;
//! let Verdict::Violation { witness } = judgement.verdict else { panic!("a seat was sold twice") };
//! // It is wrong from the second sale on, whatever came later.
//! assert_eq!((witness.completions, witness.end.f.as_str()), (2, "Buy"));
//! # Ok::<(), checker::check::own::Misfit>(())
//! ```
//!
//! That is all that must be. What may be added is in [`Model`], each part for a reason:
//!
//! ```
//! # use checker::check::own::{Limits, Operation, judge};
//! # use checker::model::{Model, SequentialSpec};
//! # use checker::verdict::Verdict;
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Office { seats_left: u32 }
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # enum Action { Buy, Count }
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # struct Op { show: String, action: Action }
//! # #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! # enum Answer { Sold, SoldOut, Left(u32) }
//! # impl SequentialSpec for Office {
//! #     type Op = Op;
//! #     type Ret = Answer;
//! #     fn invoke(&mut self, op: &Op) -> Answer {
//! #         match op.action {
//! #             Action::Buy if self.seats_left == 0 => Answer::SoldOut,
//! #             Action::Buy => { self.seats_left -= 1; Answer::Sold }
//! #             Action::Count => Answer::Left(self.seats_left),
//! #         }
//! #     }
//! # }
//! impl Model for Office {
//!     // What changes nothing needs no place of its own in an order: the search is much faster.
//!     fn is_pure(op: &Op, seen: Option<&Answer>) -> bool {
//!         op.action == Action::Count || seen == Some(&Answer::SoldOut)
//!     }
//!
//!     // Every show has its own seats, so shows are judged one by one.
//!     fn partition(op: &Op) -> Option<String> {
//!         Some(op.show.clone())
//!     }
//!
//!     // How a violation is told.
//!     fn describe(&self) -> String {
//!         format!("{} seats are left", self.seats_left)
//!     }
//! }
//! # let buy = |show: &str| Op { show: show.to_owned(), action: Action::Buy };
//! # let operations = [
//! #     Operation::answered(0, buy("a"), 1, 2, Answer::Sold),
//! #     Operation::answered(0, buy("b"), 3, 4, Answer::Sold),
//! #     Operation::answered(0, buy("b"), 5, 6, Answer::Sold),
//! # ];
//! # let judgement = judge(&Office { seats_left: 1 }, &operations, &Limits::default())?;
//! # assert_eq!(judgement.partitions[0].verdict, Verdict::Linearizable);
//! # let Verdict::Violation { witness } = judgement.verdict else { panic!("a seat was sold twice") };
//! # assert_eq!((witness.key.as_deref(), witness.end.completed_line), (Some("b"), Some(3)));
//! # assert_eq!(witness.dead_ends[0].state, "0 seats are left");
//! # Ok::<(), checker::check::own::Misfit>(())
//! ```
//!
//! A state that grows with the history should be cheap to clone, hash and compare, for the search
//! keeps every one it meets: persistent collections and a digest kept up to date do well.

pub(crate) mod append_list;
pub(crate) mod counter;
mod digest;
pub(crate) mod fifo_queue;
mod guess;
pub(crate) mod kv;
pub(crate) mod ledger;
pub(crate) mod lock;
pub(crate) mod multi_register;
pub(crate) mod mutex;
mod name;
pub(crate) mod priority_queue;
pub(crate) mod register;
mod scalar;
pub(crate) mod set;
pub(crate) mod stack;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::hash::Hash;

pub use stateright::semantics::SequentialSpec;

pub use guess::{Guess, NoGuess, Signs, guess};
pub use name::ModelName;
pub(crate) use scalar::Scalar;

use crate::check::{FailedCas, NilRead};
use crate::engine::PolynomialEngine;
use crate::history::{OperationRef, Outcome, Text, Value};
use crate::search::{Budget, Entry, Found};

/// What the search asks of a state beyond its sequential specification.
///
/// Everything has a default, so `impl Model for MyState {}` is enough. What is worth overriding:
/// [`Model::is_pure`], which makes searches shorter by orders of magnitude; [`Model::partition`], if
/// the state is made of parts that have nothing to do with each other; [`Model::describe`], which
/// is how a violation is told; [`Model::weight`], without which the memory limit is a guess.
pub trait Model:
    SequentialSpec<
        Op: Clone + Eq + Hash + Debug + Send + Sync,
        Ret: Clone + Eq + Hash + Debug + Send + Sync,
    > + Clone
    + Eq
    + Hash
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Whether what a client saw is the model's own answer; what it saw may be partial.
    fn admits(seen: &Self::Ret, answer: &Self::Ret) -> bool {
        seen == answer
    }

    /// Whether the operation, with the answer that was seen, changes no state whatsoever: a read, or
    /// a compare-and-set that did not match. Without an answer it is pure only if it always is.
    ///
    /// Operations that are pure need no place of their own in an order. A wrong claim makes wrong
    /// verdicts; in debug builds the search asserts that it is true wherever it relies on it.
    fn is_pure(_op: &Self::Op, _seen: Option<&Self::Ret>) -> bool {
        false
    }

    /// Returns the part of the state that the operation is about: no operation on one part may
    /// read or change what another part holds. Each part is judged alone, from the same initial
    /// state, which is much faster than all at once. What one process did on two parts at one and
    /// the same instant counts as concurrent. Recordings name their parts by `key`.
    fn partition(_op: &Self::Op) -> Option<String> {
        None
    }

    /// Returns the parts of the state that the operation reads or changes, or none if that may be
    /// any: whether it is legal depends on nothing else, and it changes nothing else. Unlike
    /// [`Model::partition`] there may be several, of which each begins as in the initial state of
    /// all; operations that no part connects are searched apart.
    fn parts(_op: &Self::Op) -> Option<Vec<&str>> {
        None
    }

    /// Whether doing it twice in a row is the same as doing it once, in every state, and such
    /// operations alone lead to finitely many states.
    fn is_idempotent(_op: &Self::Op) -> bool {
        false
    }

    /// Whether a step cannot notice that an operation was taken out of the order.
    ///
    /// If every step of a legal order that is not taken out ignores every operation that is, what
    /// is left of the order must be legal.
    fn is_ignored_by(_op: &Self::Op, _step: &Step<Self>) -> bool {
        false
    }

    /// Whether the operation, with the answer that was seen, is legal in every state, and the state
    /// after it is the same whatever was before: the write of a register. Such operations are put
    /// off as long as nothing is gained by them, which makes searches much shorter where many
    /// operations are open at once. A wrong claim makes wrong verdicts.
    fn is_overwrite(_op: &Self::Op, _seen: Option<&Self::Ret>) -> bool {
        false
    }

    /// Returns the state after the operation, or none if its answer would not be the one seen.
    ///
    /// Worth overriding only where the system has a choice, such as which of two equal elements it
    /// returns: the state must then follow what was seen, and stand for every choice if nothing was.
    fn step(&self, op: &Self::Op, seen: Option<&Self::Ret>) -> Option<Self> {
        let mut next = self.clone();
        let answer = next.invoke(op);
        seen.is_none_or(|seen| Self::admits(seen, &answer)).then_some(next)
    }

    /// Takes the step in place and says whether it was legal; if not, the state is worth nothing.
    ///
    /// Worth overriding, to the same effect as [`Model::step`], where a copy of the state is dear.
    fn advance(&mut self, op: &Self::Op, seen: Option<&Self::Ret>) -> bool {
        let next = self.step(op, seen);
        let is_legal = next.is_some();
        next.into_iter().for_each(|next| *self = next);
        is_legal
    }

    /// Whether [`Model::is_hopeless`] ever answers true.
    const HAS_HOPELESS: bool = false;

    /// Whether no operations whatsoever can lead from this state to one where this step is legal,
    /// as when something only grows and is past what was seen. Asked only if
    /// [`Model::HAS_HOPELESS`].
    fn is_hopeless(&self, _op: &Self::Op, _seen: Option<&Self::Ret>) -> bool {
        false
    }

    /// Describes the state for a human, in a few words.
    fn describe(&self) -> String {
        format!("{self:?}")
    }

    /// Describes for a human what the operation would answer in this state.
    fn would_answer(&self, op: &Self::Op) -> String {
        format!("{:?}", self.clone().invoke(op))
    }

    /// About how many bytes a state takes beyond its own size: what it holds on the heap and does
    /// not share with the state from which it came.
    fn weight(&self) -> usize {
        0
    }

    /// Whether [`Model::sharpen`] ever does anything.
    #[doc(hidden)]
    const HAS_SHARPENING: bool = false;

    /// Sharpens what is known of the steps of one partition by looking at all of them.
    #[doc(hidden)]
    fn sharpen(_steps: &mut [Step<Self>]) {}

    /// The engines beside the search that know histories of this model, in the order in which they
    /// are asked.
    #[doc(hidden)]
    fn engines() -> &'static [PolynomialEngine<Self>] {
        &[]
    }

    /// Whether [`Model::refute`] ever answers.
    #[doc(hidden)]
    const HAS_REFUTATION: bool = false;

    /// Tries to show by weaker models that the entries have no order. Worth a try where the search
    /// of the whole takes too long.
    #[doc(hidden)]
    fn refute(_entries: &[Entry<Self>], _budget: Budget) -> Option<Found> {
        None
    }
}

/// An operation as the model sees it: what was asked, and what was seen.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step<M: Model> {
    /// What was asked.
    pub(crate) op: M::Op,
    /// What was seen; none if no answer was, or one that says nothing.
    pub(crate) seen: Option<M::Ret>,
    /// Whether the operation certainly happened.
    pub(crate) is_certain: bool,
}

/// How one operation ended, as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End<Ret> {
    /// It happened; the answer may say nothing.
    Answered(Option<Ret>),
    /// It certainly did not happen.
    Refused,
    /// Nobody knows.
    Open,
}

/// An operation of a recording, read for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading<M: Model> {
    /// The partition it belongs to.
    pub(crate) key: Option<Text>,
    /// What was asked.
    pub(crate) op: M::Op,
    /// How it ended.
    pub(crate) end: End<M::Ret>,
}

/// On which readings of a recording its judges must agree.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// What a nil read saw.
    pub(crate) nil_read: NilRead,
    /// What a failed compare-and-set says.
    pub(crate) failed_cas: FailedCas,
}

/// Why a model can make nothing of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Whether it is the completion that cannot be read, or the invocation.
    pub(crate) is_completion: bool,
    /// What is wrong.
    pub(crate) problem: String,
}

impl Unreadable {
    fn input(operation: &OperationRef<'_>, expected: &str) -> Self {
        let problem = format!("the value {} of {} is not {expected}", operation.input, operation.f);
        Self { is_completion: false, problem }
    }

    fn output(operation: &OperationRef<'_>, value: &Value, expected: &str) -> Self {
        let problem = format!("the answer {value} of {} is not {expected}", operation.f);
        Self { is_completion: true, problem }
    }

    fn function(operation: &OperationRef<'_>, expected: &str) -> Self {
        let problem =
            format!("the model does not know the function `{}` (it knows {expected})", operation.f);
        Self { is_completion: false, problem }
    }
}

/// Reads the end of an operation whose `fail` says nothing but that it did not happen.
fn end_of<Ret>(
    operation: &OperationRef<'_>,
    answer: impl FnOnce(&Value) -> Result<Option<Ret>, Unreadable>,
) -> Result<End<Ret>, Unreadable> {
    Ok(match operation.outcome {
        Outcome::Ok(value) => End::Answered(answer(value)?),
        Outcome::Fail(_) => End::Refused,
        Outcome::Info => End::Open,
    })
}

/// Reads the end of a compare-and-set, whose `fail` may be an observation.
fn end_of_cas<Ret>(
    operation: &OperationRef<'_>,
    reader: &Reader,
    mismatch: Ret,
    answer: impl FnOnce(&Value) -> Result<Option<Ret>, Unreadable>,
) -> Result<End<Ret>, Unreadable> {
    match (&operation.outcome, reader.failed_cas) {
        (Outcome::Fail(_), FailedCas::Observed) => Ok(End::Answered(Some(mismatch))),
        _ => end_of(operation, answer),
    }
}

/// Reads an element that comes into a collection. Nil is none: where it could be an element, an
/// answer of nil could also mean that there was none.
fn element(operation: &OperationRef<'_>) -> Result<Scalar, Unreadable> {
    Scalar::read(operation.input)
        .filter(|element| *element != Scalar::Nil)
        .ok_or_else(|| Unreadable::input(operation, "a string, an integer, true or false"))
}

/// Whether an answer says that the operation was done, and nothing else.
fn is_mere_done(operation: &OperationRef<'_>, answer: &Value) -> bool {
    matches!(answer, Value::Null | Value::Bool(true)) || *answer == *operation.input
}

/// Reads the answer of an operation that has nothing to say.
fn done<Ret>(
    operation: &OperationRef<'_>,
    answer: &Value,
    done: Ret,
) -> Result<Option<Ret>, Unreadable> {
    match is_mere_done(operation, answer) {
        true => Ok(Some(done)),
        false => Err(Unreadable::output(operation, answer, "what was asked, true or nil")),
    }
}

/// Reads the answer of an operation that takes an element out of a collection.
fn taken<Ret>(
    operation: &OperationRef<'_>,
    answer: &Value,
    reader: &Reader,
    empty: Ret,
    taken: impl FnOnce(Scalar) -> Ret,
) -> Result<Option<Ret>, Unreadable> {
    match (Scalar::read(answer), reader.nil_read) {
        (Some(Scalar::Nil), NilRead::Absent) => Ok(Some(empty)),
        (Some(Scalar::Nil), NilRead::Unknown) => Ok(None),
        (Some(element), _) => Ok(Some(taken(element))),
        (None, _) => {
            Err(Unreadable::output(operation, answer, "a string, an integer, true, false or nil"))
        }
    }
}
