//! Systems under test: what the harness must know to start one, ask it and hurt it.
//!
//! Everything outside a system's own module goes through [`System`]; no other module knows a
//! system's name, but for the registry [`by_name`].

mod etcd;
mod operator;
mod stormproof;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

use crate::client::{Client, Mapping, Placement};
use crate::disk::damage::Damage;
use crate::fault::Family;
use crate::messages::Classify;
use crate::plan::Plan;
use crate::process::Exit;
use crate::seed::Seed;

pub use operator::{Clock, Joining, Leaving, NoOperator, Operator, OrderError};

/// A node of the system under test; the first is `n1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(u64);

/// The text names no node.
#[derive(Debug, thiserror::Error)]
#[error("a node is called n1, n2 and so on, not {name:?}")]
pub struct NodeNameError {
    name: String,
}

impl NodeId {
    /// Makes the id of the node with this number.
    ///
    /// # Panics
    /// If the number is 0: there is no such node.
    pub const fn new(number: u64) -> Self {
        assert!(number > 0, "nodes are numbered from 1");
        Self(number)
    }

    /// Returns the node's number, from 1.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the nodes of a cluster of `count`.
    pub fn first(count: u64) -> Vec<Self> {
        (1..=count).map(Self).collect()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("n{}", self.0))
    }
}

impl FromStr for NodeId {
    type Err = NodeNameError;

    fn from_str(name: &str) -> Result<Self, NodeNameError> {
        name.strip_prefix('n')
            .filter(|digits| digits.starts_with(|first: char| ('1'..='9').contains(&first)))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| NodeNameError { name: name.into() })
    }
}

impl TryFrom<String> for NodeId {
    type Error = NodeNameError;

    fn try_from(name: String) -> Result<Self, NodeNameError> {
        name.parse()
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> Self {
        node.to_string()
    }
}

/// What a node takes itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It follows.
    Follower,
    /// It wants to lead.
    Candidate,
    /// It leads, or thinks so.
    Leader,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// What it takes itself for.
    pub role: Role,
    /// Its term, or whatever the system counts its leaders by.
    pub term: u64,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last_log_index: u64,
    /// The last entry that it knows to be committed.
    pub commit_index: u64,
    /// The last entry that it has applied.
    pub last_applied: u64,
    /// How many entries it read from its disk when it started.
    pub recovered_entries: u64,
    /// How many snapshots it was sent and has installed since it started, if it says.
    pub snapshots_received: Option<u64>,
    /// The version that it says it is.
    pub version: String,
}

/// Where a node really listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// To its peers.
    pub peers: SocketAddr,
    /// To its clients.
    pub clients: SocketAddr,
}

/// How a system's nodes reach their peers, as far as links have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wiring {
    /// Every node has an address book of its own, so that each link has an address of its own; and what
    /// a node has to say to a peer it says on connections that it dialled itself.
    Dialled,
    /// A member has one address, which all others know it by, and each node dials its peers through a
    /// SOCKS proxy of its own, which tells the links apart. Both sides speak on every connection.
    Socks,
}

/// What the term is that a node says it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Terms {
    /// Its own: of two that lead in one term at least one does not do as it should.
    Own,
    /// That of the last entry that it has applied. Who has just become leader has applied none of its
    /// own term yet, so two may name the same one for a moment and nothing be wrong.
    Applied,
}

/// How a node comes into its cluster. It counts when the node first starts; after that its data say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It begins the cluster, together with the others of these.
    Founds(Vec<NodeId>),
    /// It joins a cluster that runs, and these are its members then, itself included; see
    /// [`Operator::add`].
    Joins(Vec<NodeId>),
}

/// One node as it is to be started: where it listens, and where *it* finds its peers.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// The node.
    pub node: NodeId,
    /// The cluster's name, different for every run.
    pub cluster: String,
    /// The node's own folder, which exists.
    pub folder: PathBuf,
    /// Where it listens.
    pub listen: Listening,
    /// Where it reaches whoever may ever be in the cluster, itself included: through its own links.
    pub peers: Vec<(NodeId, SocketAddr)>,
    /// The SOCKS proxy through which it reaches them, if the system's [wiring](Wiring) wants one.
    pub socks: Option<SocketAddr>,
    /// How it comes into the cluster.
    pub entry: Entry,
}

/// How to start a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables to set; the harness's own are passed on.
    pub environment: Vec<(String, String)>,
}

/// A node could not be made ready to start.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A file that the node needs could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system can be asked for no such flaw.
    #[error("the system knows no flaw {flaw:?}; it knows {}", known.join(", "))]
    Flaw {
        /// The flaw.
        flaw: String,
        /// What it can be asked for.
        known: &'static [&'static str],
    },
    /// It is not made for something that the plan asks for.
    #[error("the plan does not fit the system: {what}")]
    Unfit {
        /// What it lacks or demands.
        what: &'static str,
    },
    /// The program to start is not there or cannot be run.
    #[error("failed to find the node's program {}: {why}", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A node gave no status.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It did not answer.
    #[error("failed to reach the node")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer makes no sense.
    #[error("failed to understand the node's answer: {what}")]
    Nonsense {
        /// What is wrong with it.
        what: &'static str,
    },
}

