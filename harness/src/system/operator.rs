//! Orders to a running cluster: who is in it, who leads it, that it throws its log away.
//!
//! What faults of membership are made of. A system gives what it can; the rest is refused, with the
//! reason, and so a fault that needs it is skipped.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::system::{BoxFuture, NodeId};

/// An order was not carried out, as far as anybody can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It did nothing and never will.
    #[error("failed to {what}: {why}")]
    Refused {
        /// What was ordered.
        what: Box<str>,
        /// Why it was not done.
        why: Box<str>,
    },
    /// It may have been carried out, or may yet be.
    #[error("failed to learn whether to {what} had an effect: {why}")]
    Unclear {
        /// What was ordered.
        what: Box<str>,
        /// What was seen instead of an answer.
        why: Box<str>,
    },
}

/// In which order a newcomer is started and [added](Operator::add).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It is started first: it gets its vote when it has caught up, and until then
    /// [`Operator::add`] waits.
    StartFirst,
    /// It is added first: it finds itself among the members when it starts, or does not start.
    AddFirst,
}

/// When a node that leaves is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Before it is [removed](Operator::remove): it would end by itself when it learns that it is out.
    StopFirst,
    /// After that: a leader sees its own removal through.
    StopAfter,
}

/// How a node's clock is to be, compared with what it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It jumps ahead.
    Ahead(Duration),
    /// It jumps back.
    Back(Duration),
    /// It goes at so many percent of its speed.
    Speed(u32),
    /// It goes right again, on from where it is: a jump back to the right time would be one more fault.
    Right,
}

/// Gives orders to the nodes of a running cluster, past all proxies.
///
/// Whatever the system:
///
/// - An order that returns `Ok` is decided by the cluster and holds, until another order, one whose end
///   was unclear included, or, of a leader, an election; one that is [refused](OrderError::Refused) did
///   nothing and never will. After
///   [unclear](OrderError::Unclear) only [`Operator::members`] or a status can tell.
/// - An order that names what is so already is `Ok`, and nothing is done: a node is added once.
/// - Each tries, with pauses, until the deadline, whoever leads meanwhile, and returns not much later.
/// - Nobody looks after the quorum here. Whoever orders sees to it that what is left can decide.
///
/// Whatever the system, whoever orders does it so:
///
/// - A node that comes into a running cluster starts with an empty data folder and with
///   [`Entry::Joins`](crate::system::Entry::Joins), also if it was a member before: what it once
///   promised went with its membership.
/// - A node that is removed is stopped for good, before or after: it may end by itself when it
///   learns that it is out, and may disturb the others if it never does. Before is safer: some systems'
///   nodes end at once.
pub trait Operator: Send {
    /// Says in which order a newcomer is started and added.
    fn joining(&self) -> Joining {
        Joining::StartFirst
    }

    /// Says when a node that leaves is stopped.
    fn leaving(&self) -> Leaving {
        Leaving::StopFirst
    }

    /// Returns who votes, as far as a node knows that leads or hears a leader. An order whose end is
    /// unclear may be seen in it or not.
    fn members(
        &mut self,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<BTreeSet<NodeId>, OrderError>> {
        let _ = deadline;
        refuse("list the members")
    }

    /// Gives a node a vote. A newcomer that is refused because it did not catch up in time may go on
    /// being sent the log, without a vote, until it is added or removed.
    fn add(&mut self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        let _ = deadline;
        refuse(&format!("add {node}"))
    }

    /// Takes a node's vote, whether it runs or not.
    fn remove(&mut self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        let _ = deadline;
        refuse(&format!("remove {node}"))
    }

    /// Has the leader hand over to this member. `Ok` says that the member led; another election may have
    /// followed.
    fn transfer(&mut self, to: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        let _ = deadline;
        refuse(&format!("transfer the leadership to {to}"))
    }

    /// Sets a node's clock wrong, or right again. `Ok` says that it is so.
    fn set_clock(
        &mut self,
        node: NodeId,
        clock: Clock,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        let _ = (clock, deadline);
        refuse(&format!("set the clock of {node}"))
    }

    /// Has a node save its state and forget as much of its log, or of its past, as it can.
    fn compact(
        &mut self,
        node: NodeId,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        let _ = deadline;
        refuse(&format!("compact {node}"))
    }
}

/// The operator of a system that takes no orders.
#[derive(Clone, Copy, Debug)]
pub struct NoOperator;

impl Operator for NoOperator {}

fn refuse<T: Send + 'static>(what: &str) -> BoxFuture<'static, Result<T, OrderError>> {
    let error =
        OrderError::Refused { what: what.into(), why: "the system has no such order".into() };
    Box::pin(std::future::ready(Err(error)))
}
