//! The command line of the client tool.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Api;
use crate::workload::Invocation;

/// What `--help` teaches at its end.
const LESSON: &str = "\
Examples:
  stormproof client --endpoints 127.0.0.1:7001,127.0.0.1:7002 add colour red
  stormproof client --endpoints 127.0.0.1:7001 cas colour --expected red green
  stormproof client --endpoints 127.0.0.1:7001 open book-1 alice --cash 100000 --holding ACME=100
  stormproof client --endpoints 127.0.0.1:7001 trade book-1 --buyer bob --seller alice \\
      --symbol ACME --quantity 10 --price 2500
  stormproof client --endpoints 127.0.0.1:7001 --json book book-1

Name as many endpoints as you know: the client asks another node when one is not the leader or
cannot be reached. It never sends an operation again whose outcome is unknown.

Exit codes:
  0  done; that a key has no value is an answer as well
  1  refused: the ledger rejected it, or compare-and-set found another value
  2  the command line makes no sense
  3  outcome unknown: it may have been done, or be done yet
  4  certainly not done: no node could be reached that would do it";

/// Carry out one operation on a running cluster
#[derive(Clone, Debug, Args)]
#[command(after_help = LESSON)]
pub struct ClientArgs {
    /// Where the nodes listen to clients
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',', required = true, value_parser = endpoint)]
    pub(super) endpoints: Vec<String>,
    /// Print one JSON object a line
    #[arg(global = true, long)]
    pub(super) json: bool,
    /// How long to wait for an answer
    #[arg(global = true, long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Give a key a value
    #[command(alias = "put")]
    Add { key: String, value: String },
    /// Print the value of a key
    Get { key: String },
    /// Give a key a value if it has the expected one
    Cas {
        key: String,
        /// The value that it must have; without this it must have none
        #[arg(long)]
        expected: Option<String>,
        value: String,
    },
    /// Append to the value of a key
    Append { key: String, value: String },
    /// Take a key's value away
    Delete { key: String },
    /// Open an account
    Open {
        book: String,
        account: String,
        /// In cents
        #[arg(long, default_value_t = 0)]
        cash: u64,
        /// Shares to begin with; may be given several times
        #[arg(long = "holding", value_name = "SYMBOL=QUANTITY", value_parser = holding)]
        holdings: Vec<(String, u64)>,
    },
    /// Pay cash in
    Deposit {
        book: String,
        account: String,
        /// In cents
        amount: u64,
    },
    /// Take cash out
    Withdraw {
        book: String,
        account: String,
        /// In cents
        amount: u64,
    },
    /// Move shares and cash between two accounts, together or not at all
    Trade {
        book: String,
        #[arg(long)]
        buyer: String,
        #[arg(long)]
        seller: String,
        #[arg(long)]
        symbol: String,
        #[arg(long)]
        quantity: u64,
        /// In cents a share
        #[arg(long)]
        price: u64,
    },
    /// Move cash between two accounts
    Transfer {
        book: String,
        from: String,
        to: String,
        /// In cents
        amount: u64,
    },
    /// Print an account
    Account { book: String, account: String },
    /// Print all accounts of a book
    Book { book: String },
    /// Print the trades of a book
    History {
        book: String,
        /// The number of the first trade to print
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// At most so many; 0: all
        #[arg(long, default_value_t = 0)]
        limit: u32,
    },
    /// Print what each node says of itself
    Status,
}

/// What is to be asked of the cluster.
pub(super) struct Request {
    pub(super) api: Api,
    pub(super) invocation: Invocation,
}

impl Command {
    /// Returns what to ask; none if it is every node's status.
    pub(super) fn request(&self) -> Result<Option<Request>, String> {
        let (api, f, key, value) = match self {
            Self::Add { key, value } => (Api::Kv, "put", key, json!(value)),
            Self::Get { key } => (Api::Kv, "get", key, Value::Null),
            Self::Cas { key, expected, value } => {
                (Api::Kv, "cas", key, json!({"expected": expected, "value": value}))
            }
            Self::Append { key, value } => (Api::Kv, "append", key, json!(value)),
            Self::Delete { key } => (Api::Kv, "delete", key, Value::Null),
            Self::Open { book, account, cash, holdings } => {
                let mut shares = BTreeMap::new();
                for (symbol, quantity) in holdings {
                    if shares.insert(symbol, quantity).is_some() {
                        return Err(format!("--holding {symbol} is given twice; give the sum"));
                    }
                }
                let value = json!({"account": account, "cash": cash, "holdings": shares});
                (Api::Ledger, "open", book, value)
            }
            Self::Deposit { book, account, amount } => {
                (Api::Ledger, "deposit", book, json!({"account": account, "amount": amount}))
            }
            Self::Withdraw { book, account, amount } => {
                (Api::Ledger, "withdraw", book, json!({"account": account, "amount": amount}))
            }
            Self::Trade { book, buyer, seller, symbol, quantity, price } => {
                let value = json!({"buyer": buyer, "seller": seller, "symbol": symbol,
                    "quantity": quantity, "price": price});
                (Api::Ledger, "trade", book, value)
            }
            Self::Transfer { book, from, to, amount } => {
                let value = json!({"from": from, "to": to, "amount": amount});
                (Api::Ledger, "transfer", book, value)
            }
            Self::Account { book, account } => {
                (Api::Ledger, "account", book, json!({"account": account}))
            }
            Self::Book { book } => (Api::Ledger, "book", book, Value::Null),
            Self::History { book, from, limit } => {
                (Api::Ledger, "history", book, json!({"from": from, "limit": limit}))
            }
            Self::Status => return Ok(None),
        };
        let invocation = Invocation::new(f, key, value);
        Ok(Some(Request { api, invocation }))
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let is_endpoint = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    match is_endpoint {
        true => Ok(text.into()),
        false => Err("an endpoint is HOST:PORT, such as 127.0.0.1:7001".into()),
    }
}

fn holding(text: &str) -> Result<(String, u64), String> {
    text.split_once('=')
        .filter(|(symbol, _)| !symbol.is_empty())
        .and_then(|(symbol, quantity)| Some((symbol.into(), quantity.parse().ok()?)))
        .ok_or_else(|| "a holding is SYMBOL=QUANTITY, such as ACME=100".into())
}
