//! Audits locks that know their owner and number their acquisitions with fencing tokens.
//!
//! The rules, by the names that witnesses carry:
//!
//! - **shared**: while one owner certainly holds the lock, nobody else acquires it. It is certainly
//!   held from the answer to the acquisition until somebody asks for its release by its owner; a
//!   release that was already under way when it was acquired counts, too.
//! - **token**: tokens grow from each acquisition to those that begin after it, and none is given
//!   twice.

use std::collections::BTreeMap;

use checker::history::{Operation, Operations, Outcome, Value};
use serde_json::json;

use super::{Audit, Breach, Fault, answered, each_object, precedes};

/// An acquisition that was answered with a token.
struct Hold<'a> {
    operation: &'a Operation,
    owner: &'a str,
    token: u64,
    /// From when it was certainly held.
    from: u64,
    /// Up to when; none if nobody asked for a release.
    until: Option<u64>,
}

/// Audits every lock of a history.
pub fn check(operations: &Operations) -> Audit {
    let mut acquired = 0;
    let finding = each_object(operations, |key, operations| {
        acquired += check_object(key, operations)?;
        Ok(None)
    });
    Audit {
        name: "lock",
        finding,
        summary: format!("acquired {acquired} times, by one owner at a time, under growing tokens"),
        measures: json!({"acquired": acquired}),
    }
}

fn owner(operation: &Operation) -> Result<&str, Fault> {
    let owner = operation.input.get("owner").and_then(Value::as_str);
    owner.ok_or_else(|| Fault::shape(operation))
}

/// Audits one lock; returns how often it was acquired.
fn check_object(key: &str, operations: &[&Operation]) -> Result<u64, Fault> {
    // By owner, the releases that may have taken effect: when asked for, and when over for certain.
    let mut releases: BTreeMap<&str, Vec<(u64, Option<u64>)>> = BTreeMap::new();
    for &operation in operations.iter().filter(|operation| operation.f == "release") {
        let is_effect = match &operation.outcome {
            Outcome::Ok(answer) => answer.as_bool() != Some(false),
            Outcome::Info => true,
            Outcome::Fail(_) => false,
        };
        if is_effect {
            let span = (operation.invoked.instant, answered(operation));
            releases.entry(owner(operation)?).or_default().push(span);
        }
    }
    let mut holds = Vec::new();
    for &operation in operations.iter().filter(|operation| operation.f == "acquire") {
        let (Outcome::Ok(answer), Some(from)) = (&operation.outcome, answered(operation)) else {
            continue;
        };
        if answer.as_bool() == Some(false) {
            continue;
        }
        let token = answer.get("token").and_then(Value::as_u64);
        let token = token.ok_or_else(|| Fault::shape(operation))?;
        let owner = owner(operation)?;
        let begun = operation.invoked.instant;
        let own = releases.get(owner).into_iter().flatten();
        let may_end_it = own.filter(|(_, over)| over.is_none_or(|over| over >= begun));
        let until = may_end_it.map(|(asked, _)| *asked).min();
        holds.push(Hold { operation, owner, token, from, until });
    }
    check_tokens(key, &mut holds)?;
    check_shared(key, &mut holds)?;
    Ok(holds.len() as u64)
}

