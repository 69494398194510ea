//! Explores the core exhaustively, further than the tests do. Each world is told with its number of
//! states; the first that does not hold ends it.
//!
//! ```text
//! cargo run --release -p raft --example model -- large
//! cargo run --release -p raft --example model -- large-figure-8 50000000
//! ```
//!
//! The first word is `small`, `large`, `flawed`, or the name of a world. The second, if any, is the
//! number of steps after which a world is left, complete or not: a million states take a gigabyte.

#[path = "../tests/model/exploration/mod.rs"]
mod exploration;

use std::env;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;

use exploration::{Effort, explore, plans};

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let chosen = words.next().unwrap_or_else(|| "small".to_owned());
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let steps_max = words.next().and_then(|it| it.parse().ok());
    let effort = Effort { threads, steps_max, expected: None };

    if chosen == "flawed" {
        for (flaw, plan, property) in plans::flawed() {
            println!(
                "{flaw:?} in {} should cost {property}: {}",
                plan.name,
                explore(&plan, effort)
            );
        }
        return ExitCode::SUCCESS;
    }
    let worlds = match chosen.as_str() {
        "small" => plans::small(),
        "large" => plans::large(),
        name => {
            let mut worlds = plans::small();
            worlds.extend(plans::large());
            worlds.retain(|plan| plan.name == name);
            worlds
        }
    };
    if worlds.is_empty() {
        eprintln!("no world is called {chosen}");
        return ExitCode::from(2);
    }
    for plan in worlds {
        let report = explore(&plan, effort);
        println!("{}: {report}", plan.name);
        if !report.broken.is_empty() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
