//! The nemesis carries a schedule of faults out on a cluster and undoes every one of them.
//!
//! It does one thing at a time, in the order of the schedule, and writes each edge of a fault into
//! the history when the edge is complete: "begin" when the fault has been installed, "end" when it
//! has been undone. An edge says how long it took. So a reader knows three things of a fault that was
//! installed and undone:
//!
//! - From "begin" until `took_ns` before "end", the fault was in force.
//! - Before `took_ns` before "begin", and after "end", it was not.
//! - In between, while it was being installed or undone, it may have been in force in part: a killed
//!   node is started before its "end" is written, and answers by then.
//!
//! Faults of a schedule may overlap, and one that ends leaves in force what another wants: a link
//! that both cut stays cut, and a killed node that a pause holds is stopped again as soon as it has
//! been started and has answered, before the "end" of the kill is written. While it is down, a kill
//! hides a pause.
//!
//! What a fault left to chance or to the run is settled when it begins, and both edges say how.

mod force;
mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError};
use crate::describe_error;
use crate::fault::{Census, Fault, FaultResult, ScheduledFault};
use crate::plan::Plan;
use crate::process::ProcessError;
use crate::recorder::Recorder;
use crate::system::NodeId;

use force::{Force, Wounds};
pub use report::{Counts, FaultRecord, NemesisReport};

/// How long a fault that is meant for the leader waits for one. Elections take less; a cluster that
/// takes longer has nobody to hit, and the next fault is waiting.
const LEADER_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before asking again who leads.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The nemesis of one run.
#[derive(Debug)]
pub struct Nemesis {
    schedule: Vec<ScheduledFault>,
    force: Force,
    records: Vec<FaultRecord>,
    in_force: watch::Sender<Vec<String>>,
}

/// What is next on the agenda, by the fault's place in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    // Ends come first: of two faults that meet, the second finds the first one gone.
    End(usize),
    Begin(usize),
}

/// Why a fault was not installed.
enum Obstacle {
    Skipped(String),
    Indeterminate(String),
}