/// A future in a box, so that [`Probe`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Asks one node how it is, over a connection of its own that it keeps.
pub trait Probe: Send {
    /// Asks once. The caller sets the deadline by dropping the future.
    fn status(&mut self) -> BoxFuture<'_, Result<NodeStatus, ProbeError>>;

    /// Asks once whether the node has started and takes part, be it without a leader. Where a node has
    /// a status only when it has a leader, this must not wait for one: a node that comes back into a
    /// partition would never be up.
    fn is_up(&mut self) -> BoxFuture<'_, Result<(), ProbeError>> {
        Box::pin(async move { self.status().await.map(drop) })
    }
}

/// A client as a run wants it.
#[derive(Clone, Debug)]
pub struct ClientOrder {
    /// Which operations it will be asked for.
    pub mapping: Mapping,
    /// How many bytes a value has at least, where the operations leave that open.
    pub value_size: usize,
    /// Where it finds each node.
    pub endpoints: BTreeMap<NodeId, SocketAddr>,
    /// Where it sends its operations.
    pub placement: Placement,
    /// Where its own random choices come from.
    pub seed: Seed,
}

/// A kind of system that can be put under test.
pub trait System: fmt::Debug + Send + Sync {
    /// Checks that what the plan asks of it is something that it knows, without looking at the
    /// machine.
    fn check(&self) -> Result<(), SystemError> {
        Ok(())
    }

    /// Says what there is not that faults of this family would take, if they cannot be.
    fn lacks(&self, family: Family) -> Option<&'static str>;

    /// Returns the system as it is after an upgrade, if the plan says to what: other programs that take
    /// the same data and the same peers.
    fn upgraded(&self) -> Option<Arc<dyn System>> {
        None
    }

    /// Tells whether its clients have these operations.
    fn offers(&self, mapping: Mapping) -> bool;

    /// Says how its nodes reach their peers.
    fn wiring(&self) -> Wiring {
        Wiring::Dialled
    }

    /// Says which term its nodes name.
    fn terms(&self) -> Terms {
        Terms::Own
    }

    /// Tells whether what its nodes have on their disks is kept in the run's folder when they are gone.
    fn leaves_data(&self) -> bool {
        true
    }

    /// Writes the files that a node needs and says how to start it.
    fn prepare(&self, view: &NodeView) -> Result<CommandLine, SystemError>;

    /// Returns a probe of the node that listens there.
    fn probe(&self, listening: Listening) -> Box<dyn Probe>;

    /// Tells the kinds of the messages that nodes send each other, if they do so by gRPC: only those can
    /// be hurt one at a time.
    fn classify(&self) -> Option<Classify> {
        None
    }

    /// Tells which ends are those of a node that stops because its disk fails it or its files are damaged.
    /// Where its disk ails, a node that ends so does right; any other end is a crash.
    fn gives_up(&self) -> fn(Exit) -> bool {
        |exit| matches!(exit, Exit::Code(_))
    }

    /// Makes a client. It connects when it is first used.
    ///
    /// # Panics
    /// If the system does not [offer](System::offers) the operations, there are no endpoints, or the
    /// client is pinned to a node that is none of them.
    fn client(&self, order: ClientOrder) -> Box<dyn Client>;

    /// Tells, if the system promises anything of the kind, of which files below [`DATA`] a node must notice
    /// when it starts that they were damaged in this way. What was written last is not asked for.
    fn notices(&self, damage: Damage) -> Option<fn(&Path) -> bool> {
        let _ = damage;
        None
    }

    /// Returns an operator of the cluster whose running nodes listen there: past all proxies, for who
    /// hurts the system must not be hindered by it. Most orders are refused by a system that knows none.
    fn operator(&self, nodes: BTreeMap<NodeId, Listening>) -> Box<dyn Operator> {
        drop(nodes);
        Box::new(NoOperator)
    }
}

/// The folder, within a node's own, that holds all that the node is to find again after a restart.
pub const DATA: &str = "data";

/// The names of all systems.
pub const NAMES: [&str; 2] = [stormproof::NAME, etcd::NAME];

/// Returns the system that the plan names, or none if there is none of that name.
pub fn by_name(plan: &Plan) -> Option<Arc<dyn System>> {
    match plan.system.as_str() {
        stormproof::NAME => Some(Arc::new(stormproof::Stormproof::new(plan))),
        etcd::NAME => Some(Arc::new(etcd::Etcd::new(plan))),
        _ => None,
    }
}

/// Writes a file whole.
fn write_file(path: &Path, content: &str) -> Result<(), SystemError> {
    std::fs::write(path, content).map_err(|source| SystemError::Write { path: path.into(), source })
}

/// Returns the program's whole path: a bare name would be looked for on PATH.
fn find_program(bin: &Path) -> Result<PathBuf, SystemError> {
    let hopeless = |why| SystemError::Program { path: bin.into(), why };
    let path = std::path::absolute(bin).map_err(|_| hopeless("there is no such file"))?;
    if !path.is_file() {
        return Err(hopeless("there is no such file"));
    }
    access(&path, AccessFlags::X_OK).map_err(|_| hopeless("the file is not executable"))?;
    Ok(path)
}
