//! A SOCKS 5 front for each node, so that links can be told apart where members have one address each.
//!
//! The front's port names who dials; the address that is asked for names who is dialled, and leads to
//! the door of that link's proxy. The addresses exist nowhere else: they are of the block that is set
//! aside for testing network devices (RFC 2544), and a node that dialled one past its front would reach
//! nobody. Nothing but `CONNECT` to such an address is served (RFC 1928).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::proxy::{Door, PortHold, ProxyError, accept_next};
use crate::system::NodeId;

/// The first two bytes of every member's address; the node's number is the others.
const BLOCK: [u8; 2] = [198, 18];

/// The port of every member's address.
const PORT: u16 = 2380;

/// How long a caller may take to say whom it wants. On the same machine it takes a millisecond; one that
/// was stopped meanwhile dials anew.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;

/// What follows the version in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Reply {
    Succeeded = 0,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    CommandUnknown = 7,
    AddressTypeUnknown = 8,
}

/// The kinds of address, and how long each is.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A caller does not get through.
#[derive(Debug, thiserror::Error)]
enum SocksError {
    /// It broke off.
    #[error("failed to hear the caller out")]
    Broken(#[from] io::Error),
    /// It does not speak SOCKS 5.
    #[error("failed to understand the caller: it speaks version {version}")]
    Version {
        /// What it speaks.
        version: u8,
    },
    /// It wants to prove who it is, in ways that are not known here.
    #[error("failed to agree on a method: {offered:?} were offered")]
    Method {
        /// What it offered.
        offered: Vec<u8>,
    },
    /// What it asks for is not served; it has been told.
    #[error("failed to serve the caller: {reply:?}")]
    Refused {
        /// What it was told.
        reply: Reply,
    },
}

/// Returns the address that stands for a node.
///
/// # Panics
/// If the node's number has more than two bytes: no cluster is that large.
pub(crate) fn address_of(node: NodeId) -> SocketAddr {
    let number = u16::try_from(node.number()).expect("a cluster has far fewer nodes");
    let [high, low] = number.to_be_bytes();
    let [first, second] = BLOCK;
    SocketAddr::from((Ipv4Addr::new(first, second, high, low), PORT))
}

/// Returns the node that an address stands for, if it stands for one.
pub(crate) fn node_at(address: SocketAddr) -> Option<NodeId> {
    let IpAddr::V4(host) = address.ip() else {
        return None;
    };
    let [first, second, high, low] = host.octets();
    let number = u16::from_be_bytes([high, low]);
    let is_ours = [first, second] == BLOCK && address.port() == PORT && number > 0;
    is_ours.then(|| NodeId::new(number.into()))
}

/// The handle to one node's front. When it is dropped, the front ends without waiting; connections that
/// got through belong to their links.
#[derive(Debug)]
pub(super) struct Front {
    address: SocketAddr,
    end: DropGuard,
    task: JoinHandle<()>,
}

impl Front {
    /// Starts the front of the node that has these doors.
    pub(super) fn start(doors: BTreeMap<NodeId, Door>) -> Result<Self, ProxyError> {
        let port = PortHold::reserve().map_err(ProxyError::Reserve)?;
        let address = port.address();
        let listener = port.listen().map_err(|source| ProxyError::Listen { address, source })?;
        let token = CancellationToken::new();
        let serving = serve(listener, Arc::new(doors), token.clone());
        let end = token.clone();
        let task = tokio::spawn(async move {
            end.run_until_cancelled(serving).await;
            // The port is held for as long as somebody may dial it.
            drop(port);
        });
        Ok(Self { address, end: token.drop_guard(), task })
    }

    /// Returns the address to dial.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the front; returns when it does not listen any more.
    pub(super) async fn shutdown(self) {
        drop(self.end);
        // An error means that the task panicked; then its listener is closed, too.
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, doors: Arc<BTreeMap<NodeId, Door>>, end: CancellationToken) {
    let callers = TaskTracker::new();
    loop {
        let passing = pass_through(accept_next(&listener).await, Arc::clone(&doors));
        let end = end.clone();
        callers.spawn(async move {
            end.run_until_cancelled(tokio::time::timeout(HANDSHAKE_MAX, passing)).await
        });
    }
}

/// Hears a caller out and lets it through the door that it asks for.
async fn pass_through(mut caller: TcpStream, doors: Arc<BTreeMap<NodeId, Door>>) {
    // Delays on the way of a handshake help nobody; failing to avoid them is no reason to fail.
    let _ = caller.set_nodelay(true);
    let find = |address| {
        let door = node_at(address).and_then(|node| doors.get(&node));
        match door {
            Some(door) if door.refuses() => Err(Reply::ConnectionRefused),
            Some(door) => Ok(door.clone()),
            None => Err(Reply::HostUnreachable),
        }
    };
    match negotiate(&mut caller, find).await {
        Ok(door) => door.enter(caller).await,
        Err(error) => tracing::trace!(%error, "a caller did not get through"),
    }
}

/// Carries out the handshake. Reads not one byte beyond it: what follows is for the link.
async fn negotiate<S, T>(
    caller: &mut S,
    find: impl FnOnce(SocketAddr) -> Result<T, Reply>,
) -> Result<T, SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    agree_on_method(caller).await?;
    let found = read_request(caller).await?.and_then(find);
    let reply = *found.as_ref().err().unwrap_or(&Reply::Succeeded);
    // Whence the link dials is its own affair: the address in the answer says nothing.
    caller.write_all(&[VERSION, reply as u8, 0, IPV4, 0, 0, 0, 0, 0, 0]).await?;
    found.map_err(|reply| SocksError::Refused { reply })
}

async fn agree_on_method(
    caller: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<(), SocksError> {
    read_version(caller).await?;
    let count = caller.read_u8().await?;
    let mut offered = vec![0; count.into()];
    caller.read_exact(&mut offered).await?;
    if offered.contains(&NO_AUTHENTICATION) {
        caller.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
        return Ok(());
    }
    caller.write_all(&[VERSION, NO_METHOD]).await?;
    Err(SocksError::Method { offered })
}

/// Reads what the caller wants: an address to be connected to, or what is to be answered instead.
async fn read_request(
    caller: &mut (impl AsyncRead + Unpin),
) -> Result<Result<SocketAddr, Reply>, SocksError> {
    read_version(caller).await?;
    let command = caller.read_u8().await?;
    let _reserved = caller.read_u8().await?;
    let kind = caller.read_u8().await?;
    // The request is read whole whatever it says, or its answer would be lost in a reset.
    let mut host = match kind {
        IPV4 => vec![0; 4],
        IPV6 => vec![0; 16],
        NAME => vec![0; caller.read_u8().await?.into()],
        _ => return Ok(Err(Reply::AddressTypeUnknown)),
    };
    caller.read_exact(&mut host).await?;
    let port = caller.read_u16().await?;
    if command != CONNECT {
        return Ok(Err(Reply::CommandUnknown));
    }
    // Names are for resolvers, and no member has an address of the sixth version.
    let host = <[u8; 4]>::try_from(host).ok().filter(|_| kind == IPV4);
    Ok(host.map(|host| SocketAddr::from((host, port))).ok_or(Reply::AddressTypeUnknown))
}

async fn read_version(caller: &mut (impl AsyncRead + Unpin)) -> Result<(), SocksError> {
    match caller.read_u8().await? {
        VERSION => Ok(()),
        version => Err(SocksError::Version { version }),
    }
}

#[cfg(test)]
mod tests;
