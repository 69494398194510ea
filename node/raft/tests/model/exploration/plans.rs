//! What is explored: several small worlds, each with what it takes for one part of the protocol.

use raft::{Membership, NodeId};

use super::bounds::{Bounds, Counts, Scene};
use super::flaw::Flaw;
use super::tally::Event::{self, *};

/// A world to explore.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) bounds: Bounds,
    /// What it must come across.
    pub(crate) events: Vec<Event>,
}

/// Nothing happens by itself: nodes do their work, and messages travel.
const QUIET: Counts = Counts {
    timeouts: 0,
    heartbeats: 0,
    doubles: 0,
    crashes: 0,
    writes: 0,
    reads: 0,
    snapshots: 0,
    changes: 0,
    transfers: 0,
};
const ONE_TIMEOUT: Counts = Counts { timeouts: 1, ..QUIET };
const TWO_TIMEOUTS: Counts = Counts { timeouts: 2, ..QUIET };
const THREE_TIMEOUTS: Counts = Counts { timeouts: 3, ..QUIET };
const ONE_OF_EACH: Counts = Counts { writes: 1, reads: 1, ..ONE_TIMEOUT };

/// What a crash can do to a slow disk.
const CRASHES: [Event; 3] = [Loss, UnacknowledgedKept, TornWrite];

impl Plan {
    /// Makes a plan for a world in which at most so many messages are under way at once.
    fn new(name: &'static str, scene: Scene, budget: Counts, under_way: usize) -> Self {
        let bounds = Bounds { under_way, ..Bounds::new(scene, budget) };
        Self { name, bounds, events: vec![] }
    }

    fn with(mut self, change: impl FnOnce(&mut Bounds)) -> Self {
        change(&mut self.bounds);
        self
    }

    /// Lets every disk take its time.
    fn slow(self) -> Self {
        self.with(|bounds| bounds.slow_disks = bounds.ids().collect())
    }

    fn cutting(self, links: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let links = links.into_iter().map(|(from, to)| (NodeId(from), NodeId(to)));
        self.with(|bounds| bounds.cut = links.collect())
    }

    fn seeing(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.events.extend(events);
        self
    }

    /// Breaks a rule.
    fn flawed(self, flaw: Flaw) -> Self {
        self.with(|bounds| bounds.flaw = Some(flaw))
    }
}

