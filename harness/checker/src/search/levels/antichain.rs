//! A set of configurations at one position, none of which can do all that another can.
//!
//! Of two with the same state, `a` can do all that `b` can if
//!
//! - `a` used no unknown that `b` did not,
//! - what `a` linearized and `b` did not is pure, and
//! - what `b` linearized and `a` did not can be put off. There is an operation that overwrites
//!   everything and that `b` has yet to linearize, and all of the surplus returns after it. Then
//!   `a` follows `b` step by step until `b` overwrites everything, and just before that linearizes
//!   the surplus: the overwriting operations of it, each followed by the reads that it serves, in
//!   any order, for each makes its own state and none is seen afterwards. So the surplus must
//!   consist of operations that overwrite everything and of pure ones that those serve.

use crate::search::mask::Mask;
use crate::search::states::StateId;
use crate::search::unknowns::UsedSets;

use super::Configuration;
use super::frame::Frame;

#[derive(Clone, Debug)]
pub(super) struct Node<K: Mask> {
    pub(super) configuration: Configuration<K>,
    /// What could be put off.
    pub(super) removable: K,
    /// Whether nobody came who can do all that this one can.
    pub(super) is_alive: bool,
}

/// Of the nodes with one state so many are compared with a newcomer: beyond, the comparing would
/// take longer than the search that it saves.
const COMPARED_MAX: usize = 128;

/// Nodes in the order in which they came, and by state.
#[derive(Debug)]
pub(super) struct Antichain<K: Mask> {
    nodes: Vec<Node<K>>,
    /// The nodes of each state that are alive.
    by_state: Vec<Vec<u32>>,
    /// The states that have any.
    touched: Vec<StateId>,
}

impl<K: Mask> Antichain<K> {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), by_state: Vec::new(), touched: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        for state in self.touched.drain(..) {
            self.by_state[state as usize].clear();
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Node<K>> {
        self.nodes.get(index)
    }

    /// Takes the configurations that are alive.
    pub(super) fn take(&mut self) -> Vec<Configuration<K>> {
        let alive = self.nodes.drain(..).filter(|node| node.is_alive);
        alive.map(|node| node.configuration).collect()
    }

    /// Adds a node, unless another can do all that it can. Of nodes that differ only in what they
    /// used no more than `few` are kept; false if one is left out for that.
    pub(super) fn insert(
        &mut self,
        node: Node<K>,
        frame: &Frame<K>,
        used_sets: &UsedSets,
        few: usize,
    ) -> bool {
        let state = node.configuration.state as usize;
        if self.by_state.len() <= state {
            self.by_state.resize_with(state + 1, Vec::new);
        }
        let peers = &mut self.by_state[state];
        if peers.is_empty() {
            self.touched.push(state as StateId);
        }
        let compared = peers.len().saturating_sub(COMPARED_MAX);
        let mut alike = 0;
        for peer in &peers[compared..] {
            let peer = &self.nodes[*peer as usize];
            if is_dominated(&node, peer, frame, used_sets) {
                return true;
            }
            alike += usize::from(peer.configuration.mask == node.configuration.mask);
        }
        if alike >= few {
            return false;
        }
        let mut place = 0;
        peers.retain(|peer| {
            place += 1;
            let peer = &mut self.nodes[*peer as usize];
            if place > compared && is_dominated(peer, &node, frame, used_sets) {
                peer.is_alive = false;
            }
            peer.is_alive
        });
        peers.push(self.nodes.len() as u32);
        self.nodes.push(node);
        true
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        let heap = self.nodes.first().map_or(0, |node| 2 * node.removable.heap_bytes());
        (self.nodes.len() * (size_of::<Node<K>>() + 8 + heap) + self.by_state.len() * 24) as u64
    }
}

/// Whether `a` can do all that `b` can; their states are the same.
fn is_dominated<K: Mask>(b: &Node<K>, a: &Node<K>, frame: &Frame<K>, used_sets: &UsedSets) -> bool {
    let (more, less) = (&b.configuration, &a.configuration);
    let surplus = more.mask.minus(&less.mask);
    if !surplus.is_subset(&b.removable)
        || !less.mask.minus(&more.mask).is_subset(frame.pure())
        || !used_sets.is_subset(less.used, more.used)
    {
        return false;
    }
    let reads = surplus.and(frame.pure());
    reads.is_empty() || reads.is_subset(&frame.served_by(&surplus))
}
