//! Each rule against histories that keep it and histories that break it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use checker::history::{Operations, operations, read_bytes};
use rand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::audit::Finding;

/// A history in the making: times are line numbers.
#[derive(Default)]
struct Script {
    text: String,
    lines: usize,
}

impl Script {
    /// A book `b` of two accounts with 100 in cash and 10 shares each.
    fn opened() -> Self {
        let mut script = Self::default();
        for account in ["a", "z"] {
            let open = json!({"account": account, "cash": 100, "holdings": {"X": 10}});
            script.ok(0, "open", open, json!({"cash": 100, "holdings": {"X": 10}}));
        }
        script
    }

    fn event(&mut self, process: u64, kind: &str, f: &str, value: Value) -> &mut Self {
        self.lines += 1;
        let event = json!({"index": self.lines - 1, "time": self.lines * 10, "process": process,
            "type": kind, "f": f, "key": "b", "value": value});
        self.text += &format!("{event}\n");
        self
    }

    fn ok(&mut self, process: u64, f: &str, input: Value, output: Value) -> &mut Self {
        self.event(process, "invoke", f, input);
        self.event(process, "ok", f, output)
    }

    fn info(&mut self, process: u64, f: &str, input: Value) -> &mut Self {
        self.event(process, "invoke", f, input);
        self.event(process, "info", f, Value::Null)
    }

    /// A read of the book that finds this cash and these shares, and this number of trades.
    fn book(&mut self, process: u64, holds: [(u64, u64); 2], trades: u64) -> &mut Self {
        self.ok(process, "book", Value::Null, book(holds, trades))
    }

    fn trade(&mut self, process: u64, quantity: u64, number: u64) -> &mut Self {
        self.ok(process, "trade", terms(quantity), json!({"trade": number}))
    }

    /// A read of the history from 1 on that lists trades of these quantities.
    fn history(&mut self, process: u64, quantities: &[u64]) -> &mut Self {
        self.page(process, 1, quantities, quantities.len() as u64)
    }

    fn page(&mut self, process: u64, from: u64, quantities: &[u64], total: u64) -> &mut Self {
        let trades: Vec<Value> = (from..).zip(quantities).map(|(n, q)| entry(n, *q)).collect();
        let input = json!({"from": from, "limit": 0});
        self.ok(process, "history", input, json!({"trades": trades, "total": total}))
    }

    fn operations(&self) -> Operations {
        operations(&read_bytes("script", self.text.as_bytes(), None).unwrap()).unwrap()
    }
}

fn book([a, z]: [(u64, u64); 2], trades: u64) -> Value {
    let account = |(cash, shares): (u64, u64)| json!({"cash": cash, "holdings": {"X": shares}});
    json!({"accounts": {"a": account(a), "z": account(z)}, "trades": trades})
}

fn terms(quantity: u64) -> Value {
    json!({"buyer": "a", "seller": "z", "symbol": "X", "quantity": quantity, "price": 1})
}

fn entry(number: u64, quantity: u64) -> Value {
    let mut entry = terms(quantity);
    entry["trade"] = json!(number);
    entry
}

#[track_caller]
fn check_passes(script: &Script) {
    let finding = check(&script.operations()).finding;
    assert_eq!(finding, Finding::Pass, "{}", script.text);
}

#[track_caller]
fn check_breaks(script: &Script, rule: Rule) -> Box<Breach> {
    match check(&script.operations()).finding {
        Finding::Violation { breach } if breach.rule == <&str>::from(rule) => {
            assert!(!breach.lines.is_empty());
            breach
        }
        other => panic!("expected a breach of {rule:?}, not {other:?}:\n{}", script.text),
    }
}

const EVEN: [(u64, u64); 2] = [(100, 10), (100, 10)];

