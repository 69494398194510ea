//! Draws plans, swarm style: each seed has its own weather, limits, habits, and its own families of
//! fault that come often, seldom, or never. What is always a little of everything finds less.

use std::time::Duration;

use raft::Limits;

use super::{
    Clients, Core, CrashLoss, Flaw, Placement, Plan, Storage, Timings, Weather, Wishes, Workload,
};
use crate::fault::{Change, Family, Fault, FaultId, FaultKind, Moment};
use crate::random::{Random, Seed};
use crate::topology::{Target, Topology};

/// Faults of one schedule at the most; more are a blur in which none has time to matter.
const FAULTS_MAX: usize = 200;

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn plan(seed: Seed, wishes: &Wishes) -> Plan {
    let mut random = seed.derive("plan").stream();
    let founders = *random.pick(&[3, 3, 3, 5, 5]);
    let joiners = random.below(4);
    let timings = draw_timings(&mut random);
    let storm = random.duration(Duration::from_secs(4), Duration::from_secs(20));
    let is_loose = wishes.flaw == Some(Flaw::LooseLease);
    let mut plan = Plan {
        seed,
        founders: wishes.nodes.unwrap_or(founders),
        joiners,
        rates: vec![],
        core: draw_core(&mut seed.derive("core").stream(), is_loose),
        weather: draw_weather(&mut seed.derive("weather").stream(), &timings),
        storage: draw_storage(&mut seed.derive("storage").stream(), &timings),
        clients: draw_clients(&mut seed.derive("clients").stream(), &timings),
        timings,
        workload: wishes.workload.unwrap_or(Workload::Ledger),
        storm: wishes.storm.unwrap_or(storm),
        faults: vec![],
        flaw: wishes.flaw,
    };
    if let Some(rate) = wishes.rate {
        plan.clients.rate = rate;
    }
    if wishes.flaw == Some(Flaw::ForgetSessions) {
        plan.clients.session.get_or_insert(Duration::from_secs(60));
    }
    plan.rates = draw_rates(&mut seed.derive("clocks").stream(), &plan);
    let (random, room) = (seed.derive("schedule").stream(), seed.derive("room").stream());
    plan.faults = Scheduler { random, room, plan: &plan }.draw();
    if let Some(only) = &wishes.only {
        plan.faults.retain(|fault| only.contains(&fault.id));
    }
    plan
}

/// Mostly the node's own defaults.
fn draw_timings(random: &mut Random) -> Timings {
    if random.permille(500) {
        return Timings { tick: millis(10), heartbeat: 5, election: 30 };
    }
    let heartbeat = random.within(1..5) as u32;
    Timings {
        tick: millis(random.within(10..40)),
        heartbeat,
        election: heartbeat * random.within(3..8) as u32,
    }
}

fn draw_core(random: &mut Random, is_loose: bool) -> Core {
    let lease = is_loose || random.permille(250);
    let drift = random.within(20..300) as u32;
    let check_quorum = random.permille(800) || lease;
    Core {
        pre_vote: random.permille(800),
        check_quorum,
        lease: lease.then_some(if is_loose { 0 } else { drift }),
        limits: draw_limits(random),
    }
}

/// Clocks that differ all the time, by as much as a lease allows, or by some hundredths; or not at all.
fn draw_rates(random: &mut Random, plan: &Plan) -> Vec<u64> {
    let count = plan.founders + plan.joiners;
    let (least, most) = match plan.core.lease {
        Some(_) => plan.rates_allowed(),
        None => (950, 1050),
    };
    let differ = plan.is_loose() || random.permille(500);
    let choices = if differ { [least, 1000, most] } else { [1000; 3] };
    (0..count).map(|_| *random.pick(&choices)).collect()
}

/// Some of the limits are tiny, so that they are reached.
fn draw_limits(random: &mut Random) -> Limits {
    let roomy = Limits::default();
    let mut tiny = |chance: u64, least: u64, most: u64, roomy: usize| -> usize {
        let drawn = random.within(least..most + 1) as usize;
        if random.permille(chance) { drawn } else { roomy }
    };
    Limits {
        entries_per_message: tiny(300, 1, 8, roomy.entries_per_message),
        bytes_per_message: tiny(200, 64, 2000, roomy.bytes_per_message),
        bytes_per_chunk: tiny(500, 200, 4000, roomy.bytes_per_chunk),
        messages_in_flight: tiny(300, 1, 8, roomy.messages_in_flight),
        bytes_in_flight: tiny(200, 200, 8000, roomy.bytes_in_flight),
        entries_uncommitted: tiny(200, 4, 100, roomy.entries_uncommitted as usize) as u64,
        bytes_uncommitted: tiny(100, 1000, 20_000, roomy.bytes_uncommitted),
        entries_applying: tiny(300, 1, 20, roomy.entries_applying as usize) as u64,
        reads_pending: tiny(200, 2, 20, roomy.reads_pending),
        entries_per_snapshot: tiny(700, 5, 200, roomy.entries_per_snapshot as usize) as u64,
        bytes_per_snapshot: tiny(100, 500, 50_000, roomy.bytes_per_snapshot),
        entries_kept: tiny(700, 0, 40, roomy.entries_kept as usize) as u64,
        bytes_kept: tiny(200, 0, 4000, roomy.bytes_kept),
        ..roomy
    }
}

