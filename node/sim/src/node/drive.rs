//! Feeding the core, and carrying out what it wants.

use std::collections::VecDeque;

use machine::session::{LogTime, Position, Request};
use machine::{Answer, StateMachine};
use raft::{ChangeEnd, Entry, Input, Message, Output, Payload, Snapshot, Timestamp, WriteId};

use super::{Arrival, Effect, Replicated, Running, Scene};
use crate::describe;
use crate::disk::{Job, Saved};
use crate::oracle::Violation;
use crate::plan::Flaw;
use crate::proposals::number_of;
use crate::request::{Ask, Asker, Reply};

impl Running {
    /// Feeds the core an input, and whatever inputs follow from carrying out its outputs.
    pub(super) fn feed(&mut self, input: Input, scene: &mut Scene<'_>) -> Result<(), Violation> {
        let mut more = VecDeque::new();
        self.step(input, scene, &mut more)?;
        while let Some(input) = more.pop_front() {
            self.step(input, scene, &mut more)?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        input: Input,
        scene: &mut Scene<'_>,
        more: &mut VecDeque<Input>,
    ) -> Result<(), Violation> {
        let mut outputs = std::mem::take(&mut self.outputs);
        let before = self.replica.commit_index();
        self.replica.handle(input, &mut outputs);
        if self.replica.commit_index() != before {
            scene.oracle.note_commit(&self.replica, before)?;
        }
        for output in outputs.drain(..) {
            if scene.trace.is_told() {
                self.tell(&output, scene);
            }
            self.carry_out(output, scene, more)?;
        }
        self.outputs = outputs;
        Ok(())
    }

    fn tell(&self, output: &Output, scene: &mut Scene<'_>) {
        let id = self.replica.id();
        if let Some(line) = describe::output(id, output) {
            scene.trace.tell(scene.time, || line);
        }
    }

    fn carry_out(
        &mut self,
        output: Output,
        scene: &mut Scene<'_>,
        more: &mut VecDeque<Input>,
    ) -> Result<(), Violation> {
        match output {
            Output::Persist(write) => {
                scene.oracle.note_write(&self.replica, &write)?;
                if scene.has(Flaw::AckBeforeDurable) {
                    more.push_back(Input::Persisted { upto: write.id });
                    self.persisted = write.id;
                }
                let data = write.snapshot.as_ref().map(|snapshot| {
                    let data: std::sync::Arc<[u8]> = std::mem::take(&mut self.gathered).into();
                    self.received = Some((snapshot.clone(), data.clone()));
                    data
                });
                scene.effects.push(Effect::Write(Job::Write(write, data)));
            }
            Output::Send { to, message, after } => match after {
                Some(after) if after > self.persisted && !scene.has(Flaw::UngatedSends) => {
                    self.held.push_back((after, to, message));
                }
                _ => self.send(to, message, scene)?,
            },
            Output::SendChunk { to, mut chunk, bytes_max } => {
                let Some((snapshot, data)) = &self.newest else { return Ok(()) };
                if *snapshot != chunk.snapshot {
                    return Ok(());
                }
                let rest = &data[chunk.offset as usize..];
                let piece = &rest[..bytes_max.min(rest.len())];
                chunk.data = piece.into();
                chunk.is_last = piece.len() == rest.len();
                self.send(to, Message::InstallSnapshot(chunk), scene)?;
            }
            Output::StoreChunk { offset, data } => {
                if offset == 0 {
                    self.gathered.clear();
                }
                assert_eq!(
                    self.gathered.len() as u64,
                    offset,
                    "pieces of a snapshot come in order"
                );
                self.gathered.extend_from_slice(&data);
            }
            Output::Restore { snapshot } => self.restore(&snapshot, scene)?,
            Output::Apply { entries } => {
                for entry in &entries {
                    self.apply(entry, scene)?;
                }
                more.push_back(Input::Applied { upto: self.applied });
            }
            Output::TakeSnapshot { snapshot } => self.take_snapshot(snapshot, scene, more)?,
            Output::Appended { request, index, term } => {
                self.waiting.appended(request, index, term);
                if scene.has(Flaw::AckBeforeCommit) {
                    self.answer_rashly(index, scene);
                }
            }
            Output::ReadReady { request } => self.release_read(request, scene)?,
            Output::Refused { request, refusal } => {
                let leader = self.replica.leader();
                match self.waiting.refuse(request) {
                    Some(asker) => {
                        scene.effects.push(Effect::Reply(asker, Reply::NotApplied { leader }));
                    }
                    None => scene.effects.push(Effect::Ended { request, is_done: false }),
                }
                _ = refusal;
            }
            Output::TransferEnded { request, .. } => {
                scene.effects.push(Effect::Ended { request, is_done: true });
            }
            Output::ChangeEnded { request, end } => {
                let is_done = end == ChangeEnd::Done;
                scene.effects.push(Effect::Ended { request, is_done });
            }
            Output::RoleChanged { role, term, .. } => {
                scene.oracle.note_role(&self.replica)?;
                let fallen = self.waiting.settle_reign(role, term);
                self.give_up(fallen, scene);
            }
            Output::MembershipChanged { .. } => {}
        }
        Ok(())
    }

    fn send(
        &self,
        to: raft::NodeId,
        message: Message,
        scene: &mut Scene<'_>,
    ) -> Result<(), Violation> {
        scene.oracle.note_sent(self.replica.id(), to, &message)?;
        let arrival = Box::new(Arrival::Message { from: self.replica.id(), message });
        scene.effects.push(Effect::Send { to, arrival });
        Ok(())
    }

    /// Notes what is durable, and sends what waited for it.
    pub(super) fn persisted(
        &mut self,
        upto: WriteId,
        scene: &mut Scene<'_>,
    ) -> Result<(), Violation> {
        self.persisted = self.persisted.max(upto);
        while let Some((_, to, message)) =
            self.held.pop_front_if(|(after, ..)| *after <= self.persisted)
        {
            self.send(to, message, scene)?;
        }
        self.feed(Input::Persisted { upto }, scene)
    }

    /// Applies an entry and answers the client who waits for it.
    fn apply(&mut self, entry: &Entry, scene: &mut Scene<'_>) -> Result<(), Violation> {
        let (node, index) = (self.replica.id(), entry.index);
        if index != self.applied.next() {
            return Err(Violation::ApplyOrder { node, index, applied: self.applied });
        }
        self.applied = index;
        let Payload::Command(command) = &entry.payload else { return Ok(()) };
        let number = number_of(command);
        let forgets = scene.has(Flaw::ForgetSessions);
        let proposed = scene.oracle.proposals.at(number, Position(index.0));
        let came = match &proposed.request {
            Request::InSession { command, .. } if forgets => {
                let request = Request::Plain(command.clone());
                let (position, time) = (proposed.position, proposed.time);
                self.state.apply(&machine::session::Entry { position, time, request })
            }
            _ => self.state.apply(proposed),
        };
        if !forgets {
            scene.oracle.note_outcome(node, index, number, &came)?;
        }
        if let Some(asker) = self.waiting.applied(index, entry.term) {
            scene.effects.push(Effect::Reply(asker, Reply::Came { index, outcome: came }));
        }
        Ok(())
    }

    /// Answers a proposal with what it would come to now: a flaw.
    fn answer_rashly(&mut self, index: raft::LogIndex, scene: &mut Scene<'_>) {
        let Some(asker) = self.waiting.applied(index, self.replica.term()) else { return };
        let Some(entry) = self.replica.log().last() else { return };
        let Payload::Command(command) = &entry.payload else { return };
        let proposed = scene.oracle.proposals.at(number_of(command), Position(index.0));
        let outcome = self.state.clone().apply(proposed);
        scene.effects.push(Effect::Reply(asker, Reply::Came { index, outcome }));
    }

    fn take_snapshot(
        &mut self,
        snapshot: Snapshot,
        scene: &mut Scene<'_>,
        more: &mut VecDeque<Input>,
    ) -> Result<(), Violation> {
        let (node, index) = (self.replica.id(), snapshot.index);
        if index != self.applied {
            return Err(Violation::ApplyOrder { node, index, applied: self.applied });
        }
        if self.saving.is_some() {
            more.push_back(Input::SnapshotFailed { index });
            return Ok(());
        }
        let mut data: std::sync::Arc<[u8]> = self.state.save().into();
        if scene.has(Flaw::StaleSnapshot) {
            data = self.stale.replace(data.clone()).unwrap_or(data);
        } else {
            scene.oracle.note_snapshot(node, &snapshot, &data)?;
        }
        let saved: Saved = (snapshot, data);
        if scene.has(Flaw::HastySnapshot) {
            self.note_newest(&saved);
            more.push_back(Input::SnapshotTaken { index });
        }
        self.saving = Some(saved);
        scene.effects.push(Effect::Save);
        Ok(())
    }

    /// Remembers a snapshot that others may be sent, unless there is a newer one.
    pub(super) fn note_newest(&mut self, saved: &Saved) {
        if self.newest.as_ref().is_none_or(|(newest, _)| newest.index < saved.0.index) {
            self.newest = Some(saved.clone());
        }
    }

    /// Replaces the state by what was received.
    fn restore(&mut self, snapshot: &Snapshot, scene: &mut Scene<'_>) -> Result<(), Violation> {
        let node = self.replica.id();
        let received = self.received.take().expect("a snapshot is written, then restored");
        assert_eq!(&received.0, snapshot, "the snapshot that was written is the one restored");
        if !scene.has(Flaw::StaleSnapshot) {
            scene.oracle.note_snapshot(node, snapshot, &received.1)?;
        }
        self.state = Replicated::restore(&received.1)
            .map_err(|error| Violation::Unrecoverable { node, why: error.to_string() })?;
        self.applied = snapshot.index;
        self.newest = Some(received);
        let forgotten = self.waiting.forget(snapshot.index);
        self.give_up(forgotten, scene);
        Ok(())
    }

    /// Tells clients that nobody knows what became of their proposals.
    fn give_up(&self, askers: Vec<Asker>, scene: &mut Scene<'_>) {
        let lies = scene.has(Flaw::UnknownAsFailed);
        for asker in askers {
            let reply = match lies {
                true => Reply::NotApplied { leader: None },
                false => Reply::Unknown,
            };
            scene.effects.push(Effect::Reply(asker, reply));
        }
    }

    /// Takes a client's request.
    pub(super) fn ask(
        &mut self,
        asker: Asker,
        ask: Ask,
        now: Timestamp,
        wall: LogTime,
        scene: &mut Scene<'_>,
    ) -> Result<(), Violation> {
        let request = scene.next_request();
        match ask {
            Ask::Propose(proposal) => {
                self.waiting.propose(request, asker);
                let padding = (request.0 * 7919 % (scene.padding + 1)) as usize;
                let command = scene.oracle.proposals.add(wall, proposal, padding);
                self.feed(Input::Propose { request, command }, scene)
            }
            Ask::Read(query) if scene.has(Flaw::LocalReads) => {
                let answer = self.state.query(&query);
                self.answer(asker, answer, scene);
                Ok(())
            }
            Ask::Read(query) => {
                self.waiting.read(request, asker, query, scene.oracle.commit_index());
                self.feed(Input::Read { request, now }, scene)
            }
        }
    }

    fn release_read(
        &mut self,
        request: raft::RequestId,
        scene: &mut Scene<'_>,
    ) -> Result<(), Violation> {
        let Some(read) = self.waiting.ready(request) else { return Ok(()) };
        let (node, applied) = (self.replica.id(), self.applied);
        if applied < read.committed {
            return Err(Violation::ReadTooEarly { node, applied, committed: read.committed });
        }
        let answer = self.state.query(&read.query);
        self.answer(read.asker, answer, scene);
        Ok(())
    }

    fn answer(&self, asker: Asker, answer: Answer, scene: &mut Scene<'_>) {
        let index = self.applied;
        scene.effects.push(Effect::Reply(asker, Reply::Answered { index, answer }));
    }
}
