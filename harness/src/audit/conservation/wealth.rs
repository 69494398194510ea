//! What the accounts of a book hold together.

use std::collections::{BTreeMap, BTreeSet};

use checker::history::Operation;

use super::{
    Breach, Effect, Fault, Rule, answer, answered, effect, input, may_be_seen, output, precedes,
};
use crate::workload::ledger::values::{Amount, Book, Open};

/// How many different sums are told apart. Beyond it only the bounds are known; the search for
/// an order of the operations sees what this leaves unseen.
const SUMS_MAX: usize = 256;

/// Checks every read of the whole book.
pub(super) fn check(book: &str, operations: &[&Operation]) -> Result<(), Fault> {
    let mut opens: BTreeMap<String, Vec<(&Operation, Open)>> = BTreeMap::new();
    let mut flows: Vec<(&Operation, i128)> = Vec::new();
    for &operation in operations.iter().filter(|operation| effect(operation) != Effect::None) {
        match operation.f.as_str() {
            "open" => {
                let open: Open = input(operation)?;
                opens.entry(open.account.clone()).or_default().push((operation, open));
            }
            "deposit" => {
                flows.push((operation, i128::from(input::<Amount>(operation)?.amount)));
            }
            "withdraw" => {
                flows.push((operation, -i128::from(input::<Amount>(operation)?.amount)));
            }
            _ => {}
        }
    }
    check_opened_once(book, &opens)?;
    let flows = Flows::new(flows);
    for &read in operations.iter().filter(|operation| operation.f == "book") {
        if let Some(seen) = answer(read) {
            let seen: Book = output(read, seen)?;
            check_read(book, read, &seen, &opens, &flows)?;
        }
    }
    Ok(())
}

type Opens<'a> = BTreeMap<String, Vec<(&'a Operation, Open)>>;

fn check_opened_once(book: &str, opens: &Opens<'_>) -> Result<(), Fault> {
    for (account, opens) in opens {
        let certain = opens.iter().filter(|(open, _)| effect(open) == Effect::Certain);
        let certain: Vec<&Operation> = certain.map(|(open, _)| *open).collect();
        if certain.len() > 1 {
            let explanation = format!("account {account} was opened {} times", certain.len());
            return Err(Breach::new(Rule::Accounts, book, explanation, &certain).into());
        }
    }
    Ok(())
}

fn check_read(
    book: &str,
    read: &Operation,
    seen: &Book,
    opens: &Opens<'_>,
    flows: &Flows,
) -> Result<(), Fault> {
    let candidates = check_accounts(book, read, seen, opens)?;
    let mut cash = flows.seen_by(read);
    for opens in &candidates {
        cash.add_one_of(opens.iter().map(|open| i128::from(open.cash)));
    }
    let total: i128 = seen.accounts.values().map(|account| i128::from(account.cash)).sum();
    if !cash.holds(total) {
        let explanation = format!("the accounts hold {total} in cash, which should be {cash}");
        return Err(Breach::new(Rule::Cash, book, explanation, &[read]).into());
    }
    let held = seen.accounts.values().flat_map(|account| account.holdings.keys());
    let brought = candidates.iter().flatten().flat_map(|open| open.holdings.keys());
    let symbols: BTreeSet<&String> = held.chain(brought).collect();
    for symbol in symbols {
        let mut shares = Sums::zero();
        for opens in &candidates {
            let quantity = |open: &&Open| open.holdings.get(symbol).copied().unwrap_or(0);
            shares.add_one_of(opens.iter().map(|open| i128::from(quantity(open))));
        }
        let held = seen.accounts.values().filter_map(|account| account.holdings.get(symbol));
        let total: i128 = held.map(|&quantity| i128::from(quantity)).sum();
        if !shares.holds(total) {
            let explanation =
                format!("the accounts hold {total} shares of {symbol}, which should be {shares}");
            return Err(Breach::new(Rule::Shares, book, explanation, &[read]).into());
        }
    }
    Ok(())
}

/// Checks which accounts a read saw; returns for each the opens of which one must have made it.
fn check_accounts<'a>(
    book: &str,
    read: &Operation,
    seen: &Book,
    opens: &'a Opens<'_>,
) -> Result<Vec<Vec<&'a Open>>, Fault> {
    for (account, opens) in opens {
        let before = opens.iter().find(|(open, _)| precedes(open, read));
        if let Some((open, _)) = before
            && !seen.accounts.contains_key(account)
        {
            let explanation = format!("account {account} was opened, but a later read lacks it");
            return Err(Breach::new(Rule::Accounts, book, explanation, &[open, read]).into());
        }
    }
    let mut candidates = Vec::with_capacity(seen.accounts.len());
    for account in seen.accounts.keys() {
        let opens = opens.get(account).map_or(&[][..], Vec::as_slice);
        // One that was acknowledged is the one: accounts are opened once.
        let certain = opens.iter().find(|(open, _)| effect(open) == Effect::Certain);
        let possible: Vec<&Open> = match certain {
            Some((open, terms)) if may_be_seen(open, read) => vec![terms],
            Some(_) => Vec::new(),
            None => {
                let seen = opens.iter().filter(|(open, _)| may_be_seen(open, read));
                seen.map(|(_, terms)| terms).collect()
            }
        };
        if possible.is_empty() {
            let explanation = format!("account {account} is read before anybody opens it");
            return Err(Breach::new(Rule::Accounts, book, explanation, &[read]).into());
        }
        candidates.push(possible);
    }
    Ok(candidates)
}

