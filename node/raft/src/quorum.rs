//! The arithmetic of majorities.

/// Returns how many of `members` make a majority.
pub(crate) fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// Returns the greatest value that a majority has reached, given every member's value in any order.
///
/// # Panics
/// If there are no members.
pub(crate) fn reached_by_majority<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values[values.len() - majority(values.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        for (members, expected) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            assert_eq!(majority(members), expected, "of {members}");
        }
    }

    #[test]
    fn the_value_reached_does_not_depend_on_the_order() {
        let cases: [(&[u64], u64); 8] = [
            (&[7], 7),
            (&[7, 0], 0),
            (&[9, 5, 1], 5),
            (&[1, 9, 5], 5),
            (&[5, 1, 9], 5),
            (&[3, 3, 8, 8], 3),
            (&[8, 2, 8, 2, 5], 5),
            (&[0, 0, 9, 9, 9], 9),
        ];
        for (values, expected) in cases {
            assert_eq!(reached_by_majority(values.iter().copied()), expected, "{values:?}");
        }
    }
}
