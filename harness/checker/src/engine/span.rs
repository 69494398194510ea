//! Closed intervals: when an operation may have taken effect.

use crate::history::ByProcess;
use crate::model::Model;
use crate::search::Entry;

use super::Ruling;

#[cfg(test)]
mod tests;

/// From the call to the return, both included: one operation comes before another only if it
/// returned before the other was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) call: u64,
    /// [`Span::NEVER`] if it may take effect at any later time.
    pub(super) ret: u64,
}

impl Span {
    /// The return of what has none. Whatever returns then precedes nothing.
    pub(super) const NEVER: u64 = u64::MAX;

    /// Whether this one certainly took effect before the other.
    #[cfg(test)]
    pub(super) fn precedes(self, other: Self) -> bool {
        self.ret < other.call
    }
}

/// Why the spans of a history cannot say all that is known of its order.
const TIED: &str =
    "several processes begin an operation at the very instant at which their last one ended";

/// Returns the entries' spans, such that all that is known of what came before what stands in
/// them.
///
/// A process does one thing after the other even if its instants tie, while operations of others
/// at that instant are concurrent with both. Intervals can say that of one process an instant:
/// all calls of others, then what the process ends and begins, then all returns of others. With
/// two such processes at one instant they cannot.
pub(super) fn spans<M: Model>(entries: &[Entry<M>]) -> Result<Vec<Span>, Ruling> {
    let all = Spans::of(entries)?;
    Ok(entries.iter().enumerate().map(|(index, entry)| all.span(index, entry)).collect())
}

/// The spans of entries, for whoever needs each of them once.
pub(super) struct Spans {
    /// None if the entries' own instants say it all.
    ranks: Option<Vec<Span>>,
}

impl Spans {
    /// See [`spans`].
    pub(super) fn of<M: Model>(entries: &[Entry<M>]) -> Result<Self, Ruling> {
        let ranks = ties(entries).map(|ties| ranks(entries, &ties).ok_or(Ruling::Unfit(TIED)));
        Ok(Self { ranks: ranks.transpose()? })
    }

    /// Returns the span of an entry.
    pub(super) fn span<M: Model>(&self, index: usize, entry: &Entry<M>) -> Span {
        match &self.ranks {
            None => Span { call: entry.invoked, ret: entry.completed.unwrap_or(Span::NEVER) },
            Some(ranks) => ranks[index],
        }
    }
}

/// Where an entry touches another of its process.
#[derive(Clone, Copy, Debug, Default)]
struct Tie {
    /// It is called at the instant at which the one before returned.
    at_call: bool,
    /// It returns at the instant at which the next is called.
    at_return: bool,
}

/// Finds the operations of one process that follow one another at one instant; none if there are
/// none, and no return is at the instant that stands for none. Entries of one process come in the order in
/// which the process made them.
fn ties<M: Model>(entries: &[Entry<M>]) -> Option<Vec<Tie>> {
    let mut last: ByProcess<Option<usize>> = ByProcess::asked(entries.len());
    let mut returns_at_never = false;
    let mut ties: Option<Vec<Tie>> = None;
    for (index, entry) in entries.iter().enumerate() {
        let last = last.of(entry.process);
        if let Some(previous) = *last
            && entries[previous].completed == Some(entry.invoked)
        {
            let ties = ties.get_or_insert_with(|| vec![Tie::default(); entries.len()]);
            ties[previous].at_return = true;
            ties[index].at_call = true;
        }
        if entry.completed.is_some() {
            *last = Some(index);
        }
        returns_at_never |= entry.completed == Some(Span::NEVER);
    }
    ties.or_else(|| returns_at_never.then(|| vec![Tie::default(); entries.len()]))
}

/// Of one instant: calls first, then what is tied, then returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Call,
    Tied,
    Return,
}

/// A call or return among all; what is tied follows in the order of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    instant: u64,
    phase: Phase,
    entry: usize,
    is_return: bool,
}

/// Numbers all calls and returns so that their numbers say what came before what; none if two
/// processes are tied at one instant.
fn ranks<M: Model>(entries: &[Entry<M>], ties: &[Tie]) -> Option<Vec<Span>> {
    let mut points = Vec::with_capacity(entries.len() * 2);
    for (index, (entry, tie)) in entries.iter().zip(ties).enumerate() {
        let phase = if tie.at_call { Phase::Tied } else { Phase::Call };
        points.push(Point { instant: entry.invoked, phase, entry: index, is_return: false });
        if let Some(instant) = entry.completed {
            let phase = if tie.at_return { Phase::Tied } else { Phase::Return };
            points.push(Point { instant, phase, entry: index, is_return: true });
        }
    }
    points.sort_unstable();
    let mut spans = vec![Span { call: 0, ret: Span::NEVER }; entries.len()];
    let mut rank = 0;
    let mut before: Option<Point> = None;
    for point in points {
        let is_alike = before
            .is_some_and(|before| (before.instant, before.phase) == (point.instant, point.phase));
        let process = |point: Point| entries[point.entry].process;
        if is_alike && point.phase == Phase::Tied && before.map(process) != Some(process(point)) {
            return None;
        }
        if !is_alike || point.phase == Phase::Tied {
            rank += 1;
        }
        let span = &mut spans[point.entry];
        if point.is_return {
            span.ret = rank
        } else {
            span.call = rank
        }
        before = Some(point);
    }
    Some(spans)
}
