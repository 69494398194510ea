//! Writes a random history for benchmarks to standard output.
//!
//! `cargo run --release -p checker --example generate -- KIND CLIENTS OPERATIONS [INFO] [SEED] [stale]`
//!
//! `KIND` is `register` (five values), `unique` (no value twice), `cas`, `keys` (ten registers that
//! are judged together) or `ledger`; `INFO` of 1,000 mutations end unknown; `stale` makes the first
//! read after nine tenths of the operations answer with old news. See [`generator`] for the way it
//! is made.

mod generator;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use checker::history::write_event;

use generator::{Kind, Spec, generate};

/// The kinds and the words for them.
const KINDS: [(&str, Kind); 5] = [
    ("register", Kind::Register),
    ("unique", Kind::Unique),
    ("cas", Kind::Cas),
    ("keys", Kind::Keys),
    ("ledger", Kind::Ledger),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| {
        words.get(index).and_then(|word| word.parse().ok()).unwrap_or(default)
    };
    let word = words.first().map_or("register", String::as_str);
    let Some((_, kind)) = KINDS.into_iter().find(|(name, _)| *name == word) else {
        let kinds = KINDS.map(|(name, _)| name).join(", ");
        eprintln!("error: there is no kind `{word}`; choose {kinds}");
        return ExitCode::from(2);
    };
    let spec = Spec {
        kind,
        clients: number(1, 16),
        operations: number(2, 10_000),
        info: number(3, 0),
        seed: number(4, 1),
        is_stale: words.get(5).is_some_and(|word| word == "stale"),
    };
    match write(spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: failed to write the history: {error}");
            ExitCode::from(4)
        }
    }
}

fn write(spec: Spec) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut result = Ok(());
    generate(spec, |event| {
        if result.is_ok() {
            result = write_event(&mut out, &event);
        }
    });
    result?;
    out.flush()
}
