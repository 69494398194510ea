//! Audits locks that know their owner and number their acquisitions with fencing tokens.
//!
//! The rules, by the names that witnesses carry:
//!
//! - **shared**: while one owner certainly holds the lock, nobody else acquires it. It is certainly
//!   held from the answer to the acquisition until somebody asks for its release by its owner; a
//!   release that was already under way when it was acquired counts, too. A release of unknown outcome
//!   ends one hold at most, whichever it may be.
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
    /// Up to when, releases of unknown outcome apart; none if nobody asked for another.
    until: Option<u64>,
}

/// The releases by one owner that may have taken effect.
#[derive(Default)]
struct Releases<'a> {
    /// Those that were answered: when they were over and, at the latest, asked for; in that order.
    answered: Vec<(u64, u64)>,
    /// Those of unknown outcome, which may take effect at any later time.
    unknown: Vec<&'a Operation>,
}

impl Releases<'_> {
    /// Sorts them, and lets each that was answered stand for all that were over later: of these, when
    /// the first was asked for.
    fn sort(&mut self) {
        self.unknown.sort_by_key(|release| release.invoked.instant);
        self.answered.sort_unstable();
        let mut first = u64::MAX;
        for (_, asked) in self.answered.iter_mut().rev() {
            first = first.min(*asked);
            *asked = first;
        }
    }

    /// Returns when the first was asked for that was not over at an instant.
    fn first_after(&self, instant: u64) -> Option<u64> {
        let place = self.answered.partition_point(|(over, _)| *over < instant);
        self.answered.get(place).map(|(_, asked)| *asked)
    }
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
    let mut releases: BTreeMap<&str, Releases<'_>> = BTreeMap::new();
    for &operation in operations.iter().filter(|operation| operation.f == "release") {
        match (&operation.outcome, answered(operation)) {
            (Outcome::Ok(answer), Some(over)) if answer.as_bool() != Some(false) => {
                let own = releases.entry(owner(operation)?).or_default();
                own.answered.push((over, operation.invoked.instant));
            }
            (Outcome::Info, _) => {
                releases.entry(owner(operation)?).or_default().unknown.push(operation);
            }
            _ => {}
        }
    }
    releases.values_mut().for_each(Releases::sort);
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
        let own = releases.get(owner);
        let until = own.and_then(|own| own.first_after(operation.invoked.instant));
        holds.push(Hold { operation, owner, token, from, until });
    }
    check_tokens(key, &mut holds)?;
    check_shared(key, &mut holds, &releases)?;
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
///
/// Each hold that lasts beyond the next acquisition must have been ended by a release of unknown outcome
/// that was asked for by then, and each of these ends one hold: there must be enough of them, up to
/// every instant.
fn check_shared(
    key: &str,
    holds: &mut [Hold<'_>],
    releases: &BTreeMap<&str, Releases<'_>>,
) -> Result<(), Fault> {
    let begun = |hold: &Hold<'_>| hold.operation.invoked.instant;
    holds.sort_by_key(begun);
    // Of the holds that were asked for from each on, the one that was the first to be certain.
    let mut next: Vec<&Hold<'_>> = Vec::with_capacity(holds.len());
    for hold in holds.iter().rev() {
        let best = next.last().filter(|best| best.from <= hold.from);
        next.push(best.copied().unwrap_or(hold));
    }
    next.reverse();
    let mut overlaps: BTreeMap<&str, Vec<(&Hold<'_>, &Hold<'_>)>> = BTreeMap::new();
    for first in holds.iter() {
        let after = holds.partition_point(|hold| begun(hold) <= first.from);
        let Some(&second) = next.get(after) else { continue };
        if first.until.is_none_or(|until| until > second.from) {
            overlaps.entry(first.owner).or_default().push((first, second));
        }
    }
    for (owner, mut overlaps) in overlaps {
        overlaps.sort_by_key(|(_, second)| second.from);
        let unknown = releases.get(owner).map_or(&[][..], |own| &own.unknown);
        for (place, (first, second)) in overlaps.iter().enumerate() {
            let asked = unknown.partition_point(|it| it.invoked.instant <= second.from);
            if place < asked {
                continue;
            }
            let mut explanation = format!(
                "{} acquired it under the token {} while {owner} held it under {}",
                second.owner, second.token, first.token
            );
            if asked > 0 {
                explanation +=
                    &format!("; {asked} releases of unknown outcome may have ended other holds");
            }
            let mut proof = vec![first.operation, second.operation];
            proof.extend(&unknown[..asked]);
            let others = overlaps[..place].iter();
            proof.extend(others.flat_map(|(first, second)| [first.operation, second.operation]));
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
    fn a_release_of_unknown_outcome_ends_one_hold_at_most() {
        let owner = || json!({"owner": "a"});
        let mut script = Script::default();
        script.info(3, "release", owner()).acquire("a", 1).acquire("b", 2).release("b");
        script.check_passes(check);
        // Another one that is answered ends another.
        script.acquire("a", 3).release("a").acquire("c", 4).release("c");
        script.check_passes(check);
        script.acquire("a", 5).acquire("c", 6);
        script.check_breaks(check, "shared");
        // One that is asked for too late ends nothing, even if there was one before.
        let mut script = Script::default();
        script.acquire("a", 1).acquire("b", 2).info(3, "release", owner());
        script.check_breaks(check, "shared");
        let mut script = Script::default();
        script.info(3, "release", owner()).acquire("a", 1).acquire("b", 2).release("b");
        script.acquire("a", 3).acquire("c", 4).info(4, "release", owner());
        script.check_breaks(check, "shared");
        // Two of them end two.
        let mut script = Script::default();
        script.info(3, "release", owner()).info(4, "release", owner()).acquire("a", 1);
        script.acquire("b", 2).release("b").acquire("a", 3).acquire("c", 4);
        script.check_passes(check);
    }

    #[test]
    fn the_release_that_was_asked_for_first_counts() {
        // Of two that were under way when it was acquired, the longer one may end it at once.
        let mut script = Script::default();
        script.begin(3, "release", "a").begin(4, "acquire", "b").begin(5, "acquire", "a");
        script.event(5, "ok", "acquire", json!({"token": 1}));
        script.event(4, "ok", "acquire", json!({"token": 2}));
        script.begin(6, "release", "a").event(6, "ok", "release", json!(false));
        script.release("a").event(3, "ok", "release", json!(true));
        script.check_passes(check);
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
