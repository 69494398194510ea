//! The state machine: a register that counts how often it was written.

use raft::{Entry, LogIndex, Payload};

/// A register.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Machine {
    pub(crate) applied: LogIndex,
    /// What was last written; 0 before anything was.
    pub(crate) value: u8,
    writes: u8,
}

impl Machine {
    /// Applies an entry, and returns whether it was its turn.
    pub(crate) fn apply(&mut self, entry: &Entry) -> bool {
        let is_next = entry.index == self.applied.next();
        self.applied = entry.index;
        if let Payload::Command(command) = &entry.payload {
            (self.value, self.writes) = (command[0], self.writes + 1);
        }
        is_next
    }

    pub(crate) fn save(&self) -> Vec<u8> {
        vec![self.value, self.writes]
    }

    pub(crate) fn restore(index: LogIndex, data: &[u8]) -> Self {
        Self { applied: index, value: data[0], writes: data[1] }
    }
}

/// Returns the state in which these entries leave a state machine, as a snapshot holds it.
pub(crate) fn data_after<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u8> {
    let mut machine = Machine::default();
    for entry in entries {
        machine.apply(entry);
    }
    machine.save()
}
