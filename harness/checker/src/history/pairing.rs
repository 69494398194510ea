//! Pairing: which events of a recording make up its operations.
//!
//! What precedes what is decided by time if all events of clients carry one, else by the order
//! of the lines. Intervals are closed: an operation precedes another only if it completed
//! *before* the other was invoked, so a tie counts as concurrent. The one exception is a process
//! of its own: it does one thing after the other, ties or not. Across keys that are judged apart
//! this exception is lost, as an order of each key need not fit together with those of the others
//! where instants tie; such a history is warned of.

use std::hint::black_box;
use std::num::NonZeroU32;

use super::{
    ByProcess, Event, EventType, Moment, Operation, OperationRef, Order, Outcome, Process,
    Recorded, Recording, StructureError, Value, Warning,
};

/// So many operations ahead of where they are read, their completions are fetched.
const AHEAD: usize = 8;

/// The events of one operation, by their places in the recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) invoked: u32,
    /// None if it never was completed. No completion is the first event.
    pub(crate) completed: Option<NonZeroU32>,
}

impl Pair {
    /// Its latest event.
    fn last(self) -> u32 {
        self.completed.map_or(self.invoked, NonZeroU32::get)
    }
}

/// The operations of a recording, in the order of their invocations in the file: which events they
/// are, and nothing of what stands in these.
#[derive(Debug)]
pub(crate) struct Pairing<'a> {
    recording: &'a Recording,
    pairs: Vec<Pair>,
    /// What decides their precedence.
    pub(crate) order: Order,
    /// What the reader should know.
    pub(crate) warnings: Vec<Warning>,
    /// What there is among them.
    pub(crate) tally: Tally,
}

/// What there is among the operations of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// How many happened.
    pub(crate) ok: usize,
    /// How many certainly did not happen.
    pub(crate) fail: usize,
    /// Whether a read was answered with nil, or with nil as a part.
    pub(crate) has_nil_read: bool,
    /// Whether a compare-and-set failed.
    pub(crate) has_failed_cas: bool,
}

impl Tally {
    fn note(&mut self, event_type: EventType, f: &str, value: &Value) {
        match event_type {
            EventType::Ok => {
                self.ok += 1;
                self.has_nil_read |= has_nil(value) && is_read(f);
            }
            EventType::Fail => {
                self.fail += 1;
                self.has_failed_cas |= f == "cas";
            }
            EventType::Invoke | EventType::Info => {}
        }
    }
}

fn is_read(f: &str) -> bool {
    matches!(
        f,
        "read"
            | "get"
            | "txn"
            | "dequeue"
            | "pop"
            | "pop-min"
            | "pop-max"
            | "delete-min"
            | "delete-max"
    )
}

/// Whether a read's value is nil, or holds nil as a part.
fn has_nil(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(parts) => parts.iter().any(has_nil),
        Value::Object(parts) => parts.values().any(has_nil),
        _ => false,
    }
}

impl<'a> Pairing<'a> {
    /// Pairs the events of a recording; the nemesis' events are remarks and stay out.
    pub(crate) fn of(recording: &'a Recording) -> Result<Self, StructureError> {
        // Nearly all recordings have times. What goes wrong by times that only some events have does
        // not matter.
        let mut times = Times::default();
        let by_time = Self::by(recording, Order::Time, |recorded| {
            times.note(recorded);
            times.untimed.is_none()
        });
        for recorded in &recording.events[times.noted..] {
            times.note(recorded);
            if times.are_mixed() {
                break;
            }
        }
        let (order, warning) = times.order();
        let mut pairing = match order {
            Order::Time => by_time,
            Order::Lines => Self::by(recording, Order::Lines, |_| true),
        }?;
        pairing.warnings.splice(..0, warning);
        pairing.warnings.sort_by_key(|warning| warning.line);
        Ok(pairing)
    }

