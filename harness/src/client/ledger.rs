//! The ledger's operations on the wire. What an answer looks like in a history is told by the functions
//! that write it.

use proto::ledger::account_response::Result as AccountResult;
use proto::ledger::ledger_client::LedgerClient;
use proto::ledger::trade_response::Result as TradeResult;
use proto::ledger::transfer_response::Result as TransferResult;
use proto::ledger::{
    Account, AccountResponse, BookContent, DepositRequest, GetAccountRequest, GetBookRequest,
    GetBooksRequest, GetHistoryRequest, Holding, OpenAccountRequest, TradeRequest,
    TransferAcrossRequest, TransferRequest, TransferResponse, WithdrawRequest,
};
use proto::outcome::Rejection;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::session::Line;
use super::stormproof::{Answer, Failure};
use crate::workload::Invocation;
use crate::workload::ledger::values::{Across, Amount, Name, Open, Range, Terms, Transfer};

/// Carries out an operation of the ledger; the key is the book.
pub(super) async fn call(line: Line, invocation: &Invocation) -> Answer {
    let mut client = LedgerClient::new(line);
    let book = invocation.key.clone();
    let value = &invocation.value;
    match invocation.f {
        "open" => {
            let Open { account, cash, holdings } = Open::deserialize(value)?;
            let holdings = holdings
                .into_iter()
                .map(|(symbol, quantity)| Holding { symbol, quantity })
                .collect();
            let request = OpenAccountRequest { book, account, cash, holdings };
            account_answer(client.open_account(request).await?.into_inner())
        }
        "deposit" => {
            let Amount { account, amount } = Amount::deserialize(value)?;
            let request = DepositRequest { book, account, amount };
            account_answer(client.deposit(request).await?.into_inner())
        }
        "withdraw" => {
            let Amount { account, amount } = Amount::deserialize(value)?;
            let request = WithdrawRequest { book, account, amount };
            account_answer(client.withdraw(request).await?.into_inner())
        }
        "account" => {
            let Name { account } = Name::deserialize(value)?;
            let request = GetAccountRequest { book, account };
            account_answer(client.get_account(request).await?.into_inner())
        }
        "trade" => {
            let Terms { buyer, seller, symbol, quantity, price } = Terms::deserialize(value)?;
            let request = TradeRequest { book, buyer, seller, symbol, quantity, price };
            let answer = client.trade(request).await?.into_inner();
            let value = match answer.result {
                Some(TradeResult::Trade(number)) => json!({"trade": number}),
                Some(TradeResult::Rejection(why)) => rejected(why)?,
                None => return Err(Failure::Nonsense("a trade without a result")),
            };
            Ok((value, answer.index))
        }
        "transfer" => {
            let Transfer { from, to, amount } = Transfer::deserialize(value)?;
            let request = TransferRequest { book, from, to, amount };
            transfer_answer(client.transfer(request).await?.into_inner())
        }
        "transfer-across" => {
            let Across { from, to_book, to, amount } = Across::deserialize(value)?;
            let request = TransferAcrossRequest { from_book: book, from, to_book, to, amount };
            transfer_answer(client.transfer_across(request).await?.into_inner())
        }
        "books" => {
            let answer =
                client.get_books(GetBooksRequest { books: Vec::new() }).await?.into_inner();
            let mut books = Vec::with_capacity(answer.books.len());
            for BookContent { book, accounts, trades } in answer.books {
                books.push((book, book_value(accounts, trades)?));
            }
            let books = by_name(books.into_iter(), "a book that is listed twice")?;
            Ok((Value::Object(books), answer.index))
        }
        "book" => {
            let answer = client.get_book(GetBookRequest { book }).await?.into_inner();
            Ok((book_value(answer.accounts, answer.trades)?, answer.index))
        }
        "history" => {
            let Range { from, limit } = Range::deserialize(value)?;
            let request = GetHistoryRequest { book, from, limit };
            let answer = client.get_history(request).await?.into_inner();
            let trades: Vec<Value> = answer.trades.into_iter().map(trade_value).collect();
            Ok((json!({"trades": trades, "total": answer.total}), answer.index))
        }
        f => Err(Failure::Unsendable(format!("the ledger has no operation {f}"))),
    }
}

