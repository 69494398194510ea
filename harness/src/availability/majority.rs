//! When a majority of the nodes was connected, for certain.
//!
//! A majority is connected if more than half of the members are whole and every two of them reach each
//! other, in both directions. That is narrow on purpose: some systems serve with less, but all must
//! serve with that. What a fault leaves in doubt counts against it: a fault hinders from when it was
//! begun to be installed until it was undone; one that was not undone for certain hinders for good; a
//! node that a fault is about is not whole, unless the fault says which links it cuts; and a fault that
//! says neither hinders all.
//!
//! Members are those who began the cluster, until an edge says who they are now. While that changes, or
//! is in doubt, only those who are members either way count, and they have to be more than half of all
//! who may be: that is a majority, whoever the members are.

use checker::history::Recording;

use crate::remarks::{self, Inflicted, Inflicting};
use crate::system::NodeId;

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
    /// From when on which nodes, as bits, are of a connected majority; in order.
    serving: Vec<(u64, u32)>,
}

impl Course {
    /// Tells whether a node is one of a connected majority at that time, for certain.
    pub(super) fn serves(&self, node: NodeId, time: u64) -> bool {
        let place = self.serving.partition_point(|&(from, _)| from <= time);
        let serving = place.checked_sub(1).map_or(0, |place| self.serving[place].1);
        bit(node).is_some_and(|bit| serving & bit != 0)
    }
}

