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

/// How many orders may wait for the proxy. One change is under way at a time, and connections that come
/// through a [`Door`] are few.
const ORDERS_MAX: usize = 16;

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

/// What a link does, each way of its connections by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ways {
    /// With what a caller sends.
    pub forward: Mode,
    /// With what it is answered.
    pub back: Mode,
}

impl Ways {
    /// Returns the ways of a link that does the same both ways.
    pub const fn both(mode: Mode) -> Self {
        Self { forward: mode, back: mode }
    }

    /// Returns what is done with connections as such: they begin, end and break both ways at once, so
    /// they do only what both ways allow.
    pub fn together(self) -> Mode {
        self.forward.and(self.back)
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
    orders: mpsc::Sender<Order>,
    ways: watch::Receiver<Ways>,
    live: Live,
    task: JoinHandle<()>,
}

/// How many connections there are. Every connection holds a clone, and so do owner and handle.
type Live = Arc<()>;

/// How many clones of [`Live`] are not held by connections.
const LIVE_HOLDERS: usize = 2;

/// What the proxy's task is told.
#[derive(Debug)]
enum Order {
    /// To do otherwise with connections and bytes.
    Change { ways: Ways, reply: oneshot::Sender<Result<(), ProxyError>> },
    /// To carry a connection that was accepted elsewhere.
    Carry(TcpStream),
}

/// A way into a proxy besides its own listener, for connections that were accepted elsewhere. It does
/// not keep the proxy going.
#[derive(Clone, Debug)]
pub struct Door {
    orders: mpsc::WeakSender<Order>,
    ways: watch::Receiver<Ways>,
}

impl Door {
    /// Tells whether a connection would be refused now.
    pub fn refuses(&self) -> bool {
        self.orders.upgrade().is_none() || self.ways.borrow().together() == Mode::Refuse
    }

    /// Has the proxy carry a connection as if it had accepted it. A proxy that is gone, or that refuses
    /// by now, resets it.
    pub async fn enter(&self, stream: TcpStream) {
        match self.orders.upgrade() {
            Some(orders) => {
                if let Err(mpsc::error::SendError(Order::Carry(stream))) =
                    orders.send(Order::Carry(stream)).await
                {
                    connection::reset(stream);
                }
            }
            None => connection::reset(stream),
        }
    }
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
        let (publish, ways) = watch::channel(Ways::both(Mode::Open));
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let live = Live::default();
        let owner = Owner {
            live: live.clone(),
            upstream,
            port,
            listener: Some(listener),
            ways: publish,
            connections: Connections::default(),
            seed,
            accepted: 0,
        };
        Ok(Self { address, orders, ways, live, task: tokio::spawn(owner.run(inbox)) })
    }

    /// Returns the address to dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what is in effect.
    pub fn ways(&self) -> Ways {
        *self.ways.borrow()
    }

    /// Returns another way in.
    pub fn door(&self) -> Door {
        Door { orders: self.orders.downgrade(), ways: self.ways.clone() }
    }

    /// Returns how many connections there are, those included that wait to be connected.
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.live).saturating_sub(LIVE_HOLDERS)
    }

    /// Changes the mode of both ways and returns when the new one is in effect on every connection.
    pub async fn set_mode(&self, mode: Mode) -> Result<(), ProxyError> {
        self.set_ways(Ways::both(mode)).await
    }

    /// Changes the modes and returns when the new ones are in effect on every connection.
    pub async fn set_ways(&self, ways: Ways) -> Result<(), ProxyError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.send(Order::Change { ways, reply }).await;
        sent.map_err(|_| ProxyError::Gone)?;
        answer.await.map_err(|_| ProxyError::Gone)?
    }

    /// Ends every connection with a reset and returns when nothing listens any more.
    pub async fn shutdown(self) {
        drop(self.orders);
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
    ways: watch::Sender<Ways>,
    connections: Connections,
    seed: Seed,
    live: Live,
    /// How many connections there were so far.
    accepted: u64,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Change { ways, reply }) => {
                        let result = self.handle_change(ways).await;
                        let _ = reply.send(result);
                    }
                    Some(Order::Carry(stream)) => self.handle_accepted(stream),
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

    async fn handle_change(&mut self, ways: Ways) -> Result<(), ProxyError> {
        let mode = ways.together();
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
        self.ways.send_replace(ways);
        if matches!(mode, Mode::Refuse | Mode::Reset) {
            self.connections.reset_all().await;
        }
        Ok(())
    }

    fn handle_accepted(&mut self, stream: TcpStream) {
        if matches!(self.ways.borrow().together(), Mode::Refuse | Mode::Reset) {
            connection::reset(stream);
            return;
        }
        let seed = self.seed.derive(&format!("connection {}", self.accepted));
        self.accepted += 1;
        let connection = connection::carry(stream, self.upstream, self.ways.subscribe(), seed);
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
    match listener {
        Some(listener) => accept_next(listener).await,
        None => std::future::pending().await,
    }
}

/// Accepts the next connection, however long there are no descriptors for it.
pub(crate) async fn accept_next(listener: &TcpListener) -> TcpStream {
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
