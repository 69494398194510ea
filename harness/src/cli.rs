//! The command line: one module for each command of `stormproof`.

pub mod check;
pub mod client;

pub mod run;
