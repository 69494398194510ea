//! What the clients of a run saw, as any run records it, and the checker's verdict on it.

use std::time::Duration;

use checker::check::{CheckError, Options, Report, check};
use checker::history::{Event, EventType, Format, Process, Recorded, Recording, write_event};
use checker::model::ModelName;
use raft::LogIndex;
use serde_json::Value;

use crate::plan::Workload;
use crate::time::Time;
use crate::workload::Operation;

/// The events of a run, in the order of their times.
#[derive(Debug, Default)]
pub(crate) struct History {
    events: Vec<Event>,
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
        if let Some(event) = self.events.last_mut() {
            event.position = position;
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
        self.events.push(Event {
            index: Some(self.events.len() as u64),
            time: Some(time.0),
            process: Process::Client(process),
            event_type,
            f: operation.f.to_owned(),
            key: Some(operation.key.clone()),
            value,
            position: None,
            error: None,
        });
    }

    /// Adds a remark of the nemesis.
    pub(crate) fn remark(&mut self, time: Time, f: &str, text: String) {
        self.events.push(Event {
            index: Some(self.events.len() as u64),
            time: Some(time.0),
            process: Process::NEMESIS,
            event_type: EventType::Info,
            f: f.to_owned(),
            key: None,
            value: Value::String(text),
            position: None,
            error: None,
        });
    }

    /// Returns the history as JSON Lines.
    pub(crate) fn to_lines(&self) -> Vec<u8> {
        let mut lines = vec![];
        for event in &self.events {
            write_event(&mut lines, event).expect("a vector takes all that is written");
        }
        lines
    }

    /// Judges what the clients saw.
    pub(crate) fn judge(
        self,
        name: String,
        workload: Workload,
        time_limit: Duration,
    ) -> Result<Report, CheckError> {
        let events = self.events.into_iter().enumerate();
        let recording = Recording {
            name,
            format: Format::Jsonl,
            format_reason: "the simulator recorded it",
            events: events
                .map(|(place, event)| Recorded { line: place + 1, column: 1, event })
                .collect(),
            is_closed: false,
            warnings: vec![],
        };
        let model = match workload {
            Workload::Ledger => ModelName::Ledger,
            Workload::Register => ModelName::KvRegister,
            Workload::Kv => ModelName::Kv,
        };
        let options = Options { model: Some(model), time_limit, ..Options::default() };
        check(&recording, &options)
    }
}
