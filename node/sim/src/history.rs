//! What the clients of a run saw, as any run records it, and the checker's verdict on it.

use std::time::Duration;

use checker::check::{CheckError, Options, Report, check};
use checker::history::{Event, EventType, Format, Process, Recorded, Recording, write_event};
use checker::model::ModelName;
use checker::verdict::{Unknown, Verdict};
use raft::LogIndex;
use serde_json::Value;

use crate::plan::Workload;
use crate::time::Time;
use crate::workload::Operation;

/// How much memory one search may take, in bytes: as many run at a time as there are processors.
const MEMORY_MAX: u64 = 1 << 30;

/// The events of a run, in the order of their times.
#[derive(Debug, Default)]
pub(crate) struct History {
    events: Vec<Recorded>,
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) enum Completion {
    Ok { value: Value, position: LogIndex },
    Fail,
    Info,
}

impl History {
    pub(crate) fn invoke(&mut self, time: Time, process: u64, operation: &Operation) {
        let value = operation.value.clone();
        self.push(time, process, EventType::Invoke, operation, value);
    }

    pub(crate) fn complete(
        &mut self,
        time: Time,
        process: u64,
        operation: &Operation,
        completion: Completion,
    ) {
        let (event_type, value, position) = match completion {
            Completion::Ok { value, position } => (EventType::Ok, value, Some(position.0)),
            Completion::Fail => (EventType::Fail, Value::Null, None),
            Completion::Info => (EventType::Info, Value::Null, None),
        };
        self.push(time, process, event_type, operation, value);
        if let Some(recorded) = self.events.last_mut() {
            recorded.event.position = position;
        }
    }

    fn push(
        &mut self,
        time: Time,
        process: u64,
        event_type: EventType,
        operation: &Operation,
        value: Value,
    ) {
        self.record(Event {
            index: Some(self.events.len() as u64),
            time: Some(time.0),
            process: Process::Client(process),
            event_type,
            f: operation.f.into(),
            key: Some(operation.key.as_str().into()),
            value: value.into(),
            position: None,
            error: None,
        });
    }

    /// Returns the value of the last event; of none it is null.
    pub(crate) fn last_value(&self) -> Value {
        self.events.last().map_or(Value::Null, |recorded| (&recorded.event.value).into())
    }

    /// Adds a remark of the nemesis.
    pub(crate) fn remark(&mut self, time: Time, f: &str, text: String) {
        self.record(Event {
            index: Some(self.events.len() as u64),
            time: Some(time.0),
            process: Process::NEMESIS,
            event_type: EventType::Info,
            f: f.into(),
            key: None,
            value: checker::history::Value::String(text.into()),
            position: None,
            error: None,
        });
    }

    fn record(&mut self, event: Event) {
        let line = self.events.len() + 1;
        self.events.push(Recorded { line, column: 1, event });
    }

    /// Returns the history as JSON Lines.
    pub(crate) fn to_lines(&self) -> Vec<u8> {
        let mut lines = vec![];
        for recorded in &self.events {
            write_event(&mut lines, &recorded.event).expect("a vector takes all that is written");
        }
        lines
    }

    /// Judges what the clients saw: within the first of the times, or else within the second.
    pub(crate) fn judge(
        self,
        name: String,
        workload: Workload,
        [first, second]: [Duration; 2],
    ) -> Result<Report, CheckError> {
        let recording = Recording {
            name,
            format: Format::Jsonl,
            format_reason: "the simulator recorded it",
            events: self.events,
            is_closed: false,
            warnings: vec![],
        };
        let model = match workload {
            Workload::Ledger => ModelName::Ledger,
            Workload::Register => ModelName::KvRegister,
            Workload::Kv => ModelName::Kv,
        };
        let options = Options {
            model: Some(model),
            time_limit: first,
            memory_limit: MEMORY_MAX,
            ..Options::default()
        };
        let report = check(&recording, &options)?;
        match report.verdict {
            Verdict::Unknown { why: Unknown::Time { .. } } => {
                check(&recording, &Options { time_limit: second, ..options })
            }
            _ => Ok(report),
        }
    }
}
