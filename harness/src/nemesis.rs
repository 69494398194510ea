//! The nemesis carries faults out on a cluster and undoes every one of them: those of a schedule, by the
//! clock, and those of directed sequences, after each other.
//!
//! It does one thing at a time and writes each edge of a fault into the history when the edge is
//! complete: "begin" when the fault has been installed, "end" when it has been undone. An edge says how
//! long it took. So a reader knows three things of a fault that was installed and undone:
//!
//! - From "begin" until `took_ns` before "end", the fault was in force.
//! - Before `took_ns` before "begin", and after "end", it was not.
//! - In between, while it was being installed or undone, it may have been in force in part: a killed
//!   node is started before its "end" is written, and answers by then.
//!
//! A fault that flaps, or goes from node to node, is in force from its first step to its end.
//!
//! Faults may overlap, and one that ends leaves in force what another wants: a link that both cut
//! stays cut, and a killed node that a pause holds is stopped again as soon as it has been started and
//! has answered, before the "end" of the kill is written. While it is down, a kill hides a pause. What
//! several faults want of a link adds up; see [`Mode::and`](crate::proxy::Mode::and).
//!
//! What a fault left to chance or to the run is settled when it begins, and both edges say how.

mod course;
mod force;
mod inflict;
mod record;
mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::fault::{Census, FaultResult, ScheduledFault};
use crate::plan::Plan;
use crate::recorder::Recorder;
use crate::seed::Seed;
use crate::system::NodeId;

use course::{Course, Turn};
use force::{Force, Installed, Wounds};
use inflict::{rhythm, settle};
use record::{record_begin, record_end};
pub use report::{Counts, FaultRecord, NemesisReport};

/// How long a fault that is meant for the leader waits for one. Elections take less; a cluster that
/// takes longer has nobody to hit, and the next fault is waiting.
const LEADER_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before asking again who leads.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The nemesis of one run.
#[derive(Debug)]
pub struct Nemesis {
    /// The faults of the schedule, and behind them those that sequences have begun.
    faults: Vec<ScheduledFault>,
    /// How many of them are the schedule's.
    scheduled: usize,
    courses: Vec<Course>,
    seed: Seed,
    agenda: BTreeSet<(Duration, Edge)>,
    force: Force,
    records: Vec<FaultRecord>,
    in_force: watch::Sender<Vec<String>>,
}

/// What is next on the agenda, by the fault's place or the sequence's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    // Ends come first: of two faults that meet, the second finds the first one gone.
    End(usize),
    Step(usize),
    Course(usize),
    Begin(usize),
}

/// Where the nemesis works.
#[derive(Clone, Copy)]
struct Field<'a> {
    cluster: &'a Cluster,
    recorder: &'a Recorder,
    /// When the storm began.
    start: Instant,
}

impl Field<'_> {
    /// Returns how old the storm is.
    fn now(&self) -> Duration {
        let milliseconds = self.start.elapsed().as_millis();
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
    }
}

impl Nemesis {
    /// Makes the nemesis of a plan, which is settled if it was not yet.
    pub fn new(plan: &Plan) -> Self {
        let plan = plan.clone().settled();
        let faults = plan.schedule.unwrap_or_default();
        let begins = faults.iter().enumerate();
        let begins = begins.map(|(place, fault)| (fault.at, Edge::Begin(place)));
        let courses: Vec<Course> = plan.sequence.into_iter().map(Course::new).collect();
        let turns = courses.iter().enumerate();
        let turns = turns.map(|(number, course)| (course.due(), Edge::Course(number)));
        Self {
            agenda: begins.chain(turns).collect(),
            scheduled: faults.len(),
            faults,
            courses,
            seed: plan.seed.derive("nemesis"),
            force: Force::default(),
            records: Vec::new(),
            in_force: watch::Sender::new(Vec::new()),
        }
    }

    /// Returns a view of the faults that are in force, in words.
    pub fn in_force(&self) -> watch::Receiver<Vec<String>> {
        self.in_force.subscribe()
    }

    /// Carries out the schedule and the sequences, whose time begins now. Returns when the last fault
    /// has ended, or after it was cancelled; in either case no fault is in force any more, unless the
    /// report says so.
    pub async fn run(
        mut self,
        cluster: &Cluster,
        recorder: &Recorder,
        cancel: CancellationToken,
    ) -> NemesisReport {
        let field = Field { cluster, recorder, start: Instant::now() };
        while let Some((time, edge)) = self.agenda.pop_first() {
            let due = cancel.run_until_cancelled(sleep_until(field.start + time)).await;
            if due.is_none() {
                break;
            }
            match edge {
                Edge::Begin(place) => self.begin(place, field).await,
                Edge::Step(place) => self.step(place, time, field).await,
                Edge::End(place) => self.end(place, field).await,
                Edge::Course(number) => self.take_turn(number, field).await,
            }
        }
        for place in self.force.places() {
            self.end(place, field).await;
        }
        NemesisReport { faults: self.records }
    }

