//! Judging a history while it is being recorded: events are fed as they come, and a violation is
//! told as soon as it is certain.
//!
//! Every partition keeps the configurations that explain its past (`search::piece`), and what is
//! open. An operation takes effect before it returns, with the answer that it then has; so what was
//! called can be gone through only once everything called before has ended, and an operation that
//! stays open holds back what comes after it.
//!
//! What a [`Stream`] says:
//!
//! - An [`Alarm`] is certain: no order explains the events so far, and none will explain more of
//!   them, for whatever is open then is taken for unknown, and nothing that comes later forbids less.
//!   Only an event on a later line with an earlier time could; a stream that meets one gives up.
//! - Until the end of the stream every violation is found, unless the stream says that it had to
//!   take an operation for freer than it is ([`Undecided`]). It does so to keep its memory bounded:
//!   if too much waits behind an operation that does not end, if there are too many of unknown
//!   outcome, or if a piece of the history takes too much time or memory. A partition that cannot
//!   be kept small even so is given up, which [`Stream::given_up`] tells at once.
//! - [`Conclusion::Linearizable`] is the word of the engine. It keeps no order that could be
//!   replayed; who wants the proof judges the recording.
//!
//! What is kept is bounded by these limits and by what a state takes, for each partition. A state
//! that grows with the history, such as a ledger's trades, grows with it here too.

mod partition;

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::Serialize;

use crate::check::dispatch::{Subject, Visitor, dispatch};
use crate::check::{CheckError, Options};
use crate::history::{EventType, Moment, Operation, Order, Outcome, Process, Recorded, Text};
use crate::model::{End, Model, ModelName, Reading};
use crate::search::Entry;

use partition::{Partition, Pending};

/// What a stream may keep and take, for each partition.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many operations that have ended may wait for one that has not, before that one is taken
    /// for one of unknown outcome.
    pub waiting: usize,
    /// How many operations of unknown outcome are kept; if there are more, equal ones are taken for
    /// one that may take effect as often as one likes.
    pub unknowns: usize,
    /// How many configurations are kept where there are operations of unknown outcome, before these
    /// may take effect as often as one likes.
    pub configurations: usize,
    /// How many operations must have ended for the next piece to be gone through by itself.
    pub piece: usize,
    /// How long a piece may take.
    pub piece_time: Duration,
    /// How much memory a piece may take, in bytes.
    pub memory: u64,
}

impl Default for Limits {
    /// Ten seconds of a client's patience at several thousand operations a second, and so much work
    /// for one piece that somebody who watches sees no halt.
    fn default() -> Self {
        Self {
            waiting: 1 << 16,
            unknowns: 1 << 10,
            configurations: 1 << 14,
            piece: 1 << 8,
            piece_time: Duration::from_secs(5),
            memory: 1 << 30,
        }
    }
}

/// A violation, as soon as it is certain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The partition in which it is.
    pub key: Option<String>,
    /// The number, from 0, of the completion that no explanation passed, among all events.
    pub completion: usize,
    /// How many events had been read.
    pub events: usize,
}

/// Why nothing is certain of a partition in which no violation was found, or of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Undecided {
    /// An operation was open for so long that it was taken for unknown, and has ended since.
    Waited,
    /// There were so many operations of unknown outcome that they were taken for freer than they are.
    Unknowns,
    /// A piece took too long.
    Time,
    /// A piece took too much memory.
    Memory,
    /// No operation was answered.
    NothingAnswered,
    /// The events do not come in the order of their times, or only some have one.
    Times {
        /// The line on which that shows.
        line: usize,
    },
    /// The event does not go with those before it.
    Malformed {
        /// The line on which it stands.
        line: usize,
    },
    /// The model can make nothing of the event.
    Unreadable {
        /// The line on which it stands.
        line: usize,
    },
}

/// A partition of which a stream says nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GivenUp {
    /// Its key; none if the history is one partition.
    pub key: Option<String>,
    /// Why: what was kept of it grew too large, or took too long.
    pub why: Undecided,
}

