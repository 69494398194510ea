//! Reading a recording: which format it is in, and its events with their lines.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Event, ReadError, edn, jepsen_log, jsonl};

/// The formats in which histories come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object a line: our own recordings.
    Jsonl,
    /// Maps of EDN, in a vector or list or one after the other: Jepsen's `history.edn`.
    Edn,
    /// The lines that `jepsen.util` logs.
    JepsenLog,
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Jsonl => "JSON Lines",
            Self::Edn => "EDN",
            Self::JepsenLog => "Jepsen log",
        })
    }
}

/// Something about a recording that its reader should know, though it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The line that it is about, from 1.
    pub line: usize,
    /// What it is.
    pub message: String,
}

/// An event and the line on which it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1, where the event begins.
    pub column: usize,
    /// The event.
    pub event: Event,
}

/// The events of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What to call it in messages: usually its path.
    pub name: String,
    /// The format it was read in.
    pub format: Format,
    /// Why it was read in that format.
    pub format_reason: &'static str,
    /// The events in the order of the file.
    pub events: Vec<Recorded>,
    /// Whether its form says that it is whole: EDN in a vector or list that is closed.
    pub is_closed: bool,
    /// What the reader should know, such as a last line that was cut off.
    pub warnings: Vec<Warning>,
}

/// Reads a file; without a format it is told from the content.
pub fn read(path: &Path, format: Option<Format>) -> Result<Recording, ReadError> {
    let content =
        fs::read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    read_bytes(&path.display().to_string(), &content, format)
}

/// Reads a recording from memory; without a format it is told from the content.
pub fn read_bytes(
    name: &str,
    content: &[u8],
    format: Option<Format>,
) -> Result<Recording, ReadError> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    let (format, format_reason) = match format {
        Some(format) => (format, "the caller said so"),
        None => detect(name, content)?,
    };
    let mut recording = Recording {
        name: name.to_owned(),
        format,
        format_reason,
        events: Vec::new(),
        is_closed: false,
        warnings: Vec::new(),
    };
    match format {
        Format::Jsonl => jsonl::read_into(&mut recording, content)?,
        Format::Edn => edn::read_into(&mut recording, content)?,
        Format::JepsenLog => jepsen_log::read_into(&mut recording, content)?,
    }
    Ok(recording)
}

/// Tells the format from the first line that has something on it, and says why; the name is for errors.
pub fn detect(name: &str, content: &[u8]) -> Result<(Format, &'static str), ReadError> {
    let mut lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let Some(first) = lines.find(|line| !line.is_empty() && !line.starts_with(b";")) else {
        return Ok(match content.contains(&b';') {
            true => (Format::Edn, "there is nothing in it but comments"),
            false => (Format::Jsonl, "there is nothing in it"),
        });
    };
    // Where the first line says it all, nobody need look at a million others.
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(first).is_ok() {
        return Ok((Format::Jsonl, "its first line is a JSON object"));
    }
    if jepsen_log::is_operation(first)
        || content.split(|byte| *byte == b'\n').any(jepsen_log::is_operation)
    {
        return Ok((
            Format::JepsenLog,
            "it has lines with :invoke, :ok, :fail or :info between tabs",
        ));
    }
    let after_brace = first.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    match (after_brace, first[0]) {
        (Some([b'"', ..]), _) => Ok((Format::Jsonl, "its first line begins with a JSON object")),
        (Some([b':' | b'#', ..]), _) => {
            Ok((Format::Edn, "it begins with a map that has keyword keys"))
        }
        (Some([]), _) if first == b"{" => {
            Ok((Format::Edn, "it begins with a map over several lines"))
        }
        (None, b'[') if is_json_array(content) => {
            Err(ReadError::JsonArray { name: name.to_owned() })
        }
        (None, b'[' | b'(' | b'#') => Ok((Format::Edn, "it begins with a vector, a list or a tag")),
        _ => Err(ReadError::UnknownFormat { name: name.to_owned() }),
    }
}

/// Whether a content that begins with a bracket is an array of JSON objects, not a vector of EDN:
/// in EDN no colon follows a key.
fn is_json_array(content: &[u8]) -> bool {
    let key = content
        .trim_ascii_start()
        .strip_prefix(b"[")
        .and_then(|rest| rest.trim_ascii_start().strip_prefix(b"{"))
        .and_then(|rest| rest.trim_ascii_start().strip_prefix(b"\""));
    let after = key.and_then(|key| key.splitn(2, |byte| *byte == b'"').nth(1));
    after.is_some_and(|after| after.starts_with(b":") || after.starts_with(b" : "))
}
