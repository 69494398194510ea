//! Snapshots: which one counts, what is removed for it, and how it is read.

use super::*;

pub(super) const SEGMENT: usize = 160;

/// Returns a write of a received snapshot.
fn received(index: u64, term: u64, entries: Vec<Entry>) -> Job {
    let snapshot = Some(model::snapshot(index, term));
    job(Write { snapshot, entries, ..nothing(1) })
}

pub(super) fn compacting(upto: u64) -> Job {
    job(Write { compact_upto: Some(LogIndex(upto)), ..nothing(1) })
}

/// Makes the file of a snapshot that was taken, and returns the job that puts it on record.
pub(super) fn saved(disk: &Simulated, index: u64, term: u64) -> Job {
    let snapshot = model::snapshot(index, term);
    snapshot::write(&mut disk.clone(), &snapshot, &model::data(snapshot.index)).unwrap();
    Job::Saved(outline::SnapshotId::of(&snapshot))
}

pub(super) fn voted(term: u64) -> Job {
    job(Write { hard_state: Some(hard_state(term, 1)), ..nothing(1) })
}

pub(super) fn entries(term: u64, range: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    range.map(|index| entry(term, index, b"command")).collect()
}

/// Returns the last entries of the snapshots on a disk.
fn snapshots(disk: &Simulated) -> Vec<u64> {
    let names = disk.list().unwrap();
    names.iter().filter_map(|name| snapshot::index(name)).map(|index| index.0).collect()
}

/// Does jobs, each a batch, and checks what is read again; returns the disk as it is then.
pub(super) fn check(jobs: impl FnOnce(&Simulated) -> Vec<Job>) -> Simulated {
    check_and_look(jobs, |_| {})
}

/// The same, with a look at the disk before it is read again, which tidies up too.
fn check_and_look(
    jobs: impl FnOnce(&Simulated) -> Vec<Job>,
    look: impl FnOnce(&Simulated),
) -> Simulated {
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, SEGMENT).unwrap();
    let jobs = jobs(&disk);
    for job in &jobs {
        wal.append(std::slice::from_ref(job)).unwrap();
        wal.tidy().unwrap();
    }
    look(&disk);
    let (_, recovered) = open(&disk, SEGMENT).unwrap();
    Model::of(&jobs).check(&recovered, "all");
    assert_eq!(recovered.records, count(&jobs));
    disk
}

#[test]
fn a_received_snapshot_takes_the_place_of_the_whole_log() {
    // It ends within the log, at its end, or beyond.
    for index in [3, 6, 20] {
        let jobs = |disk: &Simulated| {
            let next = entries(2, index + 1..=index + 2);
            let older = saved(disk, 2, 1);
            vec![voted(2), appending(1, entries(1, 1..=6)), older, received(index, 2, next)]
        };
        check_and_look(jobs, |disk| {
            assert_eq!(snapshots(disk), [index]);
            let rest = segments(disk);
            assert!(rest[0] > 1 && rest.len() <= 2, "the log before it is gone: {rest:?}");
        });
    }
}

#[test]
fn a_saved_snapshot_leaves_what_follows() {
    let jobs = |disk: &Simulated| {
        vec![voted(1), appending(1, entries(1, 1..=9)), saved(disk, 4, 1), saved(disk, 6, 1)]
    };
    let disk = check_and_look(jobs, |disk| {
        assert_eq!(snapshots(disk), [6], "an older one is removed");
    });
    assert_eq!(open(&disk, SEGMENT).unwrap().1.core.entries, entries(1, 7..=9));
}

#[test]
fn a_snapshot_counts_only_when_it_is_on_record() {
    for index in [2, 6, 9, 40] {
        let disk = check(|disk| {
            let on_record = saved(disk, 5, 1);
            // Its job gets lost.
            saved(disk, index, 1);
            vec![voted(1), appending(1, entries(1, 1..=9)), on_record]
        });
        assert_eq!(snapshots(&disk), [5]);
    }
}

#[test]
fn a_snapshot_that_is_saved_late_is_dropped() {
    let jobs = |disk: &Simulated| {
        let late = saved(disk, 3, 1);
        vec![voted(1), appending(1, entries(1, 1..=6)), received(8, 1, vec![]), late]
    };
    check_and_look(jobs, |disk| assert_eq!(snapshots(disk), [8]));
}

