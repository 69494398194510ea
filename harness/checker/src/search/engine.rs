//! The search proper: configurations on a ladder of stacks.

use std::time::Instant;

use crate::model::Model;

use super::mask::Mask;
use super::states::{KindId, StateId, States};
use super::unknowns::{NONE_USED, UsedId, UsedSets};
use super::visited::{Place, Visited};
use super::window::{Passage, Timeline, VACANT, Window};
use super::{Budget, DeadConfiguration, Entry, Found, Stop};

/// Tasks between two looks at the clock and the memory, if they compute no steps of the model.
const TASKS_PER_LOOK: u64 = 16;

/// Computed steps of the model between two looks: each may take milliseconds, as the copy of a
/// book of thousands of accounts does, and one task may compute thousands.
const STEPS_PER_LOOK: u64 = 4;

/// How many of the furthest configurations a witness shows.
const DEAD_SHOWN: usize = 4;

/// How many of the operations that led to a dead end a witness shows.
const LAST_SHOWN: usize = 8;

/// Where a search stands: all that matters of what was linearized so far.
#[derive(Clone, Debug)]
struct Configuration<K: Mask> {
    position: u32,
    state: StateId,
    used: UsedId,
    /// The last link of the chain of linearized entries.
    last: u32,
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

/// A link of the chain of linearized entries.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    entry: u32,
}

/// The end of the chain.
const NO_LINK: u32 = u32::MAX;

pub(super) struct Engine<M: Model, K: Mask> {
    timeline: Timeline,
    budget: Budget,
    window: Window,
    states: States<M>,
    kind_of: Vec<KindId>,
    /// For every unknown, by rank, the rank of the one of equal kind called before.
    twin_before: Vec<Option<usize>>,
    used_sets: UsedSets,
    visited: Visited<K>,
    links: Vec<Link>,
    /// Rung `n` holds what used `n` unknowns more than the fewest that came as far.
    ladder: Vec<Vec<Task<K>>>,
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
}

impl<M: Model, K: Mask> Engine<M, K> {
    pub(super) fn new(
        initial: &M,
        entries: &[Entry<M>],
        timeline: Timeline,
        budget: Budget,
    ) -> Self {
        let (states, kind_of) = States::new(initial, entries);
        let twin_before = twins(&timeline, &kind_of);
        let start = Configuration {
            position: 0,
            state: 0,
            used: NONE_USED,
            last: NO_LINK,
            mask: K::empty(timeline.slots),
        };
        Self {
            budget,
            window: Window::new(&timeline),
            kind_of,
            twin_before,
            used_sets: UsedSets::new(timeline.unknowns.len()),
            visited: Visited::new(),
            links: Vec::new(),
            ladder: vec![vec![Task::Enter(start)]],
            fewest_used: vec![u32::MAX; timeline.passages.len() + 1],
            furthest: 0,
            dead: Vec::new(),
            configurations: 0,
            tasks: 0,
            steps_at_look: 0,
            stop: None,
            tried: vec![0; states.kinds()],
            tries: 0,
            states,
            timeline,
        }
    }

    pub(super) fn configurations(&self) -> u64 {
        self.configurations
    }

    pub(super) fn run(&mut self) -> Found {
        while let Some(task) = self.next_task() {
            self.tasks += 1;
            if self.tasks.is_multiple_of(TASKS_PER_LOOK) {
                self.look_at_budget();
            }
            match task {
                Task::Enter(configuration) => {
                    if let Some(order) = self.enter(configuration) {
                        return Found::Order(order);
                    }
                }
                Task::Resort(configuration) => self.resort(&configuration),
            }
            // What the task did not try for want of time proves nothing.
            if let Some(why) = self.stop {
                return self.stopped(why);
            }
        }
        let dead =
            self.dead.clone().iter().map(|configuration| self.describe(configuration)).collect();
        Found::NoOrder { entry: self.entry_at(self.furthest), dead }
    }

    /// Takes the latest task of the lowest rung.
    fn next_task(&mut self) -> Option<Task<K>> {
        self.ladder.iter_mut().find_map(Vec::pop)
    }

    fn push(&mut self, rung: usize, task: Task<K>) {
        if self.ladder.len() <= rung {
            self.ladder.resize_with(rung + 1, Vec::new);
        }
        self.ladder[rung].push(task);
    }

