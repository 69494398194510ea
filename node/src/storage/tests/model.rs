//! What the log should amount to, found the slow and obvious way, and random work for it to do.

use std::collections::BTreeMap;

use raft::{Entry, HardState, LogIndex, Payload, Snapshot, Term, Write};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{entry, hard_state, job, membership, nothing};
use crate::storage::outline::SnapshotId;
use crate::storage::record::{self, Record};
use crate::storage::{Job, Recovered};

/// Returns the snapshot that the tests take of this entry, …
pub(super) fn snapshot(index: u64, term: u64) -> Snapshot {
    let membership = membership(&[1, 2, index], &[index + 1], &[]);
    Snapshot { index: LogIndex(index), term: Term(term), membership }
}

/// … and its data: none, or some.
pub(super) fn data(index: LogIndex) -> Vec<u8> {
    (0..index.0 % 5 * 40).map(|byte| (byte * index.0) as u8).collect()
}

/// Returns the records of jobs: none for a snapshot that was saved when a newer one was on record.
pub(super) fn records(jobs: &[Job]) -> Vec<Record> {
    let mut newest = LogIndex(0);
    let mut records = Vec::new();
    for job in jobs {
        match job {
            Job::Write { write, .. } => {
                newest = write.snapshot.as_ref().map_or(newest, |snapshot| snapshot.index);
                records.extend(record::records(write));
            }
            Job::Saved(snapshot) if snapshot.index > newest => {
                newest = snapshot.index;
                records.push(Record::Saved(*snapshot));
            }
            Job::Saved(_) => {}
        }
    }
    records
}

/// Returns how many records some jobs have.
pub(super) fn count(jobs: &[Job]) -> u64 {
    records(jobs).len() as u64
}

/// What a node should remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) hard_state: HardState,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) entries: Vec<Entry>,
}

impl Model {
    /// Returns what the first `count` records of some jobs amount to.
    pub(super) fn after(jobs: &[Job], count: u64) -> Self {
        let mut model = Self::default();
        let records = records(jobs).into_iter();
        for record in records.take(usize::try_from(count).unwrap()) {
            match record {
                Record::HardState(hard_state) => model.hard_state = hard_state,
                Record::Truncate(from) => model.entries.retain(|entry| entry.index < from),
                Record::Entry(entry) => model.entries.push(entry),
                Record::Installed(id) => {
                    model.snapshot = Some(snapshot(id.index.0, id.term.0));
                    model.entries.clear();
                }
                Record::Saved(id) => {
                    model.snapshot = Some(snapshot(id.index.0, id.term.0));
                    model.entries.retain(|entry| entry.index > id.index);
                }
            }
        }
        model
    }

    /// Returns the model of all that some jobs amount to.
    pub(super) fn of(jobs: &[Job]) -> Self {
        Self::after(jobs, u64::MAX)
    }

    /// Checks that this is what was recovered, and that the core will take it.
    pub(super) fn check(&self, recovered: &Recovered, seen: &str) {
        let raft::Recovered { hard_state, snapshot, entries } = &recovered.core;
        let found =
            Self { hard_state: *hard_state, snapshot: snapshot.clone(), entries: entries.clone() };
        assert_eq!(&found, self, "{seen}");
        let expected = snapshot.as_ref().map(|snapshot| data(snapshot.index));
        assert_eq!(recovered.data, expected, "{seen}");
        let terms = entries.iter().map(|entry| entry.term);
        let term = terms.chain(snapshot.iter().map(|snapshot| snapshot.term)).max();
        assert!(term.unwrap_or_default() <= hard_state.term, "{seen}: a term from the future");
    }
}

/// What a core under random work asks of the storage.
#[derive(Debug)]
pub(super) enum Request {
    /// To do this.
    Job(Job),
    /// To make the file of a snapshot. If that works, [`Core::saved`] is to be told.
    Save(Snapshot),
    /// To sync.
    Sync,
}

