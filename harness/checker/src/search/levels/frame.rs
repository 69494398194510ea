//! The operations open at a position, and what can be said of them for all configurations alike.

use rustc_hash::FxHashMap;

use crate::search::mask::{Mask, members};
use crate::search::states::{KindId, StateId, States};

/// A certain operation that is open.
#[derive(Clone, Copy, Debug)]
pub(in crate::search) struct Open {
    pub(in crate::search) entry: u32,
    pub(in crate::search) kind: KindId,
    /// Where it returns among the passages.
    pub(in crate::search) returns_at: u32,
    /// The slot of what its process did just before at the same instant, while that is open.
    pub(in crate::search) waits_for: Option<usize>,
    /// Whether something waits for it.
    pub(in crate::search) has_successor: bool,
}

/// With more remembered states than this, those that no configuration has any more are most.
const LEGAL_MAX: usize = 256;

/// The window, as the level engine sees it.
#[derive(Debug)]
pub(super) struct Frame<K: Mask> {
    slots: usize,
    open: Vec<Option<Open>>,
    /// The slots that are open, what returns first at the front.
    by_return: Vec<u32>,
    pure: K,
    /// Pure operations with an operation of the same process at the same instant.
    tied_pure: K,
    overwrites: K,
    /// What is neither pure nor overwrites everything.
    dependents: K,
    /// The pure operations, but for tied ones, that are legal in a state.
    legal: FxHashMap<StateId, K>,
    /// The earliest return of an overwriting operation that is called later.
    forced: u32,
    /// For every place in `by_return`, what returns after it and may be put off.
    later: Vec<K>,
    /// What may be put off and returns after `forced`.
    after_forced: K,
    /// What each overwriting operation serves, by slot.
    serves: Vec<K>,
    /// The slot of the operation that is about to return.
    returning: usize,
}

impl<K: Mask> Frame<K> {
    pub(super) fn new(slots: usize) -> Self {
        let none = K::empty(slots);
        Self {
            slots,
            open: vec![None; slots],
            by_return: Vec::new(),
            pure: none.clone(),
            tied_pure: none.clone(),
            overwrites: none.clone(),
            dependents: none.clone(),
            legal: FxHashMap::default(),
            forced: u32::MAX,
            later: Vec::new(),
            after_forced: none.clone(),
            serves: vec![none; slots],
            returning: usize::MAX,
        }
    }

    pub(super) fn call(&mut self, slot: usize, open: Open, is_pure: bool, is_overwrite: bool) {
        self.open[slot] = Some(open);
        let returns_at = |slot: &u32| self.open(*slot as usize).returns_at;
        let at = self.by_return.partition_point(|slot| returns_at(slot) < open.returns_at);
        self.by_return.insert(at, slot as u32);
        let is_tied = open.has_successor || open.waits_for.is_some();
        match (is_pure, is_overwrite) {
            (true, _) => {
                self.pure.set(slot);
                self.legal.clear();
                if is_tied {
                    self.tied_pure.set(slot);
                }
            }
            (_, true) => self.overwrites.set(slot),
            _ => self.dependents.set(slot),
        }
    }

    pub(super) fn leave(&mut self, slot: usize) {
        self.open[slot] = None;
        self.by_return.retain(|other| *other != slot as u32);
        for open in self.open.iter_mut().flatten() {
            if open.waits_for == Some(slot) {
                open.waits_for = None;
            }
        }
        if self.pure.has(slot) {
            self.legal.values_mut().for_each(|legal| legal.clear(slot));
        }
        for mask in
            [&mut self.pure, &mut self.tied_pure, &mut self.overwrites, &mut self.dependents]
        {
            mask.clear(slot);
        }
    }

    pub(super) fn open(&self, slot: usize) -> &Open {
        self.open[slot].as_ref().expect("only slots that are open are asked for")
    }

    pub(super) fn by_return(&self) -> &[u32] {
        &self.by_return
    }

    pub(super) fn pure(&self) -> &K {
        &self.pure
    }

    pub(super) fn tied_pure(&self) -> &K {
        &self.tied_pure
    }

    pub(super) fn has_tied_pure(&self) -> bool {
        !self.tied_pure.is_empty()
    }

    pub(super) fn dependents(&self) -> &K {
        &self.dependents
    }

    pub(super) fn is_overwrite(&self, slot: usize) -> bool {
        self.overwrites.has(slot)
    }

    /// Whether an overwriting operation that is called later must return before this.
    pub(super) fn is_forced_before(&self, returns_at: u32) -> bool {
        self.forced < returns_at
    }

    /// The open pure operations that are legal in a state, but for tied ones.
    pub(super) fn legal(&mut self, state: StateId, states: &mut States) -> K {
        if let Some(legal) = self.legal.get(&state) {
            return legal.clone();
        }
        let mut legal = K::empty(self.slots);
        for slot in members(&self.pure.minus(&self.tied_pure)) {
            if states.step(state, self.open(slot).kind).is_some() {
                legal.set(slot);
            }
        }
        if self.legal.len() >= LEGAL_MAX {
            self.legal.clear();
        }
        self.legal.insert(state, legal.clone());
        legal
    }

    /// Prepares for the configurations at the return of a slot.
    pub(super) fn refresh(&mut self, forced: u32, returning: usize, states: &mut States) {
        self.forced = forced;
        self.returning = returning;
        let mut later = K::empty(self.slots);
        self.after_forced = later.clone();
        self.later.clear();
        for place in (0..self.by_return.len()).rev() {
            self.later.push(later.clone());
            let slot = self.by_return[place] as usize;
            let open = *self.open(slot);
            let is_tied = open.has_successor || open.waits_for.is_some();
            if !is_tied && !self.dependents.has(slot) {
                later.set(slot);
                if forced < open.returns_at {
                    self.after_forced.set(slot);
                }
            }
        }
        self.later.reverse();
        for slot in members(&self.overwrites.clone()) {
            let after = states.overwrite(self.open(slot).kind);
            let after = after.expect("it overwrites everything, so there is a state after it");
            self.serves[slot] = self.legal(after, states);
        }
    }

    /// What a configuration linearized and could as well put off until just before an operation
    /// that overwrites everything.
    ///
    /// Before the return that one must be called later: were it linearized here, putting off until
    /// then would be no putting off, and a configuration would stand in for another one from which
    /// alone it gets on. After the return it may be open as well.
    pub(super) fn removable(&self, mask: &K, has_returned: bool) -> K {
        if !has_returned {
            return mask.and(&self.after_forced);
        }
        let is_left =
            |slot: usize| self.overwrites.has(slot) && !mask.has(slot) && slot != self.returning;
        let first = self.by_return.iter().position(|slot| is_left(*slot as usize));
        let is_sooner =
            |place: usize| self.open(self.by_return[place] as usize).returns_at < self.forced;
        match first.filter(|place| is_sooner(*place)) {
            Some(place) => mask.and(&self.later[place]),
            None => mask.and(&self.after_forced),
        }
    }

    /// What the overwriting operations among some serve.
    pub(super) fn served_by(&self, some: &K) -> K {
        let mut served = K::empty(self.slots);
        for slot in members(&some.and(&self.overwrites)) {
            served.insert_all(&self.serves[slot]);
        }
        served
    }
}