#[test]
fn an_honest_ledger_passes() {
    let mut script = Script::opened();
    script.book(0, EVEN, 0);
    script.trade(1, 3, 1).book(0, [(97, 13), (103, 7)], 1);
    script.trade(1, 2, 2).history(0, &[3, 2]);
    script.ok(0, "trade", terms(50), json!({"rejected": "insufficient-shares"}));
    script.ok(0, "deposit", json!({"account": "a", "amount": 5}), json!({"cash": 100}));
    script.book(0, [(100, 15), (105, 5)], 2).history(2, &[3, 2]);
    check_passes(&script);
}

#[test]
fn cash_comes_from_deposits_alone() {
    let mut script = Script::opened();
    script.book(0, [(100, 10), (101, 10)], 0);
    check_breaks(&script, Rule::Cash);

    let deposit = || json!({"account": "a", "amount": 5});
    let mut script = Script::opened();
    script.ok(0, "deposit", deposit(), json!({"cash": 105})).book(1, EVEN, 0);
    check_breaks(&script, Rule::Cash);

    let mut script = Script::opened();
    script.ok(0, "deposit", deposit(), json!({"rejected": "unknown-account"}));
    script.book(1, [(105, 10), (100, 10)], 0);
    check_breaks(&script, Rule::Cash);

    let mut script = Script::opened();
    script.book(1, [(105, 10), (100, 10)], 0);
    script.ok(0, "deposit", deposit(), json!({"cash": 105}));
    check_breaks(&script, Rule::Cash);
}

#[test]
fn a_deposit_of_unknown_outcome_counts_or_not_but_not_half() {
    for (cash, is_possible) in [(100, true), (105, true), (103, false), (110, false), (95, false)] {
        let mut script = Script::opened();
        script.info(7, "deposit", json!({"account": "a", "amount": 5}));
        script.book(0, [(cash, 10), (100, 10)], 0);
        match is_possible {
            true => check_passes(&script),
            false => drop(check_breaks(&script, Rule::Cash)),
        }
    }
}

#[test]
fn a_read_during_a_withdrawal_may_see_either() {
    for (cash, is_possible) in [(100, true), (60, true), (80, false)] {
        let mut script = Script::opened();
        script.event(1, "invoke", "withdraw", json!({"account": "a", "amount": 40}));
        script.event(2, "invoke", "book", Value::Null);
        script.event(1, "ok", "withdraw", json!({"cash": 60, "holdings": {"X": 10}}));
        script.event(2, "ok", "book", book([(cash, 10), (100, 10)], 0));
        match is_possible {
            true => check_passes(&script),
            false => drop(check_breaks(&script, Rule::Cash)),
        }
    }
}

#[test]
fn many_unknown_deposits_leave_their_bounds() {
    for (cash, is_possible) in [(0, true), (65_535, true), (65_536, false)] {
        let mut script = Script::opened();
        for power in 0..16 {
            let amount = 1u64 << power;
            script.info(10 + power, "deposit", json!({"account": "a", "amount": amount}));
        }
        script.book(0, [(100 + cash, 10), (100, 10)], 0);
        match is_possible {
            true => check_passes(&script),
            false => drop(check_breaks(&script, Rule::Cash)),
        }
    }
}

