//! What happened in a run: a number that stands for all of it, and if wanted the story.

use std::hash::{Hash, Hasher};

use crate::time::Time;

/// The trace of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    fold: Fold,
    story: Option<String>,
}

impl Trace {
    /// Makes a trace that tells the story, or only counts.
    pub(crate) fn new(is_told: bool) -> Self {
        Self { fold: Fold::default(), story: is_told.then(String::new) }
    }

    /// Folds something that happened into the number.
    pub(crate) fn note(&mut self, happened: &impl Hash) {
        happened.hash(&mut self.fold);
    }

    /// Adds a line to the story, if there is one.
    pub(crate) fn tell(&mut self, time: Time, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            for line in line().lines() {
                story.push_str(&format!("{time} {line}\n"));
            }
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.story.is_some()
    }

    /// Returns the number that stands for everything noted so far.
    pub(crate) fn hash(&self) -> u64 {
        self.fold.finish()
    }

    pub(crate) fn take_story(&mut self) -> String {
        self.story.take().unwrap_or_default()
    }
}

/// Returns a number that stands for the value.
pub(crate) fn digest(value: &(impl Hash + ?Sized)) -> u64 {
    let mut fold = Fold::default();
    value.hash(&mut fold);
    fold.finish()
}

/// A fast hasher whose result depends on nothing but what is written: no key, no pointer width.
#[derive(Clone, Copy, Debug)]
struct Fold(u64);

impl Default for Fold {
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl Fold {
    fn mix(&mut self, word: u64) {
        let whole = (self.0 ^ word).wrapping_add(0x1357_9bdf_0246_8ace);
        let product = u128::from(whole) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = *self;
        last.mix(0);
        last.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_traces_have_different_numbers() {
        let values = ["", "a", "b", "ab", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaa\0"];
        for (place, value) in values.iter().enumerate() {
            assert!(values[..place].iter().all(|other| digest(*other) != digest(*value)));
        }
        let mut zeros = Trace::new(false);
        let mut seen = vec![zeros.hash()];
        for _ in 0..10 {
            zeros.note(&0_u64);
            assert!(!seen.contains(&zeros.hash()));
            seen.push(zeros.hash());
        }
    }

    #[test]
    fn a_story_is_told_only_if_wanted() {
        let mut trace = Trace::new(true);
        trace.tell(Time(1000), || "n1 wakes\nn2 sleeps".to_owned());
        assert_eq!(trace.take_story(), "  0.000001 n1 wakes\n  0.000001 n2 sleeps\n");
        Trace::new(false).tell(Time(0), || unreachable!());
    }
}