/// Who votes; nodes are bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Electorate {
    /// When it may have begun to take the place of the one before.
    since: u64,
    /// From when on it has.
    at: u64,
    /// Who votes for certain.
    certain: u32,
    /// Who votes for certain, and who may.
    possible: u32,
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
    let electorates = electorates(recording, nodes);
    let changes = electorates.iter().flat_map(|it| [it.since, it.at]);
    let mut bounds: Vec<u64> = hindrances
        .iter()
        .flat_map(|it| [it.from, it.until])
        .chain(changes)
        .filter(|bound| (start..end).contains(bound))
        .chain([start, end])
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut serving = Vec::with_capacity(bounds.len());
    for pair in bounds.windows(2) {
        let (from, until) = (pair[0], pair[1]);
        let in_force = hindrances.iter().filter(|it| it.from <= from && from < it.until);
        let connected = connected(electorate_at(&electorates, from), in_force.map(|it| &it.extent));
        serving.push((from, connected));
        if connected == 0 {
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
    Course { stretches, heals, serving }
}

/// Reads who votes from when on, beginning with those who began the cluster.
fn electorates(recording: &Recording, nodes: u64) -> Vec<Electorate> {
    let count = u32::try_from(nodes).unwrap_or(u32::BITS).min(u32::BITS);
    let founders = u32::MAX.checked_shr(u32::BITS - count).unwrap_or(0);
    let founded = Electorate { since: 0, at: 0, certain: founders, possible: founders };
    let later = remarks::electorates(recording).into_iter().map(|it| {
        let (certain, possible) = match (bits(&it.members), bits(&it.doubtful)) {
            (Some(members), Some(doubtful)) => (members & !doubtful, members | doubtful),
            _ => (0, u32::MAX),
        };
        Electorate { since: it.since, at: it.at, certain, possible }
    });
    std::iter::once(founded).chain(later).collect()
}

/// Returns the electorate at a time; while one takes the place of another, what both have in common.
fn electorate_at(electorates: &[Electorate], time: u64) -> Electorate {
    let next = electorates.partition_point(|it| it.at <= time).max(1);
    let coming = electorates[next..].iter().filter(|it| it.since <= time);
    coming.fold(electorates[next - 1], |now, next| Electorate {
        certain: now.certain & next.certain,
        possible: now.possible | next.possible,
        ..now
    })
}

fn bit(node: NodeId) -> Option<u32> {
    let number = u32::try_from(node.number()).ok()?;
    (1..=u32::BITS).contains(&number).then(|| 1 << (number - 1))
}

/// Returns nodes as bits, if all of them can be.
fn bits(names: &[String]) -> Option<u32> {
    names.iter().map(|name| bit(name.parse().ok()?)).try_fold(0, |all, bit| Some(all | bit?))
}

/// Reads which faults hindered what, and which ended when.
fn hindrances(recording: &Recording) -> (Vec<Hindrance>, Vec<Heal>) {
    let mut hindrances = Vec::new();
    let mut heals = Vec::new();
    for fault in remarks::inflicted(recording) {
        // A node that was down for what did not come about was missing for all that.
        if fault.result == Inflicting::Skipped && fault.nodes.is_empty() {
            continue;
        }
        let until = fault.until.filter(|_| fault.is_over);
        let extent = extent(&fault);
        hindrances.push(Hindrance { from: fault.from, until: until.unwrap_or(u64::MAX), extent });
        heals.extend(until.map(|time| Heal { fault: fault.fault, time }));
    }
    heals.sort_by_key(|heal| heal.time);
    (hindrances, heals)
}

fn extent(fault: &Inflicted) -> Extent {
    let Some(cut) = &fault.cut else { return Extent::All };
    if !cut.is_empty() {
        let node = |name: &str| bit(name.parse().ok()?);
        let links = cut.iter().map(|(from, to)| Some((node(from)?, node(to)?)));
        return links.collect::<Option<_>>().map_or(Extent::All, Extent::Links);
    }
    match bits(&fault.nodes).unwrap_or(0) {
        0 => Extent::All,
        nodes => Extent::Nodes(nodes),
    }
}

/// Returns who is of a majority that is whole and whose nodes reach each other; nobody if there is none.
fn connected<'a>(electorate: Electorate, in_force: impl Iterator<Item = &'a Extent>) -> u32 {
    let mut whole = electorate.certain;
    let mut cut = Vec::new();
    for extent in in_force {
        match extent {
            Extent::All => return 0,
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
    let others = electorate.possible.count_ones() / 2;
    let is_of_majority = |node: &u32| {
        let peers = whole & reached[node.trailing_zeros() as usize] & !node;
        has_clique(&reached, peers, others)
    };
    let nodes = (0..u32::BITS).map(|place| 1 << place).filter(|node| whole & node != 0);
    nodes.filter(is_of_majority).sum()
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
    use checker::history::{Format, read_bytes};

    use super::*;

    fn founders(nodes: u64) -> Electorate {
        electorates(&read_bytes("none", b"", Some(Format::Jsonl)).unwrap(), nodes)[0]
    }

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
            let connected = connected(founders(nodes), extents.iter());
            assert_eq!(connected != 0, expected, "{nodes} {extents:?}");
        }
    }

    #[test]
    fn who_is_of_a_connected_majority_is_known() {
        let alone = links(&both_ways(&[1], &[2, 3, 4, 5]));
        assert_eq!(connected(founders(5), [alone.clone()].iter()), 0b11110);
        let dead = Extent::Nodes(0b10000);
        assert_eq!(connected(founders(5), [alone, dead].iter()), 0b01110);
        let course = Course { serving: vec![(5, 0b11), (10, 0b10)], ..Course::default() };
        let serves = |node, time| course.serves(NodeId::new(node), time);
        assert_eq!(
            [serves(1, 4), serves(1, 9), serves(1, 10), serves(2, 99)],
            [false, true, false, true]
        );
    }

    #[test]
    fn only_who_votes_whatever_became_of_a_change_counts_while_it_goes_on() {
        let five = founders(5);
        let grown = Electorate { since: 10, at: 20, certain: 0b11_1111, possible: 0b11_1111 };
        let moved = Electorate { since: 30, at: 40, certain: 0b11_1110, possible: 0b11_1111 };
        let all = [five, grown, moved];
        let at = |time| {
            let it = electorate_at(&all, time);
            (it.certain, it.possible)
        };
        assert_eq!(at(9), (0b1_1111, 0b1_1111));
        assert_eq!(at(10), (0b1_1111, 0b11_1111));
        assert_eq!([at(20), at(29)], [(0b11_1111, 0b11_1111); 2]);
        assert_eq!([at(30), at(40)], [(0b11_1110, 0b11_1111); 2]);
        // Three are most of five, and not of six of whom one is in doubt.
        assert_ne!(connected(five, [Extent::Nodes(0b11)].iter()), 0);
        assert_eq!(connected(moved, [Extent::Nodes(0b110)].iter()), 0);
    }

    #[test]
    fn who_votes_is_read_from_the_edges_that_tell() {
        let text = r#"
{"time":90,"process":"nemesis","type":"info","f":"membership","value":{"edge":"begin","fault":"grow","nodes":["n4"],"result":"installed","took_ns":80,"members":["n1","n2","n3","n4"],"doubtful":["n3","n5"]}}
{"time":99,"process":"nemesis","type":"info","f":"kill","value":{"edge":"begin","fault":"kill one","nodes":["n1"],"cut":[],"result":"installed","took_ns":1}}
"#;
        let recording = read_bytes("m", text.as_bytes(), Some(Format::Jsonl)).unwrap();
        let three = Electorate { since: 0, at: 0, certain: 0b111, possible: 0b111 };
        let four = Electorate { since: 10, at: 90, certain: 0b1011, possible: 0b1_1111 };
        assert_eq!(electorates(&recording, 3), [three, four]);
    }

    #[test]
    fn who_is_down_for_what_is_skipped_hinders_until_then() {
        let text = r#"
{"time":90,"process":"nemesis","type":"info","f":"membership","value":{"edge":"begin","fault":"shrink by one","nodes":["n1"],"cut":[],"result":{"skipped":"refused"},"took_ns":80}}
{"time":95,"process":"nemesis","type":"info","f":"pause","value":{"edge":"begin","fault":"pause one","nodes":[],"cut":[],"result":{"skipped":"?"},"took_ns":9}}
"#;
        let recording = read_bytes("m", text.as_bytes(), Some(Format::Jsonl)).unwrap();
        let (found, _) = hindrances(&recording);
        let found: Vec<_> = found.into_iter().map(|it| (it.from, it.until, it.extent)).collect();
        assert_eq!(found, [(10, 90, Extent::Nodes(0b1))]);
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
                is_in_vain: false,
                is_leader_hit: false,
                from: 0,
                until: None,
                is_over: false,
            };
            assert_eq!(extent(&fault), expected, "{fault:?}");
        }
    }
}
