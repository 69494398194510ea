//! How long a search may take, and how much memory.

use std::time::Instant;

/// When to stop searching.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub(crate) deadline: Instant,
    /// In bytes.
    pub(crate) memory: u64,
}

impl Budget {
    /// Returns the budget of one of so many parts of the time that is left.
    pub(crate) fn part_of(self, parts: u32) -> Self {
        let now = Instant::now();
        let deadline = now + self.deadline.saturating_duration_since(now) / parts;
        Self { deadline, ..self }
    }
}

/// Deadlines for so many things to do one after the other: each may take an equal share of the
/// time that is left when it begins, so that a hard one cannot starve those after it.
pub(crate) fn shares(
    deadline: Instant,
    count: usize,
) -> impl Iterator<Item = impl Fn(Instant) -> Instant> {
    (0..count).map(move |index| {
        let to_do = u32::try_from(count - index).unwrap_or(u32::MAX);
        move |now: Instant| now + deadline.saturating_duration_since(now) / to_do
    })
}
