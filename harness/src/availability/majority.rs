//! When a majority of the nodes was connected, for certain.
//!
//! A majority is connected if more than half of the nodes are whole and every two of them reach each
//! other, in both directions. That is narrow on purpose: some systems serve with less, but all must
//! serve with that. What a fault leaves in doubt counts against it: a fault hinders from when it was
//! begun to be installed until it was undone; one that was not undone for certain hinders for good; a
//! node that a fault is about is not whole, unless the fault says which links it cuts; and a fault that
//! says neither hinders all.

use checker::history::Recording;

use crate::remarks::{self, Inflicted, Inflicting};

/// A time in which a majority was connected: from the one instant to before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Stretch {
    pub(super) fn length(&self) -> u64 {
        self.until - self.from
    }

    pub(super) fn holds(&self, time: u64) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// The end of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heal {
    pub(super) fault: String,
    pub(super) time: u64,
}

/// What the nemesis' edges say of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) stretches: Vec<Stretch>,
    pub(super) heals: Vec<Heal>,
}

/// What a fault hinders. Nodes are bits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Extent {
    Nodes(u32),
    Links(Vec<(u32, u32)>),
    All,
}

struct Hindrance {
    from: u64,
    until: u64,
    extent: Extent,
}

/// Tells when a majority was connected between two instants, and which faults ended when.
pub(super) fn course(recording: &Recording, nodes: u64, start: u64, end: u64) -> Course {
    let (hindrances, heals) = hindrances(recording);
    let mut bounds: Vec<u64> = hindrances
        .iter()
        .flat_map(|it| [it.from, it.until])
        .filter(|bound| (start..end).contains(bound))
        .chain([start, end])
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut stretches: Vec<Stretch> = Vec::new();
    for pair in bounds.windows(2) {
        let (from, until) = (pair[0], pair[1]);
        let in_force = hindrances.iter().filter(|it| it.from <= from && from < it.until);
        if !is_connected(nodes, in_force.map(|it| &it.extent)) {
            continue;
        }
        match stretches.last_mut() {
            Some(last) if last.until == from => last.until = until,
            _ => stretches.push(Stretch { from, until }),
        }
    }
    if let Some(last) = stretches.last_mut().filter(|last| last.until == end) {
        // The last event is part of it.
        last.until += 1;
    }
    Course { stretches, heals }
}

/// Reads which faults hindered what, and which ended when.
fn hindrances(recording: &Recording) -> (Vec<Hindrance>, Vec<Heal>) {
    let mut hindrances = Vec::new();
    let mut heals = Vec::new();
    for fault in remarks::inflicted(recording) {
        if fault.result == Inflicting::Skipped {
            continue;
        }
        let until = fault.until.filter(|_| fault.is_undone);
        let extent = extent(&fault);
        hindrances.push(Hindrance { from: fault.from, until: until.unwrap_or(u64::MAX), extent });
        heals.extend(until.map(|time| Heal { fault: fault.fault, time }));
    }
    heals.sort_by_key(|heal| heal.time);
    (hindrances, heals)
}

fn extent(fault: &Inflicted) -> Extent {
    let bit = |node: &String| {
        let number = node.strip_prefix('n')?.parse::<u32>().ok()?;
        (1..=u32::BITS).contains(&number).then(|| 1 << (number - 1))
    };
    let Some(cut) = &fault.cut else { return Extent::All };
    if !cut.is_empty() {
        let links = cut.iter().map(|(from, to)| Some((bit(from)?, bit(to)?)));
        return links.collect::<Option<_>>().map_or(Extent::All, Extent::Links);
    }
    let bits = fault.nodes.iter().map(bit).collect::<Option<Vec<u32>>>().unwrap_or_default();
    match bits.iter().fold(0, |all, bit| all | bit) {
        0 => Extent::All,
        nodes => Extent::Nodes(nodes),
    }
}

