//! Interned states and steps: every state and every kind of step has a number, and what a step
//! does to a state is computed once.

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

/// Stands for a state where a step was not computed yet.
const UNKNOWN: StateId = u32::MAX - 1;

/// With up to so many kinds every state has a row with the states after each.
const DENSE_KINDS_MAX: usize = 64;

/// Models with more states than this are not looked through for kinds that overwrite everything.
const CLOSURE_MAX: usize = 16;

/// All states that the search came across, and the steps between them.
#[derive(Clone)]
pub(super) struct States<M: Model> {
    states: Vec<Arc<M>>,
    ids: FxHashMap<Arc<M>, StateId>,
    kinds: Vec<Step<M>>,
    is_pure: Vec<bool>,
    /// The one state after each kind that is legal everywhere and overwrites whatever was there.
    overwrites: Vec<Option<StateId>>,
    next: FxHashMap<(StateId, KindId), StateId>,
    /// The same by state and kind, if there are few kinds.
    rows: Vec<StateId>,
    is_dense: bool,
    bytes: u64,
    computed: u64,
}

impl<M: Model> States<M> {
    /// Begins with the initial state, whose number is 0, and returns the kind of each entry.
    pub(super) fn new(initial: &M, entries: &[Entry<M>]) -> (Self, Vec<KindId>) {
        let mut ids = FxHashMap::<&Step<M>, KindId>::default();
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
        let mut states = Self {
            states: Vec::new(),
            ids: FxHashMap::default(),
            is_pure: kinds.iter().map(|step| M::is_pure(&step.op, step.seen.as_ref())).collect(),
            overwrites: Vec::new(),
            next: FxHashMap::default(),
            rows: Vec::new(),
            is_dense: kinds.len() <= DENSE_KINDS_MAX,
            kinds,
            bytes: 0,
            computed: 0,
        };
        states.intern(initial.clone());
        states.find_overwrites();
        (states, kind_of)
    }

    /// Finds the kinds that overwrite everything: the model names them, and where there are few
    /// states they show themselves.
    fn find_overwrites(&mut self) {
        let is_closed = self.is_dense && self.close();
        for kind in 0..self.kinds.len() as KindId {
            let step = &self.kinds[kind as usize];
            let is_named = M::is_overwrite(&step.op, step.seen.as_ref());
            let after = self.step_if(is_named || is_closed, 0, kind);
            let is_same = |states: &mut Self, state| states.step(state, kind) == after;
            let is_overwrite = after.is_some()
                && (is_named
                    || (0..self.states.len() as StateId).all(|state| is_same(self, state)));
            self.overwrites.push(after.filter(|_| is_overwrite && !self.is_pure(kind)));
        }
    }

    fn step_if(&mut self, is_wanted: bool, state: StateId, kind: KindId) -> Option<StateId> {
        if is_wanted { self.step(state, kind) } else { None }
    }

    /// Computes all states that can be reached; false if there are more than a few.
    fn close(&mut self) -> bool {
        let mut state = 0;
        while (state as usize) < self.states.len() {
            for kind in 0..self.kinds.len() as KindId {
                if self.states.len() > CLOSURE_MAX {
                    return false;
                }
                self.step(state, kind);
            }
            state += 1;
        }
        true
    }

    /// Returns the state after a kind that is legal in every state and overwrites it.
    pub(super) fn overwrite(&self, kind: KindId) -> Option<StateId> {
        self.overwrites[kind as usize]
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
        let known = match self.is_dense {
            true => self.rows[state as usize * self.kinds.len() + kind as usize],
            false => self.next.get(&(state, kind)).copied().unwrap_or(UNKNOWN),
        };
        if known != UNKNOWN {
            return (known != ILLEGAL).then_some(known);
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
        debug_assert!(
            self.overwrites
                .get(kind as usize)
                .is_none_or(|after| after.is_none_or(|after| after == next)),
            "an overwrite is legal in every state and leads to one"
        );
        if self.is_dense {
            self.rows[state as usize * self.kinds.len() + kind as usize] = next;
        } else {
            self.next.insert((state, kind), next);
            self.bytes += 24;
        }
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
        if self.is_dense {
            self.rows.resize(self.rows.len() + self.kinds.len(), UNKNOWN);
            self.bytes += 4 * self.kinds.len() as u64;
        }
        let state = Arc::new(state);
        self.states.push(state.clone());
        self.ids.insert(state, id);
        id
    }
}