    /// Pairs the events in this order, as long as that is worth it.
    fn by(
        recording: &'a Recording,
        order: Order,
        mut is_worth_it: impl FnMut(&Recorded) -> bool,
    ) -> Result<Self, StructureError> {
        let pairs = Vec::with_capacity(recording.events.len() / 2);
        let (warnings, tally) = (Vec::new(), Tally::default());
        let mut pairing = Self { recording, pairs, order, warnings, tally };
        let mut clients: ByProcess<Client> = ByProcess::asked(recording.events.len());
        for (index, recorded) in recording.events.iter().enumerate() {
            if !is_worth_it(recorded) {
                break;
            }
            if let Process::Client(process) = recorded.event.process {
                let event = u32::try_from(index)
                    .expect("a history of four billion events does not fit in memory");
                pairing.push(process, clients.of(process), event)?;
            }
        }
        Ok(pairing)
    }

    /// The operations that these events are, by the times of the events.
    pub(crate) fn of_pairs(recording: &'a Recording, pairs: Vec<Pair>) -> Self {
        let (warnings, tally) = (Vec::new(), Tally::default());
        Self { recording, pairs, order: Order::Time, warnings, tally }
    }

    /// Takes the next event, which is of this client.
    fn push(
        &mut self,
        process: u64,
        client: &mut Client,
        index: u32,
    ) -> Result<(), StructureError> {
        let instant = self.instant(index);
        let recorded = &self.recording.events[index as usize];
        let event = &recorded.event;
        let wrong = |problem, remedy| StructureError {
            name: self.recording.name.clone(),
            line: recorded.line,
            column: recorded.column,
            problem,
            remedy,
        };
        if instant < client.last
            && let Some(latest) = client.latest
        {
            let last = self.pairs[latest].last();
            let line = self.recording.events[last as usize].line;
            let problem = format!("the time of process {process} runs backwards from line {line}");
            return Err(wrong(
                problem,
                "times of one process must not fall: mend them, or remove all times",
            ));
        }
        let is_tied = std::mem::replace(&mut client.last, instant) == instant;
        let latest = client.latest.map(|latest| (latest, self.pairs[latest].invoked));
        let invocation = latest.map(|(_, invoked)| &self.recording.events[invoked as usize]);
        let (open, invocation) = match (latest, invocation) {
            (Some((open, _)), Some(invocation)) if client.is_open => (open, invocation),
            _ if event.event_type != EventType::Invoke => {
                let problem =
                    format!("process {process} completes {}, but has invoked nothing", event.f);
                return Err(wrong(problem, "is the beginning of the recording missing?"));
            }
            (_, before) => {
                if std::mem::take(&mut client.is_lost) {
                    self.warn(recorded.line, REUSED);
                }
                let is_elsewhere = before.is_some_and(|before| before.event.key != event.key);
                if is_tied && is_elsewhere && self.order == Order::Time {
                    self.warn(recorded.line, TIED_KEYS);
                }
                client.latest = Some(self.pairs.len());
                client.is_open = true;
                self.pairs.push(Pair { invoked: index, completed: None });
                return Ok(());
            }
        };
        if event.event_type == EventType::Invoke {
            let problem = format!(
                "process {process} invokes {}, but its operation of line {} is still open",
                event.f, invocation.line
            );
            return Err(wrong(
                problem,
                "a process does one thing at a time: give every client its own number",
            ));
        }
        let Event { f, key, .. } = &invocation.event;
        if *f != event.f || (event.key.is_some() && *key != event.key) {
            let problem = format!(
                "this completes another operation than process {process} invoked on line {}",
                invocation.line
            );
            return Err(wrong(problem, "a completion repeats the f and the key of its invocation"));
        }
        self.tally.note(event.event_type, f, &event.value);
        self.pairs[open].completed = NonZeroU32::new(index);
        client.is_open = false;
        client.is_lost = event.event_type == EventType::Info;
        Ok(())
    }

