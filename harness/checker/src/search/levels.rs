//! The search level by level: all configurations that passed a return, before any passes the next.
//!
//! It keeps one level and the chains that led there, so it needs little memory, it can be fed
//! events as they come, and the first return that leaves nobody is where every explanation ends.
//! Within a level few configurations are kept: see [`antichain`].
//!
//! Unknown operations multiply levels, so they are dealt with in one of three ways ([`Supply`]).
//! The two that are cheap lean to one side each, and the engine knows when what it says is exact.

mod antichain;
mod frame;

use super::chain::{Chains, LinkId, NO_LINK};
use super::mask::{Mask, members};
use super::states::{KindId, StateId, States};
use super::unknowns::{NONE_USED, UsedId, UsedSets};
use super::watch::Watch;
use super::window::VACANT;
use super::{DEAD_SHOWN, DeadConfiguration, LAST_SHOWN, Stop};

use antichain::{Antichain, Node};
use frame::Frame;

pub(super) use frame::Open;

/// Configurations and steps between two looks at the clock and the memory.
const WORK_PER_LOOK: u64 = 64;

/// How the engine deals with operations of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// Each takes effect at most once.
    Once,
    /// The same, but of configurations that differ only in what they used a few are kept. Whoever
    /// reaches the end has an order; that nobody does proves something only if nothing was left
    /// out.
    Few,
    /// Each takes effect as often as one likes. That nobody reaches the end proves that there is
    /// no order; that somebody does proves nothing.
    Endless,
}

/// How many configurations [`Supply::Few`] keeps that differ only in what they used.
const FEW: usize = 4;

/// All that matters of what was linearized so far; the position is that of the engine.
#[derive(Clone, Debug)]
pub(super) struct Configuration<K: Mask> {
    pub(super) state: StateId,
    pub(super) used: UsedId,
    pub(super) last: LinkId,
    pub(super) mask: K,
}

/// An unknown that was called.
#[derive(Clone, Debug)]
struct Unknown {
    rank: usize,
    entry: u32,
    /// The slot of what its process did just before at the same instant, while that is open.
    waits_for: Option<usize>,
}

/// Unknowns of one kind, in the order of their calls.
#[derive(Clone, Debug)]
struct UnknownKind {
    kind: KindId,
    called: Vec<Unknown>,
    /// Those before this are used up in every configuration.
    first: usize,
}

/// How a return was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// There are configurations left.
    Yes,
    /// There are none.
    Nobody,
    /// The budget is used up.
    Stopped(Stop),
}

pub(super) struct Levels<'a, K: Mask> {
    supply: Supply,
    watch: Watch<'a>,
    states: States,
    frame: Frame<K>,
    used_sets: UsedSets,
    unknowns: Vec<UnknownKind>,
    /// Where a kind stands in `unknowns`, by kind.
    unknown_of: Vec<u32>,
    /// How many unknowns wait for something.
    waiting_unknowns: usize,
    /// Whether an unknown was called that reads as well as writes.
    has_dependent_unknown: bool,
    chains: Chains,
    level: Vec<Configuration<K>>,
    /// What has not linearized the operation that is about to return.
    before: Antichain<K>,
    /// What has.
    after: Antichain<K>,
    /// Whether configurations were left out that might have come further.
    is_exact: bool,
    configurations: u64,
    work: u64,
    stop: Option<Stop>,
    tried: Vec<u64>,
    tries: u64,
}

impl<'a, K: Mask> Levels<'a, K> {
    /// Begins with the initial state, which has number 0.
    pub(super) fn new(states: States, slots: usize, supply: Supply, watch: Watch<'a>) -> Self {
        let start =
            Configuration { state: 0, used: NONE_USED, last: NO_LINK, mask: K::empty(slots) };
        Self {
            supply,
            watch,
            frame: Frame::new(slots),
            used_sets: UsedSets::new(),
            unknowns: Vec::new(),
            unknown_of: vec![VACANT; states.kinds()],
            waiting_unknowns: 0,
            has_dependent_unknown: false,
            chains: Chains::default(),
            level: vec![start],
            before: Antichain::new(),
            after: Antichain::new(),
            is_exact: true,
            configurations: 0,
            work: 0,
            stop: None,
            tried: vec![0; states.kinds()],
            tries: 0,
            states,
        }
    }

