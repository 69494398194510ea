//! Where a client sends its operations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::system::NodeId;

/// Where a client sends its operations. Some faults show only to clients that stay with a node
/// which the others have left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Placement {
    /// To the node that answered last. When a node says that it did not do it, and another may, the
    /// client asks that one within the same operation; after an unknown outcome it goes on with the
    /// next node.
    #[default]
    LeaderFollowing,
    /// Always to this node, whatever it answers.
    Pinned(NodeId),
    /// Each operation to a node drawn anew, whatever it answers.
    Random,
}

/// The text names no placement.
#[derive(Debug, thiserror::Error)]
#[error("a placement is leader, random, or a node such as n1, not {name:?}")]
pub struct PlacementError {
    name: String,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderFollowing => f.pad("leader"),
            Self::Pinned(node) => node.fmt(f),
            Self::Random => f.pad("random"),
        }
    }
}

impl FromStr for Placement {
    type Err = PlacementError;

    fn from_str(name: &str) -> Result<Self, PlacementError> {
        match name {
            "leader" => Ok(Self::LeaderFollowing),
            "random" => Ok(Self::Random),
            _ => name.parse().map(Self::Pinned).map_err(|_| PlacementError { name: name.into() }),
        }
    }
}

/// Returns the placements of so many clients of a cluster of `nodes`, for a run that asks for none.
///
/// Of ten clients seven follow the leader, so that most of the load is carried out; the fourth, the
/// seventh and the tenth stay with a node each, going round the nodes, so that somebody is there to
/// see what a deserted node answers. Fewer than four clients all follow the leader.
pub fn mix(clients: usize, nodes: u64) -> Vec<Placement> {
    let mut round = NodeId::first(nodes).into_iter().cycle();
    let place = |client: usize| match client % 10 {
        3 | 6 | 9 => round.next().map_or(Placement::LeaderFollowing, Placement::Pinned),
        _ => Placement::LeaderFollowing,
    };
    (0..clients).map(place).collect()
}

impl TryFrom<String> for Placement {
    type Error = PlacementError;

    fn try_from(name: String) -> Result<Self, PlacementError> {
        name.parse()
    }
}

impl From<Placement> for String {
    fn from(placement: Placement) -> Self {
        placement.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_are_written_as_they_are_read() {
        for name in ["leader", "random", "n1", "n12"] {
            assert_eq!(name.parse::<Placement>().unwrap().to_string(), name);
        }
        for name in ["", "n0", "n", "follower", "Leader"] {
            assert!(name.parse::<Placement>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn of_ten_clients_three_stay_and_every_node_has_its_own_in_the_end() {
        let names = |clients, nodes| -> Vec<String> {
            mix(clients, nodes).into_iter().map(String::from).collect()
        };
        let ten = "leader leader leader n1 leader leader n2 leader leader n3";
        assert_eq!(names(10, 5).join(" "), ten);
        assert_eq!(names(3, 5), ["leader"; 3]);
        let twenty = names(20, 5);
        for node in ["n1", "n2", "n3", "n4", "n5"] {
            assert!(twenty.iter().any(|name| name == node), "{twenty:?}");
        }
        assert!(names(100, 1).iter().all(|name| name == "leader" || name == "n1"));
    }
}
