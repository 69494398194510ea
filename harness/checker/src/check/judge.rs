//! Partitions: splitting a history by key, searching each part, and narrowing a violation down
//! to its shortest bad prefix.

use std::collections::HashMap;
use std::time::Instant;

use crate::history::{Moment, Operation, Operations, Recording, StructureError};
use crate::model::{End, Model, Reading, Step, Unreadable};
use crate::search::{Budget, DeadConfiguration, Entry, Found, Searched, Stop, search};
use crate::verdict::{Reached, Unknown, Verdict};

use super::report::PartitionReport;
use super::{Options, witness};

/// What is to be judged.
pub(super) struct Case<'a> {
    pub(super) recording: &'a Recording,
    pub(super) operations: &'a Operations,
    pub(super) options: &'a Options,
    pub(super) deadline: Instant,
}

/// An operation of a partition.
pub(super) struct Item<M: Model> {
    /// Its place among the recording's operations.
    pub(super) source: usize,
    process: u64,
    op: M::Op,
    end: End<M::Ret>,
    invoked: Moment,
    completed: Option<Moment>,
}

/// Operations that no other partition has anything to do with.
pub(super) struct Partition<M: Model> {
    pub(super) key: Option<String>,
    pub(super) items: Vec<Item<M>>,
}

/// A beginning of a partition: everything up to this completion.
///
/// Calls of the same instant belong to it; of several completions of one instant, those on
/// earlier lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cut {
    instant: u64,
    event: usize,
}

impl From<Moment> for Cut {
    fn from(moment: Moment) -> Self {
        Self { instant: moment.instant, event: moment.event }
    }
}

/// Splits a history into partitions, and judges each.
pub(super) fn judge<M: Model>(
    case: &Case<'_>,
    initial: impl Fn(Option<&str>) -> M,
    read: impl Fn(&Operation) -> Result<Reading<M>, Unreadable>,
) -> Result<Vec<PartitionReport>, StructureError> {
    let partitions = split(case, read)?;
    let count = partitions.len();
    let judge_one = |(index, partition): (usize, Partition<M>)| {
        let started = Instant::now();
        // Every partition may take an equal share of the time that is left, so that a hard one
        // cannot keep the others from being judged.
        let left = case.deadline.saturating_duration_since(started);
        let share = left / u32::try_from(count - index).unwrap_or(u32::MAX);
        let budget = Budget { deadline: started + share, memory: case.options.memory_limit };
        let initial = initial(partition.key.as_deref());
        let (verdict, configurations) = judge_partition(case, &initial, &partition, budget);
        PartitionReport {
            operations: partition.items.len(),
            key: partition.key,
            verdict,
            configurations,
            elapsed: started.elapsed(),
        }
    };
    Ok(partitions.into_iter().enumerate().map(judge_one).collect())
}

/// Reads the operations for the model and sorts them by key, in the order of first mention.
fn split<M: Model>(
    case: &Case<'_>,
    read: impl Fn(&Operation) -> Result<Reading<M>, Unreadable>,
) -> Result<Vec<Partition<M>>, StructureError> {
    let mut partitions: Vec<Partition<M>> = Vec::new();
    let mut by_key: HashMap<Option<String>, usize> = HashMap::new();
    for (source, operation) in case.operations.list.iter().enumerate() {
        let Reading { key, op, end } = read(operation).map_err(|unreadable| {
            let completed = operation.completed.filter(|_| unreadable.is_completion);
            StructureError {
                name: case.recording.name.clone(),
                line: completed.unwrap_or(operation.invoked).line,
                problem: unreadable.problem,
                remedy: "mend the line, or name another --model",
            }
        })?;
        let index = *by_key.entry(key.clone()).or_insert_with(|| {
            partitions.push(Partition { key, items: Vec::new() });
            partitions.len() - 1
        });
        let completed = operation.completed.filter(|_| !matches!(end, End::Open));
        let item = Item { source, process: operation.process, op, end, invoked: operation.invoked, completed };
        partitions[index].items.push(item);
    }
    Ok(partitions)
}

