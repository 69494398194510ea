//! Proxies of messages in front of a node's service that notes what arrives.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use proto::raft::raft_client::RaftClient;
use proto::raft::raft_message::Message;
use proto::raft::raft_server::{Raft, RaftServer};
use proto::raft::{DeliverResponse, RaftMessage, RequestVote, TimeoutNow};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

use super::*;

/// Generous: only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A node that notes the terms of the messages as they arrive, and refuses at term 0.
#[derive(Clone, Default)]
struct Node {
    arrived: Arc<Mutex<Vec<u64>>>,
}

#[tonic::async_trait]
impl Raft for Node {
    async fn deliver(
        &self,
        request: Request<Streaming<RaftMessage>>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = messages.message().await? {
            let term = term_of(&message);
            if term == 0 {
                return Err(Status::resource_exhausted("term 0"));
            }
            self.arrived.lock().unwrap().push(term);
        }
        Ok(Response::new(DeliverResponse {}))
    }
}

fn term_of(message: &RaftMessage) -> u64 {
    match &message.message {
        Some(Message::RequestVote(vote)) => vote.term,
        Some(Message::TimeoutNow(now)) => now.term,
        other => panic!("{other:?}"),
    }
}

/// An even term asks for a vote, an odd one hands over. Content of some size comes with it.
fn message(term: u64) -> RaftMessage {
    let message = match term % 2 {
        0 => Message::RequestVote(RequestVote { term, ..RequestVote::default() }),
        _ => Message::TimeoutNow(TimeoutNow { term }),
    };
    let cluster = "c".repeat(term as usize * 97 % 5000);
    RaftMessage { cluster, from: 1, to: 2, message: Some(message) }
}

fn kind_of(path: &str, content: &[u8]) -> MessageKind {
    assert_eq!(path, "/stormproof.raft.v1.Raft/Deliver");
    let message: RaftMessage = prost::Message::decode(content).unwrap();
    match message.message {
        Some(Message::RequestVote(_)) => MessageKind::RequestVote,
        _ => MessageKind::TimeoutNow,
    }
}

/// A node behind a proxy, and a peer that sends it messages.
struct Line {
    node: Node,
    proxy: MessageProxy,
    send: mpsc::Sender<RaftMessage>,
    end: JoinHandle<Result<(), Status>>,
}

impl Line {
    async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let node = Node::default();
        let service = Server::builder().add_service(RaftServer::new(node.clone()));
        tokio::spawn(async move {
            let _ = service.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        let proxy = MessageProxy::start(upstream, Seed::new(7), kind_of).unwrap();
        let (send, messages) = mpsc::channel(16);
        let address = proxy.address();
        let end = tokio::spawn(async move {
            let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
            let mut client = RaftClient::new(endpoint.connect().await.unwrap());
            client.deliver(ReceiverStream::new(messages)).await.map(|_| ())
        });
        Self { node, proxy, send, end }
    }

    async fn send(&self, terms: impl IntoIterator<Item = u64>) {
        for term in terms {
            self.send.send(message(term)).await.unwrap();
        }
    }

    fn arrived(&self) -> Vec<u64> {
        self.node.arrived.lock().unwrap().clone()
    }

    async fn expect(&self, expected: &[u64]) {
        let start = Instant::now();
        while self.arrived() != expected {
            assert!(start.elapsed() < DEADLINE, "{:?} and not {expected:?}", self.arrived());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn end(self) -> Result<(), Status> {
        drop(self.send);
        tokio::time::timeout(DEADLINE, self.end).await.expect("it ends").unwrap()
    }
}

fn rule(kind: Option<MessageKind>, action: MessageAction) -> [MessageRule; 1] {
    [MessageRule { kind, percent: 100, action }]
}

#[tokio::test]
async fn without_a_rule_everything_passes_in_order() {
    let line = Line::open().await;
    let terms: Vec<u64> = (1..=3000).collect();
    line.send(terms.iter().copied()).await;
    line.expect(&terms).await;
    line.end().await.unwrap();
}

#[tokio::test]
async fn a_refusal_comes_back_with_its_words() {
    let line = Line::open().await;
    line.send([1, 0]).await;
    let status = tokio::time::timeout(DEADLINE, line.end).await.unwrap().unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::ResourceExhausted, "term 0"));
}

#[tokio::test]
async fn messages_of_a_kind_are_dropped_or_doubled() {
    let line = Line::open().await;
    line.send(1..=4).await;
    line.expect(&[1, 2, 3, 4]).await;
    let [dropped] = rule(Some(MessageKind::RequestVote), MessageAction::Drop);
    let [doubled] = rule(None, MessageAction::Duplicate);
    line.proxy.set_rules(&[dropped]);
    line.send(5..=8).await;
    line.expect(&[1, 2, 3, 4, 5, 7]).await;
    line.proxy.set_rules(&[doubled, dropped]);
    line.send(9..=10).await;
    line.expect(&[1, 2, 3, 4, 5, 7, 9, 9, 10, 10]).await;
    assert_eq!((line.proxy.hits(dropped), line.proxy.hits(doubled)), (2, 2));
    line.proxy.set_rules(&[]);
    line.send([11]).await;
    line.expect(&[1, 2, 3, 4, 5, 7, 9, 9, 10, 10, 11]).await;
    line.end().await.unwrap();
}

#[tokio::test]
async fn what_is_held_back_is_overtaken_and_freed_by_the_heal() {
    let line = Line::open().await;
    let day = Duration::from_secs(24 * 60 * 60);
    line.proxy.set_rules(&rule(Some(MessageKind::TimeoutNow), MessageAction::Delay(day)));
    line.send(1..=4).await;
    line.expect(&[2, 4]).await;
    line.proxy.set_rules(&[]);
    line.expect(&[2, 4, 1, 3]).await;
    line.proxy.set_rules(&rule(Some(MessageKind::TimeoutNow), MessageAction::Reorder));
    line.send(5..=8).await;
    line.expect(&[2, 4, 1, 3, 6, 5, 8, 7]).await;
    line.end().await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_stream_waits_for_what_is_held_back() {
    let line = Line::open().await;
    let delay = MessageAction::Delay(Duration::from_millis(50));
    line.proxy.set_rules(&rule(None, delay));
    line.send(1..=2).await;
    let node = line.node.clone();
    line.end().await.unwrap();
    assert_eq!(*node.arrived.lock().unwrap(), [1, 2]);
}

#[tokio::test]
async fn the_end_of_the_callee_is_the_end_of_the_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let proxy = MessageProxy::start(upstream, Seed::new(7), kind_of).unwrap();
    let endpoint = Channel::from_shared(format!("http://{}", proxy.address())).unwrap();
    let mut client = RaftClient::new(endpoint.connect_lazy());
    let end = tokio::spawn(async move { client.deliver(tokio_stream::pending()).await });
    let callee = tokio::time::timeout(DEADLINE, listener.accept()).await.expect("a call").unwrap();
    drop((callee, listener));
    let end = tokio::time::timeout(DEADLINE, end).await.expect("it ends");
    assert!(end.unwrap().is_err());
}

#[tokio::test]
async fn after_the_end_nothing_listens() {
    let line = Line::open().await;
    line.send([1]).await;
    line.expect(&[1]).await;
    let address = line.proxy.address();
    line.proxy.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let end = tokio::time::timeout(DEADLINE, line.end).await.expect("it ends");
    assert!(end.unwrap().is_err());
}
