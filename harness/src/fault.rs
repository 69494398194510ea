//! Faults as data: what is done, to whom, from when to when.
//!
//! A fault is symbolic: "the leader" stays "the leader" until the moment of injection, because who
//! leads depends on the run. Everything else that is left to chance follows from the fault's own
//! [draw](ScheduledFault::draw), so a recorded schedule does the same again, even if other faults are
//! taken out of it.

pub mod schedule;
mod target;
mod topology;
mod wire;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::span;
use crate::seed::Seed;

pub use target::{Census, Target, TargetError};
pub use topology::{Cut, Topology};
pub use wire::{Camp, Link, Wire};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The processes are killed (SIGKILL) and started again at the end.
    Kill(Target),
    /// The processes are stopped (SIGSTOP) and continued at the end.
    Pause(Target),
    /// Links between nodes carry nothing until the end. Links of clients are left alone.
    Partition(Topology),
}

/// The kinds of fault that a user turns on and off, and by which faults are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// SIGKILL, then a restart.
    Kill,
    /// SIGSTOP, then SIGCONT.
    Pause,
    /// Cut links between nodes.
    Partition,
}

/// The text names no family of faults.
#[derive(Debug, thiserror::Error)]
#[error("there is no fault {name:?}; there are kill, pause and partition")]
pub struct FamilyError {
    name: String,
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledFault {
    /// When it begins, from the start of the storm.
    #[serde(with = "span")]
    pub at: Duration,
    /// How long it lasts.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
            Self::Partition(_) => Family::Partition,
        }
    }

    /// Returns the target of a fault that has one.
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Kill(target) | Self::Pause(target) => Some(target),
            Self::Partition(topology) => topology.target(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target) => write!(f, "kill {target}"),
            Self::Pause(target) => write!(f, "pause {target}"),
            Self::Partition(topology) => write!(f, "partition {topology}"),
        }
    }
}

impl Family {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Kill, Self::Pause, Self::Partition];

    /// Returns the family's name, which is also the `f` of its events in a history.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Partition => "partition",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Family {
    type Err = FamilyError;

    fn from_str(name: &str) -> Result<Self, FamilyError> {
        Self::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| FamilyError { name: name.into() })
    }
}
