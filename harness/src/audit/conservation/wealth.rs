//! What the accounts of a book hold together.

use std::collections::{BTreeMap, BTreeSet};

use checker::history::Operation;

use super::parse::{self, Amount, Book, Open};
use super::{Breach, Effect, Fault, Rule, answer, effect, may_be_seen, precedes};

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
                let open: Open = parse::input(operation)?;
                opens.entry(open.account.clone()).or_default().push((operation, open));
            }
            "deposit" => {
                flows.push((operation, i128::from(parse::input::<Amount>(operation)?.amount)));
            }
            "withdraw" => {
                flows.push((operation, -i128::from(parse::input::<Amount>(operation)?.amount)));
            }
            _ => {}
        }
    }
    check_opened_once(book, &opens)?;
    for &read in operations.iter().filter(|operation| operation.f == "book") {
        if let Some(seen) = answer(read) {
            let seen: Book = parse::output(read, seen)?;
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
    flows: &[(&Operation, i128)],
) -> Result<(), Fault> {
    let candidates = check_accounts(book, read, seen, opens)?;
    let mut cash = Sums::zero();
    for opens in &candidates {
        cash.add_one_of(opens.iter().map(|open| i128::from(open.cash)));
    }
    for &(flow, amount) in flows {
        if effect(flow) == Effect::Certain && precedes(flow, read) {
            cash.add_one_of([amount]);
        } else if may_be_seen(flow, read) {
            cash.add_one_of([0, amount]);
        }
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

/// The sums that are possible when of each group of terms exactly one counts.
struct Sums {
    low: i128,
    high: i128,
    /// The sum of the groups of one.
    certain: i128,
    /// All sums of the other groups, while they are few.
    each: Option<BTreeSet<i128>>,
}

impl Sums {
    fn zero() -> Self {
        Self { low: 0, high: 0, certain: 0, each: Some([0].into()) }
    }

    /// Adds one of these terms, of which there is at least one.
    fn add_one_of(&mut self, terms: impl IntoIterator<Item = i128>) {
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
