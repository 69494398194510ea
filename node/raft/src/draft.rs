//! The effects of one input while it is being handled.

use std::sync::Arc;

use crate::effect::{Output, Write};
use crate::message::Message;
use crate::types::{Entry, HardState, LogIndex, NodeId, Snapshot, WriteId};

/// What one input has led to so far: one write for everything that must become durable, and the
/// other outputs in order. It is drained before the next input.
#[derive(Debug)]
pub(crate) struct Draft {
    hard_state: Option<HardState>,
    snapshot: Option<Snapshot>,
    truncate_from: Option<LogIndex>,
    entries: Vec<Entry>,
    compact_upto: Option<LogIndex>,
    /// The piece of a snapshot on which this input's write may depend.
    chunk: Option<Output>,
    /// What was there before this input, and then what it led to. A message with an `after` waits for
    /// every write up to and including this input's, whatever the number there.
    outputs: Vec<Output>,
    /// How many of the outputs were there before.
    before: usize,
}

/// Stands for the write that a message waits for, until that has its number.
const UNNUMBERED: WriteId = WriteId(u64::MAX);

impl Draft {
    /// Begins with the outputs that nobody has carried out yet.
    pub(crate) fn behind(outputs: Vec<Output>) -> Self {
        Self {
            hard_state: None,
            snapshot: None,
            truncate_from: None,
            entries: vec![],
            compact_upto: None,
            chunk: None,
            before: outputs.len(),
            outputs,
        }
    }

    pub(crate) fn persist_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = Some(hard_state);
    }

    /// Notes that a gathered snapshot takes the log's place.
    pub(crate) fn persist_snapshot(&mut self, snapshot: Snapshot) {
        assert!(self.entries.is_empty(), "a write replaces the log before it appends");
        self.snapshot = Some(snapshot);
    }

    /// Notes that entries up to `upto` need be kept no longer.
    pub(crate) fn persist_compaction(&mut self, upto: LogIndex) {
        self.compact_upto = Some(upto);
    }

    /// Notes a truncation; it must come before the entries that one input appends.
    pub(crate) fn persist_truncation(&mut self, from: LogIndex) {
        assert!(self.entries.is_empty(), "a write truncates before it appends");
        self.truncate_from = Some(from);
    }

    pub(crate) fn persist_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Keeps a piece of a snapshot, before anything else is done.
    pub(crate) fn store_chunk(&mut self, offset: u64, data: Arc<[u8]>) {
        self.chunk = Some(Output::StoreChunk { offset, data });
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Sends at once.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.push(Output::Send { to, message, after: None });
    }

    /// Sends once everything written so far, this input's write included, is durable.
    pub(crate) fn send_when_durable(&mut self, to: NodeId, message: Message) {
        self.push(Output::Send { to, message, after: Some(UNNUMBERED) });
    }

    /// Returns whether the input has led to anything that must become durable.
    pub(crate) fn has_write(&self) -> bool {
        self.hard_state.is_some()
            || self.snapshot.is_some()
            || self.truncate_from.is_some()
            || !self.entries.is_empty()
            || self.compact_upto.is_some()
    }

    /// Takes out the write, if there is one, under the number `id`.
    pub(crate) fn take_write(&mut self, id: WriteId) -> Option<Write> {
        self.has_write().then(|| Write {
            id,
            hard_state: self.hard_state.take(),
            snapshot: self.snapshot.take(),
            truncate_from: self.truncate_from.take(),
            entries: std::mem::take(&mut self.entries),
            compact_upto: self.compact_upto.take(),
        })
    }

    /// Returns all outputs in their order: what the write depends on, the write, the change of role, and
    /// the rest. Gated messages wait for `gate`.
    pub(crate) fn finish(
        self,
        write: Option<Write>,
        role: Option<Output>,
        gate: Option<WriteId>,
    ) -> Vec<Output> {
        let Self { mut outputs, before, chunk, .. } = self;
        for output in &mut outputs[before..] {
            if let Output::Send { after: after @ Some(_), .. } = output {
                *after = gate;
            }
        }
        // From the last of them to the first.
        if let Some(role) = role {
            outputs.insert(before, role);
        }
        if let Some(write) = write {
            outputs.insert(before, Output::Persist(write));
        }
        if let Some(chunk) = chunk {
            outputs.insert(before, chunk);
        }
        outputs
    }
}
