//! What became of a schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Camp, Family, FaultResult, Link, ScheduledFault};
use crate::nemesis::force::Wounds;
use crate::plan::span;
use crate::system::NodeId;

/// What became of one fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultRecord {
    /// What was to be done.
    pub scheduled: ScheduledFault,
    /// What came of it.
    pub result: FaultResult,
    /// Who was hit; for a partition, whom it was about.
    pub nodes: Vec<NodeId>,
    /// Which links were cut.
    pub cut: BTreeSet<Link>,
    /// Which links went on, but badly.
    pub shaped: BTreeSet<Link>,
    /// Which links of clients were hit.
    pub clients: BTreeSet<(Camp, NodeId)>,
    /// How many messages it has hit, if it is one of messages and has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_hit: Option<u64>,
    /// What is to be said besides of how it began, or in the end of how it ended.
    pub notes: Vec<String>,
    /// Who led when it began, if that was known.
    pub leader: Option<NodeId>,
    /// When it was in force, from the start of the storm.
    #[serde(with = "span")]
    pub began: Duration,
    /// When it was undone; nothing if there was nothing to undo.
    #[serde(serialize_with = "span::serialize_option")]
    pub ended: Option<Duration>,
    /// Why it is not certain that it was undone, if it is not.
    pub trouble: Option<String>,
}

impl FaultRecord {
    /// Returns the record of a fault that has begun, or was to begin, and has not ended.
    pub(super) fn begun(
        scheduled: ScheduledFault,
        result: FaultResult,
        wounds: &Wounds,
        leader: Option<NodeId>,
        began: Duration,
    ) -> Self {
        Self {
            scheduled,
            result,
            nodes: wounds.nodes.clone(),
            cut: wounds.cut(),
            shaped: wounds.shaped(),
            clients: wounds.clients(),
            messages_hit: None,
            notes: wounds.notes.clone(),
            leader,
            began,
            ended: None,
            trouble: None,
        }
    }
}

/// How often a kind of fault came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// In force, and seen to be.
    pub installed: usize,
    /// Not tried, for a reason.
    pub skipped: usize,
    /// Tried, with unknown effect.
    pub indeterminate: usize,
}

/// What became of every fault that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NemesisReport {
    /// The faults, in the order in which they began.
    pub faults: Vec<FaultRecord>,
}

impl NemesisReport {
    /// Counts the faults that were in force and hit the node that led.
    pub fn leader_hits(&self) -> usize {
        let is_hit = |record: &&FaultRecord| {
            record.result == FaultResult::Installed
                && record.leader.is_some_and(|leader| record.nodes.contains(&leader))
        };
        self.faults.iter().filter(is_hit).count()
    }

    /// Counts results by family. A family that was never begun is not listed.
    pub fn counts(&self) -> BTreeMap<Family, Counts> {
        let mut counts: BTreeMap<Family, Counts> = BTreeMap::new();
        for record in &self.faults {
            let counts = counts.entry(record.scheduled.fault.family()).or_default();
            *match record.result {
                FaultResult::Installed => &mut counts.installed,
                FaultResult::Skipped(_) => &mut counts.skipped,
                FaultResult::Indeterminate(_) => &mut counts.indeterminate,
            } += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Target};

    #[test]
    fn only_what_hit_the_leader_and_was_in_force_counts_as_a_hit() {
        let (at, duration) = (Duration::ZERO, Duration::ZERO);
        let fault = Fault::Kill(Target::One);
        let scheduled = ScheduledFault { at, duration, fault, draw: None };
        let record = |result, node, leader: Option<u64>| {
            let wounds = Wounds { nodes: vec![NodeId::new(node)], ..Wounds::default() };
            FaultRecord::begun(scheduled.clone(), result, &wounds, leader.map(NodeId::new), at)
        };
        let in_vain = FaultResult::Skipped("nobody used the disk".into());
        let in_doubt = FaultResult::Indeterminate("nobody knows".into());
        let faults = vec![
            record(FaultResult::Installed, 2, Some(2)),
            record(FaultResult::Installed, 1, Some(2)),
            record(FaultResult::Installed, 2, None),
            record(in_vain, 2, Some(2)),
            record(in_doubt, 2, Some(2)),
        ];
        let report = NemesisReport { faults };
        assert_eq!(report.leader_hits(), 1);
        let counts = Counts { installed: 3, skipped: 1, indeterminate: 1 };
        assert_eq!(report.counts(), [(Family::Kill, counts)].into());
    }
}
