//! Numbered states and steps: every state and every kind of step has a number, and what a step does
//! to a state is computed once.
//!
//! The engines see numbers alone, so that they are compiled once and not for every model; what the
//! numbers mean is known behind [`Semantics`].

use std::any::Any;
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

/// What the numbers of states and kinds mean to a model. The initial state's number is 0.
trait Semantics: Send {
    /// How many states have a number.
    fn count(&self) -> usize;

    /// Computes the state after a step, if the step is legal.
    fn step(&mut self, state: StateId, kind: KindId) -> Option<StateId>;

    /// Whether a step of this kind can never become legal again.
    fn is_hopeless(&self, state: StateId, kind: KindId) -> bool;

    /// Describes a state for a human.
    fn describe(&self, state: StateId) -> String;

    /// About how many bytes the states take.
    fn bytes(&self) -> u64;

    fn copy(&self) -> Box<dyn Semantics>;

    /// For whoever knows the model, and wants the states themselves.
    fn as_any(&self) -> &dyn Any;
}

/// All states that the search came across, and the steps between them.
pub(super) struct States {
    semantics: Box<dyn Semantics>,
    is_pure: Vec<bool>,
    /// Whether some step may become hopeless.
    has_hopeless: bool,
    /// The one state after each kind that is legal everywhere and overwrites whatever was there.
    overwrites: Vec<Option<StateId>>,
    next: FxHashMap<(StateId, KindId), StateId>,
    /// The same by state and kind, if there are few kinds.
    rows: Vec<StateId>,
    is_dense: bool,
    /// Whether there are only few states, and all steps between them were computed.
    is_closed: bool,
    computed: u64,
}

impl Clone for States {
    fn clone(&self) -> Self {
        Self {
            semantics: self.semantics.copy(),
            is_pure: self.is_pure.clone(),
            overwrites: self.overwrites.clone(),
            next: self.next.clone(),
            rows: self.rows.clone(),
            ..*self
        }
    }
}

impl States {
    /// Begins with the initial state, and returns the kind of each entry.
    pub(super) fn new<M: Model>(initial: &M, entries: &[&Entry<M>]) -> (Self, Vec<KindId>) {
        let (states, kind_of, _) = Self::beginning_with([initial], entries);
        (states, kind_of)
    }