/// Links that mostly carry a message within a fraction of the patience of nodes.
fn draw_weather(random: &mut Random, timings: &Timings) -> Weather {
    let scale = timings.election_timeout() / draw_fraction(random);
    let some = |random: &mut Random, chance, most| {
        let drawn = random.below(most);
        if random.permille(chance) { drawn } else { 0 }
    };
    Weather {
        delay: random.duration(micros(50), scale),
        jitter: random.duration(micros(10), scale),
        tail: some(random, 300, 30),
        loss: some(random, 500, 100),
        doubling: some(random, 400, 50),
        disorder: some(random, 400, 100),
        echo: some(random, 400, 5),
    }
}

/// Draws by how much quicker links and disks are than nodes are patient: mostly by far.
fn draw_fraction(random: &mut Random) -> u32 {
    *random.pick(&[60, 60, 30, 30, 30, 8, 4])
}

fn draw_storage(random: &mut Random, timings: &Timings) -> Storage {
    let scale = timings.election_timeout() / draw_fraction(random);
    Storage {
        sync: random.duration(micros(50), scale),
        jitter: random.duration(micros(10), scale),
        save: random.duration(millis(1), timings.election_timeout() * 2),
        crash: *random.pick(&[CrashLoss::All, CrashLoss::Prefix, CrashLoss::Torn]),
    }
}

fn draw_clients(random: &mut Random, timings: &Timings) -> Clients {
    let patience = random.duration(millis(100), timings.election_timeout() * 4);
    let session = random.duration(Duration::from_secs(1), Duration::from_secs(20));
    Clients {
        count: random.within(2..8),
        rate: 50,
        patience,
        persistence: patience * random.within(1..6) as u32,
        distance: random.duration(micros(50), millis(3)),
        loss: if random.permille(300) { random.below(30) } else { 0 },
        session: random.permille(600).then_some(session),
        placement: *random.pick(&[
            Placement::Leader,
            Placement::Leader,
            Placement::Pinned,
            Placement::Random,
        ]),
        wandering: *random.pick(&[0, 200, 1000]),
        padding: *random.pick(&[0, 0, 64, 512]),
    }
}

struct Scheduler<'a> {
    random: Random,
    /// Draws how full disks are; apart, so that schedules stayed the same when disks began to be full.
    room: Random,
    plan: &'a Plan,
}

