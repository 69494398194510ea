//! The generator's promises.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use super::*;
use crate::seed::Seed;

fn generator(seed: u64) -> Box<dyn Generator> {
    Register::new(&WorkloadPlan::default()).generator(Seed::new(seed).generator())
}

/// Applies an operation to registers that nobody else writes.
fn apply(registers: &mut BTreeMap<String, Value>, invocation: &Invocation) -> Value {
    let register = registers.entry(invocation.key.clone()).or_default();
    match invocation.f {
        "read" => register.clone(),
        "write" => {
            *register = invocation.value.clone();
            register.clone()
        }
        _ if invocation.value[0] == *register => {
            *register = invocation.value[1].clone();
            invocation.value.clone()
        }
        _ => json!({"mismatch": register.clone()}),
    }
}

fn run(seed: u64, count: usize) -> Vec<(Invocation, Value)> {
    let mut generator = generator(seed);
    let mut registers = BTreeMap::new();
    let mut operations = Vec::new();
    for _ in 0..count {
        let invocation = generator.next();
        let value = apply(&mut registers, &invocation);
        generator.observe(&invocation, &Outcome::Ok { value: value.clone(), position: None });
        operations.push((invocation, value));
    }
    operations
}

#[test]
fn the_same_seed_asks_the_same() {
    assert_eq!(run(1, 500), run(1, 500));
    assert_ne!(run(1, 500), run(2, 500));
}

#[test]
fn no_value_is_written_twice() {
    let mut written = BTreeSet::new();
    for (invocation, _) in run(3, 5000) {
        let value = match invocation.f {
            "write" => &invocation.value,
            "cas" => &invocation.value[1],
            _ => continue,
        };
        assert!(written.insert(value.as_u64().unwrap()), "{invocation:?}");
    }
}

#[test]
fn all_kinds_occur_and_a_good_share_of_the_swaps_succeed_but_not_all() {
    let operations = run(4, 5000);
    let count = |f: &str| operations.iter().filter(|(invocation, _)| invocation.f == f).count();
    for (f, share) in [("read", 40), ("write", 30), ("cas", 30)] {
        let percent = count(f) * 100 / operations.len();
        assert!(percent.abs_diff(share) < 5, "{f}: {percent} %");
    }
    let swaps =
        operations.iter().filter(|(operation, value)| operation.f == "cas" && value.is_array());
    let percent = swaps.count() * 100 / count("cas");
    assert!((60..98).contains(&percent), "{percent} % of the swaps succeed");
}
