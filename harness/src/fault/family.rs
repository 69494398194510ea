//! The kinds of fault that a user turns on and off.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of fault that a user turns on and off, and by which faults are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// SIGKILL, then a restart.
    Kill,
    /// SIGSTOP, then SIGCONT.
    Pause,
    /// Restarts of all nodes, at once or one by one.
    Restart,
    /// Nodes restarted one by one on another program.
    Upgrade,
    /// Machines that lose their power, and with it what was not synced.
    Power,
    /// Damaged files of nodes that are down.
    Damage,
    /// Disks that are full, slow or fail.
    Disk,
    /// Clocks that jump and drift.
    Clock,
    /// Cut links between nodes.
    Partition,
    /// Late links.
    Delay,
    /// Narrow links.
    Throttle,
    /// Links to which nobody seems to listen.
    Refuse,
    /// Links that end every connection.
    Reset,
    /// Links that carry nothing.
    Blackhole,
    /// Messages dropped, doubled, late and out of order.
    Messages,
    /// Nodes that leave, join and are replaced.
    Membership,
    /// Leadership handed over.
    Transfer,
    /// Logs compacted again and again.
    Snapshot,
}

/// Families that are alike: faults of one group are not in force at once, unless more lanes are asked
/// for than there are groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// What befalls a process.
    Processes,
    /// Partitions.
    Partitions,
    /// What an operator does.
    Operations,
    /// What befalls single links.
    Links,
    /// What befalls disks, while their nodes run.
    Disks,
    /// What befalls clocks.
    Clocks,
}

/// The text names no family of faults.
#[derive(Debug, thiserror::Error)]
#[error("there is no fault {name:?}; there are {}", Family::names())]
pub struct FamilyError {
    name: String,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 18] = [
        Self::Kill,
        Self::Pause,
        Self::Restart,
        Self::Upgrade,
        Self::Power,
        Self::Damage,
        Self::Disk,
        Self::Clock,
        Self::Partition,
        Self::Delay,
        Self::Throttle,
        Self::Refuse,
        Self::Reset,
        Self::Blackhole,
        Self::Messages,
        Self::Membership,
        Self::Transfer,
        Self::Snapshot,
    ];

    /// Returns the family's name, which is also the `f` of its events in a history.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Upgrade => "upgrade",
            Self::Power => "power",
            Self::Damage => "damage",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Partition => "partition",
            Self::Delay => "delay",
            Self::Throttle => "throttle",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Blackhole => "blackhole",
            Self::Messages => "messages",
            Self::Membership => "membership",
            Self::Transfer => "transfer",
            Self::Snapshot => "snapshot",
        }
    }

    /// Says in a few words what its faults do.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kill => "nodes are killed, and started again later",
            Self::Pause => "nodes are stopped, for milliseconds up to many election timeouts",
            Self::Restart => "every node is killed and started again, all at once or one by one",
            Self::Upgrade => "nodes restart one by one on --upgrade-to, and stay there",
            Self::Power => {
                "machines lose their power and what was not synced; last writes are torn between sectors"
            }
            Self::Damage => "a bit flips, or a file's tail is gone, while a node is down",
            Self::Disk => "disks are full, slow to sync, or fail to",
            Self::Clock => "clocks jump forward and back, and go too fast or too slow",
            Self::Partition => "nodes are cut off: alone, in halves, one way, in rings, flapping",
            Self::Delay => "links are late, by more and less",
            Self::Throttle => "links carry few bytes in a second",
            Self::Refuse => "links refuse connections",
            Self::Reset => "links end connections with a reset",
            Self::Blackhole => "single links carry nothing",
            Self::Messages => "single messages are dropped, doubled, late or out of order",
            Self::Membership => "nodes leave and come back, join, are replaced by empty ones",
            Self::Transfer => "the leader is told to hand over",
            Self::Snapshot => "nodes are told to compact their logs, again and again",
        }
    }

    /// Returns the group that the family belongs to.
    pub const fn group(self) -> Group {
        match self {
            Self::Kill
            | Self::Pause
            | Self::Restart
            | Self::Upgrade
            | Self::Power
            | Self::Damage => Group::Processes,
            Self::Disk => Group::Disks,
            Self::Clock => Group::Clocks,
            Self::Partition => Group::Partitions,
            Self::Delay
            | Self::Throttle
            | Self::Refuse
            | Self::Reset
            | Self::Blackhole
            | Self::Messages => Group::Links,
            Self::Membership | Self::Transfer | Self::Snapshot => Group::Operations,
        }
    }

    /// Says whether nodes need disks of ours for its faults, which not every machine lets us mount.
    pub const fn needs_disk(self) -> bool {
        matches!(self, Self::Power | Self::Disk)
    }

    /// Returns the families that a word stands for: a family's or a group's name.
    pub fn of_word(word: &str) -> Result<BTreeSet<Self>, FamilyError> {
        if let Some(group) = Group::ALL.into_iter().find(|group| group.name() == word) {
            return Ok(Self::ALL.into_iter().filter(|family| family.group() == group).collect());
        }
        Ok([word.parse()?].into())
    }

    fn names() -> String {
        let families = Self::ALL.map(Self::name).join(", ");
        let groups = Group::ALL.map(Group::name).join(", ");
        format!("{families}, and of several: {groups}")
    }
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 6] = [
        Self::Processes,
        Self::Partitions,
        Self::Operations,
        Self::Links,
        Self::Disks,
        Self::Clocks,
    ];

    /// Returns the group's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Partitions => "partitions",
            Self::Links => "links",
            Self::Operations => "operations",
            Self::Disks => "disks",
            Self::Clocks => "clocks",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_family_or_a_group() {
        for family in Family::ALL {
            assert_eq!(Family::of_word(family.name()).unwrap(), [family].into());
        }
        let links = Family::of_word("links").unwrap();
        assert!(links.contains(&Family::Delay) && !links.contains(&Family::Kill), "{links:?}");
        let all: BTreeSet<_> =
            Group::ALL.iter().flat_map(|group| Family::of_word(group.name()).unwrap()).collect();
        assert_eq!(all.len(), Family::ALL.len());
        let error = Family::of_word("meteor").unwrap_err().to_string();
        assert!(error.contains("no fault \"meteor\"; there are kill, pause, "), "{error}");
        assert!(error.ends_with("clocks"), "{error}");
    }
}
