//! A small cluster of replicas driven by hand: through golden scripts, which tell protocol scenarios as
//! stories, and through random storms.
//!
//! A script, in `tests/scripts/`, says what happens to the cluster and shows everything that its nodes
//! do about it. To accept a change of behaviour, run with `UPDATE_GOLDENFILES=1` and read the
//! difference.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod cluster;
mod describe;
mod script;
mod storm;

use std::fs;
use std::path::{Path, PathBuf};

/// Runs every script of a folder, and says which one differs.
fn run_scripts(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut scripts: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts in {}", folder.display());
    for path in scripts {
        // The runner panics with the difference; the name on top tells whose it is.
        eprintln!("script {}", path.display());
        goldenscript::run(&mut script::Script::default(), &path).unwrap();
    }
}

#[test]
fn election() {
    run_scripts("election");
}

#[test]
fn replication() {
    run_scripts("replication");
}

#[test]
fn transfer() {
    run_scripts("transfer");
}

#[test]
fn read() {
    run_scripts("read");
}

#[test]
fn snapshot() {
    run_scripts("snapshot");
}

#[test]
fn membership() {
    run_scripts("membership");
}

/// Names in backquotes with a slash are scripts; the page is of no use if they are not there.
#[test]
fn the_readme_names_scripts_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let quoted = readme.split('`').skip(1).step_by(2);
    let names: Vec<&str> =
        quoted.filter(|name| name.contains('/') && !name.contains('.')).collect();
    assert!(names.len() > 50, "only {} names", names.len());
    for name in names {
        assert!(folder.join(name).is_file(), "{name} is no script");
    }
}