/// Tells whether more than half of the nodes are whole and reach each other.
fn is_connected<'a>(nodes: u64, in_force: impl Iterator<Item = &'a Extent>) -> bool {
    let count = u32::try_from(nodes).unwrap_or(u32::BITS).min(u32::BITS);
    let mut whole = u32::MAX.checked_shr(u32::BITS - count).unwrap_or(0);
    let mut cut = Vec::new();
    for extent in in_force {
        match extent {
            Extent::All => return false,
            Extent::Nodes(nodes) => whole &= !nodes,
            Extent::Links(links) => cut.extend(links),
        }
    }
    // By node, those that it reaches and that reach it.
    let mut reached = vec![u32::MAX; u32::BITS as usize];
    for (from, to) in cut {
        reached[from.trailing_zeros() as usize] &= !to;
        reached[to.trailing_zeros() as usize] &= !from;
    }
    has_clique(&reached, whole, count / 2 + 1)
}

/// Tells whether so many of these nodes all reach each other.
fn has_clique(reached: &[u32], mut among: u32, size: u32) -> bool {
    if size == 0 {
        return true;
    }
    while among.count_ones() >= size {
        let node = among.trailing_zeros();
        among &= !(1 << node);
        if has_clique(reached, among & reached[node as usize], size - 1) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(pairs: &[(u32, u32)]) -> Extent {
        Extent::Links(pairs.iter().map(|(from, to)| (1 << (from - 1), 1 << (to - 1))).collect())
    }

    fn both_ways(one: &[u32], other: &[u32]) -> Vec<(u32, u32)> {
        let pairs = one.iter().flat_map(|a| other.iter().flat_map(move |b| [(*a, *b), (*b, *a)]));
        pairs.collect()
    }

    #[test]
    fn a_majority_is_nodes_that_all_reach_each_other() {
        let bits =
            |nodes: &[u32]| Extent::Nodes(nodes.iter().fold(0, |all, it| all | 1 << (it - 1)));
        let cases = [
            (5, vec![], true),
            (1, vec![], true),
            (1, vec![bits(&[1])], false),
            (5, vec![bits(&[1, 2])], true),
            (5, vec![bits(&[1, 2]), bits(&[2, 3])], false),
            (4, vec![bits(&[1])], true),
            (4, vec![bits(&[1]), bits(&[2])], false),
            (5, vec![Extent::All], false),
            // Halves, of which one is a majority; and a hole in that one.
            (5, vec![links(&both_ways(&[1, 2], &[3, 4, 5]))], true),
            (5, vec![links(&both_ways(&[1, 2], &[3, 4, 5])), bits(&[4])], false),
            (5, vec![links(&both_ways(&[1, 2], &[3, 4, 5])), links(&[(3, 5)])], false),
            // A bridge: two halves that share a node.
            (5, vec![links(&both_ways(&[1, 2], &[4, 5]))], true),
            // A ring: everybody reaches a majority, and no majority reaches itself.
            (5, vec![links(&[(1, 3), (2, 4), (3, 5), (4, 1), (5, 2)])], false),
            // One direction is enough to break it.
            (3, vec![links(&[(1, 2), (1, 3)])], true),
            (3, vec![links(&[(1, 2), (1, 3), (2, 3)])], false),
            (15, vec![bits(&[1, 2, 3, 4, 5, 6, 7])], true),
        ];
        for (nodes, extents, expected) in cases {
            assert_eq!(is_connected(nodes, extents.iter()), expected, "{nodes} {extents:?}");
        }
    }

    #[test]
    fn a_fault_hinders_what_it_names_and_in_doubt_everything() {
        let link = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let cases = [
            (vec!["n1", "n3"], Some(vec![]), Extent::Nodes(0b101)),
            (vec!["n1"], Some(vec![link("n1", "n2")]), links(&[(1, 2)])),
            (vec![], Some(vec![]), Extent::All),
            (vec!["x"], Some(vec![]), Extent::All),
            (vec!["n1"], None, Extent::All),
            (vec!["n1"], Some(vec![link("first", "n2")]), Extent::All),
        ];
        for (nodes, cut, expected) in cases {
            let fault = Inflicted {
                family: "kill".into(),
                fault: "kill".into(),
                nodes: nodes.into_iter().map(str::to_owned).collect(),
                cut,
                result: Inflicting::Installed,
                is_leader_hit: false,
                from: 0,
                until: None,
                is_undone: false,
            };
            assert_eq!(extent(&fault), expected, "{fault:?}");
        }
    }
}
