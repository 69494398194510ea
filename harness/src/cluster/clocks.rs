//! Setting nodes' clocks wrong, and right again.

use std::collections::BTreeSet;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::{Cluster, ClusterError, lock};
use crate::process::{ProcessError, ProcessState};
use crate::system::{Clock, NodeId, OrderError};

/// How long a node may take to set its clock: it is asked at once, on the same machine.
const ORDER_DEADLINE: Duration = Duration::from_secs(2);

impl Cluster {
    /// Sets the clock of a node that runs. A wrong clock stays so until it is set right or its node ends:
    /// who is started has a new one.
    pub async fn set_clock(&self, node: NodeId, clock: Clock) -> Result<(), OrderError> {
        let is_first = clock != Clock::Right && self.mistimed().insert(node);
        let set = self.operator().set_clock(node, clock, Instant::now() + ORDER_DEADLINE).await;
        let is_right = match &set {
            Ok(()) => clock == Clock::Right,
            // It is what it was.
            Err(OrderError::Refused { .. }) => is_first,
            Err(OrderError::Unclear { .. }) => false,
        };
        if is_right {
            self.mistimed().remove(&node);
            self.ease();
        }
        set
    }

    /// Has a node's clock go right again, if it was set wrong since the node was started. A node that is
    /// stopped goes on for as long as that takes.
    pub async fn set_clock_right(&self, node: NodeId) -> Result<(), ClusterError> {
        let is_wrong = self.mistimed().contains(&node);
        let set = match self.supervisor.state(node) {
            Some(ProcessState::Running) if is_wrong => self.set_clock(node, Clock::Right).await,
            Some(ProcessState::Paused) if is_wrong => {
                let set = match self.resume(node).await {
                    Ok(()) => self.set_clock(node, Clock::Right).await,
                    Err(ClusterError::Process(ProcessError::NotRunning { .. })) => return Ok(()),
                    Err(error) => return Err(error),
                };
                match self.pause(node).await {
                    Ok(()) | Err(ClusterError::Process(ProcessError::NotRunning { .. })) => set,
                    Err(error) => return Err(error),
                }
            }
            _ => return Ok(()),
        };
        // Whoever has ended meanwhile has no clock any more.
        match self.supervisor.state(node) {
            Some(ProcessState::Running | ProcessState::Paused) => Ok(set?),
            _ => Ok(()),
        }
    }

    /// Returns whose clocks were set wrong since they were started.
    pub(super) fn mistimed(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        lock(&self.mistimed)
    }
}
