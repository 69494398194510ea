//! Client sessions: a command that is sent again takes effect once.
//!
//! A client that gets no answer does not know whether its command was applied. Within a session it
//! may send the same command again, under the same sequence number, until an answer comes: the first
//! entry of a sequence number that is applied is carried out, and its outcome is kept as the answer
//! to all others (Ongaro's dissertation, §6.3). [`Sessions`] wraps any machine and is one itself, so
//! a session lives in the replicated state: every node knows it, and so does a node that restarts.
//!
//! - **S1 Once.** Of all entries with one session and sequence number at most one reaches the inner
//!   machine, ever.
//! - **S2 The answer of record.** Every other one of them is answered with the first one's outcome and
//!   the first one's place in the log, or refused.
//! - **S3 A refusal does nothing.** An entry that is refused leaves the inner machine as it was. This
//!   is said of the entry, not of the operation: an *earlier* entry of the same number may have been
//!   applied, and its answer forgotten since.
//! - **S4 Time is the log's.** The clock is the latest time that any entry carried, so it never goes
//!   back, and sessions end at the same entry on every node. A proposer whose clock runs ahead ends
//!   sessions early, one whose clock is behind keeps them; neither can make a command apply twice.
//! - **S5 Bounded.** Sessions, answers kept for each, and the memory of all answers have limits.
//!
//! All limits are part of what an entry means: with others, an old log would be replayed into another
//! state. So they, and what an answer is taken to weigh, are constants for good, and what may need tuning, how long a session lives without
//! a sign of life, is asked for in the entry that opens it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{StateMachine, Weigh};

mod table;
#[cfg(test)]
mod tests;

use self::table::{Admission, Moment, Table};

/// How many sessions there are at most: as many as clients that one cluster can serve at a time. One
/// more takes the place of the one whose client has been silent for longest. To refuse it instead
/// would let a flood of clients that open and crash lock everybody out, and for good if the log's
/// clock stands still because some node's clock once ran far ahead.
pub const SESSIONS_MAX: usize = 16_384;
/// How far a sequence number may be ahead of the first that is not known to be answered: how many
/// commands of one session can be under way. A client that needs more opens another session.
pub const WINDOW: u64 = 256;
/// How much the answers kept for one session may weigh before it must acknowledge some of them, in
/// bytes: some answers of the largest kind.
pub const SESSION_WEIGHT_MAX: usize = 4 << 20;
/// How much all answers may weigh, in bytes. Beyond it the sessions that were silent for longest end.
pub const WEIGHT_MAX: usize = 64 << 20;
/// The shortest life without a sign of life: below it, the pause between two elections could end it.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const TTL_MAX: Duration = Duration::from_secs(3600);

/// A place in the log.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

/// A session's name: the place in the log of the entry that opened it. So none is given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// A command's number within its session, given by the client, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence(pub u64);

/// A wall clock's time as an entry carries it, in whole milliseconds since the Unix epoch. Entries
/// from before there were sessions carry 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogTime(u64);

impl LogTime {
    /// Takes milliseconds since the Unix epoch.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the time so much later, or the last there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A command of the log with its place and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<C> {
    /// Its place; greater than that of any entry before.
    pub position: Position,
    /// The proposer's wall clock when it was proposed.
    pub time: LogTime,
    /// What is asked.
    pub request: Request<C>,
}

/// What an entry asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<C> {
    /// To carry out a command outside of any session: every time that it comes.
    Plain(C),
    /// To carry out a command once.
    InSession {
        /// Which command of which session.
        ticket: Ticket,
        /// The command.
        command: C,
    },
    /// To open a session.
    Open {
        /// How long it is to live without a sign of life; what is out of bounds is put at the bound.
        ttl: Duration,
    },
    /// To give a sign of life.
    KeepAlive {
        /// The session.
        session: SessionId,
    },
    /// To end a session.
    Close {
        /// The session.
        session: SessionId,
    },
}

/// What makes two entries the same command to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The session.
    pub session: SessionId,
    /// The command's number.
    pub sequence: Sequence,
    /// The client has all answers below this number and will never ask for them again.
    pub first_unanswered: Sequence,
    /// Of the command as the client sent it: tells a repetition from a number that a confused client
    /// uses for two commands.
    pub checksum: u32,
}

