//! What operators ask of a cluster: who is in it, who leads it, snapshots.
//!
//! Whatever is asked of the leader is asked again until it is done or the time is over. That is sound
//! because each order names a state and not a step: a node that is to be in is in, however often it
//! was asked. A node that leads answers only once all before is decided, so an answer to a repetition
//! is as good as the one that was lost.

mod target;

use std::collections::BTreeSet;
use std::time::Instant;

use clap::Subcommand;
use proto::admin::{ChangeMembershipRequest, SnapshotRequest, TransferRequest};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Status;

use super::args::ClientArgs;
use super::{End, render};
use crate::client::leader::{self, Ended, Proof, Search};
use crate::client::{Members, NodeReport};

/// What `member --help` teaches at its end.
const LESSON: &str = "\
Examples, to be read as `stormproof client --endpoints HOST:PORT,… member …`:
  member list                 who is in the cluster, and how far behind the leader
  member add 4 5              nodes 4 and 5 are to vote
  member replace 2 6          node 6 votes instead of node 2, in one step
  member remove 1             node 1 leaves, even if it leads
  member learner 7            node 7 is sent everything but does not vote
  member transfer 3           node 3 is to lead

To add a node, give its address to every node first (`peers` in the configurations, read at the next
start), and start it with `join: true`. It is sent a snapshot and the log before it gets a vote, which
may take longer than the usual --timeout. A majority of both the old and the new voters has to be up.

Every order can be given again: what is so already is not done twice. --endpoints must include
the leader's.";

/// What is asked of the cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[command(after_help = LESSON)]
pub(super) enum MemberCommand {
    /// Print who is in the cluster
    List,
    /// Give nodes a vote
    Add {
        #[arg(required = true, value_name = "ID", value_parser = id)]
        ids: Vec<u64>,
    },
    /// Take nodes out of the cluster
    Remove {
        #[arg(required = true, value_name = "ID", value_parser = id)]
        ids: Vec<u64>,
    },
    /// Take a node out and give another one its vote, in one step
    Replace {
        #[arg(value_name = "OLD", value_parser = id)]
        old: u64,
        #[arg(value_name = "NEW", value_parser = id)]
        new: u64,
    },
    /// Let nodes follow without a vote, be they new or voters until now
    Learner {
        #[arg(required = true, value_name = "ID", value_parser = id)]
        ids: Vec<u64>,
    },
    /// Hand the leadership to another voter
    Transfer {
        #[arg(value_name = "ID", value_parser = id)]
        to: u64,
    },
}

/// An order of an operator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order<'a> {
    /// To the cluster.
    Member(&'a MemberCommand),
    /// To every node.
    Snapshot,
}

/// Carries out an order, says what came of it and how it ended.
pub(super) async fn execute(args: &ClientArgs, order: Order<'_>) -> End {
    let mut search = Search::new(&args.endpoints, Instant::now() + args.timeout);
    match order {
        Order::Snapshot => snapshot(args).await,
        Order::Member(MemberCommand::List) => {
            let ended = search.ask_leader(async |_, leader| Ok(leader)).await;
            let describe = |leader: &NodeReport| describe_members(leader);
            show(args, &ended, describe, |leader| json!(leader))
        }
        Order::Member(MemberCommand::Transfer { to }) => {
            let ended = transfer(&mut search, *to).await;
            let describe =
                |leader: &NodeReport| format!("n{} leads in term {}", leader.id, leader.term);
            show(args, &ended, describe, |leader| json!({"leader": leader.id, "term": leader.term}))
        }
        Order::Member(change) => {
            let ended = change_membership(&mut search, change).await;
            let describe = |members: &Members| format!("members {}", render::members(members));
            show(args, &ended, describe, |members| json!(members))
        }
    }
}

async fn change_membership(search: &mut Search<'_>, order: &MemberCommand) -> Ended<Members> {
    let change = search.ask_leader(async |mut admin, leader| {
        let members = leader.membership;
        let wanted = target::of(order, &members)
            .map_err(|error| leader::not_applied(Status::invalid_argument(error.to_string())))?;
        let request = ChangeMembershipRequest {
            voters: wanted.voters.iter().copied().collect(),
            learners: wanted.learners.iter().copied().collect(),
            // What is under way already may end as something else than what it looks like.
            expected: Some(members.into()),
        };
        let changed = admin.change_membership(request).await?.into_inner();
        let missing = || Status::internal("the answer lacks the membership");
        Ok(Members::from(changed.membership.ok_or_else(missing)?))
    });
    change.await
}

