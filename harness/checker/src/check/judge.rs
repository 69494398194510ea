//! Partitions: splitting a history by key, searching each part, and narrowing a violation down
//! to its shortest bad prefix.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::engine::{Decided, EngineName, decide};
use crate::history::{
    Moment, Operation, OperationRef, Operations, Pairing, Recording, StructureError, Text,
};
use crate::model::{End, Model, Reading, Step};
use crate::search::{Budget, DeadConfiguration, Entry, Found, Place, Searched, Stop, shares};
use crate::verdict::{Reached, Unknown, Verdict};

use super::dispatch::Subject;
use super::pool::{side_by_side, workers};
use super::report::PartitionReport;
use super::{Options, TIME_LIMIT_MAX, witness};

/// What is to be judged.
pub(super) struct Case<'a> {
    pub(super) recording: &'a Recording,
    pub(super) operations: &'a Pairing<'a>,
    pub(super) options: &'a Options,
    pub(super) deadline: Instant,
}

/// An operation of a partition.
#[derive(Clone)]
pub(super) struct Item<M: Model> {
    /// Its place among the recording's operations.
    pub(super) source: usize,
    process: u64,
    op: M::Op,
    end: End<M::Ret>,
    invoked: Moment,
    /// When it was answered or refused; an `info` completes nothing.
    pub(super) completed: Option<Moment>,
    /// Where the system says it stands in its own order.
    position: Option<u64>,
}

impl<M: Model> Item<M> {
    #[inline]
    fn new(source: usize, operation: &OperationRef<'_>, reading: Reading<M>) -> Self {
        let Reading { op, end, .. } = reading;
        Self {
            source,
            process: operation.process,
            op,
            invoked: operation.invoked,
            completed: operation.completed.filter(|_| !matches!(end, End::Open)),
            end,
            position: operation.position,
        }
    }

    /// Whether its answer says something; what certainly did not happen, and what may stand
    /// anywhere, says nothing.
    fn is_answered(&self) -> bool {
        match &self.end {
            End::Answered(seen) => seen.is_some() || !M::is_pure(&self.op, None),
            End::Refused | End::Open => false,
        }
    }

    /// Returns what the search has to place, as far as it was completed by then: nothing if it
    /// certainly did not happen, or changes nothing and no answer of it is known, so that it can
    /// stand anywhere.
    #[inline]
    fn into_entry(self, completed: Option<Moment>) -> Option<Entry<M>> {
        let (seen, is_certain) = match (self.end, completed) {
            (End::Refused, Some(_)) => return None,
            (End::Answered(seen), Some(_)) => (seen, true),
            _ => (None, false),
        };
        if seen.is_none() && M::is_pure(&self.op, None) {
            return None;
        }
        Some(Entry {
            step: Step { op: self.op, seen, is_certain },
            process: self.process,
            invoked: self.invoked.instant,
            completed: completed.map(|completed| completed.instant),
            tie: completed.map_or(0, |completed| completed.event as u64),
            position: self.position.filter(|_| is_certain),
        })
    }
}

/// Operations that no other partition has anything to do with.
pub(super) struct Partition<M: Model> {
    pub(super) key: Option<Text>,
    /// Its operations, by their places among the recording's.
    operations: Vec<u32>,
    /// How many of them have an answer that says something.
    answered: usize,
    /// What the search has to place, and which operation each entry is.
    pub(super) entries: Vec<Entry<M>>,
    sources: Vec<u32>,
}

/// A beginning of a partition: everything up to this completion.
///
/// Calls of the same instant belong to it; of several completions of one instant, those on
/// earlier lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cut {
    /// Invocations up to this instant belong to it.
    pub(crate) instant: u64,
    event: usize,
}

impl From<Moment> for Cut {
    fn from(moment: Moment) -> Self {
        Self { instant: moment.instant, event: moment.event }
    }
}

/// The share of the time limit that the narrowing of violations may take: whoever waits for a
/// verdict would rather have it than the very shortest prefix.
const NARROWING_SHARE: u32 = 6;

