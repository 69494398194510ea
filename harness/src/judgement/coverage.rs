//! Whether a run could have shown anything: a storm that did not bite, or a load that did nothing in
//! it, proves nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fault::{Family, Fault, Group};
use crate::judgement::{Check, Observed, RunVerdict};
use crate::plan::Plan;
use crate::workload::Workload;

pub(super) fn check_coverage(plan: &Plan, workload: &dyn Workload, observed: &Observed) -> Check {
    // A generated schedule has every family that was asked for; one written by hand is what it says.
    let asked: BTreeSet<Family> = plan.faults().map(|fault| fault.family()).collect();
    let counts_of = |family: Family| observed.faults.get(&family).copied().unwrap_or_default();
    let missed = asked.iter().copied().filter(|&family| counts_of(family).installed == 0);
    // Who names kinds of fault wants each of them. Who asks for everything gets what the machine allows,
    // and most of that: some faults of every storm find nothing to hurt.
    let is_excused = |family: &Family| {
        plan.asks_for_everything()
            && observed.lacking.contains_key(family)
            && counts_of(*family).indeterminate == 0
    };
    let (excused, missed): (Vec<Family>, Vec<Family>) = missed.partition(is_excused);
    let bit = asked.len() - excused.len() - missed.len();
    let is_enough = plan.asks_for_everything() && missed.len() < bit;
    let mut gaps = vec![];
    if !missed.is_empty() && !is_enough {
        gaps.push(format!("the storm did not bite: no {} took effect", names(&missed, ", no ")));
    } else if !asked.is_empty() && bit == 0 {
        gaps.push("the storm did not bite: this machine allows none of its faults".into());
    }
    for &family in &asked {
        let count = counts_of(family).indeterminate;
        // Whether an order was carried out in the end may stay open; nothing is in force for that.
        if count > 0 && family.group() != Group::Operations {
            gaps.push(format!("nobody knows whether {count} of the {family}s took effect"));
        }
    }
    if has_to_depose(plan) && is_leader_spared(observed) {
        gaps.push("the storm did not bite: no leader was hit, and none followed another".into());
    }
    // What ended early for a violation is none the less no pass, should nobody else find one.
    gaps.extend(observed.ended_early.iter().map(|why| format!("the run was ended early: {why}")));
    gaps.extend(observed.fault_troubles.iter().map(|why| format!("a fault was not undone: {why}")));
    for f in workload.functions() {
        let tally = observed.storm_operations.get(f).copied().unwrap_or_default();
        if tally.ok == tally.refused {
            gaps.push(format!("no {f} succeeded during the storm"));
        }
    }
    let (verdict, summary) = match gaps.as_slice() {
        [] => (RunVerdict::Pass, describe(&excused, &missed, observed)),
        gaps => (RunVerdict::Unknown, gaps.join("; ")),
    };
    Check { name: "coverage", verdict, summary, details: Value::Null }
}

/// Says whether a storm has to cost a leader its office. Somebody who wrote a fault for any one node
/// meant any one; what the seed draws is meant to meet whoever is there.
fn has_to_depose(plan: &Plan) -> bool {
    plan.faults().any(Fault::is_to_depose)
        || !plan.by_hand
            && plan.schedule.iter().flatten().any(|scheduled| scheduled.fault.can_depose())
}

/// Says whether whoever led at first did so undisturbed until the end, as far as anybody saw.
fn is_leader_spared(observed: &Observed) -> bool {
    observed.leader_hits == 0 && observed.elections <= 1
}

fn describe(excused: &[Family], missed: &[Family], observed: &Observed) -> String {
    let hits = observed.leader_hits;
    let lack = excused.first().and_then(|family| observed.lacking.get(family));
    let lack = lack
        .map(|why| format!("but {}, for which this machine has {why}", names(excused, " and ")));
    let vain = (!missed.is_empty())
        .then(|| format!("but no {}: none is known to have hurt anybody", names(missed, ", no ")));
    let but: Vec<String> = lack.into_iter().chain(vain).collect();
    let space = if but.is_empty() { "" } else { " " };
    let leader = match is_leader_spared(observed) {
        true => "no leader was hit, and none followed another".into(),
        false => format!("the leader was hit {hits} times"),
    };
    format!(
        "every kind of fault took effect{space}{}, every kind of operation succeeded; {leader}",
        but.join(", ")
    )
}

fn names(families: &[Family], between: &str) -> String {
    families.iter().map(Family::to_string).collect::<Vec<_>>().join(between)
}
