//! etcd as the system under test: its server, version 3.4 or later, from Debian's package or anywhere.
//!
//! Members have one address each, in all members' configurations, so the links between them are told
//! apart by [SOCKS](crate::system::Wiring::Socks): Go's peer transport dials every host that is not on the
//! loopback interface through `HTTP_PROXY`. A member reads from a peer what the peer has to say on a
//! stream that it dialled itself, and sends snapshots on connections of its own: both sides speak.

mod operator;
mod probe;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::{Client, Mapping, StoreClient};
use crate::fault::Family;
use crate::plan::{Plan, Reads, Timings};
use crate::process::Exit;
use crate::system::{
    ClientOrder, CommandLine, DATA, Entry, Listening, NodeId, NodeView, Operator, Probe, System,
    SystemError, Terms, Wiring, find_program,
};
use operator::ClusterOperator;
use probe::StatusProbe;
use store::EtcdStore;

/// The name by which plans call this system.
pub(super) const NAME: &str = "etcd";

/// The program's name, looked for on PATH.
const PROGRAM: &str = "etcd";

/// What the server demands: an election takes at least so many heartbeats…
const HEARTBEATS_MIN: u32 = 5;

/// … and at most this long.
const ELECTION_MAX: Duration = Duration::from_secs(50);

/// How many revisions it keeps when it compacts, every few minutes: nobody reads earlier ones.
const REVISIONS: u32 = 1000;

/// How large a member's store may grow before it refuses every write, in bytes; the most that it takes
/// without a warning. What it usually allows is used up in an hour by large values.
const QUOTA: u64 = 8 << 30;

/// How many closed files of each kind a member keeps besides the one in use. Each of its log takes 64 MB,
/// which on a disk of ours is memory.
const FILES_KEPT: u32 = 1;

#[derive(Debug)]
pub(super) struct Etcd {
    bin: Option<PathBuf>,
    flaws: Vec<String>,
    has_sessions: bool,
    timings: Timings,
    /// After how many entries a member saves its state. It keeps 5000 behind that, so that only newcomers,
    /// and who was away for long, are sent any.
    snapshot_entries: u64,
    reads: Reads,
}

impl Etcd {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            bin: plan.node.bin.clone(),
            flaws: plan.node.flaws.clone(),
            has_sessions: plan.workload.sessions,
            timings: plan.timings.clone(),
            snapshot_entries: plan.node.snapshot.entries,
            reads: plan.workload.reads,
        }
    }

    fn program(&self) -> Result<PathBuf, SystemError> {
        match &self.bin {
            Some(bin) => find_program(bin),
            None => find_on_path(std::env::var_os("PATH").unwrap_or_default().as_os_str()),
        }
    }
}

fn find_on_path(path: &std::ffi::OsStr) -> Result<PathBuf, SystemError> {
    let candidates = std::env::split_paths(path).map(|folder| folder.join(PROGRAM));
    candidates.filter_map(|candidate| find_program(&candidate).ok()).next().ok_or_else(|| {
        let why = "it is not on PATH (try apt-get install etcd-server, or name it with --etcd-bin)";
        SystemError::Program { path: Path::new(PROGRAM).into(), why }
    })
}

/// Returns the URL under which members know a member.
fn peer_url(address: impl std::fmt::Display) -> String {
    format!("http://{address}")
}

impl System for Etcd {
    fn check(&self) -> Result<(), SystemError> {
        if let Some(flaw) = self.flaws.first() {
            return Err(SystemError::Flaw { flaw: flaw.clone(), known: &[] });
        }
        if self.has_sessions {
            return Err(SystemError::Unfit { what: "etcd has no client sessions" });
        }
        let Timings { heartbeat, election_timeout: election, .. } = self.timings;
        if election < heartbeat * HEARTBEATS_MIN || election > ELECTION_MAX {
            let what = "etcd wants an election timeout of at least five heartbeats, at most 50s";
            return Err(SystemError::Unfit { what });
        }
        if heartbeat.subsec_nanos() % 1_000_000 > 0 || heartbeat.is_zero() {
            return Err(SystemError::Unfit {
                what: "etcd counts its heartbeat in whole milliseconds",
            });
        }
        if self.snapshot_entries == 0 {
            return Err(SystemError::Unfit {
                what: "etcd saves its state after some entries, not 0",
            });
        }
        Ok(())
    }

