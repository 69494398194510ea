//! The faults in force, and what has to stay because of them when one of them ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::disk::Ailment;
use crate::fault::{Camp, Fault, Link, Restart, Wire};
use crate::messages::MessageRule;
use crate::nemesis::describe_nodes;
use crate::nemesis::errand::Order;
use crate::proxy::Mode;
use crate::system::NodeId;

/// What a fault came to in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wounds {
    /// Who is hit; for a fault of the network, whom it is about.
    pub(super) nodes: Vec<NodeId>,
    /// What becomes of which links.
    pub(super) wires: BTreeMap<Wire, Mode>,
    /// What becomes of messages on which links.
    pub(super) rules: BTreeMap<Link, MessageRule>,
    /// What shows whether anybody felt it.
    pub(super) trace: Trace,
    /// What is to be said of it besides, in words.
    pub(super) notes: Vec<String>,
}

/// What shows whether a fault in force was felt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Trace {
    /// It is felt as soon as it is in force.
    #[default]
    Certain,
    /// That its rules hit messages; before it, the same rules had hit so many.
    Messages(u64),
    /// That the nodes' disks were felt to ail; before it, each was so often.
    Disks(BTreeMap<NodeId, u64>),
    /// That the power took something, which it did or not.
    Loss(bool),
}

impl Wounds {
    /// Returns the links between nodes that are cut.
    pub(super) fn cut(&self) -> BTreeSet<Link> {
        let cut = self.wires.iter().filter(|(_, mode)| **mode == Mode::Blackhole);
        cut.filter_map(|(wire, _)| wire.link()).collect()
    }

    /// Returns the links between nodes that go on, but badly.
    pub(super) fn shaped(&self) -> BTreeSet<Link> {
        let shaped = self.wires.iter().filter(|(_, mode)| **mode != Mode::Blackhole);
        shaped.filter_map(|(wire, _)| wire.link()).chain(self.rules.keys().copied()).collect()
    }

    /// Returns the links of clients that are hit.
    pub(super) fn clients(&self) -> BTreeSet<(Camp, NodeId)> {
        let clients = self.wires.keys().filter_map(|wire| match wire {
            Wire::Nodes(_) => None,
            Wire::Clients(camp, node) => Some((*camp, *node)),
        });
        clients.collect()
    }
}

/// A fault in force.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) fault: Fault,
    pub(super) wounds: Wounds,
    /// Its place among the records.
    pub(super) record: usize,
    /// Whether its links are let go for the moment.
    pub(super) is_resting: bool,
    /// Whose turn is still to come.
    pub(super) queue: VecDeque<NodeId>,
    /// How long it is from one step of it to the next.
    pub(super) rhythm: Option<Duration>,
    /// What it takes to undo it, if that is an operator's business.
    pub(super) undo: Option<Order>,
    /// When that was tried first.
    pub(super) undo_began: Option<Instant>,
    /// Who refused to start with what was damaged, and is to be replaced.
    pub(super) refused: Vec<NodeId>,
    /// What went wrong with its steps.
    pub(super) troubles: Vec<String>,
}

impl Installed {
    pub(super) fn new(fault: Fault, wounds: Wounds, record: usize) -> Self {
        Self {
            fault,
            wounds,
            record,
            is_resting: false,
            queue: VecDeque::new(),
            rhythm: None,
            undo: None,
            undo_began: None,
            refused: Vec::new(),
            troubles: Vec::new(),
        }
    }
}

impl Installed {
    /// Returns how many messages the fault has hit so far, if it is one of messages.
    pub(super) fn messages_hit(&self, cluster: &Cluster) -> Option<u64> {
        match self.wounds.trace {
            Trace::Messages(before) => {
                let hits = cluster.network().messages_hit(&self.wounds.rules);
                Some(hits.saturating_sub(before))
            }
            _ => None,
        }
    }

    /// Says why the fault, which was in force, shows nothing about the system, if nobody felt it.
    pub(super) fn was_in_vain(&self, cluster: &Cluster) -> Option<&'static str> {
        match &self.wounds.trace {
            Trace::Certain => None,
            Trace::Messages(_) => {
                (self.messages_hit(cluster) == Some(0)).then_some("no such message came by")
            }
            Trace::Disks(before) => {
                let ailment = self.fault.ailment().unwrap_or_default();
                let is_felt = |(&node, &before)| cluster.felt(node, ailment) > before;
                (!before.iter().any(is_felt)).then_some("nobody used the disk so that it was felt")
            }
            Trace::Loss(any) => (!any).then_some("everything was synced"),
        }
    }
}

/// In which way a fault holds its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// They are dead.
    Dead,
    /// They are stopped.
    Stopped,
    /// Their disks ail.
    Ailing,
    /// Their clocks are wrong.
    Mistimed,
}

