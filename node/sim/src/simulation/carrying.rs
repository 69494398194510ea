//! What nodes want done, their disks, and their starts and ends.

use std::time::Duration;

use raft::NodeId;

use super::{Event, Simulation, place};
use crate::describe;
use crate::disk::Job;
use crate::node::{Arrival, Effect};
use crate::oracle::Violation;
use crate::request::Reply;
use crate::topology::Link;

impl Simulation {
    /// Carries out what a node wants done.
    pub(super) fn carry_out(&mut self, id: NodeId) {
        if self.effects.is_empty() {
            return;
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.watch(id, &effect);
            match effect {
                Effect::Send { to, arrival } => self.send((id, to), arrival),
                Effect::Write(job) => {
                    self.counts.installed += u64::from(matches!(job, Job::Write(_, Some(_))));
                    if self.nodes[place(id)].disk.submit(job) {
                        self.schedule_sync(id);
                    }
                }
                Effect::Save => {
                    let node = &mut self.nodes[place(id)];
                    let most = self.plan.storage.save;
                    let took = node.random.duration(Duration::ZERO, most) * node.disk.slowness;
                    let event = Event::Saved { node: id, start: node.starts };
                    self.queue.push(self.time + took, event);
                }
                Effect::Reply(asker, reply) => {
                    let client = &mut self.clients[asker.client as usize];
                    if let Some(way) = client.way(&self.plan.clients) {
                        self.queue.push(self.time + way, Event::Answer(asker, Box::new(reply)));
                    }
                }
                Effect::Ended { request, is_done } => self.end_request(request, is_done),
            }
        }
        self.effects = effects;
        self.spring();
    }

    pub(super) fn send(&mut self, link: Link, arrival: Box<Arrival>) {
        let (from, node) = link;
        let Arrival::Message { message, .. } = &*arrival else { return };
        if place(node) >= self.nodes.len() {
            return;
        }
        let arrive = |arrival| Event::Arrive { node, start: None, arrival };
        match self.network.send(link, message, self.time) {
            [None, None] => self.tell(|| format!("({from} → {node}: lost or held back)")),
            [Some(once), Some(twice)] => {
                self.queue.push(once, arrive(arrival.clone()));
                self.queue.push(twice, arrive(arrival));
            }
            [Some(time), None] | [None, Some(time)] => self.queue.push(time, arrive(arrival)),
        }
    }

    fn schedule_sync(&mut self, id: NodeId) {
        let storage = &self.plan.storage;
        let node = &mut self.nodes[place(id)];
        let drawn = storage.sync + node.random.duration(Duration::ZERO, storage.jitter);
        let event = Event::Synced { node: id, start: node.starts };
        self.queue.push(self.time + drawn * node.disk.slowness, event);
    }

    /// A sync ends: with it the node, if the disk failed it.
    pub(super) fn synced(&mut self, id: NodeId, start: u64) -> Result<(), Violation> {
        let node = &mut self.nodes[place(id)];
        if node.starts != start || !node.is_up() {
            return Ok(());
        }
        if node.disk.stuck > 0 {
            node.disk.is_overdue = true;
            return Ok(());
        }
        let persisted = match node.disk.complete() {
            Ok(persisted) => persisted,
            Err(error) => {
                self.tell(|| format!("{id} stops: its disk {error}"));
                self.crash(id);
                // What found no room in the storm may fail only after it: nothing keeps the node from
                // starting again then.
                return if self.ending.is_some() { self.revive(id) } else { Ok(()) };
            }
        };
        if node.disk.begin_sync() {
            self.schedule_sync(id);
        }
        match persisted {
            Some(upto) => self.arrive(id, Some(start), Box::new(Arrival::Persisted(upto))),
            None => Ok(()),
        }
    }

    /// Lets a disk that was stuck go on.
    pub(super) fn unstick(&mut self, id: NodeId) {
        let node = &mut self.nodes[place(id)];
        node.disk.stuck -= 1;
        if node.disk.stuck == 0 && std::mem::take(&mut node.disk.is_overdue) {
            self.schedule_sync(id);
        }
    }

    /// The saving of a snapshot ends.
    pub(super) fn saved(&mut self, id: NodeId, start: u64) -> Result<(), Violation> {
        let node = &mut self.nodes[place(id)];
        if node.starts != start || !node.is_up() {
            return Ok(());
        }
        let is_saved = node.disk.has_room_for_snapshots();
        let Some(saved) = node.end_saving(is_saved) else { return Ok(()) };
        let index = saved.0.index;
        if is_saved && node.disk.submit(Job::Saved(saved)) {
            self.schedule_sync(id);
        }
        self.arrive(id, Some(start), Box::new(Arrival::Saved { index, is_saved }))
    }

