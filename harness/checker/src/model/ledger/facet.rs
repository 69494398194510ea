//! One account of a book, and how many trades the book has: all that is left when one looks at a
//! book through the eyes of that account.
//!
//! Every order of a book's operations is also an order of what one account saw of them. So if the
//! facet of any account has no order, the book has none; the other way round proves nothing. A
//! facet is much easier to search: unknown operations that do not touch the account are gone, or,
//! as trades, all alike.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use stateright::semantics::SequentialSpec;

use super::{Account, LedgerAnswer, LedgerOp, Name, Numbers, Trade};
use crate::model::{Model, Step};
use crate::search::{Budget, Entry, Found, search, shares};

/// What is left of a book.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Facet {
    name: Name,
    account: Option<Account>,
    trades: u64,
}

/// What is left of an operation together with what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FacetOp {
    /// The account is opened, or found, with this in it.
    Open(Account),
    /// A read found the account so, or not at all; and, if it says, so many trades.
    Found { account: Option<Option<Account>>, trades: Option<u64> },
    /// Cash comes or goes; afterwards it is so much, if that was seen.
    Cash { change: i128, after: Option<Account>, cash_after: Option<u64> },
    /// A trade under a number that was answered, or under one that is free for it.
    Trade { trade: Option<Trade>, number: Option<u64>, numbers: Arc<Numbers> },
}

impl Facet {
    fn cash(&mut self, change: i128) -> Option<()> {
        let account = self.account.as_mut()?;
        account.cash = u64::try_from(i128::from(account.cash) + change).ok()?;
        Some(())
    }

    fn apply(&mut self, op: &FacetOp) -> Option<()> {
        match op {
            FacetOp::Open(account) => self.account.replace(account.clone()).is_none().then_some(()),
            FacetOp::Found { account, trades } => {
                let is_account = account.as_ref().is_none_or(|account| *account == self.account);
                (is_account && trades.is_none_or(|trades| trades == self.trades)).then_some(())
            }
            FacetOp::Cash { change, after, cash_after } => {
                self.cash(*change)?;
                let account = self.account.as_ref()?;
                let is_after = after.as_ref().is_none_or(|after| after == account);
                (is_after && cash_after.is_none_or(|cash| cash == account.cash)).then_some(())
            }
            FacetOp::Trade { trade, number, numbers } => {
                self.trades += 1;
                let is_numbered = match (number, trade) {
                    (Some(number), _) => *number == self.trades,
                    (None, Some(trade)) => numbers.allow(self.trades, trade),
                    (None, None) => numbers.allow_elsewhere(self.trades, &self.name),
                };
                match (is_numbered, trade) {
                    (false, _) => None,
                    (true, None) => Some(()),
                    (true, Some(trade)) => self.trade(trade),
                }
            }
        }
    }

    fn trade(&mut self, trade: &Trade) -> Option<()> {
        let cost = i128::from(trade.quantity.checked_mul(trade.price)?);
        let is_buyer = trade.buyer == self.name;
        self.cash(if is_buyer { -cost } else { cost })?;
        let holdings = &mut self.account.as_mut()?.holdings;
        let held = holdings.get(&trade.symbol).copied().unwrap_or(0);
        let held = if is_buyer {
            held.checked_add(trade.quantity)
        } else {
            held.checked_sub(trade.quantity)
        };
        match held? {
            0 => _ = holdings.remove(&trade.symbol),
            held => _ = holdings.insert(trade.symbol.clone(), held),
        }
        Some(())
    }
}

impl SequentialSpec for Facet {
    type Op = FacetOp;
    /// Whether what was seen could have been seen.
    type Ret = bool;

    fn invoke(&mut self, op: &FacetOp) -> bool {
        let mut next = self.clone();
        let is_legal = next.apply(op).is_some();
        if is_legal {
            *self = next;
        }
        is_legal
    }
}

impl Model for Facet {
    const HAS_HOPELESS: bool = true;

    fn is_pure(op: &FacetOp, _seen: Option<&bool>) -> bool {
        matches!(op, FacetOp::Found { .. })
    }

    fn is_hopeless(&self, op: &FacetOp, _seen: Option<&bool>) -> bool {
        match op {
            FacetOp::Open(_) => self.account.is_some(),
            FacetOp::Found { account, trades } => {
                (*account == Some(None) && self.account.is_some())
                    || trades.is_some_and(|trades| trades < self.trades)
            }
            FacetOp::Cash { .. } => false,
            FacetOp::Trade { number, .. } => number.is_some_and(|number| number <= self.trades),
        }
    }

    fn describe(&self) -> String {
        let account = match &self.account {
            None => "does not exist".to_owned(),
            Some(account) => super::describe_account(account),
        };
        format!("{} trades; {}: {account}", self.trades, self.name)
    }

    fn weight(&self) -> usize {
        256 + self.account.as_ref().map_or(0, |account| account.holdings.len() * 48)
    }
}