async fn transfer(search: &mut Search<'_>, to: u64) -> Ended<NodeReport> {
    let transfer = search.ask_leader(async |mut admin, leader| {
        if leader.id != to {
            admin.transfer(TransferRequest { to }).await?;
        }
        Ok(())
    });
    match transfer.await {
        Ended::Done(()) => {}
        Ended::Refused(error) => return Ended::Refused(error),
        Ended::Unknown(error) => return Ended::Unknown(error),
        Ended::Unreached(error) => return Ended::Unreached(error),
    }
    match search.ask_leader(async |_, leader| Ok(leader)).await {
        Ended::Done(leader) if leader.id != to => {
            Ended::Refused(format!("n{} was elected instead, in term {}", leader.id, leader.term))
        }
        // The old leader has left; only nobody can say for whom.
        Ended::Unreached(error) => Ended::Unknown(error),
        ended => ended,
    }
}

/// Has every node save its state, all at once, so that one that hangs holds up no other. Done if all
/// of them did.
async fn snapshot(args: &ClientArgs) -> End {
    let deadline = Instant::now() + args.timeout;
    let mut asked = JoinSet::new();
    for (place, address) in args.endpoints.iter().cloned().enumerate() {
        asked.spawn(async move {
            let saved = leader::ask(&address, deadline, async |mut admin| {
                Ok(admin.snapshot(SnapshotRequest {}).await?.into_inner().index)
            });
            (place, saved.await)
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    let mut end = End::Done;
    for (place, saved) in answers {
        let address = &args.endpoints[place];
        match (saved, args.json) {
            (Ok(index), true) => println!("{}", json!({"endpoint": address, "snapshot": index})),
            (Ok(index), false) => println!("{address}  snapshot {index}"),
            (Err(error), is_json) => {
                // A node that was asked and did not answer may save it yet.
                end = match leader::prove(&error) {
                    Proof::Doubt => End::Unknown,
                    _ if end == End::Unknown => End::Unknown,
                    _ => End::Unreached,
                };
                if is_json {
                    println!("{}", json!({"endpoint": address, "error": error.message()}));
                } else {
                    println!("{address}  {}", error.message());
                }
            }
        }
    }
    end
}

fn show<T>(
    args: &ClientArgs,
    ended: &Ended<T>,
    describe: impl Fn(&T) -> String,
    value: impl Fn(&T) -> Value,
) -> End {
    let (end, outcome, prefix, error) = match ended {
        Ended::Done(it) => {
            if args.json {
                println!("{}", json!({"outcome": "ok", "value": value(it)}));
            } else {
                println!("{}", describe(it));
            }
            return End::Done;
        }
        Ended::Refused(error) => (End::Refused, "fail", "refused", error),
        Ended::Unreached(error) => (End::Unreached, "fail", "not done", error),
        Ended::Unknown(error) => {
            (End::Unknown, "info", "outcome unknown, it may still take effect", error)
        }
    };
    if args.json {
        println!("{}", json!({"outcome": outcome, "error": error}));
    }
    eprintln!("{prefix}: {error}");
    end
}

/// Renders a leader's membership, a node a line.
fn describe_members(leader: &NodeReport) -> String {
    let Members { voters, outgoing, learners } = &leader.membership;
    let mut lines = vec![];
    for id in voters.iter().chain(outgoing.difference(voters)).chain(learners.difference(outgoing))
    {
        let is = |ids: &BTreeSet<u64>| ids.contains(id);
        let part = match (is(voters), is(outgoing), is(learners)) {
            (true, false, _) if !outgoing.is_empty() => "incoming voter",
            (true, ..) => "voter",
            (false, true, false) => "outgoing voter",
            (false, true, true) => "outgoing voter, then learner",
            (false, false, _) => "learner",
        };
        let standing = match leader.followers.get(id) {
            _ if *id == leader.id => {
                format!("leads term {}, log to {}", leader.term, leader.last_log_index)
            }
            Some(matched) => format!("log matches to {matched}"),
            None => "not followed".into(),
        };
        lines.push(format!("n{id}  {part}  {standing}"));
    }
    lines.join("\n")
}

fn id(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('n').unwrap_or(text).parse().ok().filter(|id| *id > 0);
    number.ok_or_else(|| "a node is named by its number, such as 4 or n4".into())
}

#[cfg(test)]
mod tests;
