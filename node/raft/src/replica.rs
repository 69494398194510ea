//! One member of the cluster: state, and what each input does to it.

mod change;
mod compaction;
mod election;
mod installation;
mod lease;
mod reads;
mod replication;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, StartError};
use crate::disk::Disk;
use crate::draft::Draft;
use crate::effect::{Input, Output, Recovered, Refusal};
use crate::log::Log;
use crate::membership::{Membership, Memberships};
use crate::message::Message;
use crate::progress::Progress;
use crate::types::{
    Entry, HardState, LogIndex, NodeId, RequestId, Role, Round, Snapshot, Term, Timestamp,
};
use change::Change;
use compaction::Compaction;
use installation::Incoming;
use lease::LeaseHeld;
use reads::{Forwarded, Reads};
use transfer::Transfer;

/// One member of the cluster. It has no clock, no socket and no disk: it turns each [`Input`] into
/// [`Output`]s, and the same inputs always into the same outputs. The contract with whoever drives
/// it stands at [`Input`] and [`Output`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    config: Config,
    hard_state: HardState,
    /// The newest snapshot that is durable here, or is being made so.
    snapshot: Option<Snapshot>,
    log: Log,
    memberships: Memberships,
    disk: Disk,
    state: State,
    /// Every entry up to here is known to be committed.
    commit_index: LogIndex,
    /// Every entry up to here was handed out to be applied.
    handed_out: LogIndex,
    /// Every entry up to here has been applied.
    last_applied: LogIndex,
    compaction: Compaction,
    incoming: Option<Incoming>,
    forwarded: Forwarded,
    /// Ticks since the election timer, or a leader's heartbeat timer, was last reset.
    elapsed: u32,
    /// Ticks at which the election timer goes off.
    election_deadline: u32,
    /// Ticks since the node last heard from a leader, counted up to an election timeout.
    since_leader: u32,
    /// What the clock last said; only kept where a lease needs it.
    now: Timestamp,
    /// The state of the generator of election timeouts.
    random: u64,
}

/// The state of each role.
#[expect(
    clippy::large_enum_variant,
    reason = "a replica has one, and moves it only to change roles"
)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Follower { leader: Option<NodeId> },
    PreCandidate { votes: BTreeSet<NodeId> },
    Candidate { votes: BTreeSet<NodeId> },
    Leader(Leadership),
}

/// What a leader knows for as long as it leads (Raft Figure 2, "volatile state on leaders").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leadership {
    /// Every other member.
    followers: BTreeMap<NodeId, Progress>,
    /// The no-op with which the term began.
    first_index: LogIndex,
    /// Bytes of the commands in the log that are not committed.
    bytes_uncommitted: usize,
    /// The latest round begun.
    round: Round,
    reads: Reads,
    lease: LeaseHeld,
    /// Ticks since the leader last counted who hears it.
    since_count: u32,
    transfer: Option<Transfer>,
    change: Option<Change>,
}

impl Replica {
    /// Makes a follower of what its disk holds. Everything up to the snapshot counts as applied.
    ///
    /// # Errors
    /// When the configuration or the recovered state cannot be right.
    pub fn new(config: Config, recovered: Recovered) -> Result<Self, StartError> {
        config.check()?;
        let Recovered { hard_state, snapshot, entries } = recovered;
        let (base, base_term) =
            snapshot.as_ref().map_or_else(Default::default, |it| (it.index, it.term));
        let log = Log::recover(base, base_term, entries).map_err(StartError::BrokenLog)?;
        if log.last_term() > hard_state.term {
            return Err(StartError::TermFromFuture);
        }
        let initial = snapshot
            .as_ref()
            .map_or_else(|| Membership::of(config.members.clone()), |it| it.membership.clone());
        let memberships = Memberships::recover(base, initial, log.since(base.next()));
        let mut replica = Self {
            disk: Disk::recovered(log.last_index()),
            random: config.seed,
            // Before it started it may have heard from a leader that holds a lease.
            since_leader: if config.lease.is_some() { 0 } else { config.election_timeout },
            forwarded: Forwarded::new(config.incarnation),
            config,
            hard_state,
            snapshot,
            log,
            memberships,
            state: State::Follower { leader: None },
            commit_index: base,
            handed_out: base,
            last_applied: base,
            compaction: Compaction::new(base),
            incoming: None,
            elapsed: 0,
            election_deadline: 0,
            now: Timestamp::default(),
        };
        replica.reset_election_timer();
        Ok(replica)
    }

