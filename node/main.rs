//! The binary `stormproof-node`: one node of the replicated ledger and key-value store.

use std::process::ExitCode;

use clap::Parser;

/// One node of a replicated stock-trade ledger and key-value store.
///
/// The nodes of a cluster agree by Raft; every answer to a client is linearizable. A node remembers
/// what it must in its data folder and may be killed at any time.
#[derive(Parser)]
#[command(name = "stormproof-node", version, after_help = EXAMPLE)]
struct Cli {
    #[command(flatten)]
    node: node::NodeArgs,
}

const EXAMPLE: &str = "\
Example of a configuration:
  cluster: storm
  id: 1
  listen: { peers: \"127.0.0.1:7101\", clients: \"127.0.0.1:7201\" }
  peers:
    - { id: 1, address: \"127.0.0.1:7101\" }
    - { id: 2, address: \"127.0.0.1:7102\" }
    - { id: 3, address: \"127.0.0.1:7103\" }
  data: data/n1
  timings: { tick: 10ms, heartbeat: 50ms, election: 300ms }

A node for a running cluster: give its address to every node, start it with `join: true` in its
configuration, and let it in by `stormproof client --endpoints … member add ID`. What else can be
configured (snapshots, reads by lease) is told in the documentation of `node::Config`.

Exit codes: 0 stopped on request (SIGTERM, SIGINT); 2 bad arguments, configuration, port or folder;
4 failed while starting or running; 5 the data on the disk is damaged or gone.

The log goes to stderr; RUST_LOG chooses how much (info, debug, trace).";

fn main() -> ExitCode {
    node::main(&Cli::parse().node)
}