/// What an entry came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// The command was carried out, by this entry or by an earlier one with the same ticket.
    Applied {
        /// The place of the entry that carried it out.
        position: Position,
        /// What it came to there.
        outcome: O,
    },
    /// There is a new session.
    Opened {
        /// Its name.
        session: SessionId,
        /// How long it lives without a sign of life.
        ttl: Duration,
    },
    /// The session lives on.
    KeptAlive {
        /// How long, without another sign of life.
        ttl: Duration,
    },
    /// The session is no more.
    Closed {
        /// Whether it was there before.
        existed: bool,
    },
    /// Nothing was done.
    Refused(Refusal),
}

/// Why an entry did nothing (S3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such session: it was silent for too long, closed, displaced by others, or never
    /// there. Nothing that names it will ever be carried out again.
    #[error("the session has ended or never was")]
    Expired,
    /// The client has said that it has this number's answer. Nothing with this number will ever be
    /// carried out again.
    #[error("the sequence number was acknowledged, and its answer is forgotten")]
    Stale,
    /// Too many answers are kept, or too large ones: some must be acknowledged first. Nothing with
    /// this number has been carried out so far.
    #[error("too many answers of the session are not acknowledged")]
    Window,
    /// The number belongs to another command, which was carried out. This one never was.
    #[error("the sequence number was used for another command")]
    Reused,
}

/// A machine with sessions around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "M: Serialize, M::Outcome: Serialize",
    deserialize = "M: Deserialize<'de>, M::Outcome: Deserialize<'de> + Weigh"
))]
pub struct Sessions<M: StateMachine> {
    inner: M,
    /// The latest time that an entry carried (S4).
    clock: LogTime,
    table: Table<M::Outcome>,
}

impl<M: StateMachine> Default for Sessions<M> {
    fn default() -> Self {
        Self { inner: M::default(), clock: LogTime::default(), table: Table::default() }
    }
}

impl<M> StateMachine for Sessions<M>
where
    M: StateMachine,
    M::Outcome: Clone + Weigh,
{
    type Command = Entry<M::Command>;
    type Outcome = Outcome<M::Outcome>;
    type Query = M::Query;
    type Answer = M::Answer;

    fn apply(&mut self, entry: &Entry<M::Command>) -> Outcome<M::Outcome> {
        let position = entry.position;
        self.clock = self.clock.max(entry.time);
        self.table.expire(self.clock);
        let now = Moment { position, time: self.clock };
        match &entry.request {
            Request::Plain(command) => {
                Outcome::Applied { position, outcome: self.inner.apply(command) }
            }
            Request::InSession { ticket, command } => self.apply_once(now, ticket, command),
            Request::Open { ttl } => {
                let ttl = (*ttl).clamp(TTL_MIN, TTL_MAX);
                Outcome::Opened { session: self.table.open(now, ttl), ttl }
            }
            Request::KeepAlive { session } => match self.table.keep_alive(now, *session) {
                Ok(ttl) => Outcome::KeptAlive { ttl },
                Err(refusal) => Outcome::Refused(refusal),
            },
            Request::Close { session } => Outcome::Closed { existed: self.table.close(*session) },
        }
    }

    fn query(&self, query: &M::Query) -> M::Answer {
        self.inner.query(query)
    }
}

impl<M> Sessions<M>
where
    M: StateMachine,
    M::Outcome: Clone + Weigh,
{
    fn apply_once(
        &mut self,
        now: Moment,
        ticket: &Ticket,
        command: &M::Command,
    ) -> Outcome<M::Outcome> {
        match self.table.admit(now, ticket) {
            Admission::First => {
                let outcome = self.inner.apply(command);
                self.table.keep(now, ticket, outcome.clone());
                Outcome::Applied { position: now.position, outcome }
            }
            Admission::Repeated { position, outcome } => Outcome::Applied { position, outcome },
            Admission::Refused(refusal) => Outcome::Refused(refusal),
        }
    }
}

impl<M: StateMachine> Sessions<M> {
    /// Returns the machine that the commands reach.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// Returns how many sessions there are.
    pub fn session_count(&self) -> usize {
        self.table.len()
    }
}
