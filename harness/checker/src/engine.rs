//! The engines: the search, which can judge every history of every model, and those that are much
//! faster where a history has a shape that they know.
//!
//! A polynomial engine rules on what it is sound for and nothing else: whatever is not certainly
//! of its shape is [`Ruling::Unfit`] and goes to the search. An order that it finds is replayed
//! before it is believed, like one that the search finds. Whoever asks for one engine gets that
//! one's verdict or none.
//!
//! Each engine is a pure function over plain values and `Span`s, in a file of its own; `views`
//! says how the models' entries are seen that way.

mod counter;
mod forced;
mod list;
mod lock;
mod mutex;
mod queue;
mod register;
mod set;
mod span;
pub(crate) mod views;
mod witnessed;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::model::Model;
use crate::search::{Budget, Entry, Found, Place, Searched, Stop, is_proof, search};

use span::Span;
use views::Views;

/// The engines that a history can be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// The search for an order: it knows every history of every model.
    Search,
    /// The order that the system itself named: it knows histories of every model whose answers
    /// carry a position, such as a log index, and believes it only if it explains everything.
    Witnessed,
    /// It knows registers of which every value that was seen can come from one write only.
    UniqueRegister,
    /// It knows registers some answer of which no write explains; it never says that there is an
    /// order.
    Origins,
    /// It knows queues in which every element is enqueued once, if unknown dequeues do not matter.
    UniqueQueue,
    /// It knows sets to which every element is added once, and which are only read whole.
    GrowOnlySet,
    /// It knows lists to which every element is appended once.
    AppendLog,
    /// It knows counters to which equal amounts are added.
    SteadyCounter,
    /// It knows locks without holders of which nobody saw that they were not to be had.
    Turns,
    /// It knows locks with owners of which nobody saw that they were not to be had.
    Holds,
}

impl EngineName {
    /// All engines.
    pub const ALL: [Self; 10] = [
        Self::Search,
        Self::Witnessed,
        Self::UniqueRegister,
        Self::Origins,
        Self::UniqueQueue,
        Self::GrowOnlySet,
        Self::AppendLog,
        Self::SteadyCounter,
        Self::Turns,
        Self::Holds,
    ];

    /// Returns the name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Witnessed => "witnessed",
            Self::UniqueRegister => "unique-register",
            Self::Origins => "origins",
            Self::UniqueQueue => "unique-queue",
            Self::GrowOnlySet => "grow-only-set",
            Self::AppendLog => "append-log",
            Self::SteadyCounter => "steady-counter",
            Self::Turns => "turns",
            Self::Holds => "holds",
        }
    }

    /// Says what a history is like that the engine knows.
    fn shape(self) -> &'static str {
        match self {
            Self::Search => "it knows every history",
            Self::Witnessed => "the answers name the system's own order, and that explains them",
            Self::UniqueRegister => "every value that was seen can come from one write only",
            Self::Origins => "no write explains one of the answers",
            Self::UniqueQueue => "every element was enqueued once, and no unknown dequeue matters",
            Self::GrowOnlySet => "every element was added once, and the set was only read whole",
            Self::AppendLog => "every element was appended once",
            Self::SteadyCounter => "equal amounts were added",
            Self::Turns => "nobody saw that the lock was not to be had",
            Self::Holds => "every owner takes and gives back the lock, one after the other",
        }
    }

    /// Returns all names, for messages.
    #[must_use]
    pub fn choices() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for EngineName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| format!("there is no engine `{name}`; choose {}", Self::choices()))
    }
}

/// An engine for histories of one model that have a certain shape.
#[doc(hidden)]
pub struct PolynomialEngine<M: Model> {
    pub(crate) name: EngineName,
    /// Judges the entries from the initial state, or says why they are not for this engine.
    pub(crate) rule: fn(&M, &[Entry<M>], &mut Views) -> Ruling,
}

