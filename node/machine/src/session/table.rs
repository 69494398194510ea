//! All open sessions, and what each remembers.
//!
//! The sessions themselves are the state; how they are ordered by their ends and what all answers
//! weigh follows from them, so a snapshot holds the sessions only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    LogTime, Position, Refusal, SESSION_WEIGHT_MAX, SESSIONS_MAX, Sequence, SessionId, TTL_MAX,
    TTL_MIN, Ticket, WEIGHT_MAX, WINDOW,
};
use crate::Weigh;

/// What a kept answer takes besides what its outcome says: its number, place and checksum, the
/// outcome's fixed part, its share of a tree.
const ANSWER_WEIGHT: usize = 128;

/// Where in the log an entry stands, and what the log's clock shows there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    pub(super) position: Position,
    pub(super) time: LogTime,
}

/// What becomes of a command that comes in a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<O> {
    /// It is the first of its number and must be carried out, and its outcome kept.
    First,
    /// It was carried out before.
    Repeated { position: Position, outcome: O },
    /// It must not be carried out.
    Refused(Refusal),
}

/// The open sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table<O> {
    sessions: BTreeMap<SessionId, Session<O>>,
    /// Each session under the last moment at which it still lives.
    by_end: BTreeSet<(LogTime, SessionId)>,
    /// Of all answers.
    weight: usize,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session<O> {
    ttl: Duration,
    /// Its client's last sign of life.
    active: Moment,
    /// Everything below is acknowledged and forgotten.
    first_unanswered: Sequence,
    /// What was carried out and is not acknowledged.
    answers: BTreeMap<Sequence, Answer<O>>,
    /// Of its answers.
    weight: usize,
}

/// The answer of record (S2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer<O> {
    position: Position,
    checksum: u32,
    outcome: O,
}

impl<O> Default for Table<O> {
    fn default() -> Self {
        Self { sessions: BTreeMap::new(), by_end: BTreeSet::new(), weight: 0 }
    }
}

impl<O> Table<O> {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Drops the sessions that have been silent for longer than they may.
    pub(super) fn expire(&mut self, clock: LogTime) {
        while let Some(&(end, session)) = self.by_end.first()
            && end < clock
        {
            self.close(session);
        }
    }

    /// Opens a session; if there are too many, one that has been silent for long ends instead.
    pub(super) fn open(&mut self, now: Moment, ttl: Duration) -> SessionId {
        if self.sessions.len() >= SESSIONS_MAX {
            self.displace(None);
        }
        let id = SessionId(now.position.0);
        let session = Session {
            ttl,
            active: now,
            first_unanswered: Sequence(1),
            answers: BTreeMap::new(),
            weight: 0,
        };
        self.by_end.insert((session.end(), id));
        let earlier = self.sessions.insert(id, session);
        assert!(earlier.is_none(), "S1: a place in the log opens one session");
        id
    }

    /// Notes a sign of life.
    pub(super) fn keep_alive(&mut self, now: Moment, id: SessionId) -> Result<Duration, Refusal> {
        self.touch(now, id).map(|session| session.ttl)
    }

    /// Ends a session; tells whether there was one.
    pub(super) fn close(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.remove(&id) else {
            return false;
        };
        self.by_end.remove(&(session.end(), id));
        self.weight -= session.weight;
        true
    }

    fn touch(&mut self, now: Moment, id: SessionId) -> Result<&mut Session<O>, Refusal> {
        let session = self.sessions.get_mut(&id).ok_or(Refusal::Expired)?;
        self.by_end.remove(&(session.end(), id));
        session.active = now;
        self.by_end.insert((session.end(), id));
        Ok(session)
    }

    /// Ends the session that has been silent for longest, this one excepted; tells whether there was
    /// one. It looks at all of them: this is for when a limit is reached, and an order of its own
    /// would have to be kept at every command.
    fn displace(&mut self, spared: Option<SessionId>) -> bool {
        let others = self.sessions.iter().filter(|(id, _)| Some(**id) != spared);
        let silent = others.min_by_key(|(_, session)| session.active.position).map(|(id, _)| *id);
        silent.is_some_and(|id| self.close(id))
    }
}

