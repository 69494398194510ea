//! Answers that no write explains.
//!
//! Whoever saw a value saw the latest write before it, one of that value. So for every answer there
//! must be a write of its value, or the initial value, such that the write was called before the
//! answer was there, and no write of another value came certainly after it and certainly before the
//! question: called after the one had returned, and returned before the other was called. That is
//! necessary whatever else happened, repeated values and unknown outcomes included, and not
//! sufficient: where every answer has such a write, nothing is said.
//!
//! It takes O(n log n). Of all answers from long ago, which no other engine knows and the search is
//! slow to refute where many operations are open, most are of this kind.

use super::super::{Ruling, Span};
use super::{Accesses, Event, Value};

#[cfg(test)]
mod tests;

/// The write of a value that was called last, of some that returned.
#[derive(Clone, Copy, Debug)]
struct Overwrite {
    value: Value,
    called: u64,
    event: usize,
}

/// A write of one value, and the latest return of those called up to it.
#[derive(Clone, Copy, Debug)]
struct Origin {
    called: u64,
    /// The latest return, and whose it is.
    returned: (u64, Option<usize>),
}

/// Finds the answer without a write that was there first; it is named last, after the write of its
/// value that came nearest, and the write of another that came between.
pub(in super::super) fn rule(accesses: &Accesses) -> Ruling {
    let events = &accesses.events;
    let origins = origins(accesses);
    let seers = events.iter().enumerate().filter(|(_, event)| event.is_certain);
    let mut seers: Vec<(&Event, Value, usize)> =
        seers.filter_map(|(index, event)| Some((event, event.seen()?, index))).collect();
    seers.sort_by_key(|(event, ..)| event.span.call);
    let overwrites = events.iter().enumerate().filter(|(_, event)| event.is_certain);
    let mut overwrites: Vec<(Span, Overwrite)> = overwrites
        .filter_map(|(index, event)| {
            let Span { call, ret } = event.span;
            let overwrite = Overwrite { value: event.written()?, called: call, event: index };
            Some((Span { call, ret }, overwrite))
        })
        .collect();
    overwrites.sort_by_key(|(span, _)| span.ret);
    let mut overwrites = overwrites.into_iter().peekable();
    // The two latest calls of different values, of the writes that returned so far.
    let mut latest: [Option<Overwrite>; 2] = [None; 2];
    let mut first: Option<(u64, Vec<usize>)> = None;
    for (event, seen, index) in seers {
        while let Some((_, overwrite)) = overwrites.next_if(|(span, _)| span.ret < event.span.call)
        {
            note(&mut latest, overwrite);
        }
        let between = latest.into_iter().flatten().find(|overwrite| overwrite.value != seen);
        let of_value = &origins[seen as usize];
        let count = of_value.partition_point(|origin| origin.called <= event.span.ret);
        let nearest = of_value[..count].last();
        let is_explained = nearest.is_some_and(|origin| {
            between.is_none_or(|between| origin.returned.0 >= between.called)
        });
        if !is_explained && first.as_ref().is_none_or(|(ret, _)| event.span.ret < *ret) {
            let nearest = nearest.and_then(|origin| origin.returned.1);
            let between = between.filter(|_| count > 0).map(|between| between.event);
            let named = [nearest, between, Some(index)].into_iter().flatten();
            first = Some((event.span.ret, named.collect()));
        }
    }
    match first {
        Some((_, named)) => Ruling::NoOrder(named),
        None => Ruling::Unfit("every answer has a write that it may have seen"),
    }
}

/// The writes of every value in the order of their calls, the initial value before all.
fn origins(accesses: &Accesses) -> Vec<Vec<Origin>> {
    let mut origins = vec![Vec::new(); accesses.values];
    origins[accesses.initial as usize].push(Origin { called: 0, returned: (0, None) });
    for (index, event) in accesses.events.iter().enumerate() {
        if let Some(written) = event.written() {
            let Span { call: called, ret } = event.span;
            origins[written as usize].push(Origin { called, returned: (ret, Some(index)) });
        }
    }
    for of_value in &mut origins {
        // The sort is stable: the initial value stays first.
        of_value.sort_by_key(|origin| origin.called);
        let mut latest = (0, None);
        for origin in of_value {
            if origin.returned.0 >= latest.0 {
                latest = origin.returned;
            }
            origin.returned = latest;
        }
    }
    origins
}

/// Keeps the write that was called last, and of those of other values the one that was.
fn note(latest: &mut [Option<Overwrite>; 2], new: Overwrite) {
    let is_later = |than: Option<Overwrite>| than.is_none_or(|than| than.called <= new.called);
    let is_of_first = latest[0].is_some_and(|first| first.value == new.value);
    if is_later(latest[0]) {
        // Of two of one value the earlier is of no use any more.
        if !is_of_first {
            latest[1] = latest[0];
        }
        latest[0] = Some(new);
    } else if !is_of_first && is_later(latest[1]) {
        latest[1] = Some(new);
    }
}
