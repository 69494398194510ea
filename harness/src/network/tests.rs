//! Networks in front of nodes that only listen.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::proxy::tests::echo;

/// Generous: only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a test looks on while nothing is to happen.
const QUIET: Duration = Duration::from_millis(100);

const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);
const N3: NodeId = NodeId::new(3);

async fn network() -> Network {
    wired(Wiring::Dialled).await
}

async fn wired(wiring: Wiring) -> Network {
    let mut nodes = BTreeMap::new();
    for node in NodeId::first(3) {
        let listening = Listening { peers: echo().await, clients: echo().await };
        nodes.insert(node, listening);
    }
    Network::open(nodes, wiring, Seed::new(1), None).unwrap()
}

/// The connections that the nodes of a cluster would have, and one of each node's clients.
struct Mesh {
    links: BTreeMap<Link, TcpStream>,
    clients: BTreeMap<NodeId, TcpStream>,
}

async fn connect(network: &Network) -> Mesh {
    let mut links = BTreeMap::new();
    for from in NodeId::first(3) {
        for (to, address) in network.peers_of(from) {
            if to != from {
                let stream = TcpStream::connect(address).await.unwrap();
                links.insert(Link { from, to }, stream);
            }
        }
    }
    let mut clients = BTreeMap::new();
    for (node, address) in network.client_addresses(Camp::First) {
        clients.insert(node, TcpStream::connect(address).await.unwrap());
    }
    Mesh { links, clients }
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    stream.write_u8(7).await.unwrap();
    tokio::time::timeout(QUIET, stream.read_u8()).await.is_err()
}

async fn answers(stream: &mut TcpStream) {
    stream.write_u8(7).await.unwrap();
    let answer = tokio::time::timeout(DEADLINE, stream.read_u8()).await;
    assert_eq!(answer.expect("no answer").unwrap(), 7);
}

#[tokio::test]
async fn each_link_is_cut_alone() {
    let network = network().await;
    let mut mesh = connect(&network).await;
    for cut in mesh.links.keys().copied().collect::<Vec<_>>() {
        network.cut_exactly([cut].into()).await.unwrap();
        assert_eq!(network.cuts().await, [cut].into());
        for (link, stream) in &mut mesh.links {
            if *link == cut {
                assert!(is_silent(stream).await, "{link} carries though it is cut");
            } else {
                answers(stream).await;
            }
        }
        for stream in mesh.clients.values_mut() {
            answers(stream).await;
        }
        network.cut_exactly(BTreeSet::new()).await.unwrap();
        // What was held is delivered.
        let held = mesh.links.get_mut(&cut).unwrap().read_u8();
        assert_eq!(tokio::time::timeout(DEADLINE, held).await.unwrap().unwrap(), 7);
    }
    network.shutdown().await;
}

