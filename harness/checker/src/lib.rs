//! Histories, models and the search that judges them.

pub mod history;
