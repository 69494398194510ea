//! How far a sequence has come, and what its next turn is. No clock and no cluster: both are told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::ClusterStatus;
use crate::fault::{Condition, Fault, Sequence, UNTIL_MAX};

/// A sequence under way.
#[derive(Debug)]
pub(super) struct Course {
    sequence: Sequence,
    /// The step whose turn it is.
    next: usize,
    /// When that step's wait is over.
    due: Duration,
    /// What its steps have begun, by their names; what has none gets a number.
    begun: BTreeMap<String, usize>,
    /// The term of who led when the last of them began.
    term: u64,
}

/// What a sequence wants just now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// To be asked again soon.
    Wait,
    /// To begin this fault; then [`Course::begins`] is to be told its place.
    Begin { fault: Fault, duration: Duration, step: usize },
    /// To end the fault at this place.
    End(usize),
    /// Nothing; the step was only time.
    Rest,
    /// To end these, and to be left alone.
    Over(Vec<usize>),
    /// To skip these, and to be asked again.
    GiveUp { faults: Vec<Fault>, why: &'static str },
}

impl Course {
    pub(super) fn new(sequence: Sequence) -> Self {
        let due = sequence.at + sequence.steps.first().map_or(Duration::ZERO, |step| step.wait);
        Self { sequence, next: 0, due, begun: BTreeMap::new(), term: 0 }
    }

    /// Returns when its next turn is.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// Notes that a step is done by now, and returns when the next turn is.
    pub(super) fn due_after(&mut self, now: Duration) -> Duration {
        let wait = self.sequence.steps.get(self.next).map_or(Duration::ZERO, |step| step.wait);
        self.due = now + wait;
        self.due
    }

    /// Notes where the fault is that it has just begun.
    pub(super) fn begins(&mut self, place: usize) {
        let step = self.next.checked_sub(1).and_then(|step| self.sequence.steps.get(step));
        let name = step.and_then(|step| step.name.clone());
        self.begun.insert(name.unwrap_or_else(|| place.to_string()), place);
    }

    /// Says what is to be done now.
    pub(super) fn turn(&mut self, status: &ClusterStatus, now: Duration) -> Turn {
        let Some(step) = self.sequence.steps.get(self.next) else {
            return Turn::Over(std::mem::take(&mut self.begun).into_values().collect());
        };
        if let Some(condition) = step.until
            && !self.is_met(condition, status)
        {
            if now < self.due + UNTIL_MAX {
                return Turn::Wait;
            }
            let rest = self.sequence.steps.iter().skip(self.next);
            let faults = rest.filter_map(|step| step.begin).collect();
            self.next = self.sequence.steps.len();
            return Turn::GiveUp { faults, why: describe_missing(condition) };
        }
        let place = self.next;
        let (begin, end, duration) = (step.begin, step.end.clone(), step.duration);
        self.next += 1;
        if let Some(fault) = begin {
            self.term = status.leader().map_or(self.term, |leader| leader.term);
            return Turn::Begin { fault, duration, step: place };
        }
        match end.and_then(|name| self.begun.remove(&name)) {
            Some(place) => Turn::End(place),
            None => Turn::Rest,
        }
    }

    fn is_met(&self, condition: Condition, status: &ClusterStatus) -> bool {
        let leader = status.agreed();
        match condition {
            Condition::Leader => leader.is_some(),
            Condition::NewLeader => leader.is_some_and(|leader| leader.term > self.term),
        }
    }
}

fn describe_missing(condition: Condition) -> &'static str {
    match condition {
        Condition::Leader => "no node led for long",
        Condition::NewLeader => "no other node came to lead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::led_by;
    use crate::fault::{Step, Target};
    use crate::system::NodeId;

    const MS: Duration = Duration::from_millis(1);

    fn course() -> Course {
        let kill = Fault::Kill(Target::Leader);
        let begin = Step { begin: Some(kill), name: Some("first".into()), ..Step::default() };
        let until = Some(Condition::NewLeader);
        let again = Step { until, begin: Some(kill), wait: 5 * MS, ..Step::default() };
        let end = Step { end: Some("first".into()), wait: 7 * MS, ..Step::default() };
        Course::new(Sequence { at: 100 * MS, steps: vec![begin, again, end] })
    }

    #[test]
    fn steps_come_after_each_other_and_when_it_is_so() {
        let [old, new] = [(4, 1), (5, 2)].map(|(term, node)| led_by(term, NodeId::new(node)));
        let kill = Fault::Kill(Target::Leader);
        let mut course = course();
        assert_eq!(course.due(), 100 * MS);
        let begin = |step| Turn::Begin { fault: kill, duration: Duration::ZERO, step };
        assert_eq!(course.turn(&old, 100 * MS), begin(0));
        course.begins(7);
        assert_eq!(course.due_after(110 * MS), 115 * MS);
        assert_eq!(course.turn(&old, 115 * MS), Turn::Wait);
        assert_eq!(course.turn(&new, 200 * MS), begin(1));
        course.begins(8);
        assert_eq!(course.due_after(200 * MS), 207 * MS);
        assert_eq!(course.turn(&new, 207 * MS), Turn::End(7));
        assert_eq!(course.turn(&new, 207 * MS), Turn::Over(vec![8]));
    }

    #[test]
    fn who_waits_in_vain_gives_up_and_leaves_nothing_in_force() {
        let old = led_by(4, NodeId::new(1));
        let mut course = course();
        course.turn(&old, 100 * MS);
        course.begins(7);
        let due = course.due_after(110 * MS);
        assert_eq!(course.turn(&old, due + UNTIL_MAX - MS), Turn::Wait);
        let gave_up = course.turn(&old, due + UNTIL_MAX);
        let faults = vec![Fault::Kill(Target::Leader)];
        assert_eq!(gave_up, Turn::GiveUp { faults, why: "no other node came to lead" });
        assert_eq!(course.turn(&old, due + UNTIL_MAX), Turn::Over(vec![7]));
    }
}
