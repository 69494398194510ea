//! Memberships, to and from `raft.proto`.

use std::collections::BTreeSet;

use proto::raft as wire;
use raft::{Membership, NodeId};

/// Puts a membership into its wire form.
pub(crate) fn encode(membership: &Membership) -> wire::Membership {
    let ids = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| id.0).collect();
    wire::Membership {
        voters: ids(&membership.voters),
        outgoing: ids(&membership.outgoing),
        learners: ids(&membership.learners),
    }
}

/// Reads a membership from its wire form; `None` if it names node 0, or a node as both voter and
/// learner. It may have no voters: that of a node which has yet to be told has none.
pub(crate) fn decode(membership: &wire::Membership) -> Option<Membership> {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
    let membership = Membership {
        voters: ids(&membership.voters),
        outgoing: ids(&membership.outgoing),
        learners: ids(&membership.learners),
    };
    let names_nobody = membership.everybody().contains(&NodeId(0));
    let is_disjoint = membership.voters.is_disjoint(&membership.learners);
    (is_disjoint && !names_nobody).then_some(membership)
}
