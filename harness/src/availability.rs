//! The availability auditor: whether the system served while nothing kept it from serving.
//!
//! A replicated system need not answer while no majority of its nodes can talk to each other. While
//! one can, it must: it has a deadline to find a leader and answer somebody. So the auditor first
//! tells from the nemesis' edges when a majority was connected, for certain, and then looks
//! at the answers in those times alone:
//!
//! - **served**: while a majority is connected and clients ask, no time longer than the deadline goes
//!   by without an answer. Who stays with a node that is none of the majority asks in vain, and rightly.
//!
//! It also measures: answers in a second while a majority was connected, the longest time without one,
//! how long after the end of each fault somebody was answered who asked after it, and the course of the
//! whole run. A recovery counts only if a majority stayed connected until then.

mod majority;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use checker::history::{EventType, Process, Recording};
use serde::Serialize;
use serde_json::json;

use crate::audit::{Audit, Breach, Finding};
use crate::client::Placement;
use crate::system::NodeId;
use majority::{Heal, Stretch};

/// What the auditor must know besides the history.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// How many nodes began the cluster.
    pub nodes: u64,
    /// How long the cluster may take to answer once a majority is connected.
    pub deadline: Duration,
    /// How many clients there are; each has one process at a time, of the same number modulo this.
    pub concurrency: u64,
    /// Where the clients send their operations, in turn; to the leader if nothing is said.
    pub placements: &'a [Placement],
}

impl Terms<'_> {
    /// Returns the node that a process stays with, if it does.
    fn pinned(&self, process: u64) -> Option<NodeId> {
        let client = process % self.concurrency.max(1);
        let turn = client % (self.placements.len() as u64).max(1);
        match self.placements.get(usize::try_from(turn).ok()?)? {
            Placement::Pinned(node) => Some(*node),
            Placement::LeaderFollowing | Placement::Random => None,
        }
    }

    /// Returns the longest time without a question that still counts as silence, in nanoseconds: whoever
    /// asks several times within the deadline would have noticed an answer.
    fn pause_max(&self) -> u64 {
        nanoseconds(self.deadline / 4)
    }
}

/// Into how many parts the course of a run is divided at most; none is shorter than a second.
const PARTS_MAX: u64 = 600;

/// How many recoveries are told one by one.
const RECOVERIES_MAX: usize = 1_000;

const SECOND: u64 = 1_000_000_000;

/// An event of a client.
#[derive(Clone, Copy, Debug)]
struct Ask {
    time: u64,
    line: usize,
    kind: EventType,
    process: u64,
    /// When the operation that ends here was begun.
    begun: u64,
    /// Whether whoever asked can be answered by the majority that is connected.
    is_owed: bool,
}

/// One second or so of a run.
#[derive(Clone, Debug, Default, Serialize)]
struct Part {
    /// When it begins, in seconds.
    at: f64,
    ok: u64,
    fail: u64,
    info: u64,
    /// For what share of it a majority was certainly connected.
    connected: f64,
}

/// A fault's end and what came after.
#[derive(Clone, Debug, Serialize)]
struct Recovery<'a> {
    fault: &'a str,
    healed_ns: u64,
    /// Nothing if nobody was answered before a majority was cut off again, or the history ended.
    recovered_after_ns: Option<u64>,
}

/// Audits a recording.
pub fn check(recording: &Recording, terms: Terms<'_>) -> Audit {
    let mut asks = asks(recording);
    let (Some(first), Some(last)) = (asks.first(), asks.last()) else {
        return audit(Finding::Unknown { why: "nobody asked for anything".into() });
    };
    let (start, end) = (first.time, last.time);
    let course = majority::course(recording, terms.nodes, start, end);
    for ask in &mut asks {
        ask.is_owed = terms.pinned(ask.process).is_none_or(|node| course.serves(node, ask.begun));
    }
    let connected: u64 = course.stretches.iter().map(Stretch::length).sum();
    let answers: Vec<&Ask> = asks.iter().filter(|ask| ask.kind == EventType::Ok).collect();
    let is_in = |ask: &&&Ask| course.stretches.iter().any(|stretch| stretch.holds(ask.time));
    let answers_connected = answers.iter().filter(is_in).count();
    let gaps = course
        .stretches
        .iter()
        .filter_map(|stretch| longest_gap(stretch, &asks, terms.pause_max()));
    let gap = gaps.max_by_key(|gap| gap.length);
    let recoveries: Vec<Recovery<'_>> =
        course.heals.iter().map(|heal| recovery(heal, &course.stretches, &answers)).collect();
    let slowest = recoveries.iter().filter_map(|it| it.recovered_after_ns).max();
    let per_second = |count: usize, time: u64| count as f64 * SECOND as f64 / time.max(1) as f64;
    let rate = per_second(answers_connected, connected);
    let longest = gap.as_ref().map_or(0, |gap| gap.length);
    let measures = json!({
        "connected_ns": connected,
        "total_ns": end - start,
        "ok_per_second_connected": rate,
        "ok_per_second": per_second(answers.len(), end - start),
        "longest_without_answer_ns": longest,
        "slowest_recovery_ns": slowest,
        "recoveries": recoveries.iter().take(RECOVERIES_MAX).collect::<Vec<_>>(),
        "course": parts(&asks, &course.stretches, start, end),
    });
    let finding = match gap {
        Some(gap) if Duration::from_nanos(gap.length) > terms.deadline => Finding::Violation {
            breach: Box::new(Breach {
                rule: "served",
                key: "the cluster".into(),
                explanation: format!(
                    "nobody was answered for {} though a majority was connected and clients asked; \
                     the deadline is {}",
                    seconds(gap.length),
                    humantime::format_duration(terms.deadline),
                ),
                lines: gap.lines,
            }),
        },
        _ if connected == 0 && end > start => {
            Finding::Unknown { why: "no majority was ever connected".into() }
        }
        _ => Finding::Pass,
    };
    let recovered = match (recoveries.len(), slowest) {
        (0, _) | (_, None) => String::new(),
        (heals, Some(slowest)) => {
            format!("; after each of {heals} faults within {}", seconds(slowest))
        }
    };
    let summary = format!(
        "{rate:.0} answers a second in the {} with a majority, never more than {} without one{recovered}",
        seconds(connected),
        seconds(longest),
    );
    Audit { summary, measures, ..audit(finding) }
}