    /// Goes on from a configuration as far as there is nothing to choose, and puts the choices
    /// there on the ladder. Returns the order if the end is reached.
    fn enter(&mut self, mut configuration: Configuration<K>) -> Option<Vec<usize>> {
        self.window.seek(&self.timeline, configuration.position as usize);
        self.linearize_pure(&mut configuration);
        let is_at_end = self.advance(&mut configuration);
        if is_at_end {
            return Some(self.last(&configuration, usize::MAX));
        }
        let place = Place {
            position: configuration.position,
            state: configuration.state,
            mask: configuration.mask.clone(),
        };
        if !self.visited.visit(place, configuration.used, &self.used_sets) {
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
        for (entry, next) in self.choices(&configuration) {
            let mut child = configuration.clone();
            child.state = next;
            self.linearize(&mut child, entry);
            self.push(rung, Task::Enter(child));
        }
        None
    }

    /// Lets each unknown that changes something take effect.
    fn resort(&mut self, configuration: &Configuration<K>) {
        self.window.seek(&self.timeline, configuration.position as usize);
        let used = self.used_sets.count(configuration.used);
        let fewest = self.fewest_used[configuration.position as usize];
        // The latest invoked is pushed last and so tried first: most take effect soon or never.
        for rank in 0..self.window.unknowns_called {
            let entry = self.timeline.unknowns[rank];
            let is_twin_spent = self.twin_before[rank]
                .is_none_or(|twin| self.used_sets.has(configuration.used, twin));
            if self.used_sets.has(configuration.used, rank)
                || !is_twin_spent
                || !self.is_predecessor_done(configuration, entry)
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
            child.last = self.link(configuration.last, entry);
            self.push((used + 1 - fewest) as usize, Task::Enter(child));
        }
    }

    /// Passes calls, and returns of what is linearized; true if that was the end.
    fn advance(&mut self, configuration: &mut Configuration<K>) -> bool {
        while let Some(passage) = self.timeline.passages.get(self.window.position).copied() {
            match passage {
                Passage::Unknown(_) => {}
                Passage::Call(entry) => {
                    self.window.advance(&self.timeline);
                    configuration.position += 1;
                    if self.is_free(configuration, entry) {
                        self.linearize(configuration, entry);
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
            self.window.advance(&self.timeline);
            configuration.position += 1;
        }
        true
    }

    /// Linearizes every open pure operation that is legal now.
    fn linearize_pure(&mut self, configuration: &mut Configuration<K>) {
        loop {
            let mut is_again = false;
            for slot in 0..self.window.open.len() {
                let entry = self.window.open[slot];
                if entry != VACANT
                    && !configuration.mask.has(slot)
                    && self.is_free(configuration, entry)
                {
                    self.linearize(configuration, entry);
                    is_again |= self.timeline.has_successor[entry as usize];
                }
            }
            if !is_again {
                return;
            }
        }
    }

    /// Whether an open entry can be linearized here without changing anything.
    fn is_free(&mut self, configuration: &Configuration<K>, entry: u32) -> bool {
        let kind = self.kind_of[entry as usize];
        self.states.is_pure(kind)
            && self.is_predecessor_done(configuration, entry)
            && self.step(configuration.state, kind).is_some()
    }

    /// Whether what the same process did before, at the same instant, is linearized.
    fn is_predecessor_done(&self, configuration: &Configuration<K>, entry: u32) -> bool {
        let before = self.timeline.after[entry as usize];
        if before == VACANT || self.timeline.returns_at[before as usize] < configuration.position {
            return true;
        }
        configuration.mask.has(self.timeline.slot[before as usize] as usize)
    }

    /// The open entries that can be linearized now with the states after them, the best last:
    /// what must return first is tried first.
    fn choices(&mut self, configuration: &Configuration<K>) -> Vec<(u32, StateId)> {
        let open = self.window.open.iter().enumerate();
        let mut entries: Vec<u32> = open
            .filter(|(slot, entry)| **entry != VACANT && !configuration.mask.has(*slot))
            .map(|(_, entry)| *entry)
            .collect();
        entries.sort_unstable_by_key(|entry| self.timeline.returns_at[*entry as usize]);
        self.tries += 1;
        let mut choices = Vec::with_capacity(entries.len());
        for entry in entries {
            let kind = self.kind_of[entry as usize];
            // Pure operations that are legal are linearized already.
            if self.states.is_pure(kind) || !self.is_predecessor_done(configuration, entry) {
                continue;
            }
            if !self.timeline.has_successor[entry as usize]
                && std::mem::replace(&mut self.tried[kind as usize], self.tries) == self.tries
            {
                continue;
            }
            if let Some(next) = self.step(configuration.state, kind) {
                choices.push((entry, next));
            }
        }
        choices.reverse();
        choices
    }

    fn is_hopeless(&self, configuration: &Configuration<K>) -> bool {
        M::HAS_HOPELESS
            && self.window.open.iter().enumerate().any(|(slot, entry)| {
                *entry != VACANT
                    && !configuration.mask.has(slot)
                    && self.states.is_hopeless(configuration.state, self.kind_of[*entry as usize])
            })
    }

    fn linearize(&mut self, configuration: &mut Configuration<K>, entry: u32) {
        configuration.mask.set(self.timeline.slot[entry as usize] as usize);
        configuration.last = self.link(configuration.last, entry);
    }

    fn link(&mut self, before: u32, entry: u32) -> u32 {
        self.links.push(Link { before, entry });
        u32::try_from(self.links.len() - 1)
            .expect("the memory limit is reached before four billion links")
    }

    /// Keeps the furthest configurations for the witness.
    fn note_dead(&mut self, configuration: &Configuration<K>) {
        if configuration.position > self.furthest || self.dead.is_empty() {
            self.furthest = configuration.position;
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
        if Instant::now() >= self.budget.deadline {
            self.stop = Some(Stop::Time);
        } else if self.bytes() > self.budget.memory {
            self.stop = Some(Stop::Memory);
        }
    }

    /// About how many bytes the search takes.
    fn bytes(&self) -> u64 {
        let links = self.links.capacity() * size_of::<Link>();
        let ladder: usize =
            self.ladder.iter().map(Vec::capacity).sum::<usize>() * size_of::<Task<K>>();
        let waiting: usize = self.ladder.iter().map(Vec::len).sum();
        let masks = waiting * K::empty(self.timeline.slots).heap_bytes();
        let timeline = self.timeline.passages.len() * 48;
        (links + ladder + masks + timeline) as u64
            + self.states.bytes()
            + self.used_sets.bytes()
            + self.visited.bytes()
    }

    fn stopped(&self, why: Stop) -> Found {
        let passed = &self.timeline.passages[..self.furthest as usize];
        let completions =
            passed.iter().filter(|passage| matches!(passage, Passage::Return(_))).count();
        Found::Stopped { why, entry: self.entry_at(self.furthest), completions }
    }

    /// The certain entry whose return is the next at or after a position.
    fn entry_at(&self, position: u32) -> usize {
        let ahead = &self.timeline.passages[position as usize..];
        let next = ahead.iter().find_map(|passage| match passage {
            Passage::Return(entry) => Some(*entry as usize),
            _ => None,
        });
        next.unwrap_or(0)
    }

    /// The entries linearized last, the latest last.
    fn last(&self, configuration: &Configuration<K>, count: usize) -> Vec<usize> {
        let mut order = Vec::new();
        let mut link = configuration.last;
        while link != NO_LINK && order.len() < count {
            let Link { before, entry } = self.links[link as usize];
            order.push(entry as usize);
            link = before;
        }
        order.reverse();
        order
    }

    fn describe(&mut self, configuration: &Configuration<K>) -> DeadConfiguration {
        self.window.seek(&self.timeline, configuration.position as usize);
        let open = self.window.open.iter().enumerate();
        let mut unordered: Vec<usize> = open
            .filter(|(slot, entry)| **entry != VACANT && !configuration.mask.has(*slot))
            .map(|(_, entry)| *entry as usize)
            .collect();
        unordered.sort_unstable_by_key(|entry| self.timeline.returns_at[*entry]);
        let unknowns = (0..self.window.unknowns_called)
            .filter(|rank| !self.used_sets.has(configuration.used, *rank));
        DeadConfiguration {
            state: self.states.get(configuration.state).describe(),
            last: self.last(configuration, LAST_SHOWN),
            unordered,
            maybe: unknowns.map(|rank| self.timeline.unknowns[rank] as usize).collect(),
        }
    }
}

/// Finds for every unknown the one of equal kind called before it. Of equal unknowns the first is
/// used first; one whose process has something to do before it at the same instant may be
/// hindered when a later one is not, so nobody waits for it.
fn twins(timeline: &Timeline, kind_of: &[KindId]) -> Vec<Option<usize>> {
    let mut last = std::collections::HashMap::<KindId, usize>::new();
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
