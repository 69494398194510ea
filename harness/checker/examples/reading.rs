//! Measures a reader: `reading FILE [TIMES]` says how long reading and pairing take, and the most memory
//! that the process ever had.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use checker::history::{operations, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let path = PathBuf::from(args.next().ok_or("name a file")?);
    let times = args.next().map_or(Ok(3), |times| times.parse())?;
    let megabytes = fs::metadata(&path)?.len() as f64 / 1e6;
    for _ in 0..times {
        let (started, before) = (Instant::now(), processor_seconds()?);
        let recording = read(&path, None)?;
        let (read, read_processor) = (started.elapsed(), processor_seconds()? - before);
        let operations = operations(&recording)?;
        let paired = started.elapsed() - read;
        let paired_processor = processor_seconds()? - before - read_processor;
        println!(
            "{} events, {} operations: read in {read:.1?} ({:.0} MB/s), {read_processor:.2} s of processor; \
             paired in {paired:.1?}, {paired_processor:.2} s of processor",
            recording.events.len(),
            operations.list.len(),
            megabytes / read.as_secs_f64()
        );
    }
    let status = fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

/// The time that all threads spent computing so far: on a busy machine it says more than a clock.
fn processor_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("no stat")?.1;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / TICKS_A_SECOND)
}
