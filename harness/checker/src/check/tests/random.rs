//! Random histories: clients against a reference, with some answers distorted afterwards.

use serde_json::{Value, json};

use crate::history::{
    Event, EventType, Format, Moment, Operation, Outcome, Process, Recorded, Recording,
};
use crate::model::{Model, Reader};

use super::family::Family;

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a random history is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) clients: u64,
    pub(super) operations: u64,
    /// Percent of operations that end unknown.
    pub(super) info: u64,
    /// Percent of operations that fail.
    pub(super) fail: u64,
    /// Percent of events at the same time as the one before.
    pub(super) ties: u64,
    /// Percent of histories in which an answer is distorted.
    pub(super) distorted: u64,
    /// Whether clients keep their process number after an unknown outcome.
    pub(super) reuses: bool,
    /// Percent of events whose line changes places with the one before, their times kept.
    pub(super) shuffled: u64,
    /// Whether answers name their position in the order in which they were given.
    pub(super) has_positions: bool,
}

impl Shape {
    /// A small shape that depends on the seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        Self {
            clients: 2 + random.below(3),
            operations: 3 + random.below(6),
            info: [0, 15, 35][random.below(3) as usize],
            fail: [0, 10][random.below(2) as usize],
            ties: [0, 0, 40][random.below(3) as usize],
            distorted: 60,
            reuses: random.is(20),
            shuffled: [0, 0, 0, 30][random.below(4) as usize],
            has_positions: random.is(25),
        }
    }
}

/// An operation that was invoked, with its answer once it was applied.
struct Open<M: Model> {
    f: String,
    input: Value,
    op: M::Op,
    /// With it the operation's place among all that were applied.
    answer: Option<(M::Ret, u64)>,
}

/// What a client is about.
struct Client<M: Model> {
    process: u64,
    open: Option<Open<M>>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Ok,
    Fail,
    Info { is_applied: bool },
}

/// Makes a history in the way of the benchmark generator: a random client takes its next step,
/// idle to invoked to applied to completed.
pub(super) fn history<M: Model>(family: &Family<M>, seed: u64, shape: &Shape) -> Recording {
    let mut random = Random::new(seed);
    let mut state = family.initial.clone();
    let mut clients: Vec<Client<M>> =
        (0..shape.clients).map(|process| Client { process, open: None, fate: Fate::Ok }).collect();
    let reader = Reader { nil_read: Default::default(), failed_cas: family.failed_cas };
    let (mut events, mut time, mut issued, mut applied) = (Vec::new(), 0, 0, 0);
    for (f, input) in &family.prelude {
        let op = (family.read)(&operation(PRELUDE, f, input).as_ref(), &reader)
            .expect("what is proposed can be read")
            .op;
        let (event_type, value) = (family.render)(&op, &state.invoke(&op), input);
        for (event_type, value) in [(EventType::Invoke, input.clone()), (event_type, value)] {
            time += 1;
            let mut event = event(family.key, time, PRELUDE, event_type, f, value);
            event.position = Some(0).filter(|_| shape.has_positions && event_type == EventType::Ok);
            events.push(event);
        }
    }
    loop {
        let is_over =
            issued == shape.operations && clients.iter().all(|client| client.open.is_none());
        if is_over || (issued == shape.operations && random.is(2)) {
            break;
        }
        let chosen = random.below(shape.clients) as usize;
        let client = &mut clients[chosen];
        let mut emit = |process, event_type, f: &str, value, random: &mut Random| {
            time += u64::from(!random.is(shape.ties));
            events.push(event(family.key, time, process, event_type, f, value));
        };
        let Some(Open { f, input, op, answer }) = &mut client.open else {
            if issued == shape.operations {
                continue;
            }
            issued += 1;
            let (f, input) = (family.propose)(&mut random);
            let operation = operation(client.process, f, &input);
            let op = (family.read)(&operation.as_ref(), &reader)
                .expect("what is proposed can be read")
                .op;
            client.fate = match random.below(100) {
                roll if roll < shape.info => Fate::Info { is_applied: random.is(50) },
                roll if roll < shape.info + shape.fail => Fate::Fail,
                _ => Fate::Ok,
            };
            emit(client.process, EventType::Invoke, f, input.clone(), &mut random);
            client.open = Some(Open { f: f.to_owned(), input, op, answer: None });
            continue;
        };
        let will_apply = matches!(client.fate, Fate::Ok | Fate::Info { is_applied: true });
        if will_apply && answer.is_none() {
            let before = state.clone();
            let seen = state.invoke(op);
            // What changed nothing bears the number of what it saw.
            applied += u64::from(state != before);
            *answer = Some((seen, applied));
            continue;
        }
        match client.fate {
            Fate::Ok => {
                let (answer, position) = answer.as_ref().expect("it was applied");
                let (event_type, value) = (family.render)(op, answer, input);
                emit(client.process, event_type, f, value, &mut random);
                if shape.has_positions
                    && let Some(event) = events.last_mut()
                {
                    event.position = Some(*position);
                }
            }
            Fate::Fail => emit(client.process, EventType::Fail, f, input.clone(), &mut random),
            Fate::Info { .. } => {
                // Some simply never complete.
                let is_told = random.is(70);
                if is_told {
                    emit(client.process, EventType::Info, f, Value::Null, &mut random);
                }
                if !(is_told && shape.reuses) {
                    client.process += shape.clients;
                }
            }
        }
        client.open = None;
    }
    if random.is(shape.distorted) {
        let answered: Vec<usize> =
            (0..events.len()).filter(|index| events[*index].event_type == EventType::Ok).collect();
        for _ in 0..=random.below(2) {
            if !answered.is_empty() {
                let index = answered[random.below(answered.len() as u64) as usize];
                let mut value = Value::from(&events[index].value);
                distort(&mut value, &mut random);
                events[index].value = value.into();
            }
        }
    }
    for index in 1..events.len() {
        if events[index - 1].process != events[index].process && random.is(shape.shuffled) {
            events.swap(index - 1, index);
        }
    }
    let events = events.into_iter().enumerate().map(|(index, event)| Recorded {
        line: index + 1,
        column: 1,
        event,
    });
    Recording {
        name: "random".to_owned(),
        format: Format::Jsonl,
        format_reason: "it was made up",
        events: events.collect(),
        is_closed: false,
        warnings: Vec::new(),
    }
}

