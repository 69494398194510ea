//! A proxy that knows the messages of gRPC, to hurt them one at a time.
//!
//! Bytes cannot be taken out of a connection without breaking it; a message can be taken out of an
//! HTTP/2 stream, or doubled, or held back, and the stream goes on. So this proxy ends the connection of
//! the caller, has one of its own to the callee, and passes on requests and responses stream by stream.
//! It lies *behind* the proxy of bytes of the same link, and is there only in runs that ask for it: the
//! cost of a second HTTP/2 connection is not for everybody.
//!
//! Two things are not passed on, because HTTP/2 ends them at each hop: pings, so a caller's keepalive
//! tells that this proxy lives and not that the callee does; and the size of frames.
//!
//! A message is a length-prefixed one of gRPC over HTTP/2. What is not gRPC passes as it is.

mod connection;
mod course;
mod frames;
mod rule;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use rule::{MessageAction, MessageKind, MessageRule};

use crate::proxy::{PortHold, ProxyError, accept_next};
use crate::seed::Seed;

/// Tells what kind a message is by the path of its method, such as `/package.Service/Method`, and its
/// bytes without the prefix.
pub type Classify = fn(path: &str, message: &[u8]) -> MessageKind;

/// The handle to a proxy of messages. When it is dropped, every connection through it ends.
#[derive(Debug)]
pub struct MessageProxy {
    address: SocketAddr,
    rules: watch::Sender<Arc<[MessageRule]>>,
    hits: Arc<Hits>,
    end: CancellationToken,
    tasks: TaskTracker,
}

/// How many messages each rule has hit.
#[derive(Debug, Default)]
struct Hits(Mutex<HashMap<MessageRule, u64>>);

impl Hits {
    fn count(&self, rule: MessageRule) {
        *self.lock().entry(rule).or_default() += 1;
    }

    fn of(&self, rule: MessageRule) -> u64 {
        self.lock().get(&rule).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageRule, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every connection through a proxy needs to know.
#[derive(Clone, Debug)]
struct Shared {
    upstream: SocketAddr,
    classify: Classify,
    rules: watch::Receiver<Arc<[MessageRule]>>,
    hits: Arc<Hits>,
    seed: Seed,
    /// How many streams there were: each draws from a seed of its own.
    streams: Arc<AtomicU64>,
}

impl MessageProxy {
    /// Starts a proxy to `upstream` on a port of its own, without rules. The seed decides which
    /// messages a rule hits.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(upstream: SocketAddr, seed: Seed, classify: Classify) -> Result<Self, ProxyError> {
        let port = PortHold::reserve().map_err(ProxyError::Reserve)?;
        let address = port.address();
        let listener = port.listen().map_err(|source| ProxyError::Listen { address, source })?;
        let (publish, rules) = watch::channel(Arc::default());
        let hits = Arc::<Hits>::default();
        let streams = Arc::default();
        let shared = Shared { upstream, classify, rules, hits: Arc::clone(&hits), seed, streams };
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept_all(listener, port, shared, end.clone(), tasks.clone()));
        tasks.close();
        Ok(Self { address, rules: publish, hits, end, tasks })
    }

    /// Returns the address to dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Applies these rules to every message from now on; the first that hits it decides. What earlier
    /// rules held back passes at once if there is none.
    pub fn set_rules(&self, rules: &[MessageRule]) {
        self.rules.send_if_modified(|old| {
            let is_new = **old != *rules;
            if is_new {
                *old = rules.into();
            }
            is_new
        });
    }

    /// Returns the rules in force.
    pub fn rules(&self) -> Arc<[MessageRule]> {
        Arc::clone(&self.rules.borrow())
    }

    /// Returns how many messages this rule has hit so far.
    pub fn hits(&self, rule: MessageRule) -> u64 {
        self.hits.of(rule)
    }

    /// Ends every connection and returns when nothing listens any more.
    pub async fn shutdown(self) {
        self.end.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for MessageProxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Accepts connections until the end, and ends them with itself.
async fn accept_all(
    listener: TcpListener,
    _port: PortHold,
    shared: Shared,
    end: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let stream = tokio::select! {
            () = end.cancelled() => return,
            stream = accept_next(&listener) => stream,
        };
        let (shared, end) = (shared.clone(), end.clone());
        tasks.spawn(async move {
            end.run_until_cancelled(connection::carry(stream, shared)).await;
        });
    }
}

#[cfg(test)]
mod tests;
