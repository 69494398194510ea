//! Clusters of little nodes that say what a test has written down for them.

use std::io::Write as _;
use std::path::Path;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::disk::damage::Damage;
use crate::disk::{Ailment, Disk, SyncFailure};
use crate::fault::{Family, Fault, ScheduledFault};
use crate::system::{
    BoxFuture, Clock, CommandLine, Joining, NodeStatus, OrderError, Probe, ProbeError, Role,
};

/// Tells a copy of this test program to be a node; its value is the node's folder and address.
const BE_A_NODE: &str = "STORMPROOF_TEST_NODE";

/// What a parrot that has a book must find in it.
const BOOK: &str = "parrot.book";
const PAGES: [u8; 4096] = [7; 4096];

/// Generous: only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(30);

const MS: Duration = Duration::from_millis(1);
const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);

/// A system whose nodes do nothing but say what is in the file `says` of their folder: a term and the
/// number of its leader, `exit` and a code, or `leave` and a code if it is to do so once. Before it says
/// anything it sleeps for the milliseconds in the file `nap`, if there is one.
#[derive(Debug)]
pub(crate) struct Parrots {
    /// Who is in the cluster by the parrots' own book; once there are any, they take orders.
    pub(crate) book: Arc<Mutex<BTreeSet<NodeId>>>,
    /// What becomes of the next orders to add or remove somebody, before all others are carried out.
    pub(crate) moods: Arc<Mutex<Vec<Mood>>>,
    /// What clocks were set to, in that order.
    pub(crate) clocks: Arc<Mutex<Vec<(NodeId, Clock)>>>,
    /// Whether there are newer parrots to upgrade to, or these are.
    pub(crate) version: Version,
    /// When newcomers are started.
    pub(crate) joining: Joining,
    /// What newcomers say at first, if it is anything special.
    pub(crate) newcomers: Arc<Mutex<Option<String>>>,
    /// How long orders to remove somebody take.
    pub(crate) hesitation: Duration,
    /// How long compactions take.
    pub(crate) compaction: Duration,
}

impl Default for Parrots {
    fn default() -> Self {
        Self {
            book: Arc::default(),
            moods: Arc::default(),
            clocks: Arc::default(),
            version: Version::Only,
            joining: Joining::StartFirst,
            newcomers: Arc::default(),
            hesitation: Duration::ZERO,
            compaction: Duration::ZERO,
        }
    }
}

/// How new a parrot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// There is no newer one.
    Only,
    /// There are newer ones.
    Old,
    /// It is one of those.
    New,
}

/// What becomes of an order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// It is refused.
    Refuses,
    /// It is carried out, and nobody is told.
    KeepsSilent,
    /// It is carried out.
    Agrees,
    /// It is refused when the time for it is up.
    Stalls,
}

struct ParrotOperator {
    book: Arc<Mutex<BTreeSet<NodeId>>>,
    moods: Arc<Mutex<Vec<Mood>>>,
    clocks: Arc<Mutex<Vec<(NodeId, Clock)>>>,
    running: BTreeSet<NodeId>,
    joining: Joining,
    hesitation: Duration,
    compaction: Duration,
}

impl ParrotOperator {
    fn write(
        &self,
        edit: impl FnOnce(&mut BTreeSet<NodeId>),
    ) -> BoxFuture<'static, Result<(), OrderError>> {
        let (what, why) = ("edit the book".into(), "the parrot is in a mood".into());
        let mood = self.moods.lock().unwrap().pop();
        let mut book = self.book.lock().unwrap();
        let written = match mood {
            Some(Mood::Refuses | Mood::Stalls) => Err(OrderError::Refused { what, why }),
            Some(Mood::KeepsSilent) => {
                edit(&mut book);
                Err(OrderError::Unclear { what, why })
            }
            Some(Mood::Agrees) | None => {
                edit(&mut book);
                Ok(())
            }
        };
        Box::pin(std::future::ready(written))
    }
}

impl Operator for ParrotOperator {
    fn joining(&self) -> Joining {
        self.joining
    }

