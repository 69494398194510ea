//! Histories: what the clients of a system saw, as events and as operations.

mod event;

pub use event::{Event, EventType, Nemesis, Process};
