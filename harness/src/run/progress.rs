//! The progress line: on a terminal one line that changes, elsewhere a line every few seconds.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterStatus;
use crate::load::{Tallies, Tally};

/// How often a terminal's line changes.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// How often a line is written elsewhere, such as to a log.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Tells on standard error how far a run has come.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    /// What every line begins with.
    prefix: String,
}

/// What a storm's progress line is made of.
pub(super) struct StormView {
    pub(super) time_limit: Duration,
    pub(super) tallies: Tallies,
    pub(super) in_force: watch::Receiver<Vec<String>>,
    pub(super) status: watch::Receiver<ClusterStatus>,
}

impl Progress {
    /// Makes the progress line of the only run.
    #[must_use]
    pub fn new() -> Self {
        Self::of(String::new())
    }

    /// Makes the progress line of one of several runs, which begins by saying which.
    #[must_use]
    pub fn of(prefix: String) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.expect("the template is well-formed"));
            bar.enable_steady_tick(TERMINAL_INTERVAL);
            bar
        });
        Self { bar, prefix }
    }

    /// Says which phase begins.
    pub(super) fn phase(&self, name: &'static str) {
        self.say(name.into());
    }

    /// Takes the line away, so that what is printed next stands alone.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Shows the storm until it has ended.
    pub(super) async fn storm(&self, view: StormView, end: &CancellationToken) {
        let start = Instant::now();
        let pace = if self.bar.is_some() { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        let mut ticks = interval_at(start + pace, pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while end.run_until_cancelled(ticks.tick()).await.is_some() {
            self.say(view.describe(start.elapsed()));
        }
    }

    fn say(&self, line: String) {
        let line = format!("{}{line}", self.prefix);
        match &self.bar {
            Some(bar) => bar.set_message(line),
            // Whoever read standard error may be gone; the run goes on.
            None => drop(writeln!(stderr(), "{line}")),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl StormView {
    fn describe(&self, elapsed: Duration) -> String {
        let Tally { ok, fail, info, .. } = self.tallies.total();
        let leader = self.status.borrow().leader();
        let leader =
            leader.map_or("no leader".into(), |it| format!("{} leads term {}", it.node, it.term));
        let faults = self.in_force.borrow().join(", ");
        let faults = if faults.is_empty() { "calm".into() } else { faults };
        format!(
            "{}/{} s  {ok} ok {fail} fail {info} info  {leader}  {faults}",
            elapsed.as_secs(),
            self.time_limit.as_secs(),
        )
    }
}
