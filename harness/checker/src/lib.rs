//! Histories, models and the search that judges them.
