//! How a story shows what replicas do and say: the words of the golden scripts and of the simulator.

use std::collections::BTreeSet;

use crate::{
    AppendOutcome, ChangeEnd, ChunkOutcome, Entry, Membership, Message, NodeId, Output, Payload,
    ReadId, Refusal, RequestVote, RequestVoteResponse, Role, Snapshot, TransferEnd,
};

/// The words for what depends on what the commands are.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Describes a command.
    pub command: fn(&[u8]) -> String,
}

impl Words {
    /// Describes an output of the node `id` in a line.
    #[must_use]
    pub fn output(&self, id: NodeId, output: &Output) -> String {
        match output {
            Output::Persist(write) => {
                let mut parts = vec![];
                if let Some(state) = write.hard_state {
                    let vote = state.vote.map_or("no vote".into(), |vote| format!("vote {vote}"));
                    parts.push(format!("term {} {vote}", state.term));
                }
                if let Some(it) = &write.snapshot {
                    parts.push(format!("snapshot {} for the whole log", snapshot(it)));
                }
                if let Some(from) = write.truncate_from {
                    parts.push(format!("truncate from {from}"));
                }
                if !write.entries.is_empty() {
                    parts.push(format!("entries {}", self.entries(&write.entries)));
                }
                if let Some(upto) = write.compact_upto {
                    parts.push(format!("nothing up to {upto} is needed"));
                }
                format!("{id} writes #{}: {}", write.id, parts.join(", "))
            }
            Output::Send { to, message: said, after } => {
                let gate = after.map_or(String::new(), |write| format!(" (after write #{write})"));
                format!("{id} → {to} {}{gate}", self.message(said))
            }
            Output::Apply { entries } => format!("{id} applies {}", self.entries(entries)),
            Output::SendChunk { to, chunk, .. } => {
                format!(
                    "{id} sends {to} snapshot {} from byte {}",
                    chunk.snapshot.index, chunk.offset
                )
            }
            Output::StoreChunk { offset, data } => {
                format!("{id} keeps bytes {offset} to {} of a snapshot", offset + data.len() as u64)
            }
            Output::Restore { snapshot: it } => format!("{id} restores snapshot {}", snapshot(it)),
            Output::TakeSnapshot { snapshot: it } => {
                format!("{id} takes snapshot {}", snapshot(it))
            }
            Output::Appended { request, index, term } => {
                format!("{id} takes proposal {} as {index}@{term}", request.0)
            }
            Output::ReadReady { request } => format!("{id} answers read {}", request.0),
            Output::TransferEnded { request, end } => match end {
                TransferEnd::LeftOffice => format!("{id} has handed over (request {})", request.0),
                TransferEnd::TimedOut => format!("{id} leads on: transfer {} timed out", request.0),
            },
            Output::ChangeEnded { request, end } => match end {
                ChangeEnd::Done => format!("{id} has made change {}", request.0),
                ChangeEnd::LeftOffice => format!("{id} left office during change {}", request.0),
                ChangeEnd::NotCaughtUp => {
                    format!("{id} gives up change {}: not caught up", request.0)
                }
            },
            Output::Refused { request, refusal } => match refusal {
                Refusal::NotLeader { leader } => {
                    let leader = leader.map_or("nobody known".into(), |leader| leader.to_string());
                    format!("{id} refuses request {}: not the leader (leader: {leader})", request.0)
                }
                Refusal::Transferring { to } => {
                    format!("{id} refuses request {}: hands over to {to}", request.0)
                }
                Refusal::NoSuccessor => format!("{id} refuses request {}: no successor", request.0),
                Refusal::Overloaded => format!("{id} refuses request {}: overloaded", request.0),
                Refusal::TooLarge => format!("{id} refuses request {}: too large", request.0),
                Refusal::NotSettled => format!("{id} refuses request {}: not settled", request.0),
                Refusal::ChangeInProgress => {
                    format!("{id} refuses request {}: a change is in progress", request.0)
                }
                Refusal::InvalidMembership => {
                    format!("{id} refuses request {}: no such cluster can be", request.0)
                }
            },
            Output::MembershipChanged { membership: it } => {
                format!("{id} acts by {}", membership(it))
            }
            Output::RoleChanged { role: new, term, leader } => {
                let leader = leader.map_or("-".into(), |leader| leader.to_string());
                format!("{id} is {} in term {term}, leader {leader}", role(*new))
            }
        }
    }

