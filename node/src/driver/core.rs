//! What the driver needs of a consensus core; tests put a scripted one in its place.

use raft::{Input, LogIndex, NodeId, Output, Replica, Role, Term};

/// A core under the contract of `raft`'s `effect` module.
pub(crate) trait Core: Send + 'static {
    /// Handles an input; its outputs are carried out before the next one.
    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>);
    /// Says how the node stands.
    fn standing(&self) -> Standing;
}

/// How a node stands in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) last_log_index: LogIndex,
    pub(crate) commit_index: LogIndex,
    pub(crate) last_applied: LogIndex,
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
            last_log_index: self.last_log_index(),
            commit_index: self.commit_index(),
            last_applied: self.last_applied(),
        }
    }
}
