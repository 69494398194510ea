//! A plan fully describes a run: what is tested, how it is loaded and how it is hurt.
//!
//! It is written beside the history, and a run of a recorded plan does the same again. A plan file is
//! TOML; everything that it leaves out has a default, and nothing that it says is ignored.
//!
//! ```
//! # use harness::plan::Plan;
//! let plan: Plan = Plan::parse(
//!     r#"
//!     nodes = 3
//!     time_limit = "10s"
//!     faults = ["kill"]
//!     [[schedule]]
//!     at = "2s"
//!     duration = "1s 500ms"
//!     fault = { kill = "leader" }
//!     [[schedule]]
//!     at = "5s"
//!     duration = "2s"
//!     fault = { partition = { isolate = "leader" } }
//!     "#,
//! )?;
//! assert_eq!(plan.nodes, 3);
//! # Ok::<(), harness::plan::PlanError>(())
//! ```

pub(crate) mod span;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::{Mapping, Placement, placement};
use crate::fault::schedule::{self, Storm};
use crate::fault::{Family, Fault, ScheduledFault, Sequence, Target};
use crate::recorder::CLIENTS_MAX;
use crate::seed::Seed;
use crate::system::{self, SystemError};
use crate::workload;

/// The longest run: its schedule is generated whole and its history judged whole. Longer tests are
/// several runs.
pub const TIME_LIMIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most nodes that a plan may ask for: every pair of them takes a proxy and a connection.
pub const NODES_MAX: u64 = 15;

/// The largest `workload.zipf`: beyond it nearly everything goes to the first key.
const ZIPF_MAX: f64 = 10.0;

/// The largest `workload.value_size`: documents that hold many values stay below what a node takes.
const VALUE_SIZE_MAX: u64 = 256 * 1024;

/// How many nodes may join a cluster at once. Each takes ports, proxies and a place in every node's
/// list of peers from the beginning.
const SPARES: u64 = 2;

/// Everything that decides what a run does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// The system under test, by name.
    pub system: String,
    /// How many nodes it has.
    pub nodes: u64,
    /// The seed of every random choice.
    pub seed: Seed,
    /// How long clients and faults go on.
    #[serde(with = "span")]
    pub time_limit: Duration,
    /// How many operations are begun in a second, by all clients together; 0 means as many as can be.
    pub rate: f64,
    /// How many clients there are; each does one operation at a time.
    pub concurrency: u64,
    /// Where the clients send their operations, in turn: "leader", "random" or a node such as "n1".
    /// If it is empty, most clients follow the leader and some stay with a node each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placements: Vec<Placement>,
    /// How long a client waits for an answer.
    #[serde(with = "span")]
    pub operation_timeout: Duration,
    /// How long the cluster may take to have a leader and to answer: at the start, and after
    /// everything has been healed.
    #[serde(with = "span")]
    pub recovery_deadline: Duration,
    /// The families of fault that a generated schedule is made of. All of them means as many as the
    /// system and the plan have what it takes for, and the time room for. A plan file that has a
    /// schedule and leaves this out names those of its faults.
    pub faults: BTreeSet<Family>,
    /// Whether somebody wrote the schedule, and the seed did not give it. It follows from a plan file
    /// that has a schedule and leaves `faults` out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// What the clients do.
    pub workload: WorkloadPlan,
    /// The bounds of a generated schedule.
    pub storm: Storm,
    /// How nodes are started.
    pub node: NodePlan,
    /// The nodes' timings.
    pub timings: Timings,
    /// The faults. If there is no such list it is generated from the seed; an empty one means a calm
    /// run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Vec<ScheduledFault>>,
    /// Faults that follow each other, besides those of the schedule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sequence: Vec<Sequence>,
}

