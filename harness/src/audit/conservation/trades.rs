//! The trades of a book: numbered from 1, each there once, for good.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use checker::history::Operation;

use super::{Breach, Effect, Fault, Rule, answer, answered, effect, input, output};
use crate::workload::ledger::values::{Book, Number, Page, Range, Terms};

/// A trade that somebody asked for and that was not refused.
struct Asked<'a> {
    operation: &'a Operation,
    terms: Terms,
    /// Its number, if it was acknowledged.
    number: Option<u64>,
}

/// An operation whose answer tells how many trades there are.
struct Counted<'a> {
    operation: &'a Operation,
    /// At least this many when it was answered.
    count: u64,
    /// Whether there were exactly that many at some instant of it.
    is_total: bool,
}

/// What the pages of the history say, all together.
#[derive(Default)]
struct Listed<'a> {
    by_number: BTreeMap<u64, (Terms, &'a Operation)>,
}

/// Checks all that is said of the trades; returns how many acknowledged ones were never listed.
pub(super) fn check(book: &str, operations: &[&Operation]) -> Result<usize, Fault> {
    let mut asked = Vec::new();
    let mut counted = Vec::new();
    for &operation in operations {
        match operation.f.as_str() {
            "trade" if effect(operation) != Effect::None => {
                let terms = input(operation)?;
                let mut number = None;
                if let Some(answer) = answer(operation) {
                    let count = output::<Number>(operation, answer)?.trade;
                    number = Some(count);
                    counted.push(Counted { operation, count, is_total: false });
                }
                asked.push(Asked { operation, terms, number });
            }
            "book" => {
                if let Some(answer) = answer(operation) {
                    let count = output::<Book>(operation, answer)?.trades;
                    counted.push(Counted { operation, count, is_total: true });
                }
            }
            "history" => {
                if let Some(answer) = answer(operation) {
                    let count = output::<Page>(operation, answer)?.total;
                    counted.push(Counted { operation, count, is_total: true });
                }
            }
            _ => {}
        }
    }
    let acknowledged = check_numbers(book, &asked)?;
    let mut listed = Listed::default();
    for &operation in operations.iter().filter(|operation| operation.f == "history") {
        if let Some(answer) = answer(operation) {
            let page = output(operation, answer)?;
            listed.check_page(book, operation, &page, &acknowledged)?;
        }
    }
    check_counts(book, &asked, &mut counted)?;
    check_unacknowledged(book, &asked, &acknowledged, &listed)?;
    let is_unread = |number: &&u64| !listed.by_number.contains_key(number);
    Ok(acknowledged.keys().filter(is_unread).count())
}

/// Checks that no number was given to two trades.
fn check_numbers<'a>(
    book: &str,
    asked: &'a [Asked<'a>],
) -> Result<BTreeMap<u64, &'a Asked<'a>>, Fault> {
    let mut acknowledged: BTreeMap<u64, &Asked<'_>> = BTreeMap::new();
    for trade in asked {
        let Some(number) = trade.number else { continue };
        if let Some(other) = acknowledged.insert(number, trade) {
            let explanation = format!("two trades were acknowledged as number {number}");
            let proof = [other.operation, trade.operation];
            return Err(Breach::new(Rule::Twice, book, explanation, &proof).into());
        }
    }
    Ok(acknowledged)
}

/// Checks that the number of trades never falls from one operation to a later one, and that there
/// are never more than were asked for.
fn check_counts(book: &str, asked: &[Asked<'_>], counted: &mut [Counted<'_>]) -> Result<(), Fault> {
    let completed = |counted: &Counted<'_>| answered(counted.operation);
    counted.sort_by_key(completed);
    // The largest count known when the first so many had been answered, and who knew it.
    let mut known: Vec<usize> = Vec::with_capacity(counted.len());
    for (place, at) in counted.iter().enumerate() {
        let best = known.last().copied().unwrap_or(place);
        known.push(if counted[best].count >= at.count { best } else { place });
    }
    let mut invoked: Vec<u64> = asked.iter().map(|trade| trade.operation.invoked.instant).collect();
    invoked.sort_unstable();
    for at in counted.iter() {
        let begun = at.operation.invoked.instant;
        let before = counted.partition_point(|other| completed(other) < Some(begun));
        if let Some(best) = before.checked_sub(1).map(|last| &counted[known[last]]) {
            // A new trade has a number of its own; a read may find as many as there were.
            let is_fallen =
                if at.is_total { at.count < best.count } else { at.count <= best.count };
            if is_fallen {
                let found = if at.is_total { "are only" } else { "is a new one with number" };
                let explanation = format!(
                    "there were {} trades, and later there {found} {}",
                    best.count, at.count
                );
                let rule = if at.is_total { Rule::Lost } else { Rule::Count };
                let proof = [best.operation, at.operation];
                return Err(Breach::new(rule, book, explanation, &proof).into());
            }
        }
        let possible = invoked.partition_point(|&begun| Some(begun) <= completed(at)) as u64;
        if at.count > possible {
            let explanation =
                format!("there are {} trades, but only {possible} were asked for", at.count);
            return Err(Breach::new(Rule::Count, book, explanation, &[at.operation]).into());
        }
    }
    Ok(())
}

