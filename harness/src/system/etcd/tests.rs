//! What etcd is started with, and what it is not good for.

use super::*;

fn view(folder: &Path, entry: Entry) -> NodeView {
    let address = |text: &str| text.parse().unwrap();
    NodeView {
        node: NodeId::new(2),
        cluster: "storm-7".into(),
        folder: folder.into(),
        listen: Listening { peers: address("127.0.0.1:4001"), clients: address("127.0.0.1:4002") },
        peers: NodeId::first(2)
            .into_iter()
            .map(|node| (node, crate::network::address_of(node)))
            .collect(),
        socks: Some(address("127.0.0.1:5000")),
        entry,
    }
}

fn flag(command: &CommandLine, name: &str) -> String {
    let place = command.arguments.iter().position(|argument| argument == name).unwrap();
    command.arguments[place + 1].clone()
}

#[test]
fn a_member_dials_its_peers_through_its_own_front() {
    let plan = Plan { system: NAME.into(), ..Plan::default() };
    let mut system = Etcd::new(&plan);
    system.bin = Some("/bin/sh".into());
    let folder = Path::new("/run/n2");
    let command = system.prepare(&view(folder, Entry::Founds(NodeId::first(2)))).unwrap();
    assert_eq!(command.program, PathBuf::from("/bin/sh"));
    for (name, expected) in [
        ("--name", "n2"),
        ("--data-dir", "/run/n2/data"),
        ("--listen-peer-urls", "http://127.0.0.1:4001"),
        ("--initial-advertise-peer-urls", "http://198.18.0.2:2380"),
        ("--listen-client-urls", "http://127.0.0.1:4002"),
        ("--initial-cluster", "n1=http://198.18.0.1:2380,n2=http://198.18.0.2:2380"),
        ("--initial-cluster-state", "new"),
        ("--initial-cluster-token", "storm-7"),
        ("--heartbeat-interval", "50"),
        ("--election-timeout", "300"),
        ("--snapshot-count", "500"),
        ("--auto-compaction-retention", "1000"),
        ("--quota-backend-bytes", "8589934592"),
        ("--max-wals", "1"),
    ] {
        assert_eq!(flag(&command, name), expected, "{name}");
    }
    let environment: BTreeMap<_, _> = command.environment.into_iter().collect();
    assert_eq!(environment["HTTP_PROXY"], "socks5://127.0.0.1:5000");
    assert_eq!(environment["NO_PROXY"], "", "no exception leads past the links");
    let joins = system.prepare(&view(folder, Entry::Joins(NodeId::first(2)))).unwrap();
    assert_eq!(flag(&joins, "--initial-cluster-state"), "existing");
}

#[test]
fn what_etcd_is_not_good_for_is_refused() {
    let check = |change: fn(&mut Plan), expected: &str| {
        let mut plan = Plan { system: NAME.into(), ..Plan::default() };
        plan.workload.name = "register".into();
        assert!(plan.check().is_ok());
        change(&mut plan);
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(|plan| plan.workload.name = "ledger".into(), "is not for the system etcd");
    check(|plan| plan.workload.sessions = true, "no client sessions");
    check(|plan| plan.node.flaws.push("local-reads".into()), "knows no flaw");
    check(|plan| plan.timings.election_timeout = Duration::from_millis(249), "five heartbeats");
    check(|plan| plan.timings.election_timeout = Duration::from_secs(51), "at most 50s");
    check(|plan| plan.timings.heartbeat = Duration::from_micros(1500), "whole milliseconds");
    check(|plan| plan.node.snapshot.entries = 0, "not 0");
}

#[test]
fn a_program_that_is_not_there_is_named_and_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::join_paths([folder.path()]).unwrap();
    let error = find_on_path(&path).unwrap_err();
    assert!(matches!(error, SystemError::Program { .. }));
    assert!(error.to_string().contains("apt-get install etcd-server"), "{error}");
}
