//! Which links a fault of links is about.

use std::collections::BTreeSet;
use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::fault::{Camp, Census, Link, Target, Wire};
use crate::system::NodeId;

/// Links, by whom they concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// By which nodes reach the targets.
    To(Target),
    /// By which the targets reach nodes.
    From(Target),
    /// Either.
    Both(Target),
    /// By which clients reach the targets, and are answered.
    Clients(Target),
}

impl Links {
    /// Returns the target.
    pub const fn target(self) -> Target {
        match self {
            Self::To(target) | Self::From(target) | Self::Both(target) | Self::Clients(target) => {
                target
            }
        }
    }

    /// Says who is meant and which links that is, or in words why there are none.
    pub fn resolve(
        self,
        census: &Census<'_>,
        generator: &mut impl Rng,
    ) -> Result<(Vec<NodeId>, BTreeSet<Wire>), &'static str> {
        let nodes = self.target().resolve(census, generator)?;
        let is_meant = |link: Link| match self {
            Self::To(_) => nodes.contains(&link.to),
            Self::From(_) => nodes.contains(&link.from),
            Self::Both(_) => nodes.contains(&link.from) || nodes.contains(&link.to),
            Self::Clients(_) => false,
        };
        let mut wires: BTreeSet<Wire> =
            census.links().filter(|link| is_meant(*link)).map(Wire::Nodes).collect();
        if let Self::Clients(_) = self {
            let camps = nodes.iter().flat_map(|&node| Camp::BOTH.map(|camp| (camp, node)));
            wires.extend(camps.map(|(camp, node)| Wire::Clients(camp, node)));
        }
        if wires.is_empty() {
            return Err("the cluster is too small");
        }
        Ok((nodes, wires))
    }
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(target) => write!(f, "to {target}"),
            Self::From(target) => write!(f, "from {target}"),
            Self::Both(target) => write!(f, "to and from {target}"),
            Self::Clients(target) => write!(f, "from clients to {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn check(links: Links, expected: &str) {
        let nodes = NodeId::first(3);
        let census = Census { nodes: &nodes, leader: Some(NodeId::new(2)) };
        let (hit, wires) = links.resolve(&census, &mut Seed::new(1).generator()).unwrap();
        assert_eq!(hit, [NodeId::new(2)]);
        let names: Vec<_> = wires.iter().map(Wire::to_string).collect();
        assert_eq!(names.join(" "), expected, "{links}");
    }

    #[test]
    fn links_are_named_by_whom_they_concern() {
        check(Links::To(Target::Leader), "n1→n2 n3→n2");
        check(Links::From(Target::Leader), "n2→n1 n2→n3");
        check(Links::Both(Target::Leader), "n1→n2 n2→n1 n2→n3 n3→n2");
        check(Links::Clients(Target::Leader), "first→n2 second→n2");
    }

    #[test]
    fn one_node_has_clients_and_no_links() {
        let census = Census { nodes: &NodeId::first(1), leader: None };
        let mut generator = Seed::new(1).generator();
        assert!(Links::Both(Target::One).resolve(&census, &mut generator).is_err());
        assert!(Links::Clients(Target::One).resolve(&census, &mut generator).is_ok());
        assert!(Links::To(Target::Leader).resolve(&census, &mut generator).is_err());
    }
}
