//! The cluster as a model, and what must hold in every state of it.

use std::sync::Arc;

use raft::{Membership, Payload, Replica, Role};
use stateright::{Model, Property};

use super::bounds::Bounds;
use super::cluster::{Action, Cluster};
use super::node::Node;
use super::scene;
use super::tally::Tally;
use property::*;

/// What must hold in every state (Raft Figure 3), by name.
pub(crate) mod property {
    /// A term has one leader at the most.
    pub(crate) const ELECTION_SAFETY: &str = "election safety";
    /// Logs that agree on one entry agree on all before it.
    pub(crate) const LOG_MATCHING: &str = "log matching";
    /// A committed entry is in the log of every later leader.
    pub(crate) const LEADER_COMPLETENESS: &str = "leader completeness";
    /// A committed entry is on the disks of a majority, and stays there.
    pub(crate) const DURABILITY: &str = "durability";
    /// No two nodes take different entries for committed at one place, each applies them in their order
    /// and once, and snapshots hold what the committed entries make of a state machine.
    pub(crate) const STATE_MACHINE_SAFETY: &str = "state machine safety";
    /// Clients of the register see what they might see of one that is in one place.
    pub(crate) const LINEARIZABILITY: &str = "linearizability";
    /// A node acts by the latest membership in its log.
    pub(crate) const MEMBERSHIP: &str = "membership";
    /// The core finds none of its own invariants broken, and can be made of what is on its disk.
    pub(crate) const NO_DOUBT: &str = "no doubt";
}

/// The cluster within bounds, for the checker.
pub(crate) struct Exploration {
    bounds: Bounds,
    start: Cluster,
    pub(crate) tally: Arc<Tally>,
}

impl Exploration {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let tally = Arc::default();
        let start = scene::prepare(&bounds);
        Self { bounds, start, tally }
    }
}

impl Model for Exploration {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.start.clone()]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Action>) {
        state.actions(&self.bounds, actions);
    }

    fn next_state(&self, state: &Cluster, action: Action) -> Option<Cluster> {
        state.act(&action, &self.bounds, &self.tally)
    }

    fn within_boundary(&self, state: &Cluster) -> bool {
        state.under_way() <= self.bounds.under_way
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ELECTION_SAFETY, |_, state: &Cluster| state.truth.elects_one_a_term()),
            Property::always(LOG_MATCHING, |_, state| logs_match(state)),
            Property::always(LEADER_COMPLETENESS, |_, state| leaders_are_complete(state)),
            Property::always(DURABILITY, |_, state| committed_entries_are_durable(state)),
            Property::always(STATE_MACHINE_SAFETY, |_, state: &Cluster| {
                state.truth.diverged.is_none()
            }),
            Property::always(LINEARIZABILITY, |_, state: &Cluster| state.clients.is_linearizable),
            Property::always(MEMBERSHIP, |model: &Self, state: &Cluster| {
                state.nodes().all(|node| acts_by_its_log(&node.replica, &model.bounds))
            }),
            Property::always(NO_DOUBT, |_, state: &Cluster| state.truth.doubt.is_none()),
        ]
    }
}

/// Logs that hold an entry of the same term at the same place are the same up to there (Raft §5.3).
fn logs_match(state: &Cluster) -> bool {
    let nodes: Vec<&Node> = state.nodes().collect();
    let pairs = nodes.iter().enumerate().flat_map(|(n, one)| {
        nodes[n + 1..].iter().map(move |other| (&one.replica, &other.replica))
    });
    pairs.into_iter().all(|(one, other)| {
        let first = one.first_log_index().max(other.first_log_index());
        let since = |replica: &Replica| {
            let skipped = first.0 - replica.first_log_index().0;
            usize::try_from(skipped).expect("a short log")
        };
        let one = one.log().get(since(one)..).unwrap_or_default();
        let other = other.log().get(since(other)..).unwrap_or_default();
        let both = || one.iter().zip(other);
        let agreed = both().rposition(|(one, other)| one.term == other.term);
        agreed.is_none_or(|last| both().take(last + 1).all(|(one, other)| one == other))
    })
}

/// Who leads has every entry that was committed in its term or an earlier one (Raft §5.4).
fn leaders_are_complete(state: &Cluster) -> bool {
    let leaders = state.nodes().map(|it| &it.replica).filter(|it| it.role() == Role::Leader);
    leaders.into_iter().all(|leader| {
        let first = leader.first_log_index();
        let known = state.truth.committed.iter().filter(|(_, term)| *term <= leader.term());
        let mut behind_snapshot = known.filter(|(entry, _)| entry.index >= first);
        behind_snapshot.all(|(entry, _)| {
            let place = usize::try_from(entry.index.0 - first.0).expect("a short log");
            leader.log().get(place) == Some(entry)
        })
    })
}

/// What is committed is on two disks (Raft §5.3): of three nodes that is a majority, whoever of them are
/// members. A loss is seen here long before a leader is elected that shows it.
fn committed_entries_are_durable(state: &Cluster) -> bool {
    const MAJORITY: usize = 2;
    state.truth.committed.iter().all(|(entry, _)| {
        state.nodes().filter(|node| node.driver.disk.holds(entry)).count() >= MAJORITY
    })
}

/// A membership counts from the moment its entry is in the log, and no longer than it is there (Raft §6).
fn acts_by_its_log(replica: &Replica, bounds: &Bounds) -> bool {
    let in_log = replica.log().iter().rev().find_map(|entry| match &entry.payload {
        Payload::Membership(membership) => Some(membership),
        Payload::Noop | Payload::Command(_) => None,
    });
    match in_log.or(replica.snapshot().map(|snapshot| &snapshot.membership)) {
        Some(latest) => replica.membership() == latest,
        None => *replica.membership() == Membership::of(bounds.config(replica.id(), 0).members),
    }
}