    fn add(
        &mut self,
        node: NodeId,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        self.write(move |book| {
            book.insert(node);
        })
    }

    fn remove(
        &mut self,
        node: NodeId,
        deadline: std::time::Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        let is_stalled = matches!(self.moods.lock().unwrap().last(), Some(Mood::Stalls));
        let written = self.write(move |book| {
            book.remove(&node);
        });
        let hesitation = self.hesitation;
        Box::pin(async move {
            sleep(hesitation).await;
            if is_stalled {
                tokio::time::sleep_until(deadline.into()).await;
            }
            written.await
        })
    }

    fn transfer(
        &mut self,
        _: NodeId,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        self.write(|_| {})
    }

    fn set_clock(
        &mut self,
        node: NodeId,
        clock: Clock,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        let set = match self.running.contains(&node) {
            true => {
                self.clocks.lock().unwrap().push((node, clock));
                Ok(())
            }
            false => {
                let (what, why) = ("set a clock".into(), "it does not run".into());
                Err(OrderError::Refused { what, why })
            }
        };
        Box::pin(std::future::ready(set))
    }

    fn compact(
        &mut self,
        _: NodeId,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        let compaction = self.compaction;
        Box::pin(async move {
            sleep(compaction).await;
            Ok(())
        })
    }
}

impl System for Parrots {
    fn prepare(&self, view: &NodeView) -> Result<CommandLine, SystemError> {
        let test = format!("{}::be_a_node_when_asked", module_path!());
        let test = test.split_once("::").unwrap().1;
        let words = self.newcomers.lock().unwrap().clone();
        if let (Entry::Joins(_), Some(words)) = (&view.entry, words) {
            std::fs::write(view.folder.join("says"), words).unwrap();
        }
        Ok(CommandLine {
            program: std::env::current_exe().unwrap(),
            arguments: ["--exact", test].map(String::from).into(),
            environment: vec![(
                BE_A_NODE.into(),
                format!("{} {:?} {}", view.listen.clients, self.version, view.folder.display()),
            )],
        })
    }

    fn lacks(&self, _: Family) -> Option<&'static str> {
        None
    }

    fn notices(&self, _: Damage) -> Option<fn(&Path) -> bool> {
        Some(|file| file == Path::new(BOOK))
    }

    fn upgraded(&self) -> Option<Arc<dyn System>> {
        let parrots = Self { version: Version::New, ..Self::default() };
        (self.version == Version::Old).then(|| Arc::new(parrots) as _)
    }

    fn operator(&self, nodes: BTreeMap<NodeId, Listening>) -> Box<dyn Operator> {
        Box::new(ParrotOperator {
            book: Arc::clone(&self.book),
            moods: Arc::clone(&self.moods),
            clocks: Arc::clone(&self.clocks),
            running: nodes.into_keys().collect(),
            joining: self.joining,
            hesitation: self.hesitation,
            compaction: self.compaction,
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
                snapshots_received: None,
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
    let (address, rest) = task.split_once(' ').unwrap();
    let (version, folder) = rest.split_once(' ').unwrap();
    let folder = Path::new(folder);
    let id = folder.file_name().unwrap().to_str().unwrap();
    let id: NodeId = id.parse().unwrap();
    if let Ok(nap) = std::fs::read_to_string(folder.join("nap")) {
        std::thread::sleep(Duration::from_millis(nap.parse().unwrap()));
    }
    let is_sound = |book: Vec<u8>| book == PAGES;
    if !std::fs::read(folder.join(DATA).join(BOOK)).map_or(true, is_sound) {
        writeln!(io::stderr(), "a parrot cannot read its book").unwrap();
        std::process::exit(1);
    }
    let listener = std::net::TcpListener::bind(address).unwrap();
    let starts = folder.join("starts");
    let log = std::fs::File::options().create(true).append(true).open(starts);
    writeln!(log.unwrap(), "started {version}").unwrap();
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let says = std::fs::read_to_string(folder.join("says")).unwrap_or("0 0".into());
        if let Some(code) = says.strip_prefix("leave ") {
            std::fs::remove_file(folder.join("says")).unwrap();
            std::process::exit(code.parse().unwrap());
        }
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
            snapshots_received: None,
            version: "parrot".into(),
        };
        (node, NodeHealth { process: ProcessState::Running, status: Some(status) })
    };
    let nodes = NodeId::first(3).into_iter().map(health).collect();
    let members = NodeId::first(3).into_iter().collect();
    ClusterStatus { nodes, members, ..ClusterStatus::default() }
}

