//! The configurations that were visited: a later one that can do no more is not searched again.

use rustc_hash::FxHashMap;

use super::mask::Mask;
use super::states::StateId;
use super::unknowns::{UsedId, UsedSets};

/// Where a configuration stands, but for the unknowns it used up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place<K: Mask> {
    pub(super) position: u32,
    pub(super) state: StateId,
    pub(super) mask: K,
}

/// The used sets with which a place was visited, none a subset of another.
#[derive(Debug)]
enum Antichain {
    One(UsedId),
    Many(Vec<UsedId>),
}

pub(super) struct Visited<K: Mask> {
    places: FxHashMap<Place<K>, Antichain>,
    bytes: u64,
}

impl<K: Mask> Visited<K> {
    pub(super) fn new() -> Self {
        Self { places: FxHashMap::default(), bytes: 0 }
    }

    /// Notes a visit; false if an earlier one used up no more than a subset.
    pub(super) fn visit(&mut self, place: Place<K>, used: UsedId, sets: &UsedSets) -> bool {
        let heap = place.mask.heap_bytes();
        match self.places.entry(place) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Antichain::One(used));
                self.bytes += (2 * (size_of::<Place<K>>() + size_of::<Antichain>()) + heap) as u64;
                true
            }
            std::collections::hash_map::Entry::Occupied(mut occupied) => {
                let chain = occupied.get_mut();
                let is_dominated = match chain {
                    Antichain::One(earlier) => sets.is_subset(*earlier, used),
                    Antichain::Many(earlier) => {
                        earlier.iter().any(|earlier| sets.is_subset(*earlier, used))
                    }
                };
                if is_dominated {
                    return false;
                }
                match chain {
                    Antichain::One(earlier) if sets.is_subset(used, *earlier) => *earlier = used,
                    Antichain::One(earlier) => *chain = Antichain::Many(vec![*earlier, used]),
                    Antichain::Many(earlier) => {
                        earlier.retain(|earlier| !sets.is_subset(used, *earlier));
                        earlier.push(used);
                    }
                }
                self.bytes += 8;
                true
            }
        }
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
