//! The seeds of the fuzzer, a few thousand changed ones, and what is hardly a file, in every test run.

#[path = "../fuzz/entry.rs"]
mod entry;

use std::fs;
use std::path::{Path, PathBuf};

use checker::history::Format;

/// How many changed inputs are tried.
const ROUNDS: usize = 4_000;

/// The most of a history that is taken as a seed: changes are to be found, not lost.
const SEED_BYTES: usize = 1_500;

/// What a history is made of.
const WORDS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    ":",
    ",",
    "\t",
    "\n",
    "#",
    "#_",
    "#{",
    ";",
    "nil",
    "-",
    "1e999",
    "18446744073709551615",
    "\u{e9}",
    "\\ud800",
    ":process 0",
    "\"process\":0",
];

/// Inputs that hold next to nothing.
const BARE: [&[u8]; 8] = [b"", b"\n", b"{}", b"[]", b"()", b"0", b"\xff", b"\xef\xbb\xbf"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let histories = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories"));
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in fs::read_dir(histories).expect("the corpus is there").flatten() {
        let Ok(entries) = fs::read_dir(folder.path()) else { continue };
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let seeds = files.iter().map(|file| {
        let mut content = fs::read(file).expect("the corpus can be read");
        content.truncate(SEED_BYTES);
        content
    });
    seeds.collect()
}

/// Changes a few places of an input.
fn change(content: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(content.len() + 1);
        let length = random.below(1 + (content.len() - at).min(40));
        match random.below(5) {
            0 if at < content.len() => content[at] = random.below(256) as u8,
            1 => drop(content.drain(at..at + length)),
            2 => {
                let part = content[at..at + length].to_vec();
                let to = random.below(content.len() + 1);
                drop(content.splice(to..to, part));
            }
            3 => content.truncate(at),
            _ => drop(content.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
        }
    }
}

fn try_all(content: &[u8]) {
    for format in [None, Some(Format::Jsonl), Some(Format::Edn), Some(Format::JepsenLog)] {
        entry::read_anything(content, format);
    }
    entry::check_anything(content);
}

#[test]
fn a_file_that_holds_next_to_nothing_ends_well() {
    BARE.iter().for_each(|content| try_all(content));
}

#[test]
fn whatever_a_file_holds_it_ends_well() {
    let seeds = seeds();
    assert!(seeds.len() > 100, "the corpus is there");
    let mut random = Random(1);
    for round in 0..ROUNDS {
        let mut content = seeds[random.below(seeds.len())].clone();
        change(&mut content, &mut random);
        let tried = std::panic::catch_unwind(|| try_all(&content));
        assert!(tried.is_ok(), "round {round}: {}", String::from_utf8_lossy(&content));
    }
}