/// What a stream says in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Conclusion {
    /// Some order explains every answer.
    Linearizable,
    /// None does.
    Violation(Alarm),
    /// No violation was found, and not everything was seen.
    Unknown(Undecided),
}

/// What a stream holds at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Operations that are open, that wait, or that may take effect at any time.
    pub operations: usize,
    /// Configurations that explain what was passed.
    pub configurations: usize,
}

/// A history that is judged as it comes.
pub struct Stream {
    model: ModelName,
    options: Options,
    limits: Limits,
    /// The `Core` of the model.
    core: Box<dyn Any + Send>,
    state: State,
}

/// What does not depend on the model.
#[derive(Debug, Default)]
struct State {
    events: usize,
    order: Option<Order>,
    latest: u64,
    is_answered: bool,
    alarm: Option<Alarm>,
    /// Why the stream as a whole says nothing more.
    broken: Option<Undecided>,
    given_up: Vec<GivenUp>,
}

impl Stream {
    /// Begins a stream; which model it is cannot be told before there are events.
    ///
    /// # Errors
    /// When the model cannot begin with the initial value of the options.
    pub fn new(model: ModelName, options: Options, limits: Limits) -> Result<Self, CheckError> {
        let core = dispatch(model, &options, Begin)?;
        Ok(Self { model, options, limits, core, state: State::default() })
    }

    /// Takes the next event of the recording; those of the nemesis count, and say nothing.
    ///
    /// Returns the first violation, once. After it the stream takes no more.
    pub fn push(&mut self, recorded: &Recorded) -> Option<Alarm> {
        let event = self.state.events;
        self.state.events += 1;
        let Process::Client(process) = recorded.event.process else { return None };
        if self.state.alarm.is_some() || self.state.broken.is_some() {
            return None;
        }
        let instant = match self.state.instant(recorded, event) {
            Ok(instant) => instant,
            Err(broken) => {
                self.state.broken = Some(broken);
                return None;
            }
        };
        let moment = Moment { instant, line: recorded.line, event };
        self.visit(Ask::Push { recorded, process, moment })
    }

    /// Judges all that can be judged by now, even if it is little.
    ///
    /// Returns the first violation, once. Whoever waits for more events does this before.
    pub fn settle(&mut self) -> Option<Alarm> {
        if self.state.alarm.is_some() || self.state.broken.is_some() {
            return None;
        }
        self.visit(Ask::Settle)
    }

    /// Judges the rest: what is open now has an unknown outcome.
    #[must_use]
    pub fn finish(mut self) -> Conclusion {
        let broken = self.state.broken.is_some();
        if self.state.alarm.is_none() && !broken {
            self.visit(Ask::Finish);
        }
        match (self.state.alarm, self.state.broken) {
            (Some(alarm), _) => Conclusion::Violation(alarm),
            (None, Some(undecided)) => Conclusion::Unknown(undecided),
            (None, None) if !self.state.is_answered => {
                Conclusion::Unknown(Undecided::NothingAnswered)
            }
            (None, None) => Conclusion::Linearizable,
        }
    }

    /// How many events were taken.
    #[must_use]
    pub fn events(&self) -> usize {
        self.state.events
    }

    /// Why the stream as a whole says nothing more, if so.
    #[must_use]
    pub fn broken(&self) -> Option<&Undecided> {
        self.state.broken.as_ref()
    }

    /// The partitions of which it says nothing more, in the order in which it gave them up. A
    /// violation in one of these shows only when the whole is judged.
    #[must_use]
    pub fn given_up(&self) -> &[GivenUp] {
        &self.state.given_up
    }

    /// What is held at present.
    #[must_use]
    pub fn held(&mut self) -> Held {
        let mut held = Held::default();
        self.visit(Ask::Hold(&mut held));
        held
    }

    fn visit(&mut self, ask: Ask<'_>) -> Option<Alarm> {
        let Self { model, options, limits, core, state } = self;
        let visit = Visit { core: core.as_mut(), limits, state, ask };
        // The initial value was accepted when the stream began.
        dispatch(*model, options, visit).ok().flatten()
    }
}

