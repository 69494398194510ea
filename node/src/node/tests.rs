//! Whole nodes in one process, over real sockets and real folders.

use std::path::Path;
use std::time::Instant;

use proto::admin::admin_client::AdminClient;
use proto::admin::{Role, StatusRequest, StatusResponse};
use proto::kv::kv_client::KvClient;
use proto::kv::{AppendRequest, GetRequest};
use proto::ledger::ledger_client::LedgerClient;
use proto::ledger::{
    GetBookRequest, GetHistoryRequest, GetHistoryResponse, Holding, OpenAccountRequest,
    TradeRequest, trade_response,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::*;
use crate::config::{Listen, PeerAddress, Reads, SnapshotPolicy};
use crate::{EXIT_DAMAGED, EXIT_USAGE, describe, exit_code};

mod clock;
mod membership;
mod snapshots;

/// Far longer than anything here takes, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// So patient that a busy machine unseats no leader.
const PATIENT: Timings = Timings {
    tick: Duration::from_millis(10),
    heartbeat: Duration::from_millis(50),
    election: Duration::from_millis(600),
};

/// A node that runs in this process.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), NodeError>>,
    channel: Channel,
}

impl Running {
    async fn start(config: &Config) -> Self {
        let listeners = Listeners::bind(config).await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(config.clone(), listeners, stop.clone()));
        let address = format!("http://{}", config.listen.clients);
        let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
        Self { stop, task, channel }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    async fn status(&self) -> Option<StatusResponse> {
        let mut admin = AdminClient::new(self.channel.clone());
        Some(admin.status(StatusRequest {}).await.ok()?.into_inner())
    }

    fn ledger(&self) -> LedgerClient<Channel> {
        LedgerClient::new(self.channel.clone())
    }

    fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
    }
}

/// Returns the configurations of a cluster on ports that are free now.
async fn configs(nodes: u64, folder: &TempDir) -> Vec<Config> {
    let mut held = Vec::new();
    let mut free = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        held.push(listener);
        address
    };
    let mut listens = Vec::new();
    for _ in 0..nodes {
        listens.push(Listen { peers: free().await, clients: free().await });
    }
    let peers: BTreeMap<_, _> = (1..)
        .zip(&listens)
        .map(|(id, listen)| (NodeId(id), PeerAddress::parse(&listen.peers.to_string()).unwrap()))
        .collect();
    (1..)
        .zip(listens)
        .map(|(id, listen)| Config {
            cluster: "storm".to_owned(),
            id: NodeId(id),
            listen,
            peers: peers.clone(),
            beginning: None,
            data: folder.path().join(format!("n{id}")),
            timings: PATIENT,
            snapshot: SnapshotPolicy::default(),
            reads: Reads::default(),
            seed: Some(7),
            flaws: [].into(),
            adjustable_clock: false,
        })
        .collect()
}

