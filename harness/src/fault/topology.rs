//! Which links a partition cuts.

use std::collections::BTreeSet;
use std::fmt;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::fault::target::{Census, Target};
use crate::fault::{Camp, Link, Wire};
use crate::system::NodeId;

/// The shape of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// The targets reach each other and nobody else.
    Isolate(Target),
    /// A minority and a majority do not reach each other.
    Halves,
    /// Two parts do not reach each other, of any sizes: every node is in either with equal chance.
    RandomHalves,
    /// The leader and the [first camp](Camp::First) of the clients reach each other, the other nodes
    /// and the second camp reach each other, and nothing passes between.
    LeaderWithClients,
    /// Nothing that the targets send to the others arrives.
    Outbound(Target),
    /// Nothing that the others send to the targets arrives.
    Inbound(Target),
    /// Two halves do not reach each other, but for one node that reaches everybody.
    Bridge,
    /// Every node reaches a majority, and no two nodes the same one.
    MajoritiesRing,
}

/// A partition settled: which links are cut, and around whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The nodes that the partition is about: the targets, the smaller half or the bridge; none of a
    /// ring, where all are alike.
    pub nodes: Vec<NodeId>,
    /// The links that carry nothing.
    pub links: BTreeSet<Link>,
    /// The links of clients that carry nothing.
    pub clients: BTreeSet<(Camp, NodeId)>,
}

impl Cut {
    /// Returns everything that carries nothing.
    pub fn wires(&self) -> impl Iterator<Item = Wire> + '_ {
        let links = self.links.iter().map(|link| Wire::Nodes(*link));
        links.chain(self.clients.iter().map(|&(camp, node)| Wire::Clients(camp, node)))
    }
}

impl Topology {
    /// Returns the target of a topology that has one.
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Isolate(target) | Self::Outbound(target) | Self::Inbound(target) => Some(target),
            Self::LeaderWithClients => Some(Target::Leader),
            Self::Halves | Self::RandomHalves | Self::Bridge | Self::MajoritiesRing => None,
        }
    }

    /// Says which links are cut, or in words why none can be.
    pub fn cut(self, census: &Census<'_>, generator: &mut impl Rng) -> Result<Cut, &'static str> {
        let (nodes, links) = match self {
            Self::Isolate(target) => {
                let inside = target.resolve(census, generator)?;
                let links = links_between(&inside, census.nodes);
                (inside, links)
            }
            Self::RandomHalves => {
                let one = toss(census.nodes, generator);
                let links = links_between(&one, census.nodes);
                (one, links)
            }
            Self::LeaderWithClients => {
                let mut cut = Self::Isolate(Target::Leader).cut(census, generator)?;
                cut.clients = clients_apart(&cut.nodes, census.nodes);
                return Ok(cut);
            }
            Self::Halves => return Self::Isolate(Target::Minority).cut(census, generator),
            Self::Outbound(target) => {
                let mute = target.resolve(census, generator)?;
                let links = links_where(census.nodes, |link| {
                    mute.contains(&link.from) && !mute.contains(&link.to)
                });
                (mute, links)
            }
            Self::Inbound(target) => {
                let deaf = target.resolve(census, generator)?;
                let links = links_where(census.nodes, |link| {
                    deaf.contains(&link.to) && !deaf.contains(&link.from)
                });
                (deaf, links)
            }
            Self::Bridge => cut_bridge(&shuffled(census.nodes, generator)),
            Self::MajoritiesRing => {
                (Vec::new(), cut_ring(&shuffled(census.nodes, generator), census.majority()))
            }
        };
        if links.is_empty() {
            return Err("the cluster is too small");
        }
        Ok(Cut { nodes, links, clients: BTreeSet::new() })
    }
}

fn shuffled(nodes: &[NodeId], generator: &mut impl Rng) -> Vec<NodeId> {
    let mut order = nodes.to_vec();
    order.shuffle(generator);
    order
}

fn links_where(nodes: &[NodeId], is_cut: impl Fn(Link) -> bool) -> BTreeSet<Link> {
    let from_all = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| Link { from, to }));
    from_all.filter(|link| link.from != link.to && is_cut(*link)).collect()
}

fn links_between(inside: &[NodeId], nodes: &[NodeId]) -> BTreeSet<Link> {
    links_where(nodes, |link| inside.contains(&link.from) != inside.contains(&link.to))
}

/// Tosses a coin for every node, again if all are on one side; returns the smaller side.
fn toss(nodes: &[NodeId], generator: &mut impl Rng) -> Vec<NodeId> {
    if nodes.len() < 2 {
        return Vec::new();
    }
    loop {
        let (one, other): (Vec<_>, Vec<_>) =
            nodes.iter().copied().partition(|_| generator.random());
        if !one.is_empty() && !other.is_empty() {
            return if one.len() <= other.len() { one } else { other };
        }
    }
}

/// The first camp keeps those inside only, the second those outside.
fn clients_apart(inside: &[NodeId], nodes: &[NodeId]) -> BTreeSet<(Camp, NodeId)> {
    let camp_cut_from = |node| if inside.contains(&node) { Camp::Second } else { Camp::First };
    nodes.iter().map(|&node| (camp_cut_from(node), node)).collect()
}

/// The first node is the bridge; the others fall into two halves, the first of them the smaller.
fn cut_bridge(order: &[NodeId]) -> (Vec<NodeId>, BTreeSet<Link>) {
    let Some((&bridge, others)) = order.split_first() else {
        return (Vec::new(), BTreeSet::new());
    };
    let half = &others[..others.len() / 2];
    let links = links_where(order, |link| {
        link.from != bridge
            && link.to != bridge
            && half.contains(&link.from) != half.contains(&link.to)
    });
    (vec![bridge], links)
}

/// Seats the nodes in a ring in which each reaches as many neighbours on either side as it takes to
/// see a majority, itself included.
///
/// With an even majority (4 of 7) that is one node more than needed: there is no ring of exact
/// majorities then in which links work both ways. Three nodes would all reach each other in a ring;
/// they stand in a row instead, whose ends see a majority each and whose middle sees all.
fn cut_ring(order: &[NodeId], majority: usize) -> BTreeSet<Link> {
    let count = order.len();
    let reach = majority / 2;
    let seat = |node| order.iter().position(|&other| other == node).unwrap_or(0);
    if count == 3 {
        return links_where(order, |link| seat(link.from).abs_diff(seat(link.to)) == 2);
    }
    links_where(order, |link| {
        let apart = seat(link.from).abs_diff(seat(link.to));
        apart.min(count - apart) > reach
    })
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Isolate(target) => write!(f, "isolate {target}"),
            Self::Halves => f.write_str("halves"),
            Self::RandomHalves => f.write_str("random-halves"),
            Self::LeaderWithClients => f.write_str("leader-with-clients"),
            Self::Outbound(target) => write!(f, "outbound {target}"),
            Self::Inbound(target) => write!(f, "inbound {target}"),
            Self::Bridge => f.write_str("bridge"),
            Self::MajoritiesRing => f.write_str("majorities-ring"),
        }
    }
}

#[cfg(test)]
mod tests;
