//! Reads anything as whatever format it looks like.

#![no_main]

#[path = "../entry.rs"]
mod entry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| entry::read_anything(content, None));
