//! The search for an order of a weakened history: small, exhaustive, and apart from the engines.
//!
//! Invocations and deadlines are gone through in time. Only at a deadline must something be
//! decided: a piece that must take effect has to have done so, one that may can do so for the last
//! time. What else takes effect before it can as well take effect later, so at a deadline only
//! sequences that end with its piece are of interest (just-in-time linearization). All
//! configurations (what of the open pieces took effect, and the state) are carried along at once;
//! when none is left, there is no order.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::model::Model;

use super::weakened::{Need, Piece};

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// At this time.
    pub(crate) deadline: Instant,
    /// After so many configurations.
    pub(crate) configurations: usize,
}

/// What an exhaustive search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// There is an order.
    Order,
    /// There is none.
    NoOrder,
    /// The limit was reached.
    GaveUp,
}

/// Configurations between two looks at the clock.
const LOOK: usize = 256;

/// Something that happens to a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Passage {
    /// From here on it can take effect.
    Call(usize),
    /// After this it cannot.
    Deadline(usize),
}

/// Which of the open pieces took effect, in ascending order, and the state that this led to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Configuration {
    done: Vec<u32>,
    state: u32,
}

impl Configuration {
    fn is_done(&self, piece: usize) -> bool {
        self.done.binary_search(&(piece as u32)).is_ok()
    }

    fn with(&self, piece: usize, state: u32) -> Self {
        let mut done = self.done.clone();
        if let Err(at) = done.binary_search(&(piece as u32)) {
            done.insert(at, piece as u32);
        }
        Self { done, state }
    }

    /// Forgets a piece that is over.
    fn without(mut self, piece: usize) -> Self {
        self.done.retain(|done| *done != piece as u32);
        self
    }
}

/// Looks for an order of the pieces, from the initial state.
pub(crate) fn exhaust<M: Model>(initial: &M, pieces: &[Piece<M>], limit: Limit) -> Exhausted {
    let mut search = Search::new(initial, pieces, limit);
    let mut live = HashSet::from([Configuration { done: Vec::new(), state: 0 }]);
    for passage in passages(pieces) {
        match passage {
            Passage::Call(piece) => search.open.push(piece),
            Passage::Deadline(piece) => {
                let Some(next) = search.pass(live, piece) else {
                    return Exhausted::GaveUp;
                };
                search.open.retain(|open| *open != piece);
                live = next;
            }
        }
        if live.is_empty() {
            return Exhausted::NoOrder;
        }
    }
    Exhausted::Order
}

/// Sorts by time. Intervals are closed, so calls come before deadlines of the same instant.
fn passages<M: Model>(pieces: &[Piece<M>]) -> Vec<Passage> {
    let mut passages = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        passages.push((piece.from.instant, false, 0, Passage::Call(index)));
        if let Some(until) = piece.until {
            passages.push((until.instant, true, until.event, Passage::Deadline(index)));
        }
    }
    passages.sort_unstable();
    passages.into_iter().map(|(_, _, _, passage)| passage).collect()
}