/// The steps of a book as one of its accounts sees them.
struct Projection {
    initial: Facet,
    /// For each step what is left of it, if anything.
    steps: Vec<Option<Step<Facet>>>,
}

/// Tries to refute by the facets what the search of the whole book could not judge.
pub(in crate::model) fn refute(entries: &[Entry<super::Book>], budget: Budget) -> Option<Found> {
    let steps: Vec<_> = entries.iter().map(|entry| entry.step.clone()).collect();
    let projections = project(entries, Arc::new(Numbers::of(&steps)));
    let shares = shares(budget.deadline, projections.len());
    let is_time_left = |_: &_| Instant::now() < budget.deadline;
    projections.zip(shares).take_while(is_time_left).find_map(|(projection, share)| {
        let (mut projected, mut sources) = (Vec::new(), Vec::new());
        for (index, (entry, step)) in entries.iter().zip(projection.steps).enumerate() {
            if let Some(step) = step {
                projected.push(entry.with_step(step));
                sources.push(index as u32);
            }
        }
        let budget = Budget { deadline: share(Instant::now()), ..budget };
        match search(&projection.initial, &projected, budget).found {
            Found::NoOrder { entry, mut dead } => {
                dead.iter_mut().for_each(|dead| dead.rename(&sources));
                Some(Found::NoOrder { entry: sources[entry] as usize, dead })
            }
            _ => None,
        }
    })
}

/// Projects a book's steps on each of the accounts that they name.
///
/// A projection is made when it is its turn: all of them at once would take as much memory as the
/// history for each account.
fn project(
    entries: &[Entry<super::Book>],
    numbers: Arc<Numbers>,
) -> impl ExactSizeIterator<Item = Projection> {
    let mut names = BTreeSet::new();
    for Entry { step, .. } in entries {
        match &step.op {
            LedgerOp::Open { account, .. } => _ = names.insert(account.clone()),
            LedgerOp::Account { account } => _ = names.insert(account.clone()),
            _ => {}
        }
    }
    let onto = move |name: Name| Projection {
        steps: entries.iter().map(|entry| project_onto(&name, &entry.step, &numbers)).collect(),
        initial: Facet { name, account: None, trades: 0 },
    };
    names.into_iter().map(onto)
}

/// What is left of a step; none if nothing is.
fn project_onto(
    name: &Name,
    step: &Step<super::Book>,
    numbers: &Arc<Numbers>,
) -> Option<Step<Facet>> {
    let seen = step.seen.as_ref();
    if matches!(seen, Some(LedgerAnswer::Rejected(_))) {
        return None;
    }
    let after = match seen {
        Some(LedgerAnswer::Account(account)) => Some(account.clone()),
        _ => None,
    };
    let op = match &step.op {
        LedgerOp::Open { account, cash, holdings } if account == name => {
            let mut book = super::Book::new("any");
            let Ok(LedgerAnswer::Account(opened)) = book.open(account, *cash, holdings) else {
                return None;
            };
            // An answer that is not what was asked for is for the search of the whole book.
            FacetOp::Open(after.unwrap_or(opened))
        }
        LedgerOp::Deposit { account, amount } if account == name => {
            FacetOp::Cash { change: i128::from(*amount), after, cash_after: None }
        }
        LedgerOp::Withdraw { account, amount } if account == name => {
            FacetOp::Cash { change: -i128::from(*amount), after, cash_after: None }
        }
        LedgerOp::Transfer { from, amount, .. } if from == name => {
            let cash_after = match seen {
                Some(LedgerAnswer::Transferred(cash)) => Some(*cash),
                _ => None,
            };
            FacetOp::Cash { change: -i128::from(*amount), after: None, cash_after }
        }
        LedgerOp::Transfer { to, amount, .. } if to == name => {
            FacetOp::Cash { change: i128::from(*amount), after: None, cash_after: None }
        }
        LedgerOp::Trade(trade) => {
            let number = match seen {
                Some(LedgerAnswer::Traded(number)) => Some(*number),
                _ => None,
            };
            let trade = trade.touches(name).then(|| trade.clone());
            FacetOp::Trade { trade, number, numbers: numbers.clone() }
        }
        LedgerOp::Account { account } if account == name => {
            FacetOp::Found { account: after.map(Some), trades: None }
        }
        LedgerOp::Book => match seen {
            Some(LedgerAnswer::Book { accounts, trades }) => {
                let account = accounts.get(name).map(|account| Account::clone(account));
                FacetOp::Found { account: Some(account), trades: Some(*trades) }
            }
            _ => return None,
        },
        LedgerOp::History { .. } => match seen {
            Some(LedgerAnswer::History { total, .. }) => {
                FacetOp::Found { account: None, trades: Some(*total) }
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Step { op, seen: Some(true), is_certain: step.is_certain })
}
