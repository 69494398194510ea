//! The checker against a brute-force oracle and stateright's tester: random small histories, from
//! the recording to the verdict and its shortest bad prefix.

mod certificates;
mod family;
mod large;
mod oracle;
mod own;
mod random;
mod refutations;
mod stream;
mod verdicts;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::check::dispatch::Subject;
use crate::check::judge::{Case, split};
use crate::check::{NilRead, Options, check};
use crate::history::{Operation, Pairing, Process, Recorded, Recording, operations};
use crate::model::ledger::{self, Book};
use crate::model::{Model, Reader, Reading};
use crate::search::Budget;
use crate::verdict::{Unknown, Verdict};

use family::{Family, families};
use oracle::Oracle;
use random::{Shape, history};

/// Cases for each of the families, of which at least [`JUDGED`] can be read.
const CASES: u64 = 25_000;

/// At least so many of each family are judged: more than a hundred thousand in all.
const JUDGED: u64 = 15_000;

/// One family of random histories judged by all three.
fn check_family<M: Model>(family: &Family<M>) {
    let (mut good, mut bad, mut by_stateright) = (0, 0, 0);
    let mut by_engine = BTreeMap::new();
    for seed in 0..CASES {
        let shape = Shape::of(seed);
        let recording = history(family, seed, &shape);
        let options = Options {
            model: Some(family.model),
            initial: Some(family.initial_value.clone().into()),
            nil_read: nil_read_of(seed),
            failed_cas: family.failed_cas,
            ..Options::default()
        };
        // A distorted answer may be one that no recorder writes.
        let Ok(report) = check(&recording, &options) else {
            continue;
        };
        if let Some(partition) = report.partitions.first() {
            *by_engine.entry(partition.engine).or_insert(0) += 1;
        }
        let repeat =
            || format!("family {}, seed {seed}, {shape:?}:\n{}", family.name, describe(&recording));
        let oracle = oracle_of(family, &recording, options.nil_read);
        let expected = oracle.is_linearizable();
        match &report.verdict {
            Verdict::Linearizable => {
                good += 1;
                assert!(expected, "a false \"linearizable\": {}", repeat());
                assert!(oracle.is_answered(), "nothing was answered: {}", repeat());
            }
            Verdict::Violation { witness } => {
                bad += 1;
                assert!(!expected, "a false alarm: {}", repeat());
                assert!(witness.shortest, "the prefix was not narrowed down: {}", repeat());
                let line = witness.end.completed_line;
                assert_eq!(
                    line,
                    oracle.shortest_bad_prefix(),
                    "the shortest bad prefix: {}",
                    repeat()
                );
            }
            Verdict::Unknown { why } => {
                let expected = match recording.events.is_empty() {
                    true => Unknown::Empty,
                    false => Unknown::NothingAnswered,
                };
                assert!(*why == expected && !oracle.is_answered(), "{why:?}: {}", repeat());
            }
        }
        if family.is_deterministic
            && let Some(verdict) = oracle.ask_stateright()
        {
            by_stateright += 1;
            assert_eq!(verdict, expected, "stateright thinks otherwise: {}", repeat());
        }
    }
    let judged = good + bad;
    println!(
        "{}: {judged} judged, {good} linearizable, {bad} not; {by_stateright} also by stateright; {by_engine:?}",
        family.name
    );
    assert!(judged >= JUDGED, "{}: too few histories could be read: {judged}", family.name);
    assert!(
        good.min(bad) > JUDGED / 20,
        "{}: the histories are one-sided: {good} good, {bad} bad",
        family.name
    );
    let is_asked = !family.is_deterministic || by_stateright > JUDGED / 10;
    assert!(is_asked, "{}: stateright judged only {by_stateright}", family.name);
}

#[test]
fn no_facet_refutes_what_is_linearizable() {
    let family = family::ledger("facets of a book");
    let (mut refuted, mut violations) = (0, 0);
    for seed in 0..CASES {
        let shape = Shape::of(seed);
        let recording = history(&family, seed, &shape);
        let Ok(operations) = Pairing::of(&recording) else { continue };
        let options = Options::default();
        let deadline = Instant::now() + options.time_limit;
        let case =
            Case { recording: &recording, operations: &operations, options: &options, deadline };
        let subject = Subject { initial: &|_| family.initial.clone(), read: &ledger::read };
        let Ok(partitions) = split(&case, &subject) else { continue };
        let budget = Budget { deadline, memory: options.memory_limit };
        let found = Book::refute(&partitions[0].entries, budget);
        let is_linearizable = oracle_of(&family, &recording, options.nil_read).is_linearizable();
        violations += u64::from(!is_linearizable);
        refuted += u64::from(found.is_some());
        assert!(
            !(is_linearizable && found.is_some()),
            "a false alarm: seed {seed}, {shape:?}:\n{}",
            describe(&recording)
        );
    }
    println!("facets refute {refuted} of {violations} violations");
    assert!(refuted * 4 > violations, "facets refute only {refuted} of {violations} violations");
}

