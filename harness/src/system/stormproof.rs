//! Our own node as the system under test.

mod operator;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proto::admin::admin_client::AdminClient;
use proto::admin::{Role as WireRole, StatusRequest, StatusResponse};
use proto::raft::RaftMessage;
use serde::Serialize;
use tonic::transport::{Channel, Endpoint};

use crate::client::{
    Api, Assurance, Client, Endpoint as ClientEndpoint, KvStore, LedgerBank, Mapping, StoreClient,
    StormproofClient,
};
use crate::disk::damage::Damage;
use crate::fault::{Family, Fault};
use crate::messages::{Classify, MessageKind};
use crate::plan::{LeasePlan, Plan, Reads, SnapshotPlan, Timings};
use crate::process::Exit;
use crate::seed::Seed;
use crate::system::{
    BoxFuture, ClientOrder, CommandLine, DATA, Entry, Listening, NodeId, NodeStatus, NodeView,
    Operator, Probe, ProbeError, Role, System, SystemError, find_program, write_file,
};
use operator::ClusterOperator;

/// The name by which plans call this system.
pub(super) const NAME: &str = "stormproof";

/// The running harness's own file: it holds the node, too. Unlike the path that it was started by,
/// this stays right when the file is replaced during a long campaign.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The flaws that the node can be asked to have.
const FLAWS: [&str; 2] = ["local-reads", "no-fsync"];

/// The exit codes of a node that gives up: it could not work with what it found, it failed, its data are
/// damaged. One that doubts itself has another.
const EXITS: [i32; 3] = [2, 4, 5];

/// How long a probe waits for a connection to a node on the same machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client's session lives without a sign of life: longer than most storms leave a client
/// without a leader, and not so long that it could never end within a run.
const SESSION_TTL: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(super) struct Stormproof {
    bin: Option<PathBuf>,
    /// The program that nodes are upgraded to.
    upgrade: Option<PathBuf>,
    /// How clients make sure of their operations.
    assurance: Assurance,
    reads: Reads,
    flaws: Vec<String>,
    timings: Timings,
    snapshot: SnapshotPlan,
    lease: Option<LeasePlan>,
    /// Whether its clocks are to be set wrong.
    adjustable_clock: bool,
    /// Where the nodes' own randomness comes from.
    seed: Seed,
}

impl Stormproof {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            bin: plan.node.bin.clone(),
            upgrade: plan.node.upgrade.clone(),
            assurance: match plan.workload.sessions {
                true => Assurance::ExactlyOnce { ttl: SESSION_TTL },
                false => Assurance::AtMostOnce,
            },
            reads: plan.workload.reads,
            flaws: plan.node.flaws.clone(),
            timings: plan.timings.clone(),
            snapshot: plan.node.snapshot.clone(),
            lease: plan.node.lease.clone(),
            adjustable_clock: plan.brings(Fault::needs_clock),
            seed: plan.seed.derive("nodes"),
        }
    }

    /// Returns the node's configuration.
    fn configure(&self, view: &NodeView) -> Config {
        let span = |span: Duration| humantime::format_duration(span).to_string();
        let peers = view.peers.iter();
        let (members, join) = match &view.entry {
            Entry::Founds(members) => (members.iter().map(|it| it.number()).collect(), false),
            Entry::Joins(_) => (Vec::new(), true),
        };
        Config {
            id: view.node.number(),
            cluster: view.cluster.clone(),
            listen: ListenConfig { peers: view.listen.peers, clients: view.listen.clients },
            peers: peers
                .map(|(id, address)| PeerConfig { id: id.number(), address: *address })
                .collect(),
            members,
            join,
            data: view.folder.join(DATA),
            timings: TimingsConfig {
                tick: span(self.timings.tick),
                heartbeat: span(self.timings.heartbeat),
                election: span(self.timings.election_timeout),
            },
            snapshot: self.snapshot.clone(),
            reads: self
                .lease
                .as_ref()
                .map(|lease| ReadsConfig { lease: true, drift: lease.drift.clone() }),
            seed: self.seed.derive(&view.node.to_string()).number(),
            flaws: self.flaws.clone(),
            adjustable_clock: self.adjustable_clock,
        }
    }
}

/// The node's configuration file, as far as a run sets it.
#[derive(Serialize)]
struct Config {
    id: u64,
    cluster: String,
    listen: ListenConfig,
    peers: Vec<PeerConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    join: bool,
    data: PathBuf,
    timings: TimingsConfig,
    snapshot: SnapshotPlan,
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<ReadsConfig>,
    seed: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flaws: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    adjustable_clock: bool,
}

#[derive(Serialize)]
struct ListenConfig {
    peers: SocketAddr,
    clients: SocketAddr,
}

