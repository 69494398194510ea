//! One number from which every random choice of a run follows.
//!
//! Whoever needs randomness derives a seed of its own by name, so that adding a workload does not
//! shift the nemesis, and removing one fault of a schedule does not change what the others hit.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

/// The seed of a run, or of a named part of it.
///
/// It has 63 bits: that is the largest integer that TOML has, and a plan is a TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Seed(u64);

/// The text or number is no seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It is not a number.
    #[error("a seed is a whole number from 0 to {}", i64::MAX)]
    Number(#[source] ParseIntError),
    /// It has more than 63 bits.
    #[error("a seed is at most {}", i64::MAX)]
    Size,
}

impl Seed {
    /// Makes a seed of a number; the topmost bit is dropped.
    pub const fn new(number: u64) -> Self {
        Self(number & (u64::MAX >> 1))
    }

    /// Draws a seed that nobody has chosen. It is short enough to be read out over a desk.
    pub fn fresh() -> Self {
        Self(rand::rng().random_range(0..1_000_000_000))
    }

    /// Returns the number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the seed of the part called `name`.
    #[must_use]
    pub fn derive(self, name: &str) -> Self {
        let mut state = finalise(self.0);
        for byte in name.bytes() {
            state = finalise(state ^ u64::from(byte));
        }
        Self::new(finalise(state ^ name.len() as u64))
    }

    /// Returns a generator that starts from this seed.
    pub fn generator(self) -> ChaCha12Rng {
        ChaCha12Rng::seed_from_u64(self.0)
    }
}

/// The finaliser of SplitMix64: every bit of the input reaches every bit of the output.
const fn finalise(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        text.parse::<u64>().map_err(SeedError::Number)?.try_into()
    }
}

impl TryFrom<u64> for Seed {
    type Error = SeedError;

    fn try_from(number: u64) -> Result<Self, SeedError> {
        let seed = Self::new(number);
        (seed.0 == number).then_some(seed).ok_or(SeedError::Size)
    }
}

impl From<Seed> for u64 {
    fn from(seed: Seed) -> Self {
        seed.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_seeds_of_their_own_that_never_change() {
        let run = Seed::new(42);
        // Recorded plans depend on these staying as they are.
        assert_eq!(run.derive("nemesis").number(), 559_901_573_763_865_333);
        assert_eq!(run.derive("").number(), 6_332_618_229_526_065_668);
        let parts = ["", "a", "b", "ab", "ba", "nemesis", "workload"].map(|name| run.derive(name));
        for (place, part) in parts.iter().enumerate() {
            assert!(!parts[..place].contains(part), "{place}");
            assert_ne!(*part, run);
        }
        assert_ne!(Seed::new(43).derive("nemesis"), run.derive("nemesis"));
    }

    #[test]
    fn what_is_printed_can_be_parsed() {
        for number in [0, 1, i64::MAX as u64] {
            let seed = Seed::new(number);
            assert_eq!(seed.to_string().parse::<Seed>().unwrap(), seed);
        }
        for text in ["", "-1", "x", "9223372036854775808", "1.5"] {
            assert!(text.parse::<Seed>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_generator_is_the_one_that_recorded_plans_were_made_with() {
        let mut generator = Seed::new(7).generator();
        let drawn: [u32; 3] = std::array::from_fn(|_| generator.random());
        assert_eq!(drawn, [1_789_459_390, 130_212_073, 612_261_766]);
    }
}
