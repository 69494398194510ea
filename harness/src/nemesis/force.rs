//! The faults in force, and what has to stay because of them when one of them ends.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::{Family, Fault, Link};
use crate::nemesis::describe_nodes;
use crate::system::NodeId;

/// What a fault came to in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wounds {
    /// Who is hit; for a partition, whom it is about.
    pub(super) nodes: Vec<NodeId>,
    /// Which links are cut.
    pub(super) cut: BTreeSet<Link>,
}

/// A fault in force.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) fault: Fault,
    pub(super) wounds: Wounds,
    /// Its place among the records.
    pub(super) record: usize,
}

/// All faults in force, by their place in the schedule.
#[derive(Debug, Default)]
pub(super) struct Force {
    faults: BTreeMap<usize, Installed>,
}

impl Force {
    pub(super) fn add(&mut self, place: usize, fault: Fault, wounds: Wounds, record: usize) {
        let installed = Installed { fault, wounds, record };
        self.faults.insert(place, installed);
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Installed> {
        self.faults.remove(&place)
    }

    pub(super) fn places(&self) -> Vec<usize> {
        self.faults.keys().copied().collect()
    }

    /// Returns the links that faults other than this one cut.
    pub(super) fn cut_besides(&self, place: usize) -> BTreeSet<Link> {
        let others = self.faults.iter().filter(|(other, _)| **other != place);
        others.flat_map(|(_, other)| other.wounds.cut.iter().copied()).collect()
    }

    /// Returns the nodes of an ended fault that no fault of its kind still holds.
    pub(super) fn not_held(&self, ended: &Installed) -> Vec<NodeId> {
        let is_held = |node: &NodeId| {
            self.faults.values().any(|other| {
                other.fault.family() == ended.fault.family() && other.wounds.nodes.contains(node)
            })
        };
        let mut nodes = ended.wounds.nodes.clone();
        nodes.retain(|node| !is_held(node));
        nodes
    }

    /// Returns those of the nodes that a pause in force holds.
    pub(super) fn paused(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let pauses = || self.faults.values().filter(|it| it.fault.family() == Family::Pause);
        let is_held = |node: &&NodeId| pauses().any(|pause| pause.wounds.nodes.contains(node));
        nodes.iter().filter(is_held).copied().collect()
    }

    /// Renders each fault with whom it hits.
    pub(super) fn describe(&self) -> Vec<String> {
        let describe = |installed: &Installed| match installed.wounds.nodes.as_slice() {
            [] => installed.fault.to_string(),
            nodes => format!("{} ({})", installed.fault, describe_nodes(nodes)),
        };
        self.faults.values().map(describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Target, Topology};

    fn wounds(nodes: &[u64], cut: &[(u64, u64)]) -> Wounds {
        let link = |&(from, to): &(u64, u64)| Link { from: NodeId::new(from), to: NodeId::new(to) };
        Wounds {
            nodes: nodes.iter().copied().map(NodeId::new).collect(),
            cut: cut.iter().map(link).collect(),
        }
    }

    #[test]
    fn what_another_fault_holds_stays() {
        let mut force = Force::default();
        force.add(0, Fault::Pause(Target::Minority), wounds(&[1, 2], &[]), 0);
        force.add(1, Fault::Pause(Target::One), wounds(&[2], &[]), 1);
        force.add(2, Fault::Kill(Target::One), wounds(&[1], &[]), 2);
        let nodes = [1, 2, 3].map(NodeId::new);
        assert_eq!(force.paused(&nodes), nodes[..2]);
        let ended = force.remove(0).unwrap();
        assert_eq!(force.not_held(&ended), [NodeId::new(1)]);
        assert_eq!(force.paused(&nodes), nodes[1..2]);
        let ended = force.remove(1).unwrap();
        assert_eq!(force.not_held(&ended), [NodeId::new(2)]);
        assert!(force.remove(1).is_none());
        assert_eq!(force.places(), [2]);
    }

    #[test]
    fn links_stay_cut_as_long_as_any_fault_cuts_them() {
        let mut force = Force::default();
        let halves = Fault::Partition(Topology::Halves);
        force.add(0, halves, wounds(&[1], &[(1, 2), (2, 1)]), 0);
        force.add(1, Fault::Partition(Topology::Bridge), wounds(&[3], &[(2, 1)]), 1);
        assert_eq!(force.cut_besides(0), wounds(&[], &[(2, 1)]).cut);
        assert_eq!(force.cut_besides(1), wounds(&[], &[(1, 2), (2, 1)]).cut);
        assert_eq!(force.describe(), ["partition halves (n1)", "partition bridge (n3)"]);
    }
}
