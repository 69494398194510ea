//! One link of the network: a listener that carries connections to one address, as its mode allows.
//!
//! No mode takes bytes out of a stream that goes on (H3): what is not carried is held, and what is
//! not held costs the connection its life. A stream that lost bytes would be corrupt, and the system
//! under test would rightly be confused by something that no network does.
//!
//! A change of mode is complete when [`Proxy::set_mode`] returns (H2). Bytes are written under a
//! read lock on the mode, so from that moment on none is written under the old one; and connections
//! that the new mode ends have ended.

mod connection;
mod shaper;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::seed::Seed;

/// How many connections may wait to be accepted; a node dials each peer once, and clients are few.
const BACKLOG: i32 = 256;

/// How many mode changes may wait for the proxy. One is under way at a time.
const CHANGES_MAX: usize = 4;

/// How long the proxy waits before it accepts again when it could not, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a link does with connections and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Carries everything at once.
    Open,
    /// Holds everything: connections stay, new ones are accepted and stay mute, and no byte, no end
    /// and no reset of a connection passes until another mode lets it.
    Blackhole,
    /// Ends connections with a reset and listens no more, like a machine without the program.
    Refuse,
    /// Ends connections with a reset, new ones as soon as they are accepted.
    Reset,
    /// Carries every byte in order, but slowly.
    Slow(Slowness),
}

/// How a link is slow; each way, and each connection by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slowness {
    /// By how much every byte is later.
    pub latency: Duration,
    /// By how much more at most; drawn for each chunk of bytes.
    pub jitter: Duration,
    /// How many bytes pass in a second at most. Nothing stands for no bound, and 0 for 1.
    pub bytes_per_second: Option<u64>,
}

impl Mode {
    /// Returns what a link does that both are wished for: what carries less wins, and two kinds of
    /// slowness add up.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Blackhole, _) | (_, Self::Blackhole) => Self::Blackhole,
            (Self::Refuse, _) | (_, Self::Refuse) => Self::Refuse,
            (Self::Reset, _) | (_, Self::Reset) => Self::Reset,
            (Self::Slow(one), Self::Slow(another)) => Self::Slow(one.and(another)),
            (Self::Slow(slowness), Self::Open) | (Self::Open, Self::Slow(slowness)) => {
                Self::Slow(slowness)
            }
            (Self::Open, Self::Open) => Self::Open,
        }
    }
}

impl Slowness {
    fn and(self, other: Self) -> Self {
        let rates = self.bytes_per_second.into_iter().chain(other.bytes_per_second);
        Self {
            latency: self.latency.saturating_add(other.latency),
            jitter: self.jitter.saturating_add(other.jitter),
            bytes_per_second: rates.min(),
        }
    }
}

/// A port that is ours for as long as this lives, whoever listens on it.
///
/// A bound socket that never listens keeps the kernel from giving the port to anybody who asks for
/// any free port, be it to listen or to connect from. Whoever binds the port by its number with
/// `SO_REUSEADDR`, as servers do, may listen on it: a node that is killed and restarted, or the proxy
/// itself after refusing for a while.
#[derive(Debug)]
pub struct PortHold {
    address: SocketAddr,
    _socket: Socket,
}

/// A proxy could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No port could be had.
    #[error("failed to reserve a port")]
    Reserve(#[source] io::Error),
    /// The proxy could not listen on its own port.
    #[error("failed to listen on {address}")]
    Listen {
        /// The proxy's address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The proxy's task has ended.
    #[error("the proxy is gone")]
    Gone,
}

/// The handle to a proxy. When it is dropped, the proxy ends without waiting.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    changes: mpsc::Sender<Change>,
    mode: watch::Receiver<Mode>,
    live: Live,
    task: JoinHandle<()>,
}

/// How many connections there are. Every connection holds a clone, and so do owner and handle.
type Live = Arc<()>;

/// How many clones of [`Live`] are not held by connections.
const LIVE_HOLDERS: usize = 2;

/// A wish for another mode.
#[derive(Debug)]
struct Change {
    mode: Mode,
    reply: oneshot::Sender<Result<(), ProxyError>>,
}

