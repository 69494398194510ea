//! The search in depth: configurations on a ladder, on each rung of which the furthest goes first.
//!
//! A rung holds what used so many unknown operations more than the fewest with which anybody came
//! as far. As long as the search gets on it takes from the lowest rung. Where it does not, the
//! higher rungs get their turns: a mistake that was made long ago, or another unknown spent, may be
//! what it takes, and nobody knows which; to try all that is thrifty first, back to the beginning of
//! the history, would take as long as the history is. For the same reason the furthest goes first
//! and not the latest: what was left behind long ago is not tried before what is at hand.
//!
//! None of this decides what is found, only when: every task is taken in the end.

use rustc_hash::FxHashMap;

use super::chain::{Chains, LinkId, NO_LINK};
use super::demand::Demands;
use super::ladder::Ladder;
use super::mask::{Mask, members};
use super::states::{KindId, StateId, States};
use super::unknowns::{NONE_USED, UsedId, UsedSets};
use super::visited::{Means, Place, Visited};
use super::watch::Watch;
use super::window::{Passage, Seat, Timeline, VACANT, Window};
use super::{DEAD_SHOWN, DeadConfiguration, Found, LAST_SHOWN, Stop};

/// Tasks between two looks at the clock and the memory, if they compute no steps of the model.
const TASKS_PER_LOOK: u64 = 16;

/// Computed steps of the model between two looks: each may take milliseconds, as the copy of a
/// book of thousands of accounts does, and one task may compute thousands.
const STEPS_PER_LOOK: u64 = 4;

/// Where a search stands: all that matters of what was linearized so far.
#[derive(Clone, Debug)]
struct Configuration<K: Mask> {
    position: u32,
    state: StateId,
    used: UsedId,
    /// The last link of the chain of linearized entries.
    last: LinkId,
    mask: K,
}

/// What waits on the ladder.
#[derive(Clone, Debug)]
enum Task<K: Mask> {
    /// Go on from here.
    Enter(Configuration<K>),
    /// Go on from here by letting one unknown take effect.
    Resort(Configuration<K>),
}

pub(super) struct DepthFirst<'a, K: Mask> {
    timeline: &'a Timeline,
    watch: Watch<'a>,
    window: Window<'a, K>,
    states: States,
    kind_of: &'a [KindId],
    /// For every unknown, by rank, the rank of the one of equal kind called before.
    twin_before: Vec<Option<usize>>,
    /// See [`Timeline::forced`].
    forced: Vec<u32>,
    /// Set if enough is known of the model.
    demands: Option<Demands>,
    /// Whether a configuration was given up for what it cannot do later.
    has_looked_ahead: bool,
    /// Whether there are unknowns that read as well as write.
    has_dependent_unknowns: bool,
    used_sets: UsedSets,
    visited: Visited<K>,
    chains: Chains,
    /// Rung `n` holds what used `n` unknowns more than the fewest that came as far.
    ladder: Ladder<Task<K>>,
    /// The fewest unknowns with which anybody stopped at a position.
    fewest_used: Vec<u32>,
    furthest: u32,
    dead: Vec<Configuration<K>>,
    configurations: u64,
    tasks: u64,
    /// How many steps were computed when the clock was last looked at.
    steps_at_look: u64,
    /// Set when the budget is used up: from then on no step is taken.
    stop: Option<Stop>,
    /// When each kind was last tried, to try it once a configuration.
    tried: Vec<u64>,
    tries: u64,
    /// Room for what waits (where it returns, and its slot) and for what can be done next, kept from one
    /// configuration to the next.
    waiting: Vec<(u32, u32)>,
    choices: Vec<(u32, StateId)>,
}

