//! The fields that records and headers are made of: little-endian numbers, and memberships.

use std::collections::BTreeSet;

use raft::{HardState, LogIndex, Membership, NodeId, Term};

use super::outline::SnapshotId;

/// Appends a number of four bytes.
pub(super) fn put_u32(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("a segment and all in it is smaller than 4 GiB");
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of eight bytes.
pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends term and vote; node 0, which is no node, stands for no vote.
pub(super) fn put_hard_state(out: &mut Vec<u8>, HardState { term, vote }: HardState) {
    put_u64(out, term.0);
    put_u64(out, vote.map_or(0, |vote| vote.0));
}

/// Appends index and term of a snapshot.
pub(super) fn put_snapshot_id(out: &mut Vec<u8>, SnapshotId { index, term }: SnapshotId) {
    put_u64(out, index.0);
    put_u64(out, term.0);
}

/// Appends a membership: how many voters, outgoing voters and learners, and then their ids.
pub(super) fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    let sets = [&membership.voters, &membership.outgoing, &membership.learners];
    for set in sets {
        put_u32(out, set.len());
    }
    for id in sets.into_iter().flatten() {
        put_u64(out, id.0);
    }
}

/// Returns how many bytes [`put_membership`] appends.
pub(super) fn membership_size(membership: &Membership) -> usize {
    let Membership { voters, outgoing, learners } = membership;
    3 * 4 + 8 * (voters.len() + outgoing.len() + learners.len())
}

/// What is still to be read of some fields. Every method returns `None` if there is not enough.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn term(&mut self) -> Option<Term> {
        self.u64().map(Term)
    }

    pub(super) fn index(&mut self) -> Option<LogIndex> {
        self.u64().map(LogIndex)
    }

    pub(super) fn hard_state(&mut self) -> Option<HardState> {
        let term = self.term()?;
        let vote = Some(self.u64()?).filter(|vote| *vote != 0).map(NodeId);
        Some(HardState { term, vote })
    }

    pub(super) fn snapshot_id(&mut self) -> Option<SnapshotId> {
        Some(SnapshotId { index: self.index()?, term: self.term()? })
    }

    /// Reads a membership, which must name nobody twice in one part.
    pub(super) fn membership(&mut self) -> Option<Membership> {
        let [voters, outgoing, learners] = [self.u32()?, self.u32()?, self.u32()?];
        Some(Membership {
            voters: self.ids(voters)?,
            outgoing: self.ids(outgoing)?,
            learners: self.ids(learners)?,
        })
    }

    fn ids(&mut self, count: usize) -> Option<BTreeSet<NodeId>> {
        let ids = (0..count).map(|_| self.u64().map(NodeId)).collect::<Option<BTreeSet<_>>>()?;
        (ids.len() == count).then_some(ids)
    }

    /// Returns the value if nothing follows it.
    pub(super) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