    /// Warns of something once.
    fn warn(&mut self, line: usize, message: &str) {
        if !self.warnings.iter().any(|warning| warning.message == message) {
            self.warnings.push(Warning { line, message: message.to_owned() });
        }
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Returns an operation by its place.
    pub(crate) fn get(&self, operation: usize) -> OperationRef<'a> {
        let Pair { invoked, completed } = self.pairs[operation];
        let event = |event: u32| &self.recording.events[event as usize].event;
        let invocation = event(invoked);
        let Process::Client(process) = invocation.process else {
            unreachable!("remarks of the nemesis stay out");
        };
        let completion = completed.map(|completed| event(completed.get()));
        let outcome = completion.map_or(Outcome::Info, |event| match event.event_type {
            EventType::Ok => Outcome::Ok(&event.value),
            EventType::Fail => Outcome::Fail(&event.value),
            EventType::Invoke | EventType::Info => Outcome::Info,
        });
        Operation {
            process,
            f: &invocation.f,
            key: invocation.key.as_ref(),
            input: &invocation.value,
            outcome,
            invoked: self.moment(invoked),
            completed: completed.map(|completed| self.moment(completed.get())),
            position: completion.and_then(|event| event.position),
        }
    }

    /// Returns one operation after the other.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = OperationRef<'a>> {
        (0..self.len()).map(|operation| {
            self.fetch(operation + AHEAD);
            self.get(operation)
        })
    }

    /// Has the processor fetch a completion. Where many operations are open at once completions stand
    /// here and there ahead of the invocations, which no processor guesses, and each would be waited
    /// for.
    fn fetch(&self, operation: usize) {
        if let Some(Pair { completed: Some(event), .. }) = self.pairs.get(operation) {
            let Recorded { line, event, .. } = &self.recording.events[event.get() as usize];
            black_box((*line, event.event_type));
        }
    }

    fn moment(&self, event: u32) -> Moment {
        let line = self.recording.events[event as usize].line;
        Moment { instant: self.instant(event), line, event: event as usize }
    }

    fn instant(&self, event: u32) -> u64 {
        match (self.order, self.recording.events[event as usize].event.time) {
            (Order::Time, Some(time)) => time,
            _ => u64::from(event),
        }
    }
}

/// The warning about a process that goes on after `info`.
const REUSED: &str = "this process goes on after an operation with an unknown outcome, which stays concurrent \
                      with all that follows; recorders give the client a new process number there";

/// The warning about what judging key by key cannot see.
const TIED_KEYS: &str = "this process goes on with another key at the instant at which its operation on one ended; \
                         keys are judged apart, so that the one came after the other is not taken into account";

/// What pairing knows of a client.
#[derive(Default)]
struct Client {
    /// Its last operation, by its place.
    latest: Option<usize>,
    /// Whether that one was not completed yet.
    is_open: bool,
    /// Whether that one ended unknown: it may still be running.
    is_lost: bool,
    /// The instant of its latest event.
    last: u64,
}

/// What the events' times are like, noted one by one.
#[derive(Default)]
struct Times {
    /// How many events were noted.
    noted: usize,
    /// The line of the first event without a time.
    untimed: Option<usize>,
    has_times: bool,
    /// The latest time.
    latest: u64,
    /// How many events stand after later ones, and the line of the first.
    late: usize,
    first_late: usize,
}

impl Times {
    /// Notes the next event.
    fn note(&mut self, recorded: &Recorded) {
        self.noted += 1;
        match recorded.event.time {
            _ if recorded.event.process == Process::NEMESIS => {}
            Some(time) => {
                self.has_times = true;
                if time < self.latest {
                    self.late += 1;
                    self.first_late =
                        if self.first_late == 0 { recorded.line } else { self.first_late };
                }
                self.latest = self.latest.max(time);
            }
            None => _ = self.untimed.get_or_insert(recorded.line),
        }
    }

    /// Whether some events have a time and some have none.
    fn are_mixed(&self) -> bool {
        self.untimed.is_some() && self.has_times
    }

    /// Decides by what to order the events, and says what is odd about their times.
    fn order(&self) -> (Order, Option<Warning>) {
        let warning = |line, message| Some(Warning { line, message });
        match self.untimed {
            Some(line) if self.are_mixed() => {
                let message = "this event has no time while others have; the order of the lines decides what precedes what";
                (Order::Lines, warning(line, message.to_owned()))
            }
            Some(_) => (Order::Lines, None),
            None if self.late > 0 => {
                let message = format!(
                    "{} events, of which this is the first, stand after later ones; their times were believed",
                    self.late
                );
                (Order::Time, warning(self.first_late, message))
            }
            None => (Order::Time, None),
        }
    }
}
