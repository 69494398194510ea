//! The production core under an exhaustive model checker: see `exploration`.

mod exploration;

use std::collections::BTreeSet;

use exploration::{Effort, explore, plans};

#[test]
fn every_small_world_holds() {
    let effort = Effort { threads: 2, steps_max: None, expected: None };
    for plan in plans::small() {
        let report = explore(&plan, effort);
        println!("{}: {report}", plan.name);
        assert!(report.is_complete, "{}: {report}", plan.name);
        assert!(report.missed.is_empty(), "{}: {report}", plan.name);
    }
}

/// The worlds are those that hold when no rule is broken.
#[test]
fn every_broken_rule_is_found() {
    for (flaw, plan, property) in plans::flawed() {
        let report =
            explore(&plan, Effort { threads: 1, steps_max: None, expected: Some(property) });
        println!("{flaw:?} in {}: {report}", plan.name);
        assert!(
            report.broken.iter().any(|(name, _)| *name == property),
            "{flaw:?} in {} should cost {property}: {report}",
            plan.name
        );
    }
}

#[test]
fn worlds_have_names_of_their_own() {
    let mut names = BTreeSet::new();
    for plan in plans::small().into_iter().chain(plans::large()) {
        assert!(names.insert(plan.name), "two worlds are called {}", plan.name);
    }
}
