//! Many seeds, on as many threads as wanted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::{Plan, Wishes};
use crate::random::Seed;
use crate::run::{RunOptions, RunReport, Verdict, run};
use crate::simulation::Counts;

/// Reports that wait to be looked at: a few for each thread, so that none waits for another.
const REPORTS_MAX: usize = 64;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many run at a time.
    pub jobs: usize,
    /// When to begin no more.
    pub time_limit: Option<Duration>,
    /// What is wanted otherwise than the seeds draw it.
    pub wishes: Wishes,
    /// How each is run.
    pub options: RunOptions,
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those without a fault.
    pub passed: u64,
    /// Those that failed, by seed, with what was wrong.
    pub failed: BTreeMap<u64, String>,
    /// Those of which the checker could not tell.
    pub unknown: BTreeMap<u64, String>,
    /// What happened in all of them.
    pub counts: Counts,
    /// How much time passed in all of them.
    pub simulated: Duration,
    /// How long processors were busy with simulating, …
    pub simulating: Duration,
    /// … and with judging.
    pub judging: Duration,
}

impl Tally {
    fn add(&mut self, report: &RunReport) {
        let seed = report.plan.seed.0;
        self.seeds += 1;
        match &report.verdict {
            Verdict::Pass => self.passed += 1,
            Verdict::Fail(failure) => _ = self.failed.insert(seed, failure.to_string()),
            Verdict::Unknown(why) => _ = self.unknown.insert(seed, why.clone()),
        }
        self.counts += report.counts;
        self.simulated += Duration::from_nanos(report.simulated.0);
        self.simulating += report.simulating;
        self.judging += report.judging;
    }

    /// Returns how many operations clients began in a second of their clusters' time.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let simulated = self.simulated.as_secs_f64();
        if simulated > 0.0 { self.counts.operations as f64 / simulated } else { 0.0 }
    }

    /// Returns how much faster than the clock a cluster's time passed on one core, judging included or
    /// not.
    #[must_use]
    pub fn speed(&self, with_judging: bool) -> f64 {
        let judging = if with_judging { self.judging } else { Duration::ZERO };
        let spent = (self.simulating + judging).as_secs_f64();
        if spent > 0.0 { self.simulated.as_secs_f64() / spent } else { 0.0 }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.elections += other.elections;
        self.installed += other.installed;
        self.changes += other.changes;
        self.operations += other.operations;
        self.answered += other.answered;
        self.unknown += other.unknown;
        self.committed += other.committed;
    }
}

impl Campaign {
    /// Runs the seeds; `watch` sees each report, and how things stand. They come in the order in which
    /// they end.
    pub fn run(&self, mut watch: impl FnMut(&RunReport, &Tally)) -> Tally {
        let deadline = self.time_limit.map(|limit| Instant::now() + limit);
        let next = AtomicU64::new(self.seeds.start);
        let is_over = AtomicBool::new(false);
        let (reports, arriving) = mpsc::sync_channel(REPORTS_MAX);
        let mut tally = Tally::default();
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let reports = reports.clone();
                let (next, is_over) = (&next, &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed)
                        && deadline.is_none_or(|deadline| Instant::now() < deadline)
                    {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.end {
                            break;
                        }
                        let plan = Plan::draw(Seed(seed), &self.wishes);
                        if reports.send(run(&plan, self.options)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(reports);
            for report in arriving {
                tally.add(&report);
                watch(&report, &tally);
            }
        });
        tally
    }
}
