//! Operations: every invocation paired with its completion, as a closed interval.
//!
//! What precedes what is decided by time if all events of clients carry one, else by the order
//! of the lines. Intervals are closed: an operation precedes another only if it completed
//! *before* the other was invoked, so a tie counts as concurrent. The one exception is a process
//! of its own: it does one thing after the other, ties or not. Across keys that are judged apart
//! this exception is lost, as an order of each key need not fit together with those of the others
//! where instants tie; such a history is warned of.

use rustc_hash::FxHashMap;

use super::{EventType, Process, Recording, StructureError, Text, Value, Warning};

/// A point in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The instant that decides what precedes what: nanoseconds, or the number of the event.
    pub instant: u64,
    /// The line on which the event stands, from 1.
    pub line: usize,
    /// Where the event stands among all events.
    pub event: usize,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It happened, with this answer.
    Ok(Value),
    /// It certainly did not happen; the value is the completion's.
    Fail(Value),
    /// Nobody knows.
    Info,
}

/// An invocation and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The client.
    pub process: u64,
    /// The function.
    pub f: Text,
    /// The object that it is about, if the recording names one apart from the value.
    pub key: Option<Text>,
    /// What it was asked to do.
    pub input: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was invoked.
    pub invoked: Moment,
    /// When it was completed; none if it never was. An `info` completes nothing, but is noted.
    pub completed: Option<Moment>,
    /// Where the system says it stands in its own order.
    pub position: Option<u64>,
}

/// What decides which operation precedes which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The events' times; ties are concurrent.
    Time,
    /// The order of the lines.
    Lines,
}

/// The operations of a recording, in the order of their invocations in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Operations {
    /// The operations.
    pub list: Vec<Operation>,
    /// What decides their precedence.
    pub order: Order,
    /// What the reader should know.
    pub warnings: Vec<Warning>,
}

/// Pairs the events of a recording; the nemesis' events are remarks and stay out.
pub fn operations(recording: &Recording) -> Result<Operations, StructureError> {
    let (order, mut warnings) = order_of(recording);
    let mut list: Vec<Operation> = Vec::with_capacity(recording.events.len() / 2);
    let mut clients: FxHashMap<u64, Client> = FxHashMap::default();
    for (index, recorded) in recording.events.iter().enumerate() {
        let event = &recorded.event;
        let Process::Client(process) = event.process else {
            continue;
        };
        let wrong = |problem, remedy| {
            Err(StructureError {
                name: recording.name.clone(),
                line: recorded.line,
                column: recorded.column,
                problem,
                remedy,
            })
        };
        let moment = Moment {
            instant: match (order, event.time) {
                (Order::Time, Some(time)) => time,
                _ => index as u64,
            },
            line: recorded.line,
            event: index,
        };
        let client = clients.entry(process).or_insert(Client {
            open: None,
            last: moment,
            latest: None,
            completed: None,
            is_lost: false,
        });
        if moment.instant < client.last.instant {
            let problem = format!(
                "the time of process {process} runs backwards from line {}",
                client.last.line
            );
            return wrong(
                problem,
                "times of one process must not fall: mend them, or remove all times",
            );
        }
        client.last = moment;
        match (event.event_type, client.open) {
            (EventType::Invoke, Some(open)) => {
                let line = list[open].invoked.line;
                let problem = format!(
                    "process {process} invokes {}, but its operation of line {line} is still open",
                    event.f
                );
                return wrong(
                    problem,
                    "a process does one thing at a time: give every client its own number",
                );
            }
            (EventType::Invoke, None) => {
                if std::mem::take(&mut client.is_lost)
                    && !warnings.iter().any(|warning| warning.message == REUSED)
                {
                    warnings.push(Warning { line: recorded.line, message: REUSED.to_owned() });
                }
                let is_elsewhere = |last: usize| list[last].key != event.key;
                if order == Order::Time
                    && client.completed == Some(moment.instant)
                    && client.latest.is_some_and(is_elsewhere)
                    && !warnings.iter().any(|warning| warning.message == TIED_KEYS)
                {
                    warnings.push(Warning { line: recorded.line, message: TIED_KEYS.to_owned() });
                }
                client.latest = Some(list.len());
                client.open = Some(list.len());
                list.push(Operation {
                    process,
                    f: event.f.clone(),
                    key: event.key.clone(),
                    input: event.value.clone(),
                    outcome: Outcome::Info,
                    invoked: moment,
                    completed: None,
                    position: None,
                });
            }
            (_, None) => {
                let problem =
                    format!("process {process} completes {}, but has invoked nothing", event.f);
                return wrong(problem, "is the beginning of the recording missing?");
            }
            (_, Some(open)) => {
                let operation = &mut list[open];
                if operation.f != event.f || (event.key.is_some() && operation.key != event.key) {
                    let line = operation.invoked.line;
                    let problem = format!(
                        "this completes another operation than process {process} invoked on line {line}"
                    );
                    return wrong(
                        problem,
                        "a completion repeats the f and the key of its invocation",
                    );
                }
                operation.outcome = match event.event_type {
                    EventType::Ok => Outcome::Ok(event.value.clone()),
                    EventType::Fail => Outcome::Fail(event.value.clone()),
                    _ => Outcome::Info,
                };
                operation.completed = Some(moment);
                operation.position = event.position;
                client.open = None;
                client.completed = Some(moment.instant);
                client.is_lost = event.event_type == EventType::Info;
            }
        }
    }
    warnings.sort_by_key(|warning: &Warning| warning.line);
    Ok(Operations { list, order, warnings })
}

/// The warning about a process that goes on after `info`.
const REUSED: &str = "this process goes on after an operation with an unknown outcome, which stays concurrent \
                      with all that follows; recorders give the client a new process number there";

/// The warning about what judging key by key cannot see.
const TIED_KEYS: &str = "this process goes on with another key at the instant at which its operation on one ended; \
                         keys are judged apart, so that the one came after the other is not taken into account";

/// What pairing knows of a client.
struct Client {
    /// Its open operation, as an index into the list.
    open: Option<usize>,
    /// Its latest event.
    last: Moment,
    /// Its last operation, as an index into the list.
    latest: Option<usize>,
    /// The instant at which that one ended.
    completed: Option<u64>,
    /// Whether its last operation ended unknown: that operation may still be running.
    is_lost: bool,
}

/// Decides by what to order the events, and says what is odd about their times.
fn order_of(recording: &Recording) -> (Order, Vec<Warning>) {
    let (mut untimed, mut has_times) = (None, false);
    let mut latest = 0;
    let (mut first, mut count) = (0, 0);
    for recorded in &recording.events {
        match recorded.event.time {
            _ if recorded.event.process == Process::NEMESIS => {}
            Some(time) => {
                has_times = true;
                if time < latest {
                    count += 1;
                    first = if first == 0 { recorded.line } else { first };
                }
                latest = latest.max(time);
            }
            None => _ = untimed.get_or_insert(recorded.line),
        }
        if untimed.is_some() && has_times {
            break;
        }
    }
    let warning = |line, message| vec![Warning { line, message }];
    match untimed {
        Some(line) if has_times => {
            let message = "this event has no time while others have; the order of the lines decides what precedes what";
            (Order::Lines, warning(line, message.to_owned()))
        }
        Some(_) => (Order::Lines, Vec::new()),
        None if count > 0 => {
            let message = format!(
                "{count} events, of which this is the first, stand after later ones; their times were believed"
            );
            (Order::Time, warning(first, message))
        }
        None => (Order::Time, Vec::new()),
    }
}