/// Has these nodes take so long to answer from their next start on.
pub(crate) fn let_nap(run: &Path, nodes: &[NodeId], nap: Duration) {
    for node in nodes {
        let file = run.join("nodes").join(node.to_string()).join("nap");
        std::fs::write(file, nap.as_millis().to_string()).unwrap();
    }
}

/// Gives these nodes books, of which they notice when they are damaged.
pub(crate) fn give_books(run: &Path, nodes: &[NodeId]) {
    for node in nodes {
        let folder = run.join("nodes").join(node.to_string()).join(DATA);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(BOOK), PAGES).unwrap();
    }
}

/// Has nobody wait longer than this for a node that was started.
pub(crate) fn hurry(cluster: &mut Cluster, restart_deadline: Duration) {
    cluster.restart_deadline = restart_deadline;
}

fn say_words(run: &Path, node: NodeId, words: &str) {
    let folder = run.join("nodes").join(node.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    // A node must not read half of it.
    std::fs::write(folder.join("next"), words).unwrap();
    std::fs::rename(folder.join("next"), folder.join("says")).unwrap();
}

pub(crate) async fn start(nodes: u64, run: &Path) -> Result<Cluster, ClusterError> {
    let plan = Plan { nodes, schedule: Some(Vec::new()), ..Plan::default() };
    start_parrots(Parrots::default(), plan, run).await
}

pub(crate) async fn start_parrots(
    parrots: Parrots,
    plan: Plan,
    run: &Path,
) -> Result<Cluster, ClusterError> {
    let plan = Plan { recovery_deadline: DEADLINE, ..plan };
    Cluster::start_system(Arc::new(parrots), &plan, run).await
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

/// A cluster of three parrots into which others may come, its book, and a handle on their moods.
async fn start_open(run: &Path) -> (Cluster, Arc<Mutex<BTreeSet<NodeId>>>, Arc<Mutex<Vec<Mood>>>) {
    start_open_parrots(Parrots::default(), run).await
}

async fn start_open_parrots(
    parrots: Parrots,
    run: &Path,
) -> (Cluster, Arc<Mutex<BTreeSet<NodeId>>>, Arc<Mutex<Vec<Mood>>>) {
    let (book, moods) = (Arc::clone(&parrots.book), Arc::clone(&parrots.moods));
    book.lock().unwrap().extend(NodeId::first(3));
    let grow = ScheduledFault {
        at: Duration::ZERO,
        duration: Duration::ZERO,
        fault: Fault::Grow,
        draw: None,
    };
    let plan = Plan { nodes: 3, schedule: Some(vec![grow]), ..Plan::default() };
    (start_parrots(parrots, plan, run).await.unwrap(), book, moods)
}

fn is_empty(run: &Path, node: NodeId) -> bool {
    let folder = std::fs::read_dir(run.join("nodes").join(node.to_string())).unwrap();
    folder
        .map(|entry| entry.unwrap().file_name())
        .all(|name| name.to_string_lossy().contains("std"))
}

#[tokio::test]
async fn nodes_come_and_go_under_names_that_nobody_has() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, book, _) = start_open(run.path()).await;
    assert_eq!(cluster.members(), NodeId::first(3));
    for number in [4, 5] {
        let node = cluster.admit(DEADLINE).await.unwrap();
        assert_eq!(node, NodeId::new(number));
        assert!(cluster.poll().await.nodes[&node].status.is_some());
    }
    let full = cluster.admit(DEADLINE).await.unwrap_err();
    assert_eq!(full.to_string(), "no name is left for another node");
    cluster.dismiss(N2, DEADLINE).await.unwrap();
    assert_eq!(*book.lock().unwrap(), [1, 3, 4, 5].map(NodeId::new).into());
    assert_eq!(cluster.members(), [1, 3, 4, 5].map(NodeId::new));
    assert!(is_empty(run.path(), N2));
    let status = cluster.poll().await;
    assert_eq!(process(&status, N2), Some(ProcessState::Killed));
    assert_eq!(status.members.len(), 4);
    let again = cluster.dismiss(N2, DEADLINE).await.unwrap_err();
    assert_eq!(again.to_string(), "n2 is not in the cluster");
    // What is healed stays out, and comes again as somebody else when no stopped node remembers it.
    cluster.heal_all().await.unwrap();
    assert_eq!(process(&cluster.poll().await, N2), Some(ProcessState::Killed));
    cluster.pause(N1).await.unwrap();
    let memory = cluster.admit(DEADLINE).await.unwrap_err();
    assert_eq!(memory.to_string(), "a stopped node may hold words of an earlier n2");
    cluster.resume(N1).await.unwrap();
    assert_eq!(cluster.admit(DEADLINE).await.unwrap(), N2);
    assert_eq!(count_starts(run.path(), N2), 1, "its folder was emptied");
    cluster.shutdown().await;
}

