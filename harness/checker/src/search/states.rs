//! Interned states and steps: every state and every kind of step has a number, and what a step
//! does to a state is computed once.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Model, Step};

use super::Entry;

/// A state's number.
pub(super) type StateId = u32;

/// The number of a kind of step: equal question, equal answer.
pub(super) type KindId = u32;

/// Remembered instead of a state where a step is not legal.
const ILLEGAL: StateId = u32::MAX;

/// All states that the search came across, and the steps between them.
pub(super) struct States<M: Model> {
    states: Vec<Arc<M>>,
    ids: FxHashMap<Arc<M>, StateId>,
    kinds: Vec<Step<M>>,
    is_pure: Vec<bool>,
    next: FxHashMap<(StateId, KindId), StateId>,
    bytes: u64,
    computed: u64,
}

impl<M: Model> States<M> {
    /// Begins with the initial state, whose number is 0, and returns the kind of each entry.
    pub(super) fn new(initial: &M, entries: &[Entry<M>]) -> (Self, Vec<KindId>) {
        let mut ids = HashMap::<&Step<M>, KindId>::new();
        let mut kinds = Vec::new();
        let kind_of = entries
            .iter()
            .map(|entry| {
                *ids.entry(&entry.step).or_insert_with(|| {
                    kinds.push(entry.step.clone());
                    (kinds.len() - 1) as KindId
                })
            })
            .collect();
        let is_pure = kinds.iter().map(|step| M::is_pure(&step.op, step.seen.as_ref())).collect();
        let mut states = Self {
            states: Vec::new(),
            ids: FxHashMap::default(),
            kinds,
            is_pure,
            next: FxHashMap::default(),
            bytes: 0,
            computed: 0,
        };
        states.intern(initial.clone());
        (states, kind_of)
    }

    pub(super) fn get(&self, state: StateId) -> &M {
        &self.states[state as usize]
    }

    pub(super) fn is_pure(&self, kind: KindId) -> bool {
        self.is_pure[kind as usize]
    }

    pub(super) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// Whether a step of this kind can never become legal again.
    pub(super) fn is_hopeless(&self, state: StateId, kind: KindId) -> bool {
        let step = &self.kinds[kind as usize];
        M::HAS_HOPELESS && self.get(state).is_hopeless(&step.op, step.seen.as_ref())
    }

    /// Returns the state after a step, or none if the step is not legal here.
    pub(super) fn step(&mut self, state: StateId, kind: KindId) -> Option<StateId> {
        if let Some(next) = self.next.get(&(state, kind)) {
            return (*next != ILLEGAL).then_some(*next);
        }
        self.computed += 1;
        let step = &self.kinds[kind as usize];
        let next = match self.get(state).step(&step.op, step.seen.as_ref()) {
            // A pure step leaves the state as it is, so there is nothing to look up.
            Some(next) if self.is_pure(kind) => {
                debug_assert!(
                    next == *self.get(state),
                    "a step is pure only if it changes no state"
                );
                state
            }
            Some(next) => self.intern(next),
            None => ILLEGAL,
        };
        self.next.insert((state, kind), next);
        self.bytes += 24;
        (next != ILLEGAL).then_some(next)
    }

    /// How many steps were computed, not remembered.
    pub(super) fn computed(&self) -> u64 {
        self.computed
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn intern(&mut self, state: M) -> StateId {
        if let Some(id) = self.ids.get(&state) {
            return *id;
        }
        let id = StateId::try_from(self.states.len())
            .expect("the memory limit is reached before four billion states");
        self.bytes += (size_of::<M>() + state.weight() + 64) as u64;
        let state = Arc::new(state);
        self.states.push(state.clone());
        self.ids.insert(state, id);
        id
    }
}
