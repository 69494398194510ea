//! The network between the nodes, and between clients and nodes: a proxy for every link.
//!
//! A node dials its peers and says everything that it has to say to a peer down its own connection,
//! so the proxy that it dials *is* the directed link: to cut it is to cut that direction and nothing
//! else. A client's link is a node's own, whoever the client is.
//!
//! What a link does follows from two things: whether a partition cuts it, and whether the node at
//! its end is down. A cut link is a blackhole. A link to a node that is down refuses, as a
//! connection to it would without a proxy; a client then knows that nothing happened, where a proxy
//! that accepted first would leave it in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::Mutex;

use crate::fault::Link;
use crate::proxy::{Mode, Proxy, ProxyError};
use crate::seed::Seed;
use crate::system::NodeId;

/// Where a node really listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// To its peers.
    pub peers: SocketAddr,
    /// To its clients.
    pub clients: SocketAddr,
}

/// All links. When it is dropped they end without waiting.
#[derive(Debug)]
pub struct Network {
    nodes: BTreeMap<NodeId, Listening>,
    links: BTreeMap<Link, Proxy>,
    clients: BTreeMap<NodeId, Proxy>,
    /// Held while links are changed, so that one change is complete before the next begins.
    state: Mutex<State>,
}

/// What decides the modes of all links.
#[derive(Debug, Default)]
struct State {
    cut: BTreeSet<Link>,
    down: BTreeSet<NodeId>,
}

impl Network {
    /// Opens every link.
    pub fn open(nodes: BTreeMap<NodeId, Listening>, seed: Seed) -> Result<Self, ProxyError> {
        raise_descriptor_limit();
        let mut links = BTreeMap::new();
        let mut clients = BTreeMap::new();
        for (&to, listening) in &nodes {
            for &from in nodes.keys().filter(|&&from| from != to) {
                let link = Link { from, to };
                let seed = seed.derive(&link.to_string());
                links.insert(link, Proxy::start(listening.peers, seed)?);
            }
            let seed = seed.derive(&format!("clients of {to}"));
            clients.insert(to, Proxy::start(listening.clients, seed)?);
        }
        Ok(Self { nodes, links, clients, state: Mutex::default() })
    }

    /// Returns where a node finds each member: its peers through its own links, itself directly.
    pub fn peers_of(&self, node: NodeId) -> Vec<(NodeId, SocketAddr)> {
        let address = |(&to, listening): (&NodeId, &Listening)| {
            let link = self.links.get(&Link { from: node, to });
            (to, link.map_or(listening.peers, Proxy::address))
        };
        self.nodes.iter().map(address).collect()
    }

    /// Returns where clients find each node.
    pub fn client_addresses(&self) -> BTreeMap<NodeId, SocketAddr> {
        let clients = self.clients.iter();
        clients.map(|(&node, proxy)| (node, proxy.address())).collect()
    }

    /// Returns the proxy of a link.
    pub fn link(&self, link: Link) -> Option<&Proxy> {
        self.links.get(&link)
    }

    /// Cuts exactly these links and opens all others; returns when that is in effect.
    pub async fn cut_exactly(&self, cut: BTreeSet<Link>) -> Result<(), ProxyError> {
        let mut state = self.state.lock().await;
        state.cut = cut;
        self.apply(&state).await
    }

    /// Has the links to a node refuse while it is down, or carry again; returns when they do.
    pub async fn set_down(&self, node: NodeId, is_down: bool) -> Result<(), ProxyError> {
        let mut state = self.state.lock().await;
        if is_down {
            state.down.insert(node);
        } else {
            state.down.remove(&node);
        }
        self.apply(&state).await
    }

    /// Returns the links that are cut.
    pub async fn cuts(&self) -> BTreeSet<Link> {
        self.state.lock().await.cut.clone()
    }

    /// Ends every link; returns when nothing listens any more.
    pub async fn shutdown(self) {
        let proxies = self.links.into_values().chain(self.clients.into_values());
        let mut ends = tokio::task::JoinSet::new();
        for proxy in proxies {
            ends.spawn(proxy.shutdown());
        }
        ends.join_all().await;
    }

    /// Brings every link to the mode that the state asks for. Goes through all of them even if one
    /// fails, so that healing heals what it can.
    async fn apply(&self, state: &State) -> Result<(), ProxyError> {
        let mut result = Ok(());
        let links = self.links.iter().map(|(link, proxy)| {
            let is_cut = state.cut.contains(link);
            (proxy, is_cut, state.down.contains(&link.to))
        });
        let clients = self.clients.iter();
        let clients = clients.map(|(node, proxy)| (proxy, false, state.down.contains(node)));
        for (proxy, is_cut, is_down) in links.chain(clients) {
            let mode = match (is_cut, is_down) {
                (true, _) => Mode::Blackhole,
                (false, true) => Mode::Refuse,
                (false, false) => Mode::Open,
            };
            if proxy.mode() != mode {
                result = result.and(proxy.set_mode(mode).await);
            }
        }
        result
    }
}

/// Lets this process, and the nodes that it starts, open as many files as they may at all. Every
/// connection through a proxy takes two descriptors of ours besides a client's own, and the usual
/// soft limit of 1024 is used up by a few hundred clients.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "failed to raise the limit of open files");
    }
}

#[cfg(test)]
mod tests;
