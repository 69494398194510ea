//! How many events a second the recorder writes down, sustained, by how many clients.
//!
//! ```sh
//! cargo run --release -p harness --example recorder_rate -- [SECONDS] [FOLDER]
//! ```
//!
//! Every client records invocations and completions as fast as it can, for that long; the time counts
//! until the last event is durable in the file. The file goes into the folder, by default that of
//! temporary files, and is removed.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::client::Outcome;
use harness::recorder::Recorder;
use harness::workload::Invocation;
use serde_json::json;

/// How many clients record at once.
const CLIENTS: [u64; 4] = [1, 10, 64, 1000];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(5.0), |text| text.parse())?;
    let folder = arguments.next().map_or_else(env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Runtime::new()?;
    println!("{:>8} {:>12} {:>10} {:>10}", "clients", "events", "seconds", "events/s");
    for clients in CLIENTS {
        let path = folder.join(format!("recorder-rate-{}-{clients}.jsonl", std::process::id()));
        let recorded = runtime.block_on(record(&path, clients, Duration::from_secs_f64(seconds)));
        fs::remove_file(&path)?;
        let (events, took) = recorded?;
        let rate = events as f64 / took.as_secs_f64();
        println!("{clients:>8} {events:>12} {:>10.2} {rate:>10.0}", took.as_secs_f64());
    }
    Ok(())
}

/// Records for so long; returns how many events there are, and how long it took until the last was
/// durable.
async fn record(
    path: &std::path::Path,
    clients: u64,
    time: Duration,
) -> Result<(u64, Duration), Box<dyn Error>> {
    let (recorder, recording) = Recorder::create(path)?;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for process in 0..clients {
        let recorder = recorder.clone();
        tasks.spawn(async move {
            for value in 0_u64.. {
                if begun.elapsed() >= time {
                    break;
                }
                let invocation = Invocation::new("write", "k0", json!(value));
                let Ok(open) = recorder.invoke(process, &invocation).await else { break };
                open.complete(&Outcome::Ok { value: json!(value), position: Some(value) });
            }
        });
    }
    tasks.join_all().await;
    let events = recording.finish().await?;
    Ok((events, begun.elapsed()))
}
