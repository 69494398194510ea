//! What a generated schedule chooses from.

use std::iter::repeat_n;
use std::time::Duration;

use rand::Rng;

use crate::disk::damage::Damage;
use crate::fault::schedule::{Storm, draw_span};
use crate::fault::{Family, Fault, Links, Restart, Target, Topology};
use crate::messages::{MessageAction, MessageKind, MessageRule};

/// The shortest latency and period, and the narrowest line as a part of the widest, that are drawn:
/// below that nodes would notice nothing.
const LATENCY_MIN: Duration = Duration::from_millis(2);
const PERIOD_MIN: Duration = Duration::from_millis(40);
const THROTTLE_SPREAD: u64 = 500;

/// How far clocks jump: from what a heartbeat is to what every timeout has passed in.
const JUMP_MIN: Duration = Duration::from_millis(50);
const JUMP_MAX: Duration = Duration::from_secs(60);

/// Returns the faults of a family, each with its numbers still to be [drawn](draw_numbers).
pub(super) fn menu(storm: &Storm, family: Family) -> Vec<Fault> {
    let targets = storm.targets.iter().copied();
    let links = || {
        targets.clone().flat_map(|target| {
            [Links::To, Links::From, Links::Both, Links::Clients].map(|links| links(target))
        })
    };
    match family {
        Family::Kill => targets.map(Fault::Kill).collect(),
        Family::Pause => targets.map(Fault::Pause).collect(),
        Family::Restart => vec![
            Fault::Restart(Restart::AtOnce(Target::All)),
            Fault::Restart(Restart::Rolling(Target::All)),
        ],
        Family::Partition => partitions(storm),
        Family::Delay => links()
            .map(|links| Fault::Delay { links, latency: Duration::ZERO, jitter: Duration::ZERO })
            .collect(),
        Family::Throttle => {
            links().map(|links| Fault::Throttle { links, bytes_per_second: 1 }).collect()
        }
        Family::Refuse => links().map(Fault::Refuse).collect(),
        Family::Reset => links().map(Fault::Reset).collect(),
        Family::Blackhole => links().map(Fault::Blackhole).collect(),
        Family::Messages => messages(storm),
        Family::Upgrade => vec![Fault::Upgrade(Target::All), Fault::Upgrade(Target::One)],
        Family::Membership => {
            let changes =
                targets.flat_map(|target| [Fault::Shrink(target), Fault::Replace(target)]);
            changes.chain([Fault::Grow, Fault::Grow]).collect()
        }
        Family::Transfer => vec![Fault::Transfer(Target::Follower)],
        Family::Snapshot => targets.chain([Target::All]).map(Fault::Snapshot).collect(),
        Family::Power => {
            // A power loss that takes everybody is what only disks can help against.
            let targets = targets.chain([Target::All]);
            targets
                .flat_map(|target| [true, false].map(|torn| Fault::PowerLoss { target, torn }))
                .collect()
        }
        Family::Damage => single(targets)
            .flat_map(|target| {
                let damages = [Damage::BitFlip, Damage::TruncatedTail];
                let both = damages.into_iter().flat_map(|it| [(it, false), (it, true)]);
                both.map(move |(damage, replaced)| Fault::Damage { target, damage, replaced })
            })
            .collect(),
        Family::Disk => single(targets)
            .flat_map(|target| {
                [
                    Fault::DiskFull(target),
                    Fault::SlowSync { target, delay: Duration::ZERO },
                    Fault::FailingSync { target, once: true },
                    Fault::FailingSync { target, once: false },
                ]
            })
            .collect(),
        Family::Clock => targets
            .flat_map(|target| {
                [
                    Fault::ClockAhead { target, by: Duration::ZERO },
                    Fault::ClockBack { target, by: Duration::ZERO },
                    Fault::ClockDrift { target, percent: 100 },
                ]
            })
            .collect(),
    }
}

/// Leaves those targets that mean one node: a process that ends because of its disk comes on top of
/// those that are killed, and files that are damaged are never those of a majority.
fn single(targets: impl Iterator<Item = Target>) -> impl Iterator<Item = Target> {
    targets.filter(|target| !matches!(target, Target::Minority | Target::Majority | Target::All))
}

/// Every shape once whole and, for each second one, once flapping.
fn partitions(storm: &Storm) -> Vec<Fault> {
    let mut shapes =
        vec![Topology::Halves, Topology::RandomHalves, Topology::Bridge, Topology::MajoritiesRing];
    for &target in &storm.targets {
        match target {
            // To isolate many is to cut the cluster in two, which is on the menu already.
            Target::Minority | Target::Majority | Target::All => {}
            Target::Leader => shapes.extend([
                Topology::LeaderWithClients,
                Topology::Isolate(target),
                Topology::Outbound(target),
                Topology::Inbound(target),
            ]),
            Target::One | Target::Node(_) => shapes.extend([
                Topology::Isolate(target),
                Topology::Outbound(target),
                Topology::Inbound(target),
            ]),
            Target::Follower => shapes.push(Topology::Isolate(target)),
        }
    }
    let flaps =
        shapes.iter().step_by(2).map(|&topology| Fault::Flap { topology, period: PERIOD_MIN });
    let flaps: Vec<Fault> = flaps.collect();
    shapes.into_iter().map(Fault::Partition).chain(flaps).collect()
}

