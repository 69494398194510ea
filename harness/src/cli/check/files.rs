//! Which histories a path stands for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use checker::history::detect;

use crate::cli::beside::is_same_file;

/// What histories are called in the folder of a run, the most telling first: ours, and Jepsen's.
const HISTORY_FILES: [&str; 3] = ["history.jsonl", "history.edn", "history.txt"];

/// Names that only histories end with.
const SURE: [&str; 3] = ["jsonl", "ndjson", "edn"];

/// Names that other files end with as well: these count if they hold what looks like a history.
const UNSURE: [&str; 2] = ["log", "txt"];

/// How much of such a file is looked at.
const LOOK_BYTES: u64 = 1 << 16;

/// A history to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HistoryFile {
    /// The file.
    pub(super) path: PathBuf,
    /// The folder of the run that it is the history of, if it is one.
    pub(super) run: Option<PathBuf>,
}

/// What programs call standard input, and the file that it is.
const STANDARD_INPUT: (&str, &str) = ("-", "/dev/stdin");

/// The folder of a run stands for the run's history, `-` for standard input; any other path for itself.
pub(in crate::cli) fn history_of(path: &Path) -> PathBuf {
    if path == Path::new(STANDARD_INPUT.0) {
        return STANDARD_INPUT.1.into();
    }
    if !path.is_dir() {
        return path.to_owned();
    }
    let found = HISTORY_FILES.map(|name| path.join(name)).into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| path.join(HISTORY_FILES[0]))
}

/// Finds the histories that paths stand for, in the order of the paths and, in folders, of names.
///
/// A folder that holds no history, and whatever cannot be read, stands for a file that is not there:
/// it will be said of it that it could not be judged.
pub(super) fn find(paths: &[PathBuf]) -> Vec<HistoryFile> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        if !path.is_dir() {
            found.push(HistoryFile { path: history_of(path), run: None });
        } else if search(path, &mut found).is_err() || found.len() == before {
            found.push(HistoryFile { path: history_of(path), run: Some(path.clone()) });
        }
    }
    found
}

fn search(folder: &Path, found: &mut Vec<HistoryFile>) -> io::Result<()> {
    let history = history_of(folder);
    if history.is_file() {
        found.push(HistoryFile { path: history, run: Some(folder.to_owned()) });
        return Ok(());
    }
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        // A link, such as Jepsen's `latest`, leads to what is found without it, or in circles.
        if kind.is_dir() {
            search(&path, found)?;
        } else if kind.is_file() && is_history(&path) {
            found.push(HistoryFile { path, run: None });
        }
    }
    Ok(())
}

/// Whether a path leads to one of these histories, or to another by its name and content: a flag that
/// wants a file's name easily takes that of a history.
pub(super) fn is_history_among(path: &Path, files: &[HistoryFile]) -> bool {
    path.is_file() && (is_history(path) || files.iter().any(|file| is_same_file(&file.path, path)))
}

fn is_history(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    SURE.contains(&&*extension) || (UNSURE.contains(&&*extension) && looks_like_history(path))
}

fn looks_like_history(path: &Path) -> bool {
    let mut content = Vec::new();
    let read = fs::File::open(path).and_then(|file| {
        io::Read::read_to_end(&mut io::Read::take(file, LOOK_BYTES), &mut content)
    });
    read.is_ok() && !content.is_empty() && detect("", &content).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_for_histories() {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in [
            ("night/run-1/history.jsonl", ""),
            ("night/run-1/nodes/n1.log", "0\t:ok\t:read\t1\n"),
            ("night/run-2/history.edn", ""),
            ("night/run-2/results.edn", ""),
            ("etcd.log", "INFO 0\t:invoke\t:read\tnil\n"),
            ("chatter.log", "INFO nothing\n"),
            ("empty.log", ""),
            ("b.jsonl", ""),
            ("README.md", ""),
            ("none/plan.toml", ""),
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink(root.path(), root.path().join("latest")).unwrap();
        let find = |path: &str| -> Vec<String> {
            let found = find(&[root.path().join(path)]).into_iter();
            let within = |path: PathBuf| path.strip_prefix(root.path()).unwrap().to_owned();
            found.map(|file| within(file.path).display().to_string()).collect()
        };
        let all = ["b.jsonl", "etcd.log", "night/run-1/history.jsonl", "night/run-2/history.edn"];
        assert_eq!(find(""), all);
        assert_eq!(find("night/run-2"), ["night/run-2/history.edn"]);
        assert_eq!(find("chatter.log"), ["chatter.log"]);
        assert_eq!(find("none"), ["none/history.jsonl"]);
        assert_eq!(find("absent"), ["absent"]);
        assert_eq!(history_of(Path::new("-")), Path::new("/dev/stdin"));
    }
}
