//! The log on a simulated disk: every torn tail is cut, every damage is refused, and what a crash
//! leaves is a prefix that holds everything synced.

use proptest::prelude::*;
use raft::{Entry, HardState, LogIndex, NodeId, Term, Write, WriteId};

use super::simulated::Simulated;
use super::*;

fn entry(term: u64, index: u64, command: &[u8]) -> Entry {
    Entry { term: Term(term), index: LogIndex(index), command: command.into() }
}

fn hard_state(term: u64, vote: u64) -> HardState {
    HardState { term: Term(term), vote: (vote != 0).then_some(NodeId(vote)) }
}

/// Applies the first `records` records of some writes the slow and obvious way.
fn replay(writes: &[Write], records: u64) -> (HardState, Vec<Entry>) {
    let mut state = (HardState::default(), Vec::new());
    let all = writes.iter().flat_map(record::records);
    for record in all.take(usize::try_from(records).unwrap()) {
        match record {
            record::Record::HardState(hard_state) => state.0 = hard_state,
            record::Record::Truncate(from) => {
                state.1.retain(|entry: &Entry| entry.index < from);
            }
            record::Record::Entry(entry) => state.1.push(entry),
        }
    }
    state
}

fn count(writes: &[Write]) -> u64 {
    writes.iter().flat_map(record::records).count() as u64
}

fn open(
    disk: &Simulated,
    segment_size: usize,
) -> Result<(Wal<Simulated>, Recovered), StorageError> {
    Wal::open(disk.clone(), Options { segment_size })
}

/// Three batches; the middle one is a write of every kind of record.
fn example() -> Vec<Write> {
    let write = |id, hard_state, truncate_from, entries| Write {
        id: WriteId(id),
        hard_state,
        truncate_from,
        entries,
    };
    vec![
        write(1, Some(hard_state(1, 1)), None, vec![entry(1, 1, b""), entry(1, 2, b"two")]),
        write(2, Some(hard_state(2, 0)), Some(LogIndex(2)), vec![entry(2, 2, b"another two")]),
        write(3, None, None, vec![entry(2, 3, &[7; 40]), entry(2, 4, b"four")]),
    ]
}

/// Returns a disk with the example on it, a batch a write, and the offsets where batches end.
fn example_disk(segment_size: usize) -> Simulated {
    let disk = Simulated::default();
    let (mut wal, _) = open(&disk, segment_size).unwrap();
    for write in example() {
        wal.append(&[write]).unwrap();
    }
    disk
}

fn end_of(writes: &[Write]) -> usize {
    let sizes = writes.iter().flat_map(record::records).map(|record| record.size());
    segment::HEADER + sizes.sum::<usize>()
}