    /// Handles one input and appends what is to be done to `outputs`, to be carried out in order
    /// before the next input.
    ///
    /// # Panics
    /// When an invariant of the crate's chapter is broken: a node that doubts itself stops.
    pub fn handle(&mut self, input: Input, outputs: &mut Vec<Output>) {
        let before = (self.role(), self.term(), self.leader());
        let mut draft = Draft::behind(std::mem::take(outputs));
        match input {
            Input::Tick { now } => self.handle_tick(now, &mut draft),
            Input::Receive { from, message } => self.handle_message(from, message, &mut draft),
            Input::Propose { request, command } => {
                self.handle_propose(request, command, &mut draft);
            }
            Input::Read { request, now } => self.handle_read(request, now, &mut draft),
            Input::TransferLeadership { request, to } => {
                self.handle_transfer(request, to, &mut draft);
            }
            Input::ChangeMembership { request, membership } => {
                self.handle_change(request, membership, &mut draft);
            }
            Input::Compact => self.take_snapshot(&mut draft),
            Input::SnapshotTaken { index } => self.handle_snapshot_taken(index, &mut draft),
            Input::SnapshotFailed { index } => self.handle_snapshot_failed(index),
            Input::Persisted { upto } => {
                self.disk.complete(upto);
                self.lead_if_elected(&mut draft);
                self.advance_commit(&mut draft);
            }
            Input::Applied { upto } => self.handle_applied(upto, &mut draft),
        }
        let write = draft.take_write(self.disk.next_write());
        if let Some(write) = &write {
            self.disk.begin(write, self.log.last_index());
        }
        let after @ (role, term, leader) = (self.role(), self.term(), self.leader());
        let role = (before != after).then_some(Output::RoleChanged { role, term, leader });
        *outputs = draft.finish(write, role, self.disk.gate());
    }

