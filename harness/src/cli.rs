//! The command line: one module for each command of `stormproof`.

mod beside;
pub mod check;
pub mod client;
pub mod convert;
pub mod replay;
pub mod run;
mod say;
pub mod scenarios;
pub mod shrink;
mod storm;
pub mod verify;
