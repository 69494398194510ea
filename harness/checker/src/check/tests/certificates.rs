//! Certificates of random histories of every family, and of the corpus.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::certificate::{certify, verify};
use crate::check::{FailedCas, NilRead, Options, check, initial_from};
use crate::explain::explain;
use crate::history::{Format, Recording, read_bytes, write_event};
use crate::model::{Model, ModelName};
use crate::verdict::Verdict;

use super::family::{self, Family};
use super::random::{Random, Shape, history};

/// Histories of each family.
const CASES: u64 = 1_000;

/// More than the search of any core here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The file that a recording would be.
fn file_of(recording: &Recording) -> Vec<u8> {
    let mut content = Vec::new();
    for recorded in &recording.events {
        write_event(&mut content, &recorded.event).expect("memory takes everything");
    }
    content
}

/// Every verdict has a certificate, which is a proof, and none without one of its operations.
fn check_family<M: Model>(family: &Family<M>) {
    let (mut proven, mut refused) = (0, 0);
    for seed in 0..CASES {
        let recording = history(family, seed, &Shape::of(seed));
        let content = file_of(&recording);
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone().into()),
            nil_read: super::nil_read_of(seed),
            failed_cas: family.failed_cas,
            ..Options::default()
        };
        let recording =
            read_bytes("h", &content, Some(Format::Jsonl)).expect("what was written can be read");
        let Ok(report) = check(&recording, &options) else { continue };
        if matches!(report.verdict, Verdict::Unknown { .. }) {
            continue;
        }
        let repeat = || format!("{}, seed {seed}:\n{}", family.name, super::describe(&recording));
        let explanation = explain(&recording, &options, &report).ok();
        let certificate = certify(&recording, &content, &options, &report, explanation.as_ref())
            .unwrap_or_else(|none| panic!("{none}: {}", repeat()))
            .to_json();
        if let Err(error) = verify(&certificate, "h", &content, LIMIT) {
            panic!("{error}: {certificate} {}", repeat());
        }
        proven += 1;
        let mut value: serde_json::Value =
            serde_json::from_str(&certificate).expect("a certificate is JSON");
        let claimed = match report.verdict {
            Verdict::Linearizable => &mut value["partitions"][0]["order"],
            _ => &mut value["core"]["operations"],
        };
        let claimed = claimed.as_array_mut().expect("operations are named");
        if claimed.is_empty() {
            continue;
        }
        let mut random = Random::new(seed);
        claimed.remove(random.below(claimed.len() as u64) as usize);
        let verified = verify(&value.to_string(), "h", &content, LIMIT);
        assert!(verified.is_err(), "an operation less: {value} {}", repeat());
        refused += 1;
    }
    assert!(proven > CASES / 10 && refused > CASES / 10, "{}: {proven} {refused}", family.name);
}

#[test]
fn every_verdict_on_a_random_history_has_a_proof() {
    check_family(&family::register("registers"));
    check_family(&family::register_with_observed_cas("registers with failed cas"));
    check_family(&family::key("keys"));
    check_family(&family::mutex("locks"));
    check_family(&family::multi_register("several registers"));
    check_family(&family::lock("locks with owners"));
    check_family(&family::lock_with_tokens("locks with tokens"));
    check_family(&family::set("sets"));
    check_family(&family::fifo_queue("queues"));
    check_family(&family::stack("stacks"));
    check_family(&family::priority_queue("priority queues"));
    check_family(&family::priority_queue_with_ties("priority queues with ties"));
    check_family(&family::counter("counters"));
    check_family(&family::append_list("lists"));
    check_family(&family::ledger("books"));
}

#[test]
fn every_verdict_of_the_corpus_has_a_proof() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories"));
    let table = fs::read_to_string(folder.join("verdicts.tsv")).expect("the table is there");
    let mut proven = 0;
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [file, _, model, initial, nil_read, failed_cas, linearizable, _] = fields[..] else {
            panic!("a row has eight fields: {row}");
        };
        let options = Options {
            model: Some(model.parse::<ModelName>().expect("a model")),
            initial: Some(initial_from(initial)),
            nil_read: match nil_read {
                "unknown" => NilRead::Unknown,
                _ => NilRead::Absent,
            },
            failed_cas: match failed_cas {
                "observed" => FailedCas::Observed,
                _ => FailedCas::Dropped,
            },
            ..Options::default()
        };
        let content = fs::read(folder.join(file)).expect("the history is there");
        let recording = read_bytes(file, &content, None).expect("it can be read");
        let report = check(&recording, &options).expect("it can be judged");
        let explanation = (linearizable == "false").then(|| {
            explain(&recording, &options, &report).unwrap_or_else(|none| panic!("{file}: {none}"))
        });
        let certificate = certify(&recording, &content, &options, &report, explanation.as_ref())
            .unwrap_or_else(|none| panic!("{file}: {none}"));
        if let Err(error) = verify(&certificate.to_json(), file, &content, LIMIT) {
            panic!("{file}: {error}");
        }
        if let Some(explanation) = explanation {
            println!("{file}:\n{explanation}");
        }
        proven += 1;
    }
    assert!(proven >= 270, "the table was read: {proven}");
}
