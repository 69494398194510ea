//! The engines: the search, which can judge every history of every model, and those that are much
//! faster where a history has a shape that they know.
//!
//! A polynomial engine rules on what it is sound for and nothing else: whatever is not certainly
//! of its shape is [`Ruling::Unfit`] and goes to the search. An order that it finds is replayed
//! before it is believed, like one that the search finds.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::model::Model;
use crate::search::{Budget, Entry, Found, Searched, Stop, is_proof, search};

/// The engines that a history can be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// The search for an order: it knows every model.
    Search,
}

impl EngineName {
    /// All engines.
    pub const ALL: [Self; 1] = [Self::Search];

    /// Returns the name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
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
    pub(crate) rule: fn(&M, &[Entry<M>]) -> Ruling,
}

/// What a polynomial engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Ruling {
    /// This order explains everything: every certain entry, and those others that took effect.
    Order(Vec<usize>),
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
    /// Whether every beginning that ends before the entry of [`Found::NoOrder`] has an order.
    pub(crate) is_furthest: bool,
}

/// Decides whether the entries have an order, by the engine that was asked for or by the first
/// that knows them.
pub(crate) fn decide<M: Model>(
    initial: &M,
    entries: Vec<Entry<M>>,
    budget: Budget,
    choice: Option<EngineName>,
) -> Decided {
    let mut reasons = Vec::new();
    for engine in M::engines() {
        if choice.is_some_and(|choice| choice != engine.name) {
            continue;
        }
        match (engine.rule)(initial, &entries) {
            Ruling::Unfit(why) => reasons.push(format!("not {}: {why}", engine.name)),
            ruling => return ruled(initial, &entries, engine.name, ruling),
        }
    }
    let (searched, is_furthest) = search_and_refute(initial, entries, budget);
    let reason = match reasons.is_empty() {
        true => "it knows every history".to_owned(),
        false => reasons.join("; "),
    };
    Decided { searched, engine: EngineName::Search, reason, is_furthest }
}

fn ruled<M: Model>(
    initial: &M,
    entries: &[Entry<M>],
    engine: EngineName,
    ruling: Ruling,
) -> Decided {
    let found = match ruling {
        Ruling::Order(order) if is_proof(initial, entries, &order) => Found::Order(order),
        Ruling::Order(_) | Ruling::Unfit(_) => Found::Unproven,
        Ruling::NoOrder(contradiction) => {
            let certain = contradiction.into_iter().filter(|entry| entries[*entry].step.is_certain);
            let last = certain.max_by_key(|entry| entries[*entry].completed);
            Found::NoOrder { entry: last.unwrap_or(0), dead: Vec::new() }
        }
    };
    let reason = "the history has the shape that it knows".to_owned();
    Decided { searched: Searched { found, configurations: 0 }, engine, reason, is_furthest: false }
}

/// Searches; of a model that can be refuted by weaker ones first for an eighth of the time, then
/// by those for half of the rest, and then for all that is left. What is linearizable is mostly
/// found out at once, and what is not mostly by a weaker model.
fn search_and_refute<M: Model>(
    initial: &M,
    entries: Vec<Entry<M>>,
    budget: Budget,
) -> (Searched, bool) {
    if !M::HAS_REFUTATION {
        return (search(initial, entries, budget), true);
    }
    let searched = search(initial, entries.clone(), budget.part_of(8));
    match searched.found {
        Found::Stopped { why: Stop::Time, .. } => {}
        _ => return (searched, true),
    }
    match M::refute(&entries, budget.part_of(2)) {
        Some(found) => (Searched { found, ..searched }, false),
        None => (search(initial, entries, budget), true),
    }
}
