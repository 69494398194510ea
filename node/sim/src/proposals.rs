//! The commands that were ever proposed.
//!
//! To the core a command is bytes. In the simulator these are its number here, and padding; so every
//! node applies a command without decoding it, and a thousand copies of it in logs cost nothing.

use std::sync::Arc;

use machine::session::{Entry, LogTime, Position, Request};

const NUMBER_LENGTH: usize = size_of::<u64>();

/// Commands by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    entries: Vec<Entry<machine::Command>>,
}

impl Proposals {
    /// Notes a command; returns the bytes that stand for it.
    pub(crate) fn add(
        &mut self,
        time: LogTime,
        request: Request<machine::Command>,
        padding: usize,
    ) -> Arc<[u8]> {
        let number = self.entries.len() as u64;
        self.entries.push(Entry { position: Position(0), time, request });
        let mut bytes = vec![0; NUMBER_LENGTH + padding];
        bytes[..NUMBER_LENGTH].copy_from_slice(&number.to_le_bytes());
        bytes.into()
    }

    pub(crate) fn get(&self, number: u64) -> &Entry<machine::Command> {
        &self.entries[number as usize]
    }

    /// Returns the command as it stands at this place of the log. A proposal is one entry, so it stands
    /// nowhere else.
    pub(crate) fn at(&mut self, number: u64, position: Position) -> &Entry<machine::Command> {
        let entry = &mut self.entries[number as usize];
        entry.position = position;
        entry
    }
}

/// Returns the number of a command.
pub(crate) fn number_of(command: &[u8]) -> u64 {
    let number = command.first_chunk::<NUMBER_LENGTH>();
    u64::from_le_bytes(*number.expect("nothing else is proposed in a simulation"))
}
