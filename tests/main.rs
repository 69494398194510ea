//! End to end: the binaries that users have, as users call them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod checking;
mod clients;
mod corpus;
mod crashes;
mod etcd;
mod faults;
mod follow;
mod machines;
mod membership;
mod operator;
mod orphans;
mod replay;
mod run;
mod sessions;
mod sim;
mod stormproof;
mod storms;
mod swarm;
mod usage;
mod workloads;