/// What a polynomial engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Ruling {
    /// This order explains everything: every certain entry, and those others that took effect.
    Order(Vec<usize>),
    /// This order is worth a try: if it does not explain everything, then `otherwise`, the entries
    /// are not of the engine's shape.
    Candidate { order: Vec<usize>, otherwise: &'static str },
    /// There is none. The entries named, at most a handful, are what contradicts itself; the
    /// certain one of them that returns last is where to look.
    NoOrder(Vec<usize>),
    /// The entries are not of the engine's shape, because …
    Unfit(&'static str),
}

/// What was decided, by which engine, and why by that one.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) searched: Searched,
    pub(crate) engine: EngineName,
    pub(crate) reason: String,
}

/// Why a model's histories are not for an engine.
const NOT_OF_THE_MODEL: &str = "it does not know this model";

/// Why an engine's order was not believed.
const REFUSED_BY_REPLAY: &str =
    "its order was refused by the replay, which is a defect of the engine";

/// Decides whether the entries have an order, by the engine that was asked for or by the first
/// that knows them.
pub(crate) fn decide<M: Model>(
    initial: &M,
    entries: &[Entry<M>],
    budget: Budget,
    choice: Option<EngineName>,
) -> Decided {
    let is_proof = |order: &[usize]| is_proof(initial, entries, order);
    let mut reasons = Vec::new();
    let mut views = Views::default();
    let witnessed = PolynomialEngine { name: EngineName::Witnessed, rule: witnessed::rule };
    for engine in [&witnessed].into_iter().chain(M::engines()) {
        if choice.is_some_and(|choice| choice != engine.name) {
            continue;
        }
        let (found, reason) = match (engine.rule)(initial, entries, &mut views) {
            Ruling::Order(order) | Ruling::Candidate { order, .. } if is_proof(&order) => {
                (Found::Order(order), engine.name.shape().to_owned())
            }
            // A defect of the engine: whoever asked for it hears of it, others get a verdict.
            Ruling::Order(_) if choice.is_some() => {
                (Found::Unproven, engine.name.shape().to_owned())
            }
            Ruling::Order(_) => {
                reasons.push((engine.name, REFUSED_BY_REPLAY));
                continue;
            }
            Ruling::NoOrder(entries) => {
                (Found::Contradiction { entries }, engine.name.shape().to_owned())
            }
            Ruling::Unfit(why) | Ruling::Candidate { otherwise: why, .. } => {
                reasons.push((engine.name, why));
                continue;
            }
        };
        let searched = Searched { found, configurations: 0, place: Place::Anywhere };
        return Decided { searched, engine: engine.name, reason };
    }
    if let Some(engine) = choice.filter(|choice| *choice != EngineName::Search) {
        let why = reasons.first().map_or(NOT_OF_THE_MODEL, |(_, why)| why);
        let found = Found::Unfit { engine, why };
        let searched = Searched { found, configurations: 0, place: Place::Anywhere };
        return Decided { searched, engine, reason: ASKED_FOR.to_owned() };
    }
    // The search needs the room.
    drop(views);
    let searched = search_and_refute(initial, entries, budget);
    let reason = match (choice, reasons.is_empty()) {
        (Some(_), _) => ASKED_FOR.to_owned(),
        (None, true) => EngineName::Search.shape().to_owned(),
        (None, false) => {
            let reasons = reasons.iter().map(|(engine, why)| format!("not {engine}: {why}"));
            reasons.collect::<Vec<_>>().join("; ")
        }
    };
    Decided { searched, engine: EngineName::Search, reason }
}

/// Why an engine was chosen that somebody named.
const ASKED_FOR: &str = "the caller said so";

/// Searches; of a model that can be refuted by weaker ones first for an eighth of the time, then
/// by those for half of the rest, and then for all that is left. What is linearizable is mostly
/// found out at once, and what is not mostly by a weaker model.
fn search_and_refute<M: Model>(initial: &M, entries: &[Entry<M>], budget: Budget) -> Searched {
    if !M::HAS_REFUTATION {
        return search(initial, entries, budget);
    }
    let searched = search(initial, entries, budget.part_of(8));
    match searched.found {
        Found::Stopped { why: Stop::Time, .. } => {}
        _ => return searched,
    }
    match M::refute(entries, budget.part_of(2)) {
        Some(found) => Searched { found, place: Place::Anywhere, ..searched },
        None => search(initial, entries, budget),
    }
}