/// Splits a history into partitions, and judges each; violations are narrowed down last, so that
/// every partition gets its verdict first.
pub(super) fn judge<M: Model>(
    case: &Case<'_>,
    subject: &Subject<'_, M>,
) -> Result<Vec<PartitionReport>, StructureError> {
    let partitions = split(case, subject)?;
    let initial = subject.initial;
    let initials: Vec<M> =
        partitions.iter().map(|partition| initial(partition.key.as_deref())).collect();
    let judge_one = |index: usize, budget: Budget| {
        let started = Instant::now();
        let judged = judge_partition(case, &initials[index], &partitions[index], budget);
        (judged, started.elapsed())
    };
    let workers = workers(case.options.jobs, partitions.len(), case.operations.len());
    let budget = Budget { deadline: case.deadline, memory: case.options.memory_limit };
    let mut searched = side_by_side(partitions.len(), workers, budget, judge_one);
    // What the easy ones left over goes to those for which their share was not enough.
    let is_hard =
        |judged: &Judged| judged.is_out_of_time() || (workers > 1 && judged.is_out_of_memory());
    let hard: Vec<usize> =
        (0..searched.len()).filter(|index| is_hard(&searched[*index].0)).collect();
    for (index, share) in hard.iter().zip(shares(case.deadline, hard.len())) {
        let budget = Budget { deadline: share(Instant::now()), ..budget };
        let (judged, elapsed) = judge_one(*index, budget);
        let (before, elapsed_before) = &searched[*index];
        if !is_hard(&judged) || judged.configurations > before.configurations {
            searched[*index] = (judged, elapsed + *elapsed_before);
        }
    }
    let violated =
        searched.iter().filter(|(judged, _)| matches!(judged.finding, Finding::Bad(_))).count();
    let narrowed_by = case
        .deadline
        .min(Instant::now() + case.options.time_limit.min(TIME_LIMIT_MAX) / NARROWING_SHARE);
    let mut shares = shares(narrowed_by, violated);
    let report = |(partition, (judged, elapsed)): (Partition<M>, (Judged, Duration))| {
        let started = Instant::now();
        let verdict = match judged.finding {
            Finding::Verdict(verdict) => verdict,
            Finding::Bad(bad) => {
                let deadline = shares.next().map_or(started, |share| share(started));
                let budget = Budget { deadline, memory: case.options.memory_limit };
                let initial = initial(partition.key.as_deref());
                let items = read_again(case, subject, &partition.operations)?;
                let (bad, is_shortest) = narrow(&initial, &items, bad, budget, case.options.engine);
                let key = partition.key.clone();
                let witness = witness::describe(case, key, &items, &bad, is_shortest);
                Verdict::Violation { witness: Box::new(witness) }
            }
        };
        Ok(PartitionReport {
            operations: partition.operations.len(),
            answered: partition.answered,
            key: partition.key.map(Into::into),
            verdict,
            engine: judged.engine,
            engine_reason: judged.reason,
            linearization: judged.order,
            configurations: judged.configurations,
            elapsed: elapsed + started.elapsed(),
        })
    };
    partitions.into_iter().zip(searched).map(report).collect()
}

/// Reads the operations for the model and sorts them by key, in the order of first mention.
pub(super) fn split<M: Model>(
    case: &Case<'_>,
    subject: &Subject<'_, M>,
) -> Result<Vec<Partition<M>>, StructureError> {
    let mut partitions: Vec<Partition<M>> = Vec::new();
    let mut by_key: FxHashMap<Option<Text>, usize> = FxHashMap::default();
    let mut latest = 0;
    // Read one by one, and each only once: a list of all readings would be as large as the
    // partitions.
    for (source, operation) in case.operations.iter().enumerate() {
        let mut reading = read_one(case.recording, &operation, subject)?;
        let key = reading.key.take();
        // Operations on one key mostly follow one another.
        let is_latest = partitions.get(latest).is_some_and(|partition| partition.key == key);
        let known = if is_latest { Some(latest) } else { by_key.get(&key).copied() };
        latest = match known {
            Some(index) => index,
            None => {
                // Most histories are of one key: the first has room for all, and what it does not
                // need of it is never touched.
                let room = if partitions.is_empty() { case.operations.len() } else { 0 };
                partitions.push(Partition {
                    key: key.clone(),
                    operations: Vec::with_capacity(room),
                    answered: 0,
                    entries: Vec::with_capacity(room),
                    sources: Vec::with_capacity(room),
                });
                by_key.insert(key, partitions.len() - 1);
                partitions.len() - 1
            }
        };
        let partition = &mut partitions[latest];
        let place = u32::try_from(source)
            .expect("a history of four billion operations does not fit in memory");
        partition.operations.push(place);
        let item = Item::new(source, &operation, reading);
        partition.answered += usize::from(item.is_answered());
        let completed = item.completed;
        if let Some(entry) = item.into_entry(completed) {
            partition.entries.push(entry);
            partition.sources.push(place);
        }
    }
    Ok(partitions)
}

/// Reads operations that could be read before: what a passing history never needs is not kept.
fn read_again<M: Model>(
    case: &Case<'_>,
    subject: &Subject<'_, M>,
    operations: &[u32],
) -> Result<Vec<Item<M>>, StructureError> {
    let item = |place: &u32| {
        let operation = case.operations.get(*place as usize);
        let reading = read_one(case.recording, &operation, subject)?;
        Ok(Item::new(*place as usize, &operation, reading))
    };
    operations.iter().map(item).collect()
}

