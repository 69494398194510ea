//! The driver of one replica: it carries out what the core asks for, as the contract in `effect.rs`
//! says, or but for one flaw.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::{
    Entry, Input, LogIndex, Message, NodeId, Output, Replica, RequestId, Role, Round, Snapshot,
    Term, Timestamp, WriteId,
};

use super::bounds::{Bounds, ELECTION_TIMEOUT};
use super::digest::{Part, Recorder};
use super::disk::{Disk, Durable, Saved};
use super::flaw::Flaw;
use super::machine::Machine;
use super::quiet;
use super::tally::Event;

/// A message on its way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Envelope {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// The number of a client's operation, from 1. A write writes its number.
pub(crate) type Op = u8;

/// What the rest of the world learns from a node.
#[derive(Debug)]
pub(crate) enum Happening {
    /// The node leads a term.
    Leads(Term),
    /// The node, in some term, takes an entry for committed.
    Committed(Entry, Term),
    /// The node's state machine is in this state, which stands for a snapshot.
    Stands(Snapshot, Vec<u8>),
    /// The node's state machine was handed an entry a second time, or before another.
    OutOfTurn(LogIndex),
    /// A write is acknowledged to its client.
    Written(Op),
    /// A read is answered.
    Read(Op, u8),
    /// The core did not take up an operation.
    Refused,
    /// Something worth coming across.
    Shown(Event),
    /// The core or the disk's contents made no sense to the core.
    Doubt(String),
}

/// One step of one node: what it is to know, and what comes out.
pub(crate) struct Step<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) sent: Vec<Envelope>,
    pub(crate) happened: Vec<Happening>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(bounds: &'a Bounds) -> Self {
        Self { bounds, sent: vec![], happened: vec![] }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) replica: Replica,
    pub(crate) driver: Driver,
}

/// All of a node but its core.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Driver {
    pub(crate) disk: Disk,
    /// How often the node was started, where that makes a difference.
    starts: u64,
    /// Messages that wait for a write.
    gated: Vec<(WriteId, Envelope)>,
    machine: Machine,
    /// Entries that are committed and wait for the state machine.
    pub(crate) handed_out: VecDeque<Entry>,
    /// Writes whose clients wait, by their place in the log.
    waiting: BTreeMap<LogIndex, (Term, Op)>,
    /// The snapshot that is being taken.
    pub(crate) taking: Option<Saved>,
    /// The newest snapshot, taken or installed.
    newest: Option<Saved>,
    /// Pieces of a snapshot that is being received.
    gathered: Vec<u8>,
    /// The latest round that the node began; kept only where a flaw needs it.
    round_sent: Round,
    /// A read, and the round that proves enough for it; likewise.
    proving: Option<(Op, Round)>,
}

impl Node {
    /// Starts a node with an empty disk.
    pub(crate) fn new(id: NodeId, bounds: &Bounds) -> Self {
        let driver = Driver::default();
        let config = bounds.config(id, driver.starts);
        let replica = Replica::new(config, driver.disk.recover(None));
        Self { replica: replica.expect("a replica can be made of nothing"), driver }
    }

    pub(crate) fn into_part(self, bounds: &Bounds) -> Part<Self> {
        let mut recorder = Recorder::default();
        recorder.record_replica(&self.replica, bounds.pre_vote);
        self.driver.hash(&mut recorder);
        let digest = recorder.finish();
        Part::new(self, digest)
    }

