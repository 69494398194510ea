//! The command line of the client tool.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use proto::Ticket;
use serde_json::{Value, json};

use super::admin::{MemberCommand, Order};
use crate::client::{Api, Assurance};
use crate::workload::Invocation;

/// The shortest life that `--exactly-once` asks for its session: long enough for a few elections.
const SESSION_MIN: Duration = Duration::from_secs(60);

/// What `--help` teaches at its end.
const LESSON: &str = "\
Examples:
  stormproof client --endpoints 127.0.0.1:7001,127.0.0.1:7002 add colour red
  stormproof client --endpoints 127.0.0.1:7001 cas colour --expected red green
  stormproof client --endpoints 127.0.0.1:7001 open book-1 alice --cash 100000 --holding ACME=100
  stormproof client --endpoints 127.0.0.1:7001 trade book-1 --buyer bob --seller alice \\
      --symbol ACME --quantity 10 --price 2500
  stormproof client --endpoints 127.0.0.1:7001 --json book book-1
  stormproof client --endpoints 127.0.0.1:7001 --exactly-once --timeout 30s deposit book-1 bob 500
  stormproof client --endpoints 127.0.0.1:7001,127.0.0.1:7002 --timeout 1m member add 4 5

Name as many endpoints as you know: the client asks another node when one is not the leader or
cannot be reached.

By itself it never sends an operation again whose outcome is unknown: that could do it twice. With
--exactly-once it opens a session, in which the cluster knows a repetition, and sends the operation
again until it has an answer or --timeout is over. So even a change of leader ends in an answer.

Scripts can hold a session of their own. Every operation that changes something gets a number that no
other one has; a line that ends with code 3 is run again as it is, and does its work once:
  S=$(stormproof client --endpoints 127.0.0.1:7001 session open --ttl 10m)
  stormproof client --endpoints 127.0.0.1:7001 --session $S --sequence 1 deposit book-1 bob 500
  stormproof client --endpoints 127.0.0.1:7001 --session $S --sequence 2 withdraw book-1 bob 20
  stormproof client --endpoints 127.0.0.1:7001 session close $S
A number must be less than 256 above the first that is not acknowledged: --first-unanswered N says
that everything below N is answered. A session that is not used for its time to live ends; then nobody
can tell any more whether an operation without an answer was done, and the code stays 3.

Exit codes:
  0  done; that a key has no value is an answer as well
  1  refused: the ledger rejected it, compare-and-set found another value, there is no session
     to keep alive, or the cluster cannot become what was asked
  2  the command line makes no sense
  3  outcome unknown: it may have been done, or be done yet. With --session this is the code of
     everything without an answer: an earlier call with the same number may have done it
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
    /// Send it again, in a session, until it is answered or --timeout is over: it is done once
    #[arg(global = true, long)]
    exactly_once: bool,
    /// Do it in this session, see `session open`; once for each --sequence
    #[arg(global = true, long = "session", value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    in_session: Option<u64>,
    /// The operation's number in the session
    #[arg(global = true, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: Option<u64>,
    /// All numbers below this one are answered, and will not be asked for again
    #[arg(global = true, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    first_unanswered: Option<u64>,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl ClientArgs {
    /// Checks that a number is given only to what takes one: it would seem to be kept account of.
    pub(super) fn check_numbered(&self) -> Result<(), &'static str> {
        let is_numbered = self.in_session.or(self.sequence).or(self.first_unanswered).is_some();
        match self.command {
            Command::Status | Command::Member(_) | Command::Snapshot if is_numbered => {
                Err("this can be asked again as it is and needs no session; leave --session and \
                    --sequence out")
            }
            _ => Ok(()),
        }
    }

    /// Returns how to make sure of the operation.
    pub(super) fn assurance(&self, request: &Request) -> Result<Assurance, &'static str> {
        let is_read = request.api.is_read(request.invocation.f);
        // A global option cannot require or exclude another for the parser: they may be given in
        // different places.
        match (self.exactly_once, self.in_session, self.sequence, self.first_unanswered) {
            (false, None, None, None) => Ok(Assurance::AtMostOnce),
            _ if request.api == Api::Session => Err("a session is opened, kept alive and closed \
                without --exactly-once, --session and --sequence"),
            (true, None, None, None) => {
                // The session must outlast what it is opened for.
                Ok(Assurance::ExactlyOnce { ttl: (self.timeout * 2).max(SESSION_MIN) })
            }
            (true, ..) => Err("--exactly-once opens a session by itself; leave --session and \
                --sequence out"),
            (false, Some(_), Some(_), _) if is_read => Err("a read changes nothing and needs no \
                session; leave --session and --sequence out"),
            (false, Some(session), Some(sequence), first) => {
                let first_unanswered = first.unwrap_or(1);
                if first_unanswered > sequence {
                    return Err("--first-unanswered must not be above --sequence");
                }
                Ok(Assurance::Given(Ticket { session, sequence, first_unanswered }))
            }
            (false, ..) => {
                Err("--session and --sequence go together, --first-unanswered with both")
            }
        }
    }
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
    /// Open, keep or close a session
    #[command(subcommand)]
    Session(SessionCommand),
    /// Show or change who is in the cluster, and who leads it
    #[command(subcommand)]
    Member(MemberCommand),
    /// Have every node at the endpoints save its state and forget the log before it
    Snapshot,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// Open a session and print its ID
    Open {
        /// How long it lives when it is not used; from 1s to 1h
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
        ttl: Duration,
    },
    /// Give a sign of life
    KeepAlive {
        #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
    },
    /// Close a session: nothing in it will be done any more
    Close {
        #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
    },
}

/// What is to be asked of the cluster.
pub(super) struct Request {
    pub(super) api: Api,
    pub(super) invocation: Invocation,
}

impl Command {
    /// Returns what is asked of an operator's kind, if it is.
    pub(super) fn order(&self) -> Option<Order<'_>> {
        match self {
            Self::Member(command) => Some(Order::Member(command)),
            Self::Snapshot => Some(Order::Snapshot),
            _ => None,
        }
    }

    /// Returns what to ask; none if it is no operation.
    pub(super) fn request(&self) -> Result<Option<Request>, String> {
        let nothing = String::new();
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
            Self::Status | Self::Member(_) | Self::Snapshot => return Ok(None),
            Self::Session(SessionCommand::Open { ttl }) => {
                let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                (Api::Session, "open", &nothing, json!({"ttl_ms": ttl_ms.max(1)}))
            }
            Self::Session(SessionCommand::KeepAlive { id }) => {
                (Api::Session, "keep-alive", &id.to_string(), Value::Null)
            }
            Self::Session(SessionCommand::Close { id }) => {
                (Api::Session, "close", &id.to_string(), Value::Null)
            }
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