    fn lacks(&self, family: Family) -> Option<&'static str> {
        match family {
            Family::Upgrade => Some("no way to upgrade its members"),
            Family::Clock => Some("no clock that can be set"),
            Family::Damage => Some("no promise to notice damage"),
            _ => None,
        }
    }

    fn offers(&self, mapping: Mapping) -> bool {
        mapping.object().is_some()
    }

    fn wiring(&self) -> Wiring {
        Wiring::Socks
    }

    fn terms(&self) -> Terms {
        Terms::Applied
    }

    /// A member reserves 128 MB for its log, however little it holds.
    fn leaves_data(&self) -> bool {
        false
    }

    fn prepare(&self, view: &NodeView) -> Result<CommandLine, SystemError> {
        let program = self.program()?;
        let peers: BTreeMap<_, _> = view.peers.iter().copied().collect();
        let url = |node: &NodeId| peers.get(node).map(peer_url).unwrap_or_default();
        let (members, state) = match &view.entry {
            Entry::Founds(members) => (members, "new"),
            Entry::Joins(members) => (members, "existing"),
        };
        let cluster: Vec<String> =
            members.iter().map(|member| format!("{member}={}", url(member))).collect();
        let clients = format!("http://{}", view.listen.clients);
        let milliseconds = |span: Duration| span.as_millis().to_string();
        let flags = [
            ("--name", view.node.to_string()),
            ("--data-dir", view.folder.join(DATA).to_string_lossy().into_owned()),
            ("--listen-peer-urls", format!("http://{}", view.listen.peers)),
            ("--initial-advertise-peer-urls", url(&view.node)),
            ("--listen-client-urls", clients.clone()),
            ("--advertise-client-urls", clients),
            ("--initial-cluster", cluster.join(",")),
            ("--initial-cluster-state", state.into()),
            ("--initial-cluster-token", view.cluster.clone()),
            ("--heartbeat-interval", milliseconds(self.timings.heartbeat)),
            ("--election-timeout", milliseconds(self.timings.election_timeout)),
            ("--snapshot-count", self.snapshot_entries.to_string()),
            ("--logger", "zap".into()),
            // A long run must not fill it up.
            ("--auto-compaction-mode", "revision".into()),
            ("--auto-compaction-retention", REVISIONS.to_string()),
            ("--quota-backend-bytes", QUOTA.to_string()),
            ("--max-wals", FILES_KEPT.to_string()),
            ("--max-snapshots", FILES_KEPT.to_string()),
        ];
        let proxy = view.socks.map(|front| format!("socks5://{front}")).unwrap_or_default();
        // Go looks at either spelling, and an exception of the user's would lead past the links.
        let environment = [
            ("HTTP_PROXY", proxy.as_str()),
            ("http_proxy", proxy.as_str()),
            ("NO_PROXY", ""),
            ("no_proxy", ""),
        ];
        Ok(CommandLine {
            program,
            arguments: flags.into_iter().flat_map(|(flag, value)| [flag.into(), value]).collect(),
            environment: environment.map(|(key, value)| (key.into(), value.into())).into(),
        })
    }

    fn probe(&self, listening: Listening) -> Box<dyn Probe> {
        Box::new(StatusProbe::new(listening))
    }

    fn client(&self, order: ClientOrder) -> Box<dyn Client> {
        let Some(object) = order.mapping.object() else {
            unreachable!("etcd offers nothing but its store");
        };
        let store =
            EtcdStore::new(order.endpoints, order.placement, self.reads, order.seed.generator());
        Box::new(StoreClient::new(store, object, order.value_size))
    }

    /// It logs what its disk did and exits with 1, or panics on purpose, which in Go is a 2 like any other.
    fn gives_up(&self) -> fn(Exit) -> bool {
        |exit| matches!(exit, Exit::Code(1 | 2))
    }

    fn operator(&self, nodes: BTreeMap<NodeId, Listening>) -> Box<dyn Operator> {
        Box::new(ClusterOperator::new(&nodes))
    }
}

#[cfg(test)]
mod tests;