/// What a read may see of many flows is what it is to somebody who goes through all of them.
#[test]
fn many_flows_come_to_what_each_of_them_adds() {
    let mut random = crate::seed::Seed::new(7).generator();
    let mut tried = 0;
    for _ in 0..300 {
        let mut script = Script::opened();
        let mut open: Vec<(u64, &str, u64)> = Vec::new();
        for process in 0..30 {
            let amount = random.random_range(1..50);
            let f = ["deposit", "withdraw", "book"][random.random_range(0..3)];
            let input =
                if f == "book" { Value::Null } else { json!({"account": "a", "amount": amount}) };
            script.event(process, "invoke", f, input);
            open.push((process, f, amount));
            while random.random_range(0..10) < 3 && !open.is_empty() {
                let (process, f, _) = open.swap_remove(random.random_range(0..open.len()));
                let kind =
                    if f != "book" && random.random_range(0..6) == 0 { "info" } else { "ok" };
                script.event(process, kind, f, if f == "book" { book(EVEN, 0) } else { json!({}) });
            }
        }
        let operations = script.operations();
        let flows = || {
            operations.list.iter().filter_map(|operation| {
                let amount = i128::from(operation.input.get("amount")?.as_u64()?);
                let sign = if operation.f.as_str() == "deposit" { 1 } else { -1 };
                Some((operation, sign * amount))
            })
        };
        let all = super::wealth::Flows::new(flows().collect());
        let is_book = |operation: &&Operation| operation.f.as_str() == "book";
        for read in operations.list.iter().filter(is_book) {
            if answer(read).is_none() {
                continue;
            }
            let mut sums = super::wealth::Sums::zero();
            for (flow, amount) in flows() {
                if precedes(flow, read) {
                    sums.add_one_of([amount]);
                } else if may_be_seen(flow, read) {
                    sums.add_one_of([0, amount]);
                }
            }
            tried += 1;
            assert_eq!(all.seen_by(read), sums, "line {}:\n{}", read.invoked.line, script.text);
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn shares_only_change_hands() {
    let mut script = Script::opened();
    script.trade(0, 3, 1).book(0, [(97, 13), (103, 8)], 1);
    check_breaks(&script, Rule::Shares);
}

#[test]
fn accounts_stay_and_come_from_opens() {
    let open = || json!({"account": "m", "cash": 1, "holdings": {}});
    let opened = || json!({"cash": 1, "holdings": {}});
    let mut script = Script::opened();
    script.ok(0, "open", open(), opened()).book(0, EVEN, 0);
    check_breaks(&script, Rule::Accounts);

    let mut script = Script::opened();
    script.ok(0, "open", open(), opened()).ok(0, "open", open(), opened());
    check_breaks(&script, Rule::Accounts);

    let mut with_m = book(EVEN, 0);
    with_m["accounts"]["m"] = opened();
    let mut script = Script::opened();
    script.ok(0, "book", Value::Null, with_m.clone()).ok(0, "open", open(), opened());
    check_breaks(&script, Rule::Accounts);

    // An open of unknown outcome accounts for the account, and for just its cash.
    let mut script = Script::opened();
    script.info(9, "open", open()).book(0, EVEN, 0).ok(0, "book", Value::Null, with_m.clone());
    script.ok(0, "open", open(), json!({"rejected": "account-exists"}));
    check_passes(&script);
    with_m["accounts"]["m"]["cash"] = json!(2);
    script.ok(0, "book", Value::Null, with_m);
    check_breaks(&script, Rule::Cash);
}

#[test]
fn a_number_is_given_once() {
    let mut script = Script::opened();
    script.event(1, "invoke", "trade", terms(1)).event(2, "invoke", "trade", terms(2));
    script.event(1, "ok", "trade", json!({"trade": 1})).event(
        2,
        "ok",
        "trade",
        json!({"trade": 1}),
    );
    check_breaks(&script, Rule::Twice);
}

#[test]
fn a_trade_that_was_asked_for_once_happens_once() {
    let mut script = Script::opened();
    script.trade(0, 3, 1).history(0, &[3]).history(0, &[3, 3]);
    check_breaks(&script, Rule::Count);

    // Room in the count, but no second trade of these terms.
    let mut script = Script::opened();
    script.trade(0, 3, 1).info(8, "trade", terms(4)).history(0, &[3, 3]);
    check_breaks(&script, Rule::Twice);

    let mut script = Script::opened();
    script.info(7, "trade", terms(3)).info(8, "trade", terms(4)).history(0, &[3, 3]);
    check_breaks(&script, Rule::Twice);

    let mut script = Script::opened();
    script.info(7, "trade", terms(3)).info(8, "trade", terms(3)).history(0, &[3, 3]);
    check_passes(&script);

    let mut script = Script::opened();
    script.info(7, "trade", terms(5)).history(0, &[6]);
    check_breaks(&script, Rule::Twice);
}

#[test]
fn unknown_trades_are_shared_out_in_the_order_in_which_they_were_seen() {
    // Number 2 is seen early by a page of its own, number 1 only later.
    let mut script = Script::opened();
    script.info(7, "trade", terms(3)).page(0, 2, &[3], 2);
    check_breaks(&script, Rule::Count);

    let mut script = Script::opened();
    script.info(7, "trade", terms(3)).info(8, "trade", terms(4)).page(0, 2, &[3], 2);
    script.info(9, "trade", terms(3)).page(0, 1, &[4, 3, 3], 3);
    check_passes(&script);
    let mut script = Script::opened();
    script.info(7, "trade", terms(3)).info(8, "trade", terms(4)).page(0, 2, &[3], 2);
    script.info(9, "trade", terms(3)).page(0, 1, &[3, 3, 4], 3);
    check_passes(&script);
}

#[test]
fn an_acknowledged_trade_is_never_lost() {
    let mut script = Script::opened();
    script.trade(0, 3, 1).trade(0, 4, 2).history(0, &[3]);
    check_breaks(&script, Rule::Lost);

    let mut script = Script::opened();
    script.trade(0, 3, 1).history(0, &[4]);
    check_breaks(&script, Rule::Lost);

    let mut script = Script::opened();
    script.trade(0, 3, 1).book(0, EVEN, 0);
    check_breaks(&script, Rule::Lost);
}

#[test]
fn a_read_during_a_trade_may_miss_it() {
    let mut script = Script::opened();
    script.event(1, "invoke", "trade", terms(3)).event(
        2,
        "invoke",
        "history",
        json!({"from": 1, "limit": 0}),
    );
    script.event(1, "ok", "trade", json!({"trade": 1}));
    script.event(2, "ok", "history", json!({"trades": [], "total": 0}));
    script.history(3, &[3]);
    check_passes(&script);
}

#[test]
fn the_history_is_one_list() {
    let from = |from: u64, limit: u64| json!({"from": from, "limit": limit});
    let answers = [
        (from(1, 0), json!({"trades": [entry(1, 1), entry(3, 3)], "total": 3})),
        (from(1, 0), json!({"trades": [entry(1, 1), entry(1, 1)], "total": 3})),
        (from(1, 0), json!({"trades": [entry(2, 2)], "total": 3})),
        (from(1, 0), json!({"trades": [], "total": 3})),
        (from(1, 1), json!({"trades": [entry(1, 1), entry(2, 2)], "total": 3})),
        (from(u64::MAX, 0), json!({"trades": [entry(1, 1)], "total": 3})),
        (from(3, 0), json!({"trades": [entry(3, 3), entry(4, 4)], "total": 3})),
    ];
    for (input, output) in answers {
        let mut script = Script::opened();
        script.trade(0, 1, 1).trade(0, 2, 2).trade(0, 3, 3).ok(0, "history", input, output);
        check_breaks(&script, Rule::History);
    }
    let mut script = Script::opened();
    script.info(7, "trade", terms(1)).info(8, "trade", terms(2)).history(0, &[1]).history(0, &[2]);
    check_breaks(&script, Rule::History);
}

#[test]
fn a_number_comes_after_those_before() {
    let mut script = Script::opened();
    script.info(7, "trade", terms(2)).book(0, EVEN, 1).trade(0, 3, 1);
    check_breaks(&script, Rule::Count);

    let mut script = Script::opened();
    script.trade(0, 3, 2);
    check_breaks(&script, Rule::Count);
}

#[test]
fn what_was_never_read_back_is_unknown() {
    let mut script = Script::opened();
    script.trade(0, 3, 1);
    assert!(matches!(check(&script.operations()).finding, Finding::Unknown { .. }));
    script.page(0, 2, &[], 1);
    assert!(matches!(check(&script.operations()).finding, Finding::Unknown { .. }));
    script.history(0, &[3]);
    check_passes(&script);
}

#[test]
fn strange_values_are_unknown_and_named_by_line() {
    let mut script = Script::opened();
    script.ok(0, "book", Value::Null, json!({"accounts": 7}));
    let Finding::Unknown { why } = check(&script.operations()).finding else { panic!() };
    assert!(why.contains("line 6"), "{why}");
}
