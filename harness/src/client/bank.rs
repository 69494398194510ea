//! The bank on our own ledger: accounts `BOOK/ACCOUNT` of one book are accounts of many.
//!
//! A transfer is one command on two books, a read is one of all books at one place of the log. In the
//! history both look as if there were a single book, by whose model they are judged.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{Cause, Client, Outcome};
use crate::system::BoxFuture;
use crate::workload::Invocation;

/// A bank's client on top of a ledger's.
#[derive(Debug)]
pub struct LedgerBank<C> {
    ledger: C,
}

impl<C: Client> LedgerBank<C> {
    /// Makes a bank of a client of the ledger.
    pub fn new(ledger: C) -> Self {
        Self { ledger }
    }

    async fn run(&mut self, invocation: &Invocation, deadline: Instant) -> Outcome {
        let Some(request) = request(invocation) else {
            let error = format!("a bank has no operation {} {}", invocation.f, invocation.value);
            return Outcome::Fail { error: error.into() };
        };
        match self.ledger.execute(&request, deadline).await {
            Outcome::Ok { value, position } if request.f == "books" => match merge(&value) {
                Some(value) => Outcome::Ok { value, position },
                None => Outcome::Fail { error: Cause::Nonsense("books that are none") },
            },
            outcome => outcome,
        }
    }
}

/// Splits the name of an account into its book's and its own.
fn split(name: &Value) -> Option<(&str, &str)> {
    name.as_str()?.split_once('/')
}

/// Returns what the ledger is asked for.
fn request(invocation: &Invocation) -> Option<Invocation> {
    let value = &invocation.value;
    match invocation.f {
        "book" => Some(Invocation::new("books", "", Value::Null)),
        "open" => {
            let (book, account) = split(&value["account"])?;
            let mut value = value.clone();
            value["account"] = json!(account);
            Some(Invocation::new("open", book, value))
        }
        "transfer" => {
            let (from_book, from) = split(&value["from"])?;
            let (to_book, to) = split(&value["to"])?;
            let amount = &value["amount"];
            let value = json!({"from": from, "to_book": to_book, "to": to, "amount": amount});
            Some(Invocation::new("transfer-across", from_book, value))
        }
        _ => None,
    }
}

/// Makes one book of all.
fn merge(books: &Value) -> Option<Value> {
    let mut all = Map::new();
    let mut trades = 0;
    for (book, content) in books.as_object()? {
        for (name, account) in content["accounts"].as_object()? {
            all.insert(format!("{book}/{name}"), account.clone());
        }
        trades += content["trades"].as_u64()?;
    }
    Some(json!({"accounts": all, "trades": trades}))
}

impl<C: Client> Client for LedgerBank<C> {
    fn execute<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(invocation, deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger that notes what it is asked for and has one answer.
    struct Ledger {
        asked: Vec<Invocation>,
        answer: Value,
    }

    impl Client for Ledger {
        fn execute<'a>(
            &'a mut self,
            invocation: &'a Invocation,
            _: Instant,
        ) -> BoxFuture<'a, Outcome> {
            self.asked.push(invocation.clone());
            let outcome = Outcome::Ok { value: self.answer.clone(), position: Some(4) };
            Box::pin(async move { outcome })
        }
    }

    async fn ask(f: &'static str, value: Value, answer: Value) -> (Outcome, Vec<Invocation>) {
        let mut bank = LedgerBank::new(Ledger { asked: Vec::new(), answer });
        let outcome = bank.execute(&Invocation::new(f, "bank", value), Instant::now()).await;
        (outcome, bank.ledger.asked)
    }

    #[tokio::test]
    async fn accounts_of_the_bank_are_those_of_its_books() {
        let (outcome, asked) = ask(
            "transfer",
            json!({"from": "b/x", "to": "c/y/z", "amount": 3}),
            json!({"rejected": "insufficient-cash"}),
        )
        .await;
        let value = json!({"from": "x", "to_book": "c", "to": "y/z", "amount": 3});
        assert_eq!(asked, [Invocation::new("transfer-across", "b", value)]);
        let value = json!({"rejected": "insufficient-cash"});
        assert_eq!(outcome, Outcome::Ok { value, position: Some(4) });
        let open = |account: &str| json!({"account": account, "cash": 3, "holdings": {}});
        let (_, asked) = ask("open", open("b/x"), Value::Null).await;
        assert_eq!(asked, [Invocation::new("open", "b", open("x"))]);
    }

    #[tokio::test]
    async fn all_books_are_read_as_one() {
        let account = |cash: u64| json!({"cash": cash, "holdings": {}});
        let books = json!({
            "b": {"accounts": {"x": account(1), "y": account(2)}, "trades": 0},
            "c": {"accounts": {"x": account(3)}, "trades": 2},
        });
        let (outcome, asked) = ask("book", Value::Null, books).await;
        assert_eq!(asked, [Invocation::new("books", "", Value::Null)]);
        let accounts = json!({"b/x": account(1), "b/y": account(2), "c/x": account(3)});
        let value = json!({"accounts": accounts, "trades": 2});
        assert_eq!(outcome, Outcome::Ok { value, position: Some(4) });
        let (outcome, _) = ask("book", Value::Null, json!({"b": {"accounts": {}}})).await;
        assert!(matches!(outcome, Outcome::Fail { error: Cause::Nonsense(_) }), "{outcome:?}");
    }

    #[tokio::test]
    async fn what_is_no_account_of_the_bank_is_not_sent() {
        for (f, value) in [("open", json!({"account": "x"})), ("trade", Value::Null)] {
            let (outcome, asked) = ask(f, value, Value::Null).await;
            assert!(matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
            assert!(asked.is_empty(), "{asked:?}");
        }
    }
}
