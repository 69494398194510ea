//! The Raft consensus core: sans-IO, deterministic, without dependencies.

mod effect;
mod message;
mod types;

pub use effect::{Input, Output, Refusal, Write};
pub use message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Conflict, Message, RequestVote,
    RequestVoteResponse,
};
pub use types::{
    Command, Entry, HardState, LogIndex, NodeId, RequestId, Role, Round, Term, WriteId,
};