/// Recorders that keep no value of a nil read are among them.
fn nil_read_of(seed: u64) -> NilRead {
    if seed.is_multiple_of(4) { NilRead::Unknown } else { NilRead::Absent }
}

/// Several keys in one recording, their lines mixed: each is judged as if it stood alone.
#[test]
fn keys_are_judged_apart() {
    let family = family::register_with_cas("keys");
    let options = Options { model: Some(family.model), ..Options::default() };
    let (mut good, mut bad) = (0, 0);
    for seed in 0..3_000 {
        let parts: Vec<Recording> =
            (0..3).map(|part| history(&family, seed * 3 + part, &Shape::of(seed))).collect();
        let mut events = Vec::new();
        for (part, recording) in parts.iter().enumerate() {
            for Recorded { line, event, .. } in &recording.events {
                let mut event = event.clone();
                event.key = Some(format!("k{part}").into());
                if let Process::Client(process) = &mut event.process {
                    *process += part as u64 * 1_000;
                }
                events.push((*line, part, event));
            }
        }
        events.sort_by_key(|(line, part, _)| (*line, *part));
        let place = |part: usize, line: usize| {
            let is_it = |(its_line, its_part, _): &_| (*its_line, *its_part) == (line, part);
            1 + events.iter().position(is_it).expect("every line is there")
        };
        let (mut is_readable, mut expected) = (true, None);
        for (part, recording) in parts.iter().enumerate() {
            if check(recording, &options).is_err() {
                is_readable = false;
                continue;
            }
            let line = oracle_of(&family, recording, options.nil_read).shortest_bad_prefix();
            let line = line.map(|line| place(part, line));
            expected = expected.into_iter().chain(line).min();
        }
        if !is_readable {
            continue;
        }
        let events = events.into_iter().enumerate();
        let events =
            events.map(|(index, (_, _, event))| Recorded { line: index + 1, column: 1, event });
        let whole = Recording { events: events.collect(), ..parts[0].clone() };
        let report = check(&whole, &options).expect("its parts can be read");
        let found = match &report.verdict {
            Verdict::Violation { witness } => witness.end.completed_line,
            Verdict::Linearizable => None,
            Verdict::Unknown { .. } if report.counts.ok == 0 => None,
            Verdict::Unknown { why } => panic!("{why:?}: seed {seed}:\n{}", describe(&whole)),
        };
        assert_eq!(found, expected, "seed {seed}:\n{}", describe(&whole));
        match found {
            Some(_) => bad += 1,
            None => good += 1,
        }
    }
    assert!(good > 200 && bad > 200, "{good} good, {bad} bad");
}

/// A list of trades may hold as many as fit. stateright's tester, to which an answer is right only
/// if it is the model's own, is not asked then.
#[test]
fn a_list_of_trades_that_stops_early_is_not_for_stateright() {
    let family = family::ledger("book of a ledger");
    let seed = 7_000_000_006_010;
    let recording = history(&family, seed, &Shape::of(seed));
    let oracle = oracle_of(&family, &recording, nil_read_of(seed));
    assert!(oracle.is_linearizable(), "{}", describe(&recording));
    assert_eq!(oracle.ask_stateright(), None, "{}", describe(&recording));
}

fn oracle_of<M: Model>(family: &Family<M>, recording: &Recording, nil_read: NilRead) -> Oracle<M> {
    let operations = operations(recording).expect("the generator pairs its events");
    let reader = Reader { nil_read, failed_cas: family.failed_cas };
    let read = |operation: &Operation| {
        let reading: Reading<M> =
            (family.read)(&operation.as_ref(), &reader).expect("the checker could read it");
        (operation.clone(), reading)
    };
    Oracle::new(family.initial.clone(), operations.list.iter().map(read).collect())
}

fn describe(recording: &Recording) -> String {
    let mut text = Vec::new();
    for recorded in &recording.events {
        crate::history::write_event(&mut text, &recorded.event)
            .expect("writing to memory succeeds");
    }
    String::from_utf8_lossy(&text).into_owned()
}

families! {
    register: "register",
    register_with_cas: "register with cas",
    unique_register: "register of unique values",
    register_with_observed_cas: "register with failed cas observed",
    key: "key of a store",
    unique_key: "key of a store of unique values",
    mutex: "lock",
    multi_register: "several registers",
    lock: "lock with owners",
    lock_with_tokens: "lock with fencing tokens",
    set: "set",
    fifo_queue: "first-in first-out queue",
    stack: "stack",
    priority_queue: "priority queue",
    priority_queue_with_ties: "priority queue whose elements have equal priorities",
    counter: "counter",
    append_list: "list that only grows",
    ledger: "book of a ledger",
}
