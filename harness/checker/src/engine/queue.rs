//! A first-in first-out queue whose elements are enqueued once each.
//!
//! Henzinger, Sezgin and Vafeiadis, *Aspect-oriented linearizability proofs* (CONCUR 2013): if no
//! element is enqueued twice, a history of a queue has no order only if it shows one of four
//! patterns; Emmi and Enea, and Bouajjani et al., *On reducing linearizability to state
//! reachability* (ICALP 2015), give the same ones. For an element v let e(v) be its enqueue and d(v)
//! its dequeue, at infinity if there is none; "before" is what the instants prove.
//!
//! 1. An element is dequeued that was not enqueued, or before it was.
//! 2. An element is dequeued twice.
//! 3. e(v) is before e(w), but d(w) before d(v).
//! 4. An empty dequeue o is *covered*: v₁ … vₙ with e(v₁) before o, e(vᵢ₊₁) before d(vᵢ), o before
//!    d(vₙ): whenever o looked, one of them was there.
//!
//! Each makes an order impossible. That there is one otherwise is proven by making it, in
//! O(n log n), which is what this module does:
//!
//! **Without empty dequeues.** First every span is tightened: e(v) took effect by the return of
//! d(v), d(v) not before the call of e(v). Say v → w if e(v) is before e(w), or d(v) before d(w):
//! then v must precede w in the queue. (If d(v) is before e(w), so is e(v), as it is tightened.)
//! These demands do not go round in a circle. In a smallest circle take two edges v → w and x → y
//! of one kind, which rest on a return and a call each: r(v) < c(w) and r(x) < c(y) imply
//! r(v) < c(y) or r(x) < c(w), a demand that makes the circle smaller. So it has one edge of each
//! kind, and they are pattern 3. Any order of the elements that meets the demands will do: enqueues
//! in this order and dequeues in this order merge into one. A circle in the merge would need some
//! d(v) before e(w), so that v → w stands, and either w not behind v, or e(x) before d(y) with w
//! not behind x and y not behind v; but then e(x).ret < d(y).call ≤ d(v).ret < e(w).call ≤ e(x).ret.
//!
//! **Empty dequeues.** The time in which an element certainly is there goes from the return of its
//! enqueue to the call of its dequeue, if that is later. Where such times overlap, they make up a
//! stretch. An empty dequeue that is not covered lies within no stretch. So stretches, elements
//! that need not be there at any certain time, and empty dequeues are clusters as in the register
//! (module `register`), with forward zones and backward ones, and can be put one after the other.
//! An element within a stretch is counted to it. Each stretch by itself has no empty dequeue.
//!
//! **Unknown dequeues** may have taken nothing. So an order without them is an order, and where a
//! pattern shows that rests on no element that they may have taken in time, there is none. Anything
//! else is left to the search.

use rustc_hash::FxHashMap;

use super::{Ruling, Span};

mod arrange;
mod batches;

#[cfg(test)]
pub(super) mod tests;

/// An element's number.
pub(super) type Element = u32;

/// What was done to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Enqueue(Element),
    Dequeue(Element),
    /// A dequeue that found nothing.
    Empty,
    /// A dequeue that may have taken anything.
    Lost,
}

/// An action and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) action: Action,
    pub(super) span: Span,
    /// Whether it certainly happened.
    pub(super) is_certain: bool,
}

/// An element that was enqueued and maybe dequeued, its spans tightened.
#[derive(Clone, Copy, Debug)]
struct Passage {
    enqueue: u32,
    dequeue: Option<u32>,
    entered: Span,
    /// At infinity if it was not dequeued.
    left: Span,
}

impl Passage {
    /// Its own earliest return.
    fn returned(&self) -> u64 {
        self.entered.ret
    }

    /// Its own latest call.
    fn called(&self) -> u64 {
        self.left.call
    }
}

/// When what never happened happens.
const AT_INFINITY: Span = Span { call: Span::NEVER, ret: Span::NEVER };

/// Judges the actions on a queue that is empty at first.
pub(super) fn rule(events: &[Event]) -> Ruling {
    let passages = match passages(events) {
        Ok(passages) => passages,
        Err(ruling) => return ruling,
    };
    let lost = events.iter().filter(|event| event.action == Action::Lost);
    let lost_first = lost.map(|event| event.span.call).min();
    let refuse = |contradiction: Vec<usize>| match lost_first {
        Some(lost_first) if may_be_taken(events, &contradiction, lost_first) => Ruling::Unfit(LOST),
        _ => Ruling::NoOrder(contradiction),
    };
    if lost_first.is_some() {
        let known: Vec<Passage> =
            passages.iter().filter(|passage| passage.dequeue.is_some()).copied().collect();
        if let Some(contradiction) = out_of_turn(&known) {
            return Ruling::NoOrder(contradiction);
        }
    }
    if let Some(contradiction) = out_of_turn(&passages) {
        return refuse(contradiction);
    }
    let is_empty = |index: &u32| events[*index as usize].action == Action::Empty;
    let empties: Vec<u32> = (0..events.len() as u32).filter(is_empty).collect();
    let batches = match batches::split(events, passages, &empties) {
        Ok(batches) => batches,
        Err(contradiction) => return refuse(contradiction),
    };
    let mut order = Vec::with_capacity(events.len());
    for batch in batches {
        match batch {
            batches::Batch::Empty(index) => order.push(index as usize),
            batches::Batch::Elements(passages) => arrange::arrange(&passages, &mut order),
        }
    }
    Ruling::Order(order)
}

