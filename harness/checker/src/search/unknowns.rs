//! Which operations of unknown outcome a configuration has used up: interned sets.

use rustc_hash::FxHashMap;

/// A set's number.
pub(super) type UsedId = u32;

/// The number of the empty set.
pub(super) const NONE_USED: UsedId = 0;

/// All sets that the search came across. Members are ranks: 0 is the unknown called first.
#[derive(Debug)]
pub(super) struct UsedSets {
    /// The members of each set in ascending order, but for those that all have.
    sets: Vec<Box<[u32]>>,
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
            ids: FxHashMap::default(),
            is_spent: Vec::new(),
            kept: 0,
            bytes: 0,
        };
        sets.intern(Box::default());
        sets
    }

    pub(super) fn has(&self, used: UsedId, rank: usize) -> bool {
        self.is_spent(rank) || self.sets[used as usize].binary_search(&(rank as u32)).is_ok()
    }

    /// Whether every set that is left has this member.
    pub(super) fn is_spent(&self, rank: usize) -> bool {
        self.is_spent.get(rank) == Some(&true)
    }

    /// How many members a set has, but for those that all have.
    pub(super) fn count(&self, used: UsedId) -> u32 {
        self.sets[used as usize].len() as u32
    }

    /// Returns the set with one member more.
    pub(super) fn with(&mut self, used: UsedId, rank: usize) -> UsedId {
        let set = &self.sets[used as usize];
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

/// Fewer sets than this are not worth a sweep.
const SWEEP_MIN: usize = 1 << 12;
