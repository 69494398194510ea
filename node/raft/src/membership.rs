//! Who is in the cluster, and what a majority is while that changes (Raft §6, joint consensus).

use std::collections::{BTreeSet, VecDeque};

use crate::quorum::{is_majority, reached_by_majority};
use crate::types::{Entry, LogIndex, NodeId, Payload};

/// The members of the cluster.
///
/// While it passes from one set of voters to another, both count: whatever needs a majority needs one
/// of the incoming and one of the outgoing voters, so the two can never decide apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Who votes; during a joint membership, who will.
    pub voters: BTreeSet<NodeId>,
    /// Who voted before; empty unless the membership is joint.
    pub outgoing: BTreeSet<NodeId>,
    /// Who is sent the log but neither votes nor campaigns.
    pub learners: BTreeSet<NodeId>,
}

impl Membership {
    /// Makes a membership of voters alone.
    #[must_use]
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Returns whether the cluster is on its way from the outgoing voters to others.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Returns whether the node's vote counts.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Returns everybody who is sent the log, in order of their ids.
    #[must_use]
    pub fn everybody(&self) -> BTreeSet<NodeId> {
        [&self.voters, &self.outgoing, &self.learners].into_iter().flatten().copied().collect()
    }

    /// Returns whether those for whom `agrees` holds can decide: a majority of the voters, and of the
    /// outgoing ones if there are any. Without voters nobody can.
    pub(crate) fn is_quorum(&self, agrees: impl Fn(NodeId) -> bool) -> bool {
        let decides = |voters: &BTreeSet<NodeId>| {
            is_majority(voters.iter().filter(|&&id| agrees(id)).count(), voters.len())
        };
        decides(&self.voters) && (self.outgoing.is_empty() || decides(&self.outgoing))
    }

    /// Returns the greatest value that a quorum has reached, or `None` without voters.
    pub(crate) fn reached_by_quorum<T: Ord + Copy>(
        &self,
        value: impl Fn(NodeId) -> T,
    ) -> Option<T> {
        let reached =
            |voters: &BTreeSet<NodeId>| reached_by_majority(voters.iter().map(|&id| value(id)));
        let incoming = reached(&self.voters)?;
        Some(reached(&self.outgoing).map_or(incoming, |outgoing| outgoing.min(incoming)))
    }

    /// Returns whether a cluster can be meant to be like that: it has voters, none of whom is a learner
    /// too, and is not joint.
    pub(crate) fn is_sound(&self) -> bool {
        let is_nobody = self.everybody().contains(&NodeId(0));
        let is_clear = self.voters.is_disjoint(&self.learners);
        !self.voters.is_empty() && !self.is_joint() && is_clear && !is_nobody
    }

    /// Returns the membership by which the cluster passes from `current` to this one: a joint one if
    /// the voters differ, for learners count in no quorum.
    pub(crate) fn joined_from(&self, current: &Self) -> Self {
        let differ = self.voters != current.voters;
        let outgoing = if differ { current.voters.clone() } else { BTreeSet::new() };
        Self { outgoing, ..self.clone() }
    }

    /// Returns the membership that a joint one leads to.
    pub(crate) fn settled(&self) -> Self {
        Self { outgoing: BTreeSet::new(), ..self.clone() }
    }
}

/// The memberships that the log holds, each from the entry that brought it on. A node acts by the
/// latest one as soon as it is in its log, committed or not (Raft §6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Memberships {
    /// As of the beginning of the log: the initial one, or that of a snapshot.
    base: (LogIndex, Membership),
    /// Those of entries behind it, in the log's order.
    later: VecDeque<(LogIndex, Membership)>,
}

impl Memberships {
    pub(crate) fn new(index: LogIndex, membership: Membership) -> Self {
        Self { base: (index, membership), later: VecDeque::new() }
    }

    /// Makes them of a recovered log, which begins behind `index`.
    pub(crate) fn recover(index: LogIndex, membership: Membership, entries: &[Entry]) -> Self {
        let mut memberships = Self::new(index, membership);
        for entry in entries {
            if let Payload::Membership(membership) = &entry.payload {
                memberships.push(entry.index, membership.clone());
            }
        }
        memberships
    }

    /// Returns the latest membership.
    pub(crate) fn latest(&self) -> &Membership {
        &self.later.back().unwrap_or(&self.base).1
    }

    /// Returns the entry that brought the latest membership; 0 for the initial one.
    pub(crate) fn latest_index(&self) -> LogIndex {
        self.later.back().unwrap_or(&self.base).0
    }

    /// Returns the membership as of the entry at `index`.
    pub(crate) fn as_of(&self, index: LogIndex) -> &Membership {
        let held = self.later.iter().rev().find(|(from, _)| *from <= index);
        &held.unwrap_or(&self.base).1
    }

    /// Notes the membership that the entry at `index` brings.
    pub(crate) fn push(&mut self, index: LogIndex, membership: Membership) {
        assert!(index > self.latest_index(), "I3 Log Matching: memberships out of order");
        self.later.push_back((index, membership));
    }