#[derive(Serialize)]
struct PeerConfig {
    id: u64,
    address: SocketAddr,
}

#[derive(Serialize)]
struct ReadsConfig {
    lease: bool,
    drift: String,
}

#[derive(Serialize)]
struct TimingsConfig {
    tick: String,
    heartbeat: String,
    election: String,
}

impl System for Stormproof {
    fn check(&self) -> Result<(), SystemError> {
        if self.reads == Reads::Serializable {
            let what = "our own nodes know no serializable reads";
            return Err(SystemError::Unfit { what });
        }
        match self.flaws.iter().find(|flaw| !FLAWS.contains(&flaw.as_str())) {
            Some(flaw) => Err(SystemError::Flaw { flaw: flaw.clone(), known: &FLAWS }),
            None => Ok(()),
        }
    }

    fn prepare(&self, view: &NodeView) -> Result<CommandLine, SystemError> {
        let file = view.folder.join("config.yaml");
        let config = serde_saphyr::to_string(&self.configure(view))
            .expect("a configuration is plain names, numbers and strings");
        write_file(&file, &config)?;
        let config = ["--config".to_owned(), file.to_string_lossy().into_owned()];
        let (program, arguments) = match &self.bin {
            Some(bin) => (find_program(bin)?, config.into()),
            None => {
                let [flag, file] = config;
                (OWN_PROGRAM.into(), vec!["node".into(), flag, file])
            }
        };
        Ok(CommandLine { program, arguments, environment: Vec::new() })
    }

    fn lacks(&self, family: Family) -> Option<&'static str> {
        match family {
            Family::Upgrade if self.upgrade.is_none() => {
                Some("no program to upgrade to (name one with --upgrade-to)")
            }
            _ => None,
        }
    }

    fn upgraded(&self) -> Option<Arc<dyn System>> {
        let bin = Some(self.upgrade.clone()?);
        Some(Arc::new(Self { bin, upgrade: None, ..self.clone() }))
    }

    fn offers(&self, _: Mapping) -> bool {
        true
    }

    fn classify(&self) -> Option<Classify> {
        Some(kind_of)
    }

    fn probe(&self, listening: Listening) -> Box<dyn Probe> {
        Box::new(StatusProbe { address: listening.clients, client: None })
    }

    fn client(&self, order: ClientOrder) -> Box<dyn Client> {
        let endpoint = |(node, address): (NodeId, SocketAddr)| ClientEndpoint {
            address: address.to_string(),
            node: Some(node),
        };
        let endpoints = order.endpoints.into_iter().map(endpoint).collect();
        let client = |api| {
            let random = order.seed.generator();
            StormproofClient::new(api, endpoints, order.placement, random)
                .with_assurance(self.assurance)
        };
        match order.mapping {
            Mapping::Ledger => Box::new(client(Api::Ledger)),
            Mapping::Bank => Box::new(LedgerBank::new(client(Api::Ledger))),
            Mapping::Store(object) => {
                Box::new(StoreClient::new(KvStore::new(client(Api::Kv)), object, order.value_size))
            }
        }
    }

    fn notices(&self, _: Damage) -> Option<fn(&Path) -> bool> {
        Some(|file| {
            let ending = file.extension().and_then(|ending| ending.to_str());
            matches!(ending, Some("wal" | "snapshot"))
        })
    }

    fn gives_up(&self) -> fn(Exit) -> bool {
        |exit| matches!(exit, Exit::Code(code) if EXITS.contains(&code))
    }

    fn operator(&self, nodes: BTreeMap<NodeId, Listening>) -> Box<dyn Operator> {
        Box::new(ClusterOperator::new(&nodes))
    }
}

/// Tells what a message between nodes is.
fn kind_of(_: &str, message: &[u8]) -> MessageKind {
    use proto::raft::raft_message::Message;
    let Ok(RaftMessage { message: Some(message), .. }) = prost::Message::decode(message) else {
        return MessageKind::Other;
    };
    match message {
        Message::RequestVote(_) => MessageKind::RequestVote,
        Message::RequestVoteResponse(_) => MessageKind::RequestVoteResponse,
        Message::AppendEntries(_) => MessageKind::AppendEntries,
        Message::AppendEntriesResponse(_) => MessageKind::AppendEntriesResponse,
        Message::PreVote(_) => MessageKind::PreVote,
        Message::PreVoteResponse(_) => MessageKind::PreVoteResponse,
        Message::TimeoutNow(_) => MessageKind::TimeoutNow,
        Message::InstallSnapshot(_) => MessageKind::InstallSnapshot,
        Message::InstallSnapshotResponse(_) => MessageKind::InstallSnapshotResponse,
        Message::ReadIndex(_) => MessageKind::ReadIndex,
        Message::ReadIndexResponse(_) => MessageKind::ReadIndexResponse,
    }
}

