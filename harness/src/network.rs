//! The network between the nodes, and between clients and nodes: a proxy for every link.
//!
//! There is one for every ordered pair of nodes, the one who dials and the one who is dialled. How that
//! becomes a directed link depends on the system's [wiring](Wiring). Where a node says everything that it
//! has to say to a peer down its own connection, the proxy that it dials *is* the link, and to cut it is
//! to cut that direction and nothing else. Where both sides speak on every connection, a link is the
//! forward way of one proxy and the way back of its opposite, and each is cut alone. Connections are made
//! and broken both ways at once, in any network; so none is made while either way is cut.
//!
//! A client's link is a node's own, whoever the client is.
//!
//! What a link does follows from two things: the mode that faults want of it, and whether the node at
//! its end is down. A link to a node that is down refuses, as a connection to it would without a
//! proxy, unless it is cut and holds everything; a client then knows that nothing happened, where a
//! proxy that accepted first would leave it in doubt.
//!
//! Every node has a link for each [camp](Camp) of clients, so that a partition can go through the
//! clients, too.

mod socks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::Mutex;

use crate::fault::{Camp, Link, Wire};
use crate::messages::{Classify, MessageProxy, MessageRule};
use crate::proxy::{Mode, Proxy, ProxyError, Ways};
use crate::seed::Seed;
use crate::system::{Listening, NodeId, Wiring};
use socks::Front;
pub(crate) use socks::{address_of, node_at};

/// All links. When it is dropped they end without waiting.
#[derive(Debug)]
pub struct Network {
    wiring: Wiring,
    /// Through which nodes reach their peers, where the wiring wants it so.
    fronts: BTreeMap<NodeId, Front>,
    nodes: BTreeMap<NodeId, Listening>,
    links: BTreeMap<Link, Proxy>,
    clients: BTreeMap<(Camp, NodeId), Proxy>,
    /// Behind the links between nodes, if single messages are to be hurt.
    messages: BTreeMap<Link, MessageProxy>,
    /// Held while links are changed, so that one change is complete before the next begins.
    state: Mutex<State>,
}

/// What decides the modes of all links.
#[derive(Debug, Default)]
struct State {
    modes: BTreeMap<Wire, Mode>,
    down: BTreeSet<NodeId>,
}

impl Network {
    /// Opens every link. If messages are told apart, every link between nodes leads through a proxy of
    /// messages, too.
    pub fn open(
        nodes: BTreeMap<NodeId, Listening>,
        wiring: Wiring,
        seed: Seed,
        classify: Option<Classify>,
    ) -> Result<Self, ProxyError> {
        raise_descriptor_limit();
        let mut links = BTreeMap::new();
        let mut messages = BTreeMap::new();
        let mut clients = BTreeMap::new();
        for (&to, listening) in &nodes {
            for &from in nodes.keys().filter(|&&from| from != to) {
                let link = Link { from, to };
                let seed = seed.derive(&link.to_string());
                let mut upstream = listening.peers;
                if let Some(classify) = classify {
                    let proxy = MessageProxy::start(upstream, seed.derive("messages"), classify)?;
                    upstream = proxy.address();
                    messages.insert(link, proxy);
                }
                links.insert(link, Proxy::start(upstream, seed)?);
            }
            for camp in Camp::BOTH {
                let seed = seed.derive(&format!("clients of {to}, {camp} camp"));
                clients.insert((camp, to), Proxy::start(listening.clients, seed)?);
            }
        }
        let mut fronts = BTreeMap::new();
        if wiring == Wiring::Socks {
            for &from in nodes.keys() {
                let own = links.iter().filter(|(link, _): &(&Link, &Proxy)| link.from == from);
                let doors = own.map(|(link, proxy)| (link.to, proxy.door())).collect();
                fronts.insert(from, Front::start(doors)?);
            }
        }
        Ok(Self { wiring, fronts, nodes, links, clients, messages, state: Mutex::default() })
    }

    /// Returns where a node finds each member: its peers through its own links, itself directly; or
    /// under the one name that each has, where the wiring wants it so.
    pub fn peers_of(&self, node: NodeId) -> Vec<(NodeId, SocketAddr)> {
        let address = |(&to, listening): (&NodeId, &Listening)| match self.wiring {
            Wiring::Dialled => {
                let link = self.links.get(&Link { from: node, to });
                (to, link.map_or(listening.peers, Proxy::address))
            }
            Wiring::Socks => (to, socks::address_of(to)),
        };
        self.nodes.iter().map(address).collect()
    }

    /// Returns the SOCKS proxy through which a node reaches its peers, where the wiring wants it so.
    pub fn socks_of(&self, node: NodeId) -> Option<SocketAddr> {
        self.fronts.get(&node).map(Front::address)
    }

    /// Returns where the clients of a camp find each node.
    pub fn client_addresses(&self, camp: Camp) -> BTreeMap<NodeId, SocketAddr> {
        let of_camp = self.clients.iter().filter(|((other, _), _)| *other == camp);
        of_camp.map(|(&(_, node), proxy)| (node, proxy.address())).collect()
    }

