//! Damage to a log that has a snapshot: nothing is taken for granted, and nothing instead of it.

use super::snapshots::{SEGMENT, check, compacting, entries, saved, voted};
use super::*;

/// Returns a disk with a compacted log of several segments and a snapshot.
fn compacted() -> Simulated {
    check(|disk| {
        let first = appending(1, entries(1, 1..=12));
        let second = appending(1, entries(1, 13..=16));
        vec![voted(1), first, saved(disk, 9, 1), compacting(9), second]
    })
}

#[test]
fn every_bit_of_a_snapshot_and_of_what_is_durable_counts() {
    let disk = compacted();
    let (segments, snapshot) = (segments(&disk), snapshot::name(LogIndex(9)));
    assert!(segments[0] > 1 && segments.len() > 3, "{segments:?}");
    let durable = segments[..segments.len() - 1].iter().map(|&segment| segment::name(segment));
    for name in durable.chain([snapshot]) {
        let image = disk.bytes(&name);
        for bit in 0..image.len() * 8 {
            let mut bytes = image.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match open(&disk.with(&name, bytes), SEGMENT) {
                Err(StorageError::Damaged { file, .. }) => assert_eq!(file, name),
                Err(StorageError::Version { .. }) => assert_eq!(bit / 8, 7),
                other => panic!("{name}, bit {bit}: {other:?}"),
            }
        }
        for bytes in [&image[..image.len() - 1], &image[..10], &[], &[&image[..], &[0]].concat()] {
            let opened = open(&disk.with(&name, bytes.to_vec()), SEGMENT);
            assert!(matches!(opened, Err(StorageError::Damaged { .. })), "{name}: {opened:?}");
        }
    }
}

#[test]
fn damage_to_the_last_segment_is_refused_or_cut_off() {
    let disk = compacted();
    let name = segment::name(*segments(&disk).last().unwrap());
    let (image, whole) = (disk.bytes(&name), open(&disk, SEGMENT).unwrap().1);
    for bit in 0..image.len() * 8 {
        let mut bytes = image.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match open(&disk.with(&name, bytes), SEGMENT) {
            Err(StorageError::Damaged { .. } | StorageError::Version { .. }) => {}
            Err(error) => panic!("bit {bit}: {error}"),
            Ok((_, recovered)) => {
                assert!(whole.core.entries.starts_with(&recovered.core.entries), "bit {bit}");
                assert!(recovered.torn.is_some(), "bit {bit}");
            }
        }
    }
}

#[test]
fn what_is_missing_is_missed() {
    let disk = compacted();
    let segments = segments(&disk);
    let all_but_last = segments[..segments.len() - 1].iter();
    let needed = all_but_last.map(|&segment| segment::name(segment));
    for name in needed.chain([snapshot::name(LogIndex(9))]) {
        match open(&disk.without(&name), SEGMENT) {
            Err(StorageError::Damaged { file, offset: 0, damage: Damage::Missing }) => {
                assert_eq!(file, name);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let headless =
        segments.iter().fold(disk, |disk, &segment| disk.without(&segment::name(segment)));
    let opened = open(&headless, SEGMENT);
    assert!(matches!(opened, Err(StorageError::Damaged { damage: Damage::Missing, .. })));
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    let disk = compacted();
    // Sound, but not what is on record.
    snapshot::write(&mut disk.clone(), &model::snapshot(9, 3), b"").unwrap();
    let opened = open(&disk, SEGMENT);
    assert!(matches!(opened, Err(StorageError::Damaged { damage: Damage::Header, .. })));

    // On record, but contradicted by the entry that it ends with.
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, 1024).unwrap();
    wal.append(&[voted(2), appending(1, entries(1, 1..=6)), saved(&disk, 5, 2)]).unwrap();
    let opened = open(&disk, 1024);
    assert!(matches!(opened, Err(StorageError::Damaged { damage: Damage::Order, .. })));
}

/// A header is believed only where there is nothing to hold against it.
#[test]
fn a_segment_that_was_told_something_else_is_refused() {
    let disk = compacted();
    let number = segments(&disk)[1];
    let name = segment::name(number);
    let image = disk.bytes(&name);
    let told = segment::Header::read(number, &image).unwrap();
    type Lie = fn(&mut segment::Header);
    let lies: [Lie; 5] = [
        |told| told.records_before += 1,
        |told| told.outline.hard_state.term = Term(9),
        |told| told.outline.hard_state.vote = None,
        |told| told.outline.last = LogIndex(99),
        |told| told.outline.snapshot = Some(outline::SnapshotId::of(&model::snapshot(1, 1))),
    ];
    for (place, lie) in lies.into_iter().enumerate() {
        let mut lied = told;
        lie(&mut lied);
        let mut bytes = image.clone();
        bytes[..segment::HEADER].copy_from_slice(&lied.encode());
        let opened = open(&disk.with(&name, bytes), SEGMENT);
        assert!(
            matches!(opened, Err(StorageError::Damaged { damage: Damage::Lost, .. })),
            "lie {place}: {opened:?}"
        );
    }
}

#[test]
fn another_version_is_told_from_damage() {
    let disk = compacted();
    for name in [segment::name(segments(&disk)[0]), snapshot::name(LogIndex(9))] {
        let mut bytes = disk.bytes(&name);
        bytes[7] = 77;
        let known = disk.bytes(&name)[7];
        let error = open(&disk.with(&name, bytes), SEGMENT).unwrap_err().to_string();
        let expected = format!(
            "{name} is of version 77 of its format, and this program reads version {known}"
        );
        assert_eq!(error, expected);
    }
}