impl<'a, K: Mask> DepthFirst<'a, K> {
    pub(super) fn new(
        mut states: States,
        kind_of: &'a [KindId],
        timeline: &'a Timeline,
        watch: Watch<'a>,
    ) -> Self {
        let twin_before = twins(timeline, kind_of);
        let unknowns = timeline.unknowns.iter();
        // One that waits for something may be overtaken by others of its kind.
        let is_any_tied = unknowns.clone().any(|entry| timeline.after[*entry as usize] != VACANT);
        let start = Configuration {
            position: 0,
            state: 0,
            used: NONE_USED,
            last: NO_LINK,
            mask: K::empty(timeline.slots),
        };
        let mut ladder = Ladder::new();
        ladder.push(0, 0, Task::Enter(start));
        Self {
            watch,
            window: Window::new(timeline, kind_of, &states),
            kind_of,
            twin_before,
            forced: timeline.forced(&states, kind_of),
            demands: Demands::new(&mut states, kind_of, timeline),
            has_looked_ahead: false,
            has_dependent_unknowns: timeline
                .unknowns
                .iter()
                .any(|entry| states.overwrite(kind_of[*entry as usize]).is_none()),
            used_sets: match is_any_tied {
                true => UsedSets::new(),
                false => UsedSets::in_order(unknowns.map(|entry| kind_of[*entry as usize])),
            },
            visited: Visited::new(),
            chains: Chains::default(),
            ladder,
            fewest_used: vec![u32::MAX; timeline.passages.len() + 1],
            furthest: 0,
            dead: Vec::new(),
            configurations: 0,
            tasks: 0,
            steps_at_look: 0,
            stop: None,
            tried: vec![0; states.kinds()],
            tries: 0,
            waiting: Vec::new(),
            choices: Vec::new(),
            states,
            timeline,
        }
    }

    pub(super) fn configurations(&self) -> u64 {
        self.configurations
    }

    /// Whether the furthest position may not be the one that nobody passes.
    pub(super) fn has_looked_ahead(&self) -> bool {
        self.has_looked_ahead
    }

    /// In a race from now on.
    pub(super) fn set_watch(&mut self, watch: Watch<'a>) {
        self.watch = watch;
    }

    /// How many completions were explained.
    pub(super) fn furthest(&self) -> u64 {
        u64::from(self.furthest)
    }

    /// Searches on until so many configurations were visited in all; none if that was not enough.
    pub(super) fn run(&mut self, configurations_max: u64) -> Option<Found> {
        while self.configurations < configurations_max {
            let Some(task) = self.ladder.pop() else {
                let dead = self.dead.clone();
                let dead = dead.iter().map(|configuration| self.describe(configuration)).collect();
                return Some(Found::NoOrder {
                    entry: self.timeline.return_after(self.furthest),
                    dead,
                });
            };
            self.tasks += 1;
            if self.tasks.is_multiple_of(TASKS_PER_LOOK) {
                self.look_at_budget();
            }
            match task {
                Task::Enter(configuration) => {
                    if let Some(order) = self.enter(configuration) {
                        return Some(Found::Order(order));
                    }
                }
                Task::Resort(configuration) => self.resort(&configuration),
            }
            // What the task did not try for want of time proves nothing.
            if let Some(why) = self.stop {
                return Some(self.timeline.stopped(why, self.furthest));
            }
        }
        None
    }

    fn push(&mut self, rung: usize, task: Task<K>) {
        let (Task::Enter(Configuration { position, .. })
        | Task::Resort(Configuration { position, .. })) = task;
        self.ladder.push(rung, position, task);
    }