impl Nemesis {
    /// Makes the nemesis of a plan, which is settled if it was not yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            schedule: plan.clone().settled().schedule.unwrap_or_default(),
            force: Force::default(),
            records: Vec::new(),
            in_force: watch::Sender::new(Vec::new()),
        }
    }

    /// Returns a view of the faults that are in force, in words.
    pub fn in_force(&self) -> watch::Receiver<Vec<String>> {
        self.in_force.subscribe()
    }

    /// Carries out the schedule, whose time begins now. Returns when its last fault has ended, or
    /// after it was cancelled; in either case no fault of it is in force any more, unless the report
    /// says so.
    pub async fn run(
        mut self,
        cluster: &Cluster,
        recorder: &Recorder,
        cancel: CancellationToken,
    ) -> NemesisReport {
        let start = Instant::now();
        let begins = self.schedule.iter().enumerate();
        let mut agenda: BTreeSet<(Duration, Edge)> =
            begins.map(|(place, fault)| (fault.at, Edge::Begin(place))).collect();
        while let Some((time, edge)) = agenda.pop_first() {
            let due = cancel.run_until_cancelled(sleep_until(start + time)).await;
            if due.is_none() {
                break;
            }
            match edge {
                Edge::Begin(place) => {
                    let fault = self.schedule[place].clone();
                    if self.begin(place, &fault, cluster, recorder, start).await {
                        agenda.insert((fault.at + fault.duration, Edge::End(place)));
                    }
                }
                Edge::End(place) => self.end(place, cluster, recorder, start).await,
            }
        }
        for place in self.force.places() {
            self.end(place, cluster, recorder, start).await;
        }
        NemesisReport { faults: self.records }
    }

    /// Begins a fault, and says whether there is anything to end.
    async fn begin(
        &mut self,
        place: usize,
        scheduled: &ScheduledFault,
        cluster: &Cluster,
        recorder: &Recorder,
        start: Instant,
    ) -> bool {
        let began = Instant::now();
        let leader = self.find_leader(scheduled, cluster).await;
        let census = Census { nodes: cluster.nodes(), leader };
        let draw = scheduled.draw.expect("a settled plan's faults have draws");
        let mut wounds = Wounds::default();
        let settled = settle(scheduled.fault, &census, &mut draw.generator());
        let result = match settled {
            Err(why) => FaultResult::Skipped(why.into()),
            Ok(settled) => {
                wounds = settled;
                self.inflict(place, scheduled.fault, &mut wounds, cluster).await
            }
        };
        let is_in_force = !matches!(result, FaultResult::Skipped(_));
        tracing::info!(fault = %scheduled.fault, nodes = describe_nodes(&wounds.nodes), ?result, "fault begins");
        let record = FaultRecord {
            scheduled: scheduled.clone(),
            result,
            nodes: wounds.nodes.clone(),
            cut: wounds.cut.clone(),
            leader,
            began: whole_milliseconds(start.elapsed()),
            ended: None,
            trouble: None,
        };
        remark(recorder, scheduled.fault, describe_begin(&record, began.elapsed())).await;
        // Records stand in the order of beginnings, so the place among them is not the fault's own.
        let number = self.records.len();
        self.records.push(record);
        if is_in_force {
            self.force.add(place, scheduled.fault, wounds, number);
        }
        self.publish();
        is_in_force
    }

    /// Asks who leads; if the fault is meant for the leader, waits a while for there to be one.
    async fn find_leader(&self, scheduled: &ScheduledFault, cluster: &Cluster) -> Option<NodeId> {
        let patience = match scheduled.fault.target() {
            Some(target) if target.needs_leader() => LEADER_PATIENCE.min(scheduled.duration),
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

    /// Does what a fault does. Nodes that could not be hit, because they are down already, are taken
    /// off the wounds.
    async fn inflict(
        &mut self,
        place: usize,
        fault: Fault,
        wounds: &mut Wounds,
        cluster: &Cluster,
    ) -> FaultResult {
        if let Fault::Partition(_) = fault {
            let cut = self.force.cut_besides(place);
            let cut = cut.union(&wounds.cut).copied().collect();
            return match cluster.network().cut_exactly(cut).await {
                Ok(()) => FaultResult::Installed,
                Err(error) => FaultResult::Indeterminate(describe_error(&error)),
            };
        }
        let mut hit = Vec::new();
        let mut obstacles = Vec::new();
        for &node in &wounds.nodes {
            let result = match fault {
                Fault::Kill(_) => cluster.kill(node).await,
                Fault::Pause(_) => cluster.pause(node).await,
                Fault::Partition(_) => Ok(()),
            };
            match result.map_err(Obstacle::from) {
                Ok(()) => hit.push(node),
                Err(obstacle) => {
                    // What is in doubt has to be undone as well.
                    if matches!(obstacle, Obstacle::Indeterminate(_)) {
                        hit.push(node);
                    }
                    obstacles.push(obstacle);
                }
            }
        }
        wounds.nodes = hit;
        conclude(&wounds.nodes, obstacles)
    }

    /// Ends a fault: undoes what no other fault in force wants to stay.
    async fn end(&mut self, place: usize, cluster: &Cluster, recorder: &Recorder, start: Instant) {
        let Some(ending) = self.force.remove(place) else {
            return;
        };
        let began = Instant::now();
        let mut troubles = Vec::new();
        match ending.fault {
            Fault::Partition(_) => {
                let cut = self.force.cut_besides(place);
                if let Err(error) = cluster.network().cut_exactly(cut).await {
                    troubles.push(describe_error(&error));
                }
            }
            Fault::Kill(_) => {
                let restarted = cluster.restart(&self.force.not_held(&ending)).await;
                troubles.extend(restarted.err().map(|error| describe_error(&error)));
                for node in self.force.paused(&ending.wounds.nodes) {
                    match cluster.pause(node).await.map_err(Obstacle::from) {
                        // Another kill still holds it, or it did not come back, which is said above.
                        Ok(()) | Err(Obstacle::Skipped(_)) => {}
                        Err(Obstacle::Indeterminate(why)) => troubles.push(why),
                    }
                }
            }
            Fault::Pause(_) => {
                for node in self.force.not_held(&ending) {
                    match cluster.resume(node).await.map_err(Obstacle::from) {
                        // It was killed in the meantime; nothing is left to undo.
                        Ok(()) | Err(Obstacle::Skipped(_)) => {}
                        Err(Obstacle::Indeterminate(why)) => troubles.push(why),
                    }
                }
            }
        }
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        let nodes = describe_nodes(&ending.wounds.nodes);
        tracing::info!(fault = %ending.fault, nodes, trouble, "fault ends");
        let record = &mut self.records[ending.record];
        record.ended = Some(whole_milliseconds(start.elapsed()));
        record.trouble = trouble;
        let value = describe_end(record, began.elapsed());
        remark(recorder, ending.fault, value).await;
        self.publish();
    }

    fn publish(&self) {
        self.in_force.send_replace(self.force.describe());
    }
}

/// Settles what a fault leaves open: who is hit, which links are cut.
fn settle(
    fault: Fault,
    census: &Census<'_>,
    generator: &mut impl Rng,
) -> Result<Wounds, &'static str> {
    match fault {
        Fault::Kill(target) | Fault::Pause(target) => {
            Ok(Wounds { nodes: target.resolve(census, generator)?, cut: BTreeSet::new() })
        }
        Fault::Partition(topology) => {
            let cut = topology.cut(census, generator)?;
            Ok(Wounds { nodes: cut.nodes, cut: cut.links })
        }
    }
}

