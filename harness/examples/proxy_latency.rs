//! How much later clients have their answers because every link goes through a proxy.
//!
//! ```sh
//! cargo build --release && cargo run --release -p harness --example proxy_latency -- \
//!     target/release/stormproof-node [ROUNDS]
//! ```
//!
//! Three clusters of three nodes run side by side: one whose nodes and clients find each other through
//! proxies, as in every run; one where proxies of messages lie between the nodes besides; and one where
//! they find each other directly. Sixty-four clients write registers,
//! each one operation after the other, for two seconds on the one and then on the next, round by
//! round, so that whatever else the machine does befalls all alike. The medians are compared.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness::client::{Client, Mapping, Object, Outcome, Placement};
use harness::cluster::Cluster;
use harness::fault::{Family, Fault, Links, ScheduledFault, Target};
use harness::messages::{MessageAction, MessageRule};
use harness::plan::Plan;
use harness::seed::Seed;
use harness::system::{
    self, ClientOrder, CommandLine, Listening, NodeId, NodeView, Probe, System, SystemError,
};
use harness::workload::Invocation;
use serde_json::json;

/// How many clients there are.
const CLIENTS: u64 = 64;

/// How long each turn takes.
const TURN: Duration = Duration::from_secs(2);

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A system whose nodes and clients know each other's own addresses, and not those of proxies.
#[derive(Debug)]
struct Direct {
    system: Arc<dyn System>,
    views: Mutex<Vec<NodeView>>,
}

impl Direct {
    fn addresses(&self) -> BTreeMap<NodeId, Listening> {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.iter().map(|view| (view.node, view.listen)).collect()
    }
}

impl System for Direct {
    fn lacks(&self, family: Family) -> Option<&'static str> {
        self.system.lacks(family)
    }

    fn offers(&self, mapping: Mapping) -> bool {
        self.system.offers(mapping)
    }

    /// Prepares the node, and those before it anew: they have not been started yet.
    fn prepare(&self, view: &NodeView) -> Result<CommandLine, SystemError> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.push(view.clone());
        let listening: BTreeMap<_, _> = views.iter().map(|it| (it.node, it.listen.peers)).collect();
        for view in views.iter_mut() {
            for (node, address) in &mut view.peers {
                *address = listening.get(node).copied().unwrap_or(*address);
            }
            self.system.prepare(view)?;
        }
        self.system.prepare(&views[views.len() - 1])
    }

    fn probe(&self, listening: Listening) -> Box<dyn Probe> {
        self.system.probe(listening)
    }

    fn client(&self, order: ClientOrder) -> Box<dyn Client> {
        let addresses = self.addresses().into_iter();
        let endpoints = addresses.map(|(node, listening)| (node, listening.clients)).collect();
        self.system.client(ClientOrder { endpoints, ..order })
    }
}

/// A cluster and its clients.
struct Side {
    name: &'static str,
    cluster: Cluster,
    clients: Vec<Box<dyn Client>>,
    latencies: Vec<Duration>,
}

impl Side {
    async fn start(
        name: &'static str,
        system: Arc<dyn System>,
        plan: &Plan,
        folder: &std::path::Path,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = folder.join(name);
        std::fs::create_dir(&folder)?;
        let cluster = Cluster::start_system(system, plan, &folder).await?;
        cluster.wait_for_leader(PATIENCE).await?;
        let mapping = Mapping::Store(Object::Register);
        let placement = || Placement::LeaderFollowing;
        let client = |number| cluster.client(mapping, 0, placement(), Seed::new(number));
        let clients = (0..CLIENTS).map(client).collect();
        Ok(Self { name, cluster, clients, latencies: Vec::new() })
    }

    /// Lets every client work for one turn; what it measures counts unless it is a rehearsal.
    async fn work(&mut self, is_rehearsal: bool) -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for (number, mut client) in self.clients.drain(..).enumerate() {
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                let mut value = 0_u64;
                while begun.elapsed() < TURN {
                    value += 1;
                    let invocation = Invocation::new("write", format!("k{number}"), json!(value));
                    let asked = Instant::now();
                    let outcome = client.execute(&invocation, asked + PATIENCE).await;
                    if matches!(outcome, Outcome::Ok { .. }) {
                        latencies.push(asked.elapsed());
                    }
                }
                (client, latencies)
            });
        }
        for (client, latencies) in tasks.join_all().await {
            self.clients.push(client);
            if !is_rehearsal {
                self.latencies.extend(latencies);
            }
        }
        Ok(())
    }
}

/// A fault that is never brought, but has the links lead through proxies of messages.
fn rule_of_messages() -> ScheduledFault {
    let rule = MessageRule { kind: None, percent: 100, action: MessageAction::Drop };
    let fault = Fault::Messages { links: Links::To(Target::One), rule };
    ScheduledFault { at: Duration::ZERO, duration: Duration::ZERO, fault, draw: None }
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let bin = arguments.next().ok_or("the first argument is the program stormproof-node")?;
    let rounds: u32 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let mut plan = Plan { nodes: 3, ..Plan::default() };
    plan.node.bin = Some(bin.into());
    // Nobody is to be snapshotting in one turn and not in the next.
    plan.node.snapshot.entries = u64::from(u32::MAX);
    let folder = env::temp_dir().join(format!("proxy-latency-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let system = || system::by_name(&plan).ok_or("there is no such system");
    let direct = Direct { system: system()?, views: Mutex::default() };
    let messages = Plan { schedule: Some(vec![rule_of_messages()]), ..plan.clone() };
    let mut sides = [
        Side::start("proxied", system()?, &plan, &folder).await?,
        Side::start("messages", system()?, &messages, &folder).await?,
        Side::start("direct", Arc::new(direct), &plan, &folder).await?,
    ];
    for round in 0..=rounds {
        for side in &mut sides {
            side.work(round == 0).await?;
        }
        // None is always the first.
        sides.rotate_left(1);
    }
    println!("{:<8} {:>10} {:>10} {:>10}", "", "operations", "p50", "p99");
    let mut medians = BTreeMap::new();
    for side in &mut sides {
        side.latencies.sort_unstable();
        let latencies = &side.latencies;
        if latencies.is_empty() {
            return Err(format!("no operation of the {} clients succeeded", side.name).into());
        }
        let [p50, p99] = [50, 99].map(|percent| quantile(latencies, percent));
        let milliseconds = |span: Duration| format!("{:.2} ms", span.as_secs_f64() * 1e3);
        let count = latencies.len();
        println!(
            "{:<8} {count:>10} {:>10} {:>10}",
            side.name,
            milliseconds(p50),
            milliseconds(p99)
        );
        medians.insert(side.name, p50.as_secs_f64());
    }
    for (name, what) in [("proxied", "the proxies"), ("messages", "those of messages besides")] {
        let added = (medians[name] / medians["direct"] - 1.0) * 100.0;
        println!("{what} add {added:.1} % to the median");
    }
    for side in sides {
        side.cluster.shutdown().await;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
