//! Makes a schedule of faults from a seed, before the run and without looking at it.
//!
//! Faults go in lanes. Lanes overlap, faults of one lane do not: so at most as many faults are in force
//! at once as there are lanes. Every [group](Group) of families has its lane, and shares it if there are
//! fewer lanes than groups: by default, what befalls processes and disks and what operators do come in one,
//! what befalls the network and clocks in the other. So as long as no target is a majority, at most a
//! minority is dead or stopped, but for a while: who refuses to start with a damaged file, and is to be
//! replaced, stays down until operators have done that or given up, and its lane does not wait. Each lane
//! has its own seed: turning partitions off does not move a kill.
//!
//! A lane opens with one fault of each family that was asked for, in random order, and goes on at
//! random, by the families' weights. In a short run the opening is squeezed towards the bounds' minima, so
//! that none of it falls off the end: a run that never saw a fault that was asked for has shown nothing
//! about it. Who asks for everything gets as much as there is time for.
//!
//! Every fault of a schedule ends, and what is killed is started again: what a storm takes from a
//! majority it gives back.

mod menu;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::fault::{Family, Fault, Group, ScheduledFault, Target};
use crate::plan::{PlanError, span};
use crate::seed::Seed;
use menu::{draw_duration, draw_numbers, menu};

/// The most faults that a lane of a generated schedule may come to hold: it is generated whole and
/// written into the plan. A week of the default storm comes to a third of this.
const LANE_MAX: u128 = 500_000;

/// The most lanes. More faults at once leave nothing of a cluster to be tested.
const OVERLAP_MAX: u64 = 32;

/// The largest weight of a family: among so many cards, more would be left out by the end of any run.
const WEIGHT_MAX: u32 = 1_000_000;

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
    /// How many faults may be in force at once: the number of lanes.
    pub overlap: u64,
    /// How often faults of a family come, compared with others of its lane; 1 if nothing is said, 0 for
    /// never.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<Family, u32>,
    /// How long a pause lasts at least.
    #[serde(with = "span")]
    pub pause_min: Duration,
    /// By how much a delayed link is late at most, jitter aside.
    #[serde(with = "span")]
    pub latency_max: Duration,
    /// How little a throttled link carries in a second.
    pub bytes_per_second_min: u64,
    /// Whether each run draws which families are on and how hard they come: runs that are unlike each
    /// other find more than runs that are all alike. What was drawn stands in the settled plan.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub swarm: bool,
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
            // More at once leave a cluster little time to do anything that could be wrong.
            overlap: 2,
            weights: BTreeMap::new(),
            pause_min: Duration::from_millis(5),
            // As late as an election timeout, so that some delays cost a leader its office.
            latency_max: Duration::from_millis(300),
            bytes_per_second_min: 2_000,
            swarm: false,
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
        if !(1..=OVERLAP_MAX).contains(&self.overlap) {
            return impossible("storm.overlap", "must be from 1 to 32");
        }
        if self.pause_min.is_zero() || self.pause_min > self.duration_max {
            return impossible("storm.pause_min", "must be from 1ms to `duration_max`");
        }
        if self.latency_max.is_zero() {
            return impossible("storm.latency_max", "must be longer than nothing");
        }
        if self.weights.values().any(|&weight| weight > WEIGHT_MAX) {
            return impossible("storm.weights", "must be at most 1000000");
        }
        if self.bytes_per_second_min == 0 {
            return impossible("storm.bytes_per_second_min", "must be at least 1");
        }
        Ok(())
    }

    /// Says which entry keeps a family out of the schedule, if one does.
    pub(crate) fn leaves_out(&self, family: Family) -> Option<&'static str> {
        if self.weight(family) == 0 {
            Some("storm.weights")
        } else if menu(self, family).is_empty() {
            Some("storm.targets")
        } else {
            None
        }
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
        let lanes = self.lanes(families);
        let longest = lanes.iter().filter(|lane| lane.opens).map(|lane| lane.families.len()).max();
        match u32::try_from(longest.unwrap_or(0)).unwrap_or(u32::MAX) {
            0 => Duration::ZERO,
            count => self.calm.saturating_add(self.slot_min().saturating_mul(count)),
        }
    }

    /// Returns the shortest run that has room for any fault at all.
    pub(crate) fn any_fault_min(&self) -> Duration {
        self.calm.saturating_add(self.slot_min())
    }

    /// Leaves as many families as there is time for, drawn from the seed.
    pub(crate) fn fit(
        &self,
        families: &BTreeSet<Family>,
        time_limit: Duration,
        seed: Seed,
    ) -> BTreeSet<Family> {
        let slots =
            time_limit.saturating_sub(self.calm).as_nanos() / self.slot_min().as_nanos().max(1);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        let mut fitting = BTreeSet::new();
        for lane in self.lanes(families).iter_mut().filter(|lane| lane.opens) {
            lane.families.shuffle(&mut seed.derive(&lane.name).generator());
            fitting.extend(lane.families.iter().take(slots));
        }
        fitting
    }

    fn weight(&self, family: Family) -> u32 {
        self.weights.get(&family).copied().unwrap_or(1)
    }

    /// Returns the least that a fault takes of its lane, the gap before it included.
    fn slot_min(&self) -> Duration {
        self.gap_min.saturating_add(self.duration_min)
    }

    /// Deals the groups out to lanes: each lane gets a group if there are enough lanes, and several if
    /// there are not; lanes beyond that take groups a second time.
    fn lanes(&self, families: &BTreeSet<Family>) -> Vec<Lane> {
        let groups = Group::ALL.len() as u64;
        let lane = |number: u64| {
            let is_of_lane = |family: &&Family| {
                let place = family.group() as u64;
                match self.overlap < groups {
                    true => place % self.overlap == number,
                    false => place == number % groups,
                }
            };
            let has_weight = |family: &&Family| self.weight(**family) > 0;
            Lane {
                name: format!("lane {number}"),
                families: families.iter().filter(is_of_lane).filter(has_weight).copied().collect(),
                opens: number < groups,
            }
        };
        let lanes = (0..self.overlap).map(lane);
        lanes.filter(|lane| !lane.families.is_empty()).collect()
    }

    /// Draws a storm that is like no other: which of the families are on, how often each comes, how
    /// dense, how long, how late and how narrow.
    pub(crate) fn draw_swarm(
        &self,
        families: &BTreeSet<Family>,
        seed: Seed,
    ) -> (Self, BTreeSet<Family>) {
        let mut generator = seed.generator();
        let mut on: BTreeSet<Family> = BTreeSet::new();
        while on.is_empty() && !families.is_empty() {
            on = families.iter().copied().filter(|_| generator.random()).collect();
        }
        let mut scale = |span: Duration| {
            let factor = 4_f64.powf(generator.random_range(-1.0..=1.0));
            Duration::from_millis(
                u64::try_from(span.mul_f64(factor).as_millis()).unwrap_or(u64::MAX),
            )
        };
        let (gap_max, duration_max) = (scale(self.gap_max), scale(self.duration_max));
        let latency_max = scale(self.latency_max);
        let weight = |family: &Family| {
            (
                *family,
                self.weight(*family).saturating_mul(generator.random_range(1..=4)).min(WEIGHT_MAX),
            )
        };
        let weights = on.iter().map(weight).collect();
        let bytes_per_second_min = self.bytes_per_second_min << generator.random_range(0..=6);
        let storm = Self {
            gap_max: gap_max.max(self.gap_min),
            duration_max: duration_max.max(self.duration_min).max(self.pause_min),
            latency_max: latency_max.max(Duration::from_millis(1)),
            overlap: generator.random_range(1..=self.overlap),
            weights,
            bytes_per_second_min,
            swarm: false,
            ..self.clone()
        };
        (storm, on)
    }
}