#[tokio::test]
async fn links_to_a_node_that_is_down_refuse() {
    let network = network().await;
    let into = |from| network.peers_of(from)[1].1;
    network.set_down(N2, true).await.unwrap();
    for address in [into(N1), into(N3), network.client_addresses(Camp::First)[&N2]] {
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    // A cut hides that the node is down, and the other way round nothing is lost.
    let cut = Link { from: N1, to: N2 };
    network.cut_exactly([cut].into()).await.unwrap();
    let mut mute = TcpStream::connect(into(N1)).await.unwrap();
    assert!(is_silent(&mut mute).await);
    network.cut_exactly(BTreeSet::new()).await.unwrap();
    assert!(TcpStream::connect(into(N1)).await.is_err());
    network.set_down(N2, false).await.unwrap();
    let mut mesh = connect(&network).await;
    for stream in mesh.links.values_mut().chain(mesh.clients.values_mut()) {
        answers(stream).await;
    }
}

#[tokio::test]
async fn a_node_finds_itself_without_a_link() {
    let network = network().await;
    for node in NodeId::first(3) {
        let peers = network.peers_of(node);
        assert_eq!(peers.len(), 3);
        for (peer, address) in peers {
            let is_direct = address == network.nodes[&peer].peers;
            assert_eq!(is_direct, peer == node);
        }
    }
    assert!(network.link(Link { from: N1, to: N1 }).is_none());
}

#[tokio::test]
async fn each_camp_of_clients_has_links_of_its_own() {
    let network = network().await;
    let [first, second] = Camp::BOTH.map(|camp| network.client_addresses(camp));
    let mut streams = BTreeMap::new();
    for (camp, addresses) in [(Camp::First, first), (Camp::Second, second)] {
        for (node, address) in addresses {
            streams.insert((camp, node), TcpStream::connect(address).await.unwrap());
        }
    }
    assert_eq!(streams.len(), 6);
    let cut = (Camp::First, N2);
    let modes = [(Wire::Clients(cut.0, cut.1), Mode::Blackhole)].into();
    network.shape_exactly(modes).await.unwrap();
    assert!(network.cuts().await.is_empty());
    for (camp, stream) in &mut streams {
        if *camp == cut {
            assert!(is_silent(stream).await);
        } else {
            answers(stream).await;
        }
    }
    network.shape_exactly(BTreeMap::new()).await.unwrap();
    assert!(network.modes().await.is_empty());
    network.shutdown().await;
}

#[tokio::test]
async fn messages_are_known_only_where_they_are_asked_for() {
    let nodes: BTreeMap<NodeId, Listening> = NodeId::first(2)
        .into_iter()
        .map(|node| {
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
            (node, Listening { peers: nowhere, clients: nowhere })
        })
        .collect();
    let link = Link { from: NodeId::new(1), to: NodeId::new(2) };
    let rule =
        MessageRule { kind: None, percent: 100, action: crate::messages::MessageAction::Drop };
    let classify: Classify = |_, _| crate::messages::MessageKind::Other;
    for (classify, expected) in [(None, false), (Some(classify), true)] {
        let network =
            Network::open(nodes.clone(), Wiring::Dialled, Seed::new(1), classify).unwrap();
        assert_eq!(network.knows_messages(), expected);
        network.rule_exactly(&[(link, vec![rule])].into());
        let ruled: Vec<_> =
            network.messages.iter().filter(|(_, proxy)| !proxy.rules().is_empty()).collect();
        assert_eq!(
            ruled.iter().map(|(link, _)| **link).collect::<Vec<_>>(),
            match expected {
                true => vec![link],
                false => vec![],
            }
        );
        network.rule_exactly(&BTreeMap::new());
        assert!(network.messages.values().all(|proxy| proxy.rules().is_empty()));
        network.shutdown().await;
    }
}

/// Dials a node through another's front, as a node would, and says how that went.
async fn dial(network: &Network, link: Link) -> Result<TcpStream, u8> {
    let front = network.socks_of(link.from).unwrap();
    let peers: BTreeMap<_, _> = network.peers_of(link.from).into_iter().collect();
    let SocketAddr::V4(address) = peers[&link.to] else {
        unreachable!("members have IPv4 addresses");
    };
    let mut stream = TcpStream::connect(front).await.unwrap();
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend(address.ip().octets());
    request.extend(address.port().to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    match answer[3] {
        0 => Ok(stream),
        reply => Err(reply),
    }
}

#[tokio::test]
async fn a_front_leads_to_every_peer_by_its_own_link() {
    let network = wired(Wiring::Socks).await;
    for link in network.links.keys() {
        let mut stream = dial(&network, *link).await.unwrap();
        answers(&mut stream).await;
        assert_eq!(network.links[link].connections(), 1, "{link}");
    }
    assert_eq!(dial(&network, Link { from: N1, to: N1 }).await.unwrap_err(), 4);
    network.set_down(N2, true).await.unwrap();
    assert_eq!(dial(&network, Link { from: N1, to: N2 }).await.unwrap_err(), 5);
    let fronts: Vec<_> =
        NodeId::first(3).into_iter().filter_map(|it| network.socks_of(it)).collect();
    network.shutdown().await;
    for front in fronts {
        assert!(TcpStream::connect(front).await.is_err(), "{front} listens still");
    }
}

#[tokio::test]
async fn where_both_sides_speak_a_cut_holds_one_way_of_two_connections() {
    let nodes = [(N1, listener()), (N2, listener()), (N3, listener())];
    let mut listeners = BTreeMap::new();
    let mut listening = BTreeMap::new();
    for (node, listener) in nodes {
        let (listener, address) = listener.await;
        listeners.insert(node, listener);
        listening.insert(node, Listening { peers: address, clients: address });
    }
    let network = Network::open(listening, Wiring::Socks, Seed::new(1), None).unwrap();
    let link = Link { from: N1, to: N2 };
    let opposite = Link { from: N2, to: N1 };
    let mut dialled = dial(&network, link).await.unwrap();
    let (mut accepted, _) = listeners[&N2].accept().await.unwrap();
    let mut dialled_back = dial(&network, opposite).await.unwrap();
    let (mut accepted_back, _) = listeners[&N1].accept().await.unwrap();

    network.cut_exactly([link].into()).await.unwrap();
    assert!(is_held(&mut dialled, &mut accepted).await, "N1 speaks on what it dialled");
    assert!(is_held(&mut accepted_back, &mut dialled_back).await, "N1 speaks on what it accepted");
    arrives(&mut accepted, &mut dialled).await;
    arrives(&mut dialled_back, &mut accepted_back).await;
    // No connection is made by one who is not heard, nor to one.
    for link in [link, opposite] {
        let _mute = dial(&network, link).await.unwrap();
        let accepted = tokio::time::timeout(QUIET, listeners[&link.to].accept()).await;
        assert!(accepted.is_err(), "{link} was connected");
    }
    network.cut_exactly(BTreeSet::new()).await.unwrap();
    for receiver in [&mut accepted, &mut dialled_back] {
        let held = tokio::time::timeout(DEADLINE, receiver.read_u8()).await;
        assert_eq!(held.unwrap().unwrap(), 7, "what was held is delivered");
    }
}

async fn listener() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn is_held(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_u8(7).await.unwrap();
    tokio::time::timeout(QUIET, to.read_u8()).await.is_err()
}

async fn arrives(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_u8(8).await.unwrap();
    let byte = tokio::time::timeout(DEADLINE, to.read_u8()).await;
    assert_eq!(byte.expect("nothing arrived").unwrap(), 8);
}