#[tokio::test]
async fn nobody_leaves_or_joins_where_that_could_cost_the_majority() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, book, _) = start_open(run.path()).await;
    cluster.kill(N1).await.unwrap();
    let error = cluster.dismiss(N2, DEADLINE).await.unwrap_err();
    assert_eq!(error.to_string(), "1 running nodes would be no majority of 2");
    // Who is dead may go: those who stay run.
    cluster.dismiss(N1, DEADLINE).await.unwrap();
    let error = cluster.dismiss(N2, DEADLINE).await.unwrap_err();
    assert_eq!(error.to_string(), "fewer than 2 would be left");
    assert_eq!(book.lock().unwrap().len(), 2);
    cluster.pause(N2).await.unwrap();
    // Two of three would run.
    cluster.admit(DEADLINE).await.unwrap();
    let error = cluster.kill(NodeId::new(3)).await;
    error.unwrap();
    let error = cluster.admit(DEADLINE).await.unwrap_err();
    assert_eq!(error.to_string(), "2 running nodes would be no majority of 4");
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_is_unclear_is_kept_until_it_is_clear() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, book, moods) = start_open(run.path()).await;
    let mood = |mood| moods.lock().unwrap().push(mood);

    mood(Mood::Refuses);
    let error = cluster.dismiss(N1, DEADLINE).await.unwrap_err();
    assert!(matches!(error, ChangeError::TakenBack(_)), "{error}");
    assert_eq!(process(&cluster.poll().await, N1), Some(ProcessState::Running));
    assert!(!is_empty(run.path(), N1));

    mood(Mood::KeepsSilent);
    let error = cluster.dismiss(N1, DEADLINE).await.unwrap_err();
    assert!(matches!(error, ChangeError::Unclear(_)), "{error}");
    assert!(!is_empty(run.path(), N1) && cluster.members().contains(&N1));
    // Nothing else happens until it is known that the node is out.
    mood(Mood::Refuses);
    assert!(cluster.admit(DEADLINE).await.is_err());
    assert!(!is_empty(run.path(), N1));
    cluster.settle_members(DEADLINE).await.unwrap();
    assert!(is_empty(run.path(), N1) && !cluster.members().contains(&N1));

    // The newcomer came to nothing, whether or not it was in for a moment.
    for found in [Mood::Refuses, Mood::KeepsSilent] {
        mood(found);
        cluster.admit(DEADLINE).await.unwrap_err();
        cluster.settle_members(DEADLINE).await.unwrap();
        assert_eq!(cluster.members(), [2, 3].map(NodeId::new));
        assert_eq!(book.lock().unwrap().len(), 2);
        let running = cluster.poll().await.nodes.values().filter(|it| it.status.is_some()).count();
        assert_eq!(running, 2);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn who_may_be_out_is_not_started_again() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, _, moods) = start_open(run.path()).await;
    moods.lock().unwrap().push(Mood::KeepsSilent);
    cluster.dismiss(N1, DEADLINE).await.unwrap_err();
    cluster.restart(&[N1]).await.unwrap();
    moods.lock().unwrap().push(Mood::Refuses);
    cluster.heal_all().await.unwrap();
    cluster.settle_members(DEADLINE).await.unwrap_err();
    assert_eq!(count_starts(run.path(), N1), 1);
    cluster.settle_members(DEADLINE).await.unwrap();
    assert_eq!(cluster.members(), [2, 3].map(NodeId::new));
    assert_eq!(cluster.shutdown().await, []);
}