impl Scheduler<'_> {
    fn draw(mut self) -> Vec<Fault> {
        let mut families: Vec<Family> =
            Family::ALL.into_iter().filter(|_| self.random.permille(500)).collect();
        if self.plan.is_loose() {
            families = vec![Family::Clock, Family::Partition];
        }
        let pause = self.random.duration(millis(100), Duration::from_secs(3));
        let mut faults = vec![];
        let mut at = self.random.duration(millis(100), pause + millis(200));
        while at < self.plan.storm && faults.len() < FAULTS_MAX {
            let Some(family) = self.random.pick_any(&families) else { break };
            let kind = self.kind(family);
            let span = self.span(&kind);
            let id = FaultId(faults.len() as u32);
            faults.push(Fault { id, at, span, kind });
            at += self.random.duration(Duration::ZERO, pause * 2);
        }
        faults
    }

    fn target(&mut self) -> Target {
        use Target::{Anyone, Follower, Leader, Minority};
        *self.random.pick(&[Leader, Leader, Leader, Follower, Anyone, Minority])
    }

    fn topology(&mut self) -> Topology {
        match self.random.below(8) {
            0 | 1 => Topology::Isolate(self.target()),
            2 => Topology::Isolate(Target::Minority),
            3 => Topology::Outbound(self.target()),
            4 => Topology::Inbound(self.target()),
            5 => Topology::Bridge,
            6 => Topology::MajoritiesRing,
            _ => Topology::Single,
        }
    }

    fn kind(&mut self, family: Family) -> FaultKind {
        let target = self.target();
        match family {
            Family::Crash => FaultKind::Crash(target),
            Family::CrashAll => FaultKind::CrashAll,
            Family::Ambush => FaultKind::Ambush(*self.random.pick(&[
                Moment::Vote,
                Moment::Vote,
                Moment::Candidacy,
                Moment::Acknowledgement,
                Moment::Write,
                Moment::Installation,
                Moment::Saving,
            ])),
            Family::Pause => FaultKind::Pause(target),
            Family::Partition => {
                let topology = self.topology();
                match self.random.below(5) {
                    0 => {
                        let most = self.plan.timings.election_timeout() * 2;
                        FaultKind::Flapping {
                            topology,
                            period: self.random.duration(millis(10), most),
                        }
                    }
                    1 => FaultKind::Partition { topology, is_held: true },
                    _ => FaultKind::Partition { topology, is_held: false },
                }
            }
            Family::Weather if self.random.permille(500) => FaultKind::Weather {
                permille: self.random.below(200),
                slowness: self.random.within(1..10) as u32,
            },
            Family::Weather => {
                FaultKind::SlowNode { target, slowness: self.random.within(2..50) as u32 }
            }
            Family::Clock => self.clock(target),
            Family::Disk => match self.random.below(5) {
                0 | 1 => FaultKind::SlowDisk { target, slowness: self.random.within(2..50) as u32 },
                2 => FaultKind::StuckDisk(target),
                3 => FaultKind::BrokenDisk(target),
                _ if self.room.permille(600) => FaultKind::FullDisk(target),
                _ => FaultKind::ScarceDisk(target),
            },
            Family::Membership => FaultKind::Membership(self.change(target)),
            Family::Transfer => FaultKind::Transfer(*self.random.pick(&[
                Target::Follower,
                Target::Follower,
                Target::Anyone,
            ])),
            Family::Compaction => FaultKind::Compact(target),
        }
    }

    /// Where a lease relies on clocks, they keep what was promised: none of two runs faster than the
    /// other by more than the drift.
    fn clock(&mut self, target: Target) -> FaultKind {
        if self.random.permille(500) {
            let seconds = self.random.within(0..20) as i64;
            let sign = if self.random.permille(500) { 1 } else { -1 };
            return FaultKind::ClockJump { target, millis: sign * seconds * 700 };
        }
        let (least, most) = self.plan.rates_allowed();
        let rate = match self.random.below(3) {
            0 => least,
            1 => most,
            _ => self.random.within(least..most + 1),
        };
        FaultKind::ClockRate(target, rate)
    }

    fn change(&mut self, target: Target) -> Change {
        match self.random.below(9) {
            0 | 1 => Change::Add,
            2 => Change::AddLearner,
            3 => Change::Remove(target),
            4 | 5 => Change::Replace(target),
            6 => Change::Demote(target),
            7 => Change::Promote,
            _ => Change::Turnover,
        }
    }

    /// Some faults are over before anybody notices, some outlast several elections.
    fn span(&mut self, kind: &FaultKind) -> Duration {
        let patience = self.plan.timings.election_timeout();
        match kind {
            FaultKind::Membership(_) => patience * 20,
            FaultKind::ClockRate(..) => self.random.duration(patience, patience * 20),
            FaultKind::Ambush(_) => self.random.duration(patience, patience * 6),
            FaultKind::Transfer(_) | FaultKind::Compact(_) | FaultKind::ClockJump { .. } => {
                Duration::ZERO
            }
            _ => match self.random.below(4) {
                0 => self.random.duration(micros(10), patience / 10),
                1 => self.random.duration(millis(1), patience),
                2 => self.random.duration(patience, patience * 3),
                _ => self.random.duration(patience, patience * 8),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_its_plan_again_and_others_draw_others() {
        let draw = |seed| plan(Seed(seed), &Wishes::default());
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }

    #[test]
    fn seeds_differ_in_what_comes_and_all_of_it_comes_somewhere() {
        let mut seen = std::collections::BTreeSet::new();
        let mut calm = 0;
        let (mut full, mut scarce) = (0, 0);
        for seed in 0..300 {
            let plan = plan(Seed(seed), &Wishes::default());
            let families: std::collections::BTreeSet<_> =
                plan.faults.iter().map(|fault| fault.kind.family()).collect();
            calm += u32::from(!families.contains(&Family::Crash));
            let count = |is: fn(&FaultKind) -> bool| {
                plan.faults.iter().filter(|fault| is(&fault.kind)).count()
            };
            full += count(|kind| matches!(kind, FaultKind::FullDisk(_)));
            scarce += count(|kind| matches!(kind, FaultKind::ScarceDisk(_)));
            seen.extend(families);
            assert!(plan.faults.is_sorted_by_key(|fault| fault.at));
            assert!(plan.timings.election > plan.timings.heartbeat);
        }
        assert_eq!(seen.len(), Family::ALL.len());
        assert!((100..250).contains(&calm), "{calm} of 300 seeds have no crash");
        assert!(full > 20 && scarce > 20, "{full} disks are full, {scarce} scarce");
    }

    #[test]
    fn clocks_keep_what_a_lease_relies_on() {
        for seed in 0..500 {
            let plan = plan(Seed(seed), &Wishes::default());
            let Some(drift) = plan.core.lease else { continue };
            let rates = plan.faults.iter().filter_map(|fault| match fault.kind {
                FaultKind::ClockRate(_, rate) => Some(rate),
                _ => None,
            });
            let rates: Vec<u64> = rates.chain(plan.rates.iter().copied()).chain([1000]).collect();
            let (slow, fast) = (rates.iter().min().unwrap(), rates.iter().max().unwrap());
            assert!(slow * 1000 >= fast * (1000 - u64::from(drift)), "{rates:?} {drift}");
        }
    }
}
