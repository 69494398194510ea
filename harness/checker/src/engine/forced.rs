//! Orders about which the answers leave no choice: each operation has a rank, those of one rank may
//! stand in any order among themselves, and all of a lower rank before all of a higher one.
//!
//! Of one rank those called first come first, which is true to time. So if the order is not, an
//! operation of a higher rank returned before one of a lower rank was called: no order is.

use super::Span;

/// An operation of an order that is forced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked {
    pub(super) rank: usize,
    pub(super) span: Span,
    pub(super) index: usize,
}

/// Puts operations in the order of their ranks, or returns two, the first of which must come
/// before the second, but was called after that had returned.
pub(super) fn order(mut ranked: Vec<Ranked>) -> Result<Vec<usize>, (Ranked, Ranked)> {
    ranked.sort_by_key(|ranked| (ranked.rank, ranked.span.call, ranked.index));
    let mut returned_first: Option<Ranked> = None;
    for one in ranked.iter().rev() {
        match returned_first {
            Some(later) if later.span.ret < one.span.call => return Err((*one, later)),
            Some(later) if later.span.ret <= one.span.ret => {}
            _ => returned_first = Some(*one),
        }
    }
    Ok(ranked.into_iter().map(|ranked| ranked.index).collect())
}
