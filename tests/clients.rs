//! Faults of the links between clients and a node: its own clients feel them, those of others do not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::client::{Client, Mapping, Object, Outcome, Placement, ask_status};
use harness::cluster::Cluster;
use harness::fault::{Camp, Fault, FaultResult, Links, ScheduledFault, Target, Topology};
use harness::nemesis::Nemesis;
use harness::plan::Plan;
use harness::recorder::Recorder;
use harness::seed::Seed;
use harness::system::NodeId;
use harness::workload::Invocation;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::stormproof::{PATIENCE, processes_of, wait_until};

/// How many bytes the value has that everybody reads: a narrow line takes a while for it.
const VALUE_SIZE: usize = 16 * 1024;

/// How long an operation waits that is not expected to be answered.
const SOON: Duration = Duration::from_millis(500);

/// A cluster with clients that stay with each of its nodes.
struct Stage<'a> {
    cluster: &'a Cluster,
    recorder: &'a Recorder,
    leader: NodeId,
}

/// How a client reads the one value: whether it got it, and how long that took.
#[derive(Clone, Copy, Debug)]
struct Read {
    is_ok: bool,
    took: Duration,
}

async fn read(client: &mut Box<dyn Client>, patience: Duration) -> Read {
    let invocation = Invocation::new("read", "key", Value::Null);
    let start = Instant::now();
    let outcome = client.execute(&invocation, start + patience).await;
    let is_ok = matches!(outcome, Outcome::Ok { value, .. } if value == json!(1));
    Read { is_ok, took: start.elapsed() }
}

impl Stage<'_> {
    /// Makes a client of each camp that stays with a node.
    fn clients_of(&self, node: NodeId) -> [Box<dyn Client>; 2] {
        let mapping = Mapping::Store(Object::Register);
        let placement = Placement::Pinned(node);
        [1, 2].map(|seed| self.cluster.client(mapping, VALUE_SIZE, placement, Seed::new(seed)))
    }

    fn others(&self) -> Vec<NodeId> {
        self.cluster.nodes().iter().copied().filter(|&it| it != self.leader).collect()
    }

    /// Has the nemesis bring a fault, looks at what that does, and has it end.
    async fn under(&self, fault: Fault, look: impl AsyncFnOnce()) {
        let forever = 3_600 * PATIENCE;
        let at_once = ScheduledFault { at: Duration::ZERO, duration: forever, fault, draw: None };
        let plan = Plan { nodes: 3, schedule: Some(vec![at_once]), ..Plan::default() };
        let nemesis = Nemesis::new(&plan);
        let mut in_force = nemesis.in_force();
        let cancel = CancellationToken::new();
        let looking = async {
            let begun = in_force.wait_for(|faults| !faults.is_empty());
            tokio::time::timeout(PATIENCE, begun).await.unwrap().unwrap();
            look().await;
            cancel.cancel();
        };
        let run = nemesis.run(self.cluster, self.recorder, cancel.clone());
        let (report, ()) = tokio::join!(run, looking);
        for record in &report.faults {
            assert_eq!(record.result, FaultResult::Installed, "{fault}: {record:?}");
            assert_eq!(record.trouble, None, "{fault}: {record:?}");
        }
        assert_eq!(report.faults.len(), 1);
    }

    /// Brings a fault of the leader's clients. Every read by one of them has to be like this, and the
    /// others must not be, nor theirs before and after it.
    async fn is_felt(&self, fault: Fault, patience: Duration, is_hurt: impl Fn(Read) -> bool) {
        let mut hit = self.clients_of(self.leader);
        let mut spared: Vec<_> =
            self.others().into_iter().flat_map(|it| self.clients_of(it)).collect();
        // On a busy machine anything may be slow once, but not again and again.
        let is_well = async |client: &mut Box<dyn Client>, who: &str| {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let read = read(client, PATIENCE).await;
                if read.is_ok && !is_hurt(read) {
                    break;
                }
                assert!(Instant::now() < deadline, "{fault}: {who} felt it: {read:?}");
            }
        };
        for client in &mut hit {
            is_well(client, "who had a connection before").await;
        }
        self.under(fault, async || {
            let new = self.clients_of(self.leader);
            for client in hit.iter_mut().chain(&mut Vec::from(new)) {
                let read = read(client, patience).await;
                assert!(is_hurt(read), "{fault}: {read:?}");
            }
            for client in &mut spared {
                is_well(client, "who is with another node").await;
            }
        })
        .await;
        for client in &mut hit {
            is_well(client, "whose node is well again").await;
        }
    }
}