impl<'a> Listed<'a> {
    /// Checks one page in itself, against all other pages and against what was acknowledged.
    fn check_page(
        &mut self,
        book: &str,
        read: &'a Operation,
        page: &Page,
        acknowledged: &BTreeMap<u64, &Asked<'_>>,
    ) -> Result<(), Fault> {
        let Range { from, limit } = input(read)?;
        let from = from.max(1);
        let wrong = |explanation| Breach::new(Rule::History, book, explanation, &[read]).into();
        for (offset, entry) in (0..).zip(&page.trades) {
            if entry.trade.checked_sub(from) != Some(offset) {
                let listed = entry.trade;
                let explanation = format!("trade {listed} is listed {offset} places after {from}");
                return Err(wrong(explanation));
            }
        }
        let length = page.trades.len() as u64;
        if limit > 0 && length > u64::from(limit) {
            return Err(wrong(format!("{length} trades are listed where {limit} were asked for")));
        }
        match page.trades.last() {
            Some(last) if last.trade > page.total => {
                return Err(wrong(format!(
                    "trade {} is listed of only {}",
                    last.trade, page.total
                )));
            }
            None if from <= page.total => {
                return Err(wrong(format!("no trade is listed from {from} on, of {}", page.total)));
            }
            _ => {}
        }
        for entry in &page.trades {
            let number = entry.trade;
            if let Some(trade) = acknowledged.get(&number) {
                let proof = [trade.operation, read];
                if trade.terms != entry.terms {
                    let explanation =
                        format!("trade {number} was acknowledged, but another is listed");
                    return Err(Breach::new(Rule::Lost, book, explanation, &proof).into());
                }
                if !super::may_be_seen(trade.operation, read) {
                    let explanation =
                        format!("trade {number} is listed before anybody asks for it");
                    return Err(Breach::new(Rule::Count, book, explanation, &proof).into());
                }
            }
            match self.by_number.get(&number) {
                Some((terms, other)) if *terms != entry.terms => {
                    let explanation = format!("trade {number} is listed in two versions");
                    return Err(
                        Breach::new(Rule::History, book, explanation, &[other, read]).into()
                    );
                }
                // Only the read that was answered first says how early the trade was there.
                Some((_, other)) if answered(other) <= answered(read) => {}
                _ => {
                    self.by_number.insert(number, (entry.terms.clone(), read));
                }
            }
        }
        Ok(())
    }
}

/// Checks that every listed trade that nobody was told of is one of those with an unknown outcome,
/// and each of those stands there once.
fn check_unacknowledged(
    book: &str,
    asked: &[Asked<'_>],
    acknowledged: &BTreeMap<u64, &Asked<'_>>,
    listed: &Listed<'_>,
) -> Result<(), Fault> {
    let mut unknown: BTreeMap<&Terms, Vec<&Operation>> = BTreeMap::new();
    for trade in asked.iter().filter(|trade| trade.number.is_none()) {
        unknown.entry(&trade.terms).or_default().push(trade.operation);
    }
    let mut extra: Vec<(&u64, &Terms, &Operation)> = Vec::new();
    for (number, (terms, read)) in &listed.by_number {
        if !acknowledged.contains_key(number) {
            extra.push((number, terms, *read));
        }
    }
    // Whoever was seen first takes the one that was asked for first: if that leaves somebody without,
    // so does every other way to share them out.
    extra.sort_by_key(|(_, _, read)| answered(read));
    for candidates in unknown.values_mut() {
        candidates.sort_by_key(|trade| Reverse(trade.invoked.instant));
    }
    for (number, terms, read) in extra {
        let explanation = match unknown.get_mut(terms).and_then(Vec::pop) {
            Some(trade) if super::may_be_seen(trade, read) => continue,
            Some(_) => format!("trade {number} is listed before anybody asks for it"),
            None if asked.iter().any(|trade| trade.terms == *terms) => {
                format!(
                    "trade {number} is listed, but all that were asked for are listed as others"
                )
            }
            None => format!("trade {number} is listed, but nobody asked for it"),
        };
        return Err(Breach::new(Rule::Twice, book, explanation, &[read]).into());
    }
    Ok(())
}
