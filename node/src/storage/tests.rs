//! The log on a simulated disk: every torn tail is cut, every damage is refused, and what a crash
//! leaves is a prefix that holds everything synced.

use raft::{Entry, HardState, LogIndex, Membership, NodeId, Payload, Term, Write, WriteId};

use super::simulated::Simulated;
use super::*;

mod crashes;
mod damage;
mod model;
mod snapshots;

use model::{Model, count};

fn entry(term: u64, index: u64, command: &[u8]) -> Entry {
    let payload = Payload::Command(command.into());
    Entry { term: Term(term), index: LogIndex(index), payload }
}

fn hard_state(term: u64, vote: u64) -> HardState {
    HardState { term: Term(term), vote: (vote != 0).then_some(NodeId(vote)) }
}

fn membership(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Membership {
    let [voters, outgoing, learners] =
        [voters, outgoing, learners].map(|ids| ids.iter().copied().map(NodeId).collect());
    Membership { voters, outgoing, learners }
}

/// Returns a write of nothing.
fn nothing(id: u64) -> Write {
    Write {
        id: WriteId(id),
        hard_state: None,
        snapshot: None,
        truncate_from: None,
        entries: vec![],
        compact_upto: None,
    }
}

fn appending(id: u64, entries: Vec<Entry>) -> Job {
    job(Write { entries, ..nothing(id) })
}

/// Returns a job for a write, with the data of its snapshot.
fn job(write: Write) -> Job {
    let data = write.snapshot.as_ref().map(|snapshot| model::data(snapshot.index).into());
    Job::Write { write, data }
}

fn open(
    disk: &Simulated,
    segment_size: usize,
) -> Result<(Wal<Simulated>, Recovered), StorageError> {
    Wal::open(disk.clone(), Options { segment_size, ..Options::default() })
}

/// Three batches; the middle one is a write of every kind of record but those of snapshots.
fn example() -> Vec<Job> {
    let changed =
        Entry { payload: Payload::Membership(membership(&[1, 2], &[1], &[3])), ..entry(2, 4, b"") };
    let first = Write {
        hard_state: Some(hard_state(1, 1)),
        entries: vec![entry(1, 1, b""), entry(1, 2, b"two")],
        ..nothing(1)
    };
    let second = Write {
        hard_state: Some(hard_state(2, 0)),
        truncate_from: Some(LogIndex(2)),
        entries: vec![entry(2, 2, b"another two")],
        ..nothing(2)
    };
    let noop = Entry { payload: Payload::Noop, ..entry(2, 3, b"") };
    let third = Write { entries: vec![noop, changed, entry(2, 5, &[7; 40])], ..nothing(3) };
    [first, second, third].map(job).into()
}

/// Returns a disk with the example on it, a batch a write.
fn example_disk(segment_size: usize) -> Simulated {
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, segment_size).unwrap();
    for job in example() {
        wal.append(&[job]).unwrap();
    }
    disk
}

fn end_of(jobs: &[Job]) -> usize {
    let sizes = model::records(jobs).into_iter().map(|record| record.size());
    segment::HEADER + sizes.sum::<usize>()
}

/// Returns the numbers of the segments on a disk.
fn segments(disk: &Simulated) -> Vec<u64> {
    disk.list().unwrap().iter().filter_map(|name| segment::number(name)).collect()
}

