//! Random work, a failing disk, a crash, and what is left of it: always what was synced, and of the
//! rest a prefix.

use super::model::{Core, Model, Request, count};
use super::*;

/// How a disk fails and what happens then.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// Nothing reaches the disk any more, and then the power is lost.
    PowerLoss,
    /// Nothing reaches the disk any more, and then the process is killed; what it wrote can be read.
    Kill,
    /// One operation fails. A node that goes on after that loses power in the end.
    Error,
}

/// A node's storage through several lives.
struct Lives {
    /// What repeats the failure.
    name: String,
    disk: Simulated,
    segment_size: usize,
    seed: u64,
    /// Everything that was asked in this life, behind what was recovered from earlier ones.
    jobs: Vec<Job>,
    /// Records that are certainly durable.
    synced: u64,
    recovered: raft::Recovered,
}

impl Lives {
    fn new(name: String, seed: u64, segment_size: usize) -> Self {
        Self {
            name,
            disk: Simulated::default(),
            segment_size,
            seed,
            jobs: Vec::new(),
            synced: 0,
            recovered: raft::Recovered::default(),
        }
    }

    /// Works until the disk fails where the node must stop, or until it is enough.
    fn live(&mut self, requests: u32) -> Result<(), StorageError> {
        let mut core = Core::new(self.seed, &self.recovered);
        let (mut wal, _) = open(&self.disk, self.segment_size)?;
        let mut batch = Vec::new();
        for _ in 0..requests {
            match core.next() {
                Request::Job(job) => batch.push(job),
                Request::Save(taken) => {
                    let data = model::data(taken.index);
                    if snapshot::write(&mut self.disk.clone(), &taken, &data).is_ok() {
                        core.saved(&taken);
                    }
                }
                Request::Sync => {
                    self.jobs.extend_from_slice(&batch);
                    wal.append(&batch)?;
                    batch.clear();
                    self.synced = count(&self.jobs);
                    wal.tidy()?;
                }
            }
        }
        Ok(())
    }

    /// Crashes, starts again, and checks that what is left is what must be left.
    fn rise(&mut self, crash: Crash, choose: &mut impl FnMut(usize) -> usize) {
        self.crash(crash, choose);
        // A start may be cut short like everything else.
        self.disk.fail_after(choose(40) as u64);
        if open(&self.disk, self.segment_size).is_err() {
            self.crash(crash, choose);
        }
        self.disk.heal();

        let (_, recovered) = open(&self.disk, self.segment_size)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let written = count(&self.jobs);
        let possible = self.synced..=written;
        assert!(possible.contains(&recovered.records), "{}: {recovered:?}", self.name);
        let model = Model::after(&self.jobs, recovered.records);
        model.check(&recovered, &self.name);
        self.check_names(&model);

        // What was recovered is durable now.
        let lost_again = self.disk.crash(&mut *choose);
        let (_, again) = open(&lost_again, self.segment_size).unwrap();
        assert_eq!((&again.core, again.torn), (&recovered.core, None), "{}", self.name);
        self.forget_behind(recovered.records);
        self.recovered = recovered.core;
        self.seed = self.seed.wrapping_mul(31).wrapping_add(1);
    }

    fn crash(&mut self, crash: Crash, choose: &mut impl FnMut(usize) -> usize) {
        if !matches!(crash, Crash::Kill) {
            self.disk = self.disk.crash(choose);
        }
        self.disk.heal();
    }

    /// Checks that there are no files but those that are needed.
    fn check_names(&self, model: &Model) {
        let mut names = self.disk.list().unwrap();
        let segments = segments(&self.disk);
        names.retain(|name| segment::number(name).is_none());
        let needed = model.snapshot.iter().map(|snapshot| snapshot::name(snapshot.index));
        assert_eq!(names, needed.collect::<Vec<_>>(), "{}", self.name);
        assert!(segments.is_sorted_by(|a, b| a + 1 == *b), "{}: {segments:?}", self.name);
    }

    /// Turns what was asked into what was recovered, which is the beginning of the next life.
    fn forget_behind(&mut self, records: u64) {
        let mut jobs = Vec::new();
        for record in model::records(&self.jobs).into_iter().take(usize::try_from(records).unwrap())
        {
            jobs.push(match record {
                record::Record::HardState(hard_state) => {
                    job(Write { hard_state: Some(hard_state), ..nothing(1) })
                }
                record::Record::Truncate(from) => {
                    job(Write { truncate_from: Some(from), ..nothing(1) })
                }
                record::Record::Entry(entry) => appending(1, vec![entry]),
                record::Record::Installed(id) => {
                    let snapshot = Some(model::snapshot(id.index.0, id.term.0));
                    job(Write { snapshot, ..nothing(1) })
                }
                record::Record::Saved(id) => Job::Saved(id),
            });
        }
        self.jobs = jobs;
        self.synced = records;
    }
}

/// Returns what picks a number: always the first, always the last, or at random.
fn chooser(kind: u64) -> impl FnMut(usize) -> usize {
    let mut state = kind;
    move |n| match kind {
        0 => 0,
        1 => n - 1,
        _ => {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n
        }
    }
}

/// Lives once, with a failure at one operation, and rises.
fn check(seed: u64, segment_size: usize, operation: u64, crash: Crash, kind: u64) {
    let name = format!("check({seed}, {segment_size}, {operation}, Crash::{crash:?}, {kind})");
    let mut lives = Lives::new(name, seed, segment_size);
    match crash {
        Crash::PowerLoss | Crash::Kill => lives.disk.fail_after(operation),
        Crash::Error => lives.disk.fail_once_after(operation),
    }
    let mut choose = chooser(kind);
    let _ = lives.live(REQUESTS);
    lives.rise(crash, &mut choose);
}

/// Enough that snapshots are received, saved, late and superseded, and segments removed.
const REQUESTS: u32 = 40;

#[test]
fn a_crash_at_any_operation_leaves_a_prefix_with_everything_synced() {
    let mut is_compacted = false;
    for seed in 0..6 {
        let segment_size = 72 + 60 * (seed as usize % 8);
        let mut whole = Lives::new("whole".to_owned(), seed, segment_size);
        whole.live(REQUESTS).unwrap();
        is_compacted |= segments(&whole.disk)[0] > 1;
        for operation in 0..whole.disk.operations() {
            check(seed, segment_size, operation, Crash::Kill, seed + 2);
            check(seed, segment_size, operation, Crash::Error, seed + 2);
            for kind in [0, 1, 2 + seed] {
                check(seed, segment_size, operation, Crash::PowerLoss, kind);
            }
        }
    }
    assert!(is_compacted, "no segment was ever removed");
}

#[test]
fn many_lives_leave_what_they_synced() {
    for seed in 0..100 {
        let name = format!("seed {seed}");
        let mut lives = Lives::new(name, seed, 72 + (seed as usize * 37) % 600);
        let mut choose = chooser(seed + 2);
        for _ in 0..6 {
            let crash = [Crash::PowerLoss, Crash::Kill, Crash::Error][choose(3)];
            let operations = choose(200) as u64;
            match crash {
                Crash::Error => lives.disk.fail_once_after(operations),
                _ => lives.disk.fail_after(operations),
            }
            let _ = lives.live(80);
            lives.rise(crash, &mut choose);
        }
    }
}
