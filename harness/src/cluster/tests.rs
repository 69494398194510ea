//! Clusters of little nodes that say what a test has written down for them.

use std::io::Write as _;
use std::path::Path;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::system::{BoxFuture, CommandLine, NodeStatus, Probe, ProbeError, Role};

/// Tells a copy of this test program to be a node; its value is the node's folder and address.
const BE_A_NODE: &str = "STORMPROOF_TEST_NODE";

/// Generous: only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(30);

const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);

/// A system whose nodes do nothing but say what is in the file `says` of their folder: a term and the
/// number of its leader, or `exit` and a code.
#[derive(Debug)]
pub(crate) struct Parrots;

impl System for Parrots {
    fn prepare(&self, view: &NodeView) -> Result<CommandLine, SystemError> {
        let test = format!("{}::be_a_node_when_asked", module_path!());
        let test = test.split_once("::").unwrap().1;
        Ok(CommandLine {
            program: std::env::current_exe().unwrap(),
            arguments: ["--exact", test].map(String::from).into(),
            environment: vec![(
                BE_A_NODE.into(),
                format!("{} {}", view.listen.clients, view.folder.display()),
            )],
        })
    }

    fn offers(&self, _: Mapping) -> bool {
        false
    }

    fn probe(&self, listening: Listening) -> Box<dyn Probe> {
        Box::new(ParrotProbe(listening.clients))
    }

    fn client(&self, _: ClientOrder) -> Box<dyn Client> {
        unreachable!("parrots have no clients")
    }
}

struct ParrotProbe(SocketAddr);

impl Probe for ParrotProbe {
    fn status(&mut self) -> BoxFuture<'_, Result<NodeStatus, ProbeError>> {
        Box::pin(async move {
            let unreachable = |error: io::Error| ProbeError::Unreachable(Box::new(error));
            let mut stream = TcpStream::connect(self.0).await.map_err(unreachable)?;
            let mut words = String::new();
            stream.read_to_string(&mut words).await.map_err(unreachable)?;
            let numbers = words.split_whitespace().map(str::parse);
            let Ok([id, term, leader]) =
                <[Result<u64, _>; 3]>::try_from(numbers.collect::<Vec<_>>())
            else {
                return Err(ProbeError::Nonsense { what: "gibberish" });
            };
            let (id, term, leader) = (id.unwrap(), term.unwrap(), leader.unwrap());
            Ok(NodeStatus {
                role: if id == leader { Role::Leader } else { Role::Follower },
                term,
                leader: (leader > 0).then(|| NodeId::new(leader)),
                last_log_index: 0,
                commit_index: 0,
                last_applied: 0,
                recovered_entries: 0,
                version: "parrot".into(),
            })
        })
    }
}

/// Does nothing unless it is run as a node.
#[test]
fn be_a_node_when_asked() {
    let Ok(task) = std::env::var(BE_A_NODE) else {
        return;
    };
    let (address, folder) = task.split_once(' ').unwrap();
    let folder = Path::new(folder);
    let id = folder.file_name().unwrap().to_str().unwrap();
    let id: NodeId = id.parse().unwrap();
    let listener = std::net::TcpListener::bind(address).unwrap();
    let starts = folder.join("starts");
    let log = std::fs::File::options().create(true).append(true).open(starts);
    writeln!(log.unwrap(), "started").unwrap();
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let says = std::fs::read_to_string(folder.join("says")).unwrap_or("0 0".into());
        if let Some(code) = says.strip_prefix("exit ") {
            // The test program would keep what `eprintln` prints to itself.
            writeln!(io::stderr(), "a parrot has to go\n").unwrap();
            std::process::exit(code.parse().unwrap());
        }
        let _ = write!(stream, "{} {says}", id.number());
    }
}

/// Has these nodes say that this one leads in this term.
pub(crate) fn say(run: &Path, nodes: &[NodeId], term: u64, leader: Option<NodeId>) {
    for node in nodes {
        let leader = leader.map_or(0, NodeId::number);
        say_words(run, *node, &format!("{term} {leader}"));
    }
}

/// Returns what is seen of three nodes that agree on who leads.
pub(crate) fn led_by(term: u64, leader: NodeId) -> ClusterStatus {
    let health = |node: NodeId| {
        let status = NodeStatus {
            role: if node == leader { Role::Leader } else { Role::Follower },
            term,
            leader: Some(leader),
            last_log_index: 0,
            commit_index: 0,
            last_applied: 0,
            recovered_entries: 0,
            version: "parrot".into(),
        };
        (node, NodeHealth { process: ProcessState::Running, status: Some(status) })
    };
    let nodes = NodeId::first(3).into_iter().map(health).collect();
    ClusterStatus { nodes, ..ClusterStatus::default() }
}

