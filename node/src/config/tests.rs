//! Every mistake in a file as a row: what is changed, and what the one line must say.

use super::*;

const SOUND: &str = "\
cluster: storm
id: 1
listen:
  peers: 127.0.0.1:7101
  clients: 127.0.0.1:7201
peers:
  - { id: 1, address: '127.0.0.1:7101' }
  - { id: 2, address: 'node-2.example:7102' }
data: data
timings: { tick: 10ms, heartbeat: 50ms, election: 300ms }
";

fn load(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n1.yaml");
    fs::write(&path, text).unwrap();
    Config::load(&path).map_err(|error| crate::describe(&error))
}

#[test]
fn a_sound_file_is_read_and_defaults_are_filled_in() {
    let config = load(SOUND).unwrap();
    assert_eq!(config.id, NodeId(1));
    assert_eq!(config.timings, Timings::default());
    assert!(config.data.is_absolute() && config.data.ends_with("data"), "{:?}", config.data);
    assert_eq!(config.others().map(|(id, _)| id).collect::<Vec<_>>(), [NodeId(2)]);
    let without = SOUND.replace("timings: { tick: 10ms, heartbeat: 50ms, election: 300ms }\n", "");
    assert_eq!(load(&without).unwrap().timings, Timings::default());
    let partly = SOUND.replace("tick: 10ms, heartbeat: 50ms, election: 300ms", "election: 1s");
    let timings = load(&partly).unwrap().timings;
    assert_eq!((timings.election, timings.tick), (Duration::from_secs(1), Timings::default().tick));
    assert_eq!((config.snapshot, config.reads), (SnapshotPolicy::default(), Reads::default()));
    let flawed = load(&format!("{SOUND}flaws: [local-reads]\n")).unwrap();
    assert!(flawed.flaws.contains(&Flaw::LocalReads) && !flawed.adjustable_clock);
    let flawed = load(&format!("{SOUND}flaws: [no-fsync]\nadjustable_clock: true\n")).unwrap();
    assert!(flawed.flaws.contains(&Flaw::NoFsync) && flawed.adjustable_clock);
}

#[test]
fn who_began_the_cluster_is_said_or_left_open() {
    for (said, expected) in [
        ("", None),
        ("join: false\n", None),
        ("members: [1]\n", Some([NodeId(1)].into())),
        ("members: [2, 1]\n", Some([NodeId(1), NodeId(2)].into())),
        ("members: []\n", Some([].into())),
        ("join: true\n", Some([].into())),
        ("join: true\nmembers: []\n", Some([].into())),
    ] {
        assert_eq!(load(&format!("{SOUND}{said}")).unwrap().beginning, expected, "{said}");
    }
}

#[test]
fn snapshots_and_reads_are_read() {
    let keys =
        "snapshot: { entries: 100, bytes: 512KiB, keep: 0 }\nreads: { lease: true, drift: 0.5% }\n";
    let config = load(&format!("{SOUND}{keys}")).unwrap();
    assert_eq!(config.snapshot, SnapshotPolicy { entries: 100, bytes: 512 << 10, keep: 0 });
    assert_eq!(config.reads, Reads { lease: true, drift: Drift::of_thousandths(5) });
    let partly = load(&format!("{SOUND}snapshot: {{ bytes: 4096 }}\n")).unwrap();
    let default = SnapshotPolicy::default();
    assert_eq!(partly.snapshot, SnapshotPolicy { bytes: 4096, ..default });
}

