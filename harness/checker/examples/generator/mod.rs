//! The generator that other checkers were measured with, so that figures can be set side by side.
//!
//! A counter is the time, raised at every event. A random client takes its next step, idle to
//! invoked to applied to completed, so that what comes out is linearizable by construction and
//! about two thirds of the clients are always at work.

mod ledger;
mod register;

use checker::check::Options;
use checker::history::{
    Event, EventType, Format, Process, Recorded, Recording, read_bytes, write_event,
};
use checker::model::ModelName;
use serde_json::Value;

use ledger::Ledger;
use register::Register;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What a history is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A register into which five different values are written.
    Register,
    /// A register into which no value is written twice.
    Unique,
    /// A register with compare-and-set, and five values.
    Cas,
    /// Ten registers that are judged together.
    Keys,
    /// Books of a stock-trade ledger.
    Ledger,
}

/// Which history to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) clients: u64,
    pub(crate) operations: u64,
    /// How many of a thousand mutations end unknown.
    pub(crate) info: u64,
    pub(crate) seed: u64,
    /// Whether the first read after nine tenths of the operations answers with old news.
    pub(crate) is_stale: bool,
}

/// A row of the tables of how fast judging is.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "not every program that makes histories makes a table of them")]
pub(crate) struct Row {
    /// What it is called.
    pub(crate) name: &'static str,
    kind: Kind,
    /// How many of a thousand mutations end unknown.
    info: u64,
    /// Whether there is a stale read.
    pub(crate) is_stale: bool,
}

/// All rows.
#[allow(dead_code, reason = "not every program that makes histories makes a table of them")]
pub(crate) const ROWS: [Row; 8] = [
    Row { name: "register", kind: Kind::Register, info: 0, is_stale: false },
    Row { name: "unique", kind: Kind::Unique, info: 0, is_stale: false },
    Row { name: "info", kind: Kind::Register, info: 10, is_stale: false },
    Row { name: "stale", kind: Kind::Register, info: 0, is_stale: true },
    Row { name: "unique-stale", kind: Kind::Unique, info: 0, is_stale: true },
    Row { name: "keys", kind: Kind::Keys, info: 0, is_stale: false },
    Row { name: "cas", kind: Kind::Cas, info: 0, is_stale: false },
    Row { name: "lossy", kind: Kind::Register, info: 200, is_stale: false },
];

#[allow(dead_code, reason = "not every program that makes histories makes a table of them")]
impl Row {
    /// Returns the row of a name.
    pub(crate) fn named(name: &str) -> Result<&'static Self, String> {
        ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
            let names = ROWS.map(|row| row.name).join(", ");
            format!("there is no kind `{name}`; choose {names}")
        })
    }

    /// Which history one of its cells is about.
    pub(crate) fn spec(&self, clients: u64, operations: u64, seed: u64) -> Spec {
        let Self { kind, info, is_stale, .. } = *self;
        Spec { kind, clients, operations, info, seed, is_stale }
    }

    /// How to judge it.
    pub(crate) fn options(&self) -> Options {
        let model = match self.kind {
            Kind::Register | Kind::Unique => ModelName::Register,
            Kind::Cas => ModelName::CasRegister,
            Kind::Keys => ModelName::MultiRegister,
            Kind::Ledger => ModelName::Ledger,
        };
        let initial = (self.kind != Kind::Ledger).then(|| Value::from(0).into());
        Options { model: Some(model), initial, ..Options::default() }
    }
}

/// So many events are read at a time: what their lines take is next to nothing beside a million of
/// them.
const EVENTS_AT_ONCE: usize = 10_000;

/// Makes a history as it is read from a file: what texts its events share, they share here.
#[allow(dead_code, reason = "not every program that makes histories wants one in memory")]
pub(crate) fn record(spec: Spec) -> Result<Recording, String> {
    let mut whole: Option<Recording> = None;
    let mut read = |lines: &mut Vec<u8>| -> Result<(), String> {
        let piece = read_bytes("generated", lines, Some(Format::Jsonl));
        let piece = piece.map_err(|error| error.to_string())?;
        lines.clear();
        let Some(whole) = &mut whole else {
            whole = Some(piece);
            return Ok(());
        };
        let before = whole.events.len();
        let events = piece.events.into_iter();
        whole.events.extend(events.map(|event| Recorded { line: event.line + before, ..event }));
        Ok(())
    };
    let (mut lines, mut count, mut result) = (Vec::new(), 0, Ok(()));
    generate(spec, |event| {
        write_event(&mut lines, &event).expect("a vector takes all that is written");
        count += 1;
        if count % EVENTS_AT_ONCE == 0 && result.is_ok() {
            result = read(&mut lines);
        }
    });
    result?;
    read(&mut lines)?;
    whole.ok_or_else(|| "nothing was made".to_owned())
}

