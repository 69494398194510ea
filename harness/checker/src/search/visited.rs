//! The configurations that were visited: a later one that can do no more is not searched again.
//!
//! Whoever stands at the same place with more pure operations linearized and fewer unknowns used can
//! do all that another can: it follows the other step by step, leaves out the pure operations that
//! it has linearized already, which change nothing and hold up nobody, and has every unknown that
//! the other still has.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::mask::Mask;
use super::states::StateId;
use super::unknowns::{UsedId, UsedSets};

/// Where a configuration stands, but for its [`Means`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place<K: Mask> {
    pub(super) position: u32,
    pub(super) state: StateId,
    /// What is linearized and not pure.
    pub(super) mask: K,
}

/// What tells configurations at one place apart.
#[derive(Clone, Debug)]
pub(super) struct Means<K: Mask> {
    pub(super) used: UsedId,
    /// What is linearized and pure.
    pub(super) served: K,
}

impl<K: Mask> Means<K> {
    /// Whether nothing can be done with the other that cannot be done with this.
    fn covers(&self, other: &Self, sets: &UsedSets) -> bool {
        other.served.is_subset(&self.served) && sets.is_subset(self.used, other.used)
    }
}

/// The means with which a place was visited, none of which covers another.
#[derive(Debug)]
enum Antichain<K: Mask> {
    One(Means<K>),
    Many(Vec<Means<K>>),
}

pub(super) struct Visited<K: Mask> {
    places: FxHashMap<Place<K>, Antichain<K>>,
    bytes: u64,
}

impl<K: Mask> Visited<K> {
    pub(super) fn new() -> Self {
        Self { places: FxHashMap::default(), bytes: 0 }
    }

    /// Notes a visit; false if an earlier one was made with means that cover these.
    pub(super) fn visit(&mut self, place: Place<K>, means: Means<K>, sets: &UsedSets) -> bool {
        let heap = means.served.heap_bytes();
        match self.places.entry(place) {
            Entry::Vacant(vacant) => {
                let table = 2 * (size_of::<Place<K>>() + size_of::<Antichain<K>>());
                self.bytes += (table + 2 * heap) as u64;
                vacant.insert(Antichain::One(means));
                return true;
            }
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Antichain::One(earlier) if earlier.covers(&means, sets) => return false,
                Antichain::One(earlier) if means.covers(earlier, sets) => *earlier = means,
                Antichain::One(earlier) => {
                    let both = vec![earlier.clone(), means];
                    *occupied.get_mut() = Antichain::Many(both);
                }
                Antichain::Many(earlier) => {
                    if earlier.iter().any(|earlier| earlier.covers(&means, sets)) {
                        return false;
                    }
                    earlier.retain(|earlier| !means.covers(earlier, sets));
                    earlier.push(means);
                }
            },
        }
        self.bytes += (2 * size_of::<Means<K>>() + heap) as u64;
        true
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