/// Says how a fault holds its nodes, if it does.
pub(super) const fn hold(fault: Fault) -> Option<Hold> {
    match fault {
        Fault::Kill(_)
        | Fault::Restart(Restart::AtOnce(_))
        | Fault::PowerLoss { .. }
        | Fault::Damage { .. } => Some(Hold::Dead),
        Fault::DiskFull(_) | Fault::SlowSync { .. } | Fault::FailingSync { .. } => {
            Some(Hold::Ailing)
        }
        Fault::ClockAhead { .. } | Fault::ClockBack { .. } | Fault::ClockDrift { .. } => {
            Some(Hold::Mistimed)
        }
        Fault::Pause(_) => Some(Hold::Stopped),
        _ => None,
    }
}

/// All faults in force, by their places on the agenda.
#[derive(Debug, Default)]
pub(super) struct Force {
    faults: BTreeMap<usize, Installed>,
}

impl Force {
    pub(super) fn add(&mut self, place: usize, installed: Installed) {
        self.faults.insert(place, installed);
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Installed> {
        self.faults.remove(&place)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Installed> {
        self.faults.get_mut(&place)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Installed> {
        self.faults.get(&place)
    }

    /// Lets go of a node that has left: whoever has its name from now on is somebody else.
    pub(super) fn forget(&mut self, node: NodeId) {
        for installed in self.faults.values_mut() {
            if hold(installed.fault).is_some() {
                installed.wounds.nodes.retain(|&it| it != node);
            }
            installed.queue.retain(|&it| it != node);
            installed.refused.retain(|&it| it != node);
            if let Some(Order::Replace(nodes)) = &mut installed.undo {
                nodes.retain(|&it| it != node);
            }
        }
    }

    pub(super) fn places(&self) -> Vec<usize> {
        self.faults.keys().copied().collect()
    }

    /// Returns what all faults in force, and these wounds besides, make of links.
    pub(super) fn modes_with(&self, wounds: &Wounds) -> BTreeMap<Wire, Mode> {
        let awake = self.faults.values().filter(|installed| !installed.is_resting);
        let wires = awake.flat_map(|installed| &installed.wounds.wires).chain(&wounds.wires);
        let mut modes: BTreeMap<Wire, Mode> = BTreeMap::new();
        for (&wire, &mode) in wires {
            modes.entry(wire).and_modify(|other| *other = other.and(mode)).or_insert(mode);
        }
        modes
    }

    /// Returns what all faults in force, and these wounds besides, make of messages; of several rules
    /// the oldest comes first.
    pub(super) fn rules_with(&self, wounds: &Wounds) -> BTreeMap<Link, Vec<MessageRule>> {
        let all = self.faults.values().map(|installed| &installed.wounds).chain([wounds]);
        let mut rules: BTreeMap<Link, Vec<MessageRule>> = BTreeMap::new();
        for (&link, &rule) in all.flat_map(|wounds| &wounds.rules) {
            rules.entry(link).or_default().push(rule);
        }
        rules
    }

    /// Returns the nodes of an ended fault that no other fault holds in the same way.
    pub(super) fn not_held(&self, ended: &Installed) -> Vec<NodeId> {
        let held = hold(ended.fault).map(|how| self.held(how)).unwrap_or_default();
        let mut nodes = ended.wounds.nodes.clone();
        nodes.retain(|node| !held.contains(node));
        nodes
    }

    /// Returns the nodes that faults in force hold in this way.
    pub(super) fn held(&self, how: Hold) -> BTreeSet<NodeId> {
        let holding = self.faults.values().filter(|installed| hold(installed.fault) == Some(how));
        holding.flat_map(|installed| installed.wounds.nodes.iter().copied()).collect()
    }

    /// Returns what the faults in force make of a node's disk.
    pub(super) fn ailment(&self, node: NodeId) -> Ailment {
        let hits = self.faults.values().filter(|it| it.wounds.nodes.contains(&node));
        hits.filter_map(|it| it.fault.ailment()).fold(Ailment::default(), Ailment::and)
    }

    /// Returns those of the nodes that a pause in force holds.
    pub(super) fn paused(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let held = self.held(Hold::Stopped);
        nodes.iter().copied().filter(|node| held.contains(node)).collect()
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
    use crate::fault::{Links, Target, Topology};
    use crate::messages::MessageAction;
    use crate::proxy::Slowness;

    fn wounds(nodes: &[u64], cut: &[(u64, u64)]) -> Wounds {
        let link = |&(from, to): &(u64, u64)| Link { from: NodeId::new(from), to: NodeId::new(to) };
        Wounds {
            nodes: nodes.iter().copied().map(NodeId::new).collect(),
            wires: cut.iter().map(|cut| (Wire::Nodes(link(cut)), Mode::Blackhole)).collect(),
            ..Wounds::default()
        }
    }

    fn add(force: &mut Force, place: usize, fault: Fault, wounds: Wounds) {
        force.add(place, Installed::new(fault, wounds, place));
    }

    #[test]
    fn what_another_fault_holds_stays() {
        let mut force = Force::default();
        add(&mut force, 0, Fault::Pause(Target::Minority), wounds(&[1, 2], &[]));
        add(&mut force, 1, Fault::Pause(Target::One), wounds(&[2], &[]));
        add(&mut force, 2, Fault::Kill(Target::One), wounds(&[1], &[]));
        let nodes = [1, 2, 3].map(NodeId::new);
        assert_eq!(force.paused(&nodes), nodes[..2]);
        let ended = force.remove(0).unwrap();
        assert_eq!(force.not_held(&ended), [NodeId::new(1)]);
        assert_eq!(force.held(Hold::Dead), [NodeId::new(1)].into());
        assert_eq!(force.paused(&nodes), nodes[1..2]);
        let ended = force.remove(1).unwrap();
        assert_eq!(force.not_held(&ended), [NodeId::new(2)]);
        assert!(force.remove(1).is_none());
        assert_eq!(force.places(), [2]);
    }

    #[test]
    fn who_has_left_is_not_to_be_replaced() {
        let damage = crate::disk::damage::Damage::BitFlip;
        let fault = Fault::Damage { target: Target::Minority, damage, replaced: true };
        let [n1, n2] = [1, 2].map(NodeId::new);
        let mut installed = Installed::new(fault, wounds(&[1, 2], &[]), 0);
        installed.refused = vec![n1, n2];
        installed.undo = Some(Order::Replace(vec![n1, n2]));
        let mut force = Force::default();
        force.add(0, installed);
        force.forget(n1);
        let installed = force.remove(0).unwrap();
        assert_eq!(installed.wounds.nodes, [n2]);
        assert_eq!(installed.refused, [n2]);
        assert_eq!(installed.undo, Some(Order::Replace(vec![n2])));
    }

    #[test]
    fn links_stay_cut_as_long_as_any_fault_cuts_them() {
        let mut force = Force::default();
        let halves = Fault::Partition(Topology::Halves);
        add(&mut force, 0, halves, wounds(&[1], &[(1, 2), (2, 1)]));
        add(&mut force, 1, Fault::Partition(Topology::Bridge), wounds(&[3], &[(2, 1)]));
        let cut = |force: &Force| Wounds {
            wires: force.modes_with(&Wounds::default()),
            ..Wounds::default()
        };
        assert_eq!(cut(&force), wounds(&[], &[(1, 2), (2, 1)]));
        force.get_mut(0).unwrap().is_resting = true;
        assert_eq!(cut(&force), wounds(&[], &[(2, 1)]));
        let more = force.modes_with(&wounds(&[], &[(3, 1)]));
        assert_eq!(more, wounds(&[], &[(2, 1), (3, 1)]).wires);
        assert_eq!(force.describe(), ["partition halves (n1)", "partition bridge (n3)"]);
    }

    #[test]
    fn what_several_faults_want_of_a_link_adds_up() {
        let link = Wire::Nodes(Link { from: NodeId::new(1), to: NodeId::new(2) });
        let late = |milliseconds| {
            let latency = Duration::from_millis(milliseconds);
            Mode::Slow(Slowness { latency, ..Slowness::default() })
        };
        let of = |mode| Wounds { wires: [(link, mode)].into(), ..Wounds::default() };
        let mut force = Force::default();
        let fault = Fault::Partition(Topology::Bridge);
        add(&mut force, 0, fault, of(late(10)));
        assert_eq!(force.modes_with(&of(late(20)))[&link], late(30));
        assert_eq!(force.modes_with(&of(Mode::Reset))[&link], Mode::Reset);
        assert_eq!(of(Mode::Reset).shaped().len(), 1);
        assert!(of(Mode::Reset).cut().is_empty());
    }

    #[test]
    fn who_dies_with_all_others_is_held_like_who_is_killed() {
        let mut force = Force::default();
        let all = Fault::Restart(Restart::AtOnce(Target::All));
        add(&mut force, 0, all, wounds(&[1, 2], &[]));
        add(&mut force, 1, Fault::Kill(Target::One), wounds(&[2], &[]));
        add(&mut force, 2, Fault::Restart(Restart::Rolling(Target::All)), wounds(&[1], &[]));
        let ended = force.remove(0).unwrap();
        assert_eq!(force.not_held(&ended), [NodeId::new(1)]);
    }

    #[test]
    fn messages_are_under_the_rules_of_all_faults_the_oldest_first() {
        let link = Link { from: NodeId::new(1), to: NodeId::new(2) };
        let of = |percent| {
            let rule = MessageRule { kind: None, percent, action: MessageAction::Drop };
            (rule, Wounds { rules: [(link, rule)].into(), ..Wounds::default() })
        };
        let ((first, first_wounds), (second, second_wounds)) = (of(10), of(20));
        let fault = |rule| Fault::Messages { links: Links::To(Target::One), rule };
        let mut force = Force::default();
        add(&mut force, 0, fault(first), first_wounds);
        assert_eq!(force.rules_with(&second_wounds), [(link, vec![first, second])].into());
        add(&mut force, 1, fault(second), second_wounds);
        force.remove(0);
        assert_eq!(force.rules_with(&Wounds::default()), [(link, vec![second])].into());
    }
}
