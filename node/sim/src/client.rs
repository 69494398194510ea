//! A logical client: it does one operation at a time, tries again what may be tried again, and writes down
//! what it saw.

use std::time::Duration;

use machine::session::{Outcome, Refusal, Request, Sequence, SessionId, Ticket};
use raft::{LogIndex, NodeId};

use crate::history::{Completion, History};
use crate::oracle::Violation;
use crate::plan::{Clients, Placement};
use crate::random::Random;
use crate::request::{Ask, Asker, Reply};
use crate::time::Time;
use crate::workload::{Body, Operation, describe_answer, describe_outcome};

/// How long a client waits before it asks again after a refusal.
const BREATH: Duration = Duration::from_millis(20);

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    /// The process that it is in the history; another one after each operation of unknown outcome.
    process: u64,
    random: Random,
    /// Whom it believes to lead.
    leader: NodeId,
    /// Whom it asks what it wants to read, if it is pinned.
    home: NodeId,
    session: Option<SessionId>,
    /// The sequence number of the last command of the session.
    sequence: u64,
    /// The number of the last attempt.
    attempt: u64,
    task: Task,
}

/// What a client is about.
#[derive(Debug)]
enum Task {
    Idle,
    /// It opens a session, for the operation that comes then.
    Opening(Box<Operation>, Patience),
    Doing(Box<Operation>, Patience),
}

/// How long it goes on trying.
#[derive(Clone, Copy, Debug)]
struct Patience {
    until: Time,
    /// Whether some attempt may have taken effect though its answer did not come.
    is_doubtful: bool,
}

/// What a client does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// It asks a node.
    Ask(NodeId, Asker, Ask),
    /// It asks again after a breath.
    Breathe(Asker, Duration),
    /// Its operation has ended; whether it was answered.
    Ended(Box<Operation>, End),
}

/// How an operation has ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the answer that the history ends with.
    Answered,
    /// It has no effect.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// What a client needs to go on.
pub(crate) struct Desk<'a> {
    pub(crate) time: Time,
    pub(crate) habits: &'a Clients,
    /// Who may be asked.
    pub(crate) nodes: &'a [NodeId],
    pub(crate) history: &'a mut History,
}

impl Client {
    pub(crate) fn new(id: u64, nodes: &[NodeId], mut random: Random) -> Self {
        let (leader, home) = (*random.pick(nodes), *random.pick(nodes));
        Self {
            id,
            process: id,
            random,
            leader,
            home,
            session: None,
            sequence: 0,
            attempt: 0,
            task: Task::Idle,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.task, Task::Idle)
    }

    /// Draws how long to wait before the next operation.
    pub(crate) fn pause(&mut self, habits: &Clients) -> Duration {
        let mean = Duration::from_secs(habits.count) / habits.rate.max(1) as u32;
        self.random.duration(Duration::ZERO, mean * 2)
    }

    /// Draws how long a request or an answer takes; `None` if it is lost.
    pub(crate) fn way(&mut self, habits: &Clients) -> Option<Duration> {
        let lost = self.random.permille(habits.loss);
        let way = self.random.duration(Duration::from_micros(20), habits.distance);
        (!lost).then_some(way)
    }

    /// Begins an operation.
    pub(crate) fn begin(&mut self, operation: Operation, desk: &mut Desk<'_>) -> Step {
        let patience = Patience { until: desk.time + desk.habits.persistence, is_doubtful: false };
        let operation = Box::new(operation);
        let wants_session = desk.habits.session.is_some() && !operation.is_read();
        if wants_session && self.session.is_none() {
            self.task = Task::Opening(operation, patience);
        } else {
            self.sequence += u64::from(wants_session);
            desk.history.invoke(desk.time, self.process, &operation);
            self.task = Task::Doing(operation, patience);
        }
        self.ask(desk)
    }

    /// Makes another attempt, if the client still waits for this one.
    pub(crate) fn ask_again(&mut self, attempt: u64, desk: &mut Desk<'_>) -> Option<Step> {
        (self.attempt == attempt && !self.is_idle()).then(|| self.ask(desk))
    }

    /// Makes an attempt.
    fn ask(&mut self, desk: &Desk<'_>) -> Step {
        self.attempt += 1;
        let asker = Asker { client: self.id, attempt: self.attempt };
        let (operation, is_opening) = match &self.task {
            Task::Idle => unreachable!("a client asks for a reason"),
            Task::Opening(operation, _) => (operation, true),
            Task::Doing(operation, _) => (operation, false),
        };
        let ask = match (&operation.body, self.session, desk.habits.session) {
            (Body::Read(query), _, _) => Ask::Read(query.clone()),
            (Body::Write(_), _, Some(ttl)) if is_opening => Ask::Propose(Request::Open { ttl }),
            (Body::Write(command), Some(session), Some(_)) => {
                let sequence = Sequence(self.sequence);
                let checksum = (self.sequence ^ session.0 << 20) as u32;
                let ticket = Ticket { session, sequence, first_unanswered: sequence, checksum };
                Ask::Propose(Request::InSession { ticket, command: command.clone() })
            }
            (Body::Write(command), _, _) => Ask::Propose(Request::Plain(command.clone())),
        };
        let wanders = operation.is_read() && self.random.permille(desk.habits.wandering);
        let node = match desk.habits.placement {
            Placement::Random => *self.random.pick(desk.nodes),
            _ if wanders => *self.random.pick(desk.nodes),
            Placement::Pinned if operation.is_read() => self.home,
            Placement::Pinned | Placement::Leader => self.leader,
        };
        Step::Ask(node, asker, ask)
    }

