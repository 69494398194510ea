//! Faults as data: what is done, to whom, from when to when.
//!
//! A fault is symbolic: "the leader" stays "the leader" until the moment of injection, because who
//! leads depends on the run. Everything else that is left to chance follows from the fault's own
//! [draw](ScheduledFault::draw), so a recorded schedule does the same again, even if other faults are
//! taken out of it.

mod family;
mod links;
pub mod schedule;
mod sequence;
mod target;
mod topology;
mod wire;

use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use serde::{Deserialize, Serialize};

use crate::messages::MessageRule;
use crate::plan::span;
use crate::proxy::{Mode, Slowness};
use crate::seed::Seed;

pub use family::{Family, FamilyError, Group};
pub use links::Links;
pub use sequence::{Condition, Sequence, Step, UNTIL_MAX};
pub use target::{Census, Target, TargetError};
pub use topology::{Cut, Topology};
pub use wire::{Camp, Link, Wire};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The processes are killed (SIGKILL) and started again at the end.
    Kill(Target),
    /// The processes are stopped (SIGSTOP) and continued at the end.
    Pause(Target),
    /// The processes are killed and started again.
    Restart(Restart),
    /// The processes are killed and started again on the program that the plan upgrades to, one by one
    /// like [`Restart::Rolling`], and stay there.
    Upgrade(Target),
    /// Links between nodes carry nothing until the end. Links of clients are left alone, but by
    /// [`Topology::LeaderWithClients`].
    Partition(Topology),
    /// The same, but the links carry everything during every second half of the period.
    Flap {
        /// Which links.
        topology: Topology,
        /// How long it takes from cut to cut.
        #[serde(with = "span")]
        period: Duration,
    },
    /// Everything on the links is late.
    Delay {
        /// Which links.
        links: Links,
        /// By how much, each way.
        #[serde(with = "span")]
        latency: Duration,
        /// By how much more at most; drawn for each chunk of bytes.
        #[serde(with = "span")]
        jitter: Duration,
    },
    /// The links are narrow.
    Throttle {
        /// Which links.
        links: Links,
        /// How much passes, each way.
        bytes_per_second: u64,
    },
    /// The links refuse connections, and those that there were are reset.
    Refuse(Links),
    /// The links accept connections and reset them, and those that there were.
    Reset(Links),
    /// The links carry nothing, and new connections over them are accepted and stay mute.
    Blackhole(Links),
    /// Some of the messages between nodes are dropped, doubled, delayed or change places, one at a time.
    Messages {
        /// Which links; those of clients are left alone.
        links: Links,
        /// Which messages, and what becomes of them.
        rule: MessageRule,
    },
    /// The nodes leave the cluster, and their data are thrown away; at the end as many empty ones join.
    Shrink(Target),
    /// An empty node joins the cluster, and leaves it at the end.
    Grow,
    /// For each of the nodes an empty one joins under another name, and then it leaves. That stays so.
    Replace(Target),
    /// The leader is told to hand over to the target. That stays so until the next election.
    Transfer(Target),
    /// The nodes are told to compact their logs, again and again until the end.
    Snapshot(Target),
}

/// In which order processes are killed and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// All are dead at the same time, and started again at the end.
    AtOnce(Target),
    /// One after the other is killed and started at once, spread over the fault's duration; the next
    /// one's turn comes no earlier than this one answers.
    Rolling(Target),
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledFault {
    /// When it begins, from the start of the storm.
    #[serde(with = "span")]
    pub at: Duration,
    /// How long it lasts, from the moment at which it has been brought.
    #[serde(with = "span")]
    pub duration: Duration,
    /// What is done.
    pub fault: Fault,
    /// The seed of what the fault leaves to chance. In a plan it may be left out; then it follows
    /// from the plan's seed and the fault's place in the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<Seed>,
}

/// What became of an attempt to bring a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultResult {
    /// It was brought, and its effect was observed.
    Installed,
    /// Nothing was done, for this reason.
    Skipped(String),
    /// Something was done, but nobody knows whether or how far it took effect.
    Indeterminate(String),
}

impl Fault {
    /// Returns the family that the fault belongs to.
    pub const fn family(self) -> Family {
        match self {
            Self::Kill(_) => Family::Kill,
            Self::Pause(_) => Family::Pause,
            Self::Restart(_) => Family::Restart,
            Self::Partition(_) | Self::Flap { .. } => Family::Partition,
            Self::Delay { .. } => Family::Delay,
            Self::Throttle { .. } => Family::Throttle,
            Self::Refuse(_) => Family::Refuse,
            Self::Reset(_) => Family::Reset,
            Self::Blackhole(_) => Family::Blackhole,
            Self::Messages { .. } => Family::Messages,
            Self::Upgrade(_) => Family::Upgrade,
            Self::Shrink(_) | Self::Grow | Self::Replace(_) => Family::Membership,
            Self::Transfer(_) => Family::Transfer,
            Self::Snapshot(_) => Family::Snapshot,
        }
    }

