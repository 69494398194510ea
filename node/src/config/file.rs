//! The configuration file as it is written, and the checks that no parser can make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use raft::NodeId;
use serde::Deserialize;

use super::{Config, Flaw, Listen, Mistake, PeerAddress, Reads, SnapshotPolicy, Timings};

/// The runtime's timer lets a tick come early by up to so much when the one before was late. It must be
/// no more than a tick, or a follower's promise is shorter than its leader's lease takes it to be.
const LEASE_TICK_MIN: Duration = Duration::from_millis(5);

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    cluster: String,
    id: u64,
    listen: Listen,
    peers: Vec<Peer>,
    members: Option<BTreeSet<u64>>,
    #[serde(default)]
    join: bool,
    data: PathBuf,
    #[serde(default)]
    timings: Timings,
    #[serde(default)]
    snapshot: SnapshotPolicy,
    #[serde(default)]
    reads: Reads,
    seed: Option<u64>,
    #[serde(default)]
    flaws: BTreeSet<Flaw>,
    #[serde(default)]
    adjustable_clock: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    id: u64,
    address: PeerAddress,
}

impl File {
    /// Checks what no parser can; relative paths start at `folder`.
    pub(super) fn check(self, folder: &Path) -> Result<Config, Mistake> {
        if self.cluster.is_empty() {
            return Err(Mistake::NamelessCluster);
        }
        if self.id == 0 {
            return Err(Mistake::ZeroId);
        }
        if self.data.as_os_str().is_empty() {
            return Err(Mistake::NoData);
        }
        check_listen(self.listen)?;
        check_timings(self.timings)?;
        let peers = check_peers(self.peers)?;
        if !peers.contains_key(&NodeId(self.id)) {
            return Err(Mistake::NotAPeer(self.id));
        }
        let beginning = check_beginning(self.id, self.members, self.join, &peers)?;
        check_snapshot(self.snapshot)?;
        check_reads(self.reads, self.timings)?;
        Ok(Config {
            cluster: self.cluster,
            id: NodeId(self.id),
            listen: self.listen,
            peers,
            beginning,
            data: folder.join(self.data),
            timings: self.timings,
            snapshot: self.snapshot,
            reads: self.reads,
            seed: self.seed,
            flaws: self.flaws,
            adjustable_clock: self.adjustable_clock,
        })
    }
}

fn check_listen(listen: Listen) -> Result<(), Mistake> {
    for (key, address) in [("peers", listen.peers), ("clients", listen.clients)] {
        if address.port() == 0 {
            return Err(Mistake::NoPort(key));
        }
    }
    if listen.peers == listen.clients {
        return Err(Mistake::SameListener(listen.peers));
    }
    Ok(())
}

fn check_timings(timings: Timings) -> Result<(), Mistake> {
    let Timings { tick, heartbeat, election } = timings;
    for (key, time) in [("tick", tick), ("heartbeat", heartbeat), ("election", election)] {
        if !(Duration::from_millis(1)..=Duration::from_hours(1)).contains(&time) {
            return Err(Mistake::Timing(key, time));
        }
    }
    if heartbeat < tick {
        return Err(Mistake::HeartbeatBelowTick(heartbeat, tick));
    }
    // What counts is the order after both were rounded to ticks.
    if timings.ticks(election) <= timings.ticks(heartbeat) {
        return Err(Mistake::Impatient(election, heartbeat));
    }
    Ok(())
}

fn check_peers(peers: Vec<Peer>) -> Result<BTreeMap<NodeId, PeerAddress>, Mistake> {
    let mut checked: BTreeMap<NodeId, PeerAddress> = BTreeMap::new();
    for Peer { id, address } in peers {
        if id == 0 {
            return Err(Mistake::ZeroPeer);
        }
        if checked.contains_key(&NodeId(id)) {
            return Err(Mistake::DuplicatePeer(id));
        }
        if let Some((other, _)) = checked.iter().find(|(_, other)| **other == address) {
            return Err(Mistake::DuplicateAddress(other.0, id, address));
        }
        checked.insert(NodeId(id), address);
    }
    Ok(checked)
}

fn check_beginning(
    id: u64,
    members: Option<BTreeSet<u64>>,
    join: bool,
    peers: &BTreeMap<NodeId, PeerAddress>,
) -> Result<Option<BTreeSet<NodeId>>, Mistake> {
    let Some(members) = members else {
        return Ok(join.then(BTreeSet::new));
    };
    if members.is_empty() {
        return Ok(Some(BTreeSet::new()));
    }
    if join {
        return Err(Mistake::JoinWithMembers);
    }
    if let Some(&stranger) = members.iter().find(|&&id| !peers.contains_key(&NodeId(id))) {
        return Err(Mistake::MemberWithoutAddress(stranger));
    }
    if !members.contains(&id) {
        return Err(Mistake::NotAMember(id));
    }
    Ok(Some(members.into_iter().map(NodeId).collect()))
}

fn check_snapshot(snapshot: SnapshotPolicy) -> Result<(), Mistake> {
    for (key, is_zero) in [("entries", snapshot.entries == 0), ("bytes", snapshot.bytes == 0)] {
        if is_zero {
            return Err(Mistake::SnapshotAlways(key));
        }
    }
    Ok(())
}

fn check_reads(reads: Reads, timings: Timings) -> Result<(), Mistake> {
    let Reads { lease, drift } = reads;
    if !(1..1000).contains(&drift.thousandths()) {
        return Err(Mistake::Drift(drift));
    }
    if lease && timings.tick < LEASE_TICK_MIN {
        return Err(Mistake::LeaseTick(timings.tick, LEASE_TICK_MIN));
    }
    // A follower's promise may be two ticks shorter than the election timeout, by its own clock.
    let promised = timings.tick * timings.ticks(timings.election).saturating_sub(2);
    let lasting = promised.mul_f64(1.0 - f64::from(drift.thousandths()) / 1000.0);
    if lease && lasting <= timings.heartbeat {
        return Err(Mistake::LeaseTooShort(timings.heartbeat));
    }
    Ok(())
}