    /// Describes a message without its sender and recipient.
    #[must_use]
    pub fn message(&self, message: &Message) -> String {
        match message {
            Message::PreVote(m) => format!("PreVote {}", request_vote(m)),
            Message::PreVoteResponse(m) => format!("PreVoteResponse {}", vote_response(m)),
            Message::RequestVote(m) => format!("RequestVote {}", request_vote(m)),
            Message::RequestVoteResponse(m) => format!("RequestVoteResponse {}", vote_response(m)),
            Message::TimeoutNow(m) => format!("TimeoutNow term={}", m.term),
            Message::ReadIndex(m) => format!("ReadIndex term={} id={}", m.term, read_id(m.id)),
            Message::ReadIndexResponse(m) => {
                let index = m.index.map_or("none".into(), |index| index.to_string());
                format!("ReadIndexResponse term={} id={} index={index}", m.term, read_id(m.id))
            }
            Message::InstallSnapshot(m) => format!(
                "InstallSnapshot term={} {} bytes {} to {}{} round={}",
                m.term,
                snapshot(&m.snapshot),
                m.offset,
                m.offset + m.data.len() as u64,
                if m.is_last { ", the last" } else { "" },
                m.round
            ),
            Message::InstallSnapshotResponse(m) => {
                let outcome = match m.outcome {
                    ChunkOutcome::Wanted { offset } => format!("wants {offset}"),
                    ChunkOutcome::Installed => "installed".to_owned(),
                    ChunkOutcome::Stale => "stale".to_owned(),
                };
                format!(
                    "InstallSnapshotResponse term={} index={} round={} {outcome}",
                    m.term, m.index, m.round
                )
            }
            Message::AppendEntries(m) => format!(
                "AppendEntries term={} prev={}@{} [{}] commit={} round={}",
                m.term,
                m.prev_log_index,
                m.prev_log_term,
                self.entries(&m.entries),
                m.leader_commit,
                m.round
            ),
            Message::AppendEntriesResponse(m) => {
                let outcome = match &m.outcome {
                    AppendOutcome::Stale => "stale".to_owned(),
                    AppendOutcome::Matched { match_index } => format!("match={match_index}"),
                    AppendOutcome::Conflict(c) => {
                        let term = c.conflict_term.map_or("none".into(), |term| term.to_string());
                        format!(
                            "conflict prev={} term={term} from={}",
                            c.prev_log_index, c.conflict_index
                        )
                    }
                };
                format!("AppendEntriesResponse term={} round={} {outcome}", m.term, m.round)
            }
        }
    }

    /// Describes entries as `index@term:command`.
    #[must_use]
    pub fn entries(&self, entries: &[Entry]) -> String {
        entries.iter().map(|entry| self.entry(entry)).collect::<Vec<_>>().join(" ")
    }

    /// Describes an entry as `index@term:command`.
    #[must_use]
    pub fn entry(&self, entry: &Entry) -> String {
        let payload = match &entry.payload {
            Payload::Noop => "∅".into(),
            Payload::Command(command) => (self.command)(command),
            Payload::Membership(it) => membership(it),
        };
        format!("{}@{}:{payload}", entry.index, entry.term)
    }
}

fn request_vote(m: &RequestVote) -> String {
    let transfer = if m.is_transfer { " transfer" } else { "" };
    format!("term={} last={}@{}{transfer}", m.term, m.last_log_index, m.last_log_term)
}

fn vote_response(m: &RequestVoteResponse) -> String {
    let verdict = if m.vote_granted { "granted" } else { "refused" };
    format!("term={} {verdict}", m.term)
}

/// Describes a role in a word.
#[must_use]
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// Describes a membership as `{voters}`, `{voters|outgoing voters}`, `{voters +learners}`.
#[must_use]
pub fn membership(membership: &Membership) -> String {
    let list =
        |ids: &BTreeSet<NodeId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mut text = list(&membership.voters);
    if membership.is_joint() {
        text = format!("{text}|{}", list(&membership.outgoing));
    }
    if !membership.learners.is_empty() {
        text = format!("{text} +{}", list(&membership.learners));
    }
    format!("{{{text}}}")
}

fn snapshot(snapshot: &Snapshot) -> String {
    format!("{}@{}{}", snapshot.index, snapshot.term, membership(&snapshot.membership))
}

fn read_id(id: ReadId) -> String {
    format!("{}.{}", id.incarnation, id.number)
}
