//! The generator's promises.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use super::*;
use crate::seed::Seed;

fn ledger(keys: u64, accounts: u64) -> Ledger {
    Ledger::new(&WorkloadPlan { keys, accounts, ..WorkloadPlan::default() })
}

fn run(seed: u64, count: usize) -> Vec<Invocation> {
    let mut generator = ledger(5, 5).generator(Seed::new(seed).generator());
    (0..count).map(|_| generator.next()).collect()
}

#[test]
fn the_same_seed_asks_the_same() {
    assert_eq!(run(1, 500), run(1, 500));
    assert_ne!(run(1, 500), run(2, 500));
}

#[test]
fn trades_are_the_majority_and_everything_occurs() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for invocation in run(2, 5000) {
        *counts.entry(invocation.f).or_default() += 1;
    }
    assert!(counts["trade"] > 2500, "{counts:?}");
    let workload = ledger(5, 5);
    let asked: Vec<&str> = counts.keys().copied().collect();
    assert!(workload.functions().iter().all(|f| asked.contains(f)), "{counts:?}");
    assert_eq!(workload.functions().len(), asked.len(), "{counts:?}");
}

#[test]
fn the_share_of_reads_can_be_chosen() {
    for (reads, low, high) in [(0, 0, 0), (20, 150, 250), (100, 1_000, 1_000)] {
        let plan = WorkloadPlan { read_percent: Some(reads), ..WorkloadPlan::default() };
        let workload = Ledger::new(&plan);
        let mut generator = workload.generator(Seed::new(1).generator());
        let asked: Vec<&str> = (0..1_000).map(|_| generator.next().f).collect();
        let is_read = |f: &&&str| ["account", "book", "history"].contains(*f);
        let count = asked.iter().filter(is_read).count();
        assert!((low..=high).contains(&count), "{reads} %: {count}");
        let functions = workload.functions();
        assert!(asked.iter().all(|f| functions.contains(f)), "{functions:?}");
        assert_eq!(functions.iter().any(|f| is_read(&f)), reads > 0);
    }
}

#[test]
fn mistakes_are_made_but_few() {
    let trades: Vec<Value> =
        run(3, 5000).into_iter().filter(|at| at.f == "trade").map(|at| at.value).collect();
    let share = |is_wrong: &dyn Fn(&Value) -> bool| {
        let wrong = trades.iter().filter(|trade| is_wrong(trade)).count();
        assert!(wrong > 0 && wrong < trades.len() / 20, "{wrong} of {}", trades.len());
    };
    share(&|trade| trade["quantity"] == 0);
    share(&|trade| trade["buyer"] == trade["seller"]);
    share(&|trade| trade["seller"] == "nobody");
}

#[test]
fn the_set_up_opens_every_account_once_or_finds_it_open() {
    let workload = ledger(2, 3);
    let opens = workload.set_up();
    assert_eq!(opens.len(), 6);
    assert!(opens.iter().all(|open| open.f == "open" && open.value["cash"] == CASH));
    assert!(workload.is_set_up(&json!({"cash": 1, "holdings": {}})));
    assert!(workload.is_set_up(&json!({"rejected": "account-exists"})));
    assert!(!workload.is_set_up(&json!({"rejected": "overflow"})));
}

#[test]
fn the_final_reads_go_through_the_whole_history() {
    let workload = ledger(2, 3);
    let reads = workload.generator(Seed::new(1).generator()).final_reads();
    assert_eq!(reads.len(), 2);
    let book = json!({"accounts": {}, "trades": 3});
    let first = workload.final_read_after(&reads[0], &book).unwrap();
    assert_eq!((first.f, &first.value), ("history", &json!({"from": 1, "limit": 0})));
    assert_eq!(first.key, reads[0].key);
    let page = json!({"trades": [{"trade": 1}, {"trade": 2}], "total": 3});
    let second = workload.final_read_after(&first, &page).unwrap();
    assert_eq!(second.value, json!({"from": 3, "limit": 0}));
    let page = json!({"trades": [{"trade": 3}], "total": 3});
    assert_eq!(workload.final_read_after(&second, &page), None);
    let empty = json!({"trades": [], "total": 0});
    assert_eq!(workload.final_read_after(&first, &empty), None);
}