/// Reads every operation of a recording for a model.
pub(crate) fn read_all<M: Model>(
    recording: &Recording,
    operations: &Operations,
    subject: &Subject<'_, M>,
) -> Result<Vec<Reading<M>>, StructureError> {
    let read = |operation: &Operation| read_one(recording, &operation.as_ref(), subject);
    operations.list.iter().map(read).collect()
}

fn read_one<M: Model>(
    recording: &Recording,
    operation: &OperationRef<'_>,
    subject: &Subject<'_, M>,
) -> Result<Reading<M>, StructureError> {
    (subject.read)(operation).map_err(|unreadable| {
        let completed = operation.completed.filter(|_| unreadable.is_completion);
        let moment = completed.unwrap_or(operation.invoked);
        StructureError {
            name: recording.name.clone(),
            line: moment.line,
            column: recording.events[moment.event].column,
            problem: unreadable.problem,
            remedy: "mend the line, or name another --model",
        }
    })
}

/// Returns what the search has to place at a cut: what is known by then. With each entry comes the
/// operation that it is.
fn entries_at<M: Model>(items: &[Item<M>], cut: Cut) -> (Vec<Entry<M>>, Vec<u32>) {
    let begun = items.iter().filter(|item| item.invoked.instant <= cut.instant);
    let entries = begun.filter_map(|item| {
        let completed = item.completed.filter(|completed| Cut::from(*completed) <= cut);
        Some((item.clone().into_entry(completed)?, item.source as u32))
    });
    entries.unzip()
}

/// What the search said of a partition.
struct Judged {
    finding: Finding,
    configurations: u64,
    engine: EngineName,
    reason: String,
    order: Option<Vec<usize>>,
}

impl Judged {
    fn is_out_of_memory(&self) -> bool {
        matches!(self.finding, Finding::Verdict(Verdict::Unknown { why: Unknown::Memory { .. } }))
    }

    fn is_out_of_time(&self) -> bool {
        matches!(self.finding, Finding::Verdict(Verdict::Unknown { why: Unknown::Time { .. } }))
    }
}

enum Finding {
    Verdict(Verdict),
    /// Not linearizable, and where the search came furthest.
    Bad(Bad),
}

fn judge_partition<M: Model>(
    case: &Case<'_>,
    initial: &M,
    partition: &Partition<M>,
    budget: Budget,
) -> Judged {
    let Partition { entries, sources, .. } = partition;
    let Decided { searched: Searched { found, configurations, place }, engine, reason } =
        decide(initial, entries, budget, case.options.engine);
    let completed = |entry: usize| {
        let completed = case.operations.get(sources[entry] as usize).completed;
        completed.filter(|_| entries[entry].step.is_certain)
    };
    let mut order = None;
    let finding = match found {
        Found::Order(found) => {
            order = Some(found.into_iter().map(|entry| sources[entry] as usize).collect());
            Finding::Verdict(Verdict::Linearizable)
        }
        Found::Unproven => Finding::Verdict(Verdict::Unknown { why: Unknown::SelfCheck }),
        Found::Stopped { why, entry, completions } => {
            let certain = entries.iter().filter(|entry| entry.step.is_certain);
            let reached = Reached {
                partition: partition.key.clone().map(Into::into),
                completions,
                completions_total: certain.count(),
                line: completed(entry).map_or(0, |completed| completed.line),
                configurations,
            };
            Finding::Verdict(Verdict::Unknown {
                why: match why {
                    Stop::Time => Unknown::Time { reached },
                    Stop::Memory => Unknown::Memory { reached },
                },
            })
        }
        Found::NoOrder { entry, dead } => {
            let cut = completed(entry).map(Cut::from);
            let known = Known::Place(place);
            let (dead, contradiction) = (source_dead(dead, sources), Vec::new());
            Finding::Bad(Bad { cut, known, dead, contradiction })
        }
        Found::Contradiction { entries } => {
            let cut = entries.iter().filter_map(|entry| completed(*entry)).map(Cut::from).max();
            let contradiction = entries.into_iter().map(|entry| sources[entry] as usize).collect();
            Finding::Bad(Bad { cut, known: Known::BadAt, dead: Vec::new(), contradiction })
        }
        Found::Unfit { engine, why } => {
            Finding::Verdict(Verdict::Unknown { why: Unknown::Unfit { engine, why } })
        }
    };
    Judged { finding, configurations, engine, reason, order }
}

/// Where explanations end, and the search's dead ends there, by operations.
pub(super) struct Bad {
    /// The completion that no explanation passed.
    pub(super) cut: Option<Cut>,
    known: Known,
    pub(super) dead: Vec<DeadConfiguration>,
    /// Operations that contradict one another, if an engine named some.
    pub(super) contradiction: Vec<usize>,
}

