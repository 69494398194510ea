//! The node: the consensus core and the state machines, with sockets and a disk.
//!
//! What replicates is in crate `raft`, what is replicated in crate `machine`; both are pure. Here is
//! the rest, in the order in which a command passes through it:
//!
//! - `services`: gRPC in, gRPC out; turns requests into commands and results into answers;
//! - `driver`: owns the core and the machine, does what the core says, remembers who waits;
//! - `storage`: the write-ahead log and the thread that owns it;
//! - `peers`: tasks for each peer that keep a connection and send;
//! - `wire`: between protocol and words;
//! - `config`, `data`: what the operator wrote, and the folder that it names;
//! - `node`: how all of them hang together, start and stop.
//!
//! A node holds its state and the log behind its newest snapshot in memory. After a start it restores
//! the snapshot, and applies the log anew as far as the leader says that it is committed.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | stopped on request (SIGTERM, SIGINT) |
//! | 2 | bad arguments or configuration, port in use, data folder of no use: for the operator to put right |
//! | 4 | failed while starting or running: the disk, a connection, the machine |
//! | 5 | what the disk holds is damaged or gone; the node must not start from it |
//! | 101 | a broken invariant: the node doubts itself |

use std::error::Error;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

mod config;
mod data;
mod driver;
mod node;
mod peers;
mod services;
mod storage;
mod wire;

pub use config::{
    Config, ConfigError, Drift, Flaw, Listen, Mistake, PeerAddress, Place, Reads, SnapshotPolicy,
    SyntaxError, Timings,
};
pub use data::DataError;
pub use driver::DriverError;
pub use node::NodeError;
pub use storage::{Damage, StorageError};
pub use wire::command::DecodeError;

/// The operator's mistake.
pub const EXIT_USAGE: u8 = 2;
/// The node failed.
pub const EXIT_FAILED: u8 = 4;
/// The node doubted itself: an assertion failed. The same as of a panic that nothing catches.
pub const EXIT_PANICKED: u8 = 101;
/// The disk does not hold what was entrusted to it.
pub const EXIT_DAMAGED: u8 = 5;

/// How long tasks that hang may delay the exit.
const EXIT_MAX: Duration = Duration::from_secs(1);

/// What a node is told on the command line.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// The node's configuration (YAML): id, cluster, listen, peers, data, and what is optional
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only check the configuration
    #[arg(long)]
    pub check: bool,
}

/// Runs a node until it is told to stop, and says how it ended.
pub fn main(args: &NodeArgs) -> ExitCode {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return exit(&error, EXIT_USAGE),
    };
    if args.check {
        println!(
            "{}: fit for node {} of cluster `{}`",
            args.config.display(),
            config.id.0,
            config.cluster
        );
        return ExitCode::SUCCESS;
    }
    start_log();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {}", args.config.display(), describe(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(config: Config) -> Result<(), NodeError> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| NodeError::System { action: "start the runtime", source })?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        let listeners = node::Listeners::bind(&config).await?;
        let signals = tokio::spawn(stop_on_signal(stop.clone())?);
        let result = node::run(config, listeners, stop).await;
        signals.abort();
        result
    });
    runtime.shutdown_timeout(EXIT_MAX);
    result
}

/// Returns what waits for SIGTERM or SIGINT and then cancels the token.
fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>, NodeError> {
    let listen = |kind| {
        signal(kind).map_err(|source| NodeError::System { action: "listen for signals", source })
    };
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal, "stopping");
        stop.cancel();
    })
}

/// Logs to stderr, by default a line per change; `RUST_LOG` says otherwise.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

fn exit_code(error: &NodeError) -> u8 {
    match error {
        NodeError::Data(DataError::LogGone { .. })
        | NodeError::Open { source: StorageError::Damaged { .. }, .. }
        | NodeError::Unrestorable { .. }
        | NodeError::Recovered(_) => EXIT_DAMAGED,
        NodeError::Listen { .. }
        | NodeError::Data(_)
        | NodeError::Open {
            source: StorageError::Access { .. } | StorageError::Version { .. },
            ..
        } => EXIT_USAGE,
        NodeError::Storage { .. }
        | NodeError::Driver(_)
        | NodeError::Serve(_)
        | NodeError::System { .. }
        | NodeError::Ended => EXIT_FAILED,
        NodeError::Panicked(_) | NodeError::StoragePanicked => EXIT_PANICKED,
    }
}

fn exit(error: &dyn Error, code: u8) -> ExitCode {
    eprintln!("error: {}", describe(error));
    ExitCode::from(code)
}

/// Renders an error and its causes as one line.
fn describe(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some messages already quote their cause.
        if !line.contains(&text) {
            write!(line, ": {text}").expect("writing to a string does not fail");
        }
        cause = error.source();
    }
    line
}