#[test]
fn a_snapshot_is_put_on_record_once() {
    let jobs = |disk: &Simulated| {
        let snapshot = saved(disk, 3, 1);
        vec![voted(1), appending(1, entries(1, 1..=6)), snapshot.clone(), snapshot]
    };
    check_and_look(jobs, |disk| assert_eq!(snapshots(disk), [3]));
}

#[test]
fn segments_go_when_a_snapshot_stands_for_them() {
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, SEGMENT).unwrap();
    let mut jobs = vec![voted(1), appending(1, entries(1, 1..=12))];
    wal.append(&jobs).unwrap();
    // Each segment holds two entries, but the first: a hard state and one.
    assert_eq!(segments(&disk), [1, 2, 3, 4, 5, 6, 7]);
    for (job, left) in [
        (compacting(9), 1..=7),
        (saved(&disk, 8, 1), 1..=7),
        (compacting(2), 2..=7),
        (compacting(3), 3..=7),
        (compacting(6), 4..=7),
        (compacting(5), 4..=7),
        // No further than the snapshot goes.
        (compacting(12), 5..=7),
        (received(30, 1, vec![]), 8..=8),
    ] {
        wal.append(std::slice::from_ref(&job)).unwrap();
        jobs.push(job.clone());
        wal.tidy().unwrap();
        assert_eq!(segments(&disk), left.collect::<Vec<_>>(), "{job:?}");
        Model::of(&jobs).check(&open(&disk.crash(|_| 0), SEGMENT).unwrap().1, "all");
    }
}

/// A segment begins behind entries that are taken back later: what is written anew lies behind its
/// beginning, and what stood before them may be removed.
#[test]
fn what_was_taken_back_is_not_waited_for() {
    for is_opened_anew in [false, true] {
        let disk = Simulated::default();
        let (mut wal, _) = open(&disk, SEGMENT).unwrap();
        let truncate_from = Some(LogIndex(3));
        let anew = Write { truncate_from, entries: entries(2, 3..=5), ..nothing(1) };
        let first = appending(1, entries(1, 1..=10));
        let mut jobs = vec![voted(2), first, job(anew), saved(&disk, 4, 2)];
        wal.append(&jobs).unwrap();
        let before = segments(&disk);
        if is_opened_anew {
            open(&disk, SEGMENT).unwrap();
        } else {
            wal.append(&[compacting(4)]).unwrap();
            wal.tidy().unwrap();
        }
        let after = segments(&disk);
        assert!(after[0] >= 5, "{before:?} became {after:?}");

        let (mut wal, recovered) = open(&disk, SEGMENT).unwrap();
        Model::of(&jobs).check(&recovered, "all");
        jobs.push(appending(1, entries(2, 6..=9)));
        wal.append(&jobs[jobs.len() - 1..]).unwrap();
        Model::of(&jobs).check(&open(&disk, SEGMENT).unwrap().1, "more");
    }
}

#[test]
fn a_snapshot_that_cannot_be_saved_leaves_nothing_behind() {
    for operation in 0..6 {
        let disk = Simulated::default();
        let (mut wal, _) = open(&disk, SEGMENT).unwrap();
        let jobs = [voted(1), appending(1, entries(1, 1..=5))];
        wal.append(&jobs).unwrap();
        disk.fail_once_after(operation);
        let snapshot = model::snapshot(3, 1);
        let written = snapshot::write(&mut disk.clone(), &snapshot, &model::data(LogIndex(3)));
        assert!(matches!(written, Err(StorageError::Access { .. })), "operation {operation}");
        let names = disk.list().unwrap();
        assert!(!names.iter().any(|name| snapshot::is_unfinished(name)), "{names:?}");

        // The log goes on, and the next attempt may succeed.
        wal.append(&[appending(1, entries(1, 6..=7))]).unwrap();
        wal.append(&[saved(&disk, 3, 1)]).unwrap();
        let (_, recovered) = open(&disk, SEGMENT).unwrap();
        assert_eq!(recovered.core.snapshot, Some(snapshot));
        assert_eq!(recovered.core.entries, entries(1, 4..=7));
    }
}