    /// Returns the proxy of a link.
    pub fn link(&self, link: Link) -> Option<&Proxy> {
        self.links.get(&link)
    }

    /// Cuts exactly these links and opens all others; returns when that is in effect.
    pub async fn cut_exactly(&self, cut: BTreeSet<Link>) -> Result<(), ProxyError> {
        let cut = cut.into_iter().map(|link| (Wire::Nodes(link), Mode::Blackhole));
        self.shape_exactly(cut.collect()).await
    }

    /// Brings these links to these modes and opens all others; returns when that is in effect. A link
    /// that there is not is passed over.
    pub async fn shape_exactly(&self, modes: BTreeMap<Wire, Mode>) -> Result<(), ProxyError> {
        let mut state = self.state.lock().await;
        state.modes = modes;
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

    /// Resets every connection of a node and to it, with all that they hold; returns when that is done.
    pub async fn sever(&self, node: NodeId) -> Result<(), ProxyError> {
        let state = self.state.lock().await;
        let links = self.links.iter().filter(|(link, _)| link.from == node || link.to == node);
        let clients = self.clients.iter().filter(|((_, to), _)| *to == node);
        for proxy in links.map(|(_, proxy)| proxy).chain(clients.map(|(_, proxy)| proxy)) {
            if proxy.ways() != Ways::both(Mode::Refuse) {
                proxy.set_mode(Mode::Reset).await?;
            }
        }
        self.apply(&state).await
    }

    /// Returns the links between nodes that are cut.
    pub async fn cuts(&self) -> BTreeSet<Link> {
        let state = self.state.lock().await;
        let cut = state.modes.iter().filter(|(_, mode)| **mode == Mode::Blackhole);
        cut.filter_map(|(wire, _)| wire.link()).collect()
    }

    /// Returns what faults want of links, but for those that are to be open.
    pub async fn modes(&self) -> BTreeMap<Wire, Mode> {
        self.state.lock().await.modes.clone()
    }

    /// Applies these rules to the messages of links, and none to those of all others. A link that there
    /// is not is passed over, and so is every one of a network that does not know messages.
    pub fn rule_exactly(&self, rules: &BTreeMap<Link, Vec<MessageRule>>) {
        for (link, proxy) in &self.messages {
            proxy.set_rules(rules.get(link).map_or(&[], Vec::as_slice));
        }
    }

    /// Tells whether single messages can be hurt.
    pub fn knows_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Returns how many messages these rules have hit so far, each on its link.
    pub fn messages_hit<'a>(
        &self,
        rules: impl IntoIterator<Item = (&'a Link, &'a MessageRule)>,
    ) -> u64 {
        let hits = |(link, rule): (&Link, &MessageRule)| {
            self.messages.get(link).map(|proxy| proxy.hits(*rule))
        };
        rules.into_iter().filter_map(hits).sum()
    }

    /// Ends every link; returns when nothing listens any more.
    pub async fn shutdown(self) {
        let mut ends = tokio::task::JoinSet::new();
        for front in self.fronts.into_values() {
            ends.spawn(front.shutdown());
        }
        for proxy in self.links.into_values().chain(self.clients.into_values()) {
            ends.spawn(proxy.shutdown());
        }
        for proxy in self.messages.into_values() {
            ends.spawn(proxy.shutdown());
        }
        ends.join_all().await;
    }

    /// Brings every link to the mode that the state asks for. Goes through all of them even if one
    /// fails, so that healing heals what it can.
    async fn apply(&self, state: &State) -> Result<(), ProxyError> {
        let mut result = Ok(());
        let links = self.links.iter().map(|(link, proxy)| {
            let forward = state.wanted(Wire::Nodes(*link), link.to);
            let ways = match self.wiring {
                Wiring::Dialled => Ways::both(forward),
                Wiring::Socks => {
                    let opposite = Link { from: link.to, to: link.from };
                    // Who dials is up.
                    let back = state.mode(Wire::Nodes(opposite));
                    Ways { forward, back }
                }
            };
            (proxy, ways)
        });
        let clients = self.clients.iter().map(|(&(camp, node), proxy)| {
            (proxy, Ways::both(state.wanted(Wire::Clients(camp, node), node)))
        });
        for (proxy, ways) in links.chain(clients) {
            if proxy.ways() != ways {
                result = result.and(proxy.set_ways(ways).await);
            }
        }
        result
    }
}

impl State {
    /// Returns what faults want of a link.
    fn mode(&self, wire: Wire) -> Mode {
        self.modes.get(&wire).copied().unwrap_or(Mode::Open)
    }

    /// Returns what a link to this node is to do with what is sent along it.
    fn wanted(&self, wire: Wire, to: NodeId) -> Mode {
        match self.down.contains(&to) {
            true => self.mode(wire).and(Mode::Refuse),
            false => self.mode(wire),
        }
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