    /// Goes on from where an earlier piece of the same history ended, once all that was open there
    /// was called. With each configuration come the ranks of the unknowns that it has used.
    pub(super) fn resume(&mut self, from: impl IntoIterator<Item = (StateId, K, Vec<usize>)>) {
        self.level.clear();
        for (state, mask, used) in from {
            let used =
                used.into_iter().fold(NONE_USED, |used, rank| self.used_sets.with(used, rank));
            self.level.push(Configuration { state, used, last: NO_LINK, mask });
        }
    }

    /// The configurations that are left: state, what is linearized of what is open, and the ranks
    /// of the unknowns that were used, of so many that were called.
    pub(super) fn left(&self, called: usize) -> impl Iterator<Item = (StateId, &K, Vec<usize>)> {
        self.level.iter().map(move |Configuration { state, used, mask, .. }| {
            let is_used = |rank: &usize| self.used_sets.has(*used, *rank);
            (*state, mask, (0..called).filter(is_used).collect())
        })
    }

    pub(super) fn states(&self) -> &States {
        &self.states
    }

    /// How many configurations were kept in all.
    pub(super) fn configurations(&self) -> u64 {
        self.configurations
    }

    /// Whether an empty level proves that there is no order.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The order of the first configuration that is left.
    pub(super) fn order(&self) -> Vec<usize> {
        self.level.first().map_or(Vec::new(), |first| self.chains.last(first.last, usize::MAX))
    }

    /// A certain operation begins.
    pub(super) fn call(&mut self, slot: usize, open: Open) {
        let is_pure = self.states.is_pure(open.kind);
        let is_overwrite = self.states.overwrite(open.kind).is_some();
        self.frame.call(slot, open, is_pure, is_overwrite);
        if !is_pure {
            return;
        }
        let mut level = std::mem::take(&mut self.level);
        for configuration in &mut level {
            let is_free = open.waits_for.is_none_or(|slot| configuration.mask.has(slot))
                && self.states.step(configuration.state, open.kind).is_some();
            if is_free {
                self.linearize(configuration, slot, open.entry);
            }
        }
        self.level = level;
        self.look_now_and_then(self.level.len() as u64);
    }

    /// An operation of unknown outcome begins.
    pub(super) fn call_unknown(
        &mut self,
        rank: usize,
        entry: u32,
        kind: KindId,
        waits_for: Option<usize>,
    ) {
        if self.unknown_of[kind as usize] == VACANT {
            self.unknown_of[kind as usize] = self.unknowns.len() as u32;
            self.unknowns.push(UnknownKind { kind, called: Vec::new(), first: 0 });
            self.has_dependent_unknown |= self.states.overwrite(kind).is_none();
        }
        let called = &mut self.unknowns[self.unknown_of[kind as usize] as usize].called;
        called.push(Unknown { rank, entry, waits_for });
        self.waiting_unknowns += usize::from(waits_for.is_some());
    }

    /// The operation of a slot returns. `forced` is the earliest return of an overwriting
    /// operation that is called later, among the passages.
    pub(super) fn pass(&mut self, slot: usize, forced: u32) -> Passed {
        self.look_now_and_then(1);
        if let Some(stop) = self.stop {
            return Passed::Stopped(stop);
        }
        let is_behind = |configuration: &Configuration<K>| !configuration.mask.has(slot);
        if self.level.iter().any(is_behind) {
            self.catch_up(slot, forced);
            if let Some(stop) = self.stop {
                return Passed::Stopped(stop);
            }
            if self.level.is_empty() {
                return Passed::Nobody;
            }
        } else {
            self.level.iter_mut().for_each(|configuration| configuration.mask.clear(slot));
        }
        self.configurations += self.level.len() as u64;
        self.frame.leave(slot);
        if self.waiting_unknowns > 0 {
            for unknown in self.unknowns.iter_mut().flat_map(|kind| &mut kind.called) {
                if unknown.waits_for == Some(slot) {
                    unknown.waits_for = None;
                    self.waiting_unknowns -= 1;
                }
            }
        }
        self.sweep();
        Passed::Yes
    }

    /// Lets every configuration linearize the operation that is about to return, in every way.
    fn catch_up(&mut self, slot: usize, forced: u32) {
        self.before.clear();
        self.after.clear();
        self.frame.refresh(forced, slot, &mut self.states);
        for configuration in std::mem::take(&mut self.level) {
            self.place(configuration, slot);
        }
        let mut next = 0;
        while let Some(node) = self.before.get(next) {
            next += 1;
            if !node.is_alive {
                continue;
            }
            let configuration = node.configuration.clone();
            self.expand(&configuration, slot);
            if self.stop.is_some() {
                return;
            }
        }
        self.level = self.after.take();
    }

