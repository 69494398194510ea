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
//! has answered, before the "end" of the kill is written. While it is down, a kill hides a pause. A node that
//! a pause holds goes on for a moment when its clock is to go right again, and is stopped again. What
//! several faults want of a link adds up; see [`Mode::and`](crate::proxy::Mode::and).
//!
//! What takes an operator a while, a change of membership or of the leader, goes on beside the rest, and
//! its first edge is written when it is done, or as soon after as nothing else is being done; how long it
//! took, an edge says from the beginning of its first try to when it is written. Edges of membership say
//! who the members are then. What of it has to be undone and cannot be just then, for want
//! of a leader, is tried again until it is; at the latest when nothing else is in force any more.
//!
//! What a fault left to chance or to the run is settled when it begins, and both edges say how.

mod course;
mod errand;
mod force;
mod inflict;
mod machines;
mod record;
mod report;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
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
use errand::{Errand, Order, PATIENCE, PATIENCE_LAST, Purpose, Report, errand};
use force::{Force, Installed, Wounds};
use inflict::{order, rhythm, settle};
use record::{Ending, record_begin, record_end};
pub use report::{Counts, FaultRecord, NemesisReport};

/// How long a scheduled fault that finds nobody to hit tries again, while others come and go: as long as
/// most of those last that keep nodes down, or a cluster from electing anybody.
const PATIENCE_SCHEDULED: Duration = Duration::from_secs(5);

/// How long the steps of a sequence wait for one, and everything else with them. Elections take less.
const LEADER_PATIENCE_DIRECTED: Duration = Duration::from_secs(1);

/// How long to wait before asking again who leads, and who can be hit.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// How long to wait before an operator tries again what could not be undone.
const UNDO_AGAIN: Duration = Duration::from_secs(1);

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
    /// Errands that are to be set out on.
    departures: Vec<(Purpose, Order)>,
    /// What errands are under way for, and what began them.
    underway: BTreeMap<usize, Departure>,
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

/// How an errand was begun.
#[derive(Clone, Debug)]
struct Departure {
    order: Order,
    /// Who led then.
    leader: Option<NodeId>,
    /// Whether the fault is to end as soon as it has begun.
    is_cut_short: bool,
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
            departures: Vec::new(),
            underway: BTreeMap::new(),
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
        let mut errands: FuturesUnordered<Errand<'_>> = FuturesUnordered::new();
        loop {
            let next = self.agenda.first().copied();
            if next.is_none() && errands.is_empty() {
                break;
            }
            let due = async {
                match next {
                    Some((time, _)) => sleep_until(field.start + time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(report) = errands.next() => {
                    self.take_in(vec![report], &mut errands, field).await;
                }
                () = due => {
                    self.agenda.pop_first();
                    if let Some((time, edge)) = next {
                        let reports = beside(&mut errands, self.handle(time, edge, field)).await;
                        self.take_in(reports, &mut errands, field).await;
                    }
                }
            }
            let departures = std::mem::take(&mut self.departures).into_iter();
            errands.extend(
                departures.map(|(purpose, order)| errand(purpose, order, PATIENCE, cluster)),
            );
        }
        self.end_all(errands, field).await;
        NemesisReport { faults: self.records }
    }

    async fn handle(&mut self, time: Duration, edge: Edge, field: Field<'_>) {
        match edge {
            Edge::Begin(place) => self.begin(place, field).await,
            Edge::Step(place) => self.step(place, time, field).await,
            Edge::End(place) => self.end(place, field).await,
            Edge::Course(number) => self.take_turn(number, field).await,
        }
    }

    /// Ends whatever is in force: first what hinders operators, then what they have to undo.
    async fn end_all(&mut self, mut errands: FuturesUnordered<Errand<'_>>, field: Field<'_>) {
        let is_operators = |force: &Force, place| {
            force.get(place).is_some_and(|installed| installed.undo.is_some())
        };
        for place in self.force.places() {
            if !is_operators(&self.force, place) {
                let reports = beside(&mut errands, self.end(place, field)).await;
                self.take_in(reports, &mut errands, field).await;
            }
        }
        while let Some(report) = errands.next().await {
            self.take_in(vec![report], &mut errands, field).await;
        }
        for place in self.force.places() {
            let undo = self.force.get(place).and_then(|installed| installed.undo.clone());
            if let Some(order) = undo {
                let errand = errand(Purpose::End(place), order, PATIENCE_LAST, field.cluster);
                let report = errand.await;
                self.come_back(report, field, false).await;
            }
        }
    }

    /// Begins a fault, and puts on the agenda what follows from it.
    async fn begin(&mut self, place: usize, field: Field<'_>) {
        let began = Instant::now();
        let scheduled = self.faults[place].clone();
        let is_directed = place >= self.scheduled;
        let leader = self.find_leader(&scheduled, is_directed, field.cluster).await;
        let members = field.cluster.members();
        let leader = leader.filter(|node| members.contains(node));
        let census = Census { nodes: &members, leader };
        let draw = scheduled.draw.unwrap_or(self.seed);
        let mut generator = draw.generator();
        let mut wounds = Wounds::default();
        let mut queue = Vec::new();
        let settled = settle(scheduled.fault, &census, &mut generator);
        if let Ok((wounds, _)) = &settled
            && let Some(order) = order(scheduled.fault, &wounds.nodes)
        {
            let departure = Departure { order: order.clone(), leader, is_cut_short: false };
            self.underway.insert(place, departure);
            self.departures.push((Purpose::Begin(place), order));
            return;
        }
        let result = match settled {
            Err(why) => FaultResult::Skipped(why.into()),
            Ok(settled) => {
                (wounds, queue) = settled;
                self.inflict(scheduled.fault, &mut wounds, &mut queue, draw, field.cluster).await
            }
        };
        let is_in_force = !matches!(result, FaultResult::Skipped(_));
        if !is_in_force && !is_directed && field.now() < scheduled.at + PATIENCE_SCHEDULED {
            self.agenda.insert((field.now() + ASK_AGAIN, Edge::Begin(place)));
            return;
        }
        tracing::info!(fault = %scheduled.fault, nodes = describe_nodes(&wounds.nodes), ?result, "fault begins");
        let record = FaultRecord::begun(scheduled.clone(), result, &wounds, leader, field.now());
        record_begin(field, &record, began.elapsed()).await;
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
            // Steps that take longer than their rhythm must not hold up everything else.
            self.agenda.insert((time.max(field.now()) + rhythm, Edge::Step(place)));
        }
    }

