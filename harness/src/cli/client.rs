//! `stormproof client`: one operation on a running cluster, from the command line.

mod admin;
mod args;
mod render;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use args::ClientArgs;

use self::args::{Command, Request};
use crate::client::{
    Client, Effort, Endpoint, NodeReport, Outcome, Placement, StormproofClient, ask_status,
};
use crate::seed::Seed;

/// How long a session that was opened for one operation may take to be closed; it would end by itself.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// What the tool ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was done.
    Done = 0,
    /// The system refused: a rejection or a mismatch.
    Refused = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Nobody knows whether it was done.
    Unknown = 3,
    /// It was certainly not done: no node could be reached that would do it.
    Unreached = 4,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(end as u8)
    }
}

/// Runs the tool and says how it ended.
pub fn run(args: ClientArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(execute(args)).into(),
        Err(error) => {
            eprintln!("error: failed to start the runtime: {error}");
            End::Unreached.into()
        }
    }
}

async fn execute(args: ClientArgs) -> End {
    if let Err(mistake) = args.check_numbered() {
        eprintln!("error: {mistake}");
        return End::Usage;
    }
    if let Some(order) = args.command.order() {
        return admin::execute(&args, order).await;
    }
    let request = match args.command.request() {
        Ok(Some(request)) => request,
        Ok(None) => return show_status(&args).await,
        Err(mistake) => {
            eprintln!("error: {mistake}");
            return End::Usage;
        }
    };
    let assurance = match args.assurance(&request) {
        Ok(assurance) => assurance,
        Err(mistake) => {
            eprintln!("error: {mistake}");
            return End::Usage;
        }
    };
    let endpoints =
        args.endpoints.iter().map(|address| Endpoint { address: address.clone(), node: None });
    let random = Seed::fresh().generator();
    let placement = Placement::LeaderFollowing;
    let mut client = StormproofClient::new(request.api, endpoints.collect(), placement, random)
        .with_assurance(assurance);
    let outcome = match &args.command {
        Command::History { limit: 0, .. } => read_whole(&mut client, request, args.timeout).await,
        _ => client.execute(&request.invocation, Instant::now() + args.timeout).await,
    };
    let end = show(&args, &outcome, client.effort());
    client.close_session(Instant::now() + CLOSE_MAX).await;
    end
}

/// Reads the history page by page, because one answer may not hold it all.
async fn read_whole(
    client: &mut StormproofClient,
    mut request: Request,
    timeout: Duration,
) -> Outcome {
    let deadline = Instant::now() + timeout;
    let mut trades: Vec<Value> = Vec::new();
    loop {
        let outcome = client.execute(&request.invocation, deadline).await;
        let Outcome::Ok { value, position } = outcome else {
            return outcome;
        };
        let page = value["trades"].as_array().cloned().unwrap_or_default();
        let last = page.last().and_then(|trade| trade["trade"].as_u64());
        let total = value["total"].as_u64().unwrap_or(0);
        trades.extend(page);
        match last {
            Some(last) if last < total => request.invocation.value["from"] = json!(last + 1),
            _ => {
                let value = json!({"trades": trades, "total": total});
                return Outcome::Ok { value, position };
            }
        }
    }
}

fn show(args: &ClientArgs, outcome: &Outcome, effort: Effort) -> End {
    let end = match outcome {
        Outcome::Ok { value, .. } if crate::workload::is_refusal(value) => End::Refused,
        Outcome::Ok { .. } => End::Done,
        Outcome::Fail { .. } => End::Unreached,
        Outcome::Info { .. } => End::Unknown,
    };
    // Only what was sent in a session is counted.
    let print = |mut line: Value| {
        if effort != Effort::default() {
            line["attempts"] = json!(effort.attempts);
            line["unclear"] = json!(effort.unclear);
        }
        println!("{line}");
    };
    match outcome {
        Outcome::Ok { value, position } if args.json => {
            print(json!({"outcome": "ok", "value": value, "position": position}));
        }
        Outcome::Ok { value, .. } if end == End::Refused => {
            eprintln!("refused: {}", render::refusal(value));
        }
        Outcome::Ok { value, .. } => print!("{}", render::answer(&args.command, value)),
        Outcome::Fail { error } => {
            if args.json {
                print(json!({"outcome": "fail", "error": error}));
            }
            eprintln!("not done: {error}");
        }
        Outcome::Info { error } => {
            if args.json {
                print(json!({"outcome": "info", "error": error}));
            }
            eprintln!("outcome unknown, it may still take effect: {error}");
        }
    }
    if let Some(effort) = render::effort(effort) {
        eprintln!("{effort}");
    }
    end
}

/// Asks every node how it is; done if at least one answers.
async fn show_status(args: &ClientArgs) -> End {
    let mut end = End::Unreached;
    for address in &args.endpoints {
        let report = ask_status(address, Instant::now() + args.timeout).await;
        if report.is_ok() {
            end = End::Done;
        }
        match (report, args.json) {
            (Ok(report), true) => println!("{}", status_json(address, &report)),
            (Ok(report), false) => println!("{}", render::status(address, &report)),
            (Err(error), true) => {
                println!("{}", json!({"endpoint": address, "error": error.to_string()}))
            }
            (Err(error), false) => println!("{address}  {error}"),
        }
    }
    end
}

fn status_json(address: &str, report: &NodeReport) -> Value {
    let mut value = json!(report);
    value["endpoint"] = json!(address);
    value
}

#[cfg(test)]
mod tests;
