//! Histories, models and the search that judges them.
//!
//! A history is what the clients of a system saw: events, read by [`history::read`] and paired to
//! operations. A [`model::ModelName`] says what the system ought to do, one operation at a time.
//! [`check::check`] asks whether some order of the operations, true to the order in which they
//! were seen to happen, explains every answer; the [`check::Report`] holds the [`verdict::Verdict`].

pub mod certificate;
pub mod check;
pub mod engine;
pub mod explain;
pub mod history;
pub mod model;
mod refutation;
mod search;
pub mod stream;
pub mod verdict;