/// Sums up what came of acting on several nodes.
fn conclude(hit: &[NodeId], obstacles: Vec<Obstacle>) -> FaultResult {
    let mut skipped = Vec::new();
    let mut in_doubt = Vec::new();
    for obstacle in obstacles {
        match obstacle {
            Obstacle::Skipped(why) => skipped.push(why),
            Obstacle::Indeterminate(why) => in_doubt.push(why),
        }
    }
    if !in_doubt.is_empty() {
        FaultResult::Indeterminate(in_doubt.join("; "))
    } else if hit.is_empty() {
        FaultResult::Skipped(skipped.join("; "))
    } else {
        FaultResult::Installed
    }
}

impl From<ClusterError> for Obstacle {
    fn from(error: ClusterError) -> Self {
        let why = describe_error(&error);
        match error {
            ClusterError::Process(ProcessError::NotRunning { .. }) => Self::Skipped(why),
            _ => Self::Indeterminate(why),
        }
    }
}

fn describe_nodes(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(NodeId::to_string).collect();
    names.join(" ")
}

fn describe_begin(record: &FaultRecord, took: Duration) -> Value {
    json!({
        "edge": "begin",
        "fault": record.scheduled.fault.to_string(),
        "nodes": record.nodes,
        "cut": record.cut,
        "leader": record.leader,
        "result": record.result,
        "took_ns": nanoseconds(took),
    })
}

fn describe_end(record: &FaultRecord, took: Duration) -> Value {
    json!({
        "edge": "end",
        "fault": record.scheduled.fault.to_string(),
        "nodes": record.nodes,
        "cut": record.cut,
        "result": match &record.trouble {
            None => json!("undone"),
            Some(why) => json!({ "indeterminate": why }),
        },
        "took_ns": nanoseconds(took),
    })
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn whole_milliseconds(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Writes an edge into the history. If that fails the recorder says so to whoever began the
/// recording; the nemesis goes on, because what it has done still has to be undone.
async fn remark(recorder: &Recorder, fault: Fault, value: Value) {
    if let Err(error) = recorder.remark(fault.family().name(), value).await {
        tracing::error!(%error, "failed to record a fault");
    }
}

#[cfg(test)]
mod tests;
