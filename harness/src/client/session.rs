//! Making sure: an operation that is sent under one number of a session until it has an answer.
//!
//! What a session promises is told in `session.proto`. Here is what a client makes of it:
//!
//! - **One number, one operation.** Every attempt of an operation carries the same ticket. Whatever the
//!   operation's end, the number is not used again, and the next ticket acknowledges it; so even an
//!   operation that was given up cannot take effect behind the next one's back.
//! - **Doubt stays.** Once one attempt has an unknown end, no refusal of another one proves that the
//!   operation did not happen: it is `ok` by an answer, and else `info`.
//! - **A new session only without doubt.** A session that has ended cannot tell whether it had carried
//!   the operation out. In another session it would be another operation.

use std::time::{Duration, Instant};

use proto::session::session_client::SessionClient;
use proto::session::{CloseRequest, KeepAliveRequest, OpenRequest};
use proto::{SESSION_ERROR_KEY, SESSION_KEY, Ticket};
use serde_json::{Value, json};
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::outcome::Remedy;
use super::stormproof::{Answer, Attempt, Failure, PAUSE};
use super::turn::wait;
use super::{Api, Cause, Outcome, StormproofClient};
use crate::workload::Invocation;

#[cfg(test)]
mod tests;

/// The shortest time that an attempt is given: a healthy cluster answers far sooner, even a busy one.
const ATTEMPT_MIN: Duration = Duration::from_millis(200);
/// The longest that the first one is given: a node that has not answered by then may have lost the lead.
/// It may also be slow, as may all of them, so this doubles with every attempt that has no answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);

/// How a client makes sure of operations that change something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assurance {
    /// Not at all: what has an unknown end is not sent again.
    #[default]
    AtMostOnce,
    /// In sessions of its own, each living so long without a sign of life.
    ExactlyOnce {
        /// How long.
        ttl: Duration,
    },
    /// Under a number of a session that somebody else keeps account of. It may have been used before
    /// for the same operation, so its end is in doubt from the beginning.
    Given(Ticket),
}

/// What an operation took in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// How often it was sent, or would have been if a node had been there.
    pub attempts: u64,
    /// How often of these its end was unknown.
    pub unclear: u64,
}

/// A session of a client's own, and the number of its next operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    session: u64,
    next: u64,
}

/// What is not known of the attempts so far; with nothing unknown, a refusal proves something.
struct Doubt(Option<String>);

/// What an attempt means for its operation.
enum Step {
    End(Outcome),
    /// Send it again; if the error is the last, that is its end.
    Again {
        error: String,
        leader: Option<u64>,
    },
}

impl Doubt {
    /// Returns the end of an operation that has no answer and is not tried any more.
    fn end(&self, error: Cause) -> Outcome {
        match (&self.0, error) {
            (None, error) => Outcome::Fail { error },
            (Some(_), error @ Cause::Nonsense(_)) => Outcome::Info { error },
            (Some(doubt), Cause::Trouble(error)) => {
                Outcome::Info { error: format!("{doubt}; then {error}").into() }
            }
        }
    }
}

impl StormproofClient {
    /// Carries out an operation that changes something, once.
    pub(super) async fn run_once(&mut self, invocation: &Invocation, deadline: Instant) -> Outcome {
        let is_given = matches!(self.assurance, Assurance::Given(_));
        let earlier = "an earlier request under this number may have been carried out";
        let mut doubt = Doubt(is_given.then(|| earlier.into()));
        loop {
            let ticket = match self.ticket(deadline).await {
                Ok(ticket) => ticket,
                Err(error) => return doubt.end(error),
            };
            self.effort.attempts += 1;
            let api = self.api;
            let until = share(deadline, self.effort.unclear);
            let attempt = self.attempt(api, invocation, Some(ticket), until).await;
            let (error, leader) = match self.judge(attempt, &mut doubt) {
                Step::Again { error, leader } => (error, leader),
                Step::End(outcome) => {
                    self.retire_number();
                    return outcome;
                }
            };
            self.leave(leader);
            let is_round_over = self.effort.attempts.is_multiple_of(self.endpoints.len() as u64);
            let is_patient = self.turn.follows() || doubt.0.is_some();
            if !is_patient || !wait(is_round_over.then_some(PAUSE), deadline).await {
                self.retire_number();
                return doubt.end(error.into());
            }
        }
    }

    fn judge(&mut self, attempt: Attempt, doubt: &mut Doubt) -> Step {
        let is_given = matches!(self.assurance, Assurance::Given(_));
        match attempt {
            Attempt::Answered(outcome) => Step::End(outcome),
            // A system that talks nonsense is not asked until it happens to make sense.
            Attempt::Unclear(error @ Cause::Nonsense(_)) => {
                self.effort.unclear += 1;
                Step::End(Outcome::Info { error })
            }
            Attempt::Unclear(Cause::Trouble(error)) => {
                self.effort.unclear += 1;
                doubt.0 = Some(error.clone());
                Step::Again { error, leader: None }
            }
            Attempt::Nothing { error, leader, remedy: Remedy::Elsewhere } => {
                Step::Again { error, leader }
            }
            Attempt::Nothing { error, leader, remedy: Remedy::NewSession } => {
                self.session = None;
                match doubt.0 {
                    None => Step::Again { error, leader },
                    Some(_) => Step::End(doubt.end(error.into())),
                }
            }
            // Each number of an own session is used for one operation and acknowledged after it.
            Attempt::Nothing { remedy: Remedy::NewNumber, .. } if !is_given => {
                self.session = None;
                Step::End(doubt.end(Cause::Nonsense("a session that refuses a number of its own")))
            }
            Attempt::Nothing { error, .. } => Step::End(doubt.end(error.into())),
        }
    }