/// Returns the worlds that together take a minute or two.
pub(crate) fn small() -> Vec<Plan> {
    use Scene::{Reign, Relapse, Rivals, Silence};
    vec![
        Plan::new("votes", Silence, Counts { crashes: 1, ..TWO_TIMEOUTS }, 4).seeing([Succession]),
        Plan::new("votes-on-slow-disks", Silence, Counts { crashes: 1, ..TWO_TIMEOUTS }, 3)
            .slow()
            .seeing([Succession])
            .seeing(CRASHES),
        Plan::new("terms", Silence, THREE_TIMEOUTS, 3).seeing([Succession, Rivalry]),
        Plan::new("stale-votes", Silence, THREE_TIMEOUTS, 4)
            .cutting([(1, 3), (3, 1)])
            .seeing([Succession, Rivalry]),
        Plan::new("pre-votes", Silence, TWO_TIMEOUTS, 4)
            .with(|bounds| bounds.pre_vote = true)
            .seeing([Succession]),
        Plan::new("doubles", Silence, Counts { doubles: 1, ..TWO_TIMEOUTS }, 4)
            .seeing([Succession, Truncation]),
        Plan::new("writes", Reign, Counts { crashes: 1, writes: 1, ..ONE_TIMEOUT }, 3)
            .slow()
            .seeing([Succession, Acknowledgement, Truncation])
            .seeing(CRASHES),
        // An answer may vouch for what an earlier message brought.
        Plan::new("heartbeats", Reign, Counts { heartbeats: 1, crashes: 1, writes: 1, ..QUIET }, 4)
            .slow()
            .seeing([Acknowledgement])
            .seeing([Loss, UnacknowledgedKept]),
        Plan::new("reads", Reign, ONE_OF_EACH, 4).seeing([
            Succession,
            Acknowledgement,
            Sight,
            Rivalry,
        ]),
        // The second comes while the round of the first is under way.
        Plan::new("gathering", Reign, Counts { reads: 2, ..ONE_OF_EACH }, 3)
            .cutting([(1, 2), (2, 1)])
            .seeing([Succession, Acknowledgement, Sight, Rivalry]),
        Plan::new("slow-machines", Reign, ONE_OF_EACH, 3)
            .with(|bounds| bounds.slow_machines = true)
            .seeing([Succession, Acknowledgement, Sight]),
        Plan::new("follower-reads", Reign, ONE_OF_EACH, 3)
            .with(|bounds| bounds.follower_reads = true)
            .seeing([Sight, FollowerRead]),
        Plan::new("forgotten-reads", Reign, Counts { crashes: 1, writes: 1, reads: 2, ..QUIET }, 3)
            .with(|bounds| bounds.follower_reads = true)
            .seeing([Acknowledgement, Sight, FollowerRead]),
        Plan::new("bridge", Reign, Counts { heartbeats: 1, ..ONE_OF_EACH }, 3)
            .cutting([(1, 2), (2, 1)])
            .seeing([Succession, Sight, Rivalry]),
        Plan::new("candidacy", Reign, Counts { crashes: 1, writes: 1, ..TWO_TIMEOUTS }, 2)
            .cutting([(2, 1)])
            .with(|bounds| bounds.slow_disks = vec![NodeId(2)])
            .seeing([Succession, Loss, TornWrite]),
        Plan::new("relapse", Relapse, TWO_TIMEOUTS, 4).seeing([Succession, Truncation]),
        Plan::new("figure-8", Rivals, TWO_TIMEOUTS, 4).seeing([Succession, Truncation, LateCommit]),
        Plan::new("overwriting", Rivals, Counts { heartbeats: 1, crashes: 1, ..QUIET }, 4)
            .slow()
            .seeing([Truncation])
            .seeing(CRASHES),
        Plan::new("verifying", Rivals, Counts { heartbeats: 1, ..ONE_TIMEOUT }, 4)
            .seeing([Truncation, LateCommit]),
        Plan::new(
            "snapshots",
            Rivals,
            Counts { heartbeats: 1, crashes: 1, snapshots: 1, ..QUIET },
            4,
        )
        .slow()
        .seeing([Installation])
        .seeing(CRASHES),
        Plan::new("transfers", Reign, Counts { transfers: 1, writes: 1, ..QUIET }, 4)
            .seeing([Transfer]),
        Plan::new("joining", Reign, Counts { changes: 1, ..ONE_TIMEOUT }, 4)
            .with(|bounds| {
                (bounds.founders, bounds.joiners) = (2, 1);
                bounds.targets = vec![Membership::of([1, 2, 3].map(NodeId))];
            })
            .seeing([Change]),
        Plan::new("leaving", Reign, Counts { changes: 1, crashes: 1, ..ONE_TIMEOUT }, 4)
            .with(|bounds| bounds.targets = vec![Membership::of([2, 3].map(NodeId))])
            .seeing([Change, Succession]),
    ]
}