fn audit(finding: Finding) -> Audit {
    let measures = serde_json::Value::Null;
    Audit { name: "availability", finding, summary: String::new(), measures }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn seconds(nanoseconds: u64) -> String {
    format!("{:.1} s", Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// Returns what clients did, in the order of time.
fn asks(recording: &Recording) -> Vec<Ask> {
    let mut begun = BTreeMap::new();
    let mut asks = Vec::with_capacity(recording.events.len());
    for recorded in &recording.events {
        let event = &recorded.event;
        let (Process::Client(process), Some(time)) = (event.process, event.time) else {
            continue;
        };
        let begun = match event.event_type {
            EventType::Invoke => {
                begun.insert(process, time);
                time
            }
            _ => begun.remove(&process).unwrap_or(time),
        };
        let (line, kind) = (recorded.line, event.event_type);
        asks.push(Ask { time, line, kind, process, begun, is_owed: true });
    }
    asks.sort_by_key(|ask| ask.time);
    asks
}

/// A time in which clients asked and nobody was answered.
struct Gap {
    length: u64,
    /// The lines of its first invocation and of the answer that ended it, if there was one.
    lines: Vec<usize>,
}

/// Returns the longest gap in a stretch. A gap begins when somebody asks, and goes on as long as somebody
/// does: a system is not late with answers to which there were no questions.
fn longest_gap(stretch: &Stretch, asks: &[Ask], pause_max: u64) -> Option<Gap> {
    let first = asks.partition_point(|ask| ask.time < stretch.from);
    let mut longest: Option<Gap> = None;
    let mut note = |from: &Ask, until: u64, answer: Option<usize>| {
        let length = until - from.time;
        if longest.as_ref().is_none_or(|longest| longest.length < length) {
            let lines = std::iter::once(from.line).chain(answer).collect();
            longest = Some(Gap { length, lines });
        }
    };
    // Who was first not answered, who waits for an answer now, and when somebody last did.
    let mut waiting: Option<&Ask> = None;
    let mut open = BTreeSet::new();
    let mut last = stretch.from;
    for ask in asks[first..].iter().take_while(|ask| ask.time < stretch.until) {
        if open.is_empty()
            && ask.time - last > pause_max
            && let Some(from) = waiting.take()
        {
            note(from, last, None);
        }
        match (ask.kind, ask.is_owed) {
            (EventType::Invoke, true) => {
                waiting.get_or_insert(ask);
                open.insert(ask.process);
                last = ask.time;
            }
            (EventType::Invoke, false) => {}
            (kind, _) => {
                if open.remove(&ask.process) {
                    last = ask.time;
                }
                if kind == EventType::Ok
                    && let Some(from) = waiting.take()
                {
                    note(from, ask.time, Some(ask.line));
                }
            }
        }
    }
    if let Some(from) = waiting {
        let end = asks.last().map_or(from.time, |last| last.time);
        let until = if open.is_empty() { last } else { stretch.until.min(end) };
        note(from, until, None);
    }
    longest
}

/// Finds the first answer to whoever asked after a fault had ended.
fn recovery<'a>(heal: &'a Heal, stretches: &[Stretch], answers: &[&Ask]) -> Recovery<'a> {
    let stretch = stretches.iter().find(|stretch| stretch.holds(heal.time));
    let recovered = stretch.and_then(|stretch| {
        let later = answers.partition_point(|answer| answer.time < heal.time);
        answers[later..]
            .iter()
            .take_while(|answer| answer.time < stretch.until)
            .find(|answer| answer.begun >= heal.time)
    });
    Recovery {
        fault: &heal.fault,
        healed_ns: heal.time,
        recovered_after_ns: recovered.map(|answer| answer.time - heal.time),
    }
}

/// Divides a run into parts.
fn parts(asks: &[Ask], stretches: &[Stretch], start: u64, end: u64) -> Vec<Part> {
    let length = SECOND.max((end - start).div_ceil(PARTS_MAX));
    let count = usize::try_from((end - start) / length + 1).unwrap_or(usize::MAX);
    let mut parts = vec![Part::default(); count];
    for (number, part) in (0..).zip(&mut parts) {
        let from = start + number * length;
        let until = (from + length).min(end.max(from + 1));
        part.at = (from - start) as f64 / SECOND as f64;
        let held = stretches.iter().map(|it| it.until.min(until).saturating_sub(it.from.max(from)));
        part.connected = held.sum::<u64>() as f64 / (until - from) as f64;
    }
    for ask in asks {
        let place = usize::try_from((ask.time - start) / length).unwrap_or(usize::MAX);
        match ask.kind {
            EventType::Invoke => {}
            EventType::Ok => parts[place].ok += 1,
            EventType::Fail => parts[place].fail += 1,
            EventType::Info => parts[place].info += 1,
        }
    }
    parts
}

#[cfg(test)]
mod tests;
