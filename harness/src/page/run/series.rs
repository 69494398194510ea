//! Throughput and latency over time, in spans of equal length.

use checker::history::{Operation, Outcome};
use serde::Serialize;

/// The most spans: about as many as a chart has room for.
const SPANS_MAX: u64 = 400;

/// Lengths of spans that people can reckon with, in milliseconds; beyond them, whole hours.
const LENGTHS: [u64; 14] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 900_000,
    1_800_000,
];

/// One value for each span: its middle in seconds, operations that ended in it in a second, and the
/// latencies of those that succeeded, in milliseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Series {
    pub(super) time: Vec<f64>,
    pub(super) ok: Vec<f64>,
    pub(super) fail: Vec<f64>,
    pub(super) info: Vec<f64>,
    pub(super) p50: Vec<Option<f64>>,
    pub(super) p99: Vec<Option<f64>>,
    pub(super) max: Vec<Option<f64>>,
}

/// What ended in one span.
#[derive(Clone, Debug, Default)]
struct Span {
    fail: u64,
    info: u64,
    /// In nanoseconds.
    latencies: Vec<u64>,
}

impl Series {
    /// Sorts operations with times into spans up to `last`, in nanoseconds.
    pub(super) fn of(operations: &[Operation], last: u64) -> Self {
        let length = length(last / 1_000_000) * 1_000_000;
        let mut spans = vec![Span::default(); usize::try_from(last / length + 1).unwrap_or(1)];
        for operation in operations {
            let Some(completed) = operation.completed else { continue };
            let Some(span) = spans.get_mut((completed.instant / length) as usize) else { continue };
            match operation.outcome {
                Outcome::Ok(_) => {
                    span.latencies.push(completed.instant.saturating_sub(operation.invoked.instant))
                }
                Outcome::Fail(_) => span.fail += 1,
                Outcome::Info => span.info += 1,
            }
        }
        let mut series = Self::default();
        for (place, mut span) in spans.into_iter().enumerate() {
            let from = place as u64 * length;
            // The last one is over before its time; a rate of next to nothing is noise.
            let share = (last - from).clamp(length / 10, length) as f64 / 1e9;
            span.latencies.sort_unstable();
            let rate = |count: u64| count as f64 / share;
            series.time.push((from + length / 2).min(last) as f64 / 1e9);
            series.ok.push(rate(span.latencies.len() as u64));
            series.fail.push(rate(span.fail));
            series.info.push(rate(span.info));
            series.p50.push(quantile(&span.latencies, 50));
            series.p99.push(quantile(&span.latencies, 99));
            series.max.push(quantile(&span.latencies, 100));
        }
        series
    }
}

/// Returns the length of spans in milliseconds of which not too many make so long a run.
fn length(run: u64) -> u64 {
    let is_enough = |length: &u64| run / length < SPANS_MAX;
    let hours = (1..).map(|hours: u64| hours * 3_600_000);
    LENGTHS.into_iter().chain(hours).find(is_enough).expect("some number of hours is enough")
}

/// Returns the least of these, which are sorted, that so many of a hundred do not exceed, in
/// milliseconds.
fn quantile(sorted: &[u64], percent: usize) -> Option<f64> {
    let place = (sorted.len() * percent).div_ceil(100).checked_sub(1)?;
    Some(sorted[place] as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use checker::history::{Moment, Value};

    use super::*;

    fn operation(invoked: u64, completed: u64, outcome: Outcome) -> Operation {
        let moment = |ms: u64| Moment { instant: ms * 1_000_000, line: 1, event: 0 };
        Operation {
            process: 0,
            f: "read".into(),
            key: None,
            input: Value::Null,
            outcome,
            invoked: moment(invoked),
            completed: Some(moment(completed)),
            position: None,
        }
    }

    #[test]
    fn what_ends_in_a_span_counts_in_it() {
        let ok = |from, until| operation(from, until, Outcome::Ok(Value::Null));
        let operations = [
            ok(0, 10),
            ok(20, 50),
            ok(90, 110),
            operation(0, 150, Outcome::Fail(Value::Null)),
            operation(0, 250, Outcome::Info),
        ];
        let series = Series::of(&operations, 250_000_000);
        assert_eq!(series.time, [0.05, 0.15, 0.25]);
        assert_eq!(series.ok, [20.0, 10.0, 0.0]);
        assert_eq!(series.fail, [0.0, 10.0, 0.0]);
        assert_eq!(series.info, [0.0, 0.0, 20.0]);
        assert_eq!(series.p50, [Some(10.0), Some(20.0), None]);
        assert_eq!(series.max, [Some(30.0), Some(20.0), None]);
    }

    #[test]
    fn no_run_is_too_long() {
        for (run, expected) in [
            (0, 100),
            (10_000, 100),
            (39_999, 100),
            (40_000, 200),
            (600_000, 2_000),
            (8 * 3_600_000, 120_000),
            (30 * 24 * 3_600_000, 2 * 3_600_000),
        ] {
            assert_eq!(length(run), expected, "{run}");
        }
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let hundred: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).collect();
        assert_eq!(quantile(&hundred, 50), Some(50.0));
        assert_eq!(quantile(&hundred, 99), Some(99.0));
        assert_eq!(quantile(&hundred, 100), Some(100.0));
        assert_eq!(quantile(&hundred[..1], 50), Some(1.0));
        assert_eq!(quantile(&[], 99), None);
    }
}
