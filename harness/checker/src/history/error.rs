//! What can be wrong with a recording: each error says where, what, and what to do.

use std::io;
use std::path::PathBuf;

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be opened or read.
    #[error("failed to read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not a history in this format.
    #[error("{name}:{line}:{column}: {problem}; {remedy}")]
    Malformed {
        /// The recording's name.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The content is one array of JSON instead of lines.
    #[error(
        "{name}:1:1: the content is an array of JSON, not one object a line; write it as lines, such as with jq -c '.[]'"
    )]
    JsonArray {
        /// The recording's name.
        name: String,
    },
    /// The format could not be told from the content.
    #[error(
        "{name}:1:1: the content is neither JSON Lines, EDN nor a Jepsen log; name the format with --format jsonl, edn or jepsen-log"
    )]
    UnknownFormat {
        /// The recording's name.
        name: String,
    },
}

/// Why events do not make up operations.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {problem}; {remedy}")]
pub struct StructureError {
    /// The recording's name.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1, where the event begins.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: &'static str,
}
