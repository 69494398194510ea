//! Reads a recording's operations on books; the shapes are those of the harness's own recorder.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Account, Book, LedgerAnswer, LedgerOp, Name, Rejection, Trade};
use crate::history::{OperationRef, Value};
use crate::model::{Reading, Unreadable, end_of};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenValue {
    account: String,
    #[serde(default)]
    cash: u64,
    #[serde(default)]
    holdings: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CashValue {
    account: String,
    amount: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferValue {
    from: String,
    to: String,
    amount: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountName {
    account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TradeValue {
    /// The number, in answers.
    trade: Option<u64>,
    buyer: String,
    seller: String,
    symbol: String,
    quantity: u64,
    price: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryRange {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    limit: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountAnswer {
    cash: u64,
    #[serde(default)]
    holdings: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookAnswer {
    accounts: BTreeMap<String, AccountAnswer>,
    trades: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryAnswer {
    trades: Vec<TradeValue>,
    total: u64,
}

impl From<AccountAnswer> for Account {
    fn from(answer: AccountAnswer) -> Self {
        Self { cash: answer.cash, holdings: names(answer.holdings).collect() }
    }
}

impl From<TradeValue> for Trade {
    fn from(value: TradeValue) -> Self {
        Self {
            buyer: value.buyer.into(),
            seller: value.seller.into(),
            symbol: value.symbol.into(),
            quantity: value.quantity,
            price: value.price,
        }
    }
}

fn names(map: BTreeMap<String, u64>) -> impl Iterator<Item = (Name, u64)> {
    map.into_iter().map(|(name, count)| (name.into(), count))
}

/// Reads an operation on a book.
pub(crate) fn read(operation: &OperationRef<'_>) -> Result<Reading<Book>, Unreadable> {
    if operation.key.is_none() {
        let problem = format!("the operation {} names no book", operation.f);
        return Err(Unreadable {
            is_completion: false,
            problem: format!("{problem}: its `key` is missing"),
        });
    }
    let op = match operation.f.as_str() {
        "open" => {
            let value: OpenValue = input(operation, "{\"account\", \"cash\", \"holdings\"}")?;
            LedgerOp::Open {
                account: value.account.into(),
                cash: value.cash,
                holdings: names(value.holdings).collect(),
            }
        }
        "deposit" => {
            let value: CashValue = input(operation, "{\"account\", \"amount\"}")?;
            LedgerOp::Deposit { account: value.account.into(), amount: value.amount }
        }
        "withdraw" => {
            let value: CashValue = input(operation, "{\"account\", \"amount\"}")?;
            LedgerOp::Withdraw { account: value.account.into(), amount: value.amount }
        }
        "trade" => {
            let value: TradeValue =
                input(operation, "{\"buyer\", \"seller\", \"symbol\", \"quantity\", \"price\"}")?;
            LedgerOp::Trade(value.into())
        }
        "transfer" => {
            let value: TransferValue = input(operation, "{\"from\", \"to\", \"amount\"}")?;
            LedgerOp::Transfer {
                from: value.from.into(),
                to: value.to.into(),
                amount: value.amount,
            }
        }
        "account" => {
            let value: AccountName = input(operation, "{\"account\"}")?;
            LedgerOp::Account { account: value.account.into() }
        }
        "book" => LedgerOp::Book,
        "history" => {
            let value: HistoryRange = input(operation, "{\"from\", \"limit\"}")?;
            LedgerOp::History { from: value.from, limit: value.limit }
        }
        _ => {
            let known = "open, deposit, withdraw, trade, transfer, account, book and history";
            return Err(Unreadable::function(operation, known));
        }
    };
    let end = end_of(operation, |value| answer(operation, &op, value).map(Some))?;
    Ok(Reading { key: operation.key.cloned(), op, end })
}

fn input<T: DeserializeOwned>(operation: &OperationRef<'_>, shape: &str) -> Result<T, Unreadable> {
    T::deserialize(operation.input).map_err(|_| Unreadable::input(operation, shape))
}

fn answer(
    operation: &OperationRef<'_>,
    op: &LedgerOp,
    value: &Value,
) -> Result<LedgerAnswer, Unreadable> {
    if let Some(rejection) = value.get("rejected") {
        let known = Rejection::deserialize(rejection);
        return known
            .map(LedgerAnswer::Rejected)
            .map_err(|_| Unreadable::output(operation, value, "a known rejection"));
    }
    let expect =
        |shape: &str| Unreadable::output(operation, value, &format!("{shape} or a rejection"));
    let whole = |field: &str| value.get(field).and_then(Value::as_u64);
    match op {
        LedgerOp::Open { .. }
        | LedgerOp::Deposit { .. }
        | LedgerOp::Withdraw { .. }
        | LedgerOp::Account { .. } => {
            let answer = AccountAnswer::deserialize(value)
                .map_err(|_| expect("{\"cash\", \"holdings\"}"))?;
            Ok(LedgerAnswer::Account(answer.into()))
        }
        LedgerOp::Trade(_) => {
            Ok(LedgerAnswer::Traded(whole("trade").ok_or_else(|| expect("{\"trade\": number}"))?))
        }
        LedgerOp::Transfer { .. } => Ok(LedgerAnswer::Transferred(
            whole("cash").ok_or_else(|| expect("{\"cash\": amount}"))?,
        )),
        LedgerOp::Book => {
            let answer =
                BookAnswer::deserialize(value).map_err(|_| expect("{\"accounts\", \"trades\"}"))?;
            let accounts = answer
                .accounts
                .into_iter()
                .map(|(name, account)| (name.into(), Arc::new(account.into())));
            Ok(LedgerAnswer::Book { accounts: accounts.collect(), trades: answer.trades })
        }
        LedgerOp::History { .. } => {
            let answer =
                HistoryAnswer::deserialize(value).map_err(|_| expect("{\"trades\", \"total\"}"))?;
            let numbered = |value: TradeValue| Some((value.trade?, value.into()));
            let trades: Option<Vec<(u64, Trade)>> =
                answer.trades.into_iter().map(numbered).collect();
            let trades = trades.ok_or_else(|| expect("a history of numbered trades"))?;
            Ok(LedgerAnswer::History { trades, total: answer.total })
        }
    }
}
