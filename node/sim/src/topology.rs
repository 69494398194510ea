//! Which links a partition cuts.

use std::fmt;

use raft::NodeId;

use crate::random::Random;

/// A directed link. What the other says goes by the link back.
pub type Link = (NodeId, NodeId);

/// Whom a fault hits; settled when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Whoever the draw falls upon.
    Anyone,
    /// The leader of the latest term; anyone if nobody leads.
    Leader,
    /// Somebody else; anyone if nobody leads.
    Follower,
    /// As many as a cluster can lose and go on.
    Minority,
}

/// The shape of a partition. Only links between nodes are cut: clients reach every node, so whoever is
/// cut off is alone with its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topology {
    /// The targets reach each other and nobody else.
    Isolate(Target),
    /// Nothing that the targets send to the others arrives.
    Outbound(Target),
    /// Nothing that the others send to the targets arrives.
    Inbound(Target),
    /// Two halves do not reach each other, but for one node that reaches everybody.
    Bridge,
    /// Every node reaches a majority, and no two nodes the same one.
    MajoritiesRing,
    /// One node does not reach one other.
    Single,
}

/// The nodes that there are, and who leads them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Census<'a> {
    pub(crate) nodes: &'a [NodeId],
    pub(crate) leader: Option<NodeId>,
}

impl Target {
    /// Names the nodes that are meant.
    pub(crate) fn resolve(self, census: Census<'_>, random: &mut Random) -> Vec<NodeId> {
        let Census { nodes, leader } = census;
        let leader = leader.filter(|id| nodes.contains(id));
        match (self, leader) {
            (Self::Leader, Some(leader)) => vec![leader],
            (Self::Follower, Some(leader)) => {
                let others: Vec<NodeId> =
                    nodes.iter().copied().filter(|&id| id != leader).collect();
                random.pick_any(&others).into_iter().collect()
            }
            (Self::Anyone | Self::Leader | Self::Follower, _) => {
                random.pick_any(nodes).into_iter().collect()
            }
            (Self::Minority, _) => {
                let mut order = nodes.to_vec();
                random.shuffle(&mut order);
                order.truncate((nodes.len().saturating_sub(1) / 2).max(1));
                order
            }
        }
    }
}

impl Topology {
    /// Says which links are cut.
    pub(crate) fn cut(self, census: Census<'_>, random: &mut Random) -> Vec<Link> {
        let mut order = census.nodes.to_vec();
        random.shuffle(&mut order);
        match self {
            Self::Isolate(target) => {
                let inside = target.resolve(census, random);
                links_where(census.nodes, |from, to| inside.contains(&from) != inside.contains(&to))
            }
            Self::Outbound(target) => {
                let mute = target.resolve(census, random);
                links_where(census.nodes, |from, to| mute.contains(&from) && !mute.contains(&to))
            }
            Self::Inbound(target) => {
                let deaf = target.resolve(census, random);
                links_where(census.nodes, |from, to| deaf.contains(&to) && !deaf.contains(&from))
            }
            Self::Bridge => cut_bridge(&order),
            Self::MajoritiesRing => cut_ring(&order),
            Self::Single => order.windows(2).take(1).map(|pair| (pair[0], pair[1])).collect(),
        }
    }
}

fn links_where(nodes: &[NodeId], is_cut: impl Fn(NodeId, NodeId) -> bool) -> Vec<Link> {
    let links = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| (from, to)));
    links.filter(|&(from, to)| from != to && is_cut(from, to)).collect()
}

/// The first node is the bridge; the others fall into two halves, the first of them the smaller.
fn cut_bridge(order: &[NodeId]) -> Vec<Link> {
    let Some((&bridge, others)) = order.split_first() else { return vec![] };
    let half = &others[..others.len() / 2];
    links_where(order, |from, to| {
        let is_across = half.contains(&from) != half.contains(&to);
        is_across && from != bridge && to != bridge
    })
}

/// Seats the nodes in a ring in which each reaches as many neighbours on either side as it takes to
/// see a majority. Three nodes would all reach each other so; they stand in a row instead.
fn cut_ring(order: &[NodeId]) -> Vec<Link> {
    let count = order.len();
    let majority = count / 2 + 1;
    let reach = majority / 2;
    let seat = |node| order.iter().position(|&other| other == node).unwrap_or(0);
    links_where(order, |from, to| {
        let apart = seat(from).abs_diff(seat(to));
        if count == 3 { apart == 2 } else { apart.min(count - apart) > reach }
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => "anyone",
            Self::Leader => "the leader",
            Self::Follower => "a follower",
            Self::Minority => "a minority",
        })
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Isolate(target) => write!(f, "isolate {target}"),
            Self::Outbound(target) => write!(f, "nothing leaves {target}"),
            Self::Inbound(target) => write!(f, "nothing reaches {target}"),
            Self::Bridge => f.write_str("two halves and a bridge"),
            Self::MajoritiesRing => f.write_str("a ring of majorities"),
            Self::Single => f.write_str("one link"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    /// Returns who reaches whom both ways, itself included.
    fn reached(nodes: &[NodeId], cut: &[Link], id: NodeId) -> Vec<NodeId> {
        let is_open = |other: &NodeId| !cut.contains(&(id, *other)) && !cut.contains(&(*other, id));
        nodes.iter().copied().filter(is_open).collect()
    }

    #[test]
    fn partitions_have_their_shapes() {
        for (seed, count) in (0..40).flat_map(|seed| [3_u64, 4, 5, 7].map(|count| (seed, count))) {
            let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
            let census = Census { nodes: &nodes, leader: Some(NodeId(2)) };
            let mut random = Seed(seed).stream();
            let mut cut = |topology: Topology| topology.cut(census, &mut random);

            let alone = cut(Topology::Isolate(Target::Leader));
            assert_eq!(reached(&nodes, &alone, NodeId(2)), [NodeId(2)]);
            assert_eq!(alone.len() as u64, 2 * (count - 1));
            let mute = cut(Topology::Outbound(Target::Leader));
            assert!(mute.iter().all(|link| link.0 == NodeId(2)) && mute.len() as u64 == count - 1);
            let deaf = cut(Topology::Inbound(Target::Follower));
            assert!(deaf.len() as u64 == count - 1 && deaf.iter().all(|link| link.1 != NodeId(2)));
            let minority = cut(Topology::Isolate(Target::Minority));
            let majority =
                nodes.iter().filter(|id| reached(&nodes, &minority, **id).len() > nodes.len() / 2);
            assert!(majority.count() > nodes.len() / 2);
            let ring = cut(Topology::MajoritiesRing);
            assert!(!ring.is_empty() || count == 4);
            let sees_majority = |id: &NodeId| reached(&nodes, &ring, *id).len() > nodes.len() / 2;
            assert!(nodes.iter().all(sees_majority), "{count} {ring:?}");
            let bridge = cut(Topology::Bridge);
            let whole =
                nodes.iter().filter(|id| reached(&nodes, &bridge, **id).len() == nodes.len());
            assert_eq!(whole.count(), 1, "{count} {bridge:?}");
            assert_eq!(cut(Topology::Single).len(), 1);
        }
    }
}