fn say_words(run: &Path, node: NodeId, words: &str) {
    let folder = run.join("nodes").join(node.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    // A node must not read half of it.
    std::fs::write(folder.join("next"), words).unwrap();
    std::fs::rename(folder.join("next"), folder.join("says")).unwrap();
}

pub(crate) async fn start(nodes: u64, run: &Path) -> Result<Cluster, ClusterError> {
    let plan = Plan { nodes, recovery_deadline: DEADLINE, ..Plan::default() };
    Cluster::start_system(Arc::new(Parrots), &plan, run).await
}

fn count_starts(run: &Path, node: NodeId) -> usize {
    let file = run.join("nodes").join(node.to_string()).join("starts");
    std::fs::read_to_string(file).unwrap().lines().count()
}

fn process(status: &ClusterStatus, node: NodeId) -> Option<ProcessState> {
    status.nodes.get(&node).map(|health| health.process)
}

async fn wait_until(cluster: &Cluster, what: impl FnMut(&ClusterStatus) -> bool) -> ClusterStatus {
    let mut status = cluster.status();
    let found = timeout(DEADLINE, status.wait_for(what)).await;
    let found = found.map(|found| found.unwrap().clone());
    found.unwrap_or_else(|_| panic!("last seen: {:?}", cluster.status().borrow()))
}

#[tokio::test]
async fn a_cluster_starts_is_hurt_and_is_healed() {
    let run = tempfile::tempdir().unwrap();
    let cluster = start(3, run.path()).await.unwrap();
    let addresses = cluster.client_addresses();
    assert_eq!(addresses.len(), 3);
    // Clients reach the nodes through the links.
    let mut words = String::new();
    let mut stream = TcpStream::connect(addresses[&N2]).await.unwrap();
    stream.read_to_string(&mut words).await.unwrap();
    assert_eq!(words, "2 0 0");

    cluster.kill(N1).await.unwrap();
    cluster.pause(N2).await.unwrap();
    let status = cluster.poll().await;
    assert_eq!(process(&status, N1), Some(ProcessState::Killed));
    assert_eq!(process(&status, N2), Some(ProcessState::Paused));
    assert!(status.nodes[&N1].status.is_none());
    assert!(TcpStream::connect(addresses[&N1]).await.is_err());
    let link = crate::fault::Link { from: N1, to: N2 };
    cluster.network().cut_exactly([link].into()).await.unwrap();
    let again = cluster.kill(N1).await.unwrap_err();
    assert_eq!(again.to_string(), "n1 is not running");

    cluster.heal_all().await.unwrap();
    let status = cluster.poll().await;
    for node in cluster.nodes() {
        assert_eq!(process(&status, *node), Some(ProcessState::Running));
        assert!(status.nodes[node].status.is_some());
        TcpStream::connect(addresses[node]).await.unwrap();
    }
    assert!(cluster.network().cuts().await.is_empty());
    assert_eq!((count_starts(run.path(), N1), count_starts(run.path(), N2)), (2, 1));
    cluster.heal_all().await.unwrap();
    assert_eq!(cluster.shutdown().await, []);
    assert!(TcpStream::connect(addresses[&N2]).await.is_err());
}

#[tokio::test]
async fn leaders_are_found_and_elections_counted() {
    let run = tempfile::tempdir().unwrap();
    let cluster = start(3, run.path()).await.unwrap();
    let nodes = cluster.nodes().to_vec();
    let error = cluster.wait_for_leader(Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, ClusterError::Leaderless { .. }), "{error}");

    say(run.path(), &nodes, 4, Some(N1));
    let leader = cluster.wait_for_leader(DEADLINE).await.unwrap();
    assert_eq!((leader.term, leader.node), (4, N1));
    wait_until(&cluster, |status| status.elections == 1).await;

    // The old leader has not heard of the new one yet.
    say(run.path(), &nodes[1..], 6, Some(N2));
    let leader = cluster.wait_for_leader(DEADLINE).await.unwrap();
    assert_eq!((leader.term, leader.node), (6, N2));
    let status = wait_until(&cluster, |status| status.elections == 2).await;
    assert_eq!(status.rivals, []);

    say(run.path(), &nodes[..1], 6, Some(N1));
    let status = wait_until(&cluster, |status| !status.rivals.is_empty()).await;
    assert_eq!((status.rivals[0].term, status.rivals[0].nodes.len()), (6, 2));
}

#[tokio::test]
async fn a_node_that_ends_by_itself_is_told_of_and_left_alone() {
    let run = tempfile::tempdir().unwrap();
    let cluster = start(2, run.path()).await.unwrap();
    say_words(run.path(), N2, "exit 7");
    let gone = Some(ProcessState::Exited(Exit::Code(7)));
    wait_until(&cluster, |status| process(status, N2) == gone).await;
    let exits = cluster.unexpected_exits();
    assert_eq!(exits[0].to_string(), "node n2 ended by itself: exit code 7");
    cluster.heal_all().await.unwrap();
    assert_eq!(cluster.shutdown().await, exits);
    assert_eq!(count_starts(run.path(), N2), 1);
}

#[tokio::test]
async fn a_node_that_cannot_start_is_quoted() {
    let run = tempfile::tempdir().unwrap();
    say_words(run.path(), N2, "exit 2");
    let error = start(3, run.path()).await.unwrap_err().to_string();
    assert_eq!(error, "n2 ended instead of starting: exit code 2: a parrot has to go");
}

#[tokio::test]
async fn a_node_that_does_not_come_back_is_told_of() {
    let run = tempfile::tempdir().unwrap();
    let cluster = start(2, run.path()).await.unwrap();
    cluster.kill(N1).await.unwrap();
    say_words(run.path(), N1, "exit 3");
    let error = cluster.restart(&[N1]).await.unwrap_err();
    assert!(matches!(error, ClusterError::Ended { node: N1, .. }), "{error}");
    assert_eq!(cluster.unexpected_exits().len(), 1);
}

#[tokio::test]
async fn an_unknown_system_and_an_impossible_folder_are_refused() {
    let plan = Plan { system: "abacus".into(), ..Plan::default() };
    let error = Cluster::start(&plan, Path::new("/proc")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no system \"abacus\"");
    let error = start(1, Path::new("/proc")).await.unwrap_err();
    assert!(error.to_string().contains("/proc/nodes/n1"), "{error}");
}
