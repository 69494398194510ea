//! What the engines' tests share: a brute force over plain steps, which knows spans and nothing of
//! any engine, and random numbers.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::{EngineName, PolynomialEngine, Ruling, Span, decide};
use crate::model::{Model, SequentialSpec, Step};
use crate::search::{Budget, Entry, Found};

/// How many random cases each engine is tried on; `STORMPROOF_CASES` for more.
pub(super) fn cases() -> u64 {
    std::env::var("STORMPROOF_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40_000)
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(super) fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A span in a short time, so that ties are frequent.
    pub(super) fn span(&mut self, length_max: u64) -> Span {
        let call = self.below(14);
        Span { call, ret: call + self.below(length_max + 1) }
    }
}

/// What a brute force must place: every certain one, the others maybe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) span: Span,
    pub(super) is_certain: bool,
}

/// Operations and what each does to a state, if it is legal there.
pub(super) struct Brute<'a, S> {
    pub(super) placed: Vec<Placed>,
    pub(super) step: &'a dyn Fn(&S, usize) -> Option<S>,
}

impl<S: Clone + Eq + Hash> Brute<'_, S> {
    /// Whether some order explains everything.
    pub(super) fn has_order(&self, initial: S) -> bool {
        let mut seen = HashSet::new();
        self.search(0, initial, &mut seen)
    }

    fn search(&self, mask: u32, state: S, seen: &mut HashSet<(u32, S)>) -> bool {
        let is_rest = |index: &usize| mask >> index & 1 == 0;
        let rest = || (0..self.placed.len()).filter(is_rest);
        if rest().all(|index| !self.placed[index].is_certain) {
            return true;
        }
        if !seen.insert((mask, state.clone())) {
            return false;
        }
        rest().any(|index| {
            let is_next = rest().all(|other| {
                !(self.placed[other].is_certain
                    && self.placed[other].span.precedes(self.placed[index].span))
            });
            is_next
                && (self.step)(&state, index)
                    .is_some_and(|next| self.search(mask | 1 << index, next, seen))
        })
    }

    /// Whether this order does.
    pub(super) fn is_order(&self, initial: S, order: &[usize]) -> bool {
        let is_once = order.iter().collect::<HashSet<_>>().len() == order.len();
        let is_whole = (0..self.placed.len())
            .all(|index| !self.placed[index].is_certain || order.contains(&index));
        let is_true = order.iter().enumerate().all(|(at, later)| {
            order[..at]
                .iter()
                .all(|earlier| !self.placed[*later].span.precedes(self.placed[*earlier].span))
        });
        let end = order.iter().try_fold(initial, |state, index| (self.step)(&state, *index));
        is_once && is_whole && is_true && end.is_some()
    }

    /// Compares a ruling with what is so, and counts it.
    pub(super) fn check(
        &self,
        initial: S,
        ruling: &Ruling,
        tally: &mut Tally,
        what: &dyn Fn() -> String,
    ) {
        match ruling {
            Ruling::Order(order) => {
                tally.orders += 1;
                assert!(self.is_order(initial, order), "no order: {ruling:?}\n{}", what());
            }
            Ruling::NoOrder(named) => {
                tally.contradictions += 1;
                assert!(!self.has_order(initial), "a false alarm: {ruling:?}\n{}", what());
                let is_unique = named.iter().collect::<HashSet<_>>().len() == named.len();
                let is_known = named.iter().all(|entry| *entry < self.placed.len());
                assert!(is_unique && is_known && !named.is_empty(), "{ruling:?}\n{}", what());
            }
            Ruling::Candidate { order, .. } => match self.is_order(initial, order) {
                true => tally.orders += 1,
                false => tally.unfit += 1,
            },
            Ruling::Unfit(_) => tally.unfit += 1,
        }
    }
}

/// How many cases were ruled how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) orders: u64,
    pub(super) contradictions: u64,
    pub(super) unfit: u64,
}

impl Tally {
    /// Prints the counts, and demands so many percent of each of the decided kinds.
    pub(super) fn demand(&self, name: &str, percent: u64) {
        println!("{name}: {self:?}");
        let all = self.orders + self.contradictions + self.unfit;
        assert!(self.orders * 100 >= all * percent, "{name}: too few orders: {self:?}");
        assert!(
            self.contradictions * 100 >= all * percent,
            "{name}: too few contradictions: {self:?}"
        );
    }
}

/// A counter of calls, with an engine that leaves them all out of its orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Calls(u64);

impl SequentialSpec for Calls {
    type Op = ();
    type Ret = u64;

    fn invoke(&mut self, (): &()) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Model for Calls {
    fn engines() -> &'static [PolynomialEngine<Self>] {
        &[PolynomialEngine { name: EngineName::Turns, rule: |_, _, _| Ruling::Order(Vec::new()) }]
    }
}

/// An order that the replay refuses is nobody's verdict, and no reason to give none.
#[test]
fn the_search_judges_what_an_engine_got_wrong() {
    let step = Step { op: (), seen: Some(1), is_certain: true };
    let entry = Entry { step, process: 0, invoked: 1, completed: Some(2), tie: 0, position: None };
    let budget = || Budget { deadline: Instant::now() + Duration::from_secs(60), memory: 1 << 30 };
    let decided = decide(&Calls(0), std::slice::from_ref(&entry), budget(), None);
    assert_eq!(decided.engine, EngineName::Search);
    assert!(matches!(&decided.searched.found, Found::Order(order) if *order == [0]), "{decided:?}");
    assert!(decided.reason.contains("refused by the replay"), "{decided:?}");
    let decided = decide(&Calls(0), &[entry], budget(), Some(EngineName::Turns));
    assert!(matches!(decided.searched.found, Found::Unproven), "{decided:?}");
}
