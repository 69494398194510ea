//! Random storms over a small cluster: messages are lost, doubled and reordered, disks lag, nodes
//! crash and lose what was not durable. After every step the cluster checks what must hold across
//! nodes, and that no read is answered before everything committed at its arrival is applied.

use crate::cluster::{Cluster, Settings};
use raft::{Input, Limits, NodeId, RequestId};

const STORMS: u64 = 600;
const STEPS: u64 = 1000;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// What a storm achieved, to see that it was not just noise.
#[derive(Default)]
struct Achieved {
    entries: u64,
    reads: u64,
    terms: u64,
}

fn storm(seed: u64) -> Achieved {
    let mut random = Random(seed);
    let size = [3, 3, 5][random.below(3) as usize];
    let limits = Limits { entries_per_message: 2, entries_in_flight: 4, ..Limits::default() };
    let settings =
        Settings { limits, pre_vote: random.below(2) == 0, check_quorum: random.below(2) == 0 };
    let mut cluster = Cluster::new(size, settings);
    // Each storm has its own temper: how likely messages are lost or doubled and nodes crash.
    let (loss, doubling, crashes) = (random.below(15), random.below(20), random.below(3));
    // How much faster time passes than messages travel.
    let impatience = 1 + random.below(5);
    let mut story = vec![];
    for step in 0..STEPS {
        let id = NodeId(1 + random.below(size));
        match random.below(100) {
            0..25 => {
                for _ in 0..1 + random.below(impatience) {
                    cluster.feed(id, Input::Tick, &mut story);
                }
            }
            25..72 => disturb_and_deliver(&mut cluster, id, (loss, doubling), &mut random),
            72..80 => {
                let command = format!("c{step}").into_bytes().into();
                let propose = Input::Propose { request: RequestId(step), command };
                cluster.feed(id, propose, &mut story);
            }
            80..86 => cluster.feed(id, Input::Read { request: RequestId(step) }, &mut story),
            86 => {
                let to = NodeId(1 + random.below(size));
                let transfer = Input::TransferLeadership { request: RequestId(step), to };
                cluster.feed(id, transfer, &mut story);
            }
            87..90 => hold_or_sync(&mut cluster, id, true),
            90..95 => {
                hold_or_sync(&mut cluster, id, false);
                cluster.sync(id, 1 + random.below(3) as usize, &mut story);
            }
            _ => match cluster.replica(id) {
                None => cluster.start(id),
                Some(_) if random.below(10) < crashes => cluster.crash(id),
                Some(_) => {}
            },
        }
        story.clear();
    }
    Achieved {
        entries: cluster.committed.len() as u64,
        reads: cluster.reads_answered,
        terms: cluster
            .ids()
            .iter()
            .filter_map(|&id| cluster.replica(id))
            .map(|r| r.term().0)
            .max()
            .unwrap_or(0),
    }
}

fn hold_or_sync(cluster: &mut Cluster, id: NodeId, holds: bool) {
    if let Some(node) = cluster.nodes.get_mut(&id) {
        node.holds_disk = holds;
    }
}

/// Delivers what is under way to a node, after some of it was lost, doubled or put out of order.
fn disturb_and_deliver(
    cluster: &mut Cluster,
    to: NodeId,
    (loss, doubling): (u64, u64),
    random: &mut Random,
) {
    for (link, messages) in &mut cluster.links {
        if link.1 != to || messages.is_empty() {
            continue;
        }
        if random.below(100) < loss {
            messages.pop_front();
        }
        if random.below(100) < doubling
            && let Some(message) = messages.back().cloned()
        {
            messages.push_front(message);
        }
        if random.below(100) < doubling {
            messages.rotate_left(messages.len() / 2);
        }
    }
    let count = 1 + random.below(8) as usize;
    cluster.deliver(|link| link.1 == to, count, &mut vec![]);
}

#[test]
fn random_storms_break_nothing() {
    let mut total = Achieved::default();
    for seed in 0..STORMS {
        let achieved = std::panic::catch_unwind(|| storm(seed))
            .unwrap_or_else(|_| panic!("the storm of seed {seed} broke an invariant"));
        total.entries += achieved.entries;
        total.reads += achieved.reads;
        total.terms += achieved.terms;
    }
    println!("{} entries, {} reads, {} terms", total.entries, total.reads, total.terms);
    // A storm in which nothing is ever committed or read proves nothing.
    assert!(total.entries > 10 * STORMS, "only {} entries committed", total.entries);
    assert!(total.reads > 2 * STORMS, "only {} reads answered", total.reads);
    assert!(total.terms > 5 * STORMS, "only {} terms", total.terms);
}
