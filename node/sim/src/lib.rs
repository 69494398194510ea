//! Whole clusters in one thread, from one seed, in virtual time.

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
