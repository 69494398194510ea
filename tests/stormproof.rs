//! Calling the binary, and looking at the processes and ports that it leaves.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, ClusterStatus};
use serde_json::Value;

/// The binary under test.
pub(crate) const STORMPROOF: &str = env!("CARGO_BIN_EXE_stormproof");

/// How long anything may take on a busy machine before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Calls the binary and waits for its end.
pub(crate) fn stormproof(arguments: &[&str]) -> Output {
    Command::new(STORMPROOF).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// How a call of the client tool ended: its code, what it printed as JSON, and what it said besides.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) line: Value,
    pub(crate) said: String,
}

/// Calls the client tool with these endpoints and the words of a line.
pub(crate) fn client(endpoints: &str, line: &str) -> End {
    let mut arguments = vec!["client", "--endpoints", endpoints, "--json"];
    arguments.extend(line.split_whitespace());
    let output = stormproof(&arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    End {
        code: output.status.code().unwrap_or_else(|| panic!("{}", describe(&output))),
        line: serde_json::from_str(&printed).unwrap_or_default(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts `stormproof run` in the background, with its runs under `store`.
pub(crate) fn start_run(store: &Path, arguments: &[&str]) -> Child {
    Command::new(STORMPROOF)
        .arg("run")
        .arg("--store")
        .arg(store)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns what a program printed, for the message of a failing test.
pub(crate) fn describe(output: &Output) -> String {
    format!(
        "exit {:?}\n--- stdout\n{}\n--- stderr\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )
}

/// Waits until `condition` gives something, and says what was awaited if it never does.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not come within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the folder of the only run under `store`, once there is one.
pub(crate) fn run_folder(store: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(store).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        // A hidden one is about to come into being under another name.
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        (entry.file_type().ok()?.is_dir() && !is_hidden).then(|| entry.path())
    });
    folders.last()
}

/// Returns the ids of the processes that were started with a path below `folder` in their arguments.
pub(crate) fn processes_of(folder: &Path) -> Vec<i32> {
    let needle = folder.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let arguments = fs::read(entry.path().join("cmdline")).ok()?;
            let is_ours = String::from_utf8_lossy(&arguments).contains(needle);
            (is_ours && state_of(pid) != Some('Z')).then_some(pid)
        })
        .collect()
}

/// Returns what the kernel says of a process: that it sleeps (S), is stopped (T), is dead (Z) and so on.
pub(crate) fn state_of(pid: i32) -> Option<char> {
    // The state follows the command's name, which stands in parentheses and may hold anything.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Returns every loopback address that the nodes' configurations below `folder` name: where nodes and
/// proxies listen.
pub(crate) fn addresses_of(folder: &Path) -> Vec<SocketAddr> {
    let mut addresses = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                let words = text.split(|c: char| c.is_whitespace() || "\"',{}[]".contains(c));
                addresses.extend(words.filter_map(|word| word.parse::<SocketAddr>().ok()));
            }
        }
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Returns whether somebody listens there.
pub(crate) fn is_listening(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Waits until the cluster, asked past all proxies, is as it should be.
pub(crate) async fn wait_until(
    cluster: &Cluster,
    what: &str,
    is_so: impl Fn(&ClusterStatus) -> bool,
) {
    let mut last = cluster.poll().await;
    let wait = async {
        while !is_so(&last) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            last = cluster.poll().await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, wait).await;
    assert!(outcome.is_ok(), "{what} did not come; at last {last:?}");
}
