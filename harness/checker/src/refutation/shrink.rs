//! Finding a small core: few operations that need to be named, each in the weakest role.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::check::Cut;
use crate::model::Model;

use super::{Exhausted, Limit, Member, Role, Weakened, exhaust};

/// A core that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shrunk {
    /// The roles of the members that it names.
    pub(crate) roles: BTreeMap<usize, Role>,
    /// Whether no one of them can be given a weaker role, or none.
    pub(crate) is_minimal: bool,
}

/// Configurations of one attempt, at first and at last: a core for humans has hundreds at most, so
/// what takes more at first is probably not the way to one.
const CONFIGURATIONS: [usize; 2] = [20_000, 1_000_000];

/// How many operations of unknown outcome are tried by themselves instead of by their kinds.
const OPEN_NAMED: usize = 64;

/// Looks for a core of members that have no order; none if there was no time to find one. With a
/// focus, what had returned by then is looked at first.
pub(crate) fn shrink<M: Model>(
    initial: &M,
    members: &[Member<M>],
    focus: Option<Cut>,
    deadline: Instant,
) -> Option<Shrunk> {
    let (found, configurations) = CONFIGURATIONS.into_iter().find_map(|configurations| {
        let all = Attempt { initial, members, limit: Limit { deadline, configurations } };
        Some((all.latest(focus)?, configurations))
    })?;
    // What nobody notices now nobody will notice of a weaker core, or hardly ever; so most of a
    // long history needs no second look, except one at the end.
    let all = Attempt { initial, members, limit: Limit { deadline, configurations } };
    let weakened = Weakened::of(members, &found);
    let mut noticed: Vec<usize> =
        weakened.pieces.iter().flat_map(|piece| piece.members.iter().copied()).collect();
    noticed.sort_unstable();
    let few: Vec<Member<M>> = noticed.iter().map(|index| members[*index].clone()).collect();
    let inward = |index: &usize| noticed.binary_search(index).expect("what is named is noticed");
    let roles = found.iter().map(|(index, role)| (inward(index), *role)).collect();
    let shrunk = Attempt { members: &few, ..all }.weaken(roles);
    let outward = shrunk.roles.into_iter().map(|(index, role)| (noticed[index], role));
    let shrunk = Shrunk { roles: outward.collect(), ..shrunk };
    match all.has_no_order(&shrunk.roles) {
        true => Some(shrunk),
        false => Some(all.weaken(found)),
    }
}

/// What attempts are made on.
struct Attempt<'a, M: Model> {
    initial: &'a M,
    members: &'a [Member<M>],
    limit: Limit,
}

impl<M: Model> Attempt<'_, M> {
    fn has_no_order(&self, roles: &BTreeMap<usize, Role>) -> bool {
        let weakened = Weakened::of(self.members, roles);
        exhaust(self.initial, &weakened.pieces, self.limit) == Exhausted::NoOrder
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.limit.deadline
    }

    /// Names the latest of the answered before the focus, twice as many each time, until there is no order.
    fn latest(&self, focus: Option<Cut>) -> Option<BTreeMap<usize, Role>> {
        let (mut certain, mut open): (Vec<usize>, Vec<usize>) =
            (0..self.members.len()).partition(|index| self.members[*index].is_certain());
        let when = |index: &usize| {
            let returned = self.members[*index].completed.map(Cut::from);
            let is_later = focus.is_some_and(|focus| returned > Some(focus));
            (is_later, Reverse(returned))
        };
        certain.sort_by_key(when);
        open.reverse();
        open.truncate(OPEN_NAMED);
        for open in [&[], open.as_slice()] {
            let mut count = 1;
            loop {
                let named = certain.iter().take(count).map(|index| (*index, Role::Answered));
                let open = open.iter().map(|index| (*index, Role::Optional));
                let roles: BTreeMap<usize, Role> = named.chain(open).collect();
                if self.has_no_order(&roles) {
                    return Some(roles);
                }
                if count >= certain.len() || self.is_over() {
                    break;
                }
                count *= 2;
            }
        }
        None
    }

    /// Gives as many as possible weaker roles, or none.
    fn weaken(&self, roles: BTreeMap<usize, Role>) -> Shrunk {
        let mut roles = self.leave_out(roles);
        for index in roles.keys().copied().collect::<Vec<_>>() {
            for role in [Role::Optional, Role::Happened] {
                let mut weaker = roles.clone();
                if weaker.insert(index, role) <= Some(role) {
                    break;
                }
                if !self.is_over() && self.has_no_order(&weaker) {
                    roles = weaker;
                    break;
                }
            }
        }
        let roles = self.leave_out(roles);
        Shrunk { roles, is_minimal: !self.is_over() }
    }

    /// Leaves out as many as possible: half of them, a quarter, … one.
    fn leave_out(&self, roles: BTreeMap<usize, Role>) -> BTreeMap<usize, Role> {
        let mut named: Vec<(usize, Role)> = roles.into_iter().collect();
        let mut chunk = named.len().div_ceil(2).max(1);
        loop {
            let (mut at, before) = (0, named.len());
            while at < named.len() && !self.is_over() {
                let end = (at + chunk).min(named.len());
                let rest = [&named[..at], &named[end..]].concat();
                if self.has_no_order(&rest.iter().copied().collect()) {
                    named = rest;
                } else {
                    at = end;
                }
            }
            if self.is_over() || (chunk == 1 && named.len() == before) {
                return named.into_iter().collect();
            }
            chunk = (chunk / 2).max(1);
        }
    }
}