/// What the clients do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadPlan {
    /// The workload's name.
    pub name: String,
    /// How many independent objects there are: books, registers, sets and so on.
    pub keys: u64,
    /// How many accounts a book has.
    pub accounts: u64,
    /// How many operations of a hundred are reads; if it is left out, the workload's own mix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_percent: Option<u8>,
    /// How hot the hot keys are: of several keys, key `i` is drawn `(i + 1)^-zipf` times as often as
    /// the first. With 0 all are alike, with 1 the first of five has 44 % of all operations.
    pub zipf: f64,
    /// How many bytes a stored value takes at least; shorter ones are filled up. Not for ledger and bank.
    pub value_size: u64,
    /// Whether clients work in sessions: what has an unknown outcome is sent again, under the same
    /// number, until it has an answer or the operation's time is over. So fewer outcomes are unknown,
    /// and a system that does something twice is found out.
    pub sessions: bool,
    /// What reads promise.
    pub reads: Reads,
}

/// What reads promise.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// They see every change that was answered before they began.
    #[default]
    Linearizable,
    /// They see what the asked node has, however old: not what a run's verdict is about, and it says so.
    Serializable,
}

/// How nodes are started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodePlan {
    /// The node's program; the harness's own if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin: Option<PathBuf>,
    /// The program that an upgrade brings nodes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<PathBuf>,
    /// Flaws that the node is asked to have, to see that they are found. Not for production.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
    /// When a node saves its state and forgets the log before it.
    pub snapshot: SnapshotPlan,
    /// If there is one, a leader answers reads without asking anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeasePlan>,
}

/// How a leader knows by its clock alone that it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeasePlan {
    /// How much faster than one node's clock another's may be, such as "5%".
    pub drift: String,
}

/// When a node saves its state and forgets the log before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotPlan {
    /// After so many entries.
    pub entries: u64,
    /// How many entries before it stay in the log.
    pub keep: u64,
}

impl Default for SnapshotPlan {
    /// Far fewer than in production: a node that was away for a few seconds must find that its entries
    /// are gone.
    fn default() -> Self {
        Self { entries: 500, keep: 50 }
    }
}

/// The nodes' timings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timings {
    /// The unit in which a node counts its timeouts.
    #[serde(with = "span")]
    pub tick: Duration,
    /// How often a leader is heard of.
    #[serde(with = "span")]
    pub heartbeat: Duration,
    /// The shortest time without a leader after which a node wants to be one.
    #[serde(with = "span")]
    pub election_timeout: Duration,
}

/// A plan is no good.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file could not be read.
    #[error("failed to read plan {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error("failed to write plan {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or says something that a plan does not.
    #[error("{}:{line}:{column}: {message}", file.as_deref().unwrap_or(Path::new("plan")).display())]
    Parse {
        /// The file, if it is one.
        file: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there, on one line.
        message: Box<str>,
    },
    /// It could not be written as TOML.
    #[error("failed to write the plan as TOML")]
    Print(#[from] toml::ser::Error),
    /// It asks its system for what that does not know.
    #[error(transparent)]
    System(#[from] SystemError),
    /// It asks for what cannot be.
    #[error("the plan's `{key}` {why}")]
    Impossible {
        /// The entry.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        why: Box<str>,
    },
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            system: system::NAMES[0].into(),
            nodes: 5,
            seed: Seed::new(0),
            time_limit: Duration::from_secs(30),
            rate: 200.0,
            concurrency: 10,
            placements: Vec::new(),
            operation_timeout: Duration::from_secs(1),
            recovery_deadline: Duration::from_secs(20),
            faults: Family::ALL.into(),
            by_hand: false,
            workload: WorkloadPlan::default(),
            storm: Storm::default(),
            node: NodePlan::default(),
            timings: Timings::default(),
            schedule: None,
            sequence: Vec::new(),
        }
    }
}

impl Default for WorkloadPlan {
    fn default() -> Self {
        Self {
            name: workload::NAMES[0].into(),
            keys: 5,
            accounts: 5,
            read_percent: None,
            zipf: 0.0,
            value_size: 0,
            sessions: false,
            reads: Reads::default(),
        }
    }
}

