//! Sets of unknowns, as lists of members and as counts by kind.

use super::*;

fn set_of(sets: &mut UsedSets, members: &[usize]) -> UsedId {
    members.iter().fold(NONE_USED, |used, member| sets.with(used, *member))
}

#[test]
fn sets_have_what_they_were_given_and_are_parts_of_larger_ones() {
    // Of two kinds in turns; of each the first comes first.
    for mut sets in [UsedSets::new(), UsedSets::in_order([7, 3, 7, 3, 7].into_iter())] {
        let (few, more) = (set_of(&mut sets, &[0, 1]), set_of(&mut sets, &[1, 0, 3, 2]));
        let other = set_of(&mut sets, &[0, 2]);
        for (used, members) in [(few, &[0, 1][..]), (more, &[0, 1, 2, 3]), (other, &[0, 2])] {
            let has: Vec<usize> = (0..5).filter(|rank| sets.has(used, *rank)).collect();
            assert_eq!((has.as_slice(), sets.count(used) as usize), (members, members.len()));
        }
        assert!(sets.is_subset(NONE_USED, few) && sets.is_subset(few, few));
        assert!(sets.is_subset(few, more) && sets.is_subset(other, more));
        assert!(!sets.is_subset(more, few) && !sets.is_subset(few, other));
        assert!(!sets.is_subset(other, few) && !sets.is_subset(few, NONE_USED));
        assert_eq!(set_of(&mut sets, &[1, 0]), few, "equal sets have one number");
    }
}

#[test]
fn the_next_of_each_kind_are_those_that_no_set_has_yet() {
    let mut sets = UsedSets::in_order([7, 3, 7, 3, 7].into_iter());
    for (members, expected) in
        [(&[][..], &[0, 1][..]), (&[0], &[1, 2]), (&[0, 2], &[1, 4]), (&[0, 1, 2, 3, 4], &[])]
    {
        let used = set_of(&mut sets, members);
        assert_eq!(sets.next_of_each(used).as_deref(), Some(expected), "{members:?}");
    }
    assert_eq!(UsedSets::new().next_of_each(NONE_USED), None);
}

#[test]
fn what_all_have_is_set_apart_and_nothing_else() {
    let mut sets = UsedSets::new();
    let mut left = [&[0, 1, 4][..], &[0, 2, 4], &[0, 1, 2, 4]].map(|set| set_of(&mut sets, set));
    set_of(&mut sets, &[3]);
    for again in 0..2 {
        sets.sweep(left.iter_mut());
        let spent: Vec<usize> = (0..6).filter(|rank| sets.is_spent(*rank)).collect();
        assert_eq!(spent, [0, 4], "sweep {again}");
        for (used, members) in left.iter().zip([&[0, 1, 4][..], &[0, 2, 4], &[0, 1, 2, 4]]) {
            let has: Vec<usize> = (0..6).filter(|rank| sets.has(*used, *rank)).collect();
            assert_eq!(has, members, "sweep {again}");
        }
        assert!(sets.is_subset(left[0], left[2]) && !sets.is_subset(left[0], left[1]));
    }
}
