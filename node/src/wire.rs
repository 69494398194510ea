//! Between the wire and the words of the core and the machines. Nothing here decides anything.

pub(crate) mod answer;
pub(crate) mod command;
pub(crate) mod membership;
pub(crate) mod message;