/// Waits until some node leads and says so; returns its place.
async fn leader(nodes: &[Running]) -> usize {
    let deadline = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    while Instant::now() < deadline {
        seen.clear();
        for node in nodes {
            seen.push(node.status().await);
        }
        let leads = |status: &Option<StatusResponse>| {
            // It has applied something: it can read and knows that it leads.
            status.as_ref().is_some_and(|s| s.role() == Role::Leader && s.last_applied > 0)
        };
        if let Some(place) = seen.iter().position(leads) {
            return place;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("no leader within {DEADLINE:?}; last seen: {seen:?}");
}

fn open(account: &str, shares: u64) -> OpenAccountRequest {
    OpenAccountRequest {
        book: "book".to_owned(),
        account: account.to_owned(),
        cash: 1_000,
        holdings: vec![Holding { symbol: "ACME".to_owned(), quantity: shares }],
    }
}

fn trade(quantity: u64) -> TradeRequest {
    TradeRequest {
        book: "book".to_owned(),
        buyer: "a".to_owned(),
        seller: "b".to_owned(),
        symbol: "ACME".to_owned(),
        quantity,
        price: 5,
    }
}

fn history() -> GetHistoryRequest {
    GetHistoryRequest { book: "book".to_owned(), from: 1, limit: 0 }
}

fn is_marked_not_applied(status: &Status) -> bool {
    status.metadata().get(proto::OUTCOME_KEY).is_some_and(|value| value == proto::NOT_APPLIED)
}

#[tokio::test]
async fn a_single_node_serves_everything_and_remembers_it() {
    let folder = TempDir::new().unwrap();
    let config = configs(1, &folder).await.remove(0);
    let node = Running::start(&config).await;
    leader(std::slice::from_ref(&node)).await;
    node.ledger().open_account(open("a", 0)).await.unwrap();
    node.ledger().open_account(open("b", 3)).await.unwrap();
    let traded = node.ledger().trade(trade(2)).await.unwrap().into_inner();
    assert_eq!(traded.result, Some(trade_response::Result::Trade(1)));
    let rejected = node.ledger().trade(trade(2)).await.unwrap().into_inner();
    let insufficient = proto::outcome::Rejection::InsufficientShares.into();
    assert_eq!(rejected.result, Some(trade_response::Result::Rejection(insufficient)));
    assert_eq!(rejected.index, traded.index + 1);
    let append = AppendRequest { key: "k".to_owned(), value: "ab".to_owned() };
    assert_eq!(node.kv().append(append).await.unwrap().into_inner().length, 2);

    let huge = AppendRequest { key: "k".to_owned(), value: "x".repeat(1 << 20) };
    let status = node.kv().append(huge).await.unwrap_err();
    assert!(status.code() == Code::InvalidArgument && is_marked_not_applied(&status), "{status}");
    node.stop().await;

    let node = Running::start(&config).await;
    leader(std::slice::from_ref(&node)).await;
    // The no-op, two accounts, two trades, an append.
    assert_eq!(node.status().await.unwrap().recovered_entries, 6);
    let book = GetBookRequest { book: "book".to_owned() };
    let book = node.ledger().get_book(book).await.unwrap().into_inner();
    let balances: Vec<_> = book.accounts.iter().map(|a| (a.name.as_str(), a.cash)).collect();
    assert_eq!((balances, book.trades), (vec![("a", 990), ("b", 1_010)], 1));
    let get = GetRequest { key: "k".to_owned() };
    assert_eq!(node.kv().get(get).await.unwrap().into_inner().value.as_deref(), Some("ab"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_elect_replicate_and_survive_a_restart_one_by_one_and_all_at_once() {
    let folder = TempDir::new().unwrap();
    let configs = configs(3, &folder).await;
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(Running::start(config).await);
    }
    let first = leader(&nodes).await;
    for (account, shares) in [("a", 0), ("b", 100)] {
        nodes[first].ledger().open_account(open(account, shares)).await.unwrap();
    }
    let mut done = vec![trade_until_done(&nodes).await];

    // A follower takes no trade, with certainty and with the leader's name, but it answers reads.
    let follower = (0..3).find(|place| *place != first).unwrap();
    let status = knows_leader(&nodes[follower], first as u64 + 1).await;
    assert!(is_marked_not_applied(&status), "{status}");
    let found = read_until_answered(&nodes[follower]).await;
    assert!(found.total >= done[0], "{found:?} lacks trade {}", done[0]);

    // The leader goes; the others go on, and it catches up.
    nodes.remove(first).stop().await;
    leader(&nodes).await;
    done.push(trade_until_done(&nodes).await);
    nodes.insert(first, Running::start(&configs[first]).await);
    let behind = nodes[first].status();
    assert!(behind.await.is_some_and(|status| status.recovered_entries >= 4));
    let second = leader(&nodes).await;
    let target = nodes[second].status().await.unwrap().commit_index;
    applied(&nodes[first], target).await;

    // All go and come back from their disks.
    for node in nodes.drain(..) {
        node.stop().await;
    }
    for config in &configs {
        nodes.push(Running::start(config).await);
    }
    done.push(trade_until_done(&nodes).await);
    let last = leader(&nodes).await;
    let found = nodes[last].ledger().get_history(history()).await.unwrap().into_inner();
    let numbers: Vec<u64> = found.trades.iter().map(|trade| trade.trade).collect();
    assert_eq!(numbers, (1..=found.total).collect::<Vec<_>>());
    assert!(done.iter().all(|number| numbers.contains(number)), "{done:?} in {numbers:?}");
    assert!(done.is_sorted_by(|one, next| one < next), "{done:?}");
    for node in nodes {
        node.stop().await;
    }
}

/// Trades with whoever leads until a trade is answered; returns its number.
async fn trade_until_done(nodes: &[Running]) -> u64 {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let place = leader(nodes).await;
        let traded = nodes[place].ledger().trade(trade(1)).await;
        match traded.map(|response| response.into_inner().result) {
            Ok(Some(trade_response::Result::Trade(number))) => return number,
            Ok(other) => panic!("no trade: {other:?}"),
            // The leader fell; whether the trade happens or not, another one may be tried.
            Err(status) => assert!(Instant::now() < deadline, "{status}"),
        }
    }
}

/// Trades with a follower until it refuses with this leader's id.
async fn knows_leader(follower: &Running, leader: u64) -> Status {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let status = follower.ledger().trade(trade(1)).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        let hint = status.metadata().get(proto::LEADER_KEY);
        if hint.is_some_and(|hint| *hint == leader.to_string()) {
            return status;
        }
        assert!(Instant::now() < deadline, "no hint at node {leader}: {status:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Reads the history from this very node until it answers.
async fn read_until_answered(node: &Running) -> GetHistoryResponse {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match node.ledger().get_history(history()).await {
            Ok(found) => return found.into_inner(),
            // Its leader fell, or is not known yet.
            Err(status) => assert!(Instant::now() < deadline, "{status}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn applied(node: &Running, index: u64) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let status = node.status().await;
        if status.as_ref().is_some_and(|status| status.last_applied >= index) {
            return;
        }
        assert!(Instant::now() < deadline, "index {index} is not applied: {status:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_a_lease_reads_what_was_written() {
    let folder = TempDir::new().unwrap();
    let mut nodes = Vec::new();
    for mut config in configs(3, &folder).await {
        config.reads.lease = true;
        nodes.push(Running::start(&config).await);
    }
    for number in 0..20_u64 {
        let value = number.to_string();
        snapshots::put_until_done(&nodes, "k", &value).await;
        for node in &nodes {
            let found = snapshots::get_until_answered(node, "k").await;
            assert_eq!(found, Some(value.clone()), "put {number}");
        }
    }
    for node in nodes {
        node.stop().await;
    }
}

/// Starts a node that must not start, and checks what it says.
async fn check_refusal(config: &Config, code: u8, said: &str) {
    let error = match Listeners::bind(config).await {
        Ok(listeners) => {
            let run = run(config.clone(), listeners, CancellationToken::new());
            timeout(DEADLINE, run).await.expect("the node started").unwrap_err()
        }
        Err(error) => error,
    };
    let line = describe(&error);
    assert!(line.contains(said) && !line.contains('\n'), "{said:?}: {line}");
    assert_eq!(exit_code(&error), code, "{line}");
}

fn segment(config: &Config) -> std::path::PathBuf {
    config.data.join("wal/0000000000000001.wal")
}

fn damage(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_refused_in_one_line() {
    let folder = TempDir::new().unwrap();
    let config = configs(1, &folder).await.remove(0);
    let node = Running::start(&config).await;
    leader(std::slice::from_ref(&node)).await;
    node.ledger().open_account(open("a", 1)).await.unwrap();

    check_refusal(&config, EXIT_USAGE, "`listen.peers`: failed to listen at 127.0.0.1").await;
    let other = configs(1, &folder).await.remove(0);
    let same_data = Config { data: config.data.clone(), ..other.clone() };
    check_refusal(&same_data, EXIT_USAGE, "is in use by a running node").await;
    node.stop().await;

    let other_node = Config { id: NodeId(2), ..same_data.clone() };
    check_refusal(&other_node, EXIT_USAGE, "belongs to node 1 of cluster `storm`").await;
    let other_cluster = Config { cluster: "calm".to_owned(), ..same_data.clone() };
    check_refusal(&other_cluster, EXIT_USAGE, "not to node 1 of cluster `calm`").await;
    let beginning = Some([NodeId(1), NodeId(4)].into());
    let other_beginning = Config { beginning, ..same_data.clone() };
    let said = "the cluster began with node 1, by the configuration the cluster began with nodes 1, 4; \
                how it began cannot change";
    check_refusal(&other_beginning, EXIT_USAGE, said).await;
    let joining = Config { beginning: Some([].into()), ..same_data.clone() };
    check_refusal(&joining, EXIT_USAGE, "by the configuration the node joined a running").await;
    // Even root cannot make a folder under a file.
    let nowhere = Config { data: segment(&config).join("data"), ..other };
    check_refusal(&nowhere, EXIT_USAGE, "`data`: failed to create").await;

    // What follows harms the folder, step by step.
    damage(&segment(&config), 90);
    check_refusal(&same_data, EXIT_DAMAGED, "0000000000000001.wal is damaged at byte 72").await;
    damage(&segment(&config), 90);
    let identity = config.data.join("identity.yaml");
    std::fs::write(&identity, "cluster: storm").unwrap();
    check_refusal(&same_data, EXIT_USAGE, "does not say whose folder it is").await;
    std::fs::remove_file(&identity).unwrap();
    check_refusal(&same_data, EXIT_USAGE, "holds a log but no identity.yaml").await;
    std::fs::write(&identity, "cluster: storm\nid: 1\nmembers: [1]\n").unwrap();
    let starts = config.data.join("starts");
    std::fs::write(&starts, "many").unwrap();
    check_refusal(&same_data, EXIT_USAGE, "does not say how often the node has started").await;
    std::fs::remove_file(&starts).unwrap();
    check_refusal(&same_data, EXIT_USAGE, "does not say how often the node has started").await;
    std::fs::write(&starts, "9\n").unwrap();
    std::fs::write(&identity, "cluster: storm\nid: 1\nmembers: [1]\n").unwrap();
    std::fs::remove_file(segment(&config)).unwrap();
    check_refusal(&same_data, EXIT_DAMAGED, "has lost its log").await;
    // One that is no file cannot be opened, not even by root.
    std::fs::create_dir(segment(&config)).unwrap();
    check_refusal(&same_data, EXIT_USAGE, "`data`: failed to open the log in").await;
    std::fs::remove_dir(segment(&config)).unwrap();
    // A segment that a crash left half made is no log either.
    std::fs::write(segment(&config).with_file_name("0000000000000002.wal.new"), "").unwrap();
    check_refusal(&same_data, EXIT_DAMAGED, "has lost its log").await;
}