#[test]
fn what_was_written_is_read_again() {
    for segment_size in [72, 128, 200, 4096] {
        let disk = example_disk(segment_size);
        let (_, recovered) = open(&disk, segment_size).unwrap();
        Model::of(&example()).check(&recovered, "all");
        assert_eq!((recovered.records, recovered.torn), (9, None));
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_at_a_record() {
    let disk = example_disk(1024);
    let name = segment::name(1);
    let image = disk.bytes(&name);
    let (synced, end) = (end_of(&example()[..2]), end_of(&example()));
    for torn in synced..end {
        for damage in [0xff, 0x01, 0x80] {
            // The byte is flipped; or it and all after it never reached the disk.
            let mut flipped = image.clone();
            flipped[torn] ^= damage;
            let mut cut = image.clone();
            cut[torn..].fill(0);
            for bytes in [flipped, cut] {
                check_cut(&disk.with(&name, bytes), torn);
            }
        }
    }
}

/// Checks that a disk whose last batch is damaged opens, with a prefix that holds the other batches,
/// and that the log goes on from there.
fn check_cut(disk: &Simulated, torn: usize) {
    let (mut wal, recovered) = open(disk, 1024).unwrap_or_else(|e| panic!("byte {torn}: {e}"));
    let durable = count(&example()[..2]);
    assert!((durable..=count(&example())).contains(&recovered.records), "byte {torn}");
    let model = Model::after(&example(), recovered.records);
    model.check(&recovered, &format!("byte {torn}"));
    if let Some(torn_tail) = recovered.torn {
        assert!(torn_tail.offset <= torn, "byte {torn}: {torn_tail:?}");
    }

    let mut entries = model.entries;
    let next = entry(3, entries.len() as u64 + 1, b"later");
    wal.append(&[appending(1, vec![next.clone()])]).unwrap();
    entries.push(next);
    let (_, again) = open(disk, 1024).unwrap();
    assert_eq!((again.core.entries, again.torn), (entries, None), "byte {torn}: a ghost");
}

#[test]
fn damage_to_what_was_durable_is_refused() {
    let disk = example_disk(1024);
    let name = segment::name(1);
    let image = disk.bytes(&name);
    for offset in 0..end_of(&example()[..2]) {
        let mut bytes = image.clone();
        bytes[offset] ^= 0x10;
        match open(&disk.with(&name, bytes), 1024) {
            Err(StorageError::Damaged { file, offset: found, .. }) => {
                assert!(file == name && found <= offset, "{file} {found} for byte {offset}");
            }
            Err(StorageError::Version { .. }) => assert_eq!(offset, 7),
            other => panic!("byte {offset}: {other:?}"),
        }
    }
}

#[test]
fn a_segment_that_is_cut_short_or_longer_is_refused() {
    let disk = example_disk(1024);
    let name = segment::name(1);
    let image = disk.bytes(&name);
    // Where it is cut, what is left is a header and whole records.
    let shorter = image[..end_of(&example()[..1])].to_vec();
    let longer = [&image[..], &[0; 8]].concat();
    for bytes in [shorter, longer] {
        let opened = open(&disk.with(&name, bytes), 1024);
        assert!(
            matches!(opened, Err(StorageError::Damaged { damage: Damage::Length, .. })),
            "{opened:?}"
        );
    }
}

#[test]
fn damage_to_a_segment_that_is_not_the_last_is_refused() {
    let disk = example_disk(128);
    let segments = segments(&disk);
    assert!(segments.len() >= 3, "{segments:?}");
    for &segment in &segments[..segments.len() - 1] {
        let name = segment::name(segment);
        let image = disk.bytes(&name);
        for offset in 0..image.len() {
            let mut bytes = image.clone();
            bytes[offset] ^= 0x10;
            let opened = open(&disk.with(&name, bytes), 128);
            assert!(
                matches!(opened, Err(StorageError::Damaged { .. } | StorageError::Version { .. })),
                "{name}, byte {offset}: {opened:?}"
            );
        }
        let mut emptied = image.clone();
        emptied[segment::HEADER..].fill(0);
        let emptied = disk.with(&name, emptied);
        assert!(matches!(
            open(&emptied, 128),
            Err(StorageError::Damaged { damage: Damage::Lost | Damage::Order, .. })
        ));
        assert!(matches!(
            open(&disk.without(&name), 128),
            Err(StorageError::Damaged { damage: Damage::Missing, offset: 0, .. })
        ));
    }
}

#[test]
fn a_record_is_none_anywhere_else_than_where_it_was_put() {
    let place = record::Place { segment: 3, offset: 64, batch: 64 };
    let mut bytes = Vec::new();
    record::Record::Truncate(LogIndex(1)).encode(place, &mut bytes);
    for (segment, offset, is_there) in [(3, 64, true), (3, 128, false), (4, 64, false)] {
        let mut image = vec![0; 512];
        image[offset..offset + bytes.len()].copy_from_slice(&bytes);
        let found = record::find(segment, &image, offset);
        assert_eq!(found != record::Found::Nothing, is_there, "segment {segment}, byte {offset}");
    }
}

#[test]
fn a_record_larger_than_a_segment_gets_a_larger_one() {
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, 128).unwrap();
    let entries = vec![entry(1, 1, b"small"), entry(1, 2, &[9; 5000]), entry(1, 3, b"small")];
    wal.append(&[appending(1, entries.clone())]).unwrap();
    assert_eq!(open(&disk, 128).unwrap().1.core.entries, entries);
}

#[test]
fn a_segment_left_half_made_is_removed() {
    let disk = Simulated::default();
    open(&disk, 128).unwrap();
    for name in [&segment::unfinished_name(2), "notes.new"] {
        disk.clone().create(name).unwrap();
    }
    open(&disk, 128).unwrap();
    assert_eq!(disk.list().unwrap(), [&segment::name(1), "notes.new"]);
}

#[test]
fn only_a_segment_makes_a_log() {
    let folder = tempfile::tempdir().unwrap();
    for (name, is_log) in [
        ("lost+found", false),
        ("0000000000000002.wal.new", false),
        ("1.wal", false),
        ("0000000000000002.wal", true),
    ] {
        std::fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(holds_log(folder.path()).unwrap(), is_log, "{name}");
    }
}

#[test]
fn the_real_file_system_keeps_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Wal::open(
            Folder(folder.path().to_owned()),
            Options { segment_size: 128, ..Options::default() },
        )
    };
    for job in example() {
        // Each write with a log that is opened anew.
        open().unwrap().0.append(&[job]).unwrap();
    }
    let (_, recovered) = open().unwrap();
    Model::of(&example()).check(&recovered, "all");
    assert_eq!((recovered.records, recovered.torn), (9, None));
}

#[tokio::test]
async fn the_thread_answers_when_writes_are_durable_and_ends_at_a_failure() {
    let disk = Simulated::default();
    let (wal, _) = open(&disk, 4096).unwrap();
    let Storage { jobs, mut persisted, thread, .. } = Storage::start(wal).unwrap();
    for job in example() {
        jobs.send(job).await.unwrap();
    }
    persisted.wait_for(|upto| *upto == WriteId(3)).await.unwrap();
    let durable = disk.crash(|_| 0);
    Model::of(&example()).check(&open(&durable, 4096).unwrap().1, "all");

    disk.fail_after(1);
    let lost = Write { truncate_from: Some(LogIndex(1)), ..nothing(4) };
    jobs.send(job(lost)).await.unwrap();
    assert!(persisted.changed().await.is_err(), "a failed sync was answered");
    let failure = thread.join().unwrap().unwrap_err();
    assert!(matches!(failure, StorageError::Access { action: "sync", .. }), "{failure}");
}
