//! What the driver needs of a consensus core; tests put a scripted one in its place.

use std::collections::BTreeMap;

use raft::{Input, LogIndex, Membership, NodeId, Output, Replica, Role, Term};

/// A core under the contract of `raft`'s `effect` module.
pub(crate) trait Core: Send + 'static {
    /// Handles an input; its outputs are carried out before the next one.
    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>);
    /// Says how the node stands.
    fn standing(&self) -> Standing;
}

/// How a node stands in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) first_log_index: LogIndex,
    pub(crate) last_log_index: LogIndex,
    pub(crate) commit_index: LogIndex,
    pub(crate) last_applied: LogIndex,
    /// The last entry that the newest snapshot includes; 0 without one.
    pub(crate) snapshot_index: LogIndex,
    pub(crate) membership: Membership,
    /// How far each other member's log is known to match, if this node leads.
    pub(crate) followers: BTreeMap<NodeId, LogIndex>,
}

impl Core for Replica {
    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>) {
        Self::handle(self, input, outputs);
    }

    fn standing(&self) -> Standing {
        Standing {
            id: self.id(),
            role: self.role(),
            term: self.term(),
            leader: self.leader(),
            first_log_index: self.first_log_index(),
            last_log_index: self.last_log_index(),
            commit_index: self.commit_index(),
            last_applied: self.last_applied(),
            snapshot_index: self.snapshot().map_or(LogIndex(0), |snapshot| snapshot.index),
            membership: self.membership().clone(),
            followers: self.followers(),
        }
    }
}
