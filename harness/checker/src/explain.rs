//! Explanations: the core of a violation as a human wants it, in words and as a timeline.
//!
//! Everything is told from the core (`refutation`): what it does not name plays no part
//! in the violation, and what it names is needed for it.

mod timeline;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::certificate::{Place, Places};
use crate::check::dispatch::{Subject, Visitor, dispatch};
use crate::check::{CheckError, Cut, Options, Report, read_all, sighting};
use crate::history::{Moment, Operation, Operations, Recording, Text, Value, operations};
use crate::model::Model;
use crate::refutation::{Limit, Need, Piece, Role, Weakened, impasses, members, shrink};
use crate::verdict::{Sighting, Verdict, Witness};

/// The share of the time limit that the search for a core may take.
const CORE_SHARE: u32 = 2;

/// How many ends of orders are told of, each with another state or another choice.
const IMPASSES_SHOWN: usize = 4;

/// How many places the orders of a core may come to: a core that anybody can read has few.
const IMPASSE_CONFIGURATIONS: usize = 20_000;

/// The longest order that is told whole.
const AFTER_SHOWN: usize = 8;

/// Why a violation is one, as small as it could be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The partition; none if the history was judged whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The completion after which nothing matters; none if the core looks at everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Place>,
    /// In one sentence what contradicts what.
    pub sentence: String,
    /// The operations that the core names, in the order of their invocations.
    pub operations: Vec<Named>,
    /// What else may have taken effect, whether or not it did.
    pub background: Vec<Background>,
    /// Operations of the partition before the cut that nothing in the core can notice.
    pub left_out: usize,
    /// Whether none of the operations named can be left out, or be known less of: false if there
    /// was no time to try.
    pub minimal: bool,
    /// Where the orders of these operations that come furthest end; none if there was no time to look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impasses: Vec<Impasse>,
    /// What happened when, to be drawn.
    #[serde(skip)]
    bars: Vec<timeline::Bar>,
}

/// An operation that a core names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// The place of its invocation.
    pub at: Place,
    /// Its place among the recording's operations.
    #[serde(skip)]
    pub index: usize,
    /// What of it matters.
    pub role: Role,
    /// The operation.
    #[serde(flatten)]
    pub sighting: Sighting,
}

/// The end of an order that comes as far as any: what could come next answered otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Impasse {
    /// The operations in order, in words, the latest last.
    pub after: Vec<String>,
    /// The state there, as the model describes it.
    pub state: String,
    /// Every operation that could come next and must be in the order.
    pub next: Vec<Next>,
}

/// An operation that could come next, and what it would have needed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Next {
    /// The place of its invocation.
    pub at: Place,
    /// The operation with the answer that was recorded.
    #[serde(flatten)]
    pub sighting: Sighting,
    /// What it would have answered there, as the model describes it.
    pub would_answer: String,
    /// Both, in words.
    pub sentence: String,
}

/// Operations of one kind that may have taken effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Background {
    /// Their places among the recording's operations.
    #[serde(skip)]
    pub indices: Vec<usize>,
    /// The function.
    pub f: Text,
    /// What they were asked to do.
    pub input: Value,
    /// How many there are.
    pub count: usize,
    /// Whether the core lets them take effect once at most, or any number of times.
    pub once: bool,
    /// The line of the first invocation.
    pub from_line: usize,
    /// The line of the last completion; none if they may take effect at any later time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_line: Option<usize>,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum NoExplanation {
    /// The verdict is another.
    #[error("the history was not found to violate anything")]
    NoViolation,
    /// The history cannot be read as it was for the report.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// No core was found that is small enough to be searched exhaustively.
    #[error("there was no time to find a small core; raise --time-limit")]
    NoCore,
}

/// Explains the violation that a report tells of.
pub fn explain(
    recording: &Recording,
    options: &Options,
    report: &Report,
) -> Result<Explanation, NoExplanation> {
    let Verdict::Violation { witness } = &report.verdict else {
        return Err(NoExplanation::NoViolation);
    };
    let operations = operations(recording).map_err(CheckError::from)?;
    let deadline =
        Instant::now() + options.time_limit.min(crate::check::TIME_LIMIT_MAX) / CORE_SHARE;
    let explaining = Explaining { recording, operations: &operations, witness, deadline };
    dispatch(report.model, options, explaining)?
}

/// Explaining, as what is done for every model.
struct Explaining<'a> {
    recording: &'a Recording,
    operations: &'a Operations,
    witness: &'a Witness,
    deadline: Instant,
}