    /// Returns the target of a fault that has one.
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Kill(target)
            | Self::Pause(target)
            | Self::Upgrade(target)
            | Self::Shrink(target)
            | Self::Replace(target)
            | Self::Transfer(target)
            | Self::Snapshot(target)
            | Self::Restart(Restart::AtOnce(target) | Restart::Rolling(target)) => Some(target),
            Self::Partition(topology) | Self::Flap { topology, .. } => topology.target(),
            Self::Grow => None,
            Self::Delay { links, .. }
            | Self::Throttle { links, .. }
            | Self::Refuse(links)
            | Self::Reset(links)
            | Self::Blackhole(links)
            | Self::Messages { links, .. } => Some(links.target()),
        }
    }

    /// Returns the links of a fault of links, and what it makes of them.
    pub const fn shape(self) -> Option<(Links, Mode)> {
        let slow =
            Slowness { latency: Duration::ZERO, jitter: Duration::ZERO, bytes_per_second: None };
        match self {
            Self::Delay { links, latency, jitter } => {
                Some((links, Mode::Slow(Slowness { latency, jitter, ..slow })))
            }
            Self::Throttle { links, bytes_per_second } => {
                let bytes_per_second = Some(bytes_per_second);
                Some((links, Mode::Slow(Slowness { bytes_per_second, ..slow })))
            }
            Self::Refuse(links) => Some((links, Mode::Refuse)),
            Self::Reset(links) => Some((links, Mode::Reset)),
            Self::Blackhole(links) => Some((links, Mode::Blackhole)),
            Self::Kill(_)
            | Self::Pause(_)
            | Self::Restart(_)
            | Self::Upgrade(_)
            | Self::Partition(_)
            | Self::Flap { .. }
            | Self::Messages { .. }
            | Self::Shrink(_)
            | Self::Grow
            | Self::Replace(_)
            | Self::Transfer(_)
            | Self::Snapshot(_) => None,
        }
    }

    /// Says whether what it does is there to stay: nothing of it is undone.
    pub const fn stays(self) -> bool {
        matches!(self, Self::Upgrade(_) | Self::Replace(_) | Self::Transfer(_))
    }

    /// Says why no cluster could have such a fault, if so.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        match self {
            Self::Partition(Topology::Isolate(Target::All))
            | Self::Flap { topology: Topology::Isolate(Target::All), .. } => {
                Err("isolates all nodes, which cuts nothing")
            }
            Self::Flap { period, .. } if period < PERIOD_MIN => Err("flaps faster than every 2ms"),
            Self::Throttle { bytes_per_second: 0, .. } => {
                Err("throttles to 0 bytes a second, which is a blackhole")
            }
            Self::Messages { links: Links::Clients(_), .. } => {
                Err("hurts messages of clients; those are between nodes")
            }
            Self::Messages { rule, .. } => rule.check(),
            _ => Ok(()),
        }
    }
}

/// The shortest period of a flapping link: a change of all links takes a good part of a millisecond.
const PERIOD_MIN: Duration = Duration::from_millis(2);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target) => write!(f, "kill {target}"),
            Self::Pause(target) => write!(f, "pause {target}"),
            Self::Restart(Restart::AtOnce(target)) => write!(f, "restart {target} at once"),
            Self::Restart(Restart::Rolling(target)) => write!(f, "restart {target} one by one"),
            Self::Partition(topology) => write!(f, "partition {topology}"),
            Self::Flap { topology, period } => {
                write!(f, "flap {topology} every {}", format_duration(*period))
            }
            Self::Delay { links, latency, jitter } => {
                let [latency, jitter] = [latency, jitter].map(|span| format_duration(*span));
                write!(f, "delay {links} by {latency} to {jitter} more")
            }
            Self::Throttle { links, bytes_per_second } => {
                write!(f, "throttle {links} to {bytes_per_second} bytes/s")
            }
            Self::Refuse(links) => write!(f, "refuse {links}"),
            Self::Reset(links) => write!(f, "reset {links}"),
            Self::Blackhole(links) => write!(f, "blackhole {links}"),
            Self::Messages { links, rule } => write!(f, "{rule} {links}"),
            Self::Upgrade(target) => write!(f, "upgrade {target} one by one"),
            Self::Shrink(target) => write!(f, "shrink by {target}"),
            Self::Grow => f.write_str("grow"),
            Self::Replace(target) => write!(f, "replace {target}"),
            Self::Transfer(target) => write!(f, "transfer to {target}"),
            Self::Snapshot(target) => write!(f, "compact {target} again and again"),
        }
    }
}