#[tokio::test]
async fn who_is_killed_while_it_is_started_is_not_waited_for() {
    let run = tempfile::tempdir().unwrap();
    let cluster = start(2, run.path()).await.unwrap();
    cluster.kill(N1).await.unwrap();
    say_words(run.path(), N1, "nothing that makes sense");
    let mut processes = cluster.processes();
    let runs = |it: &Processes| it.states[&N1] == ProcessState::Running;
    let start = Instant::now();
    let (restarted, ()) = tokio::join!(cluster.restart(&[N1]), async {
        processes.wait_for(runs).await.unwrap();
        cluster.kill(N1).await.unwrap();
    });
    restarted.unwrap();
    assert!(start.elapsed() < RESTART_DEADLINE);
    let link = cluster.client_addresses()[&N1];
    assert!(TcpStream::connect(link).await.is_err(), "links to who is down refuse");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_newcomer_that_has_its_vote_may_have_to_try_again() {
    let run = tempfile::tempdir().unwrap();
    let parrots = Parrots { joining: Joining::AddFirst, ..Parrots::default() };
    let newcomers = Arc::clone(&parrots.newcomers);
    let n4 = NodeId::new(4);
    *newcomers.lock().unwrap() = Some("leave 1".into());
    let (cluster, book, _) = start_open_parrots(parrots, run.path()).await;
    assert_eq!(cluster.admit(DEADLINE).await.unwrap(), n4);
    assert_eq!(count_starts(run.path(), n4), 2);
    assert_eq!(cluster.unexpected_exits(), []);
    assert!(!cluster.is_excused(n4), "once it was up");

    // Who never comes up is put out again.
    *newcomers.lock().unwrap() = Some("exit 1".into());
    let error = cluster.admit(Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("ended instead of starting"), "{error}");
    assert_eq!(book.lock().unwrap().len(), 5);
    cluster.settle_members(DEADLINE).await.unwrap();
    assert_eq!(cluster.members(), NodeId::first(4));
    assert_eq!(book.lock().unwrap().len(), 4);
    assert_eq!(cluster.shutdown().await, []);
}

#[tokio::test]
async fn nobody_starts_who_is_being_removed() {
    for (mood, starts) in [(Mood::Refuses, 2), (Mood::Agrees, 0)] {
        let run = tempfile::tempdir().unwrap();
        let parrots = Parrots { hesitation: 300 * MS, ..Parrots::default() };
        let (cluster, _, moods) = start_open_parrots(parrots, run.path()).await;
        cluster.kill(N1).await.unwrap();
        moods.lock().unwrap().push(mood);
        let mut crew = cluster.crew.subscribe();
        let (dismissed, ()) = tokio::join!(cluster.dismiss(N1, DEADLINE), async {
            crew.wait_for(|crew| crew.doubtful.contains(&N1)).await.unwrap();
            // A kill and damage of it end while the order is under way.
            cluster.restart(&[N1]).await.unwrap();
            assert_eq!(cluster.bring_back(N1).await.unwrap(), Return::StaysOut);
            assert_eq!(cluster.supervisor.state(N1), Some(ProcessState::Killed));
        });
        let is_in = matches!(dismissed, Err(ChangeError::TakenBack(_)));
        assert_eq!(is_in, starts > 0, "{dismissed:?}");
        // Who stays is started after all.
        let file = run.path().join("nodes/n1/starts");
        let found = std::fs::read_to_string(file).map_or(0, |text| text.lines().count());
        assert_eq!(found, starts);
        assert!(cluster.doubtful().is_empty());
        assert_eq!(cluster.bring_back(N1).await.ok() == Some(Return::StaysOut), !is_in);
        assert_eq!(cluster.shutdown().await, []);
    }
}

/// Gives n1 a disk that it does not use.
pub(crate) fn give_disk(cluster: &mut Cluster, run: &Path) -> Arc<Disk> {
    let disk = Arc::new(Disk::new(run.join("disk")));
    cluster.disks = Disks::of_one(N1, Arc::clone(&disk));
    disk
}

async fn start_with_disk(run: &Path) -> (Cluster, Arc<Disk>) {
    let (mut cluster, ..) = start_open(run).await;
    let disk = give_disk(&mut cluster, run);
    (cluster, disk)
}

const FULL: Ailment =
    Ailment { is_full: true, sync_delay: Duration::ZERO, sync_failure: SyncFailure::None };

#[tokio::test]
async fn who_takes_what_its_disk_did_has_no_excuse_from_then_on() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, disk) = start_with_disk(run.path()).await;
    cluster.set_disk(N1, FULL).await.unwrap();
    disk.refuse();
    cluster.set_disk(N1, Ailment::default()).await.unwrap();
    assert!(cluster.is_excused(N1), "it may be about to end");
    // Who is stopped cannot end yet.
    cluster.pause(N1).await.unwrap();
    assert!(!cluster.has_given_up(N1, Duration::ZERO).await && cluster.is_excused(N1));
    cluster.resume(N1).await.unwrap();
    assert!(!cluster.has_given_up(N1, 100 * MS).await && !cluster.is_excused(N1));
    say_words(run.path(), N1, "exit 7");
    let gone = Some(ProcessState::Exited(Exit::Code(7)));
    wait_until(&cluster, |status| process(status, N1) == gone).await;
    assert_eq!(cluster.shutdown().await.len(), 1);
}