impl Visitor for Explaining<'_> {
    type Output = Result<Explanation, NoExplanation>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        let Self { recording, operations, witness, deadline } = self;
        let readings = read_all(recording, operations, subject).map_err(CheckError::from)?;
        let list = &operations.list;
        let end = list.iter().filter_map(|operation| operation.completed);
        let end = end.into_iter().find(|moment| Some(moment.event) == witness.end_event);
        let cut = end.map(Cut::from).filter(|_| witness.shortest);
        let key = witness.key.as_deref();
        let members = members(list, &readings, key, cut);
        let initial = (subject.initial)(key);
        let shrunk = shrink(&initial, &members, end.map(Cut::from), deadline)
            .ok_or(NoExplanation::NoCore)?;
        let mut weakened = Weakened::of(&members, &shrunk.roles);
        weakened.pieces.sort_by_key(|piece| (piece.from.instant, piece.from.event));
        let pieces = &weakened.pieces;
        let places = Places::of(recording);
        let operation = |piece: &Piece<M>| &list[members[piece.members[0]].source];
        let named = pieces.iter().filter_map(|piece| {
            Some(Named {
                at: places.of_operation(operation(piece)),
                index: members[piece.members[0]].source,
                role: piece.role?,
                sighting: sighting(recording, &operation(piece).as_ref(), cut),
            })
        });
        let background = pieces.iter().filter(|piece| piece.role.is_none()).map(|piece| {
            let Operation { f, input, .. } = operation(piece);
            Background {
                indices: piece.members.iter().map(|index| members[*index].source).collect(),
                f: f.clone(),
                input: input.clone(),
                count: piece.members.len(),
                once: piece.need == Need::May,
                from_line: piece.from.line,
                until_line: piece.until.map(|moment| moment.line),
            }
        });
        let operations: Vec<Named> = named.collect();
        let background: Vec<Background> = background.collect();
        let told: Vec<words::Told<'_, M>> = pieces
            .iter()
            .map(|piece| words::Told { piece, text: words::tell(piece, operation(piece), cut) })
            .collect();
        let limit = Limit { deadline, configurations: IMPASSE_CONFIGURATIONS };
        let next = |state: &M, piece: usize| {
            let would_answer = state.would_answer(&pieces[piece].op);
            let text = &told[piece].text;
            let answer = words::shortened(would_answer.clone());
            let operation = operation(&pieces[piece]);
            Next {
                at: places.of_operation(operation),
                sighting: sighting(recording, &operation.as_ref(), cut),
                sentence: format!("{text}; here it would have returned {answer}"),
                would_answer,
            }
        };
        let ends = impasses(&initial, pieces, IMPASSES_SHOWN, limit);
        let impasses = ends.iter().map(|end| Impasse {
            after: end.order.iter().map(|piece| told[*piece].text.clone()).collect(),
            state: end.state.describe(),
            next: end.next.iter().map(|piece| next(&end.state, *piece)).collect(),
        });
        let impasses = impasses.collect();
        Ok(Explanation {
            key: witness.key.clone(),
            cut: end.filter(|_| cut.is_some()).map(|moment| places.of_event(moment.event)),
            sentence: words::sentence(&initial, &told),
            left_out: members.len() - pieces.iter().map(|piece| piece.members.len()).sum::<usize>(),
            operations,
            background,
            minimal: shrunk.is_minimal,
            impasses,
            bars: pieces.iter().map(|piece| bar(piece, operation(piece))).collect(),
        })
    }
}

/// What is drawn of a piece.
fn bar<M: Model>(piece: &Piece<M>, operation: &Operation) -> timeline::Bar {
    let point = |moment: Moment| timeline::Point {
        instant: moment.instant,
        event: moment.event,
        line: moment.line,
    };
    let is_answered = piece.role == Some(Role::Answered);
    let mut label = words::question(operation);
    if is_answered {
        label += &words::answer(operation);
    }
    if piece.members.len() > 1 {
        label = format!("{label} ×{}", piece.members.len());
    }
    timeline::Bar {
        row: piece.role.and(piece.process),
        label,
        from: point(piece.from),
        until: piece.until.map(point),
        is_certain: piece.need == Need::Must,
    }
}

impl Explanation {
    /// Draws what happened when: a row for each process, and one for each kind in the background.
    #[must_use]
    pub fn timeline(&self) -> String {
        timeline::draw(&self.bars)
    }
}

/// How many kinds in the background are told of, one a line.
const BACKGROUND_SHOWN: usize = 12;

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "  {}", self.sentence)?;
        let minimal = match self.minimal {
            true => "none of them can be left out",
            false => "there was no time to find out whether all are needed",
        };
        writeln!(out, "  the core: {}; {minimal}:", count(self.operations.len(), "operation"))?;
        for Named { role, sighting, .. } in &self.operations {
            writeln!(out, "    {}  {sighting}", role.name())?;
        }
        if !self.background.is_empty() {
            writeln!(out, "  and whether or not these took effect:")?;
        }
        for background in self.background.iter().take(BACKGROUND_SHOWN) {
            writeln!(out, "    {background}")?;
        }
        if let Some(more @ 1..) = self.background.len().checked_sub(BACKGROUND_SHOWN) {
            writeln!(out, "    and {more} more")?;
        }
        if self.left_out > 0 {
            let left_out = count(self.left_out, "operation");
            writeln!(out, "  left out: {left_out} that none of these can notice")?;
        }
        for impasse in &self.impasses {
            writeln!(out, "  of these, an order comes no further than {impasse}")?;
            for Next { sentence, .. } in &impasse.next {
                writeln!(out, "    next could be: {sentence}")?;
            }
        }
        writeln!(out)?;
        for line in self.timeline().lines() {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Impasse {
    /// Says where it is.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, state, .. } = self;
        let hidden = after.len().saturating_sub(AFTER_SHOWN);
        let shown = after[hidden..].join(", then ");
        match (after.is_empty(), hidden) {
            (true, _) => write!(out, "the beginning: {state}"),
            (_, 0) => write!(out, "{shown}: {state}"),
            _ => write!(out, "{} and {shown}: {state}", count(hidden, "operation")),
        }
    }
}

impl fmt::Display for Background {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = words::question_of(&self.f, &self.input);
        let lines = match self.until_line {
            Some(until) if self.count == 1 => format!("lines {}-{until}", self.from_line),
            Some(until) => {
                format!("invoked from line {} on, all completed by line {until}", self.from_line)
            }
            None => format!("from line {} on, not known to have ended", self.from_line),
        };
        match self.count {
            1 => write!(out, "{what} ({lines})"),
            many => write!(out, "{what}, {} operations ({lines})", grouped(many)),
        }
    }
}

/// A number of things, such as `1 operation` and `1,999 operations`.
fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// Writes a number with commas between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
