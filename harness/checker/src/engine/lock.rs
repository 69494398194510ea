//! A lock that knows its owner, each of whom does one thing after the other.
//!
//! An acquisition and the release by its owner are a *hold*. Between them nobody else acquires, so
//! in any order holds stand one after the other: they are clusters, as those of a register (see
//! module `register`), with the return of the acquisition as the earliest return and the call of the
//! release as the latest call; a hold that nobody ended is called off at infinity. If acquisitions
//! answer with fencing tokens, which must grow, these leave no choice of an order.
//!
//! What an owner did last may be unknown. A release is then taken for done, at any time after its
//! call: that is less to demand than a hold that goes on for ever. An acquisition is taken for not
//! done: nobody saw it, and without it the others have only more room.

use super::{Ruling, Span};

#[cfg(test)]
pub(super) mod tests;

/// An owner's number.
pub(super) type Owner = u32;

/// An operation that was done, or maybe done, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) owner: Owner,
    /// Whether it acquired or released.
    pub(super) acquires: bool,
    /// What an acquisition was answered.
    pub(super) token: Option<i128>,
    pub(super) span: Span,
    /// Whether it certainly happened.
    pub(super) is_certain: bool,
}

/// From an acquisition to its release.
#[derive(Clone, Copy, Debug)]
struct Hold {
    acquired: usize,
    released: Option<usize>,
    token: Option<i128>,
    /// When it certainly had begun.
    begun: u64,
    /// Until when it certainly went on.
    until: u64,
}

impl Hold {
    fn events(self) -> impl Iterator<Item = usize> {
        std::iter::once(self.acquired).chain(self.released)
    }
}

/// Judges the operations on a lock that is free at first.
pub(super) fn rule(events: &[Event]) -> Ruling {
    let mut holds = match holds(events) {
        Ok(holds) => holds,
        Err(ruling) => return ruling,
    };
    let tokens = holds.iter().filter(|hold| hold.token.is_some()).count();
    if tokens == 0 {
        // As clusters of a register are sorted; see there.
        holds.sort_by_key(|hold| (hold.begun.min(hold.until), hold.begun < hold.until));
    } else if tokens == holds.len() {
        holds.sort_by_key(|hold| hold.token);
    } else {
        return Ruling::Unfit("some acquisitions have tokens and some have none");
    }
    if let Some(pair) = holds.windows(2).find(|pair| tokens > 0 && pair[0].token == pair[1].token) {
        return Ruling::NoOrder(vec![pair[0].acquired, pair[1].acquired]);
    }
    let mut begun_first: Option<Hold> = None;
    for hold in holds.iter().rev() {
        match begun_first {
            Some(later) if later.begun < hold.until => {
                return Ruling::NoOrder(hold.events().chain(later.events()).collect());
            }
            Some(later) if later.begun <= hold.begun => {}
            _ => begun_first = Some(*hold),
        }
    }
    Ruling::Order(holds.into_iter().flat_map(Hold::events).collect())
}

/// Pairs each owner's acquisitions and releases.
fn holds(events: &[Event]) -> Result<Vec<Hold>, Ruling> {
    let mut by_owner: Vec<usize> = (0..events.len()).collect();
    by_owner.sort_by_key(|index| (events[*index].owner, events[*index].span.call));
    let mut holds: Vec<Hold> = Vec::with_capacity(events.len() / 2);
    for own in by_owner.chunk_by(|a, b| events[*a].owner == events[*b].owner) {
        if own.windows(2).any(|pair| events[pair[1]].span.call <= events[pair[0]].span.ret) {
            return Err(Ruling::Unfit("an owner goes on before its last operation has ended"));
        }
        let mut before: Option<usize> = None;
        for index in own.iter().copied() {
            let event = events[index];
            let is_turn = before.is_none_or(|before| !events[before].acquires) == event.acquires;
            match (event.is_certain, is_turn) {
                (true, false) => {
                    return Err(Ruling::NoOrder(before.into_iter().chain([index]).collect()));
                }
                (false, _) if event.acquires || !is_turn => continue,
                _ if event.acquires => holds.push(Hold {
                    acquired: index,
                    released: None,
                    token: event.token,
                    begun: event.span.ret,
                    until: Span::NEVER,
                }),
                _ => {
                    let hold = holds.last_mut().expect("it is a release's turn after a hold began");
                    (hold.released, hold.until) = (Some(index), event.span.call);
                }
            }
            before = Some(index);
        }
    }
    Ok(holds)
}
