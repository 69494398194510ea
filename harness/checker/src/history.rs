//! Histories: what the clients of a system saw, as events and as operations.
//!
//! A [`Recording`] is a file's events with the lines they stand on; [`operations`] pairs them.

mod by_process;
mod edn;
mod error;
mod event;
mod fields;
mod jepsen_log;
mod jsonl;
mod operation;
mod pairing;
mod recording;
mod text;
mod value;
mod writing;

pub(crate) use by_process::ByProcess;
pub use error::{ReadError, StructureError};
pub use event::{Event, EventType, Nemesis, Process};
pub use jsonl::write_event;
pub use operation::{Moment, Operation, OperationRef, Operations, Order, Outcome, operations};
pub(crate) use pairing::{Pair, Pairing, Tally};
pub use recording::{Format, Recorded, Recording, Warning, detect, read, read_bytes};
pub use text::Text;
pub use value::{Array, Object, Value};
pub use writing::write;

#[cfg(test)]
pub(crate) use value::json;

#[cfg(test)]
mod tests;
