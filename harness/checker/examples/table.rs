//! Prints how long histories of many kinds take to judge, and with how much memory.
//!
//! `cargo run --release -p checker --example table -- [--kinds K,…] [--clients C,…]
//! [--operations N,…] [--info PER_MILLE] [--runs R] [--time-limit SECONDS] [--engine NAME] [--seed S]
//! [--processor]`
//!
//! Without flags it prints every cell of every kind; `--info` has it that so many of a thousand
//! mutations end unknown, whatever the kind. With `--processor` a cell also tells the median of the
//! time that all its threads computed, and how many configurations the search visited: on a machine
//! that does other things they say more than the clock.
//!
//! Every cell is a process of its own: it makes its history, judges it `R` times, and tells the
//! median time of the judging (from the events on; reading a file is not part of it), the verdict,
//! and the highest memory of the whole process, after a plus sign what of it the judging added to
//! the history itself. A verdict that is not what the generator built in is marked with `!`, and the
//! exit code is 1 if there is one in the table.

mod generator;

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use checker::check::{Options, check};
use checker::verdict::Verdict;
use nix::time::{ClockId, clock_gettime};

use generator::{ROWS, Row, Spec, record};

/// What `stormproof` allocates with, so that it is judged here as it is there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stands for a verdict that is not what the generator built in.
const WRONG: &str = "!WRONG";

/// A cell that took longer than this is not measured again.
const LONG: Duration = Duration::from_secs(3);

/// What the user chose; what stands on the command line is passed on to the cells.
struct Choice {
    kinds: Vec<String>,
    clients: Vec<u64>,
    operations: Vec<u64>,
    info: Option<u64>,
    runs: usize,
    time_limit: u64,
    engine: Option<String>,
    seed: u64,
    is_cell: bool,
    tells_processor: bool,
}

impl Choice {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut choice = Self {
            kinds: ROWS.iter().map(|row| row.name.to_owned()).collect(),
            clients: vec![4, 8, 16, 32, 64],
            operations: vec![1_000, 10_000, 100_000],
            info: None,
            runs: 5,
            time_limit: 10,
            engine: None,
            seed: 1,
            is_cell: false,
            tells_processor: false,
        };
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            match flag.as_str() {
                "--cell" => choice.is_cell = true,
                "--processor" => choice.tells_processor = true,
                _ => {}
            }
            if matches!(flag.as_str(), "--cell" | "--processor") {
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let numbers = || -> Result<Vec<u64>, String> {
                let numbers = value.split(',').map(|word| word.replace('_', "").parse());
                numbers.collect::<Result<_, _>>().map_err(|_| format!("`{value}`: no numbers"))
            };
            let number = || numbers().map(|numbers| numbers[0]);
            match flag.as_str() {
                "--kinds" => choice.kinds = value.split(',').map(str::to_owned).collect(),
                "--clients" => choice.clients = numbers()?,
                "--operations" => choice.operations = numbers()?,
                "--info" => choice.info = Some(number()?),
                "--runs" => choice.runs = number()?.max(1) as usize,
                "--time-limit" => choice.time_limit = number()?,
                "--engine" => choice.engine = Some(value.clone()),
                "--seed" => choice.seed = number()?,
                _ => return Err(format!("there is no flag {flag}")),
            }
        }
        for kind in &choice.kinds {
            Row::named(kind)?;
        }
        Ok(choice)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = Choice::parse(&words).and_then(|choice| match choice.is_cell {
        true => measure(&choice).map(|(cell, is_right)| {
            println!("{cell}");
            is_right
        }),
        false => print_table(&choice),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // A false verdict among a hundred cells is easily overlooked.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints the table row by row, as it is measured; false if a verdict in it is.
fn print_table(choice: &Choice) -> Result<bool, String> {
    let header: Vec<String> =
        choice.operations.iter().map(|operations| format!("{operations} operations")).collect();
    println!("| history | C | {} |", header.join(" | "));
    println!("|---|---|{}", "---|".repeat(header.len()));
    let mut are_right = true;
    for kind in &choice.kinds {
        for clients in &choice.clients {
            let mut cells = Vec::new();
            for operations in &choice.operations {
                let (cell, is_right) = ask_child(choice, kind, *clients, *operations)?;
                cells.push(cell);
                are_right &= is_right;
            }
            println!("| {kind} | {clients} | {} |", cells.join(" | "));
        }
    }
    Ok(are_right)
}

/// Has a process of its own measure a cell; returns it, and whether its verdict is right.
fn ask_child(
    choice: &Choice,
    kind: &str,
    clients: u64,
    operations: u64,
) -> Result<(String, bool), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--cell", "--kinds", kind]);
    command.args(["--clients", &clients.to_string(), "--operations", &operations.to_string()]);
    command.args(["--runs", &choice.runs.to_string(), "--seed", &choice.seed.to_string()]);
    command.args(["--time-limit", &choice.time_limit.to_string()]);
    if choice.tells_processor {
        command.arg("--processor");
    }
    if let Some(info) = &choice.info {
        command.args(["--info", &info.to_string()]);
    }
    if let Some(engine) = &choice.engine {
        command.args(["--engine", engine]);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let cell = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let error = || format!("failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    let cell = if cell.is_empty() { error() } else { cell };
    Ok((cell, output.status.success()))
}

/// Measures the one cell of this process; false if its verdict is wrong.
fn measure(choice: &Choice) -> Result<(String, bool), String> {
    let row = Row::named(&choice.kinds[0])?;
    let spec = row.spec(choice.clients[0], choice.operations[0], choice.seed);
    let recording = record(Spec { info: choice.info.unwrap_or(spec.info), ..spec })?;
    let options = Options {
        engine: choice.engine.as_deref().map(str::parse).transpose()?,
        time_limit: Duration::from_secs(choice.time_limit),
        ..row.options()
    };
    let before = memory_highest();
    let mut configurations = 0;
    let (mut times, mut processor) = (Vec::new(), Vec::new());
    let mut verdict = "";
    while times.len() < choice.runs && times.iter().all(|time| *time < LONG) {
        let (started, processor_before) = (Instant::now(), processor_time());
        let report = check(&recording, &options).map_err(|error| error.to_string())?;
        times.push(started.elapsed());
        processor.push(processor_time() - processor_before);
        configurations = report.partitions.iter().map(|partition| partition.configurations).sum();
        verdict = match (&report.verdict, row.is_stale) {
            (Verdict::Linearizable, false) => "ok",
            (Verdict::Violation { witness }, true) if witness.shortest => "violation",
            (Verdict::Violation { .. }, true) => "violation, not narrowed down",
            (Verdict::Unknown { .. }, _) => "unknown",
            _ => WRONG,
        };
        if verdict == WRONG {
            break;
        }
    }
    let effort = match choice.tells_processor {
        true => format!(" (processor {}, {configurations} configurations)", median(processor)),
        false => String::new(),
    };
    let highest = memory_highest();
    let cell =
        format!("{}{effort}, {highest} MiB (+{}), {verdict}", median(times), highest - before);
    Ok((cell, verdict != WRONG))
}

/// The time in the middle, in milliseconds.
fn median(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    let digits = if median < 10.0 { 2 } else { 0 };
    format!("{median:.digits$} ms")
}

/// How long all threads of this process computed so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(Duration::ZERO, Duration::from)
}

/// The highest memory that this process ever took, in MiB; 0 where there is no `/proc`.
fn memory_highest() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
