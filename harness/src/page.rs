//! The page of a verdict: one HTML file without anything from elsewhere, which shows what every
//! process did when, the core of a violation in focus.
//!
//! The page holds the operations as columns of numbers and its labels once each, so that a hundred
//! thousand operations are some megabytes; it draws on a canvas what is in view.

mod run;

use std::collections::{BTreeSet, HashMap};

use checker::check::{Options, PartitionKeys, Report};
use checker::explain::{Explanation, Impasse, Next};
use checker::history::{Operation, Operations, Outcome, Recording, operations};
use checker::verdict::{DeadEnd, Sighting, Verdict};
use minijinja::{Environment, context};
use serde::Serialize;

pub use run::run_page;

/// The page around the data.
const TEMPLATE: &str = include_str!("page/page.html");
/// What the script draws on.
const TIMELINE: &str = include_str!("page/timeline.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// What the script draws.
#[derive(Debug, Serialize)]
struct Data {
    /// How many events the history has: the length of the axis.
    events: usize,
    /// The partitions' keys; an operation's is a place in this list.
    keys: Vec<String>,
    /// Texts; a label is a place in this list.
    labels: Vec<String>,
    operations: Columns,
    /// The core's operations and their roles, those that it names first.
    core: Vec<(usize, &'static str)>,
    /// The key to begin with, if the violation is one of a partition.
    key: Option<usize>,
}

/// The operations, one column for each thing known of them.
#[derive(Debug, Default, Serialize)]
struct Columns {
    process: Vec<u64>,
    /// The row in which it is drawn.
    lane: Vec<usize>,
    key: Vec<usize>,
    question: Vec<usize>,
    answer: Vec<Option<usize>>,
    /// 0: happened, 1: failed, 2: unknown.
    outcome: Vec<u8>,
    /// The event that began it, and the one that ended it.
    from: Vec<usize>,
    until: Vec<Option<usize>>,
    line: Vec<usize>,
    end_line: Vec<Option<usize>>,
    /// Its place in the order that was found.
    place: Vec<Option<usize>>,
}

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The recording is not the report's.
    #[error("failed to read the history once more for the page: {0}")]
    Check(#[from] checker::check::CheckError),
    /// The template could not be filled in.
    #[error("failed to fill in the page: {0}")]
    Template(#[from] minijinja::Error),
}

/// Renders the page of a verdict.
pub fn page(
    recording: &Recording,
    options: &Options,
    report: &Report,
    explanation: Option<&Explanation>,
) -> Result<String, PageError> {
    let operations = operations(recording).map_err(checker::check::CheckError::from)?;
    let keys = PartitionKeys::of(recording, &operations, options, report.model)?;
    let all: Vec<usize> = (0..operations.list.len()).collect();
    let data = Data::of(recording, &operations, &keys, report, explanation, &all);
    let verdict = match report.verdict {
        Verdict::Linearizable => "linearizable",
        Verdict::Violation { .. } => "not linearizable",
        Verdict::Unknown { .. } => "unknown",
    };
    let dead_ends = match &report.verdict {
        Verdict::Violation { witness } => {
            let unordered: Vec<String> =
                witness.unordered.iter().map(Sighting::to_string).collect();
            let describe = |dead_end: &DeadEnd| {
                let last: Vec<String> = dead_end.last.iter().map(Sighting::to_string).collect();
                context! { state => dead_end.state, last, unordered }
            };
            witness.dead_ends.iter().map(describe).collect()
        }
        _ => Vec::new(),
    };
    let mut environment = Environment::new();
    environment.add_template("page.html", TEMPLATE)?;
    Ok(environment.get_template("page.html")?.render(context! {
        name => report.name,
        verdict,
        stage => TIMELINE,
        style => STYLE,
        script => SCRIPT,
        report => report.describe(),
        sentence => explanation.map(|explanation| &explanation.sentence),
        explanation => explanation.map(Explanation::to_string),
        impasses => explanation.map(impasses).unwrap_or_default(),
        dead_ends,
        data => serde_json::to_value(&data).expect("numbers and texts are JSON"),
    })?)
}

/// What is shown of each end of an order: where it is, and what each next operation would have needed.
fn impasses(explanation: &Explanation) -> Vec<minijinja::Value> {
    let next = |next: &Next| {
        let Next { sighting, would_answer, .. } = next;
        context! { operation => sighting.to_string(), would_answer }
    };
    let impasse = |impasse: &Impasse| {
        let nexts: Vec<minijinja::Value> = impasse.next.iter().map(next).collect();
        context! { place => impasse.to_string(), next => nexts }
    };
    explanation.impasses.iter().map(impasse).collect()
}

impl Data {
    /// Makes the data of these operations, which are in the order of the recording.
    fn of(
        recording: &Recording,
        operations: &Operations,
        keys: &PartitionKeys,
        report: &Report,
        explanation: Option<&Explanation>,
        shown: &[usize],
    ) -> Self {
        let mut texts = Texts::default();
        let mut columns = Columns::default();
        for &index in shown {
            columns.push(&operations.list[index], keys.index(index), &mut texts);
        }
        columns.lane = lanes(shown.iter().map(|&index| &operations.list[index]));
        columns.place = vec![None; shown.len()];
        let place_of = |index: usize| shown.binary_search(&index).ok();
        for partition in &report.partitions {
            for (place, &index) in partition.linearization.iter().flatten().enumerate() {
                if let Some(shown) = place_of(index) {
                    columns.place[shown] = Some(place);
                }
            }
        }
        let core = explanation.map(core_of).unwrap_or_default();
        Self {
            events: recording.events.len(),
            key: core.first().map(|(index, _)| keys.index(*index)),
            keys: keys.names(),
            labels: texts.list,
            operations: columns,
            core: core.into_iter().filter_map(|(it, role)| Some((place_of(it)?, role))).collect(),
        }
    }
}

/// The operations of a core and their roles, those that it names first.
fn core_of(explanation: &Explanation) -> Vec<(usize, &'static str)> {
    let named = explanation.operations.iter().map(|named| (named.index, named.role.name()));
    let background = explanation.background.iter().flat_map(|kind| &kind.indices);
    named.chain(background.map(|index| (*index, "background"))).collect()
}

impl Columns {
    fn push(&mut self, operation: &Operation, key: usize, texts: &mut Texts) {
        self.process.push(operation.process);
        self.key.push(key);
        self.question.push(texts.index(&match operation.input.is_null() {
            true => operation.f.to_string(),
            false => format!("{} {}", operation.f, operation.input),
        }));
        let (outcome, answer) = match &operation.outcome {
            Outcome::Ok(value) if *value == operation.input => (0, None),
            Outcome::Ok(value) => (0, Some(texts.index(&value.to_string()))),
            Outcome::Fail(_) => (1, None),
            Outcome::Info => (2, None),
        };
        self.outcome.push(outcome);
        self.answer.push(answer);
        self.from.push(operation.invoked.event);
        self.until.push(operation.completed.map(|moment| moment.event));
        self.line.push(operation.invoked.line);
        self.end_line.push(operation.completed.map(|moment| moment.line));
    }
}

/// Texts, each once.
#[derive(Debug, Default)]
struct Texts {
    list: Vec<String>,
    places: HashMap<String, usize>,
}

impl Texts {
    fn index(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        self.list.push(text.to_owned());
        self.places.insert(text.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}

/// Gives every process a row, and the same row to processes that one after the other are there:
/// recorders give a client a new number after an outcome that they do not know.
fn lanes<'a>(list: impl Iterator<Item = &'a Operation> + Clone) -> Vec<usize> {
    let mut spans: HashMap<u64, (usize, usize)> = HashMap::new();
    for operation in list.clone() {
        let end = operation.completed.map_or(operation.invoked.event, |moment| moment.event);
        let span = spans.entry(operation.process).or_insert((operation.invoked.event, end));
        span.1 = span.1.max(end);
    }
    let mut processes: Vec<(usize, usize, u64)> =
        spans.into_iter().map(|(process, (from, until))| (from, until, process)).collect();
    processes.sort_unstable();
    let (mut free, mut taken) = (BTreeSet::new(), BTreeSet::<(usize, usize)>::new());
    let mut lane_of: HashMap<u64, usize> = HashMap::new();
    for (from, until, process) in processes {
        while let Some((_, lane)) = taken.first().copied().filter(|(end, _)| *end < from) {
            taken.pop_first();
            free.insert(lane);
        }
        let lane = free.pop_first().unwrap_or(taken.len());
        taken.insert((until, lane));
        lane_of.insert(process, lane);
    }
    list.map(|operation| lane_of[&operation.process]).collect()
}

#[cfg(test)]
mod tests;