impl State {
    /// Returns what decides the place of an event.
    fn instant(&mut self, recorded: &Recorded, event: usize) -> Result<u64, Undecided> {
        let time = recorded.event.time;
        let order = *self.order.get_or_insert(match time {
            Some(_) => Order::Time,
            None => Order::Lines,
        });
        let instant = match (order, time) {
            (Order::Lines, _) => event as u64,
            (Order::Time, Some(time)) if time >= self.latest => time,
            (Order::Time, _) => return Err(Undecided::Times { line: recorded.line }),
        };
        self.latest = instant;
        Ok(instant)
    }

    /// Returns the instant from which on there may be more events.
    fn bound(&self) -> u64 {
        match self.order {
            Some(Order::Lines) => self.latest + 1,
            Some(Order::Time) | None => self.latest,
        }
    }
}

/// What is open, as the recording has it.
struct Client {
    operation: Operation,
    partition: usize,
}

/// What depends on the model.
struct Core<M: Model> {
    clients: HashMap<u64, Client>,
    /// In the order of first mention.
    partitions: Vec<(Option<Text>, Partition<M>)>,
    by_key: HashMap<Option<Text>, usize>,
    /// Partitions that were told something since all were last settled.
    touched: BTreeSet<usize>,
}

/// Begins with nothing.
struct Begin;

impl Visitor for Begin {
    type Output = Box<dyn Any + Send>;

    fn visit<M: Model>(self, _: &Subject<'_, M>) -> Self::Output {
        Box::new(Core::<M> {
            clients: HashMap::new(),
            partitions: Vec::new(),
            by_key: HashMap::new(),
            touched: BTreeSet::new(),
        })
    }
}

/// What is asked of a core.
enum Ask<'a> {
    Push { recorded: &'a Recorded, process: u64, moment: Moment },
    Settle,
    Finish,
    Hold(&'a mut Held),
}

struct Visit<'a> {
    core: &'a mut (dyn Any + Send),
    limits: &'a Limits,
    state: &'a mut State,
    ask: Ask<'a>,
}

impl Visitor for Visit<'_> {
    type Output = Option<Alarm>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        let core: &mut Core<M> =
            self.core.downcast_mut().expect("a stream keeps to the model it began with");
        let Self { limits, state, ask, .. } = self;
        match ask {
            Ask::Push { recorded, process, moment } => {
                let pushed = core.push(subject, state, recorded, process, moment);
                match pushed {
                    Ok(Some(partition)) => core.settle_if_due(partition, state, limits),
                    Ok(None) => None,
                    Err(broken) => {
                        state.broken = Some(broken);
                        None
                    }
                }
            }
            Ask::Settle => core.settle_all(state, limits),
            Ask::Finish => core.finish(state, limits),
            Ask::Hold(held) => {
                for (_, partition) in &core.partitions {
                    held.operations += partition.operations();
                    held.configurations += partition.configurations();
                }
                None
            }
        }
    }
}

