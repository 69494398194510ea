//! Makes a schedule of faults from a seed, before the run and without looking at it.
//!
//! Faults go in two lanes, one for processes and one for the network. Lanes overlap, faults of one
//! lane do not: so at most one process fault and one partition are in force at a time, and as long
//! as no target is a majority, at most a minority is dead or stopped. Each lane has its own seed:
//! turning partitions off does not move a kill.
//!
//! A lane opens with one fault of each family that was asked for, in random order, and goes on at
//! random. In a short run the opening is squeezed towards the bounds' minima, so that none of it
//! falls off the end: a run that never saw a fault that was asked for has shown nothing about it.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::fault::{Family, Fault, ScheduledFault, Target, Topology};
use crate::plan::{PlanError, span};
use crate::seed::Seed;

/// The most faults that a lane of a generated schedule may come to hold: it is generated whole and
/// written into the plan. A week of the default storm comes to a third of this.
const LANE_MAX: u128 = 500_000;

/// The bounds of a generated schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storm {
    /// How long nothing happens at first.
    #[serde(with = "span")]
    pub calm: Duration,
    /// The shortest time between two faults of a lane.
    #[serde(with = "span")]
    pub gap_min: Duration,
    /// The longest time between two faults of a lane.
    #[serde(with = "span")]
    pub gap_max: Duration,
    /// How long a fault lasts at least.
    #[serde(with = "span")]
    pub duration_min: Duration,
    /// How long a fault lasts at most.
    #[serde(with = "span")]
    pub duration_max: Duration,
    /// Whom faults may hit.
    pub targets: Vec<Target>,
}

impl Default for Storm {
    fn default() -> Self {
        Self {
            calm: Duration::from_secs(2),
            gap_min: Duration::from_millis(500),
            gap_max: Duration::from_secs(2),
            // Shorter than an election is no storm for a node that is only cut off; and each lane
            // should see a handful of faults in the half minute of a default run.
            duration_min: Duration::from_secs(1),
            duration_max: Duration::from_secs(5),
            targets: vec![Target::One, Target::Minority, Target::Leader, Target::Follower],
        }
    }
}

impl Storm {
    /// Checks that the bounds are bounds.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        let impossible = |key, why: &str| Err(PlanError::Impossible { key, why: why.into() });
        if self.duration_min < Duration::from_millis(1) {
            return impossible("storm.duration_min", "must be at least 1ms");
        }
        if self.duration_max < self.duration_min {
            return impossible("storm.duration_max", "must not be less than `duration_min`");
        }
        if self.gap_max < self.gap_min {
            return impossible("storm.gap_max", "must not be less than `gap_min`");
        }
        if self.targets.is_empty() {
            return impossible("storm.targets", "must name somebody, such as \"one\"");
        }
        Ok(())
    }

    /// Checks that a schedule of these families can be generated: that there is room for one fault
    /// of each, and that it is not endless.
    pub(crate) fn check_room(
        &self,
        families: &BTreeSet<Family>,
        time_limit: Duration,
    ) -> Result<(), PlanError> {
        let impossible = |key, why: String| Err(PlanError::Impossible { key, why: why.into() });
        let least = self.time_limit_min(families);
        if time_limit < least {
            let least = humantime::format_duration(least);
            let why = format!("must be at least {least}, or there is no room for every fault");
            return impossible("time_limit", why);
        }
        let faults_max = time_limit.as_nanos() / self.slot_min().as_nanos().max(1);
        if !families.is_empty() && faults_max > LANE_MAX {
            let why = format!("and `gap_min` ask for up to {faults_max} faults, over {LANE_MAX}");
            return impossible("storm.duration_min", why);
        }
        Ok(())
    }

    /// Returns the shortest run that has room for one fault of each family.
    fn time_limit_min(&self, families: &BTreeSet<Family>) -> Duration {
        let network = families.iter().filter(|family| **family == Family::Partition).count();
        let longer_lane = network.max(families.len() - network);
        match u32::try_from(longer_lane).unwrap_or(u32::MAX) {
            0 => Duration::ZERO,
            count => self.calm.saturating_add(self.slot_min().saturating_mul(count)),
        }
    }

    /// Returns the least that a fault takes of its lane, the gap before it included.
    fn slot_min(&self) -> Duration {
        self.gap_min.saturating_add(self.duration_min)
    }
}

