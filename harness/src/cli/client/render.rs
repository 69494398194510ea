//! Answers as people read them.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::args::{Command, SessionCommand};
use crate::client::{Effort, Members, NodeReport};

/// Renders the answer to a command, whole lines of it.
pub(super) fn answer(command: &Command, value: &Value) -> String {
    match command {
        Command::Add { .. } => "done\n".into(),
        Command::Get { .. } => match value.as_str() {
            Some(value) => format!("{value}\n"),
            None => "(no value)\n".into(),
        },
        Command::Cas { .. } => "swapped\n".into(),
        Command::Append { .. } => format!("{} bytes\n", value["length"]),
        Command::Delete { .. } if value["existed"] == true => "deleted\n".into(),
        Command::Delete { .. } => "(no value)\n".into(),
        Command::Open { account, .. }
        | Command::Deposit { account, .. }
        | Command::Withdraw { account, .. }
        | Command::Account { account, .. } => describe_account(account, value),
        Command::Trade { .. } => format!("trade {}\n", value["trade"]),
        Command::Transfer { from, .. } => format!("{from}  cash {}\n", value["cash"]),
        Command::Book { .. } => describe_book(value),
        Command::History { .. } => describe_history(value),
        Command::Status | Command::Member(_) | Command::Snapshot => String::new(),
        // The name alone, for scripts to keep.
        Command::Session(SessionCommand::Open { .. }) => format!("{}\n", value["session"]),
        Command::Session(SessionCommand::KeepAlive { .. }) => {
            format!("lives for {} ms without a sign of life\n", value["ttl_ms"])
        }
        Command::Session(SessionCommand::Close { .. }) if value["existed"] == true => {
            "closed\n".into()
        }
        Command::Session(SessionCommand::Close { .. }) => "(no such session)\n".into(),
    }
}

/// Renders why the system refused.
pub(super) fn refusal(value: &Value) -> String {
    match (value["rejected"].as_str(), &value["mismatch"]) {
        (Some(why), _) => why.into(),
        (None, Value::String(found)) => format!("the value is {found:?}"),
        (None, _) => "there is no value".into(),
    }
}

/// Renders what an operation took; none if its first attempt was answered.
pub(super) fn effort(effort: Effort) -> Option<String> {
    let Effort { attempts, unclear } = effort;
    (attempts > 1).then(|| match unclear {
        0 => format!("{attempts} attempts, all but the last refused"),
        _ => format!("{attempts} attempts, {unclear} of them with an unknown end"),
    })
}

/// Renders what a node says of itself.
pub(super) fn status(address: &str, report: &NodeReport) -> String {
    let leader = match report.leader {
        0 => "none".into(),
        leader => format!("n{leader}"),
    };
    let log = match report.first_log_index..=report.last_log_index {
        log if log.is_empty() => "(empty)".into(),
        log => format!("{}-{}", log.start(), log.end()),
    };
    let mut text = format!(
        "{address}  n{} {}  term {}  leader {leader}  members {}  log {log}  committed {}  applied {}",
        report.id,
        report.role,
        report.term,
        members(&report.membership),
        report.commit_index,
        report.last_applied,
    );
    let mut add = |part: String| {
        text.push_str("  ");
        text.push_str(&part);
    };
    if report.snapshot_index > 0 {
        add(format!("snapshot {}", report.snapshot_index));
    }
    match report.recovered_snapshot {
        0 => add(format!("recovered {}", report.recovered_entries)),
        from => add(format!("recovered snapshot {from} and {}", report.recovered_entries)),
    }
    add(format!("version {}", report.version));
    text
}

/// Renders who is in a cluster: `n1,n2,n3`, and if there are any `outgoing n4` and `learners n5`.
pub(super) fn members(members: &Members) -> String {
    let list = |ids: &BTreeSet<u64>| {
        let ids: Vec<_> = ids.iter().map(|id| format!("n{id}")).collect();
        ids.join(",")
    };
    let mut text = match members.voters.is_empty() {
        true => "none".into(),
        false => list(&members.voters),
    };
    for (name, ids) in [("outgoing", &members.outgoing), ("learners", &members.learners)] {
        if !ids.is_empty() {
            text.push_str(&format!(" {name} {}", list(ids)));
        }
    }
    text
}

fn describe_account(name: &str, account: &Value) -> String {
    let mut text = format!("{name}  cash {}", account["cash"]);
    for (symbol, quantity) in account["holdings"].as_object().into_iter().flatten() {
        write!(text, "  {symbol} {quantity}").expect("a string takes all that is written");
    }
    text.push('\n');
    text
}

fn describe_book(book: &Value) -> String {
    let accounts = book["accounts"].as_object().into_iter().flatten();
    let mut text: String =
        accounts.map(|(name, account)| describe_account(name, account)).collect();
    writeln!(text, "{} trades", book["trades"]).expect("a string takes all that is written");
    text
}

fn describe_history(history: &Value) -> String {
    let mut text = String::new();
    for trade in history["trades"].as_array().into_iter().flatten() {
        let name = |field: &str| trade[field].as_str().unwrap_or_default();
        writeln!(
            text,
            "{}  {} buys {} {} from {} at {}",
            trade["trade"],
            name("buyer"),
            trade["quantity"],
            name("symbol"),
            name("seller"),
            trade["price"],
        )
        .expect("a string takes all that is written");
    }
    writeln!(text, "{} trades in all", history["total"])
        .expect("a string takes all that is written");
    text
}
