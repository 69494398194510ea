//! Words: what contradicts what, in one sentence that is never wrong.
//!
//! A sentence of a pattern is used only if what it says was found to hold of all states that the
//! pieces of the core could lead to, whatever their times; otherwise the sentence says no more than
//! that there is no order.

use std::collections::{BTreeSet, HashSet};

use crate::check::Cut;
use crate::history::{Operation, Outcome, Value};
use crate::model::Model;
use crate::refutation::{Need, Piece, Role};

/// A piece and how it is called.
pub(super) struct Told<'a, M: Model> {
    pub(super) piece: &'a Piece<M>,
    pub(super) text: String,
}

/// How many states are looked at: beyond that no pattern is claimed.
const STATES_MAX: usize = 2_000;

/// The longest value that is told whole.
const BRIEF_CHARS: usize = 60;

/// Tells what an operation was asked, such as `write 3`.
pub(super) fn question(operation: &Operation) -> String {
    question_of(&operation.f, &operation.input)
}

/// Tells what was asked, such as `write 3`.
pub(super) fn question_of(f: &str, input: &Value) -> String {
    match input {
        Value::Null => f.to_owned(),
        input => format!("{f} {}", brief(input)),
    }
}

/// Tells what an operation answered, such as ` -> 2`, if that says more than what it was asked.
pub(super) fn answer(operation: &Operation) -> String {
    match &operation.outcome {
        Outcome::Ok(value) if *value == operation.input => String::new(),
        Outcome::Ok(value) => format!(" -> {}", brief(value)),
        Outcome::Fail(_) => " -> failed".to_owned(),
        Outcome::Info => String::new(),
    }
}

fn brief(value: &Value) -> String {
    shortened(match value {
        Value::Null => "nil".to_owned(),
        value => value.to_string(),
    })
}

/// Cuts what is too long to be told whole.
pub(super) fn shortened(text: String) -> String {
    match text.char_indices().nth(BRIEF_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Tells of an operation in a sentence, such as `read by process 4 returned 2 (lines 10-12)`.
pub(super) fn tell<M: Model>(piece: &Piece<M>, operation: &Operation, cut: Option<Cut>) -> String {
    let question = question(operation);
    let completed = operation
        .completed
        .filter(|moment| piece.until.is_some() && cut.is_none_or(|cut| Cut::from(*moment) <= cut));
    let lines = match completed {
        Some(completed) => format!("lines {}-{}", operation.invoked.line, completed.line),
        None => format!("line {}", operation.invoked.line),
    };
    if piece.role.is_none() {
        return match piece.members.len() {
            1 => format!("{question} ({lines})"),
            many => format!("{question} ({} operations)", super::grouped(many)),
        };
    }
    let process = operation.process;
    let answered = match (&operation.outcome, piece.role) {
        (Outcome::Ok(value), Some(Role::Answered)) if *value == operation.input => " succeeded",
        (Outcome::Ok(value), Some(Role::Answered)) => {
            return format!("{question} by process {process} returned {} ({lines})", brief(value));
        }
        (Outcome::Fail(_), Some(Role::Answered)) => " failed",
        _ => "",
    };
    format!("{question} by process {process}{answered} ({lines})")
}

/// Says what contradicts what.
pub(super) fn sentence<M: Model>(initial: &M, told: &[Told<'_, M>]) -> String {
    let answered: Vec<&Told<'_, M>> =
        told.iter().filter(|told| told.piece.role == Some(Role::Answered)).collect();
    let certain: Vec<&Told<'_, M>> =
        told.iter().filter(|told| told.piece.need == Need::Must).collect();
    let states = closure([initial.clone()].into(), told.iter().map(|told| told.piece));
    let found = states.and_then(|states| {
        let told = Pattern { told, states };
        match (answered.as_slice(), certain.as_slice()) {
            ([wrong], [_]) => told.never(wrong),
            ([_, ..], [one, other]) => {
                let is_stale = told.stale(one, other).or_else(|| told.stale(other, one));
                is_stale.or_else(|| told.rivals(one, other))
            }
            _ => None,
        }
    });
    found.unwrap_or_else(|| match answered.as_slice() {
        [] => "no order of these operations respects the times at which they happened".to_owned(),
        [only] => format!(
            "{}, but no order of what had happened by then, or was going on, leads to that",
            only.text
        ),
        many => {
            let texts: Vec<&str> = many.iter().map(|told| told.text.as_str()).collect();
            format!("no order explains all of these answers: {}", texts.join("; "))
        }
    })
}

/// Returns all states to which the pieces may lead, whatever their times and numbers.
fn closure<'a, M: Model>(
    from: HashSet<M>,
    pieces: impl Iterator<Item = &'a Piece<M>> + Clone,
) -> Option<HashSet<M>> {
    let mut waiting: Vec<M> = from.iter().cloned().collect();
    let mut states = from;
    while let Some(state) = waiting.pop() {
        for piece in pieces.clone() {
            if let Some(next) = state.step(&piece.op, piece.seen.as_ref())
                && !states.contains(&next)
            {
                states.insert(next.clone());
                waiting.push(next);
            }
        }
        if states.len() > STATES_MAX {
            return None;
        }
    }
    Some(states)
}

/// What the patterns are looked for in.
struct Pattern<'a, M: Model> {
    told: &'a [Told<'a, M>],
    states: HashSet<M>,
}