    /// Ends the node at once, with the first `kept` parts of its pending writes on the disk, and starts
    /// it again. Being down for longer is no different from hearing nothing for a while.
    pub(crate) fn crash(&mut self, kept: usize, step: &mut Step<'_>) {
        let flaw = step.bounds.flaw;
        let mut disk = std::mem::take(&mut self.driver.disk);
        disk.crash(kept, flaw);
        let recovered = disk.recover(flaw);
        let newest = disk.snapshot().cloned();
        let machine = newest
            .as_ref()
            .map_or_else(Machine::default, |(it, data)| Machine::restore(it.index, data));
        // Only a follower's questions are numbered by it.
        let are_told_apart =
            step.bounds.follower_reads && flaw != Some(Flaw::AnswersOutliveCrashes);
        let starts = self.driver.starts + u64::from(are_told_apart);
        self.driver = Driver { disk, starts, machine, newest, ..Driver::default() };
        match Replica::new(step.bounds.config(self.replica.id(), starts), recovered) {
            Ok(replica) => self.replica = replica,
            Err(error) => step.happened.push(Happening::Doubt(format!("cannot start: {error}"))),
        }
    }

    /// Lets time pass until the node does something about it.
    pub(crate) fn pass_time(&mut self, step: &mut Step<'_>) {
        let before = (self.replica.role(), self.replica.term());
        for _ in 0..2 * ELECTION_TIMEOUT {
            let (sent, happened) = (step.sent.len(), step.happened.len());
            self.feed(Input::Tick { now: Timestamp(0) }, step);
            let is_still = sent == step.sent.len() && happened == step.happened.len();
            let has_campaigned = before != (self.replica.role(), self.replica.term());
            let leads = self.replica.role() == Role::Leader;
            // A follower that asks its leader again has not lost its patience yet.
            if has_campaigned || leads || (!is_still && !step.bounds.follower_reads) {
                return;
            }
        }
    }

    pub(crate) fn receive(&mut self, envelope: &Envelope, step: &mut Step<'_>) {
        let Envelope { from, message, .. } = envelope;
        let (from, mut message) = (*from, message.clone());
        let Some(flaw) = step.bounds.flaw else {
            return self.feed(Input::Receive { from, message }, step);
        };
        flaw.misread(&self.replica, self.driver.round_sent, &mut message);
        self.prove(&message, step);
        self.feed(Input::Receive { from, message: message.clone() }, step);
        if let Some(message) = flaw.take_for_verified(&self.replica, &message) {
            self.feed(Input::Receive { from, message }, step);
        }
    }

    /// The disk acknowledges what is oldest.
    pub(crate) fn sync(&mut self, step: &mut Step<'_>) {
        let flaw = step.bounds.flaw;
        match self.driver.disk.complete_one(flaw) {
            // It has said so long ago.
            Some(Durable::Write(_)) if flaw == Some(Flaw::LyingDisk) => {}
            Some(Durable::Write(upto)) => self.feed(Input::Persisted { upto }, step),
            Some(Durable::Snapshot(index)) => {
                // Another may have been installed meanwhile.
                let saved = self.driver.disk.snapshot().filter(|(it, _)| it.index == index);
                self.driver.newest = saved.or(self.driver.newest.as_ref()).cloned();
                self.feed(Input::SnapshotTaken { index }, step);
            }
            None => {}
        }
    }

    /// The state machine takes what was handed out to it.
    pub(crate) fn apply(&mut self, step: &mut Step<'_>) {
        let upto = self.driver.apply(step);
        self.feed(Input::Applied { upto }, step);
    }

    pub(crate) fn write(&mut self, op: Op, step: &mut Step<'_>) {
        let request = RequestId(op.into());
        self.feed(Input::Propose { request, command: [op].into() }, step);
    }

    pub(crate) fn read(&mut self, op: Op, step: &mut Step<'_>) {
        if step.bounds.flaw == Some(Flaw::ReadsWithoutRound) {
            step.happened.push(Happening::Read(op, self.driver.machine.value));
            return;
        }
        let before = step.sent.len();
        let request = RequestId(op.into());
        self.feed(Input::Read { request, now: Timestamp(0) }, step);
        if step.bounds.flaw == Some(Flaw::ReadsBeforeOwnEntry) {
            let begun = step.sent[before..].iter().find_map(|envelope| match &envelope.message {
                Message::AppendEntries(m) => Some(m.round),
                _ => None,
            });
            self.driver.proving = begun.map(|round| (op, round));
        }
    }

