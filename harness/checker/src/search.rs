//! The search: whether some order of the operations of one partition explains every answer.
//!
//! The method is that of Wing and Gong as improved by Lowe, over *window configurations*. Events
//! (calls and returns) are gone through in order. A return can be passed only if its operation has
//! been linearized, so at any position of the events all that must be remembered is
//!
//! - which of the operations open *there* are already linearized: a mask over slots,
//! - the state: interned, with every step from it computed once,
//! - which operations of unknown outcome were used up: an interned set.
//!
//! Operations are linearized only when the return of one that is not stops the way (just in time).
//! What makes this fast, and why each is sound:
//!
//! - **Greedy pure operations.** One that is legal now and changes no state whatsoever can be
//!   linearized at once: any order that has it later stays legal with it moved here.
//! - **Symmetry.** Of open operations with equal question and answer the one that returns first is
//!   tried: in an order with the other first, the two can change places. (Not if a later operation
//!   of the same process was invoked at the very instant of the return: then they differ.)
//! - **Unknown outcomes by need.** Configurations wait on a ladder by how many more unknown
//!   operations they used than the fewest with which anybody came as far; where nothing is gained
//!   on the lowest rung, the others have their turns.
//! - **Dominance.** Where what is linearized differs in pure operations alone, at the same position
//!   and state, whoever linearized more of them and used up fewer unknowns can do all that the
//!   other can.
//! - **Demands.** What is open must become legal some time, and where nobody is left who can bring
//!   that about there is no way on ([`demand`]).
//! - **Hopelessness.** A state from which an open operation's answer cannot come about any more,
//!   whatever happens, leads nowhere.
//! - **Locality.** What has nothing to do with each other is searched apart ([`parts`]).
//!
//! A found order is replayed from scratch before it is believed ([`proof`]).

mod budget;
mod chain;
mod demand;
mod depth_first;
mod ladder;
mod levels;
mod mask;
mod parts;
pub(crate) mod piece;
mod proof;
mod race;
mod states;
mod unknowns;
mod visited;
mod watch;
mod window;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;

use crate::engine::EngineName;
use crate::model::{Model, Step};

pub(crate) use budget::{Budget, shares};
pub(crate) use proof::is_proof;

use mask::WideMask;
use race::race;
use states::States;
use window::Timeline;

pub(crate) use race::Strategy;

/// One operation of a partition, as the search takes it.
#[derive(Clone, Debug)]
pub struct Entry<M: Model> {
    /// What was asked and seen. An entry that is not certain may or may not have happened.
    pub(crate) step: Step<M>,
    /// The client: its operations follow one another even if their instants tie.
    pub(crate) process: u64,
    /// When it was invoked.
    pub(crate) invoked: u64,
    /// When it was answered; none if it may take effect at any later time.
    pub(crate) completed: Option<u64>,
    /// Which of several returns at one instant is gone through first.
    pub(crate) tie: u64,
    /// Where the system says it stands in its own order.
    pub(crate) position: Option<u64>,
}

impl<M: Model> Entry<M> {
    /// The same operation as another model sees it.
    pub(crate) fn with_step<F: Model>(&self, step: Step<F>) -> Entry<F> {
        let Self { process, invoked, completed, tie, position, .. } = *self;
        Entry { step, process, invoked, completed, tie, position }
    }
}

/// What stopped a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Time,
    Memory,
}

/// A legal configuration from which there was no way on.
#[derive(Clone, Debug)]
pub struct DeadConfiguration {
    /// The state, described.
    pub(crate) state: String,
    /// The entries linearized last, the latest last.
    pub(crate) last: Vec<usize>,
    /// Open entries that are not linearized.
    pub(crate) unordered: Vec<usize>,
    /// Entries of unknown outcome that were invoked and not used.
    pub(crate) maybe: Vec<usize>,
}