/// The process that does the prelude.
const PRELUDE: u64 = 1_000_000;

fn event(
    key: Option<&str>,
    time: u64,
    process: u64,
    event_type: EventType,
    f: &str,
    value: Value,
) -> Event {
    Event {
        index: None,
        time: Some(time),
        process: Process::Client(process),
        event_type,
        f: f.into(),
        key: key.map(Into::into),
        value: value.into(),
        position: None,
        error: None,
    }
}

/// Changes a leaf of an answer.
fn distort(value: &mut Value, random: &mut Random) {
    match value {
        Value::Null => *value = json!(random.below(3)),
        Value::Bool(bool) => *bool = !*bool,
        Value::Number(number) => {
            let near = number.as_u64().unwrap_or(0) + 2 - random.below(3);
            *value =
                if random.is(50) { json!(random.below(4)) } else { json!(near.saturating_sub(1)) };
        }
        Value::String(text) if text.len() < 3 => {
            *text = ["", "a", "b", "ab", "ba"][random.below(5) as usize].to_owned()
        }
        Value::String(text) => {
            *text = ["insufficient-cash", "unknown-account", "account-exists"]
                [random.below(3) as usize]
                .to_owned()
        }
        Value::Array(parts) if !parts.is_empty() => {
            let index = random.below(parts.len() as u64) as usize;
            distort(&mut parts[index], random);
        }
        Value::Object(parts) if !parts.is_empty() => {
            let index = random.below(parts.len() as u64) as usize;
            let part = parts.values_mut().nth(index).expect("the index is within");
            distort(part, random);
        }
        Value::Array(_) | Value::Object(_) => {}
    }
}

/// An operation with nothing but a question, to read it.
fn operation(process: u64, f: &str, input: &Value) -> Operation {
    let moment = Moment { instant: 0, line: 0, event: 0 };
    Operation {
        process,
        f: f.into(),
        key: Some("bk".into()),
        input: input.clone().into(),
        outcome: Outcome::Info,
        invoked: moment,
        completed: None,
        position: None,
    }
}
