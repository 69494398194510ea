//! The production core under an exhaustive model checker.
//!
//! Here every schedule is tried, where a storm tries one. That is possible only in small worlds: three
//! nodes, and so many timeouts, crashes, writes, messages under way at once. [`plans`] has the worlds,
//! each with what one part of the protocol needs; within its bounds, whatever can happen does.
//!
//! - **The core** is the [`Replica`](raft::Replica) that the node runs, driven as `effect.rs` says
//!   (`node.rs`). A panic of it is a property broken like any other.
//! - **The network** loses and reorders at will. What arrives twice is counted, and two messages under
//!   way that say the same between the same nodes are one (`cluster.rs`).
//! - **Disks** acknowledge whenever they like, and a crash keeps any beginning of what was not
//!   acknowledged, down to the parts of a write (`disk.rs`). Who falls starts again at once: to be down
//!   is to hear nothing for a while, and that can happen to anybody.
//! - **Time** passes for a node as far as its next timer, whenever the checker likes. So how far timers
//!   have run is not part of a state (`digest.rs`).
//! - **Clients** write and read one register, as many at once as there are operations, and stateright's
//!   tester judges what they saw (`truth.rs`).
//!
//! The cluster is a [`Model`] of its own rather than a system of stateright's actors: these cannot lose
//! what was saved but not yet durable, nor be told apart by less than the whole of their state, and
//! resent messages would make their world infinite.
//!
//! Names can be exchanged as long as two nodes are alike and neither has done anything; the cluster
//! makes use of that, and of no other symmetry. A vote, a leader and a follower's progress name nodes, so
//! later states are the same but for names only if all of that is renamed, deep within the core.
//!
//! That something happens *sometimes* is counted while exploring ([`tally`]), for a crash is no state;
//! what a plan says it must come across, and does not, fails the test.
//!
//! To see that the checker can fail, rules are broken one at a time ([`flaw`]), each in a world that
//! holds when it is whole.
//!
//! # Not modelled
//!
//! The clock: leases, and leaders that step down because they hear nobody (`check_quorum`), need time
//! that is measured. How often a follower asks its leader again before it loses patience is left to its
//! seed. Bounds on what is in flight or uncommitted are never met in worlds so small. Disks
//! that fail stop a node, which is no more than a crash. What comes of more than one change of
//! membership, or of five nodes, is for the storms.
//!
//! A follower that no longer stands by its leader, and has not lost its patience yet, is not seen: time
//! passes as far as a campaign. Reads that wait while a snapshot is installed are for the storms too.
//!
//! # Larger worlds
//!
//! The tests explore the small worlds: 2.1 million states, six million steps. `cargo run --release -p
//! raft --example model -- large` goes on from there. These were explored to their end, and hold:
//!
//! | world             | states    | steps      |
//! |-------------------|-----------|------------|
//! | `large-terms`     |   911,196 |  2,643,400 |
//! | `large-votes`     | 1,694,189 |  6,561,975 |
//! | `large-candidacy` |   816,954 |  2,190,193 |
//! | `large-reads`     | 1,878,421 |  5,755,168 |
//! | `large-relapse`   | 1,819,513 |  5,680,015 |
//! | `large-figure-8`  | 9,086,279 | 35,630,460 |
//! | `large-leaving`   |   992,641 |  3,727,396 |
//!
//! `large-writes` and `large-bridge` are larger than twenty-five million steps, and `large-snapshots`
//! was never seen to end; give them a number of steps that the memory bears.

mod bounds;
mod cluster;
mod digest;
mod disk;
mod flaw;
mod machine;
mod model;
mod node;
pub(crate) mod plans;
mod scene;
mod tally;
mod truth;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use plans::Plan;
use tally::Event;

/// What an exploration found.
pub(crate) struct Report {
    /// Whether everything within the bounds was seen.
    pub(crate) is_complete: bool,
    /// Steps taken, and states that they led to.
    pub(crate) steps: usize,
    pub(crate) states: usize,
    pub(crate) depth: usize,
    pub(crate) duration: Duration,
    /// The properties that do not hold, each with the actions that lead to where it does not.
    pub(crate) broken: Vec<(&'static str, Vec<String>)>,
    /// What was never come across, but should have been.
    pub(crate) missed: Vec<Event>,
}

/// How hard to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// With one thread, the same plan always ends the same way, with the shortest story.
    pub(crate) threads: usize,
    pub(crate) steps_max: Option<NonZeroUsize>,
    /// The property that should turn out not to hold; without one, none should.
    pub(crate) expected: Option<&'static str>,
}

/// Explores a plan until everything within its bounds was seen, what should not hold was seen not to,
/// or the effort was made.
pub(crate) fn explore(plan: &Plan, effort: Effort) -> Report {
    let Effort { threads, steps_max, expected } = effort;
    let begun = Instant::now();
    let exploration = model::Exploration::new(plan.bounds.clone());
    let tally = exploration.tally.clone();
    let end = expected
        .map_or(HasDiscoveries::AnyFailures, |name| HasDiscoveries::AnyOf(BTreeSet::from([name])));
    let mut builder = exploration.checker().threads(threads).finish_when(end);
    if let Some(steps) = steps_max {
        builder = builder.target_state_count(steps.get());
    }
    let checker = builder.spawn_bfs().join();
    let broken = checker
        .discoveries()
        .into_iter()
        .map(|(name, path)| (name, path.into_actions().iter().map(ToString::to_string).collect()));
    let broken: Vec<_> = broken.collect();
    let steps = checker.state_count();
    Report {
        is_complete: broken.is_empty() && steps_max.is_none_or(|max| steps < max.get()),
        steps,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        duration: begun.elapsed(),
        broken,
        missed: plan.events.iter().copied().filter(|&event| tally.count(event) == 0).collect(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_complete, steps, states, depth, duration, broken, missed } = self;
        let seconds = duration.as_secs_f32();
        write!(f, "{states} states, {steps} steps, depth {depth}, {seconds:.1} s")?;
        if !is_complete && broken.is_empty() {
            write!(f, ", not all")?;
        }
        if !missed.is_empty() {
            write!(f, "\nnever saw {missed:?}")?;
        }
        for (name, story) in broken {
            write!(f, "\n{name} is broken:")?;
            for line in story {
                write!(f, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panic is looked at, and need not be told as well.
fn quiet<T>(run: impl FnOnce() -> thread::Result<T>) -> thread::Result<T> {
    static SILENCER: std::sync::Once = std::sync::Once::new();
    SILENCER.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                told(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = run();
    IS_QUIET.set(false);
    result
}