    /// Goes on from a configuration as far as there is nothing to choose, and puts the choices
    /// there on the ladder. Returns the order if the end is reached.
    fn enter(&mut self, mut configuration: Configuration<K>) -> Option<Vec<usize>> {
        self.window.seek(configuration.position as usize);
        self.linearize_pure(&mut configuration);
        let is_at_end = self.advance(&mut configuration);
        if is_at_end {
            return Some(self.chains.last(configuration.last, usize::MAX));
        }
        if !self.are_demands_met(&configuration) {
            self.note_dead(&configuration);
            return None;
        }
        let pure = self.window.pure();
        let place = Place {
            position: configuration.position,
            state: configuration.state,
            mask: configuration.mask.minus(pure),
        };
        let means = Means { used: configuration.used, served: configuration.mask.and(pure) };
        if !self.visited.visit(place, means, &self.used_sets) {
            return None;
        }
        self.configurations += 1;
        if self.is_hopeless(&configuration) {
            self.note_dead(&configuration);
            return None;
        }
        self.note_dead(&configuration);
        let used = self.used_sets.count(configuration.used);
        let fewest = &mut self.fewest_used[configuration.position as usize];
        *fewest = used.min(*fewest);
        let rung = (used - *fewest) as usize;
        if (used as usize) < self.window.unknowns_called {
            self.push(rung + 1, Task::Resort(configuration.clone()));
        }
        let mut choices = std::mem::take(&mut self.choices);
        self.choose(&configuration, &mut choices);
        for (slot, next) in choices.drain(..).rev() {
            let mut child = configuration.clone();
            child.state = next;
            self.linearize(&mut child, slot as usize);
            self.push(rung, Task::Enter(child));
        }
        self.choices = choices;
        None
    }

    /// Whether what is open can still become legal.
    fn are_demands_met(&mut self, configuration: &Configuration<K>) -> bool {
        let Some(demands) = &self.demands else { return true };
        let at = (configuration.state, &configuration.mask);
        let unmet = demands.unmet(at, &self.window, &mut self.states);
        let is_here = match self.timeline.passages[configuration.position as usize] {
            Passage::Return(entry) => unmet >> self.kind_of[entry as usize] & 1 == 1,
            Passage::Call(_) | Passage::Unknown(_) => false,
        };
        self.has_looked_ahead |= unmet != 0 && !is_here;
        unmet == 0
    }

    /// Lets each unknown that changes something take effect.
    fn resort(&mut self, configuration: &Configuration<K>) {
        self.window.seek(configuration.position as usize);
        let used = self.used_sets.count(configuration.used);
        let fewest = self.fewest_used[configuration.position as usize];
        // The latest invoked is pushed last and so tried first: most take effect soon or never.
        let called = self.window.unknowns_called;
        let ranks = self.used_sets.next_of_each(configuration.used);
        let ranks = ranks.unwrap_or_else(|| (0..called).collect());
        for rank in ranks.into_iter().take_while(|rank| *rank < called) {
            let entry = self.timeline.unknowns[rank];
            let is_twin_spent = self.twin_before[rank]
                .is_none_or(|twin| self.used_sets.has(configuration.used, twin));
            if self.used_sets.has(configuration.used, rank)
                || !is_twin_spent
                || !self.is_done(configuration, self.timeline.after[entry as usize])
            {
                continue;
            }
            let Some(next) = self.step(configuration.state, self.kind_of[entry as usize]) else {
                continue;
            };
            if next == configuration.state {
                continue;
            }
            let mut child = configuration.clone();
            child.state = next;
            child.used = self.used_sets.with(configuration.used, rank);
            child.last = self.chains.link(configuration.last, entry);
            self.push((used + 1 - fewest) as usize, Task::Enter(child));
        }
    }

    /// Passes calls, and returns of what is linearized; true if that was the end.
    fn advance(&mut self, configuration: &mut Configuration<K>) -> bool {
        while let Some(passage) = self.timeline.passages.get(self.window.position).copied() {
            match passage {
                Passage::Unknown(_) => {}
                Passage::Call(entry) => {
                    self.window.pass(passage);
                    configuration.position += 1;
                    let slot = self.timeline.slot[entry as usize] as usize;
                    if self.window.pure().has(slot) && self.is_free(configuration, slot) {
                        self.linearize(configuration, slot);
                    }
                    continue;
                }
                Passage::Return(entry) => {
                    let slot = self.timeline.slot[entry as usize] as usize;
                    if !configuration.mask.has(slot) {
                        return false;
                    }
                    configuration.mask.clear(slot);
                }
            }
            self.window.pass(passage);
            configuration.position += 1;
        }
        true
    }

