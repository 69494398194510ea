//! Finding the leader, and asking until it has done what it was asked.

use std::time::{Duration, Instant};

use proto::admin::admin_client::AdminClient;
use proto::{NOT_APPLIED, OUTCOME_KEY, REASON_KEY};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{NodeReport, ask_status};

/// How long one node may take to answer before others are asked.
const STATUS_MAX: Duration = Duration::from_secs(1);
/// Between two rounds of questions: an election takes a few of these.
const PAUSE: Duration = Duration::from_millis(100);

/// How an order ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// It is done.
    Done(T),
    /// The leader will not do it, and asking again will not help.
    Refused(String),
    /// It was not done, for want of a leader that would.
    Unreached(String),
    /// Nobody knows whether it was done or will be.
    Unknown(String),
}

/// What an attempt that was not done proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing was done; the next attempt may fare better.
    NotYet,
    /// Nothing, or not all of it, was done, and the next attempt would fare no better.
    Never,
    /// None; the next attempt may tell.
    Doubt,
    /// None, and the next attempt would fare no better.
    Open,
}

/// Looks for the leader until a deadline.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    endpoints: &'a [String],
    deadline: Instant,
}

impl<'a> Search<'a> {
    pub(crate) fn new(endpoints: &'a [String], deadline: Instant) -> Self {
        Self { endpoints, deadline }
    }

    /// Asks whoever leads, again and again, until it is done, refused for good, or the time is over.
    pub(crate) async fn ask_leader<T, Asked>(
        &mut self,
        ask_it: impl Fn(AdminClient<Channel>, NodeReport) -> Asked,
    ) -> Ended<T>
    where
        Asked: Future<Output = Result<T, Status>>,
    {
        let mut is_in_doubt = false;
        loop {
            let why = match self.find().await {
                Err(why) => why,
                Ok((address, leader)) => {
                    let asked = ask(address, self.deadline, |admin| ask_it(admin, leader.clone()));
                    match asked.await {
                        Ok(done) => return Ended::Done(done),
                        Err(status) => {
                            let why = format!("n{}: {}", leader.id, describe(&status));
                            match prove(&status) {
                                Proof::Never => return Ended::Refused(why),
                                Proof::NotYet => {}
                                Proof::Doubt => is_in_doubt = true,
                                Proof::Open => return Ended::Unknown(why),
                            }
                            why
                        }
                    }
                }
            };
            if Instant::now() + PAUSE >= self.deadline {
                return if is_in_doubt { Ended::Unknown(why) } else { Ended::Unreached(why) };
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks all nodes, and returns who leads the latest term of all who say that they do.
    async fn find(&self) -> Result<(&'a str, NodeReport), String> {
        let deadline = self.deadline.min(Instant::now() + STATUS_MAX);
        let mut asked = JoinSet::new();
        for (place, address) in self.endpoints.iter().cloned().enumerate() {
            asked.spawn(async move { (place, ask_status(&address, deadline).await) });
        }
        let mut hint = None;
        let mut why = None;
        let mut found: Option<(&str, NodeReport)> = None;
        for (place, answer) in asked.join_all().await {
            let address = &self.endpoints[place];
            match answer {
                Ok(report) if report.role == "leader" => {
                    if found.as_ref().is_none_or(|(_, other)| other.term < report.term) {
                        found = Some((address, report));
                    }
                }
                Ok(report) => hint = hint.max(Some(report.leader).filter(|leader| *leader > 0)),
                Err(error) => why = Some(format!("{address}: {error}")),
            }
        }
        found.ok_or_else(|| match (hint, why) {
            (_, Some(why)) => format!("no leader found; {why}"),
            (Some(leader), None) => {
                format!("no leader found; n{leader} is said to lead: add its endpoint")
            }
            (None, None) => "no leader found; none is elected".into(),
        })
    }
}

/// Asks one node over a connection of its own.
pub(crate) async fn ask<T, Asked>(
    address: &str,
    deadline: Instant,
    ask_it: impl FnOnce(AdminClient<Channel>) -> Asked,
) -> Result<T, Status>
where
    Asked: Future<Output = Result<T, Status>>,
{
    let asking = async {
        // Until there is a connection nothing was asked.
        let unsent = |error: tonic::transport::Error| {
            not_applied(Status::unavailable(format!("failed to connect: {error}")))
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unsent)?;
        let channel = endpoint.connect_timeout(STATUS_MAX).connect().await.map_err(unsent)?;
        ask_it(AdminClient::new(channel)).await
    };
    let answer = timeout_at(deadline.into(), asking).await;
    answer.unwrap_or_else(|_| Err(Status::unknown("no answer in time")))
}

/// Marks a status: nothing was done and nothing will be.
pub(crate) fn not_applied(mut status: Status) -> Status {
    status.metadata_mut().insert(OUTCOME_KEY, MetadataValue::from_static(NOT_APPLIED));
    status
}

/// Returns what a status proves of what was asked (see `admin.proto`).
pub(crate) fn prove(status: &Status) -> Proof {
    let word = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    let is_certain = word(OUTCOME_KEY) == Some(NOT_APPLIED);
    match word(REASON_KEY) {
        Some("not-caught-up") => Proof::Never,
        // The leader leads on, but it has told the successor to campaign and cannot take that back.
        Some("timed-out") => Proof::Open,
        _ if is_certain && status.code() == Code::InvalidArgument => Proof::Never,
        _ if is_certain => Proof::NotYet,
        // A node of an earlier version, which knows no such order.
        _ if status.code() == Code::Unimplemented => Proof::Never,
        _ => Proof::Doubt,
    }
}

fn describe(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}
