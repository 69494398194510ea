//! Impasses: where the orders of a core that come furthest end, and what could come next there.
//!
//! An order that respects the times is built piece by piece. One that holds as many as possible of the
//! pieces that must be in it ends where each of those that could come next has an answer that the
//! model does not give there; that is what a reader of a violation wants to see.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use crate::model::Model;

use super::exhaust::{Limit, tied_before};
use super::weakened::{Need, Piece};

/// The end of an order that comes furthest.
#[derive(Clone, Debug)]
pub(crate) struct Impasse<M: Model> {
    /// The state there.
    pub(crate) state: M,
    /// The pieces of the order, the latest last.
    pub(crate) order: Vec<usize>,
    /// The pieces that must be in the order and could come next as far as the times go. None of
    /// them is legal.
    pub(crate) next: Vec<usize>,
}

/// A place that an order comes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    /// Which pieces took effect, in ascending order, those apart that may as often as one likes.
    done: Vec<usize>,
    /// The latest beginning of what took effect: what ended before cannot come any more.
    floor: u64,
    state: usize,
}

/// Returns the ends of the orders that come furthest, one for each state and what could come next, at
/// most so many; of equal ones the shortest. None if there was no time to look at all orders.
pub(crate) fn impasses<M: Model>(
    initial: &M,
    pieces: &[Piece<M>],
    most: usize,
    limit: Limit,
) -> Vec<Impasse<M>> {
    let after = tied_before(pieces);
    let must = |piece: usize| pieces[piece].need == Need::Must;
    let mut states = vec![initial.clone()];
    let mut ids = HashMap::from([(initial.clone(), 0)]);
    let first = Place { done: Vec::new(), floor: 0, state: 0 };
    // Every place with the one before it and the piece that led there.
    let mut places: Vec<(Place, Option<(usize, usize)>)> = vec![(first.clone(), None)];
    let mut known = HashSet::from([first]);
    let mut waiting = VecDeque::from([0]);
    while let Some(index) = waiting.pop_front() {
        if places.len() > limit.configurations || Instant::now() >= limit.deadline {
            return Vec::new();
        }
        let place = places[index].0.clone();
        for piece in possible(pieces, &after, &place) {
            let Piece { op, seen, need, from, .. } = &pieces[piece];
            let Some(next) = states[place.state].step(op, seen.as_ref()) else { continue };
            let state = *ids.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                states.len() - 1
            });
            let mut done = place.done.clone();
            if *need != Need::Any {
                done.insert(done.partition_point(|it| *it < piece), piece);
            }
            let next = Place { done, floor: place.floor.max(from.instant), state };
            if known.insert(next.clone()) {
                waiting.push_back(places.len());
                places.push((next, Some((index, piece))));
            }
        }
    }
    let length = |place: &Place| place.done.iter().filter(|piece| must(**piece)).count();
    let furthest = places.iter().map(|(place, _)| length(place)).max().unwrap_or(0);
    let mut found: Vec<Impasse<M>> = Vec::new();
    for (index, (place, _)) in places.iter().enumerate() {
        if length(place) < furthest || found.len() == most {
            continue;
        }
        let next: Vec<usize> =
            possible(pieces, &after, place).filter(|piece| must(*piece)).collect();
        let state = &states[place.state];
        let is_new = !found.iter().any(|it| it.state == *state && it.next == next);
        if is_new && !next.is_empty() {
            found.push(Impasse { state: state.clone(), order: order_to(&places, index), next });
        }
    }
    found
}

/// Returns the pieces that could come next as far as the times go.
fn possible<M: Model>(
    pieces: &[Piece<M>],
    after: &[Option<usize>],
    place: &Place,
) -> impl Iterator<Item = usize> {
    let is_done = |piece: usize| place.done.binary_search(&piece).is_ok();
    let left = pieces.iter().enumerate().filter(|(it, _)| !is_done(*it)).map(|(_, piece)| piece);
    let ends = left.filter(|piece| piece.need == Need::Must).filter_map(|piece| piece.until);
    let first_end = ends.map(|until| until.instant).min();
    (0..pieces.len()).filter(move |&piece| {
        let Piece { from, until, .. } = &pieces[piece];
        place.done.binary_search(&piece).is_err()
            && first_end.is_none_or(|end| from.instant <= end)
            && until.is_none_or(|until| until.instant >= place.floor)
            && after[piece].is_none_or(|before| place.done.binary_search(&before).is_ok())
    })
}

fn order_to(places: &[(Place, Option<(usize, usize)>)], mut index: usize) -> Vec<usize> {
    let mut order = Vec::new();
    while let Some((before, piece)) = places[index].1 {
        order.push(piece);
        index = before;
    }
    order.reverse();
    order
}
