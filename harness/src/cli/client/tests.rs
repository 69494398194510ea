//! What the command line takes and what people read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use clap::Parser;

use super::*;
use crate::client::{Api, Cause};

#[derive(Debug, Parser)]
struct Tool {
    #[command(flatten)]
    args: ClientArgs,
}

fn parse(line: &str) -> Result<ClientArgs, clap::Error> {
    let words = ["client", "--endpoints", "127.0.0.1:7001,localhost:7002"];
    let words = words.into_iter().chain(line.split_whitespace());
    Tool::try_parse_from(words).map(|tool| tool.args)
}

#[track_caller]
fn check(line: &str, api: Api, f: &str, key: &str, value: Value) {
    let args = parse(line).unwrap();
    assert_eq!(args.endpoints, ["127.0.0.1:7001", "localhost:7002"]);
    let request = args.command.request().unwrap().unwrap();
    let Request { api: found, invocation } = request;
    assert_eq!((found, invocation.f, invocation.key.as_str()), (api, f, key), "{line}");
    assert_eq!(invocation.value, value, "{line}");
}

#[test]
fn commands_become_operations() {
    check("add k v", Api::Kv, "put", "k", json!("v"));
    check("put k v", Api::Kv, "put", "k", json!("v"));
    check("get k", Api::Kv, "get", "k", Value::Null);
    check("cas k v", Api::Kv, "cas", "k", json!({"expected": null, "value": "v"}));
    check("cas k --expected a v", Api::Kv, "cas", "k", json!({"expected": "a", "value": "v"}));
    check("append k v", Api::Kv, "append", "k", json!("v"));
    check("delete k", Api::Kv, "delete", "k", Value::Null);
    let open = json!({"account": "a", "cash": 7, "holdings": {"X": 1, "Y": 2}});
    check("open b a --cash 7 --holding X=1 --holding Y=2", Api::Ledger, "open", "b", open);
    let amount = json!({"account": "a", "amount": 5});
    check("deposit b a 5", Api::Ledger, "deposit", "b", amount.clone());
    check("withdraw b a 5", Api::Ledger, "withdraw", "b", amount);
    let trade = json!({"buyer": "p", "seller": "q", "symbol": "X", "quantity": 2, "price": 3});
    let line = "trade b --buyer p --seller q --symbol X --quantity 2 --price 3";
    check(line, Api::Ledger, "trade", "b", trade);
    let transfer = json!({"from": "p", "to": "q", "amount": 5});
    check("transfer b p q 5", Api::Ledger, "transfer", "b", transfer);
    check("account b a", Api::Ledger, "account", "b", json!({"account": "a"}));
    check("book b", Api::Ledger, "book", "b", Value::Null);
    check("history b", Api::Ledger, "history", "b", json!({"from": 1, "limit": 0}));
    assert!(parse("status").unwrap().command.request().unwrap().is_none());
}

#[test]
fn mistakes_are_said() {
    for line in
        ["", "add k", "deposit b a -5", "open b a --holding X", "frob k", "--timeout 5 get k"]
    {
        assert!(parse(line).is_err(), "{line}");
    }
    let twice = parse("open b a --holding X=1 --holding X=2").unwrap();
    assert!(twice.command.request().is_err());
    for endpoints in ["nonsense", ":7", "host:", "host:0", "host:99999"] {
        let words = ["client", "--endpoints", endpoints, "status"];
        assert!(Tool::try_parse_from(words).is_err(), "{endpoints}");
    }
}

#[test]
fn people_can_read_the_answers() {
    let answers = [
        ("get k", json!("v"), "v\n"),
        ("get k", Value::Null, "(no value)\n"),
        ("append k v", json!({"length": 3}), "3 bytes\n"),
        ("account b a", json!({"cash": 5, "holdings": {"X": 1}}), "a  cash 5  X 1\n"),
        (
            "book b",
            json!({"accounts": {"a": {"cash": 5, "holdings": {}}}, "trades": 2}),
            "a  cash 5\n2 trades\n",
        ),
        (
            "history b",
            json!({"trades": [{"trade": 1, "buyer": "p", "seller": "q", "symbol": "X",
                "quantity": 2, "price": 3}], "total": 1}),
            "1  p buys 2 X from q at 3\n1 trades in all\n",
        ),
    ];
    for (line, value, expected) in answers {
        assert_eq!(render::answer(&parse(line).unwrap().command, &value), expected, "{line}");
    }
    assert_eq!(render::refusal(&json!({"rejected": "overflow"})), "overflow");
    assert_eq!(render::refusal(&json!({"mismatch": "a"})), "the value is \"a\"");
    assert_eq!(render::refusal(&json!({"mismatch": null})), "there is no value");
}

#[test]
fn each_end_has_its_code() {
    let mut args = parse("get k").unwrap();
    for is_json in [false, true] {
        args.json = is_json;
        let ok = |value| Outcome::Ok { value, position: None };
        let error = Cause::from("why");
        assert_eq!(show(&args, &ok(json!("v"))) as u8, 0);
        assert_eq!(show(&args, &ok(json!({"mismatch": "a"}))) as u8, 1);
        assert_eq!(show(&args, &Outcome::Info { error: error.clone() }) as u8, 3);
        assert_eq!(show(&args, &Outcome::Fail { error }) as u8, 4);
    }
}

#[tokio::test]
async fn nobody_there_is_certainly_not_done() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for line in ["add k v", "status"] {
        let mut args = parse(line).unwrap();
        args.endpoints = vec![address.clone()];
        assert_eq!(execute(args).await, End::Unreached, "{line}");
    }
}