    /// Forgets what entries from `from` on brought: they are gone.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.later.retain(|(index, _)| *index < from);
    }

    /// Forgets what was superseded up to `upto`, the last entry of a snapshot.
    pub(crate) fn compact(&mut self, upto: LogIndex) {
        while let Some(membership) = self.later.pop_front_if(|(index, _)| *index <= upto) {
            self.base = membership;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn membership(voters: &[u64], outgoing: &[u64]) -> Membership {
        Membership { voters: ids(voters), outgoing: ids(outgoing), learners: ids(&[9]) }
    }

    #[test]
    fn a_joint_quorum_needs_a_majority_of_both() {
        // Voters, outgoing voters, who agrees, whether that decides.
        for (voters, outgoing, agreeing, expected) in [
            (&[1, 2, 3][..], &[][..], &[1, 2][..], true),
            (&[1, 2, 3], &[], &[1], false),
            (&[1, 2, 3], &[], &[1, 9], false),
            (&[1, 2, 3, 4], &[], &[1, 2], false),
            (&[1], &[], &[1], true),
            (&[], &[], &[1, 2, 9], false),
            (&[1, 2, 3], &[1, 2, 3], &[2, 3], true),
            (&[3, 4, 5], &[1, 2, 3], &[3, 4], false),
            (&[3, 4, 5], &[1, 2, 3], &[1, 2], false),
            (&[3, 4, 5], &[1, 2, 3], &[1, 3, 4], true),
            (&[3, 4, 5], &[1, 2, 3], &[1, 2, 4, 5], true),
            (&[4, 5, 6], &[1, 2, 3], &[1, 4, 5, 6], false),
            (&[4], &[1, 2, 3], &[1, 2, 3], false),
            (&[4], &[1, 2, 3], &[1, 2, 4], true),
            (&[], &[1, 2, 3], &[1, 2, 3], false),
        ] {
            let agreeing = ids(agreeing);
            assert_eq!(
                membership(voters, outgoing).is_quorum(|id| agreeing.contains(&id)),
                expected,
                "{agreeing:?} of {voters:?} and {outgoing:?}"
            );
        }
    }

    #[test]
    fn a_joint_quorum_reaches_what_both_reach() {
        // Voters, outgoing voters, the value that both have reached if node n has reached values[n].
        let values = [0, 8, 5, 3, 9, 1, 1, 0, 0, 99];
        for (voters, outgoing, expected) in [
            (&[1, 2, 3][..], &[][..], Some(5)),
            (&[3, 2, 1], &[], Some(5)),
            (&[1, 4], &[], Some(8)),
            (&[4], &[], Some(9)),
            (&[], &[], None),
            (&[4, 5, 6], &[1, 2, 3], Some(1)),
            (&[1, 2, 3], &[4, 5, 6], Some(1)),
            (&[1, 2, 4], &[1, 2, 3], Some(5)),
            (&[], &[1], None),
        ] {
            let reached =
                membership(voters, outgoing).reached_by_quorum(|id| values[id.0 as usize]);
            assert_eq!(reached, expected, "{voters:?} and {outgoing:?}");
        }
    }

    /// The arithmetic agrees with the definition, for every pair of memberships of up to five nodes.
    #[test]
    fn what_a_quorum_reached_is_what_a_quorum_agrees_on() {
        let values = [0, 2, 1, 3, 2, 0];
        for (voters, outgoing) in (1..32_u64).flat_map(|v| (0..32_u64).map(move |o| (v, o))) {
            let chosen = |mask: u64| (1..=5).filter(move |id| mask >> (id - 1) & 1 == 1);
            let (voters, outgoing): (Vec<_>, Vec<_>) =
                (chosen(voters).collect(), chosen(outgoing).collect());
            let joint = membership(&voters, &outgoing);
            let agreed =
                (0..=4).rev().find(|&value| joint.is_quorum(|id| values[id.0 as usize] >= value));
            assert_eq!(joint.reached_by_quorum(|id| values[id.0 as usize]), agreed);
        }
    }

    #[test]
    fn a_membership_holds_until_its_entry_is_gone() {
        let [one, two, three] = [1, 2, 3].map(|id| membership(&[id], &[]));
        let mut memberships = Memberships::new(LogIndex(0), one.clone());
        memberships.push(LogIndex(4), two.clone());
        memberships.push(LogIndex(7), three.clone());
        assert_eq!(memberships.latest(), &three);
        for (index, expected) in
            [(0, &one), (3, &one), (4, &two), (6, &two), (7, &three), (9, &three)]
        {
            assert_eq!(memberships.as_of(LogIndex(index)), expected, "at {index}");
        }
        memberships.compact(LogIndex(5));
        assert_eq!(memberships.as_of(LogIndex(5)), &two);
        memberships.truncate(LogIndex(7));
        assert_eq!((memberships.latest(), memberships.latest_index()), (&two, LogIndex(4)));
    }
}
