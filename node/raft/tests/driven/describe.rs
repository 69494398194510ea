//! How the scripts show what nodes do and say.

use raft::{
    AppendOutcome, Entry, Message, NodeId, Output, Refusal, Replica, RequestVote,
    RequestVoteResponse, Role, TransferEnd,
};

/// Describes an output in a line; an application of entries in one line each.
pub(crate) fn output(id: NodeId, output: &Output) -> Vec<String> {
    let line = match output {
        Output::Persist(write) => {
            let mut parts = vec![];
            if let Some(state) = write.hard_state {
                let vote = state.vote.map_or("no vote".into(), |vote| format!("vote {vote}"));
                parts.push(format!("term {} {vote}", state.term));
            }
            if let Some(from) = write.truncate_from {
                parts.push(format!("truncate from {from}"));
            }
            if !write.entries.is_empty() {
                parts.push(format!("entries {}", entries(&write.entries)));
            }
            format!("{id} writes #{}: {}", write.id, parts.join(", "))
        }
        Output::Send { to, message: said, after } => {
            let gate = after.map_or(String::new(), |write| format!(" (after write #{write})"));
            format!("{id} → {to} {}{gate}", message(said))
        }
        Output::Apply { entries } => {
            return entries
                .iter()
                .map(|entry| format!("{id} applies {}", describe_entry(entry)))
                .collect();
        }
        Output::Appended { request, index, term } => {
            format!("{id} takes proposal {} as {index}@{term}", request.0)
        }
        Output::ReadReady { request } => format!("{id} answers read {}", request.0),
        Output::TransferEnded { request, end } => match end {
            TransferEnd::LeftOffice => format!("{id} has handed over (request {})", request.0),
            TransferEnd::TimedOut => format!("{id} leads on: transfer {} timed out", request.0),
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
        },
        Output::RoleChanged { role: new, term, leader } => {
            let leader = leader.map_or("-".into(), |leader| leader.to_string());
            format!("{id} is {} in term {term}, leader {leader}", role(*new))
        }
    };
    vec![line]
}

/// Describes a message without its sender and recipient.
pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::PreVote(m) => format!("PreVote {}", request_vote(m)),
        Message::PreVoteResponse(m) => format!("PreVoteResponse {}", vote_response(m)),
        Message::RequestVote(m) => format!("RequestVote {}", request_vote(m)),
        Message::RequestVoteResponse(m) => format!("RequestVoteResponse {}", vote_response(m)),
        Message::TimeoutNow(m) => format!("TimeoutNow term={}", m.term),
        Message::AppendEntries(m) => format!(
            "AppendEntries term={} prev={}@{} [{}] commit={} round={}",
            m.term,
            m.prev_log_index,
            m.prev_log_term,
            entries(&m.entries),
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

fn request_vote(m: &RequestVote) -> String {
    let transfer = if m.is_transfer { " transfer" } else { "" };
    format!("term={} last={}@{}{transfer}", m.term, m.last_log_index, m.last_log_term)
}

fn vote_response(m: &RequestVoteResponse) -> String {
    let verdict = if m.vote_granted { "granted" } else { "refused" };
    format!("term={} {verdict}", m.term)
}

pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// Describes entries as `index@term:command`.
pub(crate) fn entries(entries: &[Entry]) -> String {
    entries.iter().map(describe_entry).collect::<Vec<_>>().join(" ")
}

fn describe_entry(entry: &Entry) -> String {
    let command = String::from_utf8_lossy(&entry.command);
    let command = if command.is_empty() { "∅".into() } else { command };
    format!("{}@{}:{command}", entry.index, entry.term)
}

/// Describes the state of a node in a line.
pub(crate) fn status(id: NodeId, replica: Option<&Replica>) -> String {
    let Some(replica) = replica else {
        return format!("{id} down");
    };
    let known = |node: Option<NodeId>| node.map_or("-".into(), |node| node.to_string());
    format!(
        "{id} {} term={} vote={} leader={} last={} commit={} applied={}",
        role(replica.role()),
        replica.term(),
        known(replica.vote()),
        known(replica.leader()),
        replica.last_log_index(),
        replica.commit_index(),
        replica.last_applied(),
    )
}
