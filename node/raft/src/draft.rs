//! The effects of one input while it is being handled.

use crate::effect::{Output, Write};
use crate::message::Message;
use crate::types::{Entry, HardState, LogIndex, NodeId, WriteId};

/// What one input has led to so far: one write for everything that must become durable, and the
/// other outputs in order. It is drained before the next input.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    hard_state: Option<HardState>,
    truncate_from: Option<LogIndex>,
    entries: Vec<Entry>,
    outputs: Vec<Drafted>,
}

#[derive(Debug)]
enum Drafted {
    Output(Output),
    /// Waits for every write up to and including this input's.
    Gated {
        to: NodeId,
        message: Message,
    },
}

impl Draft {
    pub(crate) fn persist_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = Some(hard_state);
    }

    /// Notes a truncation; it must come before the entries that one input appends.
    pub(crate) fn persist_truncation(&mut self, from: LogIndex) {
        assert!(self.entries.is_empty(), "a write truncates before it appends");
        self.truncate_from = Some(from);
    }

    pub(crate) fn persist_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push(Drafted::Output(output));
    }

    /// Sends at once.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.push(Output::Send { to, message, after: None });
    }

    /// Sends once everything written so far, this input's write included, is durable.
    pub(crate) fn send_when_durable(&mut self, to: NodeId, message: Message) {
        self.outputs.push(Drafted::Gated { to, message });
    }

    /// Takes out the write, if there is one, under the number `id`.
    pub(crate) fn take_write(&mut self, id: WriteId) -> Option<Write> {
        let nothing =
            self.hard_state.is_none() && self.truncate_from.is_none() && self.entries.is_empty();
        (!nothing).then(|| Write {
            id,
            hard_state: self.hard_state.take(),
            truncate_from: self.truncate_from.take(),
            entries: std::mem::take(&mut self.entries),
        })
    }

    /// Hands over the other outputs; gated messages wait for `gate`.
    pub(crate) fn finish(self, gate: Option<WriteId>, outputs: &mut Vec<Output>) {
        outputs.extend(self.outputs.into_iter().map(|drafted| match drafted {
            Drafted::Output(output) => output,
            Drafted::Gated { to, message } => Output::Send { to, message, after: gate },
        }));
    }
}
