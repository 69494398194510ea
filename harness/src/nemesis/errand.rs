//! What takes an operator a while: faults of membership and of leadership, beside everything else.
//!
//! A partition that begins while a node joins is worth more than one that waits until it has joined, so
//! the nemesis goes on with its agenda while an errand is under way.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::{ChangeError, Cluster};
use crate::describe_error;
use crate::fault::FaultResult;
use crate::nemesis::inflict::{Obstacle, conclude};
use crate::system::{NodeId, OrderError};

/// How long an operator tries during the storm. Newcomers catch up in less; with a partition in the way
/// it may be in vain, and is tried again.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// How long an operator tries when nothing else is in force any more.
pub(super) const PATIENCE_LAST: Duration = Duration::from_secs(15);

/// How long an operator waits before the next try.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// These leave.
    Dismiss(Vec<NodeId>),
    /// So many join.
    Admit(usize),
    /// For each of these somebody joins, and then it leaves.
    Replace(Vec<NodeId>),
    /// This one is to lead.
    Transfer(NodeId),
}

impl Order {
    /// Returns what of it is still to be done.
    pub(super) fn rest(&self, outcome: &Outcome) -> Option<Self> {
        match self {
            Self::Dismiss(nodes) => {
                let mut nodes = nodes.clone();
                nodes.retain(|node| !outcome.gone.contains(node));
                (!nodes.is_empty()).then_some(Self::Dismiss(nodes))
            }
            Self::Admit(count) => {
                let rest = count.saturating_sub(outcome.come.len());
                (rest > 0).then_some(Self::Admit(rest))
            }
            Self::Replace(_) | Self::Transfer(_) => None,
        }
    }

    /// Returns what undoes what came of it.
    pub(super) fn undo(&self, outcome: &Outcome) -> Option<Self> {
        match self {
            Self::Dismiss(_) if !outcome.gone.is_empty() => Some(Self::Admit(outcome.gone.len())),
            Self::Admit(_) if !outcome.come.is_empty() => Some(Self::Dismiss(outcome.come.clone())),
            _ => None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Who left.
    pub(super) gone: Vec<NodeId>,
    /// Who joined, or came to lead.
    pub(super) come: Vec<NodeId>,
    /// Who was down for a while for what did not come about.
    pub(super) taken_back: Vec<NodeId>,
    pub(super) result: FaultResult,
}

/// What an errand is for, by the fault's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Begin(usize),
    End(usize),
}

/// An errand that came to its end.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) purpose: Purpose,
    pub(super) outcome: Outcome,
    /// When it was begun.
    pub(super) start: Instant,
}

pub(super) type Errand<'a> = Pin<Box<dyn Future<Output = Report> + Send + 'a>>;

/// Sets out.
pub(super) fn errand(
    purpose: Purpose,
    order: Order,
    patience: Duration,
    cluster: &Cluster,
) -> Errand<'_> {
    Box::pin(async move {
        let start = Instant::now();
        let outcome = carry_out(order, patience, cluster).await;
        Report { purpose, outcome, start }
    })
}

async fn carry_out(order: Order, patience: Duration, cluster: &Cluster) -> Outcome {
    let (mut gone, mut come, mut taken_back) = (Vec::new(), Vec::new(), Vec::new());
    let mut obstacles = Vec::new();
    match order {
        Order::Dismiss(nodes) => {
            for node in nodes {
                match cluster.dismiss(node, patience).await {
                    Ok(()) => gone.push(node),
                    Err(error) => {
                        match error {
                            // What is unclear is ordered again until it is out.
                            ChangeError::Unclear(_) => gone.push(node),
                            ChangeError::TakenBack(_) => taken_back.push(node),
                            ChangeError::Refused { .. } | ChangeError::Cluster(_) => {}
                        }
                        obstacles.push(Obstacle::from(error));
                    }
                }
            }
        }
        Order::Admit(count) => {
            for _ in 0..count {
                match cluster.admit(patience).await {
                    Ok(node) => come.push(node),
                    Err(error) => obstacles.push(Obstacle::from(error)),
                }
            }
        }
        Order::Replace(nodes) => {
            for node in nodes {
                let (newcomer, left) = cluster.replace(node, patience).await;
                come.extend(newcomer);
                match left {
                    Ok(()) => gone.push(node),
                    Err(error) if newcomer.is_none() => obstacles.push(Obstacle::from(error)),
                    // Half of it was done, and stays.
                    Err(error) => {
                        if let ChangeError::TakenBack(_) = error {
                            taken_back.push(node);
                        }
                        obstacles.push(Obstacle::Indeterminate(describe_error(&error)));
                    }
                }
            }
        }
        Order::Transfer(node) => {
            let deadline = std::time::Instant::now() + patience;
            match transfer(node, deadline, cluster).await {
                Ok(()) => {
                    cluster.ease();
                    come.push(node);
                }
                Err(error) => obstacles.push(Obstacle::from(error)),
            }
        }
    }
    let hit: Vec<NodeId> = gone.iter().chain(&come).copied().collect();
    let result = conclude(&hit, obstacles);
    Outcome { gone, come, taken_back, result }
}

/// Has a node lead, and again if somebody else was elected instead.
async fn transfer(
    node: NodeId,
    deadline: std::time::Instant,
    cluster: &Cluster,
) -> Result<(), OrderError> {
    loop {
        let transferred = cluster.operator().transfer(node, deadline).await;
        let is_clear = !matches!(transferred, Err(OrderError::Unclear { .. }));
        if is_clear || std::time::Instant::now() >= deadline {
            return transferred;
        }
        sleep(TRY_AGAIN).await;
    }
}

impl From<ChangeError> for Obstacle {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused { why } => Self::Skipped(why.into()),
            ChangeError::TakenBack(_) => Self::Skipped(describe_error(&error)),
            ChangeError::Cluster(error) => Self::from(error),
            ChangeError::Unclear(_) => Self::Indeterminate(describe_error(&error)),
        }
    }
}

impl From<OrderError> for Obstacle {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Refused { .. } => Self::Skipped(describe_error(&error)),
            OrderError::Unclear { .. } => Self::Indeterminate(describe_error(&error)),
        }
    }
}
