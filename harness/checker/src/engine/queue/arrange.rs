//! One order of the enqueues and dequeues of elements that pass in turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::Span;
use super::Passage;

/// Appends the order of elements that show no pattern.
pub(super) fn arrange(passages: &[Passage], order: &mut Vec<usize>) {
    let turns = turns(passages);
    // What must still come, by the earliest return from each place on.
    let earliest = |span: &dyn Fn(&Passage) -> Span| {
        let mut returns = vec![Span::NEVER; turns.len() + 1];
        for (place, turn) in turns.iter().enumerate().rev() {
            returns[place] = returns[place + 1].min(span(&passages[*turn]).ret);
        }
        returns
    };
    let entering = earliest(&|passage| passage.entered);
    let leaving = earliest(&|passage| passage.left);
    let leaves = turns.iter().take_while(|turn| passages[**turn].dequeue.is_some()).count();
    let (mut entered, mut left) = (0, 0);
    while entered < turns.len() || left < leaves {
        let next = turns.get(entered).map(|turn| &passages[*turn]);
        match next {
            // Nothing that still has to leave returned before this one was called.
            Some(next) if leaving[left] >= next.entered.call => {
                order.push(next.enqueue as usize);
                entered += 1;
            }
            _ => {
                debug_assert!(
                    left < entered.min(leaves)
                        && entering[entered] >= passages[turns[left]].left.call,
                    "enqueues and dequeues merge if no pattern shows"
                );
                let Some(turn) = turns.get(left) else {
                    return;
                };
                order.extend(passages[*turn].dequeue.map(|dequeue| dequeue as usize));
                left += 1;
            }
        }
    }
}

/// Sorts the elements such that each demand is met: who entered or left before another entered, or
/// left before another left, comes first.
fn turns(passages: &[Passage]) -> Vec<usize> {
    let ascending = |key: &dyn Fn(&Passage) -> u64| {
        let mut sorted: Vec<usize> = (0..passages.len()).collect();
        sorted.sort_unstable_by_key(|index| key(&passages[*index]));
        sorted
    };
    let by_call = ascending(&|passage| passage.entered.call);
    let by_return = ascending(&|passage| passage.entered.ret);
    let by_leaving = ascending(&|passage| passage.left.ret);
    let mut is_placed = vec![false; passages.len()];
    let (mut called, mut returned, mut gone) = (0, 0, 0);
    // Elements that none of the rest entered or left before, by the calls of their dequeues.
    let mut entered = BinaryHeap::new();
    let mut turns = Vec::with_capacity(passages.len());
    while turns.len() < passages.len() {
        while is_placed[by_return[returned]] {
            returned += 1;
        }
        while is_placed[by_leaving[gone]] {
            gone += 1;
        }
        let left_first = passages[by_leaving[gone]].left.ret;
        // What left before a call had also entered before it, as the spans are tightened.
        let entered_first = passages[by_return[returned]].entered.ret;
        while let Some(index) = by_call.get(called)
            && passages[*index].entered.call <= entered_first
        {
            entered.push(Reverse((passages[*index].left.call, *index)));
            called += 1;
        }
        let Some(Reverse((call, index))) = entered.pop() else {
            debug_assert!(false, "demands do not go round in a circle if no pattern shows");
            return turns;
        };
        debug_assert!(call <= left_first, "demands do not go round in a circle");
        is_placed[index] = true;
        turns.push(index);
    }
    turns
}