/// What is asked of the reference.
pub(crate) struct Question {
    key: Option<String>,
    f: &'static str,
    value: Value,
    is_mutation: bool,
}

/// When a question was asked: the count of events by then.
type Called = u64;

/// What answers the questions.
trait Reference {
    fn ask(&mut self, random: &mut Random) -> Question;
    fn apply(&mut self, question: &Question) -> (EventType, Value);
    /// The reads with which a run ends.
    fn ask_last(&self) -> Vec<Question> {
        Vec::new()
    }
    /// Takes note of an answer that a client saw.
    fn note(&mut self, _question: &Question, _called: Called, _answered: u64) {}
    /// What the same question was answered long ago, if that is certainly wrong now.
    fn stale(&mut self, question: &Question, called: Called) -> Option<Value>;
}

/// A client's place in its operation.
struct Client {
    process: u64,
    question: Option<Question>,
    called: Called,
    answer: Option<(EventType, Value)>,
    /// Whether the outcome will be unknown, and if so whether it happens.
    lost: Option<bool>,
}

/// Makes a history, event by event.
pub(crate) fn generate(spec: Spec, mut emit: impl FnMut(Event)) {
    let Spec { clients, operations, info, .. } = spec;
    let mut random = Random(spec.seed);
    let mut is_stale_due = spec.is_stale;
    let mut reference: Box<dyn Reference> = match spec.kind {
        Kind::Ledger => Box::new(Ledger::default()),
        kind => Box::new(Register::new(kind)),
    };
    let idle = |process| Client { process, question: None, called: 0, answer: None, lost: None };
    let mut slots: Vec<Client> = (0..clients).map(idle).collect();
    let (mut time, mut issued, mut completed) = (0, 0, 0);
    while completed < operations {
        let slot = &mut slots[random.below(clients) as usize];
        let mut emit = |process, question: &Question, event_type, value| {
            emit(event(time, process, question, event_type, value));
            time += 1;
            time
        };
        let Some(question) = &slot.question else {
            if issued < operations {
                issued += 1;
                let question = reference.ask(&mut random);
                slot.lost = (question.is_mutation && random.below(1000) < info)
                    .then(|| random.below(2) == 0);
                slot.called =
                    emit(slot.process, &question, EventType::Invoke, question.value.clone());
                slot.question = Some(question);
            }
            continue;
        };
        if slot.answer.is_none() && slot.lost != Some(false) {
            slot.answer = Some(reference.apply(question));
            continue;
        }
        if slot.lost.is_some() {
            emit(slot.process, question, EventType::Info, Value::Null);
            slot.process += clients;
        } else if let Some((event_type, mut value)) = slot.answer.take() {
            if is_stale_due
                && completed * 10 >= operations * 9
                && let Some(stale) = reference.stale(question, slot.called)
            {
                is_stale_due = stale == value;
                value = stale;
            }
            let answered = emit(slot.process, question, event_type, value);
            reference.note(question, slot.called, answered);
        }
        completed += 1;
        *slot = idle(slot.process);
    }
    // A run ends with reads of everything, made one after the other.
    for (process, question) in reference.ask_last().into_iter().enumerate() {
        let (event_type, answer) = reference.apply(&question);
        for (event_type, value) in
            [(EventType::Invoke, question.value.clone()), (event_type, answer)]
        {
            emit(event(time, u64::MAX - process as u64, &question, event_type, value));
            time += 1;
        }
    }
}

/// Makes an event; the number that counts the events is also their time.
fn event(
    time: u64,
    process: u64,
    question: &Question,
    event_type: EventType,
    value: Value,
) -> Event {
    Event {
        index: Some(time),
        time: Some(time),
        process: Process::Client(process),
        event_type,
        f: question.f.into(),
        key: question.key.as_deref().map(Into::into),
        value: value.into(),
        position: None,
        error: None,
    }
}
