//! Partitions, by what each node still reaches.

use std::collections::BTreeMap;

use super::*;
use crate::seed::Seed;

/// Sizes of cluster that every topology must make sense for.
const SIZES: [u64; 6] = [3, 4, 5, 6, 7, 9];

/// What each node hears: itself, and everybody whose link to it is not cut.
type Hearing = BTreeMap<NodeId, BTreeSet<NodeId>>;

/// Draws many partitions of each size and hands each to `judge`.
fn check(topology: Topology, judge: impl Fn(&Census<'_>, &Cut, &Hearing)) {
    for size in SIZES {
        let nodes = NodeId::first(size);
        for draw in 0..40 {
            let census = Census { nodes: &nodes, leader: Some(NodeId::new(draw % size + 1)) };
            let cut = topology.cut(&census, &mut Seed::new(draw).generator()).unwrap();
            let hearing = nodes
                .iter()
                .map(|&to| {
                    let heard = nodes
                        .iter()
                        .copied()
                        .filter(|&from| !cut.links.contains(&Link { from, to }));
                    (to, heard.collect())
                })
                .collect();
            assert!(cut.links.iter().all(|link| link.from != link.to));
            judge(&census, &cut, &hearing);
        }
    }
}

fn is_mutual(hearing: &Hearing) -> bool {
    hearing.iter().all(|(node, heard)| heard.iter().all(|other| hearing[other].contains(node)))
}

#[test]
fn the_isolated_hear_each_other_and_nobody_else() {
    for target in [Target::One, Target::Minority, Target::Leader, Target::Follower] {
        check(Topology::Isolate(target), |census, cut, hearing| {
            assert!(is_mutual(hearing));
            for (node, heard) in hearing {
                let inside = cut.nodes.contains(node);
                let expected =
                    census.nodes.iter().filter(|other| cut.nodes.contains(other) == inside);
                assert!(heard.iter().eq(expected), "{node} hears {heard:?}");
            }
        });
    }
    check(Topology::Isolate(Target::Leader), |census, cut, _| {
        assert_eq!(cut.nodes, [census.leader.unwrap()]);
    });
}

#[test]
fn of_two_halves_exactly_one_is_a_majority() {
    check(Topology::Halves, |census, cut, hearing| {
        assert!(is_mutual(hearing));
        assert_eq!(cut.nodes.len(), census.minority());
        for (node, heard) in hearing {
            let inside = cut.nodes.contains(node);
            assert_eq!(heard.len() >= census.majority(), !inside, "{node}");
        }
    });
}

#[test]
fn random_halves_are_of_any_sizes_and_never_all() {
    check(Topology::RandomHalves, |census, cut, hearing| {
        assert!(is_mutual(hearing));
        assert!(!cut.nodes.is_empty() && cut.nodes.len() <= census.nodes.len() / 2);
        for (node, heard) in hearing {
            let inside = cut.nodes.contains(node);
            let side = if inside { cut.nodes.len() } else { census.nodes.len() - cut.nodes.len() };
            assert_eq!(heard.len(), side, "{node}");
        }
    });
    let nodes = NodeId::first(5);
    let census = Census { nodes: &nodes, leader: None };
    let size = |draw| {
        Topology::RandomHalves.cut(&census, &mut Seed::new(draw).generator()).unwrap().nodes.len()
    };
    assert_eq!((0..40).map(size).collect::<BTreeSet<_>>(), [1, 2].into());
}

#[test]
fn a_leader_with_its_clients_is_a_world_of_its_own() {
    check(Topology::LeaderWithClients, |census, cut, hearing| {
        let leader = census.leader.unwrap();
        assert_eq!(cut.nodes, [leader]);
        assert_eq!(hearing[&leader], [leader].into());
        assert_eq!(cut.clients.len(), census.nodes.len());
        for &node in census.nodes {
            assert_eq!(cut.clients.contains(&(Camp::First, node)), node != leader, "{node}");
            assert_eq!(cut.clients.contains(&(Camp::Second, node)), node == leader, "{node}");
        }
        assert_eq!(cut.wires().count(), cut.links.len() + cut.clients.len());
    });
}

#[test]
fn one_way_partitions_cut_one_way() {
    check(Topology::Outbound(Target::Leader), |census, _, hearing| {
        let leader = census.leader.unwrap();
        for (&node, heard) in hearing {
            assert_eq!(heard.contains(&leader), node == leader);
            let others = heard.iter().filter(|&&other| other != leader).count();
            assert_eq!(others, census.nodes.len() - 1);
        }
    });
    check(Topology::Inbound(Target::Leader), |census, _, hearing| {
        let leader = census.leader.unwrap();
        for (&node, heard) in hearing {
            let expected = if node == leader { 1 } else { census.nodes.len() };
            assert_eq!(heard.len(), expected);
        }
    });
}

#[test]
fn a_bridge_joins_two_halves_that_do_not_meet() {
    check(Topology::Bridge, |census, cut, hearing| {
        assert!(is_mutual(hearing));
        let bridge = cut.nodes[0];
        assert_eq!(hearing[&bridge].len(), census.nodes.len());
        let sides: BTreeSet<_> = hearing
            .iter()
            .filter(|(node, _)| **node != bridge)
            .map(|(_, heard)| heard.clone())
            .collect();
        let [one, other] = Vec::from_iter(sides).try_into().unwrap();
        assert_eq!(BTreeSet::from_iter(one.intersection(&other)), [&bridge].into());
        assert!(one.len().abs_diff(other.len()) <= 1);
    });
}

#[test]
fn in_a_ring_everybody_hears_a_majority_of_his_own() {
    check(Topology::MajoritiesRing, |census, _, hearing| {
        assert!(is_mutual(hearing));
        let mut seen = BTreeSet::new();
        for (node, heard) in hearing {
            assert!(heard.len() >= census.majority(), "{node} hears {heard:?}");
            assert!(seen.insert(heard), "two nodes hear {heard:?}");
        }
        if census.nodes.len() == 5 {
            assert!(hearing.values().all(|heard| heard.len() == 3));
        }
    });
}

#[test]
fn what_cannot_be_cut_is_not() {
    let topologies = [
        Topology::Halves,
        Topology::LeaderWithClients,
        Topology::Isolate(Target::All),
        Topology::Isolate(Target::Leader),
        Topology::Bridge,
        Topology::MajoritiesRing,
    ];
    for topology in topologies {
        for size in [1, 2] {
            let census = Census { nodes: &NodeId::first(size), leader: None };
            let cut = topology.cut(&census, &mut Seed::new(1).generator());
            assert!(cut.is_err(), "{topology} of {size}: {cut:?}");
        }
    }
}

#[test]
fn a_draw_decides_everything() {
    let nodes = NodeId::first(5);
    let census = Census { nodes: &nodes, leader: Some(NodeId::new(2)) };
    let cut =
        |draw| Topology::MajoritiesRing.cut(&census, &mut Seed::new(draw).generator()).unwrap();
    assert_eq!(cut(9), cut(9));
    let distinct: BTreeSet<_> = (0..40).map(|draw| cut(draw).links).collect();
    assert!(distinct.len() > 5, "{}", distinct.len());
}
