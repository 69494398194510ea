//! The trades of a book, as a list that states share.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Name;

/// What changes hands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Trade {
    pub(crate) buyer: Name,
    pub(crate) seller: Name,
    pub(crate) symbol: Name,
    pub(crate) quantity: u64,
    pub(crate) price: u64,
}

impl Trade {
    /// Whether an account buys or sells.
    pub(crate) fn touches(&self, account: &Name) -> bool {
        self.buyer == *account || self.seller == *account
    }
}

/// All trades of a book. Thousands of states differ by a trade or two, so a list is its last
/// trade and the list before it.
#[derive(Clone, Default)]
pub(crate) struct Trades(Option<Arc<Node>>);

struct Node {
    trade: Trade,
    number: u64,
    /// Of the whole list: unequal lists are told apart without walking them.
    digest: u64,
    before: Trades,
}

impl Trades {
    /// How many there are; also the number of the last.
    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |node| node.number)
    }

    /// The list with one more.
    pub(crate) fn with(&self, trade: Trade) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        (self.digest(), &trade).hash(&mut hasher);
        let (number, digest, before) = (self.count() + 1, hasher.finish(), self.clone());
        Self(Some(Arc::new(Node { trade, number, digest, before })))
    }

    /// The trades from a number on (0 and 1 are the first), at most `limit` of them (0: all).
    pub(crate) fn numbered(&self, from: u64, limit: u64) -> Vec<(u64, Trade)> {
        let from = from.max(1);
        let end = if limit == 0 { u64::MAX } else { from.saturating_add(limit) };
        let (mut list, mut rest) = (Vec::new(), self);
        while let Some(node) = rest.0.as_ref().filter(|node| node.number >= from) {
            if node.number < end {
                list.push((node.number, node.trade.clone()));
            }
            rest = &node.before;
        }
        list.reverse();
        list
    }

    fn digest(&self) -> u64 {
        self.0.as_ref().map_or(0, |node| node.digest)
    }
}

impl PartialEq for Trades {
    /// Compares the trades themselves, as far as the lists are not one and the same.
    fn eq(&self, other: &Self) -> bool {
        if self.count() != other.count() || self.digest() != other.digest() {
            return false;
        }
        let (mut a, mut b) = (self, other);
        while let (Some(left), Some(right)) = (&a.0, &b.0) {
            if Arc::ptr_eq(left, right) {
                return true;
            }
            if left.trade != right.trade {
                return false;
            }
            (a, b) = (&left.before, &right.before);
        }
        true
    }
}

impl Eq for Trades {}

impl Hash for Trades {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}

impl fmt::Debug for Trades {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.numbered(1, 0)).finish()
    }
}

impl Drop for Trades {
    /// Lets go of the list from the end on: by recursion a long one would overflow the stack.
    fn drop(&mut self) {
        let mut rest = self.0.take();
        while let Some(mut node) = rest.and_then(|node| Arc::try_unwrap(node).ok()) {
            rest = node.before.0.take();
        }
    }
}
