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

use crate::disk::damage::Damage;
use crate::disk::{Ailment, SyncFailure};
use crate::messages::MessageRule;
use crate::plan::span;
use crate::proxy::{Mode, Slowness};
use crate::seed::Seed;
use crate::system::Clock;

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
    /// The processes are killed all at once, in the middle of a sync if one comes soon, and what they
    /// had not synced is lost. They are started again at the end.
    PowerLoss {
        /// Whose machines.
        target: Target,
        /// Whether a beginning of each file's last write is left, and what was written before it.
        #[serde(default)]
        torn: bool,
    },
    /// The disks have no room, until the end. A process that ended because of it is started again then.
    DiskFull(Target),
    /// The disks sync slowly.
    SlowSync {
        /// Whose disks.
        target: Target,
        /// How much longer each sync takes.
        #[serde(with = "span")]
        delay: Duration,
    },
    /// The disks fail to sync, and what was to be synced is lost. A process that ended because of it is
    /// started again at the end.
    FailingSync {
        /// Whose disks.
        target: Target,
        /// Whether only the next sync fails.
        #[serde(default)]
        once: bool,
    },
    /// The processes are killed, one file of each is damaged, and at the end they are started again. One
    /// that refuses to start with it gets the file back as it was, or its place is taken.
    Damage {
        /// Whose files.
        target: Target,
        /// What is done to the file.
        damage: Damage,
        /// Whether an empty node joins under another name for one that refuses, which then leaves. That
        /// stays so. Who cannot be replaced just then gets the file back.
        #[serde(default)]
        replaced: bool,
    },
    /// The clocks jump ahead.
    ClockAhead {
        /// Whose clocks.
        target: Target,
        /// By how much.
        #[serde(with = "span")]
        by: Duration,
    },
    /// The clocks jump back.
    ClockBack {
        /// Whose clocks.
        target: Target,
        /// By how much.
        #[serde(with = "span")]
        by: Duration,
    },
    /// The clocks go too fast or too slow.
    ClockDrift {
        /// Whose clocks.
        target: Target,
        /// At how many percent of their speed they go.
        percent: u32,
    },
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
            Self::PowerLoss { .. } => Family::Power,
            Self::DiskFull(_) | Self::SlowSync { .. } | Self::FailingSync { .. } => Family::Disk,
            Self::Damage { .. } => Family::Damage,
            Self::ClockAhead { .. } | Self::ClockBack { .. } | Self::ClockDrift { .. } => {
                Family::Clock
            }
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
            | Self::PowerLoss { target, .. }
            | Self::DiskFull(target)
            | Self::SlowSync { target, .. }
            | Self::FailingSync { target, .. }
            | Self::Damage { target, .. }
            | Self::ClockAhead { target, .. }
            | Self::ClockBack { target, .. }
            | Self::ClockDrift { target, .. }
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
            _ => None,
        }
    }

    /// Says whether what it does is there to stay: nothing of it is undone.
    pub const fn stays(self) -> bool {
        matches!(self, Self::Upgrade(_) | Self::Replace(_) | Self::Transfer(_))
    }

    /// Says whether it ends a reign if it meets the leader, which is left to chance at most: not one that
    /// is for somebody else.
    pub(crate) const fn can_depose(self) -> bool {
        if let Self::Transfer(_) = self {
            return true;
        }
        let ends_reigns = matches!(
            self.family(),
            Family::Kill
                | Family::Pause
                | Family::Restart
                | Family::Upgrade
                | Family::Power
                | Family::Damage
                | Family::Partition
                | Family::Blackhole
                | Family::Membership
        );
        let is_for_others = matches!(self.target(), Some(Target::Follower | Target::Node(_)));
        let is_beside_nodes = matches!(self, Self::Grow | Self::Blackhole(Links::Clients(_)));
        ends_reigns && !is_for_others && !is_beside_nodes
    }

    /// Says whether it ends a reign unless nobody leads: it is for the leader.
    pub(crate) const fn is_to_depose(self) -> bool {
        let is_for_leader = matches!(self.target(), Some(Target::Leader));
        self.can_depose() && (is_for_leader || matches!(self, Self::Transfer(_)))
    }

    /// Returns what a fault of disks makes of them.
    pub(crate) fn ailment(self) -> Option<Ailment> {
        let sound = Ailment::default();
        match self {
            Self::DiskFull(_) => Some(Ailment { is_full: true, ..sound }),
            Self::SlowSync { delay, .. } => Some(Ailment { sync_delay: delay, ..sound }),
            Self::FailingSync { once, .. } => {
                let sync_failure = if once { SyncFailure::Once } else { SyncFailure::Always };
                Some(Ailment { sync_failure, ..sound })
            }
            _ => None,
        }
    }

    /// Returns what a fault of clocks makes of them.
    pub(crate) const fn clock(self) -> Option<Clock> {
        match self {
            Self::ClockAhead { by, .. } => Some(Clock::Ahead(by)),
            Self::ClockBack { by, .. } => Some(Clock::Back(by)),
            Self::ClockDrift { percent, .. } => Some(Clock::Speed(percent)),
            _ => None,
        }
    }

    /// Says whether it may change who is in the cluster.
    pub const fn changes_members(self) -> bool {
        matches!(self.family(), Family::Membership)
            || matches!(self, Self::Damage { replaced: true, .. })
    }

    /// Says whether it hurts single messages.
    pub const fn is_of_messages(self) -> bool {
        matches!(self, Self::Messages { .. })
    }

    /// Says whether nodes need disks of ours for it.
    pub const fn needs_disk(self) -> bool {
        self.family().needs_disk()
    }

    /// Says whether nodes need clocks for it that can be set.
    pub const fn needs_clock(self) -> bool {
        matches!(self.family(), Family::Clock)
    }

    /// Says why no cluster could have such a fault, if so.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        match self {
            Self::Partition(Topology::Isolate(Target::All))
            | Self::Flap { topology: Topology::Isolate(Target::All), .. } => {
                Err("isolates all nodes, which cuts nothing")
            }
            Self::Flap { period, .. } if period < PERIOD_MIN => Err("flaps faster than every 2ms"),
            Self::SlowSync { delay, .. } if delay > SYNC_DELAY_MAX => {
                Err("makes syncs take longer than 5s, in which no process can be stopped")
            }
            Self::ClockDrift { percent, .. } if !DRIFT_PERCENT.contains(&percent) => {
                Err("has a clock drift beyond 1 to 10000 percent")
            }
            Self::ClockAhead { by, .. } | Self::ClockBack { by, .. } if by > JUMP_MAX => {
                Err("has a clock jump by more than a day")
            }
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