/// Starts a cluster that holds one large value.
fn with_stage(test: impl AsyncFnOnce(Stage<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan { nodes: 3, recovery_deadline: PATIENCE, ..Plan::default() };
    // Who leads is to go on, however busy the machine is.
    plan.timings.election_timeout = Duration::from_secs(1);
    plan.node.bin = Some(env!("CARGO_BIN_EXE_stormproof-node").into());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let cluster = Cluster::start(&plan, folder.path()).await.unwrap();
        let leader = cluster.wait_for_leader(PATIENCE).await.unwrap().node;
        let (recorder, recording) = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
        let stage = Stage { cluster: &cluster, recorder: &recorder, leader };
        let [mut writer, _] = stage.clients_of(leader);
        let write = Invocation::new("write", "key", json!(1));
        let written = writer.execute(&write, Instant::now() + PATIENCE).await;
        assert!(matches!(written, Outcome::Ok { .. }), "{written:?}");
        test(stage).await;
        drop(recorder);
        recording.finish().await.unwrap();
        assert!(cluster.network().modes().await.is_empty());
        assert_eq!(cluster.shutdown().await, []);
    });
    assert!(processes_of(folder.path()).is_empty());
}

#[test]
fn what_hurts_a_nodes_clients_hurts_no_others() {
    with_stage(async |stage| {
        let links = Links::Clients(Target::Node(stage.leader));
        let latency = Duration::from_millis(200);
        let delay = Fault::Delay { links, latency, jitter: Duration::ZERO };
        // Late on the way there and on the way back.
        stage.is_felt(delay, PATIENCE, |read| read.is_ok && read.took >= 2 * latency).await;
        let throttle = Fault::Throttle { links, bytes_per_second: 2 * VALUE_SIZE as u64 };
        let least = Duration::from_millis(400);
        stage.is_felt(throttle, PATIENCE, |read| read.is_ok && read.took >= least).await;
        // Who is refused or reset knows at once, whatever time there is; who is not answered waits.
        let is_told = |read: Read| !read.is_ok && read.took < PATIENCE / 2;
        stage.is_felt(Fault::Refuse(links), PATIENCE, is_told).await;
        stage.is_felt(Fault::Reset(links), PATIENCE, is_told).await;
        // Half of its time, who has no connection waits for one.
        let is_mute = |read: Read| !read.is_ok && read.took >= SOON / 2;
        stage.is_felt(Fault::Blackhole(links), SOON, is_mute).await;
    });
}

#[test]
fn a_leader_alone_keeps_one_half_of_the_clients() {
    with_stage(async |stage| {
        let alone = Fault::Partition(Topology::LeaderWithClients);
        let [first, second] = Camp::BOTH.map(|camp| stage.cluster.network().client_addresses(camp));
        let is_mute = async |address: SocketAddr| {
            ask_status(&address.to_string(), Instant::now() + SOON).await.is_err()
        };
        let answers = async |address: SocketAddr| {
            ask_status(&address.to_string(), Instant::now() + PATIENCE).await.unwrap()
        };
        let old = stage.leader;
        stage
            .under(alone, async || {
                wait_until(stage.cluster, "another leader", |status| {
                    status.leader().is_some_and(|new| new.node != old)
                })
                .await;
                answers(first[&old]).await;
                assert!(is_mute(second[&old]).await, "the second camp reaches {old}");
                let [mut deserted, _] = stage.clients_of(old);
                let served = read(&mut deserted, SOON).await;
                assert!(!served.is_ok, "{old} reads alone: {served:?}");
                for node in stage.others() {
                    answers(second[&node]).await;
                    assert!(is_mute(first[&node]).await, "the first camp reaches {node}");
                    let [_, mut kept] = stage.clients_of(node);
                    let served = read(&mut kept, PATIENCE).await;
                    assert!(served.is_ok, "{node} does not serve: {served:?}");
                }
            })
            .await;
        for addresses in [first, second] {
            for address in addresses.into_values() {
                answers(address).await;
            }
        }
    });
}