#[test]
fn what_was_written_is_read_again() {
    for segment_size in [64, 128, 200, 4096] {
        let disk = example_disk(segment_size);
        let (_, recovered) = open(&disk, segment_size).unwrap();
        let (hard_state, entries) = replay(&example(), u64::MAX);
        assert_eq!(recovered, Recovered { hard_state, entries, records: 8, torn: None });
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
    let (hard_state, mut entries) = replay(&example(), recovered.records);
    assert_eq!((&recovered.hard_state, &recovered.entries), (&hard_state, &entries));
    if let Some(torn_tail) = recovered.torn {
        assert!(torn_tail.offset <= torn, "byte {torn}: {torn_tail:?}");
    }

    let next = entry(3, entries.len() as u64 + 1, b"later");
    let write = Write {
        id: WriteId(1),
        hard_state: None,
        truncate_from: None,
        entries: vec![next.clone()],
    };
    wal.append(&[write]).unwrap();
    entries.push(next);
    let (_, again) = open(disk, 1024).unwrap();
    assert_eq!((again.entries, again.torn), (entries, None), "byte {torn}: a ghost");
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
    let names = disk.list().unwrap();
    let segments: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    for &segment in &segments[..segments.len() - 1] {
        let name = segment::name(segment);
        let image = disk.bytes(&name);
        for offset in 0..image.len() {
            let mut bytes = image.clone();
            bytes[offset] ^= 0x10;
            let opened = open(&disk.with(&name, bytes), 128);
            assert!(
                matches!(opened, Err(StorageError::Damaged { .. })),
                "{name}, byte {offset}: {opened:?}"
            );
        }
        let emptied = disk.with(&name, [&image[..segment::HEADER], &[0; 96][..]].concat());
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
    let write = Write {
        id: WriteId(1),
        hard_state: Some(hard_state(1, 2)),
        truncate_from: None,
        entries: entries.clone(),
    };
    wal.append(&[write]).unwrap();
    assert_eq!(open(&disk, 128).unwrap().1.entries, entries);
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
    let open = || Wal::open(Folder(folder.path().to_owned()), Options { segment_size: 128 });
    for write in example() {
        // Each write with a log that is opened anew.
        open().unwrap().0.append(&[write]).unwrap();
    }
    let (hard_state, entries) = replay(&example(), u64::MAX);
    let (_, recovered) = open().unwrap();
    assert_eq!(recovered, Recovered { hard_state, entries, records: 8, torn: None });
}

#[tokio::test]
async fn the_thread_answers_when_writes_are_durable_and_ends_at_a_failure() {
    let disk = Simulated::default();
    let (wal, _) = open(&disk, 4096).unwrap();
    let Storage { writes, mut persisted, thread } = Storage::start(wal).unwrap();
    for write in example() {
        writes.send(write).await.unwrap();
    }
    persisted.wait_for(|upto| *upto == WriteId(3)).await.unwrap();
    let durable = disk.crash(|_| 0);
    let (_, entries) = replay(&example(), u64::MAX);
    assert_eq!(open(&durable, 4096).unwrap().1.entries, entries);

    disk.fail_after(1);
    let lost = Write {
        id: WriteId(4),
        hard_state: None,
        truncate_from: Some(LogIndex(1)),
        entries: vec![],
    };
    writes.send(lost).await.unwrap();
    assert!(persisted.changed().await.is_err(), "a failed sync was answered");
    let failure = thread.join().unwrap().unwrap_err();
    assert!(matches!(failure, StorageError::Access { action: "sync", .. }), "{failure}");
}

/// What one random write does; made into a valid one by [`writes`].
#[derive(Clone, Debug)]
struct Recipe {
    vote: Option<u64>,
    truncate: Option<usize>,
    commands: Vec<Vec<u8>>,
    ends_batch: bool,
}

fn recipes() -> impl Strategy<Value = Vec<Recipe>> {
    let command = prop::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..60);
    let recipe = (
        prop::option::of(0..4_u64),
        prop::option::weighted(0.3, 0..3_usize),
        prop::collection::vec(command, 0..4),
        any::<bool>(),
    );
    prop::collection::vec(
        recipe.prop_map(|(vote, truncate, commands, ends_batch)| Recipe {
            vote,
            truncate,
            commands,
            ends_batch,
        }),
        1..25,
    )
}

/// Turns recipes into writes that follow each other, in batches.
fn batches(recipes: Vec<Recipe>) -> Vec<Vec<Write>> {
    let (mut term, mut last) = (1, 0);
    let mut batches = vec![Vec::new()];
    for (place, recipe) in recipes.into_iter().enumerate() {
        term += u64::from(recipe.vote.is_some());
        let truncate_from = recipe.truncate.filter(|_| last > 0).map(|back| {
            last -= (back as u64).min(last - 1) + 1;
            LogIndex(last + 1)
        });
        let entries = recipe.commands.into_iter().map(|command| {
            last += 1;
            entry(term, last, &command)
        });
        let write = Write {
            id: WriteId(place as u64 + 1),
            hard_state: recipe.vote.map(|vote| hard_state(term, vote)),
            truncate_from,
            entries: entries.collect(),
        };
        batches.last_mut().unwrap().push(write);
        if recipe.ends_batch {
            batches.push(Vec::new());
        }
    }
    batches
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Random writes, a failure at a random operation, and then either a power loss that keeps random
    /// sectors, or only the death of the process, whose unsynced writes can still be read.
    #[test]
    fn a_crash_leaves_a_prefix_with_everything_synced(
        recipes in recipes(),
        segment_size in 64..600_usize,
        budget in 0..80_u64,
        is_power_lost in any::<bool>(),
        choices in prop::collection::vec(any::<usize>(), 1..200),
    ) {
        let disk = Simulated::default();
        let (mut wal, _) = open(&disk, segment_size).unwrap();
        disk.fail_after(budget);
        let (mut writes, mut synced) = (Vec::new(), 0);
        for batch in batches(recipes) {
            let result = wal.append(&batch);
            writes.extend(batch);
            if result.is_err() {
                break;
            }
            synced = count(&writes);
        }
        let mut choices = choices.iter().cycle();
        let mut choose = |n| choices.next().unwrap() % n;
        let disk = if is_power_lost { disk.crash(&mut choose) } else { disk };
        disk.heal();

        let (mut wal, recovered) = open(&disk, segment_size).unwrap();
        prop_assert!(recovered.records >= synced, "{} of {synced}", recovered.records);
        let (hard_state, mut entries) = replay(&writes, recovered.records);
        prop_assert_eq!(&recovered.hard_state, &hard_state);
        prop_assert_eq!(&recovered.entries, &entries);

        // What was recovered is durable now, and the log goes on from it.
        let lost_again = disk.crash(&mut choose);
        prop_assert_eq!(&open(&lost_again, segment_size).unwrap().1.entries, &entries);
        let next = entry(99, entries.len() as u64 + 1, b"later");
        entries.push(next.clone());
        wal.append(&[Write {
            id: WriteId(1),
            hard_state: None,
            truncate_from: None,
            entries: vec![next],
        }])
        .unwrap();
        prop_assert_eq!(open(&disk, segment_size).unwrap().1.entries, entries);
    }
}