impl WorkloadPlan {
    /// Checks that there is such a workload, and that it can be asked for all this.
    fn check(&self) -> Result<(), PlanError> {
        let impossible = |key, why: String| Err(PlanError::Impossible { key, why: why.into() });
        let Some(workload) = workload::by_name(self) else {
            let known = workload::NAMES.join(", ");
            return impossible("workload.name", format!("{:?} is none of: {known}", self.name));
        };
        if let Some(percent) = self.read_percent {
            if percent > 100 {
                return impossible("workload.read_percent", "must be at most 100".into());
            }
            if !workload.has_reads() {
                let why = format!("has no meaning: the workload {} reads nothing", self.name);
                return impossible("workload.read_percent", why);
            }
        }
        if !(0.0..=ZIPF_MAX).contains(&self.zipf) {
            return impossible("workload.zipf", format!("must be from 0 to {ZIPF_MAX}"));
        }
        if self.value_size > VALUE_SIZE_MAX {
            return impossible("workload.value_size", format!("must be at most {VALUE_SIZE_MAX}"));
        }
        if self.value_size > 0 && !matches!(workload.mapping(), Mapping::Store(_)) {
            let why = format!("has no meaning for the workload {}", self.name);
            return impossible("workload.value_size", why);
        }
        Ok(())
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(10),
            heartbeat: Duration::from_millis(50),
            election_timeout: Duration::from_millis(300),
        }
    }
}