/// Makes up what a core may ask: everything fits what went before, and nothing else holds it back.
#[derive(Debug)]
pub(super) struct Core {
    random: StdRng,
    term: u64,
    committed: u64,
    last: u64,
    /// The term of each entry of the log, and of the newest snapshot's last.
    terms: BTreeMap<u64, u64>,
    snapshot: u64,
    /// The snapshot that was made a file and is not yet on record.
    saving: Option<SnapshotId>,
}

impl Core {
    /// Makes a core of what was recovered.
    pub(super) fn new(seed: u64, recovered: &raft::Recovered) -> Self {
        let id = recovered.snapshot.as_ref().map(|snapshot| (snapshot.index.0, snapshot.term.0));
        let (index, _) = id.unwrap_or_default();
        let entries = recovered.entries.iter().map(|entry| (entry.index.0, entry.term.0));
        Self {
            random: StdRng::seed_from_u64(seed),
            term: recovered.hard_state.term.0,
            committed: index,
            last: index + recovered.entries.len() as u64,
            terms: id.into_iter().chain(entries).collect(),
            snapshot: index,
            saving: None,
        }
    }

    /// Returns a number below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.random.random_range(0..n)
    }

    /// Returns what is asked next.
    pub(super) fn next(&mut self) -> Request {
        match self.below(16) {
            0..=5 => Request::Job(job(self.write())),
            6 if self.term > 0 => Request::Job(job(self.install())),
            7..=8 if self.committed > self.snapshot && self.saving.is_none() => {
                Request::Save(snapshot(self.committed, self.terms[&self.committed]))
            }
            9..=10 if self.saving.is_some() => {
                let id = self.saving.take().unwrap();
                self.snapshot = self.snapshot.max(id.index.0);
                Request::Job(Job::Saved(id))
            }
            11 => Request::Sync,
            _ => {
                self.committed += self.below(self.last - self.committed + 1);
                Request::Sync
            }
        }
    }

    /// Notes that a snapshot was made a file.
    pub(super) fn saved(&mut self, snapshot: &Snapshot) {
        self.saving = Some(SnapshotId::of(snapshot));
    }

    fn write(&mut self) -> Write {
        let mut write = nothing(1);
        if self.term == 0 || self.below(4) == 0 {
            self.term += 1;
            write.hard_state = Some(hard_state(self.term, self.below(4)));
        }
        if self.last > self.committed && self.below(3) == 0 {
            let from = self.committed + 1 + self.below(self.last - self.committed);
            self.truncate(from);
            write.truncate_from = Some(LogIndex(from));
        }
        write.entries = self.entries();
        if self.below(3) == 0 {
            write.compact_upto = Some(LogIndex(self.below(self.snapshot + 1)));
        }
        write
    }

    fn install(&mut self) -> Write {
        let mut write = nothing(1);
        if self.below(2) == 0 {
            self.term += 1;
            write.hard_state = Some(hard_state(self.term, 0));
        }
        let index = self.committed + 1 + self.below(6);
        self.truncate(0);
        self.terms.insert(index, self.term);
        (self.committed, self.last, self.snapshot) = (index, index, index);
        write.snapshot = Some(snapshot(index, self.term));
        write.entries = self.entries();
        write
    }

    fn truncate(&mut self, from: u64) {
        self.terms.retain(|index, _| *index < from);
        self.last = from.saturating_sub(1);
    }

    fn entries(&mut self) -> Vec<Entry> {
        let count = self.below(4);
        (0..count)
            .map(|_| {
                self.last += 1;
                self.terms.insert(self.last, self.term);
                let payload = match self.below(6) {
                    0 => Payload::Noop,
                    1 => Payload::Membership(membership(&[self.last], &[], &[1, 2])),
                    _ => {
                        // Much of it zeros, which are also what is where nothing was written.
                        let length = self.below(60);
                        let bytes = (0..length).map(|_| self.below(16).saturating_sub(12) as u8);
                        Payload::Command(bytes.collect())
                    }
                };
                Entry { payload, ..entry(self.term, self.last, b"") }
            })
            .collect()
    }
}
