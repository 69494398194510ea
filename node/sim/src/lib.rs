//! Whole clusters in one thread, from one seed, in virtual time.
//!
//! The consensus core and the state machines of the node, the very same code, run here on simulated disks,
//! links and clocks. Time passes only from one event to the next, so a night of storms takes seconds; every
//! draw comes from the seed, so a seed gives the same run every time, to the last bit. What a real cluster
//! meets once a year, a few thousand seeds meet: a crash between a vote and its arrival, a leader that does
//! not know that it is none, a snapshot that overtakes what it stands for.
//!
//! # How a run goes
//!
//! A [`Plan`] is drawn from the seed (`plan/draw.rs`), swarm style: how many nodes, how patient, with which
//! limits, how bad links and disks are, what clients do, and which kinds of fault come and how often. The
//! schedule of faults is part of it, as data. The [`run()`] then takes one event after the other
//! (`simulation.rs`): ticks, messages, ends of syncs, requests, faults. A node (`node.rs`) does what the node's
//! driver does, and keeps the contract of `raft`'s `effect.rs`; its disk (`disk.rs`) forgets in a crash what
//! was not durable, or keeps a beginning of it. Clients (`client.rs`) do one operation at a time, in sessions
//! or not, and what they see goes into a history of the harness's shape.
//!
//! When the storm is over, everything is mended (`simulation/ending.rs`), and within a deadline a leader must be
//! there, a write must be committed, all members must have the same state and clients must be answered. Then
//! the checker judges the history.
//!
//! # What is checked, after every event
//!
//! By the [`Violation`]s of `oracle.rs`, each only where something has just changed:
//!
//! - a term has one leader, and a node promises its vote once a term;
//! - logs that agree on an entry agree on the one before it;
//! - what is committed is the same everywhere, is never lost to a later leader, and commit indexes do not fall;
//! - a command comes to the same on every node, a command of a session once, and states that stand for the same
//!   log are the same bytes;
//! - a read is released only when all that was committed at its arrival is applied;
//! - a node can start from what a crash left on its disk.
//!
//! The core's own assertions count too: a node that panics fails its seed.
//!
//! # What is not simulated
//!
//! The node's sockets, threads, encodings and its storage's files. To the core a command is a number here
//! (`proposals.rs`). A disk does not corrupt what it holds, and nobody lies.
//!
//! # When a seed fails
//!
//! `stormproof sim --replay SEED` tells its story and leaves the history; `--shrink SEED` takes out of the
//! schedule what it does not need to fail (`shrink.rs`). What was found is then a scripted test of the core, and
//! the seed is kept in `tests/seeds.rs`.

mod campaign;
pub mod cli;
mod client;
mod clock;
mod describe;
mod disk;
mod fault;
mod history;
mod network;
mod node;
mod oracle;
mod plan;
mod proposals;
mod random;
mod request;
mod run;
mod shrink;
mod simulation;
mod time;
mod topology;
mod trace;
mod workload;

pub use campaign::{Campaign, Tally};
pub use fault::{Change, Family, Fault, FaultId, FaultKind, Moment};
pub use oracle::Violation;
pub use plan::{
    Clients, Core, CrashLoss, Flaw, Placement, Plan, Storage, Timings, Weather, Wishes, Workload,
};
pub use random::Seed;
pub use run::{Failure, RunOptions, RunReport, Verdict, run};
pub use shrink::{Shrunk, shrink};
pub use simulation::{Counts, Stalled};
pub use time::Time;
pub use topology::{Link, Target, Topology};
