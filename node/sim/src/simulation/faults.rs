//! Faults: how they begin, and how they are undone.

use raft::{Input, NodeId, RequestId};

use super::{Errand, Event, Simulation, place};
use crate::fault::{Fault, FaultId, FaultKind};
use crate::node::Arrival;
use crate::oracle::Violation;
use crate::random::Random;
use crate::topology::{Link, Target};

/// What a fault that has begun must undo.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) kind: Option<FaultKind>,
    pub(super) nodes: Vec<NodeId>,
    links: Vec<Link>,
    /// Whether the links are cut at the moment.
    is_cut: bool,
}

impl Simulation {
    pub(super) fn begin_fault(&mut self, number: usize) -> Result<(), Violation> {
        if self.ending.is_some() {
            return Ok(());
        }
        let Fault { id, span, kind, .. } = self.plan.faults[number].clone();
        let mut random = self.plan.seed.derive("fault").nth(u64::from(id.0)).stream();
        self.refresh_members();
        let nodes = self.targets(&kind, &mut random);
        let links = self.links(&kind, &mut random);
        self.counts.faults += 1;
        let names =
            |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        self.tell(|| format!("fault #{}: {kind} [{}]", id.0, names(&nodes)));
        self.history.remark(self.time, "begin", format!("#{} {kind} [{}]", id.0, names(&nodes)));
        self.active
            .insert(id, Active { kind: Some(kind), nodes: nodes.clone(), links, is_cut: false });
        self.queue.push(self.time + span, Event::FaultEnds(id));
        match kind {
            FaultKind::Crash(_) | FaultKind::CrashAll => {
                for id in nodes {
                    self.nodes[place(id)].downed += 1;
                    self.crash(id);
                }
            }
            FaultKind::Ambush(_) => {}
            FaultKind::Pause(_) => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].paused += 1);
            }
            FaultKind::Partition { .. } | FaultKind::Flapping { .. } => self.turn_fault(id),
            FaultKind::Weather { permille, slowness } => {
                self.network.set_weather(permille, slowness);
            }
            FaultKind::SlowNode { slowness, .. } => self.network.set_slowness(&nodes, slowness),
            FaultKind::ClockRate(_, rate) => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].clock.set_rate(self.time, rate));
            }
            FaultKind::ClockJump { millis, .. } => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].clock.jump(millis));
            }
            FaultKind::SlowDisk { slowness, .. } => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].disk.slowness = slowness);
            }
            FaultKind::StuckDisk(_) => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].disk.stuck += 1);
            }
            FaultKind::BrokenDisk(_) => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].disk.is_broken = true);
            }
            FaultKind::ScarceDisk(_) => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].disk.scarce += 1);
            }
            FaultKind::FullDisk(_) => {
                nodes.iter().for_each(|&id| self.nodes[place(id)].disk.full += 1);
            }
            FaultKind::Membership(change) => {
                self.errands.insert(id, Errand::new(change, self.time + span, random));
                self.operate(id)?;
            }
            FaultKind::Transfer(_) => {
                if let (Some(&to), Some(leader)) = (nodes.first(), self.leader().map(|it| it.id()))
                {
                    let request = self.fresh_request();
                    self.ask_awake(leader, Input::TransferLeadership { request, to })?;
                }
            }
            FaultKind::Compact(_) => {
                for id in nodes {
                    self.ask_awake(id, Input::Compact)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts or mends the links of a partition; one that flaps takes its next turn.
    pub(super) fn turn_fault(&mut self, id: FaultId) {
        let Some(active) = self.active.get_mut(&id) else { return };
        active.is_cut = !active.is_cut;
        let (links, is_cut) = (active.links.clone(), active.is_cut);
        let (is_held, period) = match active.kind {
            Some(FaultKind::Partition { is_held, .. }) => (is_held, None),
            Some(FaultKind::Flapping { period, .. }) => (false, Some(period)),
            _ => return,
        };
        if let Some(period) = period {
            self.queue.push(self.time + period, Event::FaultTurns(id));
        }
        self.tell(|| {
            let links: Vec<_> = links.iter().map(|(from, to)| format!("{from}→{to}")).collect();
            format!("links {} {}", links.join(" "), if is_cut { "are cut" } else { "are mended" })
        });
        if is_cut {
            return self.network.cut(&links, is_held);
        }
        for (link, message) in self.network.mend(&links, is_held) {
            self.send(link, Box::new(Arrival::Message { from: link.0, message }));
        }
    }

    /// Undoes a fault.
    pub(super) fn end_fault(&mut self, id: FaultId) -> Result<(), Violation> {
        let Some(kind) = self.active.get(&id).and_then(|active| active.kind) else { return Ok(()) };
        if self.active.get(&id).is_some_and(|active| active.is_cut) {
            self.turn_fault(id);
        }
        let nodes = self.active.remove(&id).map(|active| active.nodes).unwrap_or_default();
        self.tell(|| format!("fault #{} is over", id.0));
        self.history.remark(self.time, "end", format!("#{} {kind}", id.0));
        for &id in &nodes {
            let node = &mut self.nodes[place(id)];
            match kind {
                FaultKind::Crash(_) | FaultKind::CrashAll | FaultKind::Ambush(_) => {
                    node.downed -= 1;
                    self.revive(id)?;
                }
                FaultKind::Pause(_) => self.resume(id)?,
                FaultKind::SlowDisk { .. } => node.disk.slowness = 1,
                FaultKind::StuckDisk(_) => self.unstick(id),
                FaultKind::BrokenDisk(_) => {
                    node.disk.is_broken = false;
                    self.revive(id)?;
                }
                FaultKind::ScarceDisk(_) => node.disk.scarce -= 1,
                FaultKind::FullDisk(_) => {
                    node.disk.full -= 1;
                    self.revive(id)?;
                }
                FaultKind::ClockRate(..) => {
                    node.clock.set_rate(self.time, self.plan.rates[place(id)]);
                }
                _ => {}
            }
        }
        match kind {
            FaultKind::Weather { .. } => self.network.set_weather(0, 1),
            FaultKind::SlowNode { .. } => self.network.set_slowness(&nodes, 1),
            _ => {}
        }
        Ok(())
    }

    fn targets(&self, kind: &FaultKind, random: &mut Random) -> Vec<NodeId> {
        let members = &self.members;
        let census = self.census(members);
        let mut resolve = |target: Target| target.resolve(census, random);
        match *kind {
            FaultKind::Crash(target)
            | FaultKind::Pause(target)
            | FaultKind::SlowNode { target, .. }
            | FaultKind::ClockRate(target, _)
            | FaultKind::ClockJump { target, .. }
            | FaultKind::SlowDisk { target, .. }
            | FaultKind::StuckDisk(target)
            | FaultKind::BrokenDisk(target)
            | FaultKind::ScarceDisk(target)
            | FaultKind::FullDisk(target)
            | FaultKind::Transfer(target)
            | FaultKind::Compact(target) => resolve(target),
            FaultKind::CrashAll => members.clone(),
            FaultKind::Ambush(_)
            | FaultKind::Partition { .. }
            | FaultKind::Flapping { .. }
            | FaultKind::Weather { .. }
            | FaultKind::Membership(_) => vec![],
        }
    }

    fn links(&self, kind: &FaultKind, random: &mut Random) -> Vec<Link> {
        match kind {
            FaultKind::Partition { topology, .. } | FaultKind::Flapping { topology, .. } => {
                topology.cut(self.census(&self.members), random)
            }
            _ => vec![],
        }
    }

    fn fresh_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn ask_awake(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        if self.nodes[place(id)].is_awake() { self.ask_core(id, input) } else { Ok(()) }
    }
}