    /// Answers a read as soon as its round has an answer, as a leader would that forgot to wait for the
    /// first entry of its term.
    fn prove(&mut self, message: &Message, step: &mut Step<'_>) {
        if let Message::AppendEntriesResponse(m) = message
            && let Some((op, _)) = self
                .driver
                .proving
                .take_if(|(_, round)| m.term == self.replica.term() && m.round >= *round)
        {
            step.happened.push(Happening::Read(op, self.driver.machine.value));
        }
    }

    /// The data of a snapshot that is being taken are on the disk; now it can be put on record.
    pub(crate) fn save(&mut self, step: &mut Step<'_>) {
        if let Some(saved) = self.driver.taking.take() {
            self.driver.disk.save(saved, step.bounds.flaw);
            if !step.bounds.has_slow_disk(self.replica.id()) {
                self.sync(step);
            }
        }
    }

    /// Feeds one input, and carries out what follows from it.
    pub(crate) fn feed(&mut self, input: Input, step: &mut Step<'_>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if let Input::Persisted { upto } = input {
                let released = self.driver.gated.extract_if(.., |(write, _)| *write <= upto);
                step.sent.extend(released.map(|(_, envelope)| envelope));
            }
            let mut outputs = vec![];
            let handled = quiet(|| {
                catch_unwind(AssertUnwindSafe(|| self.replica.handle(input, &mut outputs)))
            });
            if let Err(panic) = handled {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                step.happened.push(Happening::Doubt(text.unwrap_or_default()));
                return;
            }
            let writes = outputs.iter().any(|output| matches!(output, Output::Persist(_)));
            for mut output in outputs {
                if let Output::Send { message: Message::AppendEntriesResponse(_), after, .. } =
                    &mut output
                    && !writes
                    && step.bounds.flaw == Some(Flaw::HeartbeatsBeforeDurable)
                {
                    *after = None;
                }
                self.carry_out(output, step, &mut inputs);
            }
            if self.replica.role() == Role::Leader {
                step.happened.push(Happening::Leads(self.replica.term()));
                self.count_earlier_terms(step);
            }
        }
    }

    fn carry_out(&mut self, output: Output, step: &mut Step<'_>, inputs: &mut VecDeque<Input>) {
        let flaw = step.bounds.flaw;
        let driver = &mut self.driver;
        match output {
            Output::Persist(write) => {
                if write.truncate_from.is_some() {
                    step.happened.push(Happening::Shown(Event::Truncation));
                }
                let upto = write.id;
                let is_install = write.snapshot.is_some();
                let gathered = if is_install { driver.gathered.clone() } else { vec![] };
                driver.disk.begin(write, gathered, flaw);
                let is_quick = !step.bounds.has_slow_disk(self.replica.id());
                if flaw == Some(Flaw::LyingDisk) || is_quick {
                    if flaw != Some(Flaw::LyingDisk) {
                        driver.disk.complete_one(flaw);
                    }
                    inputs.push_back(Input::Persisted { upto });
                }
            }
            Output::Send { to, message, after } => self.send(to, message, after, step),
            Output::SendChunk { to, mut chunk, bytes_max } => {
                let newest = driver.newest.as_ref().filter(|(held, _)| *held == chunk.snapshot);
                let (_, data) = newest.expect("the core asks for the newest snapshot");
                let rest = &data[usize::try_from(chunk.offset).expect("a short one")..];
                let piece = &rest[..bytes_max.min(rest.len())];
                chunk.data = piece.into();
                chunk.is_last = piece.len() == rest.len();
                self.send(to, Message::InstallSnapshot(chunk), None, step);
            }
            Output::StoreChunk { offset, data } => {
                driver.gathered.truncate(usize::try_from(offset).expect("a short one"));
                driver.gathered.extend_from_slice(&data);
            }
            Output::Restore { snapshot } => {
                let data = std::mem::take(&mut driver.gathered);
                driver.machine = Machine::restore(snapshot.index, &data);
                driver.handed_out.clear();
                driver.newest = Some((snapshot.clone(), data.clone()));
                step.happened.push(Happening::Shown(Event::Installation));
                step.happened.push(Happening::Stands(snapshot, data));
            }
            Output::Apply { entries } => {
                let term = self.replica.term();
                let committed = entries.iter().map(|it| Happening::Committed(it.clone(), term));
                step.happened.extend(committed);
                if flaw == Some(Flaw::AppliesTwice) {
                    driver.handed_out.extend(driver.handed_out.clone());
                }
                driver.handed_out.extend(entries);
                if !step.bounds.slow_machines {
                    let upto = driver.apply(step);
                    inputs.push_back(Input::Applied { upto });
                }
            }
            Output::TakeSnapshot { snapshot } => {
                let data = driver.machine.save();
                step.happened.push(Happening::Stands(snapshot.clone(), data.clone()));
                driver.taking = Some((snapshot, data));
            }
            Output::Appended { request, index, term } => {
                driver.waiting.insert(index, (term, op(request)));
            }
            Output::ReadReady { request } => {
                if flaw != Some(Flaw::ReadsBeforeOwnEntry) {
                    let value = driver.machine.value;
                    step.happened.push(Happening::Read(op(request), value));
                }
            }
            Output::Refused { .. } => step.happened.push(Happening::Refused),
            Output::TransferEnded { end: raft::TransferEnd::LeftOffice, .. } => {
                step.happened.push(Happening::Shown(Event::Transfer));
            }
            Output::ChangeEnded { end: raft::ChangeEnd::Done, .. } => {
                step.happened.push(Happening::Shown(Event::Change));
            }
            Output::ChangeEnded { .. }
            | Output::TransferEnded { .. }
            | Output::MembershipChanged { .. }
            | Output::RoleChanged { .. } => {}
        }
    }

    fn send(
        &mut self,
        to: NodeId,
        mut message: Message,
        after: Option<WriteId>,
        step: &mut Step<'_>,
    ) {
        let flaw = step.bounds.flaw;
        if let Some(flaw) = flaw {
            flaw.falsify(&self.replica, &mut message);
        }
        if let Message::AppendEntries(m) = &message
            && flaw == Some(Flaw::RoundsCountTwice)
        {
            self.driver.round_sent = m.round;
        }
        let is_hasty = flaw.is_some_and(|flaw| flaw.ignores_disk(&message));
        let envelope = Envelope { from: self.replica.id(), to, message };
        match after {
            Some(write) if !is_hasty => self.driver.gated.push((write, envelope)),
            _ => step.sent.push(envelope),
        }
    }

    /// Takes for committed what a majority has, of whatever term, as a leader would that ignores Figure 8.
    fn count_earlier_terms(&self, step: &mut Step<'_>) {
        if step.bounds.flaw == Some(Flaw::CountsEarlierTerms) {
            let mut reached: Vec<LogIndex> = self.replica.followers().into_values().collect();
            reached.push(self.driver.disk.last_index());
            reached.sort();
            let majority = reached[(reached.len() - 1) / 2];
            let counted = self.replica.log().iter().filter(|entry| entry.index <= majority);
            let term = self.replica.term();
            step.happened.extend(counted.map(|it| Happening::Committed(it.clone(), term)));
        }
    }
}

impl Driver {
    fn apply(&mut self, step: &mut Step<'_>) -> LogIndex {
        for entry in std::mem::take(&mut self.handed_out) {
            if !self.machine.apply(&entry) {
                step.happened.push(Happening::OutOfTurn(entry.index));
            }
            // An entry of another term took the place of the write, which never happens then.
            if let Some((term, op)) = self.waiting.remove(&entry.index)
                && term == entry.term
            {
                step.happened.push(Happening::Written(op));
            }
        }
        self.machine.applied
    }
}

fn op(request: RequestId) -> Op {
    Op::try_from(request.0).expect("the model gives small numbers")
}