/// Whether one of the elements that show a pattern may have been taken by an unknown dequeue, the
/// first of which was called then, so early that it would be none.
fn may_be_taken(events: &[Event], contradiction: &[usize], lost_first: u64) -> bool {
    let named = || contradiction.iter().map(|index| events[*index]);
    let stays = |event: Event| match event.action {
        Action::Enqueue(element) => named().all(|other| other.action != Action::Dequeue(element)),
        _ => false,
    };
    let left = |event: Event| match event.action {
        Action::Dequeue(_) | Action::Empty => Some(event.span.ret),
        _ => None,
    };
    named().any(stays) && named().filter_map(left).max().is_none_or(|latest| lost_first <= latest)
}

/// Pairs what entered with what left.
fn passages(events: &[Event]) -> Result<Vec<Passage>, Ruling> {
    let mut enqueued: FxHashMap<Element, u32> = FxHashMap::default();
    let mut dequeued: FxHashMap<Element, u32> = FxHashMap::default();
    for (index, event) in events.iter().enumerate() {
        let index = index as u32;
        match event.action {
            Action::Enqueue(element) => {
                if enqueued.insert(element, index).is_some() {
                    return Err(Ruling::Unfit("an element may have been enqueued twice"));
                }
            }
            Action::Dequeue(_) | Action::Empty if !event.is_certain => {
                return Err(Ruling::Unfit(LOST));
            }
            Action::Lost if event.is_certain => return Err(Ruling::Unfit(LOST)),
            Action::Dequeue(_) | Action::Empty | Action::Lost => {}
        }
    }
    for (index, event) in events.iter().enumerate() {
        let Action::Dequeue(element) = event.action else {
            continue;
        };
        let Some(enqueue) = enqueued.get(&element).copied() else {
            return Err(Ruling::NoOrder(vec![index]));
        };
        if let Some(other) = dequeued.insert(element, index as u32) {
            return Err(Ruling::NoOrder(vec![enqueue as usize, other as usize, index]));
        }
        if event.span.ret < events[enqueue as usize].span.call {
            return Err(Ruling::NoOrder(vec![enqueue as usize, index]));
        }
    }
    let mut passages = Vec::with_capacity(enqueued.len());
    for (index, event) in events.iter().enumerate() {
        let Action::Enqueue(element) = event.action else {
            continue;
        };
        let dequeue = dequeued.get(&element).copied();
        // What nobody knows to have entered and nobody took out need not have been there.
        if !event.is_certain && dequeue.is_none() {
            continue;
        }
        let (entered, left) = match dequeue {
            None => (event.span, AT_INFINITY),
            Some(dequeue) => {
                let left = events[dequeue as usize].span;
                let ret = event.span.ret.min(left.ret);
                let call = left.call.max(event.span.call);
                (Span { ret, ..event.span }, Span { call, ..left })
            }
        };
        passages.push(Passage { enqueue: index as u32, dequeue, entered, left });
    }
    Ok(passages)
}

const LOST: &str = "a dequeue may have taken any element";

/// Finds two elements the first of which entered before the second and left after it.
fn out_of_turn(passages: &[Passage]) -> Option<Vec<usize>> {
    let mut by_call: Vec<&Passage> = passages.iter().collect();
    by_call.sort_unstable_by_key(|passage| passage.entered.call);
    let mut by_return: Vec<&Passage> = passages.iter().collect();
    by_return.sort_unstable_by_key(|passage| passage.entered.ret);
    // Of those that entered before the call, who is the last to have to leave.
    let (mut entered, mut latest): (usize, Option<&Passage>) = (0, None);
    for second in by_call {
        while let Some(first) = by_return.get(entered)
            && first.entered.ret < second.entered.call
        {
            if latest.is_none_or(|latest| latest.left.call < first.left.call) {
                latest = Some(first);
            }
            entered += 1;
        }
        if let Some(first) = latest
            && second.left.ret < first.left.call
        {
            let four = [Some(first.enqueue), first.dequeue, Some(second.enqueue), second.dequeue];
            return Some(four.into_iter().flatten().map(|event| event as usize).collect());
        }
    }
    None
}
