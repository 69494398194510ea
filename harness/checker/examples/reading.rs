//! Measures how fast files are read and judged.
//!
//! `cargo run --release -p checker --example reading -- PATH [TIMES]` says of a file, or of all files
//! of a folder together, how long reading, pairing and judging take, each time anew, and in the end
//! the most memory that the process ever had. A file that cannot be read is left out of a folder.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use checker::check::{Options, check};
use checker::history::{operations, read};
use checker::verdict::Verdict;
use nix::time::{ClockId, clock_gettime};

/// What `stormproof` allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long something took by the clock, and how long all threads computed.
#[derive(Clone, Copy, Default)]
struct Taken {
    clock: Duration,
    processor: Duration,
}

impl Taken {
    /// Does something and adds what it took.
    fn by<T>(&mut self, does: impl FnOnce() -> T) -> T {
        let (started, before) = (Instant::now(), processor_time());
        let done = does();
        self.clock += started.elapsed();
        self.processor += processor_time() - before;
        done
    }

    fn describe(self) -> String {
        format!("{:.1?} (processor {:.1?})", self.clock, self.processor)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let path = PathBuf::from(args.next().ok_or("name a file or a folder")?);
    let times = args.next().map_or(Ok(3), |times| times.parse())?;
    let files = files(&path)?;
    for _ in 0..times {
        let (mut reading, mut pairing, mut judging) =
            (Taken::default(), Taken::default(), Taken::default());
        let (mut bytes, mut events, mut paired, mut slowest) = (0, 0, 0, Duration::ZERO);
        let (mut judged, mut good, mut bad) = (0, 0, 0);
        for file in &files {
            let recording = match reading.by(|| read(file, None)) {
                Err(_) if files.len() > 1 => continue,
                recording => recording?,
            };
            bytes += fs::metadata(file)?.len();
            events += recording.events.len();
            paired += pairing.by(|| operations(&recording))?.list.len();
            let before = judging.clock;
            let report = judging.by(|| check(&recording, &Options::default()))?;
            slowest = slowest.max(judging.clock - before);
            judged += 1;
            good += usize::from(report.verdict == Verdict::Linearizable);
            bad += usize::from(matches!(report.verdict, Verdict::Violation { .. }));
        }
        let speed = bytes as f64 / 1e6 / reading.clock.as_secs_f64();
        println!(
            "{judged} files, {:.1} MB, {events} events, {paired} operations",
            bytes as f64 / 1e6
        );
        println!("  read in {}, {speed:.0} MB/s", reading.describe());
        println!("  paired in {}", pairing.describe());
        println!(
            "  judged in {}, the slowest in {slowest:.1?}: {good} good, {bad} bad",
            judging.describe()
        );
    }
    let status = fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

/// Returns the files of a folder in the order of their names, or the file itself.
fn files(path: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// How long all threads computed so far: on a busy machine it says more than a clock.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