    /// Returns what every attempt of the operation carries; opens a session if there is none.
    async fn ticket(&mut self, deadline: Instant) -> Result<Ticket, Cause> {
        let ttl = match self.assurance {
            Assurance::Given(ticket) => return Ok(ticket),
            Assurance::ExactlyOnce { ttl } => ttl,
            Assurance::AtMostOnce => unreachable!("a client that makes sure has a way to do so"),
        };
        let open = match self.session {
            Some(open) => open,
            None => self.open(ttl, deadline).await?,
        };
        self.session = Some(open);
        Ok(Ticket { session: open.session, sequence: open.next, first_unanswered: open.next })
    }

    /// Opens a session. One whose opening has an unknown end is left to end by itself.
    async fn open(&mut self, ttl: Duration, deadline: Instant) -> Result<Open, Cause> {
        let invocation = Invocation::new("open", "", json!({"ttl_ms": millis(ttl)}));
        let mut lost = 0;
        loop {
            let error = match self.run(Api::Session, &invocation, share(deadline, lost)).await {
                Outcome::Ok { value, .. } => {
                    let session = value["session"].as_u64();
                    let session = session.ok_or(Cause::Nonsense("a session without a name"))?;
                    return Ok(Open { session, next: 1 });
                }
                Outcome::Fail { error } => error,
                Outcome::Info { error } => {
                    lost += 1;
                    error
                }
            };
            let is_final = !self.turn.follows() || matches!(error, Cause::Nonsense(_));
            if is_final || !wait(Some(PAUSE), deadline).await {
                return Err(match error {
                    Cause::Trouble(error) => format!("failed to open a session: {error}").into(),
                    nonsense => nonsense,
                });
            }
        }
    }

    fn retire_number(&mut self) {
        if let Some(open) = &mut self.session {
            open.next += 1;
        }
    }

    /// Ends the client's own session, if it has one. It would end by itself; this saves the cluster
    /// from remembering it until then.
    pub async fn close_session(&mut self, deadline: Instant) {
        if let Some(Open { session, .. }) = self.session.take() {
            let close = Invocation::new("close", session.to_string(), Value::Null);
            self.run(Api::Session, &close, deadline).await;
        }
    }
}

/// Returns until when an attempt may take, after so many that had no answer, if others are to have a
/// chance, too.
fn share(deadline: Instant, unanswered: u64) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    let doublings = u32::try_from(unanswered).unwrap_or(u32::MAX);
    let longest = ATTEMPT_MAX.saturating_mul(2_u32.saturating_pow(doublings));
    deadline.min(now + (left / 3).clamp(ATTEMPT_MIN, longest))
}

/// A connection that puts a ticket on every request, if there is one.
pub(super) type Line = InterceptedService<Channel, Stamp>;

#[derive(Clone, Debug)]
pub(super) struct Stamp(Option<AsciiMetadataValue>);

impl Interceptor for Stamp {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(ticket) = &self.0 {
            request.metadata_mut().insert(SESSION_KEY, ticket.clone());
        }
        Ok(request)
    }
}

pub(super) fn line(channel: Channel, ticket: Option<Ticket>) -> Line {
    let value = ticket.map(|ticket| {
        ticket.to_string().parse().expect("digits and slashes are what metadata may hold")
    });
    InterceptedService::new(channel, Stamp(value))
}

/// Carries out `open`, `keep-alive` and `close`; the key of the latter two is the session.
pub(super) async fn call(channel: Channel, invocation: &Invocation) -> Answer {
    let mut client = SessionClient::new(channel);
    let session = || {
        let malformed = || Failure::Unsendable(format!("{:?} is no session", invocation.key));
        invocation.key.parse::<u64>().map_err(|_| malformed())
    };
    match invocation.f {
        "open" => {
            let ttl_ms = invocation.value["ttl_ms"].as_u64().unwrap_or(0);
            let answer = client.open(OpenRequest { ttl_ms }).await?.into_inner();
            if answer.session == 0 {
                return Err(Failure::Nonsense("a session without a name"));
            }
            Ok((json!({"session": answer.session, "ttl_ms": answer.ttl_ms}), answer.index))
        }
        "keep-alive" => {
            let request = KeepAliveRequest { session: session()? };
            let answer = client.keep_alive(request).await.map_err(|status| {
                let word = status.metadata().get(SESSION_ERROR_KEY);
                match word.is_some_and(|word| word.as_bytes() == b"expired") {
                    true => Failure::Rejected("expired"),
                    false => status.into(),
                }
            })?;
            let answer = answer.into_inner();
            Ok((json!({"ttl_ms": answer.ttl_ms}), answer.index))
        }
        "close" => {
            let request = CloseRequest { session: session()? };
            let answer = client.close(request).await?.into_inner();
            Ok((json!({"existed": answer.existed}), answer.index))
        }
        f => Err(Failure::Unsendable(format!("a session has no operation {f}"))),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
