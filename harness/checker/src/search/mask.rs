//! Which slots of the window are linearized.

use std::fmt::Debug;
use std::hash::Hash;

/// A set of slots. All masks of one search have the same width.
pub(super) trait Mask: Clone + Eq + Hash + Debug + Send + Sync {
    /// The empty set of a window with this many slots.
    fn empty(slots: usize) -> Self;
    fn has(&self, slot: usize) -> bool;
    fn set(&mut self, slot: usize);
    fn clear(&mut self, slot: usize);
    fn is_empty(&self) -> bool;
    /// Whether every member is one of another set.
    fn is_subset(&self, other: &Self) -> bool;
    /// The members that another set does not have.
    fn minus(&self, other: &Self) -> Self;
    /// The members that another set has as well.
    fn and(&self, other: &Self) -> Self;
    /// Takes in the members of another set.
    fn insert_all(&mut self, other: &Self);
    /// The first member at or after a slot.
    fn next_from(&self, slot: usize) -> Option<usize>;
    /// Bytes beyond its own size.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The members of a set in the order of their slots.
pub(super) fn members<K: Mask>(mask: &K) -> impl Iterator<Item = usize> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let slot = mask.next_from(from)?;
        from = slot + 1;
        Some(slot)
    })
}

macro_rules! word_mask {
    ($word:ty) => {
        impl Mask for $word {
            fn empty(slots: usize) -> Self {
                debug_assert!(slots <= Self::BITS as usize);
                0
            }

            fn has(&self, slot: usize) -> bool {
                (self >> slot) & 1 == 1
            }

            fn set(&mut self, slot: usize) {
                *self |= 1 << slot;
            }

            fn clear(&mut self, slot: usize) {
                *self &= !(1 << slot);
            }

            fn is_empty(&self) -> bool {
                *self == 0
            }

            fn is_subset(&self, other: &Self) -> bool {
                self & !other == 0
            }

            fn minus(&self, other: &Self) -> Self {
                self & !other
            }

            fn and(&self, other: &Self) -> Self {
                self & other
            }

            fn insert_all(&mut self, other: &Self) {
                *self |= other;
            }

            fn next_from(&self, slot: usize) -> Option<usize> {
                let rest = self.checked_shr(slot as u32)?;
                (rest != 0).then(|| slot + rest.trailing_zeros() as usize)
            }
        }
    };
}

word_mask!(u64);
word_mask!(u128);

/// For windows of more than 128 operations: slower, but as right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WideMask(Box<[u64]>);

impl WideMask {
    fn with(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| combine(*a, *b)).collect())
    }
}

impl Mask for WideMask {
    fn empty(slots: usize) -> Self {
        Self(vec![0; slots.div_ceil(64)].into())
    }

    fn has(&self, slot: usize) -> bool {
        self.0[slot / 64].has(slot % 64)
    }

    fn set(&mut self, slot: usize) {
        self.0[slot / 64].set(slot % 64);
    }

    fn clear(&mut self, slot: usize) {
        self.0[slot / 64].clear(slot % 64);
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    fn minus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a & !b)
    }

    fn and(&self, other: &Self) -> Self {
        self.with(other, |a, b| a & b)
    }

    fn insert_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn next_from(&self, slot: usize) -> Option<usize> {
        let first = self.0.get(slot / 64)?.next_from(slot % 64).map(|found| slot / 64 * 64 + found);
        first.or_else(|| {
            let mut later = self.0.iter().enumerate().skip(slot / 64 + 1);
            later.find_map(|(index, word)| Some(index * 64 + word.next_from(0)?))
        })
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