    /// Linearizes every open pure operation that is legal now.
    fn linearize_pure(&mut self, configuration: &mut Configuration<K>) {
        loop {
            let mut is_again = false;
            let waiting = self.window.waiting(&configuration.mask).and(self.window.pure());
            for slot in members(&waiting) {
                if self.is_free(configuration, slot) {
                    self.linearize(configuration, slot);
                    is_again |= self.window.seat(slot).has_successor;
                }
            }
            if !is_again {
                return;
            }
        }
    }

    /// Whether an open pure entry can be linearized here.
    fn is_free(&mut self, configuration: &Configuration<K>, slot: usize) -> bool {
        let Seat { kind, after, .. } = *self.window.seat(slot);
        self.is_done(configuration, after) && self.step(configuration.state, kind).is_some()
    }

    /// Whether an entry that must come before another, as the same process did both at one instant,
    /// is linearized; so if there is none.
    fn is_done(&self, configuration: &Configuration<K>, before: u32) -> bool {
        if before == VACANT || self.timeline.returns_at[before as usize] < configuration.position {
            return true;
        }
        configuration.mask.has(self.timeline.slot[before as usize] as usize)
    }

    /// Finds the slots of what can be linearized now with the states after it, the best first: what
    /// must return first is tried first.
    fn choose(&mut self, configuration: &Configuration<K>, choices: &mut Vec<(u32, StateId)>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.clear();
        let slots = self.window.waiting(&configuration.mask);
        waiting
            .extend(members(&slots).map(|slot| (self.window.seat(slot).returns_at, slot as u32)));
        waiting.sort_unstable();
        if !self.is_stuck(&waiting) {
            self.tries += 1;
            for (_, slot) in &waiting {
                choices.extend(self.try_choice(configuration, &slots, *slot));
            }
        }
        self.waiting = waiting;
    }

    /// Returns a slot with the state after what is open there, if that is worth linearizing now.
    fn try_choice(
        &mut self,
        configuration: &Configuration<K>,
        waiting: &K,
        slot: u32,
    ) -> Option<(u32, StateId)> {
        let seat = *self.window.seat(slot as usize);
        // Pure operations that are legal are linearized already.
        if self.window.pure().has(slot as usize) || !self.is_done(configuration, seat.after) {
            return None;
        }
        if !seat.has_successor
            && std::mem::replace(&mut self.tried[seat.kind as usize], self.tries) == self.tries
        {
            return None;
        }
        let next = self.step(configuration.state, seat.kind)?;
        (!self.is_better_put_off(configuration, waiting, &seat, next)).then_some((slot, next))
    }

    /// Whether the first of these reads what none of the others writes: where all of them overwrite
    /// everything, their states are all there are.
    fn is_stuck(&mut self, waiting: &[(u32, u32)]) -> bool {
        let Some(((_, first), others)) = waiting.split_first() else { return false };
        let read = *self.window.seat(*first as usize);
        // What is unknown may write it, and one that waits for its own process is not stopped by
        // what it reads.
        self.window.unknowns_called == 0
            && read.after == VACANT
            && self.states.is_pure(read.kind)
            && others.iter().all(|(_, other)| {
                let kind = self.window.seat(*other as usize).kind;
                match self.states.overwrite(kind) {
                    Some(after) => self.step(after, read.kind).is_none(),
                    None => self.states.is_pure(kind),
                }
            })
    }