impl DeadConfiguration {
    /// Names the entries by what they are elsewhere.
    pub(crate) fn rename(&mut self, sources: &[u32]) {
        for list in [&mut self.last, &mut self.unordered, &mut self.maybe] {
            for entry in list {
                *entry = sources[*entry] as usize;
            }
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub enum Found {
    /// An order that explains everything, verified.
    Order(Vec<usize>),
    /// There is none: `entry` is the first whose return no configuration passed.
    NoOrder { entry: usize, dead: Vec<DeadConfiguration> },
    /// There is none, for these contradict one another. What is certain of them is so at the last
    /// of their returns.
    Contradiction { entries: Vec<usize> },
    /// The entries are not for the engine that was asked for.
    Unfit { engine: EngineName, why: &'static str },
    /// The budget is used up; `entry` as above, so far.
    Stopped { why: Stop, entry: usize, completions: usize },
    /// An order was found that its own replay refused.
    Unproven,
}

/// How many of the furthest configurations a witness shows.
const DEAD_SHOWN: usize = 4;

/// How many of the operations that led to a dead end a witness shows.
const LAST_SHOWN: usize = 8;

/// What is known of the return that a [`Found::NoOrder`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Nothing.
    Anywhere,
    /// Every beginning that ends before it has an order.
    NotBefore,
    /// The same, and no configuration passed it that knew how what was open there will end.
    Here,
}

/// What a search found and what it cost.
#[derive(Clone, Debug)]
pub(crate) struct Searched {
    pub(crate) found: Found,
    /// Configurations that were visited.
    pub(crate) configurations: u64,
    /// What is known of the entry of [`Found::NoOrder`].
    pub(crate) place: Place,
}

/// Searches for an order of the entries that is legal from the initial state.
pub(crate) fn search<M: Model>(initial: &M, entries: &[Entry<M>], budget: Budget) -> Searched {
    let Some(groups) = parts::split(entries) else {
        let all: Vec<&Entry<M>> = entries.iter().collect();
        return search_with(initial, &all, budget, Strategy::Race);
    };
    let searched = parts::search_each(entries, &groups, budget, |entries, budget| {
        search_unproven(initial, entries, budget, Strategy::Race)
    });
    proven(initial, entries, searched)
}

/// Searches in one way.
pub(crate) fn search_with<M: Model>(
    initial: &M,
    entries: &[&Entry<M>],
    budget: Budget,
    strategy: Strategy,
) -> Searched {
    proven(initial, entries, search_unproven(initial, entries, budget, strategy))
}

/// Searches, and believes the order that is found.
fn search_unproven<M: Model>(
    initial: &M,
    entries: &[&Entry<M>],
    budget: Budget,
    strategy: Strategy,
) -> Searched {
    if !M::HAS_SHARPENING {
        return search_steps(initial, entries, budget, strategy);
    }
    // The steps are sharpened together; what they are worth depends on the others.
    let mut steps: Vec<Step<M>> = entries.iter().map(|entry| entry.step.clone()).collect();
    M::sharpen(&mut steps);
    let sharpened: Vec<Entry<M>> =
        entries.iter().zip(steps).map(|(entry, step)| entry.with_step(step)).collect();
    search_steps(initial, &sharpened.iter().collect::<Vec<_>>(), budget, strategy)
}

/// Searches with the steps as they are.
fn search_steps<M: Model>(
    initial: &M,
    entries: &[&Entry<M>],
    budget: Budget,
    strategy: Strategy,
) -> Searched {
    let timeline = Timeline::new(entries);
    let begin = || States::new(initial, entries);
    match timeline.slots {
        0..=64 => race::<u64>(&begin, &timeline, budget, strategy),
        65..=128 => race::<u128>(&begin, &timeline, budget, strategy),
        _ => race::<WideMask>(&begin, &timeline, budget, strategy),
    }
}

/// Takes back an order that does not stand its replay.
fn proven<M: Model>(
    initial: &M,
    entries: &[impl Borrow<Entry<M>>],
    mut searched: Searched,
) -> Searched {
    if let Found::Order(order) = &searched.found
        && !is_proof(initial, entries, order)
    {
        searched.found = Found::Unproven;
    }
    searched
}
