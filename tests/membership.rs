//! Who is in a cluster, changed from the command line: real nodes that come, go and hand over.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::stormproof::{End, PATIENCE, client, wait_for};

/// Nodes that know each other's addresses. The first three begin a cluster; the others may join it.
struct Stage {
    clients: Vec<SocketAddr>,
    folder: tempfile::TempDir,
    /// By their numbers, less one.
    running: Vec<Option<Child>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for id in 1..=self.running.len() {
            self.kill(id);
        }
    }
}

impl Stage {
    /// Writes the configurations of so many nodes and starts the first three.
    fn new(nodes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let held: Vec<_> =
            (0..2 * nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = held.iter().map(|held| held.local_addr().unwrap()).collect();
        let (peers, clients) = addresses.split_at(nodes);
        for id in 1..=nodes {
            configure(folder.path(), id, peers, clients[id - 1]);
        }
        drop(held);
        let running = (0..nodes).map(|_| None).collect();
        let mut stage = Self { clients: clients.to_vec(), folder, running };
        (1..=3).for_each(|id| stage.start(id));
        stage
    }

    fn start(&mut self, id: usize) {
        let log = fs::File::create(self.folder.path().join(format!("n{id}.log"))).unwrap();
        let node = Command::new(env!("CARGO_BIN_EXE_stormproof-node"))
            .arg("--config")
            .arg(self.folder.path().join(format!("n{id}.yaml")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running[id - 1] = Some(node);
    }

    fn kill(&mut self, id: usize) {
        if let Some(mut node) = self.running[id - 1].take() {
            node.kill().unwrap();
            node.wait().unwrap();
        }
    }

    /// Calls the client tool with the endpoints of these nodes and the words of a line.
    fn call_at(&self, nodes: &[usize], line: &str) -> End {
        let endpoints: Vec<_> = nodes.iter().map(|id| self.clients[id - 1].to_string()).collect();
        client(&endpoints.join(","), line)
    }

    /// Calls the client tool with every endpoint.
    fn call(&self, line: &str) -> End {
        self.call_at(&(1..=self.clients.len()).collect::<Vec<_>>(), line)
    }

    /// Calls the client tool, which must be answered.
    fn ask(&self, line: &str) -> Value {
        let end = self.call(&format!("--timeout {}s {line}", PATIENCE.as_secs()));
        assert_eq!(end.code, 0, "{line}: {end:?}");
        end.line["value"].clone()
    }

    /// What a node says of itself, once that is as it should be.
    fn wait_for_status(&self, id: usize, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("n{id}: {what}"), || {
            Some(self.call_at(&[id], "status").line).filter(&is_so)
        })
    }

    /// Reads until somebody leads who can answer.
    fn colour(&self) -> Value {
        wait_for("the colour", || {
            let end = self.call("get colour");
            (end.code == 0).then(|| end.line["value"].clone())
        })
    }

    fn leader(&self) -> usize {
        usize::try_from(self.ask("member list")["id"].as_u64().unwrap()).unwrap()
    }
}

fn configure(folder: &Path, id: usize, peers: &[SocketAddr], clients: SocketAddr) {
    let list: Vec<_> = (1..)
        .zip(peers)
        .map(|(id, address)| format!("  - {{ id: {id}, address: '{address}' }}\n"))
        .collect();
    let beginning = if id <= 3 { "members: [1, 2, 3]" } else { "join: true" };
    let text = format!(
        "cluster: membership\nid: {id}\nlisten: {{ peers: '{}', clients: '{clients}' }}\npeers:\n{}\
         {beginning}\ndata: n{id}\nsnapshot: {{ entries: 16, keep: 4 }}\n\
         timings: {{ election: 600ms }}\n",
        peers[id - 1],
        list.concat(),
    );
    fs::write(folder.join(format!("n{id}.yaml")), text).unwrap();
}

fn members(voters: &[usize], learners: &[usize]) -> Value {
    json!({"voters": voters, "outgoing": [], "learners": learners})
}

#[test]
fn a_cluster_grows_from_three_to_five_and_shrinks_again() {
    let mut stage = Stage::new(5);
    stage.ask("--exactly-once add colour red");
    // More than the log keeps: who joins gets a snapshot.
    for number in 0..30 {
        stage.ask(&format!("--exactly-once add number {number}"));
    }
    stage.start(4);
    assert_eq!(stage.ask("member add 4"), members(&[1, 2, 3, 4], &[]));
    let status = stage.wait_for_status(4, "caught up", |status| {
        status["membership"] == members(&[1, 2, 3, 4], &[])
    });
    assert!(status["snapshot_index"].as_u64() >= Some(16), "{status}");
    assert_eq!(stage.colour(), "red");

    stage.start(5);
    assert_eq!(stage.ask("member learner n5"), members(&[1, 2, 3, 4], &[5]));
    assert_eq!(stage.ask("member add n5"), members(&[1, 2, 3, 4, 5], &[]));
    // What is so already is not done twice.
    assert_eq!(stage.ask("member add 4 5"), members(&[1, 2, 3, 4, 5], &[]));

    // Two of five may go, newcomers decide with the rest.
    let first = stage.leader();
    let others: Vec<usize> = (1..=3).filter(|id| *id != first).collect();
    others.iter().for_each(|id| stage.kill(*id));
    stage.ask("--exactly-once add colour green");
    others.iter().for_each(|id| stage.start(*id));

    // The leader is removed while it leads.
    let leader = stage.leader();
    let rest: Vec<usize> = (1..=5).filter(|id| *id != leader).collect();
    assert_eq!(stage.ask(&format!("member remove {leader}")), members(&rest, &[]));
    assert_ne!(stage.leader(), leader);
    stage.kill(leader);
    assert_eq!(stage.colour(), "green");

    // It comes back without its data, in the place of another.
    fs::remove_dir_all(stage.folder.path().join(format!("n{leader}"))).unwrap();
    let config = stage.folder.path().join(format!("n{leader}.yaml"));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("members: [1, 2, 3]", "join: true")).unwrap();
    stage.start(leader);
    let leaver = rest[0];
    let mut expected: Vec<usize> = rest[1..].iter().copied().chain([leader]).collect();
    expected.sort_unstable();
    let replaced = stage.ask(&format!("member replace {leaver} {leader}"));
    assert_eq!(replaced, members(&expected, &[]));
    stage.kill(leaver);
    assert_eq!(stage.colour(), "green");
}

#[test]
fn leadership_and_snapshots_are_the_operators_to_order() {
    let mut stage = Stage::new(3);
    stage.ask("--exactly-once add colour red");
    for _ in 0..2 {
        let to = stage.leader() % 3 + 1;
        let led = stage.ask(&format!("member transfer {to}"));
        assert_eq!(led["leader"].as_u64(), Some(to as u64), "{led}");
        // Asked again, it is so already.
        assert_eq!(stage.ask(&format!("member transfer {to}"))["leader"], led["leader"]);
    }
    for id in 1..=3 {
        stage.wait_for_status(id, "has applied it", |status| {
            status["last_applied"].as_u64() >= Some(4)
        });
        let taken = stage.call_at(&[id], "snapshot");
        assert_eq!(taken.code, 0, "{taken:?}");
        let index = taken.line["snapshot"].as_u64();
        let status = stage
            .wait_for_status(id, "says so", |status| status["snapshot_index"].as_u64() >= index);
        assert!(index >= Some(4), "{taken:?} {status}");
    }
    (1..=3).for_each(|id| stage.kill(id));
    (1..=3).for_each(|id| stage.start(id));
    assert_eq!(stage.colour(), "red");
    let status = stage.wait_for_status(1, "answers", |status| status["id"] == 1);
    assert!(status["recovered_snapshot"].as_u64() >= Some(4), "{status}");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let mut stage = Stage::new(4);
    let leader = stage.leader();
    let follower = leader % 3 + 1;
    for (line, code, words) in [
        ("member add 0", 2, "a node is named by its number"),
        ("member add", 2, "<ID>"),
        ("member add 9", 1, "has no address for n9"),
        ("member remove 1 2 3", 1, "it needs a voter"),
        ("member replace 9 4", 1, "n9 has no vote"),
        ("member transfer 9", 1, "no other voter of that name"),
        // Node 4 does not run.
        ("member add 4 --timeout 60s", 1, "they stay learners"),
    ] {
        let end = stage.call(line);
        assert!(end.code == code && end.said.contains(words), "{line}: {end:?}");
    }
    assert_eq!(stage.ask("member remove 4"), members(&[1, 2, 3], &[]));
    // Nor does it take a snapshot: the others do.
    let end = stage.call("snapshot");
    assert!(end.code == 4, "{end:?}");
    let end = stage.call_at(&[follower], "member remove 4 --timeout 1s");
    let said = format!("n{leader} is said to lead: add its endpoint");
    assert!(end.code == 4 && end.said.contains(&said), "{end:?}");
    // Without a majority nothing is done, and nobody claims that it was.
    stage.kill(follower);
    stage.kill((1..=3).find(|id| ![leader, follower].contains(id)).unwrap());
    let end = stage.call("member learner 1 --timeout 3s");
    assert!([3, 4].contains(&end.code), "{end:?}");
}