/// Every action once on the links to, and once on those from each target.
fn messages(storm: &Storm) -> Vec<Fault> {
    let actions = [
        MessageAction::Drop,
        MessageAction::Duplicate,
        MessageAction::Delay(LATENCY_MIN),
        MessageAction::Reorder,
    ];
    let of_links = |links: Links| {
        let rule = move |action| MessageRule { kind: None, percent: 100, action };
        actions.map(|action| Fault::Messages { links, rule: rule(action) })
    };
    let targets = storm.targets.iter();
    targets.flat_map(|&it| [Links::To(it), Links::From(it)]).flat_map(of_links).collect()
}

/// Draws what a card leaves open: how late, how narrow, how fast.
pub(super) fn draw_numbers(fault: Fault, storm: &Storm, generator: &mut impl Rng) -> Fault {
    match fault {
        Fault::Flap { topology, .. } => {
            let period_max = storm.duration_min.max(PERIOD_MIN);
            Fault::Flap { topology, period: draw_magnitude(generator, PERIOD_MIN, period_max) }
        }
        Fault::Delay { links, .. } => {
            let latency = draw_magnitude(generator, LATENCY_MIN, storm.latency_max);
            let jitter = draw_span(generator, Duration::ZERO, latency);
            Fault::Delay { links, latency, jitter }
        }
        Fault::Throttle { links, .. } => {
            let least = storm.bytes_per_second_min.max(1);
            let factor = (THROTTLE_SPREAD as f64).powf(generator.random());
            let bytes_per_second = (least as f64 * factor) as u64;
            Fault::Throttle { links, bytes_per_second }
        }
        Fault::Messages { links, rule } => {
            // Half of them hit whatever comes; to lose all of one kind is another matter.
            let is_of_kind = generator.random();
            // A rare kind that does not come by in a fault's time shows nothing.
            let repeat = |kind: MessageKind| repeat_n(kind, if kind.is_common() { 4 } else { 1 });
            let kinds: Vec<_> = MessageKind::TOLD_APART.into_iter().flat_map(repeat).collect();
            let kind = kinds[generator.random_range(0..kinds.len())];
            let percent = generator.random_range(5..=100);
            let late = draw_magnitude(generator, LATENCY_MIN, storm.latency_max);
            let action = match rule.action {
                MessageAction::Delay(_) => MessageAction::Delay(late),
                other => other,
            };
            let rule = MessageRule { kind: Some(kind).filter(|_| is_of_kind), percent, action };
            Fault::Messages { links, rule }
        }
        Fault::SlowSync { target, .. } => Fault::SlowSync {
            target,
            delay: draw_magnitude(generator, LATENCY_MIN, storm.latency_max),
        },
        Fault::ClockAhead { target, .. } => {
            Fault::ClockAhead { target, by: draw_magnitude(generator, JUMP_MIN, JUMP_MAX) }
        }
        Fault::ClockBack { target, .. } => {
            Fault::ClockBack { target, by: draw_magnitude(generator, JUMP_MIN, JUMP_MAX) }
        }
        Fault::ClockDrift { target, .. } => {
            let percent = 100.0 * 2_f64.powf(generator.random_range(-1.0..=1.0));
            Fault::ClockDrift { target, percent: percent as u32 }
        }
        other => other,
    }
}

/// Draws how long a fault lasts.
pub(super) fn draw_duration(
    fault: Fault,
    storm: &Storm,
    longest: Duration,
    generator: &mut impl Rng,
) -> Duration {
    match fault {
        // What is far too short for an election is a fault of its own kind: timers jump.
        Fault::Pause(_) => draw_magnitude(generator, storm.pause_min.min(longest), longest),
        // Who was killed together is wanted back together, before anybody gives the cluster up.
        Fault::Restart(Restart::AtOnce(_)) => {
            draw_span(generator, Duration::ZERO, storm.duration_min.min(longest))
        }
        _ => draw_span(generator, storm.duration_min.min(longest), longest),
    }
}

/// Draws a span of which every order of magnitude is as likely as another.
fn draw_magnitude(generator: &mut impl Rng, min: Duration, max: Duration) -> Duration {
    let min = min.max(Duration::from_millis(1));
    let ratio = max.as_secs_f64() / min.as_secs_f64();
    let drawn = min.mul_f64(ratio.max(1.0).powf(generator.random()));
    Duration::from_millis(u64::try_from(drawn.as_millis()).unwrap_or(u64::MAX))
}
