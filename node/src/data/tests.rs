//! Whose a folder is, how its cluster began, and how often its node started.

use std::collections::BTreeSet;

use super::*;

/// A claim to a folder by node 1, for which `peers` names nodes 1 and 2.
fn claim(members: Option<&[u64]>) -> Claim {
    Claim {
        cluster: "storm".to_owned(),
        id: 1,
        members: members.map(|members| members.iter().copied().collect()),
        members_default: [1, 2].into(),
    }
}

/// Starts once: opens the folder, has a log made in it, and counts the start.
fn start(path: &Path, members: Option<&[u64]>) -> Result<(u64, BTreeSet<u64>), DataError> {
    let mut folder = DataFolder::open(path, claim(members))?;
    fs::write(folder.log().join("0000000000000001.wal"), "").unwrap();
    let starts = folder.identify(0)?;
    Ok((starts, folder.members().clone()))
}

#[test]
fn every_start_has_a_number_that_no_earlier_one_had() {
    let folder = tempfile::tempdir().unwrap();
    for expected in 1..=3 {
        assert_eq!(start(folder.path(), None).unwrap().0, expected);
    }
    let starts = folder.path().join(STARTS);
    for text in ["", "-1", "many", &u64::MAX.to_string()] {
        fs::write(&starts, text).unwrap();
        let error = start(folder.path(), None).unwrap_err();
        assert!(matches!(error, DataError::Uncounted { .. }), "{text:?}: {error}");
    }
    fs::write(&starts, "41").unwrap();
    assert_eq!(start(folder.path(), None).unwrap().0, 42);
}

#[test]
fn a_crash_before_the_folder_was_identified_leaves_a_number_that_is_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(start(folder.path(), None).unwrap().0, 1);
    fs::remove_file(folder.path().join(IDENTITY)).unwrap();
    assert_eq!(start(folder.path(), None).unwrap().0, 2);
}

#[test]
fn how_the_cluster_began_is_remembered_and_cannot_change() {
    // What is said at the first start and at the second; the outcome of the second.
    for (first, second, expected) in [
        (None, None, Some(&[1, 2][..])),
        (None, Some(&[1, 2][..]), Some(&[1, 2])),
        (Some(&[1, 2, 3][..]), None, Some(&[1, 2, 3])),
        (Some(&[1, 2, 3]), Some(&[1, 2]), None),
        (Some(&[]), None, Some(&[])),
        (Some(&[]), Some(&[]), Some(&[])),
        (Some(&[]), Some(&[1, 2]), None),
        (None, Some(&[]), None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        start(folder.path(), first).unwrap();
        match (start(folder.path(), second), expected) {
            (Ok((_, members)), Some(expected)) => {
                assert!(members.iter().eq(expected), "{first:?}, {second:?}: {members:?}");
            }
            (Err(DataError::Members { .. }), None) => {}
            (other, _) => panic!("{first:?}, {second:?}: {other:?}"),
        }
    }
}
