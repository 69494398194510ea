//! Which operations of unknown outcome a configuration has used up: interned sets.

use rustc_hash::FxHashMap;

/// A set's number.
pub(super) type UsedId = u32;

/// The number of the empty set.
pub(super) const NONE_USED: UsedId = 0;

/// All sets that the search came across. Members are ranks: 0 is the unknown called first.
pub(super) struct UsedSets {
    sets: Vec<Box<[u64]>>,
    ids: FxHashMap<Box<[u64]>, UsedId>,
    counts: Vec<u32>,
    bytes: u64,
}

impl UsedSets {
    /// Begins with the empty set of this many unknowns.
    pub(super) fn new(unknowns: usize) -> Self {
        let mut sets =
            Self { sets: Vec::new(), ids: FxHashMap::default(), counts: Vec::new(), bytes: 0 };
        sets.intern(vec![0; unknowns.div_ceil(64)].into());
        sets
    }

    pub(super) fn has(&self, used: UsedId, rank: usize) -> bool {
        (self.sets[used as usize][rank / 64] >> (rank % 64)) & 1 == 1
    }

    /// How many members a set has.
    pub(super) fn count(&self, used: UsedId) -> u32 {
        self.counts[used as usize]
    }

    /// Returns the set with one member more.
    pub(super) fn with(&mut self, used: UsedId, rank: usize) -> UsedId {
        let mut set = self.sets[used as usize].clone();
        set[rank / 64] |= 1 << (rank % 64);
        self.intern(set)
    }

    /// Whether every member of `a` is one of `b`.
    pub(super) fn is_subset(&self, a: UsedId, b: UsedId) -> bool {
        let (a, b) = (&self.sets[a as usize], &self.sets[b as usize]);
        a.iter().zip(&**b).all(|(a, b)| a & !b == 0)
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn intern(&mut self, set: Box<[u64]>) -> UsedId {
        if let Some(id) = self.ids.get(&set) {
            return *id;
        }
        let id = UsedId::try_from(self.sets.len())
            .expect("the memory limit is reached before four billion sets");
        self.bytes += 2 * (8 * set.len() as u64 + 32);
        self.counts.push(set.iter().map(|word| word.count_ones()).sum());
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }
}
