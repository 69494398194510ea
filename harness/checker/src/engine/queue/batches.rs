//! What stands between empty dequeues.

use super::super::Span;
use super::{Event, Passage};

/// Part of an order.
pub(super) enum Batch {
    /// An empty dequeue.
    Empty(u32),
    /// Elements that enter and leave before the next part.
    Elements(Vec<Passage>),
}

/// A cluster: its earliest return, its latest call, and what it is.
struct Cluster {
    returned: u64,
    called: u64,
    batch: Batch,
}

impl Cluster {
    /// By this, clusters that do not contradict one another are sorted; see the register's.
    fn key(&self) -> (u64, bool) {
        (self.returned.min(self.called), self.returned < self.called)
    }
}

/// Splits the elements so that every empty dequeue stands between two batches, or names the empty
/// dequeue that cannot, with what covers it.
pub(super) fn split(
    events: &[Event],
    passages: Vec<Passage>,
    empties: &[u32],
) -> Result<Vec<Batch>, Vec<usize>> {
    if empties.is_empty() {
        return Ok(vec![Batch::Elements(passages)]);
    }
    let is_certain = |passage: &Passage| passage.returned() < passage.called();
    let (mut certain, others): (Vec<_>, Vec<_>) = passages.into_iter().partition(is_certain);
    certain.sort_unstable_by_key(Passage::returned);
    let mut clusters = stretches(certain);
    let found = clusters.len();
    // Of the stretches only the last that begins before a call can reach beyond it.
    let begun = |clusters: &[Cluster], call| {
        clusters[..found].partition_point(|stretch| stretch.returned < call).checked_sub(1)
    };
    for passage in others {
        match begun(&clusters, passage.called()) {
            Some(stretch) if passage.returned() < clusters[stretch].called => {
                if let Batch::Elements(elements) = &mut clusters[stretch].batch {
                    elements.push(passage);
                }
            }
            _ => clusters.push(Cluster {
                returned: passage.returned(),
                called: passage.called(),
                batch: Batch::Elements(vec![passage]),
            }),
        }
    }
    for empty in empties {
        let Span { call, ret } = events[*empty as usize].span;
        if let Some(stretch) = begun(&clusters, call)
            && ret < clusters[stretch].called
            && let Batch::Elements(elements) = &clusters[stretch].batch
        {
            return Err(cover(elements, *empty, call, ret));
        }
        clusters.push(Cluster { returned: ret, called: call, batch: Batch::Empty(*empty) });
    }
    clusters.sort_by_key(Cluster::key);
    Ok(clusters.into_iter().map(|cluster| cluster.batch).collect())
}

/// Joins elements whose certain times overlap; they come sorted by the beginning of these.
fn stretches(certain: Vec<Passage>) -> Vec<Cluster> {
    let mut stretches: Vec<Cluster> = Vec::new();
    for passage in certain {
        match stretches.last_mut() {
            Some(Cluster { called, batch: Batch::Elements(elements), .. })
                if passage.returned() < *called =>
            {
                *called = passage.called().max(*called);
                elements.push(passage);
            }
            _ => stretches.push(Cluster {
                returned: passage.returned(),
                called: passage.called(),
                batch: Batch::Elements(vec![passage]),
            }),
        }
    }
    stretches
}

/// Names an empty dequeue and the fewest elements of a stretch one of which always was there.
fn cover(elements: &[Passage], empty: u32, call: u64, ret: u64) -> Vec<usize> {
    // Of no certain time are those that come last, and any that return late.
    let mut certain = elements.iter().filter(|passage| passage.returned() < passage.called());
    let mut next = certain.next();
    let mut named = vec![empty as usize];
    let (mut covered, mut longest): (u64, Option<&Passage>) = (call, None);
    while covered <= ret || longest.is_none() {
        // Of those that came in time the one that stays longest.
        while let Some(passage) = next.filter(|passage| passage.returned() < covered) {
            if longest.is_none_or(|longest| longest.called() < passage.called()) {
                longest = Some(passage);
            }
            next = certain.next();
        }
        let Some(passage) = longest.filter(|longest| longest.called() > covered) else {
            debug_assert!(false, "a stretch has no gap");
            break;
        };
        let both = [Some(passage.enqueue), passage.dequeue];
        named.extend(both.into_iter().flatten().map(|event| event as usize));
        covered = passage.called();
    }
    named
}
