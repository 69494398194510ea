//! A history piece by piece: from the configurations that passed everything before an instant to
//! those that pass everything before a later one.
//!
//! Nothing but a [`Front`] is kept between two pieces: the configurations, with their states as the
//! model knows them, and the operations that are open or of unknown outcome. Numbers of states and
//! kinds, chains and sets are those of one piece and go with it, so what is kept depends on what is
//! open and not on how long the history is.
//!
//! A piece must know every operation that was called before it ends, and how it ended: levels
//! linearize an operation before its return, with the answer that it had.

use rustc_hash::FxHashSet;

use crate::model::{Model, Step};

use super::levels::{Levels, Open, Passed, Supply};
use super::mask::{Mask, WideMask};
use super::states::States;
use super::watch::Watch;
use super::window::{Passage, Timeline, VACANT};
use super::{Budget, Entry, Stop};

#[cfg(test)]
mod tests;

/// All that matters of what came before an instant.
#[derive(Clone, Debug)]
pub(crate) struct Front<M: Model> {
    /// What was called before and returns later, and what may take effect at any time.
    pub(crate) carried: Vec<Entry<M>>,
    /// Where explanations have come.
    pub(crate) waypoints: Vec<Waypoint<M>>,
}

/// A configuration between two pieces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waypoint<M> {
    state: M,
    /// Which of the carried entries are linearized, or used if their outcome is unknown.
    done: Vec<usize>,
}

/// How often an operation of unknown outcome may take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknowns {
    /// Once, as it is.
    Once,
    /// As often as one likes: that nobody gets through still proves a violation, that somebody does
    /// proves nothing.
    Endless,
}

/// Where a piece led.
#[derive(Clone, Debug)]
pub(crate) enum Advanced<M: Model> {
    /// There are explanations.
    Front(Front<M>),
    /// No explanation passed the return of this entry.
    Nobody { entry: Entry<M> },
    /// The budget was used up before.
    Stopped(Stop),
}

impl<M: Model> Front<M> {
    /// Before everything.
    pub(crate) fn new(initial: M) -> Self {
        let start = Waypoint { state: initial, done: Vec::new() };
        Self { carried: Vec::new(), waypoints: vec![start] }
    }

    /// How many operations of unknown outcome are carried.
    pub(crate) fn unknowns(&self) -> usize {
        self.carried.iter().filter(|entry| entry.completed.is_none()).count()
    }

    /// Lets unknowns take effect as often as one likes: of equal ones the first is enough.
    pub(crate) fn into_endless(self) -> Self {
        let mut kinds: FxHashSet<Step<M>> = FxHashSet::default();
        let is_kept =
            |entry: &Entry<M>| entry.completed.is_some() || kinds.insert(entry.step.clone());
        let kept: Vec<bool> = self.carried.iter().map(is_kept).collect();
        let is_forgotten = |index: usize| self.carried[index].completed.is_none();
        let waypoints = self.waypoints.into_iter().map(|mut waypoint| {
            waypoint.done.retain(|index| !is_forgotten(*index));
            waypoint
        });
        let waypoints = waypoints.collect();
        Self { carried: self.carried, waypoints }.keeping(&kept)
    }

    /// Keeps some of the carried entries, and of equal waypoints one.
    fn keeping(self, kept: &[bool]) -> Self {
        let mut place = vec![usize::MAX; kept.len()];
        let mut carried = Vec::new();
        for (index, entry) in self.carried.into_iter().enumerate() {
            if kept[index] {
                place[index] = carried.len();
                carried.push(entry);
            }
        }
        let mut seen = FxHashSet::default();
        let mut waypoints = self.waypoints;
        for waypoint in &mut waypoints {
            waypoint.done.retain(|index| kept[*index]);
            waypoint.done.iter_mut().for_each(|index| *index = place[*index]);
        }
        waypoints.retain(|waypoint| seen.insert(waypoint.clone()));
        Self { carried, waypoints }
    }

    /// Goes on with everything before an instant; with everything there is, if none is given.
    ///
    /// The new entries are all those that were called since and before that instant; those of one
    /// process come in the order in which it made them.
    pub(crate) fn advance(
        &self,
        new: &[Entry<M>],
        before: Option<u64>,
        unknowns: Unknowns,
        budget: Budget,
    ) -> Advanced<M> {
        let entries: Vec<&Entry<M>> = self.carried.iter().chain(new).collect();
        let timeline = Timeline::new(&entries);
        if timeline.passages.len() == self.carried.len() {
            return Advanced::Front(self.clone());
        }
        let piece = Piece { front: self, entries: &entries, timeline: &timeline, before, unknowns };
        match timeline.slots {
            0..=64 => piece.advance::<u64>(budget),
            65..=128 => piece.advance::<u128>(budget),
            _ => piece.advance::<WideMask>(budget),
        }
    }
}

struct Piece<'a, M: Model> {
    front: &'a Front<M>,
    entries: &'a [&'a Entry<M>],
    timeline: &'a Timeline,
    before: Option<u64>,
    unknowns: Unknowns,
}

