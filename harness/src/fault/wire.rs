//! The ways by which nodes and clients reach nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::system::NodeId;

/// The way from one node to another. What the other answers goes by the link back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(NodeId, NodeId)", into = "(NodeId, NodeId)")]
pub struct Link {
    /// Who sends.
    pub from: NodeId,
    /// Who receives.
    pub to: NodeId,
}

/// One half of the clients. Clients of a camp share their ways to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Camp {
    /// The clients that stay with a leader that is cut off; see
    /// [`Topology::LeaderWithClients`](crate::fault::Topology::LeaderWithClients).
    First,
    /// The clients that stay with the others.
    Second,
}

/// A way that faults act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// From a node to a node.
    Nodes(Link),
    /// From the clients of a camp to a node, and back.
    Clients(Camp, NodeId),
}

impl Camp {
    /// Both camps.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];
}

impl Wire {
    /// Returns the link between nodes that it is, if it is one.
    pub const fn link(self) -> Option<Link> {
        match self {
            Self::Nodes(link) => Some(link),
            Self::Clients(..) => None,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.from, self.to)
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(link) => link.fmt(f),
            Self::Clients(camp, node) => write!(f, "{camp}→{node}"),
        }
    }
}

impl fmt::Display for Camp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}

impl From<(NodeId, NodeId)> for Link {
    fn from((from, to): (NodeId, NodeId)) -> Self {
        Self { from, to }
    }
}

impl From<Link> for (NodeId, NodeId) {
    fn from(link: Link) -> Self {
        (link.from, link.to)
    }
}
