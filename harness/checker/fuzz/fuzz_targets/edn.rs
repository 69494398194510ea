//! Reads anything as this format.

#![no_main]

#[path = "../entry.rs"]
mod entry;

use checker::history::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| entry::read_anything(content, Some(Format::Edn)));