#[tokio::test]
async fn who_ends_late_because_of_its_disk_is_waited_for() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, disk) = start_with_disk(run.path()).await;
    cluster.set_disk(N1, FULL).await.unwrap();
    disk.refuse();
    cluster.set_disk(N1, Ailment::default()).await.unwrap();
    say_words(run.path(), N1, "exit 7");
    assert!(cluster.has_given_up(N1, DEADLINE).await);
    assert_eq!(cluster.shutdown().await, []);
}

#[tokio::test]
async fn what_ails_a_disk_leaves_with_its_node() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, disk) = start_with_disk(run.path()).await;
    cluster.set_disk(N1, FULL).await.unwrap();
    cluster.dismiss(N1, DEADLINE).await.unwrap();
    assert_eq!(disk.ailment(), Ailment::default());
    cluster.shutdown().await;
}

#[tokio::test]
async fn when_all_is_healed_disks_are_well() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, disk) = start_with_disk(run.path()).await;
    cluster.set_disk(N1, FULL).await.unwrap();
    cluster.heal_all().await.unwrap();
    assert_eq!(disk.ailment(), Ailment::default());
    assert!(!cluster.is_excused(N1), "nothing was refused");
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_upgraded_node_starts_as_the_new_one_from_then_on() {
    let run = tempfile::tempdir().unwrap();
    let parrots = Parrots { version: Version::Old, ..Parrots::default() };
    let plan = Plan { nodes: 2, schedule: Some(Vec::new()), ..Plan::default() };
    let cluster = start_parrots(parrots, plan, run.path()).await.unwrap();
    cluster.upgrade(N1).unwrap();
    assert_eq!(cluster.upgraded(), [N1].into());
    for node in [N1, N2, N1] {
        cluster.kill(node).await.unwrap();
        cluster.restart(&[node]).await.unwrap();
    }
    let starts = |node: NodeId| {
        let file = run.path().join("nodes").join(node.to_string()).join("starts");
        std::fs::read_to_string(file).unwrap().replace("started ", "").replace('\n', " ")
    };
    assert_eq!((starts(N1), starts(N2)), ("Old New New ".into(), "Old Old ".into()));
    cluster.shutdown().await;
}

