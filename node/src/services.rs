//! What the node answers over gRPC: [`clients`](ClientServices) and peers.
//!
//! A service turns a request into words of the machine, hands it to the driver, waits, and turns the
//! result back. It decides nothing but what to say to a client that cannot be served.

use machine::session::Outcome;
use machine::{Answer, Query};
use proto::Ticket;
use proto::log::command::Command as Logged;
use raft::LogIndex;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::driver::clock::{Adjusting, Clock};
use crate::driver::request::Report;
use crate::driver::request::{Failure, Reply, Request};
use crate::wire;

mod admin;
mod kv;
mod ledger;
mod peer;
mod session;
mod status;

pub(crate) use peer::PeerService;

/// The largest command, in bytes. With as much again for a message around it, it stays well below
/// the 4 MiB that gRPC takes at once.
pub(crate) const COMMAND_MAX: usize = 1 << 20;
/// The largest answer, in bytes: what a gRPC client decodes unless it was told otherwise, less some
/// room for what surrounds it.
const ANSWER_MAX: usize = (4 << 20) - 1024;

/// The services for clients: ledger, key-value store, sessions and administration.
#[derive(Clone, Debug)]
pub(crate) struct ClientServices {
    intake: mpsc::Sender<Request>,
    recovered: Recovery,
    clock: Clock,
    /// Where the clock is set, if it may be.
    adjustments: Option<mpsc::Sender<Adjusting>>,
}

/// What the node read from its disk at its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    /// The last entry that the snapshot includes; 0 without one.
    pub(crate) snapshot: u64,
    /// How many entries there were behind it.
    pub(crate) entries: u64,
}

impl ClientServices {
    pub(crate) fn new(
        intake: mpsc::Sender<Request>,
        recovered: Recovery,
        clock: Clock,
        adjustments: Option<mpsc::Sender<Adjusting>>,
    ) -> Self {
        Self { intake, recovered, clock, adjustments }
    }

    /// Replicates and applies a request to the ledger or the key-value store, once if it has a ticket.
    /// The index is that of the entry which was carried out: in a session that may be an earlier one.
    async fn propose(
        &self,
        ticket: Option<Ticket>,
        request: Logged,
    ) -> Result<(LogIndex, machine::Outcome), Status> {
        match self.replicate(ticket, request).await?.1 {
            Outcome::Applied { position, outcome } => Ok((LogIndex(position.0), outcome)),
            Outcome::Refused(refusal) => Err(status::refused(refusal)),
            other => unreachable!("a command is not answered by {other:?}"),
        }
    }

    /// Replicates a request and tells what its entry came to.
    async fn replicate(
        &self,
        ticket: Option<Ticket>,
        request: Logged,
    ) -> Result<(LogIndex, Outcome<machine::Outcome>), Status> {
        let command = wire::command::encode(self.clock.time_of_day(), ticket, request);
        if command.len() > COMMAND_MAX {
            return Err(status::too_large(command.len()));
        }
        let outcome = self.ask(|reply| Request::Propose(command, reply)).await?;
        // The driver was stopped while it had the proposal: nobody knows.
        outcome.map_or_else(|_| Err(status::stopped()), |result| result.map_err(status::failed))
    }

    /// Reads what is linearizable.
    async fn read(&self, query: Query) -> Result<(LogIndex, Answer), Status> {
        let answer = self.ask(|reply: Reply<Answer>| Request::Read(query, reply)).await?;
        answer.map_or_else(
            |_| Err(status::not_applied(status::stopped())),
            |result| result.map_err(status::failed),
        )
    }

    async fn report(&self) -> Result<Report, Status> {
        self.ask(Request::Status).await?.map_err(|_| status::stopped())
    }

    /// Hands a request to the driver and waits for what it says, if it lives to say it.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<Result<T, oneshot::error::RecvError>, Status> {
        let (reply, answer) = oneshot::channel();
        self.intake.try_send(request(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => status::failed(Failure::Overloaded),
            mpsc::error::TrySendError::Closed(_) => status::not_applied(status::stopped()),
        })?;
        Ok(answer.await)
    }
}