fn transfer_answer(answer: TransferResponse) -> Answer {
    let value = match answer.result {
        Some(TransferResult::FromCash(cash)) => json!({"cash": cash}),
        Some(TransferResult::Rejection(why)) => rejected(why)?,
        None => return Err(Failure::Nonsense("a transfer without a result")),
    };
    Ok((value, answer.index))
}

fn book_value(list: Vec<Account>, trades: u64) -> Result<Value, Failure> {
    let mut accounts = Vec::with_capacity(list.len());
    for account in list {
        accounts.push((account.name.clone(), account_value(account)?));
    }
    let accounts = by_name(accounts.into_iter(), "a book that lists an account twice")?;
    Ok(json!({"accounts": accounts, "trades": trades}))
}

fn account_answer(answer: AccountResponse) -> Answer {
    let value = match answer.result {
        Some(AccountResult::Account(account)) => account_value(account)?,
        Some(AccountResult::Rejection(why)) => rejected(why)?,
        None => return Err(Failure::Nonsense("an account operation without a result")),
    };
    Ok((value, answer.index))
}

fn account_value(account: Account) -> Result<Value, Failure> {
    let holdings = account.holdings.into_iter();
    let holdings = holdings.map(|holding| (holding.symbol, json!(holding.quantity)));
    let holdings = by_name(holdings, "an account that lists a symbol twice")?;
    Ok(json!({"cash": account.cash, "holdings": holdings}))
}

/// Collects what a history keeps by name. A name that comes twice would hide what came first.
fn by_name(
    items: impl Iterator<Item = (String, Value)>,
    nonsense: &'static str,
) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for (name, value) in items {
        if map.insert(name, value).is_some() {
            return Err(Failure::Nonsense(nonsense));
        }
    }
    Ok(map)
}

fn trade_value(trade: proto::ledger::Trade) -> Value {
    json!({
        "trade": trade.trade,
        "buyer": trade.buyer,
        "seller": trade.seller,
        "symbol": trade.symbol,
        "quantity": trade.quantity,
        "price": trade.price,
    })
}

fn rejected(why: i32) -> Result<Value, Failure> {
    let why = match Rejection::try_from(why) {
        Ok(Rejection::UnknownAccount) => "unknown-account",
        Ok(Rejection::AccountExists) => "account-exists",
        Ok(Rejection::InsufficientCash) => "insufficient-cash",
        Ok(Rejection::InsufficientShares) => "insufficient-shares",
        Ok(Rejection::Overflow) => "overflow",
        Ok(Rejection::SelfTrade) => "self-trade",
        Ok(Rejection::ZeroQuantity) => "zero-quantity",
        Ok(Rejection::InvalidName) => "invalid-name",
        Ok(Rejection::Unspecified) | Err(_) => {
            return Err(Failure::Nonsense("a rejection without a known reason"));
        }
    };
    Ok(json!({"rejected": why}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, symbols: &[&str]) -> Account {
        let holdings =
            symbols.iter().map(|symbol| Holding { symbol: (*symbol).into(), quantity: 3 });
        Account { name: name.into(), cash: 5, holdings: holdings.collect() }
    }

    #[test]
    fn an_account_is_kept_by_symbol_and_none_is_hidden() {
        let value = account_value(account("a", &["X", "Y"]));
        let expected = json!({"cash": 5, "holdings": {"X": 3, "Y": 3}});
        assert!(matches!(value, Ok(value) if value == expected));
        let twice = account_value(account("a", &["X", "X"]));
        assert!(matches!(twice, Err(Failure::Nonsense(_))));
    }

    #[test]
    fn every_rejection_has_its_name_and_no_other_number_has_one() {
        let names: Vec<Value> = (1..=8)
            .filter_map(|why| rejected(why).ok())
            .map(|value| value["rejected"].clone())
            .collect();
        let expected = [
            "unknown-account",
            "account-exists",
            "insufficient-cash",
            "insufficient-shares",
            "overflow",
            "self-trade",
            "zero-quantity",
            "invalid-name",
        ];
        assert_eq!(names, expected);
        for why in [-1, 0, 9] {
            assert!(matches!(rejected(why), Err(Failure::Nonsense(_))), "{why}");
        }
    }
}
