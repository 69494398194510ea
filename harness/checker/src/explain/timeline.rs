//! A timeline in text: one row a process, the time axis shrunk to what happens in the core.
//! What stands in the background shares rows where it does not overlap.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The widest timeline, without the names of the rows.
const WIDTH_MAX: usize = 100;

/// The longest labels that stand in their bars, the next where the first make the timeline too
/// wide; a longer one becomes a number, told below.
const LABEL_CHARS: [usize; 3] = [28, 10, 0];

/// An event of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) instant: u64,
    pub(super) event: usize,
    pub(super) line: usize,
}

/// What took its time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    /// The process; none for what stands in the background.
    pub(super) row: Option<u64>,
    pub(super) label: String,
    pub(super) from: Point,
    /// None if it had no end.
    pub(super) until: Option<Point>,
    /// Whether it certainly took effect.
    pub(super) is_certain: bool,
}

/// Draws the bars, in the order of their beginnings.
pub(super) fn draw(bars: &[Bar]) -> String {
    let labelled = |longest: usize| {
        let mut legend = Vec::new();
        let labels = bars.iter().map(|bar| {
            if bar.label.chars().count() <= longest {
                return bar.label.clone();
            }
            let number = match legend.iter().position(|label| *label == bar.label) {
                Some(found) => found + 1,
                None => {
                    legend.push(bar.label.clone());
                    legend.len()
                }
            };
            format!("({number})")
        });
        let labels: Vec<String> = labels.collect();
        let columns = Columns::of(bars, &labels);
        (labels, legend, columns)
    };
    let tried = LABEL_CHARS.into_iter().map(labelled);
    let fitting = tried.reduce(|wide, next| if wide.2.width > WIDTH_MAX { next } else { wide });
    let (labels, legend, columns) = fitting.expect("there are several lengths to try");
    let mut text = String::new();
    let rows = rows(bars, &columns);
    let names = rows.iter().map(|(name, _)| name.chars().count());
    let margin = names.max().unwrap_or(0).max("line".len());
    for (name, members) in &rows {
        let mut canvas = vec![' '; columns.width];
        for index in members {
            columns.paint(&mut canvas, &bars[*index], &labels[*index]);
        }
        let canvas: String = canvas.into_iter().collect();
        _ = writeln!(text, "{name:margin$}  {}", canvas.trim_end());
    }
    _ = writeln!(text, "{:margin$}  {}", "line", columns.axis());
    for (index, label) in legend.iter().enumerate() {
        _ = writeln!(text, "{:margin$}  ({}) {label}", "", index + 1);
    }
    text
}

/// A key that sorts events in time: of one instant first what begins.
type Key = (u64, bool, usize);

fn start(bar: &Bar) -> Key {
    (bar.from.instant, false, bar.from.event)
}

fn end(bar: &Bar) -> Option<Key> {
    bar.until.map(|until| (until.instant, true, until.event))
}

/// Where on the axis each event stands.
struct Columns {
    at: BTreeMap<Key, usize>,
    lines: BTreeMap<Key, usize>,
    width: usize,
}

/// Columns between two events that nothing keeps further apart.
const STEP: usize = 2;

impl Columns {
    /// Gives every event its column, so that each label fits between the ends of its bar.
    fn of(bars: &[Bar], labels: &[String]) -> Self {
        let mut lines = BTreeMap::new();
        for bar in bars {
            lines.insert(start(bar), bar.from.line);
            if let (Some(key), Some(until)) = (end(bar), bar.until) {
                lines.insert(key, until.line);
            }
        }
        let mut at: BTreeMap<Key, usize> = BTreeMap::new();
        let mut column = 0;
        for key in lines.keys() {
            for (bar, label) in bars.iter().zip(labels) {
                if end(bar) == Some(*key) {
                    column = column.max(at[&start(bar)] + label.chars().count() + 5);
                }
            }
            at.insert(*key, column);
            column += STEP;
        }
        let open = bars.iter().zip(labels).filter(|(bar, _)| bar.until.is_none());
        let open = open.map(|(bar, label)| at[&start(bar)] + label.chars().count() + 7);
        let width = open.max().unwrap_or(0).max(column);
        Self { at, lines, width }
    }

    /// Draws a bar with its label in the middle: `[-- write 3 --]`, `[.. write 3 ..]` if it may not
    /// have taken effect, without a bracket where it has no end.
    fn paint(&self, canvas: &mut [char], bar: &Bar, label: &str) {
        let from = self.at[&start(bar)];
        let until = end(bar).map_or(self.width - 1, |key| self.at[&key]);
        let dash = if bar.is_certain { '-' } else { '.' };
        canvas[from..=until].fill(dash);
        canvas[from] = '[';
        canvas[until] = if bar.until.is_some() { ']' } else { '>' };
        let room = until - from - 1;
        let length = label.chars().count() + 2;
        let at = from + 1 + room.saturating_sub(length) / 2;
        for (offset, char) in format!(" {label} ").chars().enumerate().take(room) {
            canvas[at + offset] = char;
        }
    }

    /// The numbers of the lines below their events, as far as there is room.
    fn axis(&self) -> String {
        let mut text = String::new();
        for (key, column) in &self.at {
            let length = text.chars().count();
            if *column >= length + usize::from(length > 0) {
                text += &" ".repeat(column - length);
                text += &self.lines[key].to_string();
            }
        }
        text
    }
}

/// Sorts bars into rows: processes first, then what stands in the background. What overlaps gets
/// rows of its own.
fn rows(bars: &[Bar], columns: &Columns) -> Vec<(String, Vec<usize>)> {
    let mut rows: Vec<(Option<u64>, usize, Vec<usize>)> = Vec::new();
    for (index, bar) in bars.iter().enumerate() {
        let from = columns.at[&start(bar)];
        let until = end(bar).map_or(usize::MAX, |key| columns.at[&key]);
        let free = rows
            .iter_mut()
            .find(|(row, taken, _)| bar.row.is_some() && *row == bar.row && *taken < from);
        match free {
            Some((_, taken, members)) => {
                *taken = until;
                members.push(index);
            }
            None => rows.push((bar.row, until, vec![index])),
        }
    }
    rows.sort_by_key(|(row, ..)| (row.is_none(), *row));
    let name = |row: Option<u64>| match row {
        Some(process) => format!("process {process}"),
        None => "any".to_owned(),
    };
    rows.into_iter().map(|(row, _, members)| (name(row), members)).collect()
}
