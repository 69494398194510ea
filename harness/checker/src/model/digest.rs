//! Digests: names of 128 bits for states that grow with the history.
//!
//! A set or a queue of thousands of elements must not be hashed and compared whole at each step.
//! Its digest is kept up to date instead, and stands for it: two that differ have the same digest
//! by a chance of one in 2¹²⁸, so nothing else need be compared.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns the digest of a value.
pub(crate) fn digest_of(value: &impl Hash) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        value.hash(&mut hasher);
        hasher.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}

/// Returns the digest of a sequence from that of all but its last element, and that element.
pub(crate) fn digest_after(before: u128, last: &impl Hash) -> u128 {
    digest_of(&(before, last))
}
