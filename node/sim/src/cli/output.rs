//! What `stormproof sim` prints: the product on standard output, the progress on standard error.

use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::EXIT_FAILED;
use super::session::Reach;
use crate::campaign::Tally;
use crate::run::{RunReport, Verdict};

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

/// Prints on standard output. That nobody reads is no error: a verdict is an exit code as well.
pub(super) fn say(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints a line on standard error.
fn remark(line: &str) {
    drop(stderr().write_all(format!("{line}\n").as_bytes()));
}

/// Returns the command that runs a seed again.
fn replay(report: &RunReport, wishes: &str) -> String {
    format!("stormproof sim --replay {}{wishes}", report.plan.seed)
}

/// Prints the verdict on one seed.
pub(super) fn print_report(report: &RunReport, wishes: &str, is_json: bool) -> io::Result<()> {
    say(&describe_report(report, wishes, is_json))
}

fn describe_report(report: &RunReport, wishes: &str, is_json: bool) -> String {
    let (seed, replay) = (report.plan.seed, replay(report, wishes));
    if is_json {
        return format!("{}\n", describe_json(report, &replay));
    }
    let verdict = report.verdict.to_string();
    let (verdict, simulated, hash) = (verdict.trim_end(), report.simulated, report.hash);
    format!(
        "seed {seed}: {verdict}\n  {simulated} of virtual time, trace {hash:016x}\n  replay: {replay}\n"
    )
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

/// Describes the smallest schedule by which a seed fails, found by so many runs.
pub(super) fn describe_shrunk(
    report: &RunReport,
    before: usize,
    runs: usize,
    wishes: &str,
    is_json: bool,
) -> String {
    let faults = &report.plan.faults;
    let numbers: Vec<String> = faults.iter().map(|fault| fault.id.0.to_string()).collect();
    let only = if numbers.is_empty() { "none".to_owned() } else { numbers.join(",") };
    let described = describe_report(report, &format!("{wishes} --only {only}"), is_json);
    if is_json {
        return described;
    }
    let (left, schedule) = (faults.len(), report.plan.describe_schedule());
    format!("{left} of {before} faults are left, after {runs} runs:\n{schedule}{described}")
}

/// Says what is left of a seed's schedule so far, and returns the exit code: a failure stays one.
pub(super) fn interrupt_shrink(smallest: Option<&str>, otherwise: u8) -> u8 {
    let Some(smallest) = smallest else {
        remark("interrupted: nobody knows yet whether the seed fails");
        return otherwise;
    };
    remark("interrupted: more faults may not be needed");
    // Who interrupts a pipe ends its reader too: what cannot be said must not hide the exit code.
    drop(say(smallest));
    EXIT_FAILED
}

/// Prints what came of a campaign.
pub(super) fn print_tally(tally: &Tally, reach: &Reach, is_json: bool) -> io::Result<()> {
    let (left, open) = (reach.left(), reach.first_open);
    if left > 0 {
        let why = if reach.is_interrupted { "interrupted" } else { "the time is up" };
        remark(&format!("{why}: {left} seeds have no verdict, and {open} is the first of them"));
    }
    if is_json {
        return say(&format!("{}\n", describe_tally_json(tally, reach)));
    }
    let mut text = String::new();
    describe_tally(tally, left, &mut text).expect("a string takes all that is written");
    say(&text)
}

fn describe_tally_json(tally: &Tally, reach: &Reach) -> serde_json::Value {
    let (with, without) = (tally.speed(true), tally.speed(false));
    let Tally { seeds, passed, failed, unknown, counts, simulated, .. } = tally;
    json!({
        "seeds": seeds,
        "left": reach.left(),
        "interrupted": reach.is_interrupted,
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
    })
}

fn describe_tally(tally: &Tally, left: u64, out: &mut String) -> fmt::Result {
    let (with, without) = (tally.speed(true), tally.speed(false));
    let Tally { seeds, passed, failed, unknown, counts, simulated, .. } = tally;
    let (failed, unknown) = (failed.len(), unknown.len());
    write!(out, "{seeds}")?;
    if left > 0 {
        write!(out, " of {}", seeds + left)?;
    }
    writeln!(out, " seeds: {passed} passed, {failed} failed, {unknown} unknown")?;
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