/// Returns what the search has to place: what is known at a cut, or at the end.
///
/// Operations that certainly did not happen are left out, and those that change nothing and of
/// which no answer is known: they can stand anywhere. With each entry comes the item it is.
pub(super) fn entries_at<M: Model>(items: &[Item<M>], cut: Option<Cut>) -> (Vec<Entry<M>>, Vec<usize>) {
    let (mut entries, mut sources) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        if cut.is_some_and(|cut| item.invoked.instant > cut.instant) {
            continue;
        }
        let completed = item.completed.filter(|completed| cut.is_none_or(|cut| Cut::from(*completed) <= cut));
        let (seen, is_certain) = match (&item.end, completed) {
            (End::Refused, Some(_)) => continue,
            (End::Answered(seen), Some(_)) => (seen.clone(), true),
            _ => (None, false),
        };
        if seen.is_none() && M::is_pure(&item.op, None) {
            continue;
        }
        entries.push(Entry {
            step: Step { op: item.op.clone(), seen, is_certain },
            process: item.process,
            invoked: item.invoked.instant,
            completed: completed.map(|completed| completed.instant),
            tie: completed.map_or(0, |completed| completed.event as u64),
        });
        sources.push(index);
    }
    (entries, sources)
}

fn judge_partition<M: Model>(case: &Case<'_>, initial: &M, partition: &Partition<M>, budget: Budget) -> (Verdict, u64) {
    let items = &partition.items;
    let (entries, sources) = entries_at(items, None);
    let completions_total = entries.iter().filter(|entry| entry.step.is_certain).count();
    let Searched { found, configurations } = search(initial, entries, budget);
    let verdict = match found {
        Found::Order(_) => Verdict::Linearizable,
        Found::Unproven => Verdict::Unknown { why: Unknown::SelfCheck },
        Found::Stopped { why, entry, completions } => {
            let reached = Reached {
                partition: partition.key.clone(),
                completions,
                completions_total,
                line: items[sources[entry]].completed.map_or(0, |completed| completed.line),
                configurations,
            };
            Verdict::Unknown {
                why: match why {
                    Stop::Time => Unknown::Time { reached },
                    Stop::Memory => Unknown::Memory { reached },
                },
            }
        }
        Found::NoOrder { entry, dead } => {
            let whole = Bad { cut: None, dead: source_dead(dead, &sources) };
            let first = items[sources[entry]].completed.map(Cut::from);
            // Narrowing may take what is left of the whole time, not only this partition's share.
            let budget = Budget { deadline: case.deadline, ..budget };
            let (bad, is_shortest) = narrow(initial, items, first, whole, budget);
            Verdict::Violation { witness: Box::new(witness::describe(case, partition, &bad, is_shortest)) }
        }
    };
    (verdict, configurations)
}

/// A beginning that is not linearizable, and the search's dead ends in it, by items.
pub(super) struct Bad {
    /// None for the whole partition.
    pub(super) cut: Option<Cut>,
    pub(super) dead: Vec<DeadConfiguration>,
}

/// Finds the shortest beginning that is not linearizable, and says whether it is known to be.
///
/// The search over everything, which knows more than was known at the time, came as far as
/// `first`: every beginning that ends before is linearizable. A longer beginning of a bad one is
/// bad too, so from there on the step doubles and is then halved.
fn narrow<M: Model>(initial: &M, items: &[Item<M>], first: Option<Cut>, whole: Bad, budget: Budget) -> (Bad, bool) {
    let mut cuts: Vec<Cut> = items.iter().filter_map(|item| item.completed.map(Cut::from)).collect();
    cuts.sort_unstable();
    cuts.retain(|cut| Some(*cut) >= first);
    // A bad beginning is known: all of it ends with the last cut.
    let mut bad = Bad { cut: cuts.last().copied(), ..whole };
    let (mut good_below, mut bad_at) = (0, cuts.len().saturating_sub(1));
    let mut stride = 1;
    while good_below < bad_at {
        let probe = (good_below + stride - 1).min(good_below + (bad_at - good_below) / 2);
        let (entries, sources) = entries_at(items, Some(cuts[probe]));
        match search(initial, entries, budget).found {
            Found::NoOrder { dead, .. } => {
                bad = Bad { cut: Some(cuts[probe]), dead: source_dead(dead, &sources) };
                bad_at = probe;
            }
            Found::Order(_) => {
                good_below = probe + 1;
                stride *= 2;
            }
            Found::Stopped { .. } | Found::Unproven => return (bad, false),
        }
    }
    (bad, true)
}

/// Names entries of a search by the items that they are.
fn source_dead(mut dead: Vec<DeadConfiguration>, sources: &[usize]) -> Vec<DeadConfiguration> {
    for configuration in &mut dead {
        for list in [&mut configuration.last, &mut configuration.unordered, &mut configuration.maybe] {
            for entry in list {
                *entry = sources[*entry];
            }
        }
    }
    dead
}