struct Search<'a, M: Model> {
    pieces: &'a [Piece<M>],
    /// For each piece, the one of its process that must come before though their instants tie.
    after: Vec<Option<usize>>,
    open: Vec<usize>,
    states: Vec<M>,
    ids: HashMap<M, u32>,
    steps: HashMap<(u32, usize), Option<u32>>,
    limit: Limit,
    configurations: usize,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(initial: &M, pieces: &'a [Piece<M>], limit: Limit) -> Self {
        Self {
            pieces,
            after: tied_before(pieces),
            open: Vec::new(),
            states: vec![initial.clone()],
            ids: HashMap::from([(initial.clone(), 0)]),
            steps: HashMap::new(),
            limit,
            configurations: 0,
        }
    }

    /// Returns the configurations after the deadline of a piece; none if the limit was reached.
    fn pass(&mut self, live: HashSet<Configuration>, due: usize) -> Option<HashSet<Configuration>> {
        let need = self.pieces[due].need;
        let (mut next, mut visited) = (HashSet::new(), HashSet::new());
        let (mut waiting, mut taken, mut counted) = (Vec::new(), 0, 0);
        for configuration in live {
            let configuration = self.settle(configuration);
            if need != Need::Must {
                next.insert(configuration.clone().without(due));
            }
            if visited.insert(configuration.clone()) {
                waiting.push(configuration);
            }
        }
        while let Some(configuration) = waiting.pop() {
            taken += 1;
            self.configurations += visited.len() - counted;
            counted = visited.len();
            if self.configurations > self.limit.configurations
                || (taken % LOOK == 0 && Instant::now() >= self.limit.deadline)
            {
                return None;
            }
            if configuration.is_done(due) {
                next.insert(configuration.without(due));
                continue;
            }
            for index in 0..self.open.len() {
                let piece = self.open[index];
                if configuration.is_done(piece) || !self.is_free(&configuration, piece) {
                    continue;
                }
                let Some(state) = self.step(configuration.state, piece) else { continue };
                let child = match self.pieces[piece].need {
                    Need::Any => Configuration { state, ..configuration.clone() },
                    Need::Must | Need::May => configuration.with(piece, state),
                };
                let child = self.settle(child);
                if need == Need::Any && piece == due {
                    next.insert(child.clone());
                }
                if visited.insert(child.clone()) {
                    waiting.push(child);
                }
            }
        }
        Some(next)
    }

    /// Lets what must happen and changes nothing happen as soon as it can: no order that has it
    /// later becomes wrong by that.
    fn settle(&mut self, mut configuration: Configuration) -> Configuration {
        let mut index = 0;
        while let Some(piece) = self.open.get(index).copied() {
            index += 1;
            let Piece { op, seen, need, .. } = &self.pieces[piece];
            if *need == Need::Must
                && !configuration.is_done(piece)
                && M::is_pure(op, seen.as_ref())
                && self.is_free(&configuration, piece)
                && self.step(configuration.state, piece).is_some()
            {
                configuration = configuration.with(piece, configuration.state);
                // What had to come after this one may be free now.
                index = 0;
            }
        }
        configuration
    }

    /// Whether what the same process did before took effect, where only that tells the order.
    fn is_free(&self, configuration: &Configuration, piece: usize) -> bool {
        self.after[piece]
            .is_none_or(|before| !self.open.contains(&before) || configuration.is_done(before))
    }

    fn step(&mut self, state: u32, piece: usize) -> Option<u32> {
        if let Some(next) = self.steps.get(&(state, piece)) {
            return *next;
        }
        let Piece { op, seen, .. } = &self.pieces[piece];
        let next = self.states[state as usize].step(op, seen.as_ref()).map(|next| {
            let (ids, states) = (&mut self.ids, &mut self.states);
            *ids.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                u32::try_from(states.len() - 1).expect("the limit is reached before")
            })
        });
        self.steps.insert((state, piece), next);
        next
    }
}

/// Finds, for every piece, the one of its process that returned at the instant at which it was
/// invoked, if that one certainly took effect.
pub(super) fn tied_before<M: Model>(pieces: &[Piece<M>]) -> Vec<Option<usize>> {
    let mut ended: HashMap<_, Vec<_>> = HashMap::new();
    for (index, piece) in pieces.iter().enumerate() {
        if let (Need::Must, Some(until)) = (piece.need, piece.until) {
            ended.entry((piece.process, until.instant)).or_default().push((until.event, index));
        }
    }
    let before = |piece: &Piece<M>| {
        let ended =
            ended.get(&(piece.process, piece.from.instant)).filter(|_| piece.process.is_some());
        let ended = ended.into_iter().flatten().filter(|(event, _)| *event < piece.from.event);
        ended.max().map(|(_, index)| *index)
    };
    pieces.iter().map(before).collect()
}