impl<O: Clone + Weigh> Table<O> {
    /// Decides what becomes of a command. Whatever it is, it is a sign of life.
    pub(super) fn admit(&mut self, now: Moment, ticket: &Ticket) -> Admission<O> {
        let session = match self.touch(now, ticket.session) {
            Ok(session) => session,
            Err(refusal) => return Admission::Refused(refusal),
        };
        let freed = session.acknowledge(ticket.first_unanswered);
        let admission = session.admit(ticket);
        self.weight -= freed;
        admission
    }

    /// Keeps the outcome of a command that was just admitted as the first of its number.
    pub(super) fn keep(&mut self, now: Moment, ticket: &Ticket, outcome: O) {
        let answer = Answer { position: now.position, checksum: ticket.checksum, outcome };
        let weight = answer.weight();
        let session =
            self.sessions.get_mut(&ticket.session).expect("the session has just admitted it");
        session.weight += weight;
        self.weight += weight;
        let earlier = session.answers.insert(ticket.sequence, answer);
        assert!(earlier.is_none(), "S1: a sequence number is carried out once");
        while self.weight > WEIGHT_MAX && self.displace(Some(ticket.session)) {}
    }
}

impl<O> Session<O> {
    /// Returns the last moment at which it lives if no other sign of life comes.
    fn end(&self) -> LogTime {
        self.active.time.after(self.ttl)
    }
}

impl<O: Clone + Weigh> Session<O> {
    /// Forgets the answers below a number; returns what they weighed.
    fn acknowledge(&mut self, first_unanswered: Sequence) -> usize {
        // Entries of one client may be logged in another order than it sent them.
        self.first_unanswered = self.first_unanswered.max(first_unanswered);
        let kept = self.answers.split_off(&self.first_unanswered);
        let gone = std::mem::replace(&mut self.answers, kept);
        let freed = gone.values().map(Answer::weight).sum();
        self.weight -= freed;
        freed
    }

    fn admit(&self, ticket: &Ticket) -> Admission<O> {
        let Some(ahead) = ticket.sequence.0.checked_sub(self.first_unanswered.0) else {
            return Admission::Refused(Refusal::Stale);
        };
        match self.answers.get(&ticket.sequence) {
            Some(answer) if answer.checksum != ticket.checksum => {
                Admission::Refused(Refusal::Reused)
            }
            Some(Answer { position, outcome, .. }) => {
                Admission::Repeated { position: *position, outcome: outcome.clone() }
            }
            None if ahead >= WINDOW || self.weight >= SESSION_WEIGHT_MAX => {
                Admission::Refused(Refusal::Window)
            }
            None => Admission::First,
        }
    }
}

impl<O: Weigh> Answer<O> {
    fn weight(&self) -> usize {
        ANSWER_WEIGHT + self.outcome.weight()
    }
}

impl<O: Serialize> Serialize for Table<O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sessions.serialize(serializer)
    }
}

impl<'de, O: Deserialize<'de> + Weigh> Deserialize<'de> for Table<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sessions = BTreeMap::<SessionId, Session<O>>::deserialize(deserializer)?;
        if sessions.len() > SESSIONS_MAX || !sessions.iter().all(|(id, s)| s.is_sound(*id)) {
            return Err(D::Error::custom("sessions that cannot have come about"));
        }
        let by_end = sessions.iter().map(|(id, session)| (session.end(), *id)).collect();
        let weight = sessions.values().map(|session| session.weight).sum();
        Ok(Self { sessions, by_end, weight })
    }
}

impl<O: Weigh> Session<O> {
    /// Returns whether a session that was read from outside can have come about.
    fn is_sound(&self, id: SessionId) -> bool {
        let is_in_window = |sequence: &Sequence| {
            let ahead = sequence.0.checked_sub(self.first_unanswered.0);
            ahead.is_some_and(|ahead| ahead < WINDOW)
        };
        let opened = Position(id.0);
        (TTL_MIN..=TTL_MAX).contains(&self.ttl)
            && opened <= self.active.position
            && self.answers.keys().all(is_in_window)
            && self
                .answers
                .values()
                .all(|a| opened < a.position && a.position <= self.active.position)
            && self.weight == self.answers.values().map(Answer::weight).sum::<usize>()
    }
}