/// Returns worlds that take hours, and all the memory of a small machine.
pub(crate) fn large() -> Vec<Plan> {
    use Scene::{Reign, Relapse, Rivals, Silence};
    vec![
        Plan::new("large-terms", Silence, THREE_TIMEOUTS, 4).seeing([Succession, Rivalry]),
        Plan::new("large-votes", Silence, Counts { crashes: 1, ..TWO_TIMEOUTS }, 4)
            .slow()
            .seeing([Succession])
            .seeing(CRASHES),
        Plan::new("large-writes", Reign, Counts { crashes: 1, writes: 1, ..TWO_TIMEOUTS }, 3)
            .slow()
            .seeing([Succession, Acknowledgement, Truncation])
            .seeing(CRASHES),
        Plan::new("large-candidacy", Reign, Counts { crashes: 1, writes: 1, ..TWO_TIMEOUTS }, 3)
            .cutting([(2, 1)])
            .with(|bounds| bounds.slow_disks = vec![NodeId(2)])
            .seeing([Succession, Loss, TornWrite]),
        Plan::new("large-reads", Reign, Counts { heartbeats: 1, ..ONE_OF_EACH }, 4).seeing([
            Succession,
            Acknowledgement,
            Sight,
            Rivalry,
        ]),
        Plan::new("large-bridge", Reign, Counts { heartbeats: 1, ..ONE_OF_EACH }, 5)
            .cutting([(1, 2), (2, 1)])
            .seeing([Succession, Sight, Rivalry]),
        Plan::new("large-relapse", Relapse, Counts { crashes: 1, ..TWO_TIMEOUTS }, 4)
            .seeing([Succession, Truncation]),
        Plan::new("large-figure-8", Rivals, Counts { crashes: 1, ..TWO_TIMEOUTS }, 4)
            .slow()
            .seeing([Succession, Truncation, LateCommit])
            .seeing(CRASHES),
        Plan::new(
            "large-snapshots",
            Rivals,
            Counts { heartbeats: 1, crashes: 1, snapshots: 2, ..ONE_TIMEOUT },
            3,
        )
        .slow()
        .seeing([Installation])
        .seeing(CRASHES),
        Plan::new("large-leaving", Reign, Counts { changes: 1, crashes: 1, ..ONE_TIMEOUT }, 4)
            .with(|bounds| bounds.targets = vec![Membership::of([2, 3].map(NodeId))])
            .slow()
            .seeing([Change, Succession]),
    ]
}

/// Returns small worlds with a rule broken each, and the property that it costs.
pub(crate) fn flawed() -> Vec<(Flaw, Plan, &'static str)> {
    use super::model::property::*;
    let plans = small();
    let flawed = |(flaw, name, property): (Flaw, &str, &'static str)| {
        let plan = plans.iter().find(|plan| plan.name == name).expect("a plan of that name");
        (flaw, plan.clone().flawed(flaw), property)
    };
    [
        (Flaw::VotesBeforeDurable, "votes-on-slow-disks", ELECTION_SAFETY),
        (Flaw::AppendsBeforeDurable, "writes", LEADER_COMPLETENESS),
        (Flaw::AppendsBeforeDurable, "heartbeats", DURABILITY),
        (Flaw::HeartbeatsBeforeDurable, "heartbeats", DURABILITY),
        (Flaw::CandidacyBeforeDurable, "candidacy", LEADER_COMPLETENESS),
        (Flaw::LyingDisk, "writes", LEADER_COMPLETENESS),
        (Flaw::EntriesBeforeTerm, "votes-on-slow-disks", NO_DOUBT),
        (Flaw::LosesTruncation, "overwriting", NO_DOUBT),
        (Flaw::SnapshotKeepsLog, "snapshots", NO_DOUBT),
        (Flaw::SnapshotBeforeLog, "snapshots", NO_DOUBT),
        (Flaw::ForgetsVote, "votes", ELECTION_SAFETY),
        (Flaw::RefusalsCount, "votes", ELECTION_SAFETY),
        (Flaw::StaleVotesCount, "stale-votes", ELECTION_SAFETY),
        (Flaw::StaleMatchesCount, "relapse", LEADER_COMPLETENESS),
        (Flaw::CommitsUnacknowledged, "writes", LEADER_COMPLETENESS),
        (Flaw::CountsEarlierTerms, "figure-8", LEADER_COMPLETENESS),
        (Flaw::CommitsUnverified, "verifying", STATE_MACHINE_SAFETY),
        (Flaw::AcknowledgesUnverified, "verifying", NO_DOUBT),
        (Flaw::ReadsWithoutRound, "reads", LINEARIZABILITY),
        (Flaw::RoundsCountTwice, "bridge", LINEARIZABILITY),
        (Flaw::ReadsBeforeOwnEntry, "reads", LINEARIZABILITY),
        (Flaw::AnswersOutliveCrashes, "forgotten-reads", LINEARIZABILITY),
        (Flaw::AppliesTwice, "slow-machines", STATE_MACHINE_SAFETY),
    ]
    .map(flawed)
    .into()
}