    /// Something reaches a node.
    pub(super) fn arrive(
        &mut self,
        id: NodeId,
        start: Option<u64>,
        arrival: Box<Arrival>,
    ) -> Result<(), Violation> {
        let node = &mut self.nodes[place(id)];
        if !node.is_up() || start.is_some_and(|start| start != node.starts) {
            if let Arrival::Request { asker, .. } = *arrival {
                // Nobody listens there: nothing was sent.
                self.effects.push(Effect::Reply(asker, Reply::NotApplied { leader: None }));
                self.carry_out(id);
            }
            return Ok(());
        }
        if node.paused > 0 {
            node.keep(arrival);
            return Ok(());
        }
        self.tell_arrival(id, &arrival);
        self.with_node(id, |node, scene| node.handle(*arrival, scene))
    }

    fn tell_arrival(&mut self, id: NodeId, arrival: &Arrival) {
        self.tell(|| match arrival {
            Arrival::Message { from, message } => {
                format!("{from} → {id} {}", describe::message(message))
            }
            Arrival::Persisted(upto) => format!("{id} has writes up to #{upto} on its disk"),
            Arrival::Saved { index, is_saved: true } => format!("{id} has saved snapshot {index}"),
            Arrival::Saved { index, .. } => format!("{id} could not save snapshot {index}"),
            Arrival::Request { asker, ask } => {
                format!("c{} → {id} attempt {}: {ask:?}", asker.client, asker.attempt)
            }
        });
    }

    /// A tick falls due, unless the clock was slowed down since it was planned.
    pub(super) fn tick(&mut self, id: NodeId, start: u64) -> Result<(), Violation> {
        let node = &mut self.nodes[place(id)];
        if node.starts != start || !node.is_up() {
            return Ok(());
        }
        let missing = node.tick_due.0.saturating_sub(node.clock.now(self.time).0);
        if missing > 0 {
            let wait = node.clock.true_span(Duration::from_nanos(missing));
            self.queue.push(self.time + wait, Event::Tick { node: id, start });
            return Ok(());
        }
        if node.paused > 0 {
            node.is_tick_missed = true;
            return Ok(());
        }
        self.tick_now(id)
    }

    fn tick_now(&mut self, id: NodeId) -> Result<(), Violation> {
        self.schedule_tick(id, self.plan.timings.tick);
        self.with_node(id, |node, scene| node.tick(scene))
    }

    fn schedule_tick(&mut self, id: NodeId, after: Duration) {
        let node = &mut self.nodes[place(id)];
        node.tick_due = raft::Timestamp(node.clock.now(self.time).0 + after.as_nanos() as u64);
        let event = Event::Tick { node: id, start: node.starts };
        self.queue.push(self.time + node.clock.true_span(after), event);
    }

    pub(super) fn start(&mut self, id: NodeId) -> Result<(), Violation> {
        self.nodes[place(id)].start(&self.plan)?;
        let first = self.random.duration(Duration::ZERO, self.plan.timings.tick);
        self.schedule_tick(id, first);
        self.tell(|| format!("{id} starts"));
        Ok(())
    }

    /// Ends a node at once. Who waited for it sees the connection break.
    pub(super) fn crash(&mut self, id: NodeId) {
        let node = &mut self.nodes[place(id)];
        if !node.is_up() {
            return;
        }
        for asker in node.crash(&self.plan) {
            self.effects.push(Effect::Reply(asker, Reply::Unknown));
        }
        self.counts.crashes += 1;
        self.tell(|| format!("{id} is down"));
        self.carry_out(id);
    }

    /// Starts a node that is down for no reason any more. On a full disk none starts: it has to note there
    /// that it does.
    pub(super) fn revive(&mut self, id: NodeId) -> Result<(), Violation> {
        let node = &self.nodes[place(id)];
        if node.is_up() || node.downed > 0 || node.is_retired || node.disk.full > 0 {
            return Ok(());
        }
        self.start(id)
    }

    /// Lets a paused node go on: it handles what has arrived meanwhile.
    pub(super) fn resume(&mut self, id: NodeId) -> Result<(), Violation> {
        let node = &mut self.nodes[place(id)];
        node.paused -= 1;
        if node.paused > 0 || !node.is_up() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut node.inbox);
        if std::mem::take(&mut node.is_tick_missed) {
            self.tick_now(id)?;
        }
        let start = self.nodes[place(id)].starts;
        for arrival in waiting {
            self.arrive(id, Some(start), arrival)?;
        }
        Ok(())
    }
}
