//! The words of the scripts.

use std::error::Error;

use goldenscript::{Command, Context};
use raft::{Entry, HardState, Input, LogIndex, NodeId, RequestId, Role, Term};

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

type Outcome<T> = Result<T, Box<dyn Error>>;

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Outcome<String> {
        let mut arguments = command.consume_args();
        let mut named = |key: &str| arguments.take_key(key).map(str::to_owned);
        let (from, to) = (named("from"), named("to"));
        let (term, vote, log) = (named("term"), named("vote"), named("log"));
        let per_message = named("per_message");
        let count = named("count").map_or(Ok(usize::MAX), |count| count.parse())?;
        let in_flight = named("in_flight");
        let (uncommitted, bytes) = (named("uncommitted"), named("bytes"));
        let mut words = vec![];
        while let Some(word) = arguments.next_pos() {
            words.push(word.to_owned());
        }
        arguments.reject_next()?;

        let mut story = vec![];
        match command.name.as_str() {
            // cluster SIZE [per_message=N] [in_flight=N] [uncommitted=N] [bytes=N] [pre_vote]
            // [check_quorum]: begins anew; the bytes are those uncommitted.
            "cluster" => {
                let mut settings = Settings {
                    pre_vote: words.iter().any(|word| word == "pre_vote"),
                    check_quorum: words.iter().any(|word| word == "check_quorum"),
                    ..Settings::default()
                };
                if let Some(count) = per_message {
                    settings.limits.entries_per_message = count.parse()?;
                }
                if let Some(count) = in_flight {
                    settings.limits.entries_in_flight = count.parse()?;
                }
                if let Some(count) = uncommitted {
                    settings.limits.entries_uncommitted = count.parse()?;
                }
                if let Some(count) = bytes {
                    settings.limits.bytes_uncommitted = count.parse()?;
                }
                self.cluster = Cluster::new(number(words.first())?, settings);
            }
            // disk NODE term=T [vote=NODE] [log=T,T,…]: restarts a node with this on its disk; the
            // numbers are the terms of its entries.
            "disk" => {
                let id = self.node(words.first())?;
                self.cluster.crash(id);
                let node = self.cluster.nodes.get_mut(&id).ok_or("no such node")?;
                node.hard_state = HardState {
                    term: Term(term.ok_or("disk needs term=")?.parse()?),
                    vote: vote.map(|vote| parse_node(&vote)).transpose()?,
                };
                node.durable = parse_log(log.as_deref().unwrap_or_default())?;
                self.cluster.start(id);
            }
            // tick NODE [TIMES]
            "tick" => {
                let id = self.node(words.first())?;
                for _ in 0..words.get(1).map_or(Ok(1), |times| times.parse())? {
                    self.cluster.feed(id, Input::Tick, &mut story);
                }
            }
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
                        self.cluster.feed(id, Input::Tick, &mut story);
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
                    self.cluster.feed(id, Input::Tick, &mut story);
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
                self.cluster.feed(id, Input::Read { request }, &mut story);
            }
            // transfer NODE NODE: the first is asked to hand its leadership to the second.
            "transfer" => {
                let id = self.node(words.first())?;
                let to = self.node(words.get(1))?;
                let request = self.next_request();
                let input = Input::TransferLeadership { request, to };
                self.cluster.feed(id, input, &mut story);
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
            "logs" => {
                for id in self.cluster.ids() {
                    let Some(replica) = self.cluster.replica(id) else {
                        continue;
                    };
                    story.push(format!("{id} {}", describe::entries(replica.log())));
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

/// Parses the terms of a log; its commands are named after their places.
fn parse_log(terms: &str) -> Outcome<Vec<Entry>> {
    let terms = terms.split(',').filter(|term| !term.is_empty());
    (1..)
        .zip(terms)
        .map(|(index, term)| {
            let term = Term(term.parse()?);
            let command = format!("c{index}").into_bytes().into();
            Ok(Entry { term, index: LogIndex(index), command })
        })
        .collect()
}

/// Returns a choice of links by their ends; an end that is not named may be any node.
fn choose(from: Option<String>, to: Option<String>) -> Outcome<impl Fn(Link) -> bool> {
    let from = from.map(|word| parse_node(&word)).transpose()?;
    let to = to.map(|word| parse_node(&word)).transpose()?;
    Ok(move |link: Link| from.is_none_or(|from| from == link.0) && to.is_none_or(|to| to == link.1))
}