    /// Begins a fault, and puts on the agenda what follows from it.
    async fn begin(&mut self, place: usize, field: Field<'_>) {
        let began = Instant::now();
        let scheduled = self.faults[place].clone();
        let leader = self.find_leader(&scheduled, field.cluster).await;
        let census = Census { nodes: field.cluster.nodes(), leader };
        let mut generator = scheduled.draw.unwrap_or(self.seed).generator();
        let mut wounds = Wounds::default();
        let mut queue = Vec::new();
        let result = match settle(scheduled.fault, &census, &mut generator) {
            Err(why) => FaultResult::Skipped(why.into()),
            Ok(settled) => {
                (wounds, queue) = settled;
                self.inflict(scheduled.fault, &mut wounds, &mut queue, field.cluster).await
            }
        };
        let is_in_force = !matches!(result, FaultResult::Skipped(_));
        tracing::info!(fault = %scheduled.fault, nodes = describe_nodes(&wounds.nodes), ?result, "fault begins");
        let record = FaultRecord {
            scheduled: scheduled.clone(),
            result,
            nodes: wounds.nodes.clone(),
            cut: wounds.cut(),
            shaped: wounds.shaped(),
            clients: wounds.clients(),
            messages_hit: None,
            leader,
            began: field.now(),
            ended: None,
            trouble: None,
        };
        record_begin(field.recorder, &record, began.elapsed()).await;
        // Records stand in the order of beginnings, so the place among them is not the fault's own.
        let mut installed = Installed::new(scheduled.fault, wounds, self.records.len());
        self.records.push(record);
        if is_in_force {
            let now = field.now();
            installed.queue = queue.into();
            installed.rhythm = rhythm(&scheduled, installed.wounds.nodes.len());
            if let Some(rhythm) = installed.rhythm {
                self.agenda.insert((now + rhythm, Edge::Step(place)));
            }
            // What a sequence begins it also ends.
            if place < self.scheduled {
                self.agenda.insert((now + scheduled.duration, Edge::End(place)));
            }
            self.force.add(place, installed);
        }
        self.publish();
    }

    /// Takes a fault in force one step further.
    async fn step(&mut self, place: usize, time: Duration, field: Field<'_>) {
        let next = self.take_step(place, field.cluster).await;
        if let Some(rhythm) = next {
            self.agenda.insert((time + rhythm, Edge::Step(place)));
        }
    }

    /// Asks who leads; if the fault is meant for the leader, waits a while for there to be one.
    async fn find_leader(&self, scheduled: &ScheduledFault, cluster: &Cluster) -> Option<NodeId> {
        let patience = match scheduled.fault.target() {
            Some(target) if target.needs_leader() => LEADER_PATIENCE,
            _ => Duration::ZERO,
        };
        let start = Instant::now();
        loop {
            let leader = cluster.poll().await.leader();
            if leader.is_some() || start.elapsed() >= patience {
                return leader.map(|leader| leader.node);
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Ends a fault: undoes what no other fault in force wants to stay.
    async fn end(&mut self, place: usize, field: Field<'_>) {
        let Some(ending) = self.force.remove(place) else {
            return;
        };
        let began = Instant::now();
        let mut troubles = ending.troubles.clone();
        troubles.extend(self.undo(&ending, field.cluster).await);
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        let nodes = describe_nodes(&ending.wounds.nodes);
        tracing::info!(fault = %ending.fault, nodes, trouble, "fault ends");
        let record = &mut self.records[ending.record];
        record.ended = Some(field.now());
        record.messages_hit = ending.messages_hit(field.cluster.network());
        if record.messages_hit == Some(0) {
            // It was in force and hurt nobody, which shows nothing about the system.
            record.result = FaultResult::Skipped("no such message came by".into());
        }
        record.trouble = trouble;
        record_end(field.recorder, record, began.elapsed()).await;
        self.publish();
    }

    /// Takes the next step of a sequence, if it is its time.
    async fn take_turn(&mut self, number: usize, field: Field<'_>) {
        let status = field.cluster.poll().await;
        let course = &mut self.courses[number];
        match course.turn(&status, field.now()) {
            Turn::Wait => {
                self.agenda.insert((field.now() + ASK_AGAIN, Edge::Course(number)));
                return;
            }
            Turn::Begin { fault, duration, step } => {
                let place = self.faults.len();
                course.begins(place);
                let draw = self.seed.derive(&format!("sequence {number} step {step}"));
                let at = field.now();
                self.faults.push(ScheduledFault { at, duration, fault, draw: Some(draw) });
                self.begin(place, field).await;
            }
            Turn::End(place) => self.end(place, field).await,
            Turn::Rest => {}
            Turn::Over(places) => {
                for place in places {
                    self.end(place, field).await;
                }
                return;
            }
            Turn::GiveUp { faults, why } => {
                for fault in faults {
                    let at = field.now();
                    self.skip(
                        ScheduledFault { at, duration: Duration::ZERO, fault, draw: None },
                        why,
                        field,
                    )
                    .await;
                }
                self.agenda.insert((field.now(), Edge::Course(number)));
                return;
            }
        }
        let due = self.courses[number].due_after(field.now());
        self.agenda.insert((due, Edge::Course(number)));
    }

    /// Records a fault that is not even tried.
    async fn skip(&mut self, scheduled: ScheduledFault, why: &str, field: Field<'_>) {
        tracing::info!(fault = %scheduled.fault, why, "fault is skipped");
        let record = FaultRecord {
            scheduled,
            result: FaultResult::Skipped(why.into()),
            nodes: Vec::new(),
            cut: BTreeSet::new(),
            shaped: BTreeSet::new(),
            clients: BTreeSet::new(),
            messages_hit: None,
            leader: None,
            began: field.now(),
            ended: None,
            trouble: None,
        };
        record_begin(field.recorder, &record, Duration::ZERO).await;
        self.records.push(record);
    }

    fn publish(&self) {
        self.in_force.send_replace(self.force.describe());
    }
}

fn describe_nodes(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(NodeId::to_string).collect();
    names.join(" ")
}

#[cfg(test)]
mod tests;
