//! Whose turn it is: which of its nodes a client asks next, and for how long it asks anew.

use std::time::{Duration, Instant};

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use tokio::time::sleep;

use super::Placement;
use crate::system::NodeId;

/// How often one operation is sent at most, each time but the last with proof that it was not
/// applied. With a pause after every round this outlasts an election and ends before a long
/// deadline turns into a busy loop.
pub(super) const ATTEMPTS_MAX: usize = 24;

/// Whom a client asks, of nodes that it knows by their places.
pub(crate) struct Turn {
    pub(super) placement: Placement,
    nodes: usize,
    /// Where the next request goes.
    pub(super) current: usize,
    random: ChaCha12Rng,
}

impl Turn {
    /// Begins with the node that the placement asks for, else with any.
    ///
    /// # Panics
    /// If there are no nodes, or the client is pinned to one that is none of them.
    pub(crate) fn new(
        placement: Placement,
        nodes: impl ExactSizeIterator<Item = Option<NodeId>>,
        mut random: ChaCha12Rng,
    ) -> Self {
        let count = nodes.len();
        assert!(count > 0, "a client needs a node to talk to");
        let mut nodes = nodes;
        let current = match placement {
            Placement::Pinned(pinned) => nodes
                .position(|node| node == Some(pinned))
                .expect("a client is pinned to a node of the cluster"),
            _ => random.random_range(0..count),
        };
        Self { placement, nodes: count, current, random }
    }

    /// Returns whose turn it is.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Begins an operation, which a client that has no favourite sends to any node.
    pub(crate) fn begin(&mut self) {
        if self.placement == Placement::Random {
            self.current = self.random.random_range(0..self.nodes);
        }
    }

    /// Turns to the node that is said to lead, else to the next one. Tells whether a hint was
    /// followed.
    pub(crate) fn leave(&mut self, hinted: Option<usize>) -> bool {
        if !self.follows() {
            return false;
        }
        let is_new = hinted.is_some_and(|hinted| hinted != self.current);
        self.current = match hinted {
            Some(hinted) if is_new => hinted,
            _ => (self.current + 1) % self.nodes,
        };
        is_new
    }

    /// Tells whether the client goes where it is served, and stays nowhere.
    pub(super) fn follows(&self) -> bool {
        self.placement == Placement::LeaderFollowing
    }
}

/// The attempts of one operation.
pub(crate) struct Attempts {
    /// How long to wait when all nodes have been asked.
    pause: Duration,
    made: usize,
    /// How many were made since a hint was last followed.
    hintless: usize,
}

impl Attempts {
    /// Begins with none made.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, made: 0, hintless: 0 }
    }

    /// Tells whether there is another attempt after one that did nothing and in which the client has
    /// turned to another node; waits before it if all nodes were asked in vain.
    pub(crate) async fn again(&mut self, turn: &Turn, is_hinted: bool, deadline: Instant) -> bool {
        self.made += 1;
        self.hintless = if is_hinted { 0 } else { self.hintless + 1 };
        let is_round_over = self.hintless > 0 && self.hintless.is_multiple_of(turn.nodes);
        let is_final = !turn.follows() || self.made == ATTEMPTS_MAX;
        !is_final && wait(is_round_over.then_some(self.pause), deadline).await
    }
}

/// Waits, if at all; tells whether there is time left then, and does not wait if there will be none.
pub(super) async fn wait(pause: Option<Duration>, deadline: Instant) -> bool {
    if Instant::now() + pause.unwrap_or_default() >= deadline {
        return false;
    }
    if let Some(pause) = pause {
        sleep(pause).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn turn(placement: Placement, nodes: u64) -> Turn {
        let names: Vec<Option<NodeId>> = (1..=nodes).map(|node| Some(NodeId::new(node))).collect();
        let mut turn = Turn::new(placement, names.into_iter(), Seed::new(1).generator());
        if turn.follows() {
            turn.current = 0;
        }
        turn
    }

    #[test]
    fn hints_are_followed_and_others_asked_in_turn() {
        let mut following = turn(Placement::LeaderFollowing, 3);
        for (hinted, is_new, current) in
            [(None, false, 1), (Some(2), true, 2), (Some(2), false, 0), (Some(1), true, 1)]
        {
            assert_eq!((following.leave(hinted), following.current()), (is_new, current));
        }
        let mut pinned = turn(Placement::Pinned(NodeId::new(2)), 3);
        pinned.begin();
        assert_eq!((pinned.leave(Some(0)), pinned.current()), (false, 1));
    }

    /// Counts the attempts of an operation and the time that they take.
    async fn attempts(turn: &mut Turn, pause: Duration, is_hinted: bool) -> (usize, Duration) {
        let begun = Instant::now();
        let mut attempts = Attempts::new(pause);
        let mut count = 1;
        while attempts.again(turn, is_hinted, Instant::now() + Duration::from_secs(60)).await {
            count += 1;
        }
        (count, begun.elapsed())
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_pause_after_every_round() {
        let pause = Duration::from_millis(10);
        let mut following = turn(Placement::LeaderFollowing, 5);
        let (count, took) = attempts(&mut following, pause, false).await;
        assert_eq!(count, ATTEMPTS_MAX);
        assert!(took >= 4 * pause, "{took:?}");
        let hour = Duration::from_secs(3600);
        // An hour is beyond the deadline, and nobody gets there who is told where to go.
        assert_eq!(attempts(&mut following, hour, false).await.0, 5);
        assert_eq!(attempts(&mut following, hour, true).await.0, ATTEMPTS_MAX);
        let mut pinned = turn(Placement::Pinned(NodeId::new(2)), 5);
        assert_eq!(attempts(&mut pinned, pause, false).await.0, 1);
    }

    #[tokio::test]
    async fn nobody_waits_beyond_the_deadline() {
        let begun = Instant::now();
        let hour = Duration::from_secs(3600);
        assert!(!wait(Some(hour), begun + Duration::from_secs(60)).await);
        assert!(!wait(None, begun).await);
        assert!(wait(None, begun + hour).await);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