impl<M: Model> Pattern<'_, M> {
    /// Nothing leads to the only answer that matters.
    fn never(&self, wrong: &Told<'_, M>) -> Option<String> {
        let is_never = !self.states.iter().any(|state| is_legal(state, wrong.piece));
        is_never.then(|| {
            format!(
                "{}, but nothing that was invoked before it completed leads to that",
                wrong.text
            )
        })
    }

    /// An answer that nothing leads to any more after something else.
    ///
    /// What ended before that began cannot take effect after it; if what is left leads from none of
    /// the states just after it to the answer, the two contradict each other.
    fn stale(&self, before: &Told<'_, M>, wrong: &Told<'_, M>) -> Option<String> {
        if wrong.piece.role != Some(Role::Answered) || !precedes(before.piece, wrong.piece) {
            return None;
        }
        let others = || self.told.iter().filter(|told| told.piece.need != Need::Must);
        let later = others().filter(|told| !precedes(told.piece, before.piece));
        let after = closure(self.after(before), later.map(|told| told.piece))?;
        if after.iter().any(|state| is_legal(state, wrong.piece)) {
            return None;
        }
        let makers: Vec<&Told<'_, M>> =
            others().filter(|told| self.is_maker(told, wrong)).collect();
        let why = match makers.as_slice() {
            [] => "nothing invoked since leads there".to_owned(),
            makers if makers.iter().all(|maker| precedes(maker.piece, before.piece)) => {
                let texts: BTreeSet<&str> =
                    makers.iter().map(|maker| maker.text.as_str()).collect();
                let texts: Vec<&str> = texts.into_iter().collect();
                format!("what leads there had completed before that began: {}", texts.join(", "))
            }
            _ => "nothing that could take effect after that leads there".to_owned(),
        };
        let (wrong, before) = (&wrong.text, &before.text);
        Some(format!("{wrong}, but {before} had completed before it began, and {why}"))
    }

    /// The states just after a piece.
    fn after(&self, told: &Told<'_, M>) -> HashSet<M> {
        let Piece { op, seen, .. } = told.piece;
        self.states.iter().filter_map(|state| state.step(op, seen.as_ref())).collect()
    }

    /// Two answers of which each makes the other impossible.
    fn rivals(&self, one: &Told<'_, M>, other: &Told<'_, M>) -> Option<String> {
        let after = |first: &Told<'_, M>, second: &Told<'_, M>| {
            let others = self.told.iter().map(|told| told.piece);
            let later =
                others.filter(|piece| piece.need != Need::Must && !precedes(piece, first.piece));
            let states = closure(self.after(first), later)?;
            Some(states.iter().any(|state| is_legal(state, second.piece)))
        };
        let is_rival = after(one, other)? || after(other, one)?;
        let (one, other) = (&one.text, &other.text);
        (!is_rival).then(|| {
            format!("{one}, and {other}: after either of them nothing leads to the other's answer")
        })
    }

    /// Whether a piece can lead from a state in which an answer is wrong to one in which it is not.
    fn is_maker(&self, maker: &Told<'_, M>, wrong: &Told<'_, M>) -> bool {
        self.states.iter().any(|state| {
            let next = state.step(&maker.piece.op, maker.piece.seen.as_ref());
            next.is_some_and(|next| is_legal(&next, wrong.piece) && !is_legal(state, wrong.piece))
        })
    }
}

fn is_legal<M: Model>(state: &M, piece: &Piece<M>) -> bool {
    state.step(&piece.op, piece.seen.as_ref()).is_some()
}

fn precedes<M: Model>(before: &Piece<M>, after: &Piece<M>) -> bool {
    before.until.is_some_and(|until| until.instant < after.from.instant)
}
