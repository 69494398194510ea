//! Which object an operation is about, and how often it is a read.

use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha12Rng;

/// A draw among so many objects: each as likely as the next, or some hot and others cold.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    count: usize,
    hot: Option<WeightedIndex<f64>>,
}

impl Keys {
    /// Makes a draw after Zipf's law: object `i` is `(i + 1)^-exponent` times as likely as the first.
    /// With an exponent of 0 all are alike.
    pub(super) fn new(count: u64, exponent: f64) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let hot = (exponent > 0.0).then(|| {
            let weights = (1..=count).map(|rank| (rank as f64).powf(-exponent));
            WeightedIndex::new(weights).expect("the first weight is 1, and none is negative")
        });
        Self { count, hot }
    }

    pub(super) fn draw(&self, random: &mut ChaCha12Rng) -> usize {
        match &self.hot {
            None => random.random_range(0..self.count),
            Some(hot) => hot.sample(random),
        }
    }
}

/// Draws whether the next operation is a read, of so many in a hundred.
pub(super) fn is_read(percent: u8, random: &mut ChaCha12Rng) -> bool {
    random.random_range(0..100) < percent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn hot_objects_are_drawn_as_often_as_the_law_says() {
        for (exponent, share_of_first) in [(0.0, 25.0), (1.0, 48.0), (3.0, 85.0)] {
            let keys = Keys::new(4, exponent);
            let mut random = Seed::new(1).generator();
            let mut drawn = [0.0; 4];
            for _ in 0..10_000 {
                drawn[keys.draw(&mut random)] += 0.01;
            }
            let first: f64 = drawn[0];
            assert!((first - share_of_first).abs() < 2.0, "{exponent}: {drawn:?}");
            assert!(drawn.iter().all(|&share| share > 0.5), "{exponent}: {drawn:?}");
        }
    }
}