impl Plan {
    /// Reads a plan from a file and checks it.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let plan = Self::read_draft(path)?;
        plan.check()?;
        Ok(plan)
    }

    /// Reads a plan from a file that may still lack something; see [`Plan::parse_draft`].
    pub fn read_draft(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PlanError::Read { path: path.into(), source })?;
        Self::parse_draft(&text).map_err(|error| match error {
            PlanError::Parse { line, column, message, .. } => {
                PlanError::Parse { file: Some(path.into()), line, column, message }
            }
            other => other,
        })
    }

    /// Reads a plan from text and checks it.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan = Self::parse_draft(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// Reads a plan from text that may still lack something, such as a program to upgrade to, and is to be
    /// [checked](Plan::check) when that has been added.
    pub fn parse_draft(text: &str) -> Result<Self, PlanError> {
        let mut plan: Self = toml::from_str(text).map_err(|error| {
            let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
            PlanError::Parse {
                file: None,
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                message: error.message().replace('\n', ", ").into(),
            }
        })?;
        if is_by_hand(text) {
            plan.faults = plan.faults().map(Fault::family).collect();
            plan.by_hand = true;
        }
        Ok(plan)
    }

    /// Returns the plan as TOML.
    pub fn print(&self) -> Result<String, PlanError> {
        let is_listed = |faults: &&Vec<ScheduledFault>| !faults.is_empty();
        let faults = self.schedule.as_ref().filter(is_listed);
        // Left to itself, the serialiser gives every level of a fault a table with a heading.
        let schedule = match faults {
            Some(_) => None,
            None => self.schedule.clone(),
        };
        let rest = Self { schedule, sequence: Vec::new(), ..self.clone() };
        let mut text = toml::to_string(&rest)?;
        for sequence in &self.sequence {
            let at = humantime::format_duration(sequence.at);
            text.push_str(&format!("\n[[sequence]]\nat = \"{at}\"\nsteps = [\n"));
            for step in &sequence.steps {
                let step = toml::Value::try_from(step)?;
                text.push_str(&format!("    {step},\n"));
            }
            text.push_str("]\n");
        }
        for fault in faults.into_iter().flatten() {
            text.push_str("\n[[schedule]]\n");
            for (key, value) in toml::Table::try_from(fault)? {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        Ok(text)
    }

    /// Writes the plan to a file.
    pub fn write(&self, path: &Path) -> Result<(), PlanError> {
        std::fs::write(path, self.print()?)
            .map_err(|source| PlanError::Write { path: path.into(), source })
    }

    /// Settles everything that still follows from the seed: the schedule, if there is none, and the
    /// draws of faults that have none. What is recorded and run is the settled plan.
    #[must_use]
    pub fn settled(mut self) -> Self {
        let seed = self.seed.derive("nemesis");
        let mut faults = match self.schedule.take() {
            Some(faults) => faults,
            None => {
                let (storm, families) = self.draw_storm();
                let faults = schedule::generate(&storm, &families, self.time_limit, seed);
                if self.storm.swarm {
                    self.keep_drawn(storm, families);
                }
                faults
            }
        };
        for (place, fault) in faults.iter_mut().enumerate() {
            fault.draw.get_or_insert_with(|| seed.derive(&format!("fault {place}")));
        }
        self.schedule = Some(faults);
        self.placements = self.client_placements();
        self
    }

    /// Takes a storm that was drawn for the one to draw from. Who asked for everything still does, and gets
    /// nothing of what was not drawn.
    fn keep_drawn(&mut self, storm: Storm, families: BTreeSet<Family>) {
        self.storm = storm;
        if self.asks_for_everything() {
            let others = Family::ALL.into_iter().filter(|family| !families.contains(family));
            self.storm.weights.extend(others.map(|family| (family, 0)));
        } else {
            self.faults = families;
        }
    }

    /// Returns the bounds of the generated schedule and the families that it is made of.
    fn draw_storm(&self) -> (Storm, BTreeSet<Family>) {
        let seed = self.seed.derive("storm");
        let mut families = self.faults.clone();
        let is_everything = self.asks_for_everything();
        if is_everything {
            families.retain(|&family| {
                self.lacks(family).is_none() && self.storm.leaves_out(family).is_none()
            });
        }
        let mut storm = self.storm.clone();
        if storm.swarm {
            (storm, families) = storm.draw_swarm(&families, seed.derive("swarm"));
        }
        if is_everything || self.storm.swarm {
            families = storm.fit(&families, self.time_limit, seed);
        }
        (storm, families)
    }

    /// Returns the faults of its schedule and of its sequences.
    pub(crate) fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        let scheduled = self.schedule.iter().flatten().map(|scheduled| scheduled.fault);
        scheduled.chain(self.sequence.iter().flat_map(Sequence::faults))
    }

    /// Says whether its schedule or a sequence of it holds such a fault.
    pub(crate) fn brings(&self, is_such: impl Fn(Fault) -> bool) -> bool {
        self.faults().any(is_such)
    }

    /// Says whether the plan asks for every fault that there is, and not for these and no others.
    pub(crate) fn asks_for_everything(&self) -> bool {
        self.faults.len() == Family::ALL.len()
    }

    /// Says what it would take for faults of this family, if there cannot be any.
    fn lacks(&self, family: Family) -> Option<&'static str> {
        let system = system::by_name(self)?;
        if family == Family::Messages {
            let is_known = system.classify().is_some();
            return (!is_known)
                .then_some("no way to tell the messages of this system's nodes apart");
        }
        system.lacks(family)
    }

    /// Returns how many nodes there may be names for, besides those that begin: enough for one that comes
    /// while what became of another is unclear. Who has left makes room again.
    pub(crate) fn spares(&self) -> u64 {
        if self.brings(Fault::changes_members) { SPARES } else { 0 }
    }

    /// Returns where the clients send their operations; client `i` has the placement `i` modulo their
    /// number. See [`placement::mix`] for a plan that says nothing about it.
    pub fn client_placements(&self) -> Vec<Placement> {
        if !self.placements.is_empty() {
            return self.placements.clone();
        }
        placement::mix(usize::try_from(self.concurrency).unwrap_or(usize::MAX), self.nodes)
    }

    /// Checks that the plan can be carried out at all, without looking at the machine.
    pub fn check(&self) -> Result<(), PlanError> {
        let impossible = |key, why: String| Err(PlanError::Impossible { key, why: why.into() });
        let Some(system) = system::by_name(self) else {
            let known = system::NAMES.join(", ");
            return impossible("system", format!("{:?} is none of: {known}", self.system));
        };
        system.check()?;
        if !(1..=NODES_MAX).contains(&self.nodes) {
            return impossible("nodes", format!("must be from 1 to {NODES_MAX}"));
        }
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return impossible("rate", "must be a number from 0 up".into());
        }
        let counts = [
            ("concurrency", self.concurrency),
            ("workload.keys", self.workload.keys),
            ("workload.accounts", self.workload.accounts),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return impossible(key, "must be at least 1".into());
        }
        if self.concurrency > CLIENTS_MAX as u64 {
            return impossible("concurrency", format!("must be at most {CLIENTS_MAX}"));
        }
        self.workload.check()?;
        let workload = workload::by_name(&self.workload);
        if workload.is_some_and(|workload| !system.offers(workload.mapping())) {
            let why = format!("{:?} is not for the system {}", self.workload.name, self.system);
            return impossible("workload.name", why);
        }
        let spans = [
            ("time_limit", self.time_limit),
            ("operation_timeout", self.operation_timeout),
            ("recovery_deadline", self.recovery_deadline),
            ("timings.tick", self.timings.tick),
            ("timings.heartbeat", self.timings.heartbeat),
            ("timings.election_timeout", self.timings.election_timeout),
        ];
        if let Some((key, _)) = spans.into_iter().find(|(_, span)| span.is_zero()) {
            return impossible(key, "must be longer than nothing".into());
        }
        for placement in &self.placements {
            if let Placement::Pinned(node) = placement
                && node.number() > self.nodes
            {
                let why = format!("name {node}, but there are {} nodes", self.nodes);
                return impossible("placements", why);
            }
        }
        if self.time_limit > TIME_LIMIT_MAX {
            let longest = humantime::format_duration(TIME_LIMIT_MAX);
            return impossible("time_limit", format!("must be at most {longest}"));
        }
        self.storm.check()?;
        self.check_faults()
    }

    /// Checks the schedule, or that there can be one, and the sequences.
    fn check_faults(&self) -> Result<(), PlanError> {
        let impossible = |key, why: String| Err(PlanError::Impossible { key, why: why.into() });
        if self.schedule.is_none() {
            let lack = self.faults.iter().find_map(|family| Some((family, self.lacks(*family)?)));
            if let Some((family, what)) = lack.filter(|_| !self.asks_for_everything()) {
                return impossible("faults", format!("have {family}, for which there is {what}"));
            }
            let left_out =
                self.faults.iter().find_map(|&it| Some((it, self.storm.leaves_out(it)?)));
            if let Some((family, key)) = left_out.filter(|_| !self.asks_for_everything()) {
                return impossible(key, format!("leave out {family}, which `faults` names"));
            }
            let (storm, families) = self.draw_storm();
            let least = storm.any_fault_min();
            if families.is_empty() && !self.faults.is_empty() && self.time_limit < least {
                let least = humantime::format_duration(least);
                let why = format!("must be at least {least}, or there is no room for any fault");
                return impossible("time_limit", why);
            }
            if families.is_empty() && !self.faults.is_empty() {
                return impossible("storm.weights", "leave out every fault".into());
            }
            storm.check_room(&families, self.time_limit)?;
        }
        for scheduled in self.schedule.iter().flatten() {
            self.check_fault("schedule", scheduled.at, scheduled.fault)?;
        }
        for sequence in &self.sequence {
            if let Err(why) = sequence.check() {
                return impossible("sequence", why);
            }
            for fault in sequence.faults() {
                self.check_fault("sequence", sequence.at, fault)?;
            }
        }
        Ok(())
    }

    fn check_fault(&self, key: &'static str, at: Duration, fault: Fault) -> Result<(), PlanError> {
        let impossible = |why: String| Err(PlanError::Impossible { key, why: why.into() });
        if at >= self.time_limit {
            let at = humantime::format_duration(at);
            return impossible(format!(
                "has a fault at {at}, when `time_limit` has ended the storm"
            ));
        }
        if let Some(Target::Node(node)) = fault.target()
            && node.number() > self.nodes
        {
            return impossible(format!("targets {node}, but there are {} nodes", self.nodes));
        }
        if let Some(what) = self.lacks(fault.family()) {
            return impossible(format!("has {fault}, for which there is {what}"));
        }
        match fault.check() {
            Ok(()) => Ok(()),
            Err(why) => impossible(why.into()),
        }
    }
}

/// Tells whether a plan's text says itself which faults come, and not of which families.
fn is_by_hand(text: &str) -> bool {
    let table = text.parse::<toml::Table>();
    table.is_ok_and(|plan| plan.contains_key("schedule") && !plan.contains_key("faults"))
}

#[cfg(test)]
mod tests;