    /// Puts a configuration where it belongs: it has linearized what is about to return, or not.
    fn place(&mut self, mut configuration: Configuration<K>, slot: usize) {
        self.look_now_and_then(1);
        let few = match self.supply {
            Supply::Few => FEW,
            Supply::Once | Supply::Endless => usize::MAX,
        };
        let is_after = configuration.mask.has(slot);
        let nodes = if is_after { &mut self.after } else { &mut self.before };
        if is_after {
            configuration.mask.clear(slot);
        }
        let removable = self.frame.removable(&configuration.mask, is_after);
        let node = Node { configuration, removable, is_alive: true };
        self.is_exact &= nodes.insert(node, &self.frame, &self.used_sets, few);
    }

    /// Linearizes one more operation, in every way that may be of use.
    fn expand(&mut self, configuration: &Configuration<K>, slot: usize) {
        if self.is_stuck(configuration, slot)
            || (self.states.has_hopeless() && self.is_hopeless(configuration))
        {
            return;
        }
        self.tries += 1;
        for index in 0..self.frame.by_return().len() {
            let chosen = self.frame.by_return()[index] as usize;
            if configuration.mask.has(chosen) || self.frame.pure().has(chosen) {
                continue;
            }
            let open = *self.frame.open(chosen);
            if open.waits_for.is_some_and(|slot| !configuration.mask.has(slot)) {
                continue;
            }
            if !open.has_successor
                && std::mem::replace(&mut self.tried[open.kind as usize], self.tries) == self.tries
            {
                continue;
            }
            let Some(next) = self.states.step(configuration.state, open.kind) else { continue };
            let mut child = configuration.clone();
            child.state = next;
            let is_postponable = chosen != slot
                && !open.has_successor
                && self.frame.is_overwrite(chosen)
                && self.frame.is_forced_before(open.returns_at);
            if is_postponable
                && (next == configuration.state
                    || !self.is_anything_served(configuration, chosen, next))
            {
                continue;
            }
            self.linearize(&mut child, chosen, open.entry);
            self.linearize_pure(&mut child);
            self.place(child, slot);
        }
        for index in 0..self.unknowns.len() {
            self.use_unknown(configuration, index, slot);
        }
    }

    /// Lets one unknown of a kind take effect.
    fn use_unknown(&mut self, configuration: &Configuration<K>, index: usize, slot: usize) {
        let UnknownKind { kind, called, first } = &self.unknowns[index];
        let kind = *kind;
        let Some(Unknown { rank, entry, .. }) = called[*first..]
            .iter()
            .find(|unknown| {
                let is_used = self.supply != Supply::Endless
                    && self.used_sets.has(configuration.used, unknown.rank);
                !is_used && unknown.waits_for.is_none_or(|slot| configuration.mask.has(slot))
            })
            .cloned()
        else {
            return;
        };
        let Some(next) = self.states.step(configuration.state, kind) else { return };
        let is_useless = self.states.overwrite(kind).is_some()
            && !self.is_anything_served(configuration, usize::MAX, next);
        if next == configuration.state || is_useless {
            return;
        }
        let mut child = configuration.clone();
        child.state = next;
        if self.supply != Supply::Endless {
            child.used = self.used_sets.with(configuration.used, rank);
        }
        child.last = self.chains.link(child.last, entry);
        self.linearize_pure(&mut child);
        self.place(child, slot);
    }

    /// Whether in a state that an operation overwrote everything with there is anything else to do
    /// than to overwrite it again.
    fn is_anything_served(
        &mut self,
        configuration: &Configuration<K>,
        but: usize,
        state: StateId,
    ) -> bool {
        if self.has_dependent_unknown || self.frame.has_tied_pure() {
            return true;
        }
        let legal = self.frame.legal(state, &mut self.states);
        if !legal.is_subset(&configuration.mask) {
            return true;
        }
        let dependents = self.frame.dependents().minus(&configuration.mask);
        members(&dependents).any(|slot| {
            slot != but && self.states.step(state, self.frame.open(slot).kind).is_some()
        })
    }

