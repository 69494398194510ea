//! Blocks: what must stand together in any order, and whether the blocks can be put in one.

use super::super::{Ruling, Span};
use super::{Access, Event, Origin};

/// No event, or no segment.
const NONE: u32 = u32::MAX;

/// A cluster: one write, or the initial value, and those who read it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// The event that wrote, or [`NONE`] for the initial value.
    writer: u32,
    /// The segment of the swap that replaced the value, or [`NONE`].
    next: u32,
    /// Where its readers end in the list of all readers; they begin where the ones before end.
    readers_end: u32,
}

/// Segments that stand together, each but the last swapped for the next.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: u32,
    /// The earliest return, and whose it is.
    returned: (u64, u32),
    /// The latest call, and whose it is.
    called: (u64, u32),
}

impl Block {
    /// By this, blocks that do not contradict one another are sorted.
    fn key(&self) -> (u64, bool) {
        let (returned, called) = (self.returned.0, self.called.0);
        (returned.min(called), returned < called)
    }
}

/// The segments and who reads in each.
struct Segments {
    list: Vec<Segment>,
    /// The readers of all segments, by segment.
    readers: Vec<u32>,
}

impl Segments {
    fn readers_of(&self, segment: u32) -> &[u32] {
        let begin = match segment {
            0 => 0,
            segment => self.list[segment as usize - 1].readers_end,
        };
        &self.readers[begin as usize..self.list[segment as usize].readers_end as usize]
    }
}

/// Judges events of which is known which happened and whose values they saw.
pub(super) fn rule(events: &[Event], origins: &[Origin], happened: &[bool]) -> Ruling {
    let segments = match segments(events, origins, happened) {
        Ok(segments) => segments,
        Err(contradiction) => return Ruling::NoOrder(contradiction),
    };
    let mut blocks = match blocks(events, &segments) {
        Ok(blocks) => blocks,
        Err(contradiction) => return Ruling::NoOrder(contradiction),
    };
    // The initial value stands first, whatever its key.
    blocks[1..].sort_unstable_by_key(Block::key);
    let mut returned_first = (Span::NEVER, &blocks[0]);
    for block in blocks.iter().rev() {
        if returned_first.0 < block.called.0 {
            return Ruling::NoOrder(circle(&segments, block, returned_first.1));
        }
        returned_first = (
            returned_first.0.min(block.returned.0),
            match block.returned.0 < returned_first.0 {
                true => block,
                false => returned_first.1,
            },
        );
    }
    let mut order = Vec::with_capacity(segments.list.len() + segments.readers.len());
    order.extend(blocks.iter().flat_map(|block| members(&segments, block)));
    Ruling::Order(order)
}

/// Sorts what happened by the writes that it saw.
fn segments(
    events: &[Event],
    origins: &[Origin],
    happened: &[bool],
) -> Result<Segments, Vec<usize>> {
    let mut list = Vec::with_capacity(origins.len() + 1);
    list.push(Segment { writer: NONE, next: NONE, readers_end: 0 });
    // The segment that each event wrote; later that which it read.
    let mut homes = vec![NONE; events.len()];
    for (index, event) in events.iter().enumerate() {
        if happened[index] && event.written().is_some() {
            homes[index] = list.len() as u32;
            list.push(Segment { writer: index as u32, next: NONE, readers_end: 0 });
        }
    }
    for (index, event) in events.iter().enumerate().filter(|(index, _)| happened[*index]) {
        let Some(seen) = event.seen() else {
            continue;
        };
        let origin = match origins[seen as usize] {
            Origin::Event(writer) => homes[writer as usize],
            _ => 0,
        };
        let segment = &mut list[origin as usize];
        match event.access {
            Access::Swap { .. } if segment.next == NONE => segment.next = homes[index],
            Access::Swap { .. } => {
                let other = list[list[origin as usize].next as usize].writer;
                let writer = list[origin as usize].writer;
                let three =
                    [writer, other, index as u32].into_iter().filter(|event| *event != NONE);
                return Err(three.map(|event| event as usize).collect());
            }
            _ => {
                segment.readers_end += 1;
                homes[index] = origin;
            }
        }
    }
    // Counted above; now each segment's readers go where those before end.
    let mut begin = 0;
    for segment in &mut list {
        begin += std::mem::replace(&mut segment.readers_end, begin);
    }
    let mut readers = vec![NONE; begin as usize];
    for (index, event) in events.iter().enumerate() {
        if let Access::Read(_) = event.access {
            let end = &mut list[homes[index] as usize].readers_end;
            readers[*end as usize] = index as u32;
            *end += 1;
        }
    }
    let mut segments = Segments { list, readers };
    sort_readers(events, &mut segments);
    Ok(segments)
}

