//! What the command line takes and what people read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use clap::Parser;

use super::*;
use crate::client::{Api, Assurance, Cause};

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
    check("session open --ttl 2s", Api::Session, "open", "", json!({"ttl_ms": 2_000}));
    check("session open", Api::Session, "open", "", json!({"ttl_ms": 60_000}));
    check("session keep-alive 17", Api::Session, "keep-alive", "17", Value::Null);
    check("session close 17", Api::Session, "close", "17", Value::Null);
}

#[test]
fn sessions_are_asked_for_in_ways_that_make_sense() {
    let assurance = |line: &str| {
        let args = parse(line).unwrap();
        args.assurance(&args.command.request().unwrap().unwrap())
    };
    let given = |session, sequence, first_unanswered| {
        Ok(Assurance::Given(proto::Ticket { session, sequence, first_unanswered }))
    };
    let exactly_once = |seconds| Ok(Assurance::ExactlyOnce { ttl: Duration::from_secs(seconds) });
    assert_eq!(assurance("delete k"), Ok(Assurance::AtMostOnce));
    assert_eq!(assurance("--exactly-once delete k"), exactly_once(60));
    assert_eq!(assurance("delete k --exactly-once --timeout 5m"), exactly_once(600));
    assert_eq!(assurance("get k --exactly-once"), exactly_once(60));
    assert_eq!(assurance("--session 3 delete k --sequence 8"), given(3, 8, 1));
    assert_eq!(assurance("delete k --session 3 --sequence 8 --first-unanswered 8"), given(3, 8, 8));
    for line in [
        "delete k --session 3",
        "delete k --sequence 3",
        "delete k --first-unanswered 3",
        "delete k --session 3 --sequence 8 --first-unanswered 9",
        "delete k --session 3 --sequence 8 --exactly-once",
        "get k --session 3 --sequence 8",
        "session open --exactly-once",
        "session close 3 --session 3 --sequence 1",
    ] {
        assert!(assurance(line).is_err(), "{line}");
    }
    for line in ["status --session 3", "snapshot --sequence 8", "member list --first-unanswered 2"]
    {
        assert!(parse(line).unwrap().check_numbered().is_err(), "{line}");
    }
    assert_eq!(parse("delete k --session 3").unwrap().check_numbered(), Ok(()));
    assert_eq!(parse("status --exactly-once").unwrap().check_numbered(), Ok(()));
    for line in [
        "delete k --session 0 --sequence 1",
        "delete k --session 1 --sequence 0",
        "session close",
        "session close x",
        "session keep-alive 0",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
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
        ("session open", json!({"session": 17, "ttl_ms": 60_000}), "17\n"),
        ("session close 17", json!({"existed": true}), "closed\n"),
        ("session close 17", json!({"existed": false}), "(no such session)\n"),
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
    let effort = |attempts, unclear| render::effort(Effort { attempts, unclear });
    assert_eq!((effort(0, 0), effort(1, 0)), (None, None));
    assert!(effort(3, 1).unwrap().contains("3 attempts, 1 of them"));
    assert_eq!(render::refusal(&json!({"mismatch": "a"})), "the value is \"a\"");
    assert_eq!(render::refusal(&json!({"mismatch": null})), "there is no value");
}

#[test]
fn each_end_has_its_code() {
    let mut args = parse("get k").unwrap();
    for (is_json, unclear) in [(false, 0), (true, 1)] {
        args.json = is_json;
        let effort = Effort { attempts: 2 * unclear, unclear };
        let ok = |value| Outcome::Ok { value, position: None };
        let error = Cause::from("why");
        assert_eq!(show(&args, &ok(json!("v")), effort) as u8, 0);
        assert_eq!(show(&args, &ok(json!({"mismatch": "a"})), effort) as u8, 1);
        assert_eq!(show(&args, &Outcome::Info { error: error.clone() }, effort) as u8, 3);
        assert_eq!(show(&args, &Outcome::Fail { error }, effort) as u8, 4);
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