#[test]
#[should_panic(expected = "S6 Files first")]
fn a_snapshot_without_its_data_is_refused() {
    let (mut wal, _) = open(&Simulated::default(), SEGMENT).unwrap();
    let write = Write { snapshot: Some(model::snapshot(9, 1)), ..nothing(1) };
    let _ = wal.append(&[Job::Write { write, data: None }]);
}

#[test]
#[should_panic(expected = "S1 Order")]
fn a_snapshot_of_entries_that_the_log_has_not_is_refused() {
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, SEGMENT).unwrap();
    let _ = wal.append(&[appending(1, entries(1, 1..=3)), saved(&disk, 4, 1)]);
}

#[test]
fn a_snapshot_is_read_in_pieces_even_when_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Folder(folder.path().to_owned());
    let snapshot = model::snapshot(7, 2);
    // Longer than what is read at once to check it.
    let data: Vec<u8> = (0..700_001_u32).map(|byte| (byte % 251) as u8).collect();
    snapshot::write(&mut disk, &snapshot, &data).unwrap();
    let file = SnapshotFile::open(&mut disk, LogIndex(7), |_| {}).unwrap();
    snapshot::remove(&mut disk, LogIndex(7)).unwrap();
    assert_eq!(file.snapshot(), &snapshot);
    let mut read = Vec::new();
    loop {
        let (piece, is_last) = file.read_at(read.len() as u64, 100_000).unwrap();
        assert_eq!(is_last, piece.len() < 100_000);
        read.extend(piece);
        if is_last {
            break;
        }
    }
    assert!(read == data);
    for (offset, bytes_max, expected) in [
        (700_000, 1, (vec![(700_000 % 251) as u8], true)),
        (700_001, 9, (vec![], true)),
        (u64::MAX, 9, (vec![], true)),
        (3, 0, (vec![], false)),
        (3, 2, (vec![3, 4], false)),
    ] {
        assert_eq!(file.read_at(offset, bytes_max).unwrap(), expected, "{offset} {bytes_max}");
    }
    let gone = SnapshotFile::open(&mut disk, LogIndex(7), |_| {});
    assert!(matches!(gone, Err(StorageError::Access { action: "open", .. })), "{gone:?}");
}

/// One thread writes and compacts, another one saves and reads, as in a node.
#[test]
fn snapshots_are_saved_while_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Folder(folder.path().to_owned());
    let options = Options { segment_size: 400, ..Options::default() };
    let (wal, _) = Wal::open(disk.clone(), options.clone()).unwrap();
    let Storage { jobs, thread, snapshots, .. } = Storage::start(wal).unwrap();
    jobs.blocking_send(voted(1)).unwrap();
    for round in 1..=20 {
        let (first, last) = (round * 10 - 9, round * 10);
        jobs.blocking_send(appending(1, entries(1, first..=last))).unwrap();
        let saver = snapshots.clone();
        let saving = std::thread::spawn(move || {
            let snapshot = model::snapshot(first + 4, 1);
            saver.save(&snapshot, &model::data(snapshot.index)).unwrap();
            saver.open(snapshot.index).unwrap().read_at(0, usize::MAX).unwrap()
        });
        jobs.blocking_send(compacting(first)).unwrap();
        assert_eq!(saving.join().unwrap(), (model::data(LogIndex(first + 4)), true));
        jobs.blocking_send(compacting(first + 4)).unwrap();
    }
    drop(jobs);
    thread.join().unwrap().unwrap();

    let names = disk.list().unwrap();
    let (segments, snapshots): (Vec<_>, Vec<_>) =
        names.iter().partition(|name| segment::number(name).is_some());
    assert_eq!(snapshots, [&snapshot::name(LogIndex(195))]);
    assert!(segments.len() < 5, "{segments:?}");

    let (_, recovered) = Wal::open(disk.clone(), options).unwrap();
    assert_eq!(recovered.core.snapshot, Some(model::snapshot(195, 1)));
    assert_eq!(recovered.core.entries, entries(1, 196..=200));
    assert_eq!(recovered.data, Some(model::data(LogIndex(195))));
}