    /// Asks who leads; if a sequence means the fault for the leader, waits a while for there to be one.
    async fn find_leader(
        &self,
        scheduled: &ScheduledFault,
        is_directed: bool,
        cluster: &Cluster,
    ) -> Option<NodeId> {
        let patience = match scheduled.fault.target() {
            Some(target) if target.needs_leader() && is_directed => LEADER_PATIENCE_DIRECTED,
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
        if let Some(departure) = self.underway.get_mut(&place) {
            departure.is_cut_short = true;
            return;
        }
        if let Some(Installed { undo: Some(order), .. }) = self.force.get(place) {
            let departure = Departure { order: order.clone(), leader: None, is_cut_short: false };
            self.departures.push((Purpose::End(place), order.clone()));
            self.underway.insert(place, departure);
            return;
        }
        let Some(mut ending) = self.force.remove(place) else {
            return;
        };
        let began = Instant::now();
        let mut troubles = ending.troubles.clone();
        troubles.extend(self.undo(&mut ending, field.cluster).await);
        if !ending.refused.is_empty() {
            let order = Order::Replace(ending.refused.clone());
            let departure = Departure { order: order.clone(), leader: None, is_cut_short: false };
            self.departures.push((Purpose::End(place), order.clone()));
            self.underway.insert(place, departure);
            ending.undo = Some(order);
            ending.undo_began = Some(began);
            ending.troubles = troubles;
            self.force.add(place, ending);
            return;
        }
        self.close(&ending, troubles, began.elapsed(), field).await;
    }

    /// Records the end of a fault.
    async fn close(
        &mut self,
        ending: &Installed,
        troubles: Vec<String>,
        took: Duration,
        field: Field<'_>,
    ) {
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        let nodes = describe_nodes(&ending.wounds.nodes);
        tracing::info!(fault = %ending.fault, nodes, trouble, "fault ends");
        let how = if ending.fault.stays() { Ending::Stays } else { Ending::Undone };
        let record = &mut self.records[ending.record];
        record.ended = Some(field.now());
        record.messages_hit = ending.messages_hit(field.cluster);
        let is_installed = record.result == FaultResult::Installed;
        if let (true, Some(why)) = (is_installed, ending.was_in_vain(field.cluster)) {
            // It was in force and hurt nobody, which shows nothing about the system.
            record.result = FaultResult::Skipped(why.into());
        }
        record.trouble = trouble;
        record.notes.clone_from(&ending.wounds.notes);
        record_end(field, record, how, took).await;
        self.publish();
    }

    /// Takes in what came of errands, and of those that come to their end meanwhile, one after the other.
    async fn take_in(
        &mut self,
        reports: Vec<Report>,
        errands: &mut FuturesUnordered<Errand<'_>>,
        field: Field<'_>,
    ) {
        let mut reports = VecDeque::from(reports);
        while let Some(report) = reports.pop_front() {
            reports.extend(beside(errands, self.come_back(report, field, true)).await);
        }
    }

    /// Takes in what came of an errand.
    async fn come_back(&mut self, report: Report, field: Field<'_>, may_try_again: bool) {
        for &node in &report.outcome.gone {
            self.force.forget(node);
        }
        match report.purpose {
            Purpose::Begin(place) => self.come_back_begun(place, report, field).await,
            Purpose::End(place) => {
                self.underway.remove(&place);
                self.come_back_undone(place, report, field, may_try_again).await;
            }
        }
    }

    async fn come_back_begun(&mut self, place: usize, report: Report, field: Field<'_>) {
        let Some(departure) = self.underway.remove(&place) else {
            return;
        };
        let Report { outcome, start, .. } = report;
        let scheduled = self.faults[place].clone();
        let mut nodes = [outcome.gone.as_slice(), &outcome.come, &outcome.taken_back].concat();
        if let (Order::Transfer(_), false) = (&departure.order, nodes.is_empty()) {
            nodes.extend(departure.leader);
        }
        let is_skipped = matches!(outcome.result, FaultResult::Skipped(_));
        tracing::info!(fault = %scheduled.fault, nodes = describe_nodes(&nodes), result = ?outcome.result, "fault begins");
        let undo = departure.order.undo(&outcome);
        let wounds = Wounds { nodes, ..Wounds::default() };
        let result = outcome.result;
        let record =
            FaultRecord::begun(scheduled.clone(), result, &wounds, departure.leader, field.now());
        record_begin(field, &record, start.elapsed()).await;
        let mut installed = Installed::new(scheduled.fault, wounds, self.records.len());
        self.records.push(record);
        if undo.is_some() {
            installed.undo = undo;
            let now = field.now();
            if departure.is_cut_short {
                self.agenda.insert((now, Edge::End(place)));
            } else if place < self.scheduled {
                self.agenda.insert((now + scheduled.duration, Edge::End(place)));
            }
            self.force.add(place, installed);
        } else if !is_skipped {
            self.close(&installed, Vec::new(), Duration::ZERO, field).await;
        }
        self.publish();
    }

    async fn come_back_undone(
        &mut self,
        place: usize,
        report: Report,
        field: Field<'_>,
        may_try_again: bool,
    ) {
        let Some(mut ending) = self.force.remove(place) else {
            return;
        };
        let rest = ending.undo.as_ref().and_then(|order| order.rest(&report.outcome));
        let start = *ending.undo_began.get_or_insert(report.start);
        let mut troubles = ending.troubles.clone();
        troubles
            .extend(self.conclude_replacement(&mut ending, &report.outcome, field.cluster).await);
        match (rest, report.outcome.result) {
            (Some(rest), result) if may_try_again => {
                tracing::info!(fault = %ending.fault, ?result, "fault is still to be undone");
                ending.undo = Some(rest);
                self.force.add(place, ending);
                self.agenda.insert((field.now() + UNDO_AGAIN, Edge::End(place)));
                return;
            }
            (Some(_), FaultResult::Skipped(why) | FaultResult::Indeterminate(why)) => {
                troubles.push(why);
            }
            (Some(_), FaultResult::Installed) => troubles.push("it was undone in part".into()),
            (None, _) => {}
        }
        self.close(&ending, troubles, start.elapsed(), field).await;
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
        let result = FaultResult::Skipped(why.into());
        let record = FaultRecord::begun(scheduled, result, &Wounds::default(), None, field.now());
        record_begin(field, &record, Duration::ZERO).await;
        self.records.push(record);
    }

    fn publish(&self) {
        self.in_force.send_replace(self.force.describe());
    }
}

/// Does something while errands go on, and returns those that came to their end meanwhile. An errand that
/// stood still could hold what the other waits for, such as the lock of the links.
async fn beside(
    errands: &mut FuturesUnordered<Errand<'_>>,
    work: impl Future<Output = ()>,
) -> Vec<Report> {
    let mut work = pin!(work);
    let mut reports = Vec::new();
    loop {
        tokio::select! {
            () = &mut work => return reports,
            Some(report) = errands.next() => reports.push(report),
        }
    }
}

fn describe_nodes(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(NodeId::to_string).collect();
    names.join(" ")
}

#[cfg(test)]
mod tests;