#[test]
fn every_mistake_gets_one_line_that_names_file_and_key() {
    let peer = "  - { id: 2, address: 'node-2.example:7102' }\n";
    for (from, to, said) in [
        ("id: 1\nlisten", "id: one\nlisten", "n1.yaml:2:5: invalid u64"),
        ("data: data\n", "", "missing field `data`"),
        ("data: data", "dada: data", "n1.yaml:9:1: unknown field `dada`"),
        ("  clients", "  client", "unknown field `client`"),
        ("cluster: storm", "cluster: [storm", "n1.yaml:"),
        ("cluster: storm", "cluster: ''", "`cluster` is empty"),
        ("id: 1\nlisten", "id: 0\nlisten", "`id` is 0"),
        ("id: 1\nlisten", "id: 3\nlisten", "`id` 3 is not among `peers`"),
        (
            "data: data",
            "members: [1, 3]\ndata: data",
            "`members` has 3, which is not among `peers`",
        ),
        ("data: data", "members: [2]\ndata: data", "`id` 1 is not among `members`"),
        ("data: data", "members: [1]\njoin: true\ndata: data", "leave `members` out"),
        ("data: data", "join: yes please\ndata: data", "n1.yaml:9:7"),
        ("data: data", "data: data\nsnapshot: { entries: 0 }", "`snapshot.entries` is 0"),
        ("data: data", "data: data\nsnapshot: { bytes: 0 }", "`snapshot.bytes` is 0"),
        ("data: data", "data: data\nsnapshot: { bytes: 64MB }", "`64MB` is no number of bytes"),
        ("data: data", "data: data\nreads: { drift: 5 }", "`5` is no drift"),
        ("data: data", "data: data\nreads: { drift: 0.25% }", "`0.25%` is no drift"),
        ("data: data", "data: data\nreads: { drift: 100% }", "`reads.drift` is 100%"),
        ("data: data", "data: data\nreads: { drift: 0% }", "`reads.drift` is 0%"),
        (
            "timings: { tick: 10ms, heartbeat: 50ms, election: 300ms }",
            "timings: { tick: 2ms, heartbeat: 50ms, election: 300ms }\nreads: { lease: true }",
            "`reads.lease` needs a `timings.tick` of at least 5ms, not 2ms",
        ),
        (
            "data: data",
            "data: data\nreads: { lease: true, drift: 90% }",
            "`reads.lease` needs a lease that outlasts `timings.heartbeat` (50ms)",
        ),
        ("{ id: 2", "{ id: 0", "`peers` has an id 0"),
        ("{ id: 2", "{ id: 1", "`peers` lists id 1 twice"),
        ("node-2.example:7102", "127.0.0.1:7101", "nodes 1 and 2 the same address"),
        ("node-2.example:7102", "node-2.example", "`node-2.example` is no address"),
        ("node-2.example:7102", "node-2.example:0", "is no address"),
        ("node-2.example:7102", "http://node:1", "is no address"),
        (peer, "  - { id: 2 }\n", "missing field `address`"),
        ("peers: 127.0.0.1:7101", "peers: localhost:7101", "n1.yaml:4:10: invalid socket address"),
        ("127.0.0.1:7201", "127.0.0.1:7101", "`listen.peers` and `listen.clients` are both"),
        ("127.0.0.1:7201", "127.0.0.1:0", "`listen.clients` has port 0"),
        ("data: data", "data: ''", "`data` is empty"),
        ("tick: 10ms", "tick: 10", "`10` is no duration"),
        ("tick: 10ms", "tick: 0ms", "`timings.tick` is 0ns"),
        ("election: 300ms", "election: 2h", "`timings.election` is 7200s"),
        ("heartbeat: 50ms", "heartbeat: 5ms", "`timings.heartbeat` (5ms) is shorter than"),
        ("election: 300ms", "election: 50ms", "`timings.election` (50ms) is not longer than"),
        ("heartbeat: 50ms", "heartbeat: 295ms", "`timings.election` (300ms) is not longer than"),
        ("data: data", "data: data\nflaws: [lies]", "unknown variant `lies`"),
        ("data: data", "data: data\ndata: data", "duplicate mapping key: data"),
    ] {
        let text = SOUND.replacen(from, to, 1);
        assert_ne!(text, SOUND, "{from:?} is not in the file");
        let error = load(&text).expect_err(to);
        assert!(error.contains("n1.yaml") && error.contains(said), "{to:?}: {error}");
        assert!(!error.contains('\n'), "{to:?}: more than one line: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/no/such/file.yaml")).unwrap_err();
    let line = crate::describe(&error);
    assert!(line.contains("/no/such/file.yaml") && line.contains("No such file"), "{line}");
}

#[test]
fn times_are_rounded_up_to_ticks() {
    let timings = Timings::default();
    for (millis, ticks) in [(0, 1), (1, 1), (10, 1), (11, 2), (50, 5)] {
        assert_eq!(timings.ticks(Duration::from_millis(millis)), ticks);
    }
}
