//! What the history says of a fault.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::describe_error;
use crate::fault::FaultResult;
use crate::nemesis::Field;
use crate::nemesis::report::FaultRecord;

/// How a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// What it did was undone.
    Undone,
    /// What it did is done; there is nothing to undo.
    Stays,
}

/// Writes the first edge of a fault.
pub(super) async fn record_begin(field: Field<'_>, record: &FaultRecord, took: Duration) {
    let mut value = describe(field.cluster, record, "begin", took);
    value["leader"] = json!(record.leader);
    value["result"] = json!(record.result);
    remark(field, record, value).await;
}

/// Writes the second edge of a fault.
pub(super) async fn record_end(
    field: Field<'_>,
    record: &FaultRecord,
    ending: Ending,
    took: Duration,
) {
    let mut value = describe(field.cluster, record, "end", took);
    if let Some(hits) = record.messages_hit {
        value["messages_hit"] = json!(hits);
    }
    if let FaultResult::Skipped(why) = &record.result {
        value["in_vain"] = json!(why);
    }
    value["result"] = match (&record.trouble, ending) {
        (None, Ending::Undone) => json!("undone"),
        (None, Ending::Stays) => json!("stays"),
        (Some(why), _) => json!({ "indeterminate": why }),
    };
    remark(field, record, value).await;
}

fn describe(cluster: &Cluster, record: &FaultRecord, edge: &str, took: Duration) -> Value {
    let mut value = json!({
        "edge": edge,
        "fault": record.scheduled.fault.to_string(),
        "nodes": record.nodes,
        "cut": record.cut,
        "took_ns": u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
    });
    if !record.shaped.is_empty() {
        value["links"] = json!(record.shaped);
    }
    if !record.notes.is_empty() {
        value["notes"] = json!(record.notes);
    }
    if !record.clients.is_empty() {
        value["clients"] = json!(record.clients);
    }
    if record.scheduled.fault.changes_members() {
        // An auditor has to know of whom a majority is one.
        value["members"] = json!(cluster.members());
        let doubtful = cluster.doubtful();
        if !doubtful.is_empty() {
            value["doubtful"] = json!(doubtful);
        }
    }
    value
}

/// Writes an edge into the history. If that fails the recorder says so to whoever began the
/// recording; the nemesis goes on, because what it has done still has to be undone.
async fn remark(field: Field<'_>, record: &FaultRecord, value: Value) {
    let family = record.scheduled.fault.family().name();
    if let Err(error) = field.recorder.remark(family, value).await {
        tracing::error!(error = describe_error(&error), "failed to record a fault");
    }
}
