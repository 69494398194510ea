//! What a history still tells of a run whose harness was killed before it could say so itself.

use checker::history::{EventType, Process, Recording};

use crate::judgement::Observed;
use crate::remarks;
use crate::workload::is_refused;

/// Fills in which faults and operations there were, from what was written of them. What was done
/// before the storm counts as of the storm: nobody has said where it began.
pub(super) fn fill_in(observed: &mut Observed, recording: &Recording) {
    let faults = remarks::inflicted(recording);
    observed.faults = remarks::counts(&faults);
    observed.leader_hits = faults.iter().filter(|fault| fault.is_leader_hit).count();
    observed.operations.clear();
    for recorded in &recording.events {
        let event = &recorded.event;
        if event.process == Process::NEMESIS {
            continue;
        }
        let tally = observed.operations.entry(event.f.to_string()).or_default();
        match event.event_type {
            EventType::Invoke => {}
            EventType::Ok => {
                tally.ok += 1;
                tally.refused += u64::from(is_refused(|field| event.value.get(field).is_some()));
            }
            EventType::Fail => tally.fail += 1,
            EventType::Info => tally.info += 1,
        }
    }
    observed.storm_operations = observed.operations.clone();
}
