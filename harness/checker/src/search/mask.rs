//! Which slots of the window are linearized.

use std::fmt::Debug;
use std::hash::Hash;

/// A set of slots. All masks of one search have the same width.
pub(super) trait Mask: Clone + Eq + Hash + Debug {
    /// The empty set of a window with this many slots.
    fn empty(slots: usize) -> Self;
    fn has(&self, slot: usize) -> bool;
    fn set(&mut self, slot: usize);
    fn clear(&mut self, slot: usize);
    /// Bytes beyond its own size.
    fn heap_bytes(&self) -> usize {
        0
    }
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
        }
    };
}

word_mask!(u64);
word_mask!(u128);

/// For windows of more than 128 operations: slower, but as right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WideMask(Box<[u64]>);

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

    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