    /// Linearizes every open pure operation that is legal now.
    fn linearize_pure(&mut self, configuration: &mut Configuration<K>) {
        let legal = self.frame.legal(configuration.state, &mut self.states);
        let free = legal.minus(&configuration.mask);
        for slot in members(&free) {
            let entry = self.frame.open(slot).entry;
            self.linearize(configuration, slot, entry);
        }
        if !self.frame.has_tied_pure() {
            return;
        }
        let mut is_again = true;
        while std::mem::take(&mut is_again) {
            let rest = self.frame.tied_pure().minus(&configuration.mask);
            for slot in members(&rest) {
                let open = *self.frame.open(slot);
                if open.waits_for.is_none_or(|slot| configuration.mask.has(slot))
                    && self.states.step(configuration.state, open.kind).is_some()
                {
                    self.linearize(configuration, slot, open.entry);
                    is_again = true;
                }
            }
        }
    }

    fn linearize(&mut self, configuration: &mut Configuration<K>, slot: usize, entry: u32) {
        configuration.mask.set(slot);
        configuration.last = self.chains.link(configuration.last, entry);
    }

    /// Whether what is about to return reads what none of the operations writes that can still be
    /// linearized before: where all of them overwrite everything, their states are all there are.
    fn is_stuck(&mut self, configuration: &Configuration<K>, slot: usize) -> bool {
        if self.has_dependent_unknown
            || !self.frame.pure().has(slot)
            || self.frame.tied_pure().has(slot)
            || !self.frame.dependents().is_subset(&configuration.mask)
        {
            return false;
        }
        let read = self.frame.open(slot).kind;
        let states = &mut self.states;
        let mut is_written = |kind: KindId| {
            states.overwrite(kind).is_some_and(|after| states.step(after, read).is_some())
        };
        self.frame
            .by_return()
            .iter()
            .map(|slot| *slot as usize)
            .all(|slot| configuration.mask.has(slot) || !is_written(self.frame.open(slot).kind))
            && !self.unknowns.iter().any(|unknown| is_written(unknown.kind))
    }

    fn is_hopeless(&self, configuration: &Configuration<K>) -> bool {
        self.frame.by_return().iter().any(|slot| {
            !configuration.mask.has(*slot as usize)
                && self
                    .states
                    .is_hopeless(configuration.state, self.frame.open(*slot as usize).kind)
        })
    }

    /// The configurations that were left when the last return could not be passed.
    pub(super) fn dead(&self) -> Vec<DeadConfiguration> {
        let alive = (0..).map_while(|index| self.before.get(index)).filter(|node| node.is_alive);
        let describe = |node: &Node<K>| {
            let Configuration { state, used, last, mask } = &node.configuration;
            let open = self.frame.by_return().iter().filter(|slot| !mask.has(**slot as usize));
            let called = self.unknowns.iter().flat_map(|kind| &kind.called);
            let mut maybe: Vec<usize> = called
                .filter(|unknown| !self.used_sets.has(*used, unknown.rank))
                .map(|unknown| unknown.entry as usize)
                .collect();
            maybe.sort_unstable();
            DeadConfiguration {
                state: self.states.describe(*state),
                last: self.chains.last(*last, LAST_SHOWN),
                unordered: open
                    .map(|slot| self.frame.open(*slot as usize).entry as usize)
                    .collect(),
                maybe,
            }
        };
        alive.take(DEAD_SHOWN).map(describe).collect()
    }

    /// Forgets what no configuration needs any more.
    fn sweep(&mut self) {
        if self.chains.is_sweep_due() {
            self.chains.sweep(self.level.iter_mut().map(|configuration| &mut configuration.last));
        }
        if self.used_sets.is_sweep_due() {
            let used = self.level.iter_mut().map(|configuration| &mut configuration.used);
            self.used_sets.sweep(used);
            for kind in &mut self.unknowns {
                let left = &kind.called[kind.first..];
                kind.first +=
                    left.iter().take_while(|unknown| self.used_sets.is_spent(unknown.rank)).count();
            }
        }
    }

    fn look_now_and_then(&mut self, work: u64) {
        self.work += work;
        if self.work >= WORK_PER_LOOK {
            self.work = 0;
            self.stop = self.stop.or(self.watch.look(self.bytes()));
        }
    }

    /// About how many bytes the search takes.
    fn bytes(&self) -> u64 {
        let level = self.level.capacity() * size_of::<Configuration<K>>();
        level as u64
            + self.states.bytes()
            + self.chains.bytes()
            + self.used_sets.bytes()
            + self.before.bytes()
            + self.after.bytes()
    }
}