/// The longest that a sync may take: a process that waits for its disk can be neither stopped nor
/// killed, and whoever does so waits for it.
const SYNC_DELAY_MAX: Duration = Duration::from_secs(5);

/// How slow and how fast a clock may go.
const DRIFT_PERCENT: std::ops::RangeInclusive<u32> = 1..=10_000;

/// How far a clock may jump.
const JUMP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

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
            Self::PowerLoss { target, torn: false } => write!(f, "power loss of {target}"),
            Self::PowerLoss { target, torn: true } => {
                write!(f, "power loss of {target} with torn writes")
            }
            Self::DiskFull(target) => write!(f, "full disk of {target}"),
            Self::SlowSync { target, delay } => {
                write!(f, "slow syncs of {target} by {}", format_duration(*delay))
            }
            Self::FailingSync { target, once: false } => write!(f, "failing syncs of {target}"),
            Self::FailingSync { target, once: true } => write!(f, "one failing sync of {target}"),
            Self::Damage { target, damage, replaced } => {
                let rest = if *replaced { ", to be replaced" } else { "" };
                write!(f, "{damage} of {target}{rest}")
            }
            Self::ClockAhead { target, by } => {
                write!(f, "clock of {target} ahead by {}", format_duration(*by))
            }
            Self::ClockBack { target, by } => {
                write!(f, "clock of {target} back by {}", format_duration(*by))
            }
            Self::ClockDrift { target, percent } => {
                write!(f, "clock of {target} at {percent} %")
            }
        }
    }
}