/// What is known of the beginnings of a partition that is not linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// What the search knows of the cut.
    Place(Place),
    /// The one that ends with the cut probably is not linearizable.
    BadAt,
}

/// Finds the shortest beginning that is not linearizable, and says whether it did.
///
/// What judged everything knew more than was known at the time. If it was the search, it came as
/// far as the cut of `whole`: every beginning that ends before is linearizable, and the shortest
/// bad one is sought from there on. If it was an engine that named a contradiction, that is one
/// already where it ends, unless answers given later matter, and the shortest is sought from there
/// on backwards. A longer beginning of a bad one is bad too, so the step doubles and is then
/// halved. Whoever has no time for this keeps the cut of `whole`.
fn narrow<M: Model>(
    initial: &M,
    items: &[Item<M>],
    whole: Bad,
    budget: Budget,
    engine: Option<EngineName>,
) -> (Bad, bool) {
    let mut cuts: Vec<Cut> =
        items.iter().filter_map(|item| item.completed.map(Cut::from)).collect();
    cuts.sort_unstable();
    if let Known::Place(place @ (Place::Here | Place::NotBefore)) = whole.known {
        if place == Place::Here && whole.cut.is_some_and(|cut| is_all_known_at(items, cut)) {
            return (whole, true);
        }
        cuts.retain(|cut| Some(*cut) >= whole.cut);
    }
    // With the last completion everything is known, and that is bad.
    let (mut good_below, mut bad_at) = (0, cuts.len().saturating_sub(1));
    let mut at_bad = None;
    let (mut stride, mut is_backwards) = (1, false);
    let mut hint = whole.cut.filter(|_| whole.known == Known::BadAt);
    while good_below < bad_at {
        let middle = good_below + (bad_at - good_below) / 2;
        let hinted = hint.take().and_then(|cut| cuts.binary_search(&cut).ok());
        let probe = match hinted {
            Some(hinted) => hinted.min(bad_at - 1),
            None if is_backwards => bad_at.saturating_sub(stride).max(middle),
            None => (good_below + stride - 1).min(middle),
        };
        let (entries, sources) = entries_at(items, cuts[probe]);
        match decide(initial, &entries, budget, engine).searched.found {
            Found::NoOrder { dead, .. } => {
                at_bad = Some((source_dead(dead, &sources), Vec::new()));
                bad_at = probe;
            }
            Found::Contradiction { entries } => {
                let named = entries.into_iter().map(|entry| sources[entry] as usize).collect();
                at_bad = Some((Vec::new(), named));
                bad_at = probe;
            }
            Found::Order(_) => good_below = probe + 1,
            Found::Stopped { .. } | Found::Unproven | Found::Unfit { .. } => return (whole, false),
        }
        // A step the other way than the one before it ends the doubling for good.
        let is_bad = bad_at == probe;
        if hinted.is_some() {
            is_backwards = is_bad;
        } else if is_bad == is_backwards {
            stride = stride.saturating_mul(2);
        }
    }
    let (dead, contradiction) = at_bad.unwrap_or((whole.dead, whole.contradiction));
    (
        Bad {
            cut: cuts.get(bad_at).copied(),
            known: Known::Place(Place::Here),
            dead,
            contradiction,
        },
        true,
    )
}

/// Whether the search could learn nothing from answers given after a cut that keeps a
/// configuration from passing it, so that the beginning that ends there is bad if nobody passed.
///
/// What is open at the cut either says nothing until it is answered, or it is legal everywhere and
/// does the same whatever its answer: the configurations are those of operations that may or may
/// not have happened. What was refused later certainly did not happen, which is not known at the
/// cut; and what is answered at its very instant holds up what its process did next.
fn is_all_known_at<M: Model>(items: &[Item<M>], cut: Cut) -> bool {
    let is_open = |item: &&Item<M>| {
        item.invoked.instant <= cut.instant
            && item.completed.is_some_and(|completed| Cut::from(completed) > cut)
    };
    let is_known = |item: &Item<M>| {
        let ends_later = item.completed.is_some_and(|end| end.instant > cut.instant);
        let is_silent = match &item.end {
            End::Answered(seen) => {
                M::is_overwrite(&item.op, None) && M::is_overwrite(&item.op, seen.as_ref())
            }
            End::Refused | End::Open => false,
        };
        ends_later && (is_silent || M::is_pure(&item.op, None))
    };
    // Where states may be hopeless, later answers stop configurations at any time.
    !M::HAS_HOPELESS && items.iter().filter(is_open).all(is_known)
}

/// Names entries of a search by the operations that they are.
fn source_dead(mut dead: Vec<DeadConfiguration>, sources: &[u32]) -> Vec<DeadConfiguration> {
    dead.iter_mut().for_each(|dead| dead.rename(sources));
    dead
}