/// Sorts the readers of each segment by their calls; mostly they are.
fn sort_readers(events: &[Event], segments: &mut Segments) {
    let mut begin = 0;
    for segment in &segments.list {
        let readers = &mut segments.readers[begin..segment.readers_end as usize];
        readers.sort_by_key(|reader| events[*reader as usize].span.call);
        begin = segment.readers_end as usize;
    }
}

/// Chains segments to blocks; that of the initial value is the first.
///
/// An error names events that must stand in one order by their values and in another by their
/// times, or swaps that go round in a circle.
fn blocks(events: &[Event], segments: &Segments) -> Result<Vec<Block>, Vec<usize>> {
    let mut blocks = Vec::with_capacity(segments.list.len());
    let mut chained = 0;
    for (first, segment) in segments.list.iter().enumerate() {
        let is_first = segment.writer == NONE
            || matches!(events[segment.writer as usize].access, Access::Write(_));
        if is_first {
            let (block, length) = block(events, segments, first as u32)?;
            blocks.push(block);
            chained += length;
        }
    }
    match chained == segments.list.len() {
        true => Ok(blocks),
        false => Err(swaps_in_a_circle(events, segments)),
    }
}

/// Follows the swaps from a segment to the end, and counts the segments.
fn block(events: &[Event], segments: &Segments, first: u32) -> Result<(Block, usize), Vec<usize>> {
    let mut block = Block { first, returned: (Span::NEVER, NONE), called: (0, NONE) };
    let (mut at, mut length) = (first, 0);
    while at != NONE {
        length += 1;
        let segment = segments.list[at as usize];
        if segment.writer != NONE {
            block.add(events, segment.writer, block.called)?;
        }
        // Among themselves the readers may stand in any order.
        let called = block.called;
        for reader in segments.readers_of(at) {
            block.add(events, *reader, called)?;
        }
        at = segment.next;
    }
    if block.first == 0 {
        // It was there before everything.
        block.returned.0 = 0;
    }
    Ok((block, length))
}

impl Block {
    /// Adds an event that stands after the one called last before it, unless it cannot.
    fn add(&mut self, events: &[Event], index: u32, before: (u64, u32)) -> Result<(), Vec<usize>> {
        let Span { call, ret } = events[index as usize].span;
        if ret < before.0 {
            return Err(vec![before.1 as usize, index as usize]);
        }
        if ret < self.returned.0 || self.returned.1 == NONE {
            self.returned = (ret, index);
        }
        if call > self.called.0 || self.called.1 == NONE {
            self.called = (call, index);
        }
        Ok(())
    }
}

/// Lists a block's events in their order.
fn members<'a>(segments: &'a Segments, block: &Block) -> impl Iterator<Item = usize> + use<'a> {
    let mut at = block.first;
    std::iter::from_fn(move || {
        let segment = *segments.list.get(at as usize)?;
        let readers = segments.readers_of(at);
        at = segment.next;
        Some((segment.writer, readers))
    })
    .flat_map(|(writer, readers)| {
        let writer = Some(writer).filter(|writer| *writer != NONE);
        writer.into_iter().chain(readers.iter().copied()).map(|event| event as usize)
    })
}

/// Names what makes two blocks come before each other: of each the write that it begins with, and
/// who returned first and was called last.
fn circle(segments: &Segments, a: &Block, b: &Block) -> Vec<usize> {
    let mut named = Vec::with_capacity(6);
    for block in [a, b] {
        let writer = segments.list[block.first as usize].writer;
        named.extend([writer, block.returned.1, block.called.1]);
    }
    named.retain(|event| *event != NONE);
    named.sort_unstable();
    named.dedup();
    named.into_iter().map(|event| event as usize).collect()
}

/// Finds swaps each of which saw what the one before it wrote, the first what the last did.
fn swaps_in_a_circle(events: &[Event], segments: &Segments) -> Vec<usize> {
    let mut is_chained = vec![false; segments.list.len()];
    for (first, segment) in segments.list.iter().enumerate() {
        let is_first = segment.writer == NONE
            || matches!(events[segment.writer as usize].access, Access::Write(_));
        let mut at = if is_first { first as u32 } else { NONE };
        while at != NONE {
            is_chained[at as usize] = true;
            at = segments.list[at as usize].next;
        }
    }
    let first = is_chained.iter().position(|is_chained| !is_chained).unwrap_or(0) as u32;
    let mut circle = Vec::new();
    let mut at = first;
    while at != NONE {
        circle.push(segments.list[at as usize].writer as usize);
        at = Some(segments.list[at as usize].next).filter(|next| *next != first).unwrap_or(NONE);
    }
    circle
}
