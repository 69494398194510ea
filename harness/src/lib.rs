//! Starts a cluster, hurts it, records what its clients saw and judges it.
//!
//! A [plan] says everything that a run does; all its chance comes from one [seed]. From
//! plan and seed follows a schedule of [faults](fault), before anything is started.
//!
//! A [cluster] is the [system] under test: [processes](process) that die with the
//! harness, and a [network] of [proxies](proxy), one for every directed pair of nodes and
//! one for every node's clients. The [nemesis] carries the schedule out on it and writes
//! both edges of every fault into the history.
//!
//! What must hold:
//!
//! - **H1, nothing survives**: when the harness ends, however it ends, no node is left.
//! - **H2, seen is done**: an action on the cluster returns only when its effect was observed, so
//!   that the edges in a history enclose what was in force.
//! - **H3, bytes are held or the connection dies**: no fault takes bytes out of a stream that goes on.
//! - **H4, undone**: after [`Cluster::heal_all`](cluster::Cluster::heal_all) no fault is in force.

pub mod audit;
pub mod availability;
pub mod cli;
pub mod client;
pub mod cluster;
mod describe;
pub mod disk;
pub mod facts;
pub mod fault;
pub mod follow;
pub mod judgement;
pub mod load;
pub mod messages;
pub mod nemesis;
pub mod network;
pub mod page;
pub mod plan;
pub mod process;
pub mod proxy;
pub mod recorder;
pub mod remarks;
pub mod replay;
pub mod run;
pub mod scenarios;
pub mod seed;
pub mod shrink;
pub mod system;
pub mod workload;

pub(crate) use describe::describe_error;