/// What flowed into a book, and out of it, so that nobody has to go through all of it for each read.
pub(super) struct Flows {
    /// Flows that certainly took effect, in the order in which they were over.
    certain: Vec<Flow>,
    /// The longest of these.
    longest: u64,
    /// The instants at which flows of unknown outcome were asked for, in order, and what all up to each
    /// may come to.
    possible: Vec<(u64, Sums)>,
}

/// A flow that certainly took effect.
struct Flow {
    asked: u64,
    over: u64,
    amount: i128,
    /// The sum of all that were over by then.
    sum: i128,
}

impl Flows {
    pub(super) fn new(flows: Vec<(&Operation, i128)>) -> Self {
        let (mut certain, mut unknown) = (Vec::new(), Vec::new());
        for (operation, amount) in flows {
            let asked = operation.invoked.instant;
            match answered(operation) {
                Some(over) => certain.push(Flow { asked, over, amount, sum: 0 }),
                None => unknown.push((asked, amount)),
            }
        }
        certain.sort_by_key(|flow| flow.over);
        let mut sum = 0;
        for flow in &mut certain {
            sum += flow.amount;
            flow.sum = sum;
        }
        unknown.sort_unstable();
        let mut sums = Sums::zero();
        let possible = unknown.into_iter().map(|(asked, amount)| {
            sums.add_one_of([0, amount]);
            (asked, sums.clone())
        });
        let possible = possible.collect();
        let longest = certain.iter().map(|flow| flow.over - flow.asked).max().unwrap_or(0);
        Self { certain, longest, possible }
    }

    /// Returns what all that a read may have seen comes to, which certainly has seen what was over
    /// before it began.
    pub(super) fn seen_by(&self, read: &Operation) -> Sums {
        let Some(end) = answered(read) else { return Sums::zero() };
        let possible = self.possible.partition_point(|(asked, _)| *asked <= end);
        let possible = possible.checked_sub(1).map(|last| self.possible[last].1.clone());
        let mut sums = possible.unwrap_or_else(Sums::zero);
        let before = self.certain.partition_point(|flow| flow.over < read.invoked.instant);
        sums.add_one_of([before.checked_sub(1).map_or(0, |last| self.certain[last].sum)]);
        // What is over so late was asked for after the read, however long it took.
        let under_way = self.certain[before..]
            .iter()
            .take_while(|flow| flow.over.saturating_sub(self.longest) <= end)
            .filter(|flow| flow.asked <= end);
        for flow in under_way {
            sums.add_one_of([0, flow.amount]);
        }
        sums
    }
}

/// The sums that are possible when of each group of terms exactly one counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sums {
    low: i128,
    high: i128,
    /// The sum of the groups of one.
    certain: i128,
    /// All sums of the other groups, while they are few.
    each: Option<BTreeSet<i128>>,
}

impl Sums {
    pub(super) fn zero() -> Self {
        Self { low: 0, high: 0, certain: 0, each: Some([0].into()) }
    }

    /// Adds one of these terms, of which there is at least one.
    pub(super) fn add_one_of(&mut self, terms: impl IntoIterator<Item = i128>) {
        let terms: BTreeSet<i128> = terms.into_iter().collect();
        let least = terms.first().copied().unwrap_or(0);
        self.low += least;
        self.high += terms.last().copied().unwrap_or(0);
        if terms.len() == 1 {
            self.certain += least;
            return;
        }
        self.each = self.each.take().and_then(|each| {
            let sums = each.iter().flat_map(|sum| terms.iter().map(move |term| sum + term));
            let sums: BTreeSet<i128> = sums.collect();
            (sums.len() <= SUMS_MAX).then_some(sums)
        });
    }

    fn holds(&self, total: i128) -> bool {
        match &self.each {
            Some(each) => each.contains(&(total - self.certain)),
            None => (self.low..=self.high).contains(&total),
        }
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.each {
            _ if self.low == self.high => write!(f, "{}", self.low),
            Some(each) if each.len() <= 8 => {
                let sums = each.iter().map(|sum| (self.certain + sum).to_string());
                let sums: Vec<String> = sums.collect();
                write!(f, "one of {}", sums.join(", "))
            }
            _ => write!(f, "between {} and {}", self.low, self.high),
        }
    }
}