/// Checks tokens in the order in which the acquisitions were answered.
fn check_tokens(key: &str, holds: &mut [Hold<'_>]) -> Result<(), Fault> {
    holds.sort_by_key(|hold| hold.token);
    let wrong = |explanation: String, a: &Hold<'_>, b: &Hold<'_>| -> Result<(), Fault> {
        let proof = [a.operation, b.operation];
        Err(Breach::new("token", key, explanation, &proof).into())
    };
    // Of the acquisitions with a lower token, the one that began last.
    let mut latest: Option<&Hold<'_>> = None;
    let mut before: Option<&Hold<'_>> = None;
    for hold in holds.iter() {
        if let Some(before) = before.filter(|before| before.token == hold.token) {
            return wrong(format!("the token {} was given twice", hold.token), before, hold);
        }
        if let Some(latest) = latest.filter(|latest| precedes(hold.operation, latest.operation)) {
            let explanation =
                format!("the token {} was given out after {}", latest.token, hold.token);
            return wrong(explanation, hold, latest);
        }
        let begun = |hold: &Hold<'_>| hold.operation.invoked.instant;
        if latest.is_none_or(|latest| begun(latest) < begun(hold)) {
            latest = Some(hold);
        }
        before = Some(hold);
    }
    Ok(())
}

/// Checks that no acquisition lies within the time in which another owner certainly held the lock.
fn check_shared(key: &str, holds: &mut [Hold<'_>]) -> Result<(), Fault> {
    holds.sort_by_key(|hold| hold.from);
    // Of the holds that began before the present one was asked for, the one that lasts longest.
    let lasts = |hold: &Hold<'_>| hold.until.unwrap_or(u64::MAX);
    let mut longest: Vec<usize> = Vec::with_capacity(holds.len());
    for (place, hold) in holds.iter().enumerate() {
        let best = longest.last().copied().unwrap_or(place);
        longest.push(if lasts(&holds[best]) >= lasts(hold) { best } else { place });
    }
    for second in holds.iter() {
        let asked = second.operation.invoked.instant;
        let before = holds.partition_point(|first| first.from < asked);
        let Some(first) = before.checked_sub(1).map(|last| &holds[longest[last]]) else {
            continue;
        };
        if lasts(first) > second.from {
            let explanation = format!(
                "{} acquired it under the token {} while {} held it under {}",
                second.owner, second.token, first.owner, first.token
            );
            let proof = [first.operation, second.operation];
            return Err(Breach::new("shared", key, explanation, &proof).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::script::Script;
    use super::check;

    impl Script {
        fn acquire(&mut self, owner: &str, token: u64) -> &mut Self {
            self.ok(1, "acquire", json!({"owner": owner}), json!({"token": token}))
        }

        fn release(&mut self, owner: &str) -> &mut Self {
            self.ok(2, "release", json!({"owner": owner}), json!(true))
        }

        fn begin(&mut self, process: u64, f: &str, owner: &str) -> &mut Self {
            self.event(process, "invoke", f, json!({"owner": owner}))
        }
    }

    #[test]
    fn an_honest_lock_passes() {
        let mut script = Script::default();
        script.acquire("a", 1).ok(2, "acquire", json!({"owner": "b"}), json!(false));
        script.ok(2, "release", json!({"owner": "b"}), json!(false)).release("a").acquire("b", 5);
        // A release of which nobody knows may have been one.
        script.info(3, "release", json!({"owner": "b"})).acquire("a", 6).release("a");
        // One that is under way when the lock is acquired may follow at once.
        script.begin(4, "release", "b").acquire("b", 7).acquire("a", 8);
        script.event(4, "ok", "release", json!(true));
        // Who asks while another holds it may have it once that one has let go.
        script.begin(5, "acquire", "c").release("a");
        script.event(5, "ok", "acquire", json!({"token": 9}));
        assert_eq!(script.check_passes(check).measures["acquired"], 6);
    }

    #[test]
    fn nobody_acquires_what_another_holds() {
        let mut script = Script::default();
        script.acquire("a", 1).acquire("b", 2);
        script.check_breaks(check, "shared");
        // Not after a release that was refused, failed or was somebody else's.
        for (kind, owner, answer) in
            [("ok", "a", json!(false)), ("fail", "a", Value::Null), ("ok", "b", json!(true))]
        {
            let mut script = Script::default();
            script.acquire("a", 1).begin(2, "release", owner).event(2, kind, "release", answer);
            script.acquire("b", 2).release("a");
            script.check_breaks(check, "shared");
        }
    }

    #[test]
    fn a_release_that_was_over_before_ends_nothing() {
        let mut script = Script::default();
        script.release("a").acquire("a", 1).acquire("b", 2);
        script.check_breaks(check, "shared");
    }

    #[test]
    fn tokens_grow() {
        let mut script = Script::default();
        script.acquire("a", 2).release("a").acquire("b", 1).release("b");
        script.check_breaks(check, "token");
        let mut script = Script::default();
        script.acquire("a", 1).release("a").acquire("b", 1).release("b");
        script.check_breaks(check, "token");
    }

    #[test]
    fn an_acquisition_without_a_token_is_a_doubt() {
        let mut script = Script::default();
        script.ok(1, "acquire", json!({"owner": "a"}), json!(true));
        script.check_unknown(check);
    }
}
