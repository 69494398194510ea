//! How states are told apart.
//!
//! The checker knows a state by its hash. Nearly everything in a step stays as it was, so each part of
//! a state carries the hash of its own, and is shared between states until it changes.
//!
//! One part of a replica is left out: how far its timers have run, and the generator that sets them.
//! In this model time passes for a node only as far as its next timer, whenever the checker likes, so
//! two replicas that differ in nothing else do the same from here on, and what they become differs in
//! nothing else either. Left in, every heartbeat that arrives once more would make a new state, and
//! there would be no end of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use raft::Replica;

/// A part of a state, with its hash.
#[derive(Debug)]
pub(crate) struct Part<T> {
    digest: u64,
    value: Arc<T>,
}

impl<T> Part<T> {
    pub(crate) fn new(value: T, digest: u64) -> Self {
        Self { digest, value: Arc::new(value) }
    }

    /// Makes a part that differs from another whenever the value does.
    pub(crate) fn of(value: T) -> Self
    where
        T: Hash,
    {
        let digest = digest_of(&value);
        Self::new(value, digest)
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self { digest: self.digest, value: Arc::clone(&self.value) }
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Part<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<T> Eq for Part<T> {}

impl<T> Hash for Part<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// Keeps what is fed to a hasher.
pub(crate) struct Recorder(Vec<u8>);

impl Default for Recorder {
    fn default() -> Self {
        // A node takes about so much.
        Self(Vec::with_capacity(2048))
    }
}

impl Hasher for Recorder {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher.finish()
    }
}

/// What ends every replica: `elapsed`, `election_deadline`, `since_leader`, `now` and `random`.
const CLOCK_BYTES: usize = 4 + 4 + 4 + 8 + 8;
/// Where `since_leader` stands among them.
const SINCE_LEADER: std::ops::Range<usize> = 8..12;

impl Recorder {
    /// Records a replica without its clock. Whether the node still stands by its leader is a matter of
    /// the clock too; it is kept where the configuration makes nodes heed it.
    pub(crate) fn record_replica(&mut self, replica: &Replica, heeds_leader: bool) {
        replica.hash(self);
        let clock = self.0.split_off(self.0.len() - CLOCK_BYTES);
        if heeds_leader {
            self.0.extend_from_slice(&clock[SINCE_LEADER]);
        }
    }
}

pub(crate) fn digest_of<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut recorder = Recorder::default();
    value.hash(&mut recorder);
    recorder.finish()
}

/// The clock is recognised by its place; should the replica's fields be put in another order, this
/// fails before a model leaves out something else.
#[test]
fn a_replica_ends_with_its_clock() {
    use raft::{Config, Input, Limits, NodeId, Recovered, Timestamp};

    let config = Config {
        id: NodeId(1),
        members: [1, 2, 3].map(NodeId).into(),
        election_timeout: 50,
        heartbeat_interval: 3,
        pre_vote: false,
        check_quorum: false,
        lease: None,
        incarnation: 1,
        seed: 7,
        limits: Limits::default(),
    };
    let fresh = Replica::new(config, Recovered::default()).unwrap();
    let mut older = fresh.clone();
    older.handle(Input::Tick { now: Timestamp(0) }, &mut vec![]);

    let described = format!("{older:?}");
    let clock = &described[described.rfind("elapsed: ").unwrap()..];
    let names: Vec<&str> =
        clock.split([',', '{', '}']).filter_map(|it| it.split(':').next()).collect();
    let names: Vec<&str> = names.iter().map(|it| it.trim()).filter(|it| !it.is_empty()).collect();
    assert_eq!(names, ["elapsed", "election_deadline", "since_leader", "now", "random"]);

    let record = |replica: &Replica| {
        let mut recorder = Recorder::default();
        recorder.record_replica(replica, false);
        recorder.0
    };
    assert_ne!(fresh, older);
    assert_eq!(record(&fresh), record(&older), "a tick that does nothing is no difference");
    let mut whole = Recorder::default();
    older.hash(&mut whole);
    let clock = whole.0.split_off(whole.0.len() - CLOCK_BYTES);
    assert_eq!(clock[..4], 1_u32.to_ne_bytes(), "the first is the one tick that has elapsed");
    assert_eq!(clock[SINCE_LEADER], 50_u32.to_ne_bytes(), "it has heard from no leader");
}