/// Asks `Admin.Status`.
struct StatusProbe {
    address: SocketAddr,
    client: Option<AdminClient<Channel>>,
}

impl Probe for StatusProbe {
    fn status(&mut self) -> BoxFuture<'_, Result<NodeStatus, ProbeError>> {
        Box::pin(async move {
            // A client that failed, or whose call was given up, is not used again: its connection may
            // be that of a process that is gone.
            let mut client = match self.client.take() {
                Some(client) => client,
                None => connect(self.address).await?,
            };
            let answer = client
                .status(StatusRequest {})
                .await
                .map_err(|status| ProbeError::Unreachable(Box::new(status)))?;
            self.client = Some(client);
            understand(answer.into_inner())
        })
    }
}

async fn connect(address: SocketAddr) -> Result<AdminClient<Channel>, ProbeError> {
    let unreachable = |error: tonic::transport::Error| ProbeError::Unreachable(Box::new(error));
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(unreachable)?
        .connect_timeout(CONNECT_TIMEOUT)
        .connect()
        .await
        .map_err(unreachable)?;
    Ok(AdminClient::new(channel))
}

fn understand(answer: StatusResponse) -> Result<NodeStatus, ProbeError> {
    let role = match answer.role() {
        WireRole::Follower => Role::Follower,
        WireRole::PreCandidate | WireRole::Candidate => Role::Candidate,
        WireRole::Leader => Role::Leader,
        WireRole::Unspecified => {
            return Err(ProbeError::Nonsense { what: "it has no role" });
        }
    };
    Ok(NodeStatus {
        role,
        term: answer.term,
        leader: (answer.leader > 0).then(|| NodeId::new(answer.leader)),
        last_log_index: answer.last_log_index,
        commit_index: answer.commit_index,
        last_applied: answer.last_applied,
        recovered_entries: answer.recovered_entries,
        snapshots_received: Some(answer.snapshots_received),
        version: answer.version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(folder: PathBuf) -> NodeView {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        NodeView {
            node: NodeId::new(2),
            cluster: "run \"7\"".into(),
            folder,
            listen: Listening { peers: address(4001), clients: address(4002) },
            peers: vec![(NodeId::new(1), address(5001)), (NodeId::new(2), address(4001))],
            socks: None,
            entry: Entry::Founds(NodeId::first(2)),
        }
    }

    #[test]
    fn the_configuration_is_what_the_node_reads() {
        let folder = tempfile::tempdir().unwrap();
        let system = Stormproof {
            bin: None,
            upgrade: None,
            assurance: Assurance::AtMostOnce,
            reads: Reads::Linearizable,
            flaws: vec!["local-reads".into()],
            timings: Timings::default(),
            snapshot: SnapshotPlan::default(),
            lease: None,
            adjustable_clock: false,
            seed: Seed::new(1),
        };
        let command = system.prepare(&view(folder.path().into())).unwrap();
        let file = folder.path().join("config.yaml");
        assert_eq!(command.program, PathBuf::from(OWN_PROGRAM));
        assert_eq!(command.arguments, ["node", "--config", file.to_str().unwrap()]);
        let expected = format!(
            r#"id: 2
cluster: run "7"
listen:
  peers: 127.0.0.1:4001
  clients: 127.0.0.1:4002
peers:
- id: 1
  address: 127.0.0.1:5001
- id: 2
  address: 127.0.0.1:4001
members:
- 1
- 2
data: {}
timings:
  tick: 10ms
  heartbeat: 50ms
  election: 300ms
snapshot:
  entries: 500
  keep: 50
seed: 553709774393482075
flaws:
- local-reads
"#,
            folder.path().join("data").display()
        );
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }

    #[test]
    fn a_program_that_cannot_be_run_is_named_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "not a program").unwrap();
        let cases = [
            (Path::new("/no/such/node"), "/no/such/node: there is no such file"),
            (folder.path(), "there is no such file"),
            (&text, "text: the file is not executable"),
        ];
        for (bin, expected) in cases {
            let system = Stormproof {
                bin: Some(bin.into()),
                upgrade: None,
                assurance: Assurance::AtMostOnce,
                reads: Reads::Linearizable,
                flaws: Vec::new(),
                timings: Timings::default(),
                snapshot: SnapshotPlan::default(),
                lease: None,
                adjustable_clock: false,
                seed: Seed::new(1),
            };
            let error = system.prepare(&view(folder.path().into())).unwrap_err();
            assert!(matches!(error, SystemError::Program { .. }));
            assert!(error.to_string().ends_with(expected), "{error}");
        }
    }
}
