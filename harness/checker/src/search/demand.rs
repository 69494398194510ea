//! What must still come about, and what can bring it about: a configuration that used up the one
//! without the other leads nowhere.
//!
//! An operation that is open, has to be linearized and is not legal in the present state becomes so
//! only by steps to a state where it is. The last step before it that changes something is that of
//! an operation that is open now and not linearized, or is called before this one returns: one of a
//! certain outcome, or an unknown one. Which kinds of steps lead to a state where a kind is legal is
//! known of models with few states, all of which were computed. So if no such kind is open or will
//! be called in time, there is no way on. What was done too early shows at once in this way, and not
//! only when the operation returns, after all that can be done before was tried in every order.
//!
//! Where what cannot become legal is not what is about to return, this looks ahead to an answer that
//! comes later; the position where it gives up is then not yet the one that no configuration passes.

use super::mask::{Mask, members};
use super::states::{KindId, StateId, States};
use super::window::{Passage, Seat, Timeline, Window};

/// Who can be supplied by whom.
#[derive(Debug)]
pub(super) struct Demands {
    /// For every kind, the kinds of steps that lead to a state where it is legal, as bits.
    suppliers: Vec<u64>,
    /// For every entry the position from which on nothing is called any more that supplies it
    /// before it returns. An unknown supplier that was called is there for good.
    last_chance: Vec<u32>,
}

impl Demands {
    /// Returns nothing if too little is known of the model.
    pub(super) fn new(
        states: &mut States,
        kind_of: &[KindId],
        timeline: &Timeline,
    ) -> Option<Self> {
        let suppliers = states.suppliers()?;
        let is_always_legal = states.always_legal()?;
        let mut last_chance = vec![u32::MAX; kind_of.len()];
        // From where on no more of a kind will be called, as far as was looked.
        let mut called_until = vec![0; suppliers.len()];
        for (position, passage) in timeline.passages.iter().enumerate() {
            match *passage {
                Passage::Call(entry) => {
                    let until = &mut called_until[kind_of[entry as usize] as usize];
                    *until = (*until).max(position as u32 + 1);
                }
                Passage::Unknown(entry) => {
                    called_until[kind_of[entry as usize] as usize] = u32::MAX;
                }
                // What is legal whatever was before demands nothing.
                Passage::Return(entry) if is_always_legal >> kind_of[entry as usize] & 1 == 1 => {}
                Passage::Return(entry) => {
                    let suppliers = bits(suppliers[kind_of[entry as usize] as usize]);
                    let until = suppliers.map(|kind| called_until[kind as usize]);
                    last_chance[entry as usize] = until.max().unwrap_or(0);
                }
            }
        }
        Some(Self { suppliers, last_chance })
    }

    /// The kinds of what is open and not linearized and cannot become legal any more, as bits.
    pub(super) fn unmet<K: Mask>(
        &self,
        (state, mask): (StateId, &K),
        window: &Window<'_, K>,
        states: &mut States,
    ) -> u64 {
        let (mut demanded, mut supply) = (0u64, 0u64);
        for slot in members(&window.waiting(mask)) {
            let Seat { entry, kind, .. } = *window.seat(slot);
            supply |= 1 << kind;
            if self.last_chance[entry as usize] as usize <= window.position {
                demanded |= 1 << kind;
            }
        }
        let is_unmet = |kind: &KindId| {
            self.suppliers[*kind as usize] & supply == 0 && states.step(state, *kind).is_none()
        };
        bits(demanded).filter(is_unmet).fold(0, |unmet, kind| unmet | 1 << kind)
    }
}

/// The kinds whose bits are set.
fn bits(mut bits: u64) -> impl Iterator<Item = KindId> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(bit)
    })
}
