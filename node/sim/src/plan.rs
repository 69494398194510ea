//! The plan of a run: everything that is settled before it begins, drawn from its seed.

mod draw;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use raft::Limits;

use crate::fault::{Fault, FaultId};
use crate::random::Seed;

/// The plan of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where every draw of the run comes from.
    pub seed: Seed,
    /// Nodes n1, n2, … that the cluster begins with.
    pub founders: u64,
    /// Nodes after them that may be made members.
    pub joiners: u64,
    /// How patient nodes are.
    pub timings: Timings,
    /// How the cores are configured.
    pub core: Core,
    /// The rates of the nodes' clocks, in thousandths of the true one.
    pub rates: Vec<u64>,
    /// The links.
    pub weather: Weather,
    /// The disks.
    pub storage: Storage,
    /// The clients.
    pub clients: Clients,
    /// What the clients do.
    pub workload: Workload,
    /// How long faults come.
    pub storm: Duration,
    /// The schedule, in the order of its times.
    pub faults: Vec<Fault>,
    /// A mistake that the nodes are to make.
    pub flaw: Option<Flaw>,
}

/// What the caller wants otherwise than the seed draws it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What the clients do.
    pub workload: Option<Workload>,
    /// How many nodes the cluster begins with.
    pub nodes: Option<u64>,
    /// How long faults come.
    pub storm: Option<Duration>,
    /// Operations a second.
    pub rate: Option<u64>,
    /// The faults that come; all that are drawn if none are named.
    pub only: Option<BTreeSet<FaultId>>,
    /// A mistake that the nodes are to make.
    pub flaw: Option<Flaw>,
}

/// How patient nodes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a tick takes.
    pub tick: Duration,
    /// Ticks between heartbeats.
    pub heartbeat: u32,
    /// Ticks of the shortest election timeout.
    pub election: u32,
}

impl Timings {
    pub(crate) fn election_timeout(&self) -> Duration {
        self.tick * self.election
    }
}

/// How the cores are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// See [`raft::Config`].
    pub pre_vote: bool,
    /// See [`raft::Config`].
    pub check_quorum: bool,
    /// By how many thousandths clocks may differ, if leases are on.
    pub lease: Option<u32>,
    /// See [`raft::Config`].
    pub limits: Limits,
}

/// What links do to messages. Chances are in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The shortest delay.
    pub delay: Duration,
    /// What may be added to it.
    pub jitter: Duration,
    /// The chance that a delay is some powers of two longer.
    pub tail: u64,
    /// The chance to be lost.
    pub loss: u64,
    /// The chance to arrive twice.
    pub doubling: u64,
    /// The chance to overtake or be overtaken.
    pub disorder: u64,
    /// The chance to arrive once more, seconds later.
    pub echo: u64,
}

/// What disks do to writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The shortest time that a sync takes.
    pub sync: Duration,
    /// What may be added to it.
    pub jitter: Duration,
    /// The longest time that it takes to save a snapshot.
    pub save: Duration,
    /// What a crash does to writes that were not durable.
    pub crash: CrashLoss,
}

/// What a crash does to writes that were not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashLoss {
    /// They are gone.
    All,
    /// Some of the first of them are there.
    Prefix,
    /// So they are, and of the one after them a part.
    Torn,
}

/// The clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// How many there are, each doing one operation at a time.
    pub count: u64,
    /// Operations that all together begin in a second, if they are answered at once.
    pub rate: u64,
    /// How long they wait for an answer.
    pub patience: Duration,
    /// How long they try again what may be tried again.
    pub persistence: Duration,
    /// The longest way between a client and a node.
    pub distance: Duration,
    /// The chance, in thousandths, that a request or an answer is lost.
    pub loss: u64,
    /// Whether they do their writes within sessions, and for how long those live without a sign.
    pub session: Option<Duration>,
    /// Whom they ask.
    pub placement: Placement,
    /// The chance, in thousandths, that a read goes to any node.
    pub wandering: u64,
    /// The most bytes that a command is padded with.
    pub padding: u64,
}

