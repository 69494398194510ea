//! How a story shows what nodes do and say.

use raft::describe::Words;
use raft::{Message, NodeId, Output};

use crate::proposals::number_of;

/// A command is told by its number.
const WORDS: Words = Words { command: |command| format!("c{}", number_of(command)) };

/// Describes an output in a line, if it is worth one: messages are told when they arrive.
pub(crate) fn output(id: NodeId, output: &Output) -> Option<String> {
    match output {
        Output::Send { .. } | Output::StoreChunk { .. } => None,
        output => Some(WORDS.output(id, output)),
    }
}

/// Describes a message without its sender and recipient.
pub(crate) fn message(message: &Message) -> String {
    WORDS.message(message)
}
