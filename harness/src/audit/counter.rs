//! Audits counters to which only positive amounts are added.
//!
//! The rules, by the names that witnesses carry:
//!
//! - **lost**: no counter stands below all that was certainly added before somebody asked; and no two
//!   additions leave it at the same number.
//! - **twice**: no counter stands above all that can have been added by then.

use std::collections::BTreeMap;

use checker::history::{Operation, Operations, Outcome, Value};
use serde_json::json;

use super::{Audit, Breach, Fault, answered, each_object};

/// Audits every counter of a history.
pub fn check(operations: &Operations) -> Audit {
    let mut sightings = 0;
    let finding = each_object(operations, |key, operations| {
        sightings += check_object(key, operations)?;
        Ok(None)
    });
    Audit {
        name: "counter",
        finding,
        summary: format!(
            "all {sightings} numbers seen lie between what was and what may have been added"
        ),
        measures: json!({"sightings": sightings}),
    }
}

/// Amounts by an instant, with the sum of all up to each.
struct Sums(Vec<(u64, i128)>);

impl Sums {
    fn new(mut amounts: Vec<(u64, i128)>) -> Self {
        amounts.sort_unstable();
        let mut sum = 0;
        for (_, amount) in &mut amounts {
            sum += *amount;
            *amount = sum;
        }
        Self(amounts)
    }

    /// Returns the sum of the amounts whose instant passes, of which there are none after the first
    /// that does not.
    fn up_to(&self, is_in: impl Fn(u64) -> bool) -> i128 {
        let count = self.0.partition_point(|(instant, _)| is_in(*instant));
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// Audits one counter; returns how many numbers were seen.
fn check_object(key: &str, operations: &[&Operation]) -> Result<u64, Fault> {
    let mut certain = Vec::new();
    let mut possible = Vec::new();
    let mut seen = Vec::new();
    let mut left: BTreeMap<i64, &Operation> = BTreeMap::new();
    for &operation in operations {
        let shape = || Fault::shape(operation);
        let number = |value: Option<&Value>| value.and_then(Value::as_i64).ok_or_else(shape);
        match (operation.f.as_str(), &operation.outcome, answered(operation)) {
            ("add", Outcome::Ok(answer), Some(over)) => {
                let amount = number(Some(&operation.input))?;
                let after = number(answer.get("value"))?;
                certain.push((over, i128::from(amount)));
                possible.push((operation.invoked.instant, i128::from(amount)));
                seen.push((operation, after, over, amount));
                if let Some(other) = left.insert(after, operation) {
                    let explanation = format!("two additions left the counter at {after}");
                    let proof = [other, operation];
                    return Err(Breach::new("lost", key, explanation, &proof).into());
                }
            }
            ("add", Outcome::Info, _) => {
                let amount = number(Some(&operation.input))?;
                possible.push((operation.invoked.instant, i128::from(amount)));
            }
            ("read", Outcome::Ok(answer), Some(over)) => {
                seen.push((operation, number(Some(answer))?, over, 0));
            }
            _ => {}
        }
    }
    let (certain, possible) = (Sums::new(certain), Sums::new(possible));
    for &(operation, stands, over, own) in &seen {
        let begun = operation.invoked.instant;
        let least = certain.up_to(|instant| instant < begun) + i128::from(own);
        let most = possible.up_to(|instant| instant <= over);
        let stands = i128::from(stands);
        let (rule, why) = if stands < least {
            ("lost", format!("at least {least} was added by then"))
        } else if stands > most {
            ("twice", format!("at most {most} can have been added by then"))
        } else {
            continue;
        };
        let explanation = format!("the counter stands at {stands}, but {why}");
        return Err(Breach::new(rule, key, explanation, &[operation]).into());
    }
    Ok(seen.len() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::script::Script;
    use super::check;

    impl Script {
        fn increase(&mut self, amount: i64, after: i64) -> &mut Self {
            self.ok(1, "add", json!(amount), json!({"value": after}))
        }

        fn stands(&mut self, number: i64) -> &mut Self {
            self.ok(2, "read", Value::Null, json!(number))
        }
    }

    #[test]
    fn an_honest_counter_passes() {
        let mut script = Script::default();
        script.stands(0).increase(3, 3).stands(3).info(3, "add", json!(5)).stands(3).stands(8);
        // One under way may be seen or not.
        script.event(1, "invoke", "add", json!(2)).stands(8).stands(10);
        script.event(1, "ok", "add", json!({"value": 10})).fail(4, "add", json!(7)).stands(10);
        assert_eq!(script.check_passes(check).measures["sightings"], 9);
        // So may one that is over before the read is, and was not before it began.
        let mut script = Script::default();
        script.event(2, "invoke", "read", Value::Null).increase(4, 4);
        script.event(2, "ok", "read", json!(0));
        script.check_passes(check);
    }

    #[test]
    fn an_addition_that_is_not_there_is_lost() {
        let mut script = Script::default();
        script.increase(3, 3).stands(2);
        script.check_breaks(check, "lost");
        let mut script = Script::default();
        script.increase(3, 3).increase(3, 3);
        script.check_breaks(check, "lost");
        let mut script = Script::default();
        script.increase(3, 3).increase(4, 6);
        script.check_breaks(check, "lost");
    }

    #[test]
    fn more_than_was_asked_for_was_added_twice() {
        let mut script = Script::default();
        script.increase(3, 6);
        script.check_breaks(check, "twice");
        let mut script = Script::default();
        script.info(1, "add", json!(3)).stands(4);
        script.check_breaks(check, "twice");
        // Neither by what comes later nor by what certainly did not happen.
        let mut script = Script::default();
        script.stands(3).info(1, "add", json!(3));
        script.check_breaks(check, "twice");
        let mut script = Script::default();
        script.fail(1, "add", json!(3)).stands(3);
        script.check_breaks(check, "twice");
    }

    #[test]
    fn another_value_is_no_breach_but_a_doubt() {
        let mut script = Script::default();
        script.ok(1, "read", Value::Null, json!("x"));
        script.check_unknown(check);
    }
}
