//! Which operations of unknown outcome a configuration has used up: interned sets.
//!
//! Where unknowns of one kind are used in the order of their calls, a set is how many of each kind
//! it has; that keeps sets small in histories with thousands of unknowns.

use rustc_hash::FxHashMap;

use super::states::KindId;

#[cfg(test)]
mod tests;

/// A set's number.
pub(super) type UsedId = u32;

/// The number of the empty set.
pub(super) const NONE_USED: UsedId = 0;

/// Where unknowns stand among those of their kind.
#[derive(Debug)]
struct ByKind {
    /// The kind of every unknown, by rank, as a place in `ranks`.
    kind: Vec<u32>,
    /// How many of its kind were called before, by rank.
    place: Vec<u32>,
    /// The ranks of each kind in ascending order.
    ranks: Vec<Vec<u32>>,
}

/// With more kinds than this, sets of members are smaller than counts.
const COUNTED_KINDS_MAX: usize = 64;

/// All sets that the search came across. Members are ranks: 0 is the unknown called first.
#[derive(Debug)]
pub(super) struct UsedSets {
    /// The members of each set in ascending order, but for those that all have; or how many of
    /// each kind it has.
    sets: Vec<Box<[u32]>>,
    /// Set if sets are counts by kind.
    by_kind: Option<ByKind>,
    ids: FxHashMap<Box<[u32]>, UsedId>,
    /// What every configuration that is left has used, by rank.
    is_spent: Vec<bool>,
    /// How many sets were left when they were last swept.
    kept: usize,
    bytes: u64,
}

impl UsedSets {
    /// Begins with the empty set.
    pub(super) fn new() -> Self {
        let mut sets = Self {
            sets: Vec::new(),
            by_kind: None,
            ids: FxHashMap::default(),
            is_spent: Vec::new(),
            kept: 0,
            bytes: 0,
        };
        sets.intern(Box::default());
        sets
    }

    /// Begins with the empty set, of unknowns that are used in the order of their ranks if they are
    /// of one kind.
    pub(super) fn in_order(kinds: impl Iterator<Item = KindId>) -> Self {
        let mut by_kind = ByKind { kind: Vec::new(), place: Vec::new(), ranks: Vec::new() };
        let mut numbers = FxHashMap::<KindId, u32>::default();
        for (rank, kind) in kinds.enumerate() {
            let next = by_kind.ranks.len() as u32;
            let kind = *numbers.entry(kind).or_insert(next);
            if kind == next {
                by_kind.ranks.push(Vec::new());
            }
            let ranks = &mut by_kind.ranks[kind as usize];
            by_kind.kind.push(kind);
            by_kind.place.push(ranks.len() as u32);
            ranks.push(rank as u32);
        }
        let by_kind = (by_kind.ranks.len() <= COUNTED_KINDS_MAX).then_some(by_kind);
        Self { by_kind, ..Self::new() }
    }

    /// The next of each kind that a set does not have, in ascending order, if sets are counted by
    /// kind.
    pub(super) fn next_of_each(&self, used: UsedId) -> Option<Vec<usize>> {
        let by_kind = self.by_kind.as_ref()?;
        let counts = &self.sets[used as usize];
        let next = by_kind.ranks.iter().enumerate().filter_map(|(kind, ranks)| {
            ranks.get(count_of(counts, kind) as usize).map(|rank| *rank as usize)
        });
        let mut next: Vec<usize> = next.collect();
        next.sort_unstable();
        Some(next)
    }

    pub(super) fn has(&self, used: UsedId, rank: usize) -> bool {
        if let Some(by_kind) = &self.by_kind {
            let counts = &self.sets[used as usize];
            return by_kind.place[rank] < count_of(counts, by_kind.kind[rank] as usize);
        }
        self.is_spent(rank) || self.sets[used as usize].binary_search(&(rank as u32)).is_ok()
    }

    /// Whether every set that is left has this member.
    pub(super) fn is_spent(&self, rank: usize) -> bool {
        self.is_spent.get(rank) == Some(&true)
    }

    /// How many members a set has, but for those that all have.
    pub(super) fn count(&self, used: UsedId) -> u32 {
        let set = &self.sets[used as usize];
        match self.by_kind {
            Some(_) => set.iter().sum(),
            None => set.len() as u32,
        }
    }

    /// Returns the set with one member more.
    pub(super) fn with(&mut self, used: UsedId, rank: usize) -> UsedId {
        let set = &self.sets[used as usize];
        if let Some(by_kind) = &self.by_kind {
            let kind = by_kind.kind[rank] as usize;
            debug_assert_eq!(by_kind.place[rank], count_of(set, kind), "they are used in order");
            let mut larger = set.to_vec();
            larger.resize(by_kind.ranks.len(), 0);
            larger[kind] += 1;
            return self.intern(larger.into());
        }
        let at = set.partition_point(|member| (*member as usize) < rank);
        let mut larger = Vec::with_capacity(set.len() + 1);
        larger.extend_from_slice(&set[..at]);
        larger.push(rank as u32);
        larger.extend_from_slice(&set[at..]);
        self.intern(larger.into())
    }

    /// Whether every member of `a` is one of `b`.
    pub(super) fn is_subset(&self, a: UsedId, b: UsedId) -> bool {
        if a == b || a == NONE_USED {
            return true;
        }
        let (a, b) = (&self.sets[a as usize], &self.sets[b as usize]);
        if self.by_kind.is_some() {
            return a.iter().enumerate().all(|(kind, count)| *count <= count_of(b, kind));
        }
        let mut rest = b.iter();
        a.len() <= b.len() && a.iter().all(|member| rest.any(|other| other == member))
    }

    /// Whether so many sets are kept that a sweep may pay.
    pub(super) fn is_sweep_due(&self) -> bool {
        self.sets.len() >= SWEEP_MIN.max(2 * self.kept)
    }

    /// Forgets all sets but these, which get their new numbers, and sets apart what all of them
    /// have.
    pub(super) fn sweep<'a>(&mut self, left: impl Iterator<Item = &'a mut UsedId>) {
        let left: Vec<&mut UsedId> = left.collect();
        let Self { sets, is_spent, .. } = std::mem::replace(self, Self::new());
        self.is_spent = is_spent;
        let mut common: Vec<u32> =
            left.first().map_or(Vec::new(), |first| sets[**first as usize].to_vec());
        for used in &left {
            common.retain(|member| sets[**used as usize].binary_search(member).is_ok());
        }
        for member in &common {
            if self.is_spent.len() <= *member as usize {
                self.is_spent.resize(*member as usize + 1, false);
            }
            self.is_spent[*member as usize] = true;
        }
        for used in left {
            let set = sets[*used as usize].iter().copied();
            let rest = set.filter(|member| common.binary_search(member).is_err());
            *used = self.intern(rest.collect());
        }
        self.kept = self.sets.len();
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn intern(&mut self, set: Box<[u32]>) -> UsedId {
        if let Some(id) = self.ids.get(&set) {
            return *id;
        }
        let id = UsedId::try_from(self.sets.len())
            .expect("the memory limit is reached before four billion sets");
        self.bytes += 2 * (4 * set.len() as u64 + 32);
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }
}

/// How many of a kind a counted set has; the empty set has no counts.
fn count_of(counts: &[u32], kind: usize) -> u32 {
    counts.get(kind).copied().unwrap_or(0)
}

/// Fewer sets than this are not worth a sweep.
const SWEEP_MIN: usize = 1 << 12;
