//! Two engines and one answer: in depth first, and if that has to turn back much, level by level
//! beside it in a thread of its own; the first answer counts.
//!
//! In depth the search needs one configuration for every return where there is little to choose,
//! and is many times faster then; level by level it finds out that there is no order without trying
//! everything, and is not led astray by one early mistake.

#[cfg(test)]
mod tests;

use std::thread;

use super::depth_first::DepthFirst;
use super::levels::{Levels, Open, Passed, Supply};
use super::mask::Mask;
use super::states::{KindId, States};
use super::watch::{Race, Watch};
use super::window::{Passage, Timeline, VACANT};
use super::{Budget, Found, Place, Searched};

/// Which engines search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Both, the one in depth with a start.
    Race,
    /// The one in depth alone.
    DepthFirst,
    /// The one that goes level by level, alone.
    Levels,
}

/// So many configurations may be visited in depth before the other engine is called in: it costs a
/// thread, which small histories are not worth.
const START: u64 = 2_000;

/// And so many for every place that was reached: whoever needs more turns back a lot.
const START_PER_PLACE: u64 = 2;

/// What every engine begins with: the initial state alone, and the kind of each entry.
pub(super) type Beginning<'a> = dyn Fn() -> (States, Vec<KindId>) + Sync + 'a;

pub(super) fn race<K: Mask>(
    begin: &Beginning<'_>,
    timeline: &Timeline,
    budget: Budget,
    strategy: Strategy,
) -> Searched {
    let (states, kind_of) = begin();
    if strategy == Strategy::Levels {
        return by_levels::<K>(states, &kind_of, timeline, Watch::new(budget));
    }
    let race = Race::default();
    let mut in_depth = DepthFirst::<K>::new(states, &kind_of, timeline, Watch::new(budget));
    if strategy == Strategy::DepthFirst {
        let found = in_depth.run(u64::MAX).expect("the search ends before so many configurations");
        return searched_in_depth(found, &in_depth);
    }
    let mut allowed = START;
    while in_depth.configurations() < allowed {
        if let Some(found) = in_depth.run(allowed) {
            return searched_in_depth(found, &in_depth);
        }
        allowed = START + START_PER_PLACE * in_depth.furthest();
    }
    in_depth.set_watch(Watch::in_race(budget, &race, 0));
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (states, kind_of) = begin();
            let watch = Watch::in_race(budget, &race, 1);
            let searched = by_levels::<K>(states, &kind_of, timeline, watch);
            leave(&race, 1, &searched);
            searched
        });
        let found = in_depth.run(u64::MAX).expect("the search ends before so many configurations");
        let mine = searched_in_depth(found, &in_depth);
        leave(&race, 0, &mine);
        drop(in_depth);
        let other = match other.join() {
            Ok(other) => other,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        better(mine, other)
    })
}

/// Tells the other engine that there is an answer, or that its memory is free.
fn leave(race: &Race, runner: usize, searched: &Searched) {
    match searched.found {
        Found::Stopped { .. } => race.leave(runner),
        _ => race.end(),
    }
}

/// The answer of two; both count what they visited.
fn better(mine: Searched, other: Searched) -> Searched {
    let configurations = mine.configurations + other.configurations;
    let completions = |searched: &Searched| match searched.found {
        Found::Stopped { completions, .. } => Some(completions),
        _ => None,
    };
    // An answer outweighs none, and the furthest of two who have none says how far they came.
    let best = match (completions(&mine), completions(&other)) {
        (None, _) => mine,
        (_, None) => other,
        (Some(a), Some(b)) if a >= b => mine,
        _ => other,
    };
    Searched { configurations, ..best }
}

fn searched_in_depth<K: Mask>(found: Found, engine: &DepthFirst<'_, K>) -> Searched {
    let place = if engine.has_looked_ahead() { Place::NotBefore } else { Place::Here };
    Searched { found, configurations: engine.configurations(), place }
}

/// Searches level by level; with unknown operations first in the ways that are cheap.
fn by_levels<K: Mask>(
    states: States,
    kind_of: &[KindId],
    timeline: &Timeline,
    watch: Watch<'_>,
) -> Searched {
    let forced = timeline.forced(&states, kind_of);
    let supplies: &[Supply] = match timeline.unknowns.is_empty() {
        true => &[Supply::Once],
        false => &[Supply::Few, Supply::Endless, Supply::Once],
    };
    let mut configurations = 0;
    for supply in supplies {
        let mut levels = Levels::<K>::new(states.clone(), timeline.slots, *supply, watch);
        let found = run_levels(&mut levels, timeline, kind_of, &forced);
        configurations += levels.configurations();
        match found {
            Found::Order(_) if *supply == Supply::Endless => {}
            Found::NoOrder { .. } if !levels.is_exact() => {}
            found => {
                let place = match supply {
                    Supply::Endless => Place::Anywhere,
                    Supply::Once | Supply::Few => Place::Here,
                };
                return Searched { found, configurations, place };
            }
        }
    }
    unreachable!("with each unknown once, level by level, the search is exact")
}

fn run_levels<K: Mask>(
    levels: &mut Levels<'_, K>,
    timeline: &Timeline,
    kind_of: &[KindId],
    forced: &[u32],
) -> Found {
    let mut rank = 0;
    let waits_for = |entry: u32| {
        let before = timeline.after[entry as usize];
        (before != VACANT).then(|| timeline.slot[before as usize] as usize)
    };
    for (position, passage) in timeline.passages.iter().enumerate() {
        match *passage {
            Passage::Call(entry) => {
                let open = Open {
                    entry,
                    kind: kind_of[entry as usize],
                    returns_at: timeline.returns_at[entry as usize],
                    waits_for: waits_for(entry),
                    has_successor: timeline.has_successor[entry as usize],
                };
                levels.call(timeline.slot[entry as usize] as usize, open);
            }
            Passage::Unknown(entry) => {
                levels.call_unknown(rank, entry, kind_of[entry as usize], waits_for(entry));
                rank += 1;
            }
            Passage::Return(entry) => {
                let slot = timeline.slot[entry as usize] as usize;
                match levels.pass(slot, forced[position]) {
                    Passed::Yes => {}
                    Passed::Nobody => {
                        return Found::NoOrder { entry: entry as usize, dead: levels.dead() };
                    }
                    Passed::Stopped(why) => return timeline.stopped(why, position as u32),
                }
            }
        }
    }
    Found::Order(levels.order())
}