/// One lane of a schedule.
struct Lane {
    /// The name of its seed.
    name: String,
    families: Vec<Family>,
    /// Whether it begins with one fault of each family.
    opens: bool,
}

/// Makes the schedule of a run, in the order of beginnings. Every fault ends within `time_limit`.
pub fn generate(
    storm: &Storm,
    families: &BTreeSet<Family>,
    time_limit: Duration,
    seed: Seed,
) -> Vec<ScheduledFault> {
    let lanes = storm.lanes(families);
    let fill = |lane: &Lane| fill_lane(storm, lane, time_limit, seed.derive(&lane.name));
    let mut schedule: Vec<ScheduledFault> = lanes.iter().flat_map(fill).collect();
    schedule.sort_by_key(|fault| fault.at);
    schedule
}

/// Deals faults like packs of cards, shuffled anew when they are used up: a pack of families, in which
/// each is as often as its weight, and for each family a pack of its faults. Chance decides the order,
/// but a short run does not see the same fault five times. The first pack is stacked: one card of each
/// family comes on top.
fn fill_lane(storm: &Storm, lane: &Lane, time_limit: Duration, seed: Seed) -> Vec<ScheduledFault> {
    let mut generator = seed.generator();
    let mut filled = Vec::new();
    let mut menus: BTreeMap<Family, Pack<Fault>> = BTreeMap::new();
    for &family in &lane.families {
        let cards = menu(storm, family);
        if !cards.is_empty() {
            menus.insert(family, Pack::new(cards));
        }
    }
    let repeat = |family: &Family| vec![*family; storm.weight(*family) as usize];
    let mut families = Pack::new(menus.keys().flat_map(repeat).collect());
    let mut opening = 0;
    if lane.opens {
        families.left = menus.keys().copied().collect();
        families.left.shuffle(&mut generator);
        opening = u32::try_from(families.left.len()).expect("there are few families");
    }
    let mut now = storm.calm;
    while !menus.is_empty() && (filled.len() as u128) < LANE_MAX {
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
        now = now.saturating_add(gap);
        let left = time_limit.saturating_sub(now);
        if left < storm.duration_min {
            break;
        }
        let Some(family) = families.deal(&mut generator) else { break };
        let Some(card) = menus.get_mut(&family).and_then(|menu| menu.deal(&mut generator)) else {
            break;
        };
        let fault = draw_numbers(card, storm, &mut generator);
        let longest = storm.duration_max.min(storm.duration_min.saturating_add(spare)).min(left);
        let duration = draw_duration(fault, storm, longest, &mut generator);
        let draw = Some(Seed::new(generator.random::<u32>().into()));
        filled.push(ScheduledFault { at: now, duration, fault, draw });
        now += duration;
    }
    filled
}

/// Cards that are dealt until none is left, and then all again in another order.
struct Pack<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Pack<T> {
    fn new(all: Vec<T>) -> Self {
        Self { all, left: Vec::new() }
    }

    fn deal(&mut self, generator: &mut impl Rng) -> Option<T> {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            self.left.shuffle(generator);
        }
        self.left.pop()
    }
}

/// Draws a span in whole milliseconds, so that plans are easy to read.
fn draw_span(generator: &mut impl Rng, min: Duration, max: Duration) -> Duration {
    let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (min, max) = (milliseconds(min), milliseconds(max));
    Duration::from_millis(generator.random_range(min..=max))
}

#[cfg(test)]
mod tests;
