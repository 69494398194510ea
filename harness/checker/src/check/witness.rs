//! The witness of a violation, in the recording's own words.

use crate::history::{Operation, OperationRef, Operations, Outcome, Recording, Text};
use crate::model::Model;
use crate::stream::Alarm;
use crate::verdict::{DeadEnd, Ended, Sighting, Witness};

use super::PartitionKeys;
use super::judge::{Bad, Case, Cut, Item};

/// How many operations of unknown outcome a witness names: with hundreds the list says nothing.
const MAYBE_SHOWN: usize = 16;

/// Describes why a beginning of a partition is not linearizable.
pub(super) fn describe<M: Model>(
    case: &Case<'_>,
    key: Option<Text>,
    items: &[Item<M>],
    bad: &Bad,
    is_shortest: bool,
) -> Witness {
    let completions = || items.iter().filter_map(|item| Some((Cut::from(item.completed?), item)));
    let within = || completions().filter(|(cut, _)| bad.cut.is_none_or(|bad| *cut <= bad));
    let end = within().max_by_key(|(cut, _)| *cut).map_or(0, |(_, item)| item.source);
    // What was found by looking ahead is shown with what was seen there.
    let known_until = bad.cut.filter(|_| is_shortest);
    let see = |source: usize| sighting(case.recording, &case.operations.get(source), known_until);
    let sight = |source: &usize| see(*source);
    let dead = bad.dead.first();
    Witness {
        key: key.map(Into::into),
        end: see(end),
        end_event: case.operations.get(end).completed.map(|moment| moment.event),
        shortest: is_shortest,
        completions: within().count(),
        unordered: dead
            .map_or(&bad.contradiction, |dead| &dead.unordered)
            .iter()
            .map(sight)
            .collect(),
        maybe: dead
            .map(|dead| dead.maybe.iter().rev().take(MAYBE_SHOWN).map(sight).collect())
            .unwrap_or_default(),
        dead_ends: bad
            .dead
            .iter()
            .map(|dead| DeadEnd {
                state: dead.state.clone(),
                last: dead.last.iter().map(sight).collect(),
            })
            .collect(),
    }
}

/// Describes what a stream has found: that no order passes a completion, and no more.
pub(super) fn of_alarm(
    recording: &Recording,
    operations: &Operations,
    keys: &PartitionKeys,
    alarm: &Alarm,
) -> Witness {
    let ends_at = |operation: &Operation| operation.completed.map(|moment| moment.event);
    let list = &operations.list;
    let end = list.iter().position(|operation| ends_at(operation) == Some(alarm.completion));
    let end = end.expect("an alarm names a completion of the recording");
    let key = keys.index(end);
    let completions = (0..list.len()).filter(|&index| {
        let is_answered = !matches!(list[index].outcome, Outcome::Info);
        is_answered && keys.index(index) == key && ends_at(&list[index]) <= ends_at(&list[end])
    });
    Witness {
        key: alarm.key.clone(),
        end: sighting(recording, &list[end].as_ref(), None),
        end_event: Some(alarm.completion),
        shortest: false,
        completions: completions.count(),
        unordered: Vec::new(),
        maybe: Vec::new(),
        dead_ends: Vec::new(),
    }
}

/// Shows an operation as it was known at a cut.
pub(crate) fn sighting(
    recording: &Recording,
    operation: &OperationRef<'_>,
    cut: Option<Cut>,
) -> Sighting {
    let completed =
        operation.completed.filter(|moment| cut.is_none_or(|cut| Cut::from(*moment) <= cut));
    let (ended, output) = match (&operation.outcome, completed) {
        (Outcome::Ok(value), Some(_)) => (Ended::Ok, Some((*value).clone())),
        (Outcome::Fail(_), Some(_)) => (Ended::Fail, None),
        _ => (Ended::Open, None),
    };
    let event = completed.map(|moment| &recording.events[moment.event].event);
    Sighting {
        process: operation.process,
        f: operation.f.clone(),
        input: operation.input.clone(),
        ended,
        output,
        invoked_line: operation.invoked.line,
        completed_line: completed.map(|moment| moment.line),
        completed_index: event.and_then(|event| event.index),
        completed_time: event.and_then(|event| event.time),
    }
}
