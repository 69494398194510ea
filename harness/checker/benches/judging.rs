//! How long judging takes by kind and size of history, and how long reading one takes.
//!
//! `cargo bench -p checker`, or with a part of a name for some: `cargo bench -p checker -- cas/8`.
//! What Criterion measured last time it compares with; `--save-baseline` and `--baseline` name what
//! to compare with. `examples/table` prints all sizes at once, and memory.

#[path = "../examples/generator/mod.rs"]
mod generator;

use std::hint::black_box;
use std::time::Duration;

use checker::check::{Options, check};
use checker::history::{Format, read_bytes, write_event};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use generator::{ROWS, Row, generate, record};

/// What `stormproof` allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clients: few, as most tests have, and more than any of them can tell apart.
const CLIENTS: [u64; 3] = [4, 8, 32];

/// Operations. Longer histories take the same time for each, which `table` shows.
const OPERATIONS: [u64; 2] = [1_000, 10_000];

fn judging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judging");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(500));
    for row in &ROWS {
        for (clients, operations) in CLIENTS
            .into_iter()
            .flat_map(|clients| OPERATIONS.map(|operations| (clients, operations)))
        {
            let recording =
                record(row.spec(clients, operations, 1)).expect("what is written is read");
            let options = Options { time_limit: Duration::from_secs(10), ..row.options() };
            group.throughput(Throughput::Elements(operations));
            let id = BenchmarkId::new(format!("{}/{clients}", row.name), operations);
            group.bench_function(id, |bencher| {
                bencher.iter(|| check(black_box(&recording), &options).expect("it can be judged"));
            });
        }
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reading");
    group.sample_size(20);
    for name in ["register", "keys"] {
        let row = Row::named(name).expect("there is such a row");
        let mut lines = Vec::new();
        generate(row.spec(8, 100_000, 1), |event| {
            write_event(&mut lines, &event).expect("a vector takes all that is written");
        });
        group.throughput(Throughput::Bytes(lines.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                read_bytes("bench", black_box(&lines), Some(Format::Jsonl)).expect("it can be read")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, judging, reading);
criterion_main!(benches);