    /// Begins with several states, of which there is at least one, and returns the kind of each
    /// entry and the number of each state.
    pub(super) fn beginning_with<'a, M: Model>(
        first: impl IntoIterator<Item = &'a M>,
        entries: &[&Entry<M>],
    ) -> (Self, Vec<KindId>, Vec<StateId>) {
        let (kinds, kind_of) = number_kinds(entries);
        let is_pure: Vec<bool> =
            kinds.iter().map(|step| M::is_pure(&step.op, step.seen.as_ref())).collect();
        let is_named: Vec<bool> =
            kinds.iter().map(|step| M::is_overwrite(&step.op, step.seen.as_ref())).collect();
        let mut meanings = Meanings::new(kinds, &is_pure);
        let numbers = first.into_iter().map(|state| meanings.number(state.clone())).collect();
        let mut states = Self {
            is_dense: is_pure.len() <= DENSE_KINDS_MAX,
            semantics: Box::new(meanings),
            is_pure,
            has_hopeless: M::HAS_HOPELESS,
            overwrites: Vec::new(),
            next: FxHashMap::default(),
            rows: Vec::new(),
            is_closed: false,
            computed: 0,
        };
        states.add_rows();
        states.find_overwrites(&is_named);
        (states, kind_of, numbers)
    }

    /// Returns the state of a number, as the model that the numbers were made for knows it.
    pub(super) fn meaning<M: Model>(&self, state: StateId) -> &M {
        let meanings = self.semantics.as_any().downcast_ref::<Meanings<M>>();
        &meanings.expect("whoever made the numbers asks for their meaning").states[state as usize]
    }

    /// Finds the kinds that overwrite everything: the model names them, and where there are few
    /// states they show themselves. Those that show themselves do so among the states that these
    /// kinds reach: in a piece of a history only until the piece ends.
    fn find_overwrites(&mut self, is_named: &[bool]) {
        self.is_closed = self.is_dense && self.close();
        for kind in 0..self.kinds() as KindId {
            let is_named = is_named[kind as usize];
            let after = if is_named || self.is_closed { self.step(0, kind) } else { None };
            let is_same = |states: &mut Self, state| states.step(state, kind) == after;
            let is_overwrite = after.is_some()
                && (is_named
                    || (0..self.semantics.count() as StateId).all(|state| is_same(self, state)));
            self.overwrites.push(after.filter(|_| is_overwrite && !self.is_pure(kind)));
        }
    }

    /// Computes all states that can be reached; false if there are more than a few.
    fn close(&mut self) -> bool {
        let mut state = 0;
        while (state as usize) < self.semantics.count() {
            for kind in 0..self.kinds() as KindId {
                if self.semantics.count() > CLOSURE_MAX {
                    return false;
                }
                self.step(state, kind);
            }
            state += 1;
        }
        true
    }

    /// For every kind the kinds of steps that change something and lead to a state where it is
    /// legal, as bits; none if there are many states or kinds.
    pub(super) fn suppliers(&mut self) -> Option<Vec<u64>> {
        if !self.is_closed {
            return None;
        }
        let (count, kinds) = (self.semantics.count() as StateId, self.kinds() as KindId);
        let mut suppliers = vec![0; self.kinds()];
        for state in 0..count {
            for supplier in 0..kinds {
                let after = self.step(state, supplier).filter(|_| !self.is_pure(supplier));
                let Some(after) = after else { continue };
                for kind in 0..kinds {
                    let is_legal = self.step(after, kind).is_some();
                    suppliers[kind as usize] |= u64::from(is_legal) << supplier;
                }
            }
        }
        Some(suppliers)
    }

    /// The kinds of steps that are legal in every state, as bits; none if there are many states or
    /// kinds.
    pub(super) fn always_legal(&mut self) -> Option<u64> {
        if !self.is_closed {
            return None;
        }
        let count = self.semantics.count() as StateId;
        let kinds = 0..self.kinds() as KindId;
        Some(kinds.fold(0, |legal, kind| {
            let is_legal = (0..count).all(|state| self.step(state, kind).is_some());
            legal | u64::from(is_legal) << kind
        }))
    }

    /// Returns the state after a kind that is legal in every state and overwrites it.
    pub(super) fn overwrite(&self, kind: KindId) -> Option<StateId> {
        self.overwrites[kind as usize]
    }

    pub(super) fn describe(&self, state: StateId) -> String {
        self.semantics.describe(state)
    }

    pub(super) fn is_pure(&self, kind: KindId) -> bool {
        self.is_pure[kind as usize]
    }

    pub(super) fn kinds(&self) -> usize {
        self.is_pure.len()
    }

    /// Whether steps may become hopeless at all.
    pub(super) fn has_hopeless(&self) -> bool {
        self.has_hopeless
    }

    /// Whether a step of this kind can never become legal again.
    pub(super) fn is_hopeless(&self, state: StateId, kind: KindId) -> bool {
        self.has_hopeless && self.semantics.is_hopeless(state, kind)
    }

    /// Returns the state after a step, or none if the step is not legal here.
    #[inline]
    pub(super) fn step(&mut self, state: StateId, kind: KindId) -> Option<StateId> {
        let known = match self.is_dense {
            true => self.rows[state as usize * self.kinds() + kind as usize],
            false => self.next.get(&(state, kind)).copied().unwrap_or(UNKNOWN),
        };
        if known != UNKNOWN {
            return (known != ILLEGAL).then_some(known);
        }
        self.compute(state, kind)
    }

    fn compute(&mut self, state: StateId, kind: KindId) -> Option<StateId> {
        self.computed += 1;
        let next = self.semantics.step(state, kind);
        self.add_rows();
        let remembered = next.unwrap_or(ILLEGAL);
        debug_assert!(
            self.overwrites
                .get(kind as usize)
                .is_none_or(|after| after.is_none_or(|after| after == remembered)),
            "an overwrite is legal in every state and leads to one"
        );
        if self.is_dense {
            let place = state as usize * self.kinds() + kind as usize;
            self.rows[place] = remembered;
        } else {
            self.next.insert((state, kind), remembered);
        }
        next
    }

    fn add_rows(&mut self) {
        if self.is_dense {
            self.rows.resize(self.semantics.count() * self.kinds(), UNKNOWN);
        }
    }

    /// How many steps were computed, not remembered.
    pub(super) fn computed(&self) -> u64 {
        self.computed
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        let steps = 4 * self.rows.len() + 24 * self.next.len();
        self.semantics.bytes() + steps as u64
    }
}

/// Numbers the kinds of steps, and returns the kind of each entry.
fn number_kinds<M: Model>(entries: &[&Entry<M>]) -> (Vec<Step<M>>, Vec<KindId>) {
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
    (kinds, kind_of)
}

/// The states and kinds of one model, by their numbers.
struct Meanings<M: Model> {
    states: Vec<Arc<M>>,
    ids: FxHashMap<Arc<M>, StateId>,
    kinds: Vec<Step<M>>,
    is_pure: Vec<bool>,
    bytes: u64,
}

impl<M: Model> Meanings<M> {
    fn new(kinds: Vec<Step<M>>, is_pure: &[bool]) -> Self {
        Self {
            states: Vec::new(),
            ids: FxHashMap::default(),
            kinds,
            is_pure: is_pure.to_vec(),
            bytes: 0,
        }
    }

    fn number(&mut self, state: M) -> StateId {
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

impl<M: Model> Semantics for Meanings<M> {
    fn count(&self) -> usize {
        self.states.len()
    }

    fn step(&mut self, state: StateId, kind: KindId) -> Option<StateId> {
        let step = &self.kinds[kind as usize];
        let before = &self.states[state as usize];
        let next = before.step(&step.op, step.seen.as_ref())?;
        // A pure step leaves the state as it is, so there is nothing to look up.
        if self.is_pure[kind as usize] {
            debug_assert!(next == **before, "a step is pure only if it changes no state");
            return Some(state);
        }
        Some(self.number(next))
    }

    fn is_hopeless(&self, state: StateId, kind: KindId) -> bool {
        let step = &self.kinds[kind as usize];
        self.states[state as usize].is_hopeless(&step.op, step.seen.as_ref())
    }

    fn describe(&self, state: StateId) -> String {
        self.states[state as usize].describe()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn copy(&self) -> Box<dyn Semantics> {
        Box::new(Self {
            states: self.states.clone(),
            ids: self.ids.clone(),
            kinds: self.kinds.clone(),
            is_pure: self.is_pure.clone(),
            bytes: self.bytes,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
