use std::sync::Arc;

use raft::{
    Entry, HardState, LogIndex, Membership, NodeId, Payload, Snapshot, Term, Write, WriteId,
};

use super::{Disk, DiskError, Job};
use crate::plan::CrashLoss;
use crate::random::Seed;

fn entry(index: u64, term: u64) -> Entry {
    Entry { index: LogIndex(index), term: Term(term), payload: Payload::Noop }
}

fn write(id: u64, truncate_from: Option<u64>, entries: Vec<Entry>) -> Job {
    let term = entries.last().map_or(1, |entry| entry.term.0);
    let write = Write {
        id: WriteId(id),
        hard_state: Some(HardState { term: Term(term), vote: None }),
        snapshot: None,
        truncate_from: truncate_from.map(LogIndex),
        entries,
        compact_upto: None,
    };
    Job::Write(write, None)
}

fn terms(disk: &Disk) -> Vec<u64> {
    disk.recover().0.entries.iter().map(|entry| entry.term.0).collect()
}

#[test]
fn one_sync_covers_what_was_written_before_it_began() {
    let mut disk = Disk::new();
    assert!(disk.submit(write(1, None, vec![entry(1, 1)])));
    assert!(!disk.submit(write(2, None, vec![entry(2, 1)])));
    assert_eq!(disk.complete(), Ok(Some(WriteId(1))));
    assert_eq!(terms(&disk), [1]);
    assert!(disk.begin_sync());
    assert_eq!(disk.complete(), Ok(Some(WriteId(2))));
    assert!(!disk.begin_sync());
}

#[test]
fn a_crash_leaves_a_beginning_of_what_was_under_way() {
    let mut seen = std::collections::BTreeSet::new();
    for (seed, loss) in (0..200)
        .flat_map(|seed| [CrashLoss::All, CrashLoss::Prefix, CrashLoss::Torn].map(|it| (seed, it)))
    {
        let mut disk = Disk::new();
        disk.submit(write(1, None, vec![entry(1, 1), entry(2, 1), entry(3, 1)]));
        disk.complete().unwrap();
        disk.submit(write(2, Some(3), vec![entry(3, 2), entry(4, 2)]));
        disk.submit(write(3, None, vec![entry(5, 2)]));
        disk.crash(loss, &mut Seed(seed).stream());
        let legal: &[&[u64]] = match loss {
            CrashLoss::All => &[&[1, 1, 1]],
            CrashLoss::Prefix => &[&[1, 1, 1], &[1, 1, 2, 2], &[1, 1, 2, 2, 2]],
            CrashLoss::Torn => &[&[1, 1, 1], &[1, 1], &[1, 1, 2], &[1, 1, 2, 2], &[1, 1, 2, 2, 2]],
        };
        let left = terms(&disk);
        assert!(legal.contains(&&left[..]), "{left:?} after {loss:?}");
        let term = disk.recover().0.hard_state.term.0;
        assert!(*left.last().unwrap() <= term, "an entry of a term that was never written");
        seen.insert((loss as u8, left));
    }
    assert_eq!(seen.len(), 1 + 3 + 5);
}

#[test]
fn a_saved_snapshot_counts_behind_the_writes_before_it() {
    let snapshot = |index| Snapshot {
        index: LogIndex(index),
        term: Term(2),
        membership: Membership::of([NodeId(1)]),
    };
    let data: Arc<[u8]> = [7].into();
    let mut disk = Disk::new();
    disk.submit(write(1, None, vec![entry(1, 1), entry(2, 1)]));
    disk.complete().unwrap();
    disk.submit(write(2, Some(2), vec![entry(2, 2), entry(3, 2)]));
    disk.submit(Job::Saved((snapshot(2), data.clone())));
    disk.crash(CrashLoss::All, &mut Seed(1).stream());
    assert_eq!(disk.recover().0.snapshot, None, "the write before it is lost");
    disk.submit(write(2, Some(2), vec![entry(2, 2), entry(3, 2)]));
    disk.submit(Job::Saved((snapshot(2), data.clone())));
    disk.complete().unwrap();
    disk.begin_sync();
    disk.complete().unwrap();
    let (recovered, found) = disk.recover();
    assert_eq!((recovered.snapshot, found), (Some(snapshot(2)), Some(data)));
    assert_eq!(recovered.entries, [entry(3, 2)]);
}

#[test]
fn a_full_disk_fails_what_it_has_no_room_for_and_keeps_what_it_holds() {
    let mut disk = Disk::new();
    disk.submit(write(1, None, vec![entry(1, 1)]));
    disk.full += 1;
    assert_eq!(disk.complete(), Ok(Some(WriteId(1))), "it was written when there still was room");
    disk.submit(write(2, None, vec![entry(2, 1)]));
    disk.full += 1;
    disk.full -= 1;
    assert_eq!(disk.complete(), Err(DiskError::Full));
    disk.crash(CrashLoss::All, &mut Seed(1).stream());
    assert_eq!(terms(&disk), [1]);
    disk.full -= 1;
    assert!(disk.submit(write(2, None, vec![entry(2, 1)])));
    assert_eq!(disk.complete(), Ok(Some(WriteId(2))));
    assert_eq!(terms(&disk), [1, 1]);
}

#[test]
fn room_that_comes_back_does_not_mend_a_write_that_found_none() {
    let mut disk = Disk::new();
    disk.full += 1;
    disk.submit(write(1, None, vec![entry(1, 1)]));
    disk.full -= 1;
    assert_eq!(disk.complete(), Err(DiskError::Full));
}

#[test]
fn a_scarce_disk_has_room_for_the_log_alone() {
    let mut disk = Disk::new();
    disk.scarce += 1;
    assert!(!disk.has_room_for_snapshots());
    disk.submit(write(1, None, vec![entry(1, 1)]));
    assert_eq!(disk.complete(), Ok(Some(WriteId(1))));
    disk.scarce -= 1;
    assert!(disk.has_room_for_snapshots());
    disk.full += 1;
    assert!(!disk.has_room_for_snapshots());
}