impl<M: Model> Core<M> {
    /// Takes an event of a client; returns the partition of which something ended.
    fn push(
        &mut self,
        subject: &Subject<'_, M>,
        state: &mut State,
        recorded: &Recorded,
        process: u64,
        moment: Moment,
    ) -> Result<Option<usize>, Undecided> {
        let event = &recorded.event;
        let malformed = || Undecided::Malformed { line: recorded.line };
        let read = |operation: &Operation| {
            (subject.read)(&operation.as_ref())
                .map_err(|_| Undecided::Unreadable { line: recorded.line })
        };
        if event.event_type == EventType::Invoke {
            let operation = Operation {
                process,
                f: event.f.clone(),
                key: event.key.clone(),
                input: event.value.clone(),
                outcome: Outcome::Info,
                invoked: moment,
                completed: None,
                position: None,
            };
            let Reading { key, op, .. } = read(&operation)?;
            let partition = *self.by_key.entry(key.clone()).or_insert_with(|| {
                let initial = (subject.initial)(key.as_deref());
                self.partitions.push((key, Partition::new(initial)));
                self.partitions.len() - 1
            });
            self.partitions[partition].1.begin(Pending { process, op, invoked: moment });
            let client = Client { operation, partition };
            return match self.clients.insert(process, client) {
                Some(_) => Err(malformed()),
                None => Ok(None),
            };
        }
        let Client { mut operation, partition } =
            self.clients.remove(&process).ok_or_else(malformed)?;
        if operation.f != event.f || (event.key.is_some() && operation.key != event.key) {
            return Err(malformed());
        }
        operation.outcome = match event.event_type {
            EventType::Ok => Outcome::Ok(event.value.clone()),
            EventType::Fail => Outcome::Fail(event.value.clone()),
            _ => Outcome::Info,
        };
        operation.completed = Some(moment);
        let Reading { key, op, end } = read(&operation)?;
        let (invoked_on, part) = &mut self.partitions[partition];
        if key != *invoked_on {
            return Err(malformed());
        }
        if let End::Answered(seen) = &end {
            state.is_answered |= seen.is_some() || !M::is_pure(&op, None);
        }
        match (part.end(operation.invoked.event), end) {
            // What was asked may become clear by the answer only.
            (Some(pending), End::Answered(seen)) => {
                let pending = Pending { op, ..pending };
                part.add(pending.answered(seen, moment, event.position));
            }
            (Some(pending), End::Open) => part.add(Pending { op, ..pending }.unknown()),
            (Some(_), End::Refused) | (None, End::Open) => {}
            (None, End::Answered(_) | End::Refused) => part.end_late(),
        }
        Ok(Some(partition))
    }

    fn settle_if_due(&mut self, index: usize, state: &mut State, limits: &Limits) -> Option<Alarm> {
        self.touched.insert(index);
        if !self.partitions[index].1.is_due(limits) {
            return None;
        }
        let bound = state.bound();
        self.settle(index, Some(bound), state, limits)
    }

    fn settle_all(&mut self, state: &mut State, limits: &Limits) -> Option<Alarm> {
        let bound = state.bound();
        for index in std::mem::take(&mut self.touched) {
            if let Some(alarm) = self.settle(index, Some(bound), state, limits) {
                return Some(alarm);
            }
            if self.partitions[index].1.is_waiting() {
                self.touched.insert(index);
            }
        }
        None
    }

    fn finish(&mut self, state: &mut State, limits: &Limits) -> Option<Alarm> {
        for index in 0..self.partitions.len() {
            self.partitions[index].1.end_all();
            if let Some(alarm) = self.settle(index, None, state, limits) {
                return Some(alarm);
            }
        }
        let mut undecided = self.partitions.iter_mut().filter_map(|(_, it)| it.undecided.take());
        state.broken = undecided.next();
        None
    }

    /// Passes what is known of a partition, and notes it if that is given up for it.
    fn settle(
        &mut self,
        index: usize,
        bound: Option<u64>,
        state: &mut State,
        limits: &Limits,
    ) -> Option<Alarm> {
        let (key, partition) = &mut self.partitions[index];
        let was_over = partition.is_over();
        if let Some(stuck) = partition.settle(bound, limits) {
            return Some(raise(state, key, &stuck));
        }
        if !was_over && partition.is_over() {
            let why = partition.undecided.clone().expect("it is over for a reason");
            state.given_up.push(GivenUp { key: key.as_deref().map(str::to_owned), why });
        }
        None
    }
}

/// Notes a violation. The entry is a certain one, so that its tie is the event of its completion.
fn raise<M: Model>(state: &mut State, key: &Option<Text>, stuck: &Entry<M>) -> Alarm {
    let alarm = Alarm {
        key: key.as_deref().map(str::to_owned),
        completion: usize::try_from(stuck.tie).expect("it is the place of an event in memory"),
        events: state.events,
    };
    state.alarm = Some(alarm.clone());
    alarm
}