impl PortHold {
    /// Reserves a free port of the loopback interface.
    pub fn reserve() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        Ok(Self { address: address.ok_or(io::ErrorKind::AddrNotAvailable)?, _socket: socket })
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&self.address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

impl Proxy {
    /// Starts an open proxy to `upstream` on a port of its own. The seed decides jitter.
    pub fn start(upstream: SocketAddr, seed: Seed) -> Result<Self, ProxyError> {
        let port = PortHold::reserve().map_err(ProxyError::Reserve)?;
        let address = port.address();
        let listener = port.listen().map_err(|source| ProxyError::Listen { address, source })?;
        let (publish, mode) = watch::channel(Mode::Open);
        let (changes, inbox) = mpsc::channel(CHANGES_MAX);
        let live = Live::default();
        let owner = Owner {
            live: live.clone(),
            upstream,
            port,
            listener: Some(listener),
            mode: publish,
            connections: Connections::default(),
            seed,
            accepted: 0,
        };
        Ok(Self { address, changes, mode, live, task: tokio::spawn(owner.run(inbox)) })
    }

    /// Returns the address to dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the mode that is in effect.
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Returns how many connections there are, those included that wait to be connected.
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.live).saturating_sub(LIVE_HOLDERS)
    }

    /// Changes the mode and returns when the new one is in effect on every connection.
    pub async fn set_mode(&self, mode: Mode) -> Result<(), ProxyError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.changes.send(Change { mode, reply }).await;
        sent.map_err(|_| ProxyError::Gone)?;
        answer.await.map_err(|_| ProxyError::Gone)?
    }

    /// Ends every connection with a reset and returns when nothing listens any more.
    pub async fn shutdown(self) {
        drop(self.changes);
        // An error means that the task panicked; then its sockets are closed, too.
        let _ = self.task.await;
    }
}

/// The connections that were accepted since the last time that all were ended.
#[derive(Debug, Default)]
struct Connections {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Connections {
    async fn reset_all(&mut self) {
        let old = std::mem::take(self);
        old.end.cancel();
        old.tasks.close();
        old.tasks.wait().await;
    }
}

/// The proxy's own task.
struct Owner {
    upstream: SocketAddr,
    port: PortHold,
    /// None while connections are refused.
    listener: Option<TcpListener>,
    mode: watch::Sender<Mode>,
    connections: Connections,
    seed: Seed,
    live: Live,
    /// How many connections there were so far.
    accepted: u64,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Change>) {
        loop {
            tokio::select! {
                change = inbox.recv() => match change {
                    Some(Change { mode, reply }) => {
                        let result = self.handle_change(mode).await;
                        let _ = reply.send(result);
                    }
                    None => break,
                },
                stream = accept(self.listener.as_ref()) => self.handle_accepted(stream),
            }
        }
        self.stop_listening();
        self.connections.reset_all().await;
    }

    /// Stops listening at once. Closing alone would not: a process that is being started at this
    /// moment has a copy of every descriptor until it executes its program.
    fn stop_listening(&mut self) {
        if let Some(listener) = self.listener.take() {
            // A listener that is gone already cannot be shut down, and need not be.
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        }
    }

    async fn handle_change(&mut self, mode: Mode) -> Result<(), ProxyError> {
        if mode == Mode::Refuse {
            self.stop_listening();
        } else if self.listener.is_none() {
            // What can fail comes first: a mode that is published is in effect, and whoever sees the
            // old one knows that the change has to be tried again. Callers that come in between wait
            // in the backlog.
            let address = self.port.address();
            let listener = self.port.listen();
            self.listener =
                Some(listener.map_err(|source| ProxyError::Listen { address, source })?);
        }
        self.mode.send_replace(mode);
        if matches!(mode, Mode::Refuse | Mode::Reset) {
            self.connections.reset_all().await;
        }
        Ok(())
    }

    fn handle_accepted(&mut self, stream: TcpStream) {
        if matches!(*self.mode.borrow(), Mode::Refuse | Mode::Reset) {
            connection::reset(stream);
            return;
        }
        let seed = self.seed.derive(&format!("connection {}", self.accepted));
        self.accepted += 1;
        let connection = connection::carry(stream, self.upstream, self.mode.subscribe(), seed);
        let end = self.connections.end.clone();
        let live = self.live.clone();
        self.connections.tasks.spawn(async move {
            // Dropped in mid-flight, a connection resets both of its ends.
            end.run_until_cancelled(connection).await;
            drop(live);
        });
    }
}

/// Accepts the next connection, or waits for ever if nothing listens.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