/// Whom clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each its own node for reads, and whoever was said to lead for writes.
    Pinned,
    /// Whoever was said to lead.
    Leader,
    /// Anyone.
    Random,
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// They trade.
    Ledger,
    /// They read, write, and compare and set registers.
    Register,
    /// They use the key-value store, and append more than all else.
    Kv,
}

/// A mistake that nodes make on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// They say that a write is durable as soon as it is asked for.
    AckBeforeDurable,
    /// They send at once what must wait for a write.
    UngatedSends,
    /// They answer reads at once, from what they have applied.
    LocalReads,
    /// They answer a proposal when it is in the leader's log.
    AckBeforeCommit,
    /// After a restart they do not remember for whom they voted.
    ForgetVote,
    /// They carry out what comes again within a session.
    ForgetSessions,
    /// They say that a snapshot is durable before it is.
    HastySnapshot,
    /// They save an older state than the snapshot stands for.
    StaleSnapshot,
    /// They say "not applied" where nobody knows.
    UnknownAsFailed,
    /// Leases are on, and clocks differ by more than was promised.
    LooseLease,
}

impl Plan {
    /// Returns the least and the greatest rate that a clock may have. Where a lease relies on clocks, no
    /// two of them differ by more than was promised.
    pub(crate) fn rates_allowed(&self) -> (u64, u64) {
        match self.core.lease {
            Some(_) if self.is_loose() => (300, 3000),
            Some(drift) => (1000 - u64::from(drift) / 2, 1000 + u64::from(drift) / 2),
            None => (300, 3000),
        }
    }

    /// Draws the plan of a seed.
    #[must_use]
    pub fn draw(seed: Seed, wishes: &Wishes) -> Self {
        draw::plan(seed, wishes)
    }

    /// Returns the plan with only some of its faults.
    #[must_use]
    pub fn with_only(&self, only: &BTreeSet<FaultId>) -> Self {
        let mut plan = self.clone();
        plan.faults.retain(|fault| only.contains(&fault.id));
        plan
    }

    /// Returns whether clocks differ by more than leases were promised.
    pub(crate) fn is_loose(&self) -> bool {
        self.flaw == Some(Flaw::LooseLease)
    }

    /// Describes the schedule, a fault in a line.
    #[must_use]
    pub fn describe_schedule(&self) -> String {
        self.faults.iter().map(|fault| format!("  {fault}\n")).collect()
    }
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ledger, Self::Register, Self::Kv];

    /// Returns the name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Register => "register",
            Self::Kv => "kv",
        }
    }
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AckBeforeDurable,
        Self::UngatedSends,
        Self::LocalReads,
        Self::AckBeforeCommit,
        Self::ForgetVote,
        Self::ForgetSessions,
        Self::HastySnapshot,
        Self::StaleSnapshot,
        Self::UnknownAsFailed,
        Self::LooseLease,
    ];

    /// Returns the name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforeDurable => "ack-before-durable",
            Self::UngatedSends => "ungated-sends",
            Self::LocalReads => "local-reads",
            Self::AckBeforeCommit => "ack-before-commit",
            Self::ForgetVote => "forget-vote",
            Self::ForgetSessions => "forget-sessions",
            Self::HastySnapshot => "hasty-snapshot",
            Self::StaleSnapshot => "stale-snapshot",
            Self::UnknownAsFailed => "unknown-as-failed",
            Self::LooseLease => "loose-lease",
        }
    }
}

macro_rules! named {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.into_iter().find(|it| it.name() == text);
                found.ok_or_else(|| {
                    let known = Self::ALL.map(Self::name).join(", ");
                    format!("there is no {} `{text}`; choose {known}", $what)
                })
            }
        }
    };
}

named!(Workload, "workload");
named!(Flaw, "flaw");
