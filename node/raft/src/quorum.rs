//! The arithmetic of majorities.

/// Returns whether `count` of `members` is a majority; of nobody there is none.
pub(crate) fn is_majority(count: usize, members: usize) -> bool {
    count > members / 2
}

/// Returns the greatest value that a majority has reached, given every member's value in any order,
/// or `None` if there are no members.
pub(crate) fn reached_by_majority<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    // All but half, rounded down, of the members are at or above it: a majority.
    let below = values.len().checked_sub(values.len() / 2 + 1)?;
    Some(values[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        for (members, least) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            assert!(is_majority(least, members), "{least} of {members}");
            assert!(!is_majority(least - 1, members), "{} of {members}", least - 1);
        }
    }

    #[test]
    fn the_value_reached_does_not_depend_on_the_order() {
        let cases: [(&[u64], Option<u64>); 9] = [
            (&[], None),
            (&[7], Some(7)),
            (&[7, 0], Some(0)),
            (&[9, 5, 1], Some(5)),
            (&[1, 9, 5], Some(5)),
            (&[5, 1, 9], Some(5)),
            (&[3, 3, 8, 8], Some(3)),
            (&[8, 2, 8, 2, 5], Some(5)),
            (&[0, 0, 9, 9, 9], Some(9)),
        ];
        for (values, expected) in cases {
            assert_eq!(reached_by_majority(values.iter().copied()), expected, "{values:?}");
        }
    }
}
