//! Scenarios: the plans that ship with the binary, by name.
//!
//! Each is a file under `plans/` that says in its first comment what it is for. None names a seed:
//! every run of it draws one of its own, which its recorded plan then names.

use crate::plan::{Plan, PlanError};
use crate::seed::Seed;

/// A plan that ships with the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The name by which it is asked for.
    pub name: &'static str,
    /// The plan, as one may write it: TOML with comments.
    pub text: &'static str,
}

/// Makes the list out of the names, each of which is that of a file as well.
macro_rules! scenarios {
    ($($name:literal)*) => {
        &[$(Scenario { name: $name, text: include_str!(concat!("../plans/", $name, ".toml")) }),*]
    };
}

/// All of them, those first that one wants first.
pub const ALL: &[Scenario] = scenarios![
    "quick" "default" "swarm" "deposed"
    "kill" "pause" "restart" "upgrade" "partition" "messages"
    "delay" "throttle" "refuse" "reset" "blackhole"
    "membership" "operations"
    "power" "disk" "damage" "clock"
];

/// Returns the scenario of a name, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<Scenario> {
    ALL.iter().copied().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Returns its plan with a fresh seed. It is a draft: what nobody can ship, such as a program to upgrade
    /// to, is still to be added, and the plan to be [checked](Plan::check).
    ///
    /// # Errors
    /// Never, if the binary was built from what its tests have passed.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        Ok(Plan { seed: Seed::fresh(), ..Plan::parse_draft(self.text)? })
    }

    /// Returns what it is for, in a line: the first paragraph of its comment.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines = self.text.lines().map(|line| line.strip_prefix('#').unwrap_or_default().trim());
        lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use crate::fault::Family;

    use super::*;

    #[test]
    fn every_scenario_can_be_carried_out_and_says_what_it_is_for() {
        for scenario in ALL {
            let mut plan =
                scenario.plan().unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
            if scenario.name == "upgrade" {
                let error = plan.check().unwrap_err().to_string();
                assert!(error.contains("--upgrade-to"), "{error}");
                plan.node.upgrade = Some("another version".into());
            }
            plan.check().unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
            let plan = plan.settled();
            let count = plan.schedule.map_or(0, |faults| faults.len()) + plan.sequence.len();
            assert!(count > 0, "{} is no storm", scenario.name);
            assert!(scenario.summary().len() > 20, "{}: {:?}", scenario.name, scenario.summary());
            assert!(!scenario.text.contains("seed ="), "{} repeats itself", scenario.name);
            assert_eq!(by_name(scenario.name), Some(*scenario));
        }
        assert_eq!(by_name("no such"), None);
    }

    #[test]
    fn the_default_scenario_is_the_default() {
        let plan = by_name("default").unwrap().plan().unwrap();
        assert_eq!(Plan { seed: Plan::default().seed, ..plan }, Plan::default());
    }

    #[test]
    fn every_family_has_a_scenario_of_its_own() {
        // Three come together.
        let without = [Family::Membership, Family::Transfer, Family::Snapshot];
        for family in Family::ALL.into_iter().filter(|family| !without.contains(family)) {
            let name = family.name();
            let scenario = by_name(name).unwrap_or_else(|| panic!("{name} has no plan in plans/"));
            let schedule = scenario.plan().unwrap().settled().schedule.unwrap_or_default();
            assert!(schedule.iter().any(|it| it.fault.family() == family), "{name}");
        }
    }

    #[test]
    fn every_plan_beside_the_sources_ships() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
        assert_eq!(files.collect::<BTreeSet<_>>(), ALL.iter().map(|it| it.name.into()).collect());
    }
}
