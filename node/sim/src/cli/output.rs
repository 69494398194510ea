//! What `stormproof sim` prints: the product on standard output, the progress on standard error.

use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::campaign::Tally;
use crate::run::{RunReport, Verdict};
use crate::shrink::Shrunk;

/// How often a terminal's line changes.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// The progress line, if there is a terminal to show it.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new(steps: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg}");
            let bar = ProgressBar::new(steps);
            bar.set_style(style.expect("the template is well-formed"));
            bar.enable_steady_tick(TERMINAL_INTERVAL);
            bar
        });
        Self(bar)
    }

    pub(super) fn show(&self, tally: &Tally) {
        if let Some(bar) = &self.0 {
            bar.set_position(tally.seeds);
            let (failed, unknown) = (tally.failed.len(), tally.unknown.len());
            let speed = tally.speed(true);
            bar.set_message(format!(
                "{failed} failed, {unknown} unknown, {speed:.0} cluster-seconds a second and core"
            ));
        }
    }

    pub(super) fn say(&self, text: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
        }
    }

    /// Prints something while the line is away.
    pub(super) fn step_aside(&self, print: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Returns the command that runs a seed again.
fn replay(report: &RunReport, wishes: &str) -> String {
    format!("stormproof sim --replay {}{wishes}", report.plan.seed)
}

/// Prints the verdict on one seed.
pub(super) fn print_report(report: &RunReport, wishes: &str, is_json: bool) -> io::Result<()> {
    let (seed, replay) = (report.plan.seed, replay(report, wishes));
    if is_json {
        return writeln!(stdout(), "{}", describe_json(report, &replay));
    }
    let mut out = stdout().lock();
    writeln!(out, "seed {seed}: {}", report.verdict.to_string().trim_end())?;
    writeln!(out, "  {} of virtual time, trace {:016x}", report.simulated, report.hash)?;
    writeln!(out, "  replay: {replay}")
}

fn describe_json(report: &RunReport, replay: &str) -> serde_json::Value {
    let (verdict, why) = match &report.verdict {
        Verdict::Pass => ("pass", None),
        Verdict::Fail(failure) => ("fail", Some(failure.to_string())),
        Verdict::Unknown(why) => ("unknown", Some(why.clone())),
    };
    let faults: Vec<String> = report.plan.faults.iter().map(ToString::to_string).collect();
    json!({
        "seed": report.plan.seed.0,
        "verdict": verdict,
        "why": why,
        "trace": format!("{:016x}", report.hash),
        "simulated": Duration::from_nanos(report.simulated.0).as_secs_f64(),
        "schedule": faults,
        "replay": replay,
    })
}

/// Prints the smallest schedule by which a seed fails.
pub(super) fn print_shrunk(
    report: &RunReport,
    shrunk: &Shrunk,
    wishes: &str,
    is_json: bool,
) -> io::Result<()> {
    let numbers: Vec<String> =
        report.plan.faults.iter().map(|fault| fault.id.0.to_string()).collect();
    let only = if numbers.is_empty() { "none".to_owned() } else { numbers.join(",") };
    let wishes = format!("{wishes} --only {only}");
    if is_json {
        return print_report(report, &wishes, true);
    }
    let (left, before, runs) = (report.plan.faults.len(), shrunk.before, shrunk.runs);
    writeln!(stdout(), "{left} of {before} faults are left, after {runs} runs:")?;
    write!(stdout(), "{}", report.plan.describe_schedule())?;
    print_report(report, &wishes, false)
}

/// Prints what came of a campaign.
pub(super) fn print_tally(tally: &Tally, is_json: bool) -> io::Result<()> {
    let (with, without) = (tally.speed(true), tally.speed(false));
    let Tally { seeds, passed, failed, unknown, counts, simulated, .. } = tally;
    if is_json {
        let whole = json!({
            "seeds": seeds,
            "passed": passed,
            "failed": failed.keys().collect::<Vec<_>>(),
            "unknown": unknown.keys().collect::<Vec<_>>(),
            "simulated": simulated.as_secs_f64(),
            "speed": { "simulation": without, "with-judging": with },
            "rate": tally.rate(),
            "events": counts.events,
            "faults": counts.faults,
            "crashes": counts.crashes,
            "elections": counts.elections,
            "snapshots-installed": counts.installed,
            "membership-changes": counts.changes,
            "operations": counts.operations,
            "answered": counts.answered,
            "unknown-outcomes": counts.unknown,
            "committed": counts.committed,
        });
        return writeln!(stdout(), "{whole}");
    }
    let mut out = stdout().lock();
    writeln!(
        out,
        "{seeds} seeds: {passed} passed, {} failed, {} unknown",
        failed.len(),
        unknown.len()
    )?;
    writeln!(
        out,
        "  {} faults, {} crashes, {} elections, {} snapshots installed, {} changes of membership",
        counts.faults, counts.crashes, counts.elections, counts.installed, counts.changes
    )?;
    writeln!(
        out,
        "  {} operations, {} of them answered, {} of unknown outcome; {} entries committed; {} events",
        counts.operations, counts.answered, counts.unknown, counts.committed, counts.events
    )?;
    writeln!(
        out,
        "  {:.0} s of clusters' time at {:.0} operations a second, {without:.0} of them in a second on one \
         core ({with:.0} with judging)",
        simulated.as_secs_f64(),
        tally.rate()
    )
}
