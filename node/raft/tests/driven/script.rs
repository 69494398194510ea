//! The words of the scripts.

use std::error::Error;

use goldenscript::{Command, Context};
use raft::{
    Entry, HardState, Input, Limits, LogIndex, Membership, NodeId, Payload, Recovered, RequestId,
    Role, Term,
};

use crate::cluster::{Cluster, ELECTION_TIMEOUT, Link, Settings};
use crate::describe;

/// Rounds after which a cluster that is left to itself must have gone quiet.
const ROUNDS_MAX: usize = 200;

/// Runs one script on one cluster.
#[derive(Default)]
pub(crate) struct Script {
    cluster: Cluster,
    requests: u64,
}

/// The bounds that `cluster` takes.
const BOUNDS: [&str; 14] = [
    "per_message",
    "bytes_per_message",
    "in_flight",
    "bytes_in_flight",
    "uncommitted",
    "bytes_uncommitted",
    "command",
    "reads",
    "chunk",
    "per_snapshot",
    "bytes_per_snapshot",
    "kept",
    "bytes_kept",
    "applying",
];

fn set_bound(limits: &mut Limits, bound: &str, value: u64) {
    let bytes = usize::try_from(value).unwrap();
    match bound {
        "per_message" => limits.entries_per_message = bytes,
        "bytes_per_message" => limits.bytes_per_message = bytes,
        "in_flight" => limits.messages_in_flight = bytes,
        "bytes_in_flight" => limits.bytes_in_flight = bytes,
        "uncommitted" => limits.entries_uncommitted = value,
        "bytes_uncommitted" => limits.bytes_uncommitted = bytes,
        "command" => limits.bytes_per_command = bytes,
        "reads" => limits.reads_pending = bytes,
        "chunk" => limits.bytes_per_chunk = bytes,
        "per_snapshot" => limits.entries_per_snapshot = value,
        "bytes_per_snapshot" => limits.bytes_per_snapshot = bytes,
        "kept" => limits.entries_kept = value,
        "bytes_kept" => limits.bytes_kept = bytes,
        "applying" => limits.entries_applying = value,
        _ => unreachable!("{bound} is no bound"),
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Outcome<String> {
        let mut arguments = command.consume_args();
        let mut named = |key: &str| arguments.take_key(key).map(str::to_owned);
        let (from, to) = (named("from"), named("to"));
        let (term, vote, log) = (named("term"), named("vote"), named("log"));
        let (voters, learners) = (named("voters"), named("learners"));
        let count = named("count").map_or(Ok(usize::MAX), |count| count.parse())?;
        let joiners = named("joiners").map_or(Ok(0), |count| count.parse())?;
        let lease = named("lease").map(|drift| drift.parse()).transpose()?;
        let bounds: Vec<(&str, u64)> = BOUNDS
            .iter()
            .filter_map(|&bound| Some((bound, named(bound)?)))
            .map(|(bound, value)| Ok((bound, value.parse()?)))
            .collect::<Outcome<_>>()?;
        let mut words = vec![];
        while let Some(word) = arguments.next_pos() {
            words.push(word.to_owned());
        }
        arguments.reject_next()?;

        let mut story = vec![];
        match command.name.as_str() {
            // cluster SIZE [joiners=N] [pre_vote] [check_quorum] [lease=DRIFT] [BOUND=N]…: begins anew
            // with SIZE voters, and joiners that know of nobody.
            "cluster" => {
                let mut settings = Settings {
                    pre_vote: words.iter().any(|word| word == "pre_vote"),
                    check_quorum: words.iter().any(|word| word == "check_quorum"),
                    lease,
                    ..Settings::default()
                };
                for (bound, value) in bounds {
                    set_bound(&mut settings.limits, bound, value);
                }
                self.cluster = Cluster::new(number(words.first())?, joiners, settings);
            }
            // disk NODE term=T [vote=NODE] [log=T,T,…]: restarts a node with this on its disk; the
            // numbers are the terms of its entries.
            "disk" => {
                let id = self.node(words.first())?;
                self.cluster.wipe(id);
                let hard_state = HardState {
                    term: Term(term.ok_or("disk needs term=")?.parse()?),
                    vote: vote.map(|vote| parse_node(&vote)).transpose()?,
                };
                let entries = parse_log(log.as_deref().unwrap_or_default())?;
                let durable = Recovered { hard_state, snapshot: None, entries };
                self.node_mut(words.first())?.durable = durable;
                self.cluster.start(id);
            }
            // tick NODE [TIMES]
            "tick" => {
                let id = self.node(words.first())?;
                for _ in 0..words.get(1).map_or(Ok(1), |times| times.parse())? {
                    self.cluster.tick(id, &mut story);
                }
            }
            // wait TICKS: time passes of which the nodes' ticks know nothing, as if all were suspended.
            "wait" => self.cluster.wait(number(words.first())?.try_into()?),
            // campaign NODE: lets its election timer run out.
            "campaign" => {
                let id = self.node(words.first())?;
                let sent = |story: &Vec<String>| {
                    story
                        .iter()
                        .any(|line| line.contains("Vote term") || line.contains("is leader"))
                };
                for _ in 0..2 * ELECTION_TIMEOUT {
                    if !sent(&story) {
                        self.cluster.tick(id, &mut story);
                    }
                }
            }
            // heartbeat NODE: lets a leader's heartbeat timer run out.
            "heartbeat" => {
                let id = self.node(words.first())?;
                if self.up(id)?.role() != Role::Leader {
                    return Err(format!("{id} does not lead").into());
                }
                while story.is_empty() {
                    self.cluster.tick(id, &mut story);
                }
            }
            // propose NODE COMMAND…
            "propose" => {
                let id = self.node(words.first())?;
                for word in &words[1..] {
                    let request = self.next_request();
                    let input = Input::Propose { request, command: word.as_bytes().into() };
                    self.cluster.feed(id, input, &mut story);
                }
            }
            // read NODE
            "read" => {
                let id = self.node(words.first())?;
                let request = self.next_request();
                self.cluster.read(id, request, &mut story);
            }
            // transfer NODE NODE: the first is asked to hand its leadership to the second.
            "transfer" => {
                let id = self.node(words.first())?;
                let to = self.node(words.get(1))?;
                let request = self.next_request();
                let input = Input::TransferLeadership { request, to };
                self.cluster.feed(id, input, &mut story);
            }
            // change NODE voters=NODE,… [learners=NODE,…]: it is asked to change the membership.
            "change" => {
                let id = self.node(words.first())?;
                let request = self.next_request();
                let membership = Membership {
                    learners: parse_nodes(learners.as_deref().unwrap_or_default())?
                        .into_iter()
                        .collect(),
                    ..Membership::of(parse_nodes(voters.as_deref().unwrap_or_default())?)
                };
                let input = Input::ChangeMembership { request, membership };
                self.cluster.feed(id, input, &mut story);
            }
            // compact NODE: it is asked to take a snapshot.
            "compact" => {
                let id = self.node(words.first())?;
                self.cluster.feed(id, Input::Compact, &mut story);
            }
            // hold_snapshots NODE: snapshots that it takes wait to be saved. save NODE, fail NODE: the
            // one that waits is saved, or cannot be.
            "hold_snapshots" => self.node_mut(words.first())?.holds_snapshots = true,
            "save" | "fail" => {
                let id = self.node(words.first())?;
                self.cluster.save(id, command.name == "fail", &mut story);
            }
            // deliver [from=NODE] [to=NODE] [count=N]: what is under way arrives, at most N messages a
            // link; the answers stay under way.
            "deliver" => {
                let chosen = choose(from, to)?;
                self.cluster.deliver(chosen, count, &mut story);
            }
            // settle: everything is delivered until nothing is under way.
            "settle" => {
                let rounds = (0..ROUNDS_MAX)
                    .take_while(|_| self.cluster.deliver(|_| true, usize::MAX, &mut story));
                if rounds.count() == ROUNDS_MAX {
                    return Err("the cluster does not go quiet".into());
                }
            }
            // drop [from=NODE] [to=NODE]: what is under way is lost.
            "drop" => {
                let chosen = choose(from, to)?;
                self.cluster.links.retain(|&link, _| !chosen(link));
            }
            // double [from=NODE] [to=NODE]: what is under way will arrive twice.
            "double" => {
                let chosen = choose(from, to)?;
                for (&link, messages) in &mut self.cluster.links {
                    if chosen(link) {
                        let copies = messages.clone();
                        messages.extend(copies);
                    }
                }
            }
            // reverse [from=NODE] [to=NODE]: what is under way will arrive last first.
            "reverse" => {
                let chosen = choose(from, to)?;
                for (&link, messages) in &mut self.cluster.links {
                    if chosen(link) {
                        messages.make_contiguous().reverse();
                    }
                }
            }
            // cut [from=NODE] [to=NODE]: these links lose whatever is sent from now on, and what is
            // under way.
            "cut" => {
                let chosen = choose(from, to)?;
                for from in self.cluster.ids() {
                    for to in self.cluster.ids() {
                        if from != to && chosen((from, to)) {
                            self.cluster.cut.insert((from, to));
                            self.cluster.links.remove(&(from, to));
                        }
                    }
                }
            }
            // isolate NODE…: cut in both directions.
            "isolate" => {
                for word in &words {
                    let id = parse_node(word)?;
                    for peer in self.cluster.ids() {
                        for link in [(id, peer), (peer, id)] {
                            self.cluster.cut.insert(link);
                            self.cluster.links.remove(&link);
                        }
                    }
                }
            }
            "heal" => self.cluster.cut.clear(),
            // hold NODE: its writes stay on their way to the disk.
            "hold" => self.node_mut(words.first())?.holds_disk = true,
            // sync NODE [COUNT]: its oldest writes become durable; without a count all of them, and
            // the disk is no longer held.
            "sync" => {
                let id = self.node(words.first())?;
                let count = match words.get(1) {
                    Some(count) => count.parse()?,
                    None => {
                        self.node_mut(words.first())?.holds_disk = false;
                        usize::MAX
                    }
                };
                self.cluster.sync(id, count, &mut story);
            }
            // stall NODE: its state machine falls behind. apply NODE: it catches up.
            "stall" => self.node_mut(words.first())?.stalls_machine = true,
            "apply" => {
                let id = self.node(words.first())?;
                let node = self.node_mut(words.first())?;
                node.stalls_machine = false;
                let upto = node.applied;
                self.cluster.feed(id, Input::Applied { upto }, &mut story);
            }
            // crash NODE: it is gone, and with it whatever is not durable.
            "crash" => {
                for word in &words {
                    let id = parse_node(word)?;
                    self.cluster.crash(id);
                }
            }
            // wipe NODE: it is gone with its disk.
            "wipe" => {
                for word in &words {
                    self.cluster.wipe(parse_node(word)?);
                }
            }
            "restart" => {
                for word in &words {
                    let id = parse_node(word)?;
                    self.cluster.start(id);
                }
            }
            // under_way: shows what is on the links.
            "under_way" => {
                for ((from, to), messages) in &self.cluster.links {
                    let lines = messages.iter().map(describe::message);
                    story.extend(lines.map(|line| format!("{from} → {to} {line}")));
                }
            }
            "status" => {
                for id in self.cluster.ids() {
                    story.push(describe::status(id, self.cluster.replica(id)));
                }
            }
            // members: shows the membership that each node acts by.
            "members" => {
                for id in self.cluster.ids() {
                    let Some(replica) = self.cluster.replica(id) else { continue };
                    let membership = describe::membership(replica.membership());
                    story.push(format!("{id} {membership}"));
                }
            }
            "logs" => {
                for id in self.cluster.ids() {
                    let Some(replica) = self.cluster.replica(id) else {
                        continue;
                    };
                    let gone = replica.first_log_index().previous();
                    let gone = if gone.0 > 0 { format!("…{gone} ") } else { String::new() };
                    story.push(format!("{id} {gone}{}", describe::entries(replica.log())));
                }
            }
            name => return Err(format!("unknown command {name}").into()),
        }
        Ok(story.into_iter().map(|line| line + "\n").collect())
    }
}

impl Script {
    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn node(&self, word: Option<&String>) -> Outcome<NodeId> {
        let id = parse_node(word.ok_or("which node?")?)?;
        self.cluster.nodes.get(&id).map(|_| id).ok_or_else(|| "no such node".into())
    }

    fn node_mut(&mut self, word: Option<&String>) -> Outcome<&mut crate::cluster::Node> {
        let id = self.node(word)?;
        self.cluster.nodes.get_mut(&id).ok_or_else(|| "no such node".into())
    }

    fn up(&self, id: NodeId) -> Outcome<&raft::Replica> {
        self.cluster.replica(id).ok_or_else(|| format!("{id} is down").into())
    }
}

fn number(word: Option<&String>) -> Outcome<u64> {
    Ok(word.ok_or("a number is missing")?.parse()?)
}

fn parse_node(word: &str) -> Outcome<NodeId> {
    let digits = word.strip_prefix('n').ok_or_else(|| format!("{word} is no node"))?;
    Ok(NodeId(digits.parse()?))
}

fn parse_nodes(words: &str) -> Outcome<Vec<NodeId>> {
    words.split(',').filter(|word| !word.is_empty()).map(parse_node).collect()
}

/// Parses the terms of a log; its commands are named after their places.
fn parse_log(terms: &str) -> Outcome<Vec<Entry>> {
    let terms = terms.split(',').filter(|term| !term.is_empty());
    (1..)
        .zip(terms)
        .map(|(index, term)| {
            let term = Term(term.parse()?);
            let payload = Payload::Command(format!("c{index}").into_bytes().into());
            Ok(Entry { term, index: LogIndex(index), payload })
        })
        .collect()
}

/// Returns a choice of links by their ends; an end that is not named may be any node.
fn choose(from: Option<String>, to: Option<String>) -> Outcome<impl Fn(Link) -> bool> {
    let from = from.map(|word| parse_node(&word)).transpose()?;
    let to = to.map(|word| parse_node(&word)).transpose()?;
    Ok(move |link: Link| from.is_none_or(|from| from == link.0) && to.is_none_or(|to| to == link.1))
}
