//! Faults: what can be done to a cluster, as data. A schedule is drawn before its run begins; whom a
//! fault hits is drawn when it does, from a stream of the fault's own, so a schedule from which some
//! faults were removed leaves the draws of the others as they were.

use std::fmt;
use std::time::Duration;

use crate::topology::{Target, Topology};

/// A fault's number in the schedule as it was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub u32);

/// One fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number.
    pub id: FaultId,
    /// When it begins, after the start.
    pub at: Duration,
    /// How long it lasts.
    pub span: Duration,
    /// What it is.
    pub kind: FaultKind,
}

/// What a fault does, until it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nodes stop at once and lose what they had not synced; at the end they start again.
    Crash(Target),
    /// All nodes stop at once, and start again at the end.
    CrashAll,
    /// The next node that does this crashes there and then; at the end it starts again.
    Ambush(Moment),
    /// Nodes stand still: nothing is handled, no tick passes, what arrives waits.
    Pause(Target),
    /// Links between nodes are cut.
    Partition {
        /// Which.
        topology: Topology,
        /// What is sent over them arrives when they are mended, instead of never.
        is_held: bool,
    },
    /// The same links are cut and mended in turns.
    Flapping {
        /// Which.
        topology: Topology,
        /// After how long each turn ends.
        period: Duration,
    },
    /// All links are worse than the run's weather: loss, doubling and disorder in thousandths of the
    /// messages are added, delays are multiplied.
    Weather {
        /// Added to the messages lost, doubled and out of order.
        permille: u64,
        /// What delays are multiplied by.
        slowness: u32,
    },
    /// One node's links are slow both ways.
    SlowNode {
        /// Whose.
        target: Target,
        /// What delays are multiplied by.
        slowness: u32,
    },
    /// A clock runs at another rate, in thousandths of the true one.
    ClockRate(Target, u64),
    /// A wall clock jumps; it does not jump back at the end.
    ClockJump {
        /// Whose.
        target: Target,
        /// How far, in milliseconds.
        millis: i64,
    },
    /// A disk is slower.
    SlowDisk {
        /// Whose.
        target: Target,
        /// What times are multiplied by.
        slowness: u32,
    },
    /// No write becomes durable until the end.
    StuckDisk(Target),
    /// The next write fails: the node stops, and starts again at the end.
    BrokenDisk(Target),
    /// Snapshots cannot be saved; there still is room in the log.
    ScarceDisk(Target),
    /// Nothing can be written: the node stops at its next write, and does not start before the end.
    FullDisk(Target),
    /// Who is in the cluster changes; the operator asks until it is done, or the fault is over.
    Membership(Change),
    /// The leader is asked to hand over.
    Transfer(Target),
    /// Nodes are asked to snapshot now.
    Compact(Target),
}

/// When an ambush strikes: where a node has promised something, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// It has just promised its vote.
    Vote,
    /// It has just asked for votes.
    Candidacy,
    /// It has just said that it holds entries.
    Acknowledgement,
    /// It has just asked the disk for a write, which is not durable yet.
    Write,
    /// It has just received the last piece of a snapshot.
    Installation,
    /// It has just begun to save a snapshot.
    Saving,
}

/// What a change of membership is to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node that is no member becomes a voter.
    Add,
    /// A node that is no member becomes a learner.
    AddLearner,
    /// A voter leaves.
    Remove(Target),
    /// A voter leaves and another node takes its place. The one that left never comes back.
    Replace(Target),
    /// A voter becomes a learner.
    Demote(Target),
    /// A learner becomes a voter.
    Promote,
    /// Several leave and come at once.
    Turnover,
}