    /// Returns this node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// Returns the node's role in the current term.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower { .. } => Role::Follower,
            State::PreCandidate { .. } => Role::PreCandidate,
            State::Candidate { .. } => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// Returns the current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Returns whom the node voted for in the current term.
    #[must_use]
    pub fn vote(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// Returns the leader of the current term, if the node knows it.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match self.state {
            State::Follower { leader } => leader,
            State::PreCandidate { .. } | State::Candidate { .. } => None,
            State::Leader(_) => Some(self.config.id),
        }
    }

    /// Returns the membership that the node acts by: the latest in its log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.memberships.latest()
    }

    /// Returns the newest snapshot, if there is one.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Returns the entries that the log holds, durable here or not; earlier ones are in the snapshot.
    #[must_use]
    pub fn log(&self) -> &[Entry] {
        self.log.since(self.log.base().next())
    }

    /// Returns the index of the first entry that the log holds, or would hold.
    #[must_use]
    pub fn first_log_index(&self) -> LogIndex {
        self.log.base().next()
    }

    /// Returns the index of the log's last entry.
    #[must_use]
    pub fn last_log_index(&self) -> LogIndex {
        self.log.last_index()
    }

    /// Returns the last entry that is known to be committed.
    #[must_use]
    pub fn commit_index(&self) -> LogIndex {
        self.commit_index
    }

    /// Returns the last entry that the driver has applied.
    #[must_use]
    pub fn last_applied(&self) -> LogIndex {
        self.last_applied
    }

    /// Returns how far each other member's log is known to match, if this node leads.
    #[must_use]
    pub fn followers(&self) -> BTreeMap<NodeId, LogIndex> {
        let State::Leader(leadership) = &self.state else { return BTreeMap::new() };
        leadership.followers.iter().map(|(&id, progress)| (id, progress.match_index)).collect()
    }

    fn handle_tick(&mut self, now: Timestamp, draft: &mut Draft) {
        self.note_time(now);
        self.disk.tick();
        self.elapsed += 1;
        self.since_leader = self.config.election_timeout.min(self.since_leader + 1);
        match self.state {
            State::Leader(_) => self.handle_leader_tick(draft),
            State::Follower { .. } | State::PreCandidate { .. } | State::Candidate { .. } => {
                if self.elapsed >= self.election_deadline {
                    self.campaign(draft);
                } else {
                    self.tick_forwarded(draft);
                }
            }
        }
    }

    fn handle_leader_tick(&mut self, draft: &mut Draft) {
        self.tick_transfer(draft);
        if self.is_unfit_to_lead() {
            return self.become_follower(self.term(), None, draft);
        }
        self.tick_change(draft);
        self.tick_snapshots(draft);
        if self.elapsed >= self.config.heartbeat_interval {
            self.elapsed = 0;
            self.begin_round(draft);
        }
    }

    /// Brings the term up to date, then hands the message to its handler (Raft Figure 2, "rules for
    /// servers"). The sender need not be a member that this node knows of: a membership that it has
    /// not heard of yet may have made it one, and a node must vote as well as it must follow.
    fn handle_message(&mut self, from: NodeId, message: Message, draft: &mut Draft) {
        if from == self.config.id || from == NodeId(0) {
            return;
        }
        if message.term() > self.term() {
            match &message {
                // A term that has not begun, and perhaps never will.
                Message::PreVote(_) => {}
                Message::PreVoteResponse(m) if m.vote_granted => {}
                // Who hears its leader does not let others begin a new term (dissertation §4.2.3).
                Message::RequestVote(m) if !m.is_transfer && self.stands_by_its_leader() => return,
                _ => self.become_follower(message.term(), None, draft),
            }
        }
        match message {
            Message::PreVote(m) => self.handle_pre_vote(from, &m, draft),
            Message::PreVoteResponse(m) => self.handle_pre_vote_response(from, &m, draft),
            Message::RequestVote(m) => self.handle_request_vote(from, &m, draft),
            Message::RequestVoteResponse(m) => self.handle_vote_response(from, &m, draft),
            Message::AppendEntries(m) => self.handle_append_entries(from, m, draft),
            Message::AppendEntriesResponse(m) => self.handle_append_response(from, &m, draft),
            Message::InstallSnapshot(m) => self.handle_install_snapshot(from, m, draft),
            Message::InstallSnapshotResponse(m) => self.handle_install_response(from, &m, draft),
            Message::TimeoutNow(m) => self.handle_timeout_now(&m, draft),
            Message::ReadIndex(m) => self.handle_read_index(from, &m, draft),
            Message::ReadIndexResponse(m) => self.handle_read_index_response(&m, draft),
        }
    }

    fn handle_applied(&mut self, upto: LogIndex, draft: &mut Draft) {
        assert!(upto <= self.handed_out, "I6 Apply Order: applied what was not handed out");
        self.last_applied = self.last_applied.max(upto);
        // The state machine stands just there, until it is handed more.
        self.take_snapshot_if_due(draft);
        self.hand_out_committed(draft);
        self.answer_reads(draft);
    }

    /// Moves the commit index forward and hands out what it covers.
    fn commit(&mut self, index: LogIndex, draft: &mut Draft) {
        if index <= self.commit_index {
            return;
        }
        assert!(index <= self.log.last_index(), "I5 Commit: committed past the end of the log");
        if let State::Leader(leadership) = &mut self.state {
            leadership.bytes_uncommitted -= self.log.bytes(self.commit_index.next(), index);
        }
        self.commit_index = index;
        self.hand_out_committed(draft);
    }

    /// Hands committed entries to the state machine, in order and once each, a bounded number ahead
    /// of what it has applied.
    fn hand_out_committed(&mut self, draft: &mut Draft) {
        let ahead = LogIndex(self.last_applied.0 + self.config.limits.entries_applying);
        let upto = self.commit_index.min(ahead);
        let entries = self.log.slice(self.handed_out.next(), upto);
        if !entries.is_empty() {
            self.compaction.note_handed_out(entries);
            draft.push(Output::Apply { entries: entries.to_vec() });
            self.handed_out = upto;
        }
    }

    fn refuse_not_leader(&self, request: RequestId, draft: &mut Draft) {
        let refusal = Refusal::NotLeader { leader: self.leader() };
        draft.push(Output::Refused { request, refusal });
    }
}