/// Makes the schedule of a run, in the order of beginnings. Every fault ends within `time_limit`.
pub fn generate(
    storm: &Storm,
    families: &BTreeSet<Family>,
    time_limit: Duration,
    seed: Seed,
) -> Vec<ScheduledFault> {
    let processes =
        fill_lane(storm, &process_faults(storm, families), time_limit, seed.derive("processes"));
    let network =
        fill_lane(storm, &network_faults(storm, families), time_limit, seed.derive("network"));
    let mut schedule = [processes, network].concat();
    schedule.sort_by_key(|fault| fault.at);
    schedule
}

fn process_faults(storm: &Storm, families: &BTreeSet<Family>) -> Vec<Fault> {
    let mut menu = Vec::new();
    for &target in &storm.targets {
        if families.contains(&Family::Kill) {
            menu.push(Fault::Kill(target));
        }
        if families.contains(&Family::Pause) {
            menu.push(Fault::Pause(target));
        }
    }
    menu
}

fn network_faults(storm: &Storm, families: &BTreeSet<Family>) -> Vec<Fault> {
    if !families.contains(&Family::Partition) {
        return Vec::new();
    }
    let mut menu = vec![Topology::Halves, Topology::Bridge, Topology::MajoritiesRing];
    for &target in &storm.targets {
        match target {
            // To isolate many is to cut the cluster in two, which is on the menu already.
            Target::Minority | Target::Majority | Target::All => {}
            Target::One | Target::Leader | Target::Node(_) => menu.extend([
                Topology::Isolate(target),
                Topology::Outbound(target),
                Topology::Inbound(target),
            ]),
            Target::Follower => menu.push(Topology::Isolate(target)),
        }
    }
    menu.into_iter().map(Fault::Partition).collect()
}

/// Deals the menu like a pack of cards, shuffled anew when it is used up: chance decides the order,
/// but a short run does not see the same fault five times. The first pack is stacked: one card of
/// each family comes on top.
fn fill_lane(
    storm: &Storm,
    menu: &[Fault],
    time_limit: Duration,
    seed: Seed,
) -> Vec<ScheduledFault> {
    let mut generator = seed.generator();
    let mut lane = Vec::new();
    let mut pack = menu.to_vec();
    pack.shuffle(&mut generator);
    let mut opening = stack_families(&mut pack);
    let mut now = storm.calm;
    while !menu.is_empty() {
        // What this fault may take beyond its least without taking another opening fault's room.
        let spare = match opening {
            0 => Duration::MAX,
            faults => {
                let needed = storm.slot_min().saturating_mul(faults);
                time_limit.saturating_sub(now).saturating_sub(needed) / faults
            }
        };
        opening = opening.saturating_sub(1);
        let gap_max = storm.gap_max.min(storm.gap_min.saturating_add(spare));
        let gap = draw_span(&mut generator, storm.gap_min, gap_max);
        let spare = spare.saturating_sub(gap.saturating_sub(storm.gap_min));
        let duration_max = storm.duration_max.min(storm.duration_min.saturating_add(spare));
        let duration = draw_span(&mut generator, storm.duration_min, duration_max);
        now = now.saturating_add(gap);
        let left = time_limit.saturating_sub(now);
        if left < storm.duration_min {
            break;
        }
        if pack.is_empty() {
            pack = menu.to_vec();
            pack.shuffle(&mut generator);
        }
        let duration = duration.min(left);
        lane.extend(pack.pop().map(|fault| ScheduledFault {
            at: now,
            duration,
            fault,
            draw: Some(Seed::new(generator.random::<u32>().into())),
        }));
        now += duration;
    }
    lane
}

/// Brings one card of each family to the top of a pack, which is its end, in the order in which they
/// lie; returns how many there are.
fn stack_families(pack: &mut Vec<Fault>) -> u32 {
    let mut seen = BTreeSet::new();
    let (top, rest): (Vec<Fault>, Vec<Fault>) =
        pack.iter().partition(|fault| seen.insert(fault.family()));
    let count = u32::try_from(top.len()).expect("there are few families");
    *pack = [rest, top].concat();
    count
}

/// Draws a span in whole milliseconds, so that plans are easy to read.
fn draw_span(generator: &mut impl Rng, min: Duration, max: Duration) -> Duration {
    let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (min, max) = (milliseconds(min), milliseconds(max));
    Duration::from_millis(generator.random_range(min..=max))
}

#[cfg(test)]
mod tests;