    /// Takes an answer, unless it comes too late.
    pub(crate) fn hear(
        &mut self,
        attempt: u64,
        reply: Reply,
        desk: &mut Desk<'_>,
    ) -> Result<Option<Step>, Violation> {
        if attempt != self.attempt {
            return Ok(None);
        }
        let (operation, is_opening) = match &self.task {
            Task::Idle => return Ok(None),
            Task::Opening(operation, _) => (operation, true),
            Task::Doing(operation, _) => (operation, false),
        };
        Ok(match reply {
            Reply::Came { outcome: Outcome::Opened { session, .. }, .. } if is_opening => {
                (self.session, self.sequence) = (Some(session), 0);
                let Task::Opening(operation, _) = std::mem::replace(&mut self.task, Task::Idle)
                else {
                    return Ok(None);
                };
                Some(self.begin(*operation, desk))
            }
            Reply::Came { outcome: Outcome::Applied { position, outcome }, .. } => {
                let value = describe_outcome(operation, &outcome);
                let position = LogIndex(position.0);
                Some(self.end(Completion::Ok { value, position }, desk))
            }
            Reply::Answered { index, answer } => {
                let value = describe_answer(operation, &answer);
                Some(self.end(Completion::Ok { value, position: index }, desk))
            }
            Reply::Came { outcome: Outcome::Refused(Refusal::Expired), .. } => {
                self.session = None;
                Some(self.give_up(desk))
            }
            Reply::Came { outcome: Outcome::Refused(refusal), .. } => {
                return Err(Violation::Refused { client: self.id, refusal });
            }
            Reply::Came { .. } => None,
            Reply::NotApplied { leader } => self.refused(leader, desk),
            Reply::Unknown => self.doubt(desk),
        })
    }

    /// Waited for too long.
    pub(crate) fn time_out(&mut self, attempt: u64, desk: &mut Desk<'_>) -> Option<Step> {
        (attempt == self.attempt && !self.is_idle()).then(|| self.doubt(desk)).flatten()
    }

    /// The last attempt certainly did nothing.
    fn refused(&mut self, leader: Option<NodeId>, desk: &mut Desk<'_>) -> Option<Step> {
        self.look_elsewhere(leader, desk);
        self.try_again(desk)
    }

    /// Nobody knows whether the last attempt did something.
    fn doubt(&mut self, desk: &mut Desk<'_>) -> Option<Step> {
        self.look_elsewhere(None, desk);
        let (is_harmless, patience) = match &mut self.task {
            Task::Idle => return None,
            // A session that nobody uses ends by itself.
            Task::Opening(_, patience) => (true, patience),
            Task::Doing(operation, patience) => (operation.is_read(), patience),
        };
        patience.is_doubtful |= !is_harmless;
        let may_repeat = is_harmless || self.session.is_some() && desk.habits.session.is_some();
        if may_repeat { self.try_again(desk) } else { Some(self.give_up(desk)) }
    }

    fn look_elsewhere(&mut self, leader: Option<NodeId>, desk: &Desk<'_>) {
        let known = leader.filter(|leader| desk.nodes.contains(leader));
        self.leader = known.unwrap_or_else(|| *self.random.pick(desk.nodes));
    }

    fn try_again(&mut self, desk: &mut Desk<'_>) -> Option<Step> {
        let until = match &self.task {
            Task::Idle => return None,
            Task::Opening(_, patience) | Task::Doing(_, patience) => patience.until,
        };
        if desk.time >= until {
            return Some(self.give_up(desk));
        }
        // What is still under way for the last attempt comes too late.
        self.attempt += 1;
        let asker = Asker { client: self.id, attempt: self.attempt };
        Some(Step::Breathe(asker, self.random.duration(BREATH / 10, BREATH)))
    }

    /// Ends the operation without an answer.
    fn give_up(&mut self, desk: &mut Desk<'_>) -> Step {
        match &self.task {
            Task::Doing(_, Patience { is_doubtful: true, .. }) => self.end(Completion::Info, desk),
            _ => self.end(Completion::Fail, desk),
        }
    }

    fn end(&mut self, completion: Completion, desk: &mut Desk<'_>) -> Step {
        match std::mem::replace(&mut self.task, Task::Idle) {
            Task::Doing(operation, _) => {
                let end = match &completion {
                    Completion::Ok { .. } => End::Answered,
                    Completion::Fail => End::Failed,
                    Completion::Info => End::Unknown,
                };
                desk.history.complete(desk.time, self.process, &operation, completion);
                if end == End::Unknown {
                    self.process += desk.habits.count;
                }
                Step::Ended(operation, end)
            }
            Task::Opening(operation, _) => Step::Ended(operation, End::Failed),
            Task::Idle => unreachable!("only what was begun ends"),
        }
    }

    /// Forgets whom to ask, because somebody left the cluster for good.
    pub(crate) fn forget(&mut self, gone: NodeId, nodes: &[NodeId]) {
        for node in [&mut self.leader, &mut self.home] {
            if *node == gone {
                *node = *self.random.pick(nodes);
            }
        }
    }
}