impl<M: Model> Piece<'_, M> {
    fn advance<K: Mask>(&self, budget: Budget) -> Advanced<M> {
        let Self { front, entries, timeline, .. } = self;
        let first = front.waypoints.iter().map(|waypoint| &waypoint.state);
        let (states, kind_of, numbers) = States::beginning_with(first, entries);
        let forced = timeline.forced(&states, &kind_of);
        let supply = match self.unknowns {
            Unknowns::Once => Supply::Once,
            Unknowns::Endless => Supply::Endless,
        };
        let mut levels = Levels::<K>::new(states, timeline.slots, supply, Watch::new(budget));
        let mut rank_of = vec![usize::MAX; entries.len()];
        for (rank, entry) in timeline.unknowns.iter().enumerate() {
            rank_of[*entry as usize] = rank;
        }
        let slot = |entry: usize| timeline.slot[entry] as usize;
        let waits_for = |entry: u32| {
            let before = timeline.after[entry as usize];
            (before != VACANT).then(|| slot(before as usize))
        };
        let mut is_open = vec![false; entries.len()];
        for (position, passage) in timeline.passages.iter().enumerate() {
            // What is carried was called before everything else.
            if position == front.carried.len() {
                levels.resume(front.waypoints.iter().zip(&numbers).map(|(waypoint, state)| {
                    let mut mask = K::empty(timeline.slots);
                    let mut used = Vec::new();
                    for entry in &waypoint.done {
                        match entries[*entry].completed {
                            Some(_) => mask.set(slot(*entry)),
                            None => used.push(rank_of[*entry]),
                        }
                    }
                    (*state, mask, used)
                }));
            }
            match *passage {
                Passage::Call(entry) => {
                    is_open[entry as usize] = true;
                    let open = Open {
                        entry,
                        kind: kind_of[entry as usize],
                        returns_at: timeline.returns_at[entry as usize],
                        waits_for: waits_for(entry),
                        has_successor: timeline.has_successor[entry as usize]
                            || self.returns_later(entries[entry as usize]),
                    };
                    levels.call(slot(entry as usize), open);
                }
                Passage::Unknown(entry) => {
                    let index = entry as usize;
                    is_open[index] = true;
                    levels.call_unknown(rank_of[index], entry, kind_of[index], waits_for(entry));
                }
                Passage::Return(entry) => {
                    let entry = entry as usize;
                    // Whatever returns later, too, is open where the piece ends.
                    if self.returns_later(entries[entry]) {
                        break;
                    }
                    match levels.pass(slot(entry), forced[position]) {
                        Passed::Yes => is_open[entry] = false,
                        Passed::Nobody => {
                            return Advanced::Nobody { entry: entries[entry].clone() };
                        }
                        Passed::Stopped(why) => return Advanced::Stopped(why),
                    }
                }
            }
        }
        Advanced::Front(self.front_of(&levels, &is_open))
    }

    /// Whether a certain entry returns after the piece. Something called later may depend on where it
    /// stands, so that it is neither put off nor taken for another of its kind.
    ///
    /// That is so for two reasons. What its process does at the instant of the return, if anything, is
    /// not known yet. And which operations overwrite everything is known from the kinds of this piece
    /// alone ([`States`]): a later piece may tell states apart that are one to all of these. Putting
    /// off is right only up to the end of the piece, so what is put off and what it is put off for
    /// both have to return before it.
    fn returns_later(&self, entry: &Entry<M>) -> bool {
        self.before.is_some_and(|end| entry.completed >= Some(end))
    }

    /// What is left of the levels where the piece ends.
    fn front_of<K: Mask>(&self, levels: &Levels<'_, K>, is_open: &[bool]) -> Front<M> {
        let timeline = self.timeline;
        let certain: Vec<usize> = (0..self.entries.len())
            .filter(|entry| is_open[*entry] && self.entries[*entry].completed.is_some())
            .collect();
        let mut use_counts = vec![0; self.entries.len()];
        let mut waypoints = Vec::new();
        for (state, mask, used) in levels.left(timeline.unknowns.len()) {
            let is_done = |entry: &usize| mask.has(timeline.slot[*entry] as usize);
            let mut done: Vec<usize> = certain.iter().copied().filter(is_done).collect();
            for rank in used {
                let entry = timeline.unknowns[rank] as usize;
                use_counts[entry] += 1;
                done.push(entry);
            }
            done.sort_unstable();
            waypoints.push(Waypoint { state: levels.states().meaning::<M>(state).clone(), done });
        }
        // An unknown that everybody has used is of no use to anybody any more.
        let kept: Vec<bool> =
            (0..is_open.len()).map(|it| is_open[it] && use_counts[it] < waypoints.len()).collect();
        let front = Front {
            carried: self.entries.iter().map(|entry| (*entry).clone()).collect(),
            waypoints,
        }
        .keeping(&kept);
        match self.unknowns {
            Unknowns::Once => front,
            Unknowns::Endless => front.into_endless(),
        }
    }
}
