//! Whom a fault hits.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom};
use serde::{Deserialize, Serialize};

use crate::fault::Link;
use crate::system::NodeId;

/// Whom a fault hits; all but [`Target::Node`] are settled at the moment of injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// Any one node.
    One,
    /// As many nodes as a cluster can do without.
    Minority,
    /// The fewest nodes that a cluster cannot do without.
    Majority,
    /// Every node.
    All,
    /// The node that leads.
    Leader,
    /// A node that does not lead.
    Follower,
    /// This node.
    Node(NodeId),
}

/// The text names no target.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no target {name:?}; there are one, minority, majority, all, leader, follower and n1, n2, …"
)]
pub struct TargetError {
    name: String,
}

/// The cluster at the moment of injection, as far as targets care.
#[derive(Clone, Debug)]
pub struct Census<'a> {
    /// All nodes, in order.
    pub nodes: &'a [NodeId],
    /// The node that leads, if one is known.
    pub leader: Option<NodeId>,
}

impl Census<'_> {
    /// Returns how many nodes are the smallest majority.
    pub const fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// Returns all links between nodes.
    pub fn links(&self) -> impl Iterator<Item = Link> + '_ {
        let from_all =
            self.nodes.iter().flat_map(|&from| self.nodes.iter().map(move |&to| Link { from, to }));
        from_all.filter(|link| link.from != link.to)
    }

    /// Returns how many nodes the cluster can do without.
    pub const fn minority(&self) -> usize {
        self.nodes.len().saturating_sub(1) / 2
    }
}

impl Target {
    /// All targets but particular nodes.
    pub const NAMED: [Self; 6] =
        [Self::One, Self::Minority, Self::Majority, Self::All, Self::Leader, Self::Follower];

    /// Says whether it depends on who leads.
    pub const fn needs_leader(self) -> bool {
        matches!(self, Self::Leader | Self::Follower)
    }

    /// Says who is meant, in order, or in words why nobody is.
    pub fn resolve(
        self,
        census: &Census<'_>,
        generator: &mut impl Rng,
    ) -> Result<Vec<NodeId>, &'static str> {
        let mut pick = |count| {
            let mut picked = census.nodes.iter().copied().choose_multiple(generator, count);
            picked.sort_unstable();
            picked
        };
        let chosen = match self {
            Self::One => pick(1),
            Self::Minority => pick(census.minority()),
            Self::Majority => pick(census.majority()),
            Self::All => census.nodes.to_vec(),
            Self::Leader => vec![census.leader.ok_or("no node leads")?],
            Self::Follower => {
                let leader = census.leader.ok_or("no node leads")?;
                let mut others = census.nodes.to_vec();
                others.retain(|&node| node != leader);
                others.choose(generator).copied().into_iter().collect()
            }
            Self::Node(node) if census.nodes.contains(&node) => vec![node],
            Self::Node(_) => return Err("there is no such node"),
        };
        if chosen.is_empty() {
            return Err("the cluster is too small");
        }
        Ok(chosen)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::All => "all",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Node(node) => return node.fmt(f),
        })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(name: &str) -> Result<Self, TargetError> {
        Self::NAMED
            .into_iter()
            .find(|target| target.to_string() == name)
            .or_else(|| name.parse().ok().map(Self::Node))
            .ok_or_else(|| TargetError { name: name.into() })
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(name: String) -> Result<Self, TargetError> {
        name.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn check(target: Target, nodes: u64, leader: Option<u64>, expected: Result<usize, &str>) {
        let nodes = NodeId::first(nodes);
        let census = Census { nodes: &nodes, leader: leader.map(NodeId::new) };
        let mut generator = Seed::new(1).generator();
        for _ in 0..50 {
            let chosen = target.resolve(&census, &mut generator);
            assert_eq!(chosen.as_ref().map(Vec::len).map_err(|why| *why), expected, "{target}");
            for (place, node) in chosen.iter().flatten().enumerate() {
                assert!(nodes.contains(node));
                assert!(chosen.as_ref().unwrap()[..place].iter().all(|other| other < node));
            }
        }
    }

    #[test]
    fn each_target_means_so_many_nodes() {
        for (nodes, minority, majority) in [(3, 1, 2), (4, 1, 3), (5, 2, 3), (7, 3, 4)] {
            check(Target::One, nodes, None, Ok(1));
            check(Target::Minority, nodes, None, Ok(minority));
            check(Target::Majority, nodes, None, Ok(majority));
            check(Target::All, nodes, None, Ok(nodes as usize));
            check(Target::Leader, nodes, Some(2), Ok(1));
            check(Target::Leader, nodes, None, Err("no node leads"));
            check(Target::Follower, nodes, Some(2), Ok(1));
            check(Target::Follower, nodes, None, Err("no node leads"));
            check(Target::Node(NodeId::new(3)), nodes, None, Ok(1));
        }
        check(Target::Node(NodeId::new(6)), 5, None, Err("there is no such node"));
        check(Target::Minority, 1, None, Err("the cluster is too small"));
        check(Target::Follower, 1, Some(1), Err("the cluster is too small"));
    }

    #[test]
    fn a_follower_is_never_the_leader() {
        let nodes = NodeId::first(3);
        let leader = NodeId::new(2);
        let census = Census { nodes: &nodes, leader: Some(leader) };
        let mut generator = Seed::new(5).generator();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..50 {
            seen.extend(Target::Follower.resolve(&census, &mut generator).unwrap());
        }
        assert_eq!(seen, [NodeId::new(1), NodeId::new(3)].into());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for target in Target::NAMED.into_iter().chain([Target::Node(NodeId::new(12))]) {
            assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
        for name in ["", "n0", "n", "n01", "5", "Leader", "n-1", "n+1"] {
            assert!(name.parse::<Target>().is_err(), "{name:?}");
        }
    }
}