impl FaultKind {
    /// Returns the family that is switched on or off as one.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Crash(_) => Family::Crash,
            Self::Ambush(_) => Family::Ambush,
            Self::CrashAll => Family::CrashAll,
            Self::Pause(_) => Family::Pause,
            Self::Partition { .. } | Self::Flapping { .. } => Family::Partition,
            Self::Weather { .. } | Self::SlowNode { .. } => Family::Weather,
            Self::ClockRate(..) | Self::ClockJump { .. } => Family::Clock,
            Self::SlowDisk { .. }
            | Self::StuckDisk(_)
            | Self::BrokenDisk(_)
            | Self::ScarceDisk(_)
            | Self::FullDisk(_) => Family::Disk,
            Self::Membership(_) => Family::Membership,
            Self::Transfer(_) => Family::Transfer,
            Self::Compact(_) => Family::Compaction,
        }
    }
}

/// Faults of a kind; a seed draws which of them there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named like its faults")]
pub enum Family {
    Crash,
    CrashAll,
    Ambush,
    Pause,
    Partition,
    Weather,
    Clock,
    Disk,
    Membership,
    Transfer,
    Compaction,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Crash,
        Self::CrashAll,
        Self::Ambush,
        Self::Pause,
        Self::Partition,
        Self::Weather,
        Self::Clock,
        Self::Disk,
        Self::Membership,
        Self::Transfer,
        Self::Compaction,
    ];

    /// Returns the name that users see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CrashAll => "crash-all",
            Self::Ambush => "ambush",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Weather => "weather",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Membership => "membership",
            Self::Transfer => "transfer",
            Self::Compaction => "compaction",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, at, span, kind } = self;
        let (at, span) = (at.as_secs_f64(), span.as_secs_f64());
        write!(f, "#{} at {at:.3}s for {span:.3}s: {kind}", id.0)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(target) => write!(f, "crash {target}"),
            Self::CrashAll => f.write_str("crash everybody"),
            Self::Ambush(moment) => write!(f, "crash whoever next {moment}"),
            Self::Pause(target) => write!(f, "pause {target}"),
            Self::Partition { topology, is_held: false } => write!(f, "cut: {topology}"),
            Self::Partition { topology, is_held: true } => write!(f, "hold back: {topology}"),
            Self::Flapping { topology, period } => {
                write!(f, "cut and mend every {period:?}: {topology}")
            }
            Self::Weather { permille, slowness } => {
                write!(f, "bad weather: {permille}‰ worse, {slowness} times slower")
            }
            Self::SlowNode { target, slowness } => {
                write!(f, "links of {target} {slowness} times slower")
            }
            Self::ClockRate(target, rate) => write!(f, "clock of {target} at {rate}‰"),
            Self::ClockJump { target, millis } => {
                write!(f, "wall clock of {target} jumps by {millis} ms")
            }
            Self::SlowDisk { target, slowness } => {
                write!(f, "disk of {target} {slowness} times slower")
            }
            Self::StuckDisk(target) => write!(f, "disk of {target} stuck"),
            Self::BrokenDisk(target) => write!(f, "disk of {target} fails a write"),
            Self::ScarceDisk(target) => write!(f, "no room for snapshots on the disk of {target}"),
            Self::FullDisk(target) => write!(f, "disk of {target} full"),
            Self::Membership(change) => write!(f, "{change}"),
            Self::Transfer(target) => write!(f, "hand over to {target}"),
            Self::Compact(target) => write!(f, "snapshot {target}"),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vote => "votes",
            Self::Candidacy => "asks for votes",
            Self::Acknowledgement => "acknowledges entries",
            Self::Write => "writes",
            Self::Installation => "installs a snapshot",
            Self::Saving => "takes a snapshot",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add => f.write_str("add a voter"),
            Self::AddLearner => f.write_str("add a learner"),
            Self::Remove(target) => write!(f, "remove {target}"),
            Self::Replace(target) => write!(f, "replace {target}"),
            Self::Demote(target) => write!(f, "demote {target}"),
            Self::Promote => f.write_str("promote a learner"),
            Self::Turnover => f.write_str("change several members at once"),
        }
    }
}