    /// Whether an operation that overwrites everything would only be overwritten itself, and could
    /// as well be linearized just before another such one that is called later.
    fn is_better_put_off(
        &mut self,
        configuration: &Configuration<K>,
        waiting: &K,
        seat: &Seat,
        next: StateId,
    ) -> bool {
        let position = configuration.position as usize;
        // At this position only what returns here must be linearized now.
        if seat.returns_at as usize == position
            || self.forced[position] >= seat.returns_at
            || seat.has_successor
            || self.states.overwrite(seat.kind).is_none()
        {
            return false;
        }
        if next == configuration.state {
            return true;
        }
        if self.has_dependent_unknowns {
            return false;
        }
        // This one is an overwrite itself, and so not among those that it could serve.
        members(waiting).all(|other| {
            let kind = self.window.seat(other).kind;
            self.states.overwrite(kind).is_some() || self.step(next, kind).is_none()
        })
    }

    fn is_hopeless(&self, configuration: &Configuration<K>) -> bool {
        self.states.has_hopeless()
            && members(&self.window.waiting(&configuration.mask)).any(|slot| {
                self.states.is_hopeless(configuration.state, self.window.seat(slot).kind)
            })
    }

    fn linearize(&mut self, configuration: &mut Configuration<K>, slot: usize) {
        configuration.mask.set(slot);
        let entry = self.window.seat(slot).entry;
        configuration.last = self.chains.link(configuration.last, entry);
    }

    /// Keeps the furthest configurations for the witness.
    fn note_dead(&mut self, configuration: &Configuration<K>) {
        if configuration.position > self.furthest || self.dead.is_empty() {
            self.furthest = configuration.position;
            self.ladder.get_on();
            self.dead.clear();
        }
        if configuration.position == self.furthest && self.dead.len() < DEAD_SHOWN {
            self.dead.push(configuration.clone());
        }
    }

    /// Returns the state after a step if it is legal, and there is time for it.
    fn step(&mut self, state: StateId, kind: KindId) -> Option<StateId> {
        if self.states.computed() - self.steps_at_look >= STEPS_PER_LOOK {
            self.look_at_budget();
        }
        if self.stop.is_some() {
            return None;
        }
        self.states.step(state, kind)
    }

    fn look_at_budget(&mut self) {
        self.steps_at_look = self.states.computed();
        self.stop = self.watch.look(self.bytes());
    }

    /// About how many bytes the search takes.
    fn bytes(&self) -> u64 {
        let masks = self.ladder.len() * K::empty(self.timeline.slots).heap_bytes();
        let timeline = self.timeline.passages.len() * 48;
        (self.ladder.bytes() + masks + timeline) as u64
            + self.chains.bytes()
            + self.states.bytes()
            + self.used_sets.bytes()
            + self.visited.bytes()
    }

    fn describe(&mut self, configuration: &Configuration<K>) -> DeadConfiguration {
        self.window.seek(configuration.position as usize);
        let waiting = self.window.waiting(&configuration.mask);
        let mut unordered: Vec<usize> =
            members(&waiting).map(|slot| self.window.seat(slot).entry as usize).collect();
        unordered.sort_unstable_by_key(|entry| self.timeline.returns_at[*entry]);
        let unknowns = (0..self.window.unknowns_called)
            .filter(|rank| !self.used_sets.has(configuration.used, *rank));
        DeadConfiguration {
            state: self.states.describe(configuration.state),
            last: self.chains.last(configuration.last, LAST_SHOWN),
            unordered,
            maybe: unknowns.map(|rank| self.timeline.unknowns[rank] as usize).collect(),
        }
    }
}

/// Finds for every unknown the one of equal kind called before it. Of equal unknowns the first is
/// used first; one whose process has something to do before it at the same instant may be
/// hindered when a later one is not, so nobody waits for it.
fn twins(timeline: &Timeline, kind_of: &[KindId]) -> Vec<Option<usize>> {
    let mut last = FxHashMap::<KindId, usize>::default();
    let unknowns = timeline.unknowns.iter().enumerate();
    unknowns
        .map(|(rank, entry)| {
            let twin = last.get(&kind_of[*entry as usize]).copied();
            if timeline.after[*entry as usize] == VACANT {
                last.insert(kind_of[*entry as usize], rank);
            }
            twin
        })
        .collect()
}