/// Kills n1 of three and damages its book.
async fn damage_one(run: &Path) -> (Cluster, Arc<Mutex<Vec<Mood>>>) {
    let (cluster, _, moods) = start_open(run).await;
    give_books(run, &[N1]);
    cluster.damage(N1, Damage::BitFlip, Seed::new(1)).await.unwrap();
    assert_eq!(cluster.supervisor.state(N1), Some(ProcessState::Killed));
    assert!(!has_sound_book(run));
    (cluster, moods)
}

fn has_sound_book(run: &Path) -> bool {
    std::fs::read(run.join("nodes/n1").join(DATA).join(BOOK)).unwrap() == PAGES
}

#[tokio::test]
async fn who_says_nothing_of_its_damage_in_time_gets_its_files_back() {
    let run = tempfile::tempdir().unwrap();
    let (mut cluster, _) = damage_one(run.path()).await;
    hurry(&mut cluster, Duration::from_millis(200));
    let_nap(run.path(), &[N1], Duration::from_secs(3_600));
    let back = cluster.bring_back(N1).await;
    assert!(matches!(back, Err(ClusterError::Mute { .. })), "{back:?}");
    assert!(has_sound_book(run.path()));
    // What it does from now on is its own doing.
    assert_eq!(cluster.supervisor.state(N1), Some(ProcessState::Running));
    assert!(!cluster.is_excused(N1));
    cluster.shutdown().await;
}

/// Has n1 end by itself, and sees who is to answer for that.
async fn is_held_against_it(run: &Path, cluster: Cluster) -> bool {
    say_words(run, N1, "exit 3");
    wait_until(&cluster, |status| {
        matches!(process(status, N1), Some(ProcessState::Exited(Exit::Code(3))))
    })
    .await;
    cluster.shutdown().await.iter().any(|it| it.node == N1)
}

#[tokio::test]
async fn who_refuses_damage_is_excused_for_that_and_for_nothing_else() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, _) = damage_one(run.path()).await;
    let back = cluster.bring_back(N1).await.unwrap();
    assert_eq!(back, Return::Refused("a parrot cannot read its book".into()));
    assert!(!has_sound_book(run.path()));
    cluster.restore(N1).unwrap();
    cluster.restart(&[N1]).await.unwrap();
    assert!(has_sound_book(run.path()));
    assert_eq!(cluster.unexpected_exits(), []);
    assert!(is_held_against_it(run.path(), cluster).await);

    let run = tempfile::tempdir().unwrap();
    let (cluster, _) = damage_one(run.path()).await;
    // It repairs what was done to it.
    give_books(run.path(), &[N1]);
    assert_eq!(cluster.bring_back(N1).await.unwrap(), Return::WithDamage);
    assert!(is_held_against_it(run.path(), cluster).await);
}

#[tokio::test]
async fn what_was_damaged_is_sound_when_all_is_healed_or_its_node_has_left() {
    let run = tempfile::tempdir().unwrap();
    let (cluster, _) = damage_one(run.path()).await;
    cluster.heal_all().await.unwrap();
    assert!(has_sound_book(run.path()));
    assert_eq!(process(&cluster.poll().await, N1), Some(ProcessState::Running));
    assert_eq!(cluster.shutdown().await, []);

    let run = tempfile::tempdir().unwrap();
    let (cluster, moods) = damage_one(run.path()).await;
    moods.lock().unwrap().push(Mood::KeepsSilent);
    cluster.dismiss(N1, DEADLINE).await.unwrap_err();
    assert_eq!(cluster.bring_back(N1).await.unwrap(), Return::StaysOut);
    assert!(has_sound_book(run.path()));
    assert_eq!(count_starts(run.path(), N1), 1);
    assert_eq!(cluster.shutdown().await, []);
}
