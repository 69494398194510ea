//! Files beside a verdict: its certificate, its page.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Where to write what belongs to a history: the target if it is the only one, or else a file in
/// the target that has the history's whole path for its name.
pub(super) fn path(target: &Path, history: &Path, is_only: bool, extension: &str) -> PathBuf {
    if is_only {
        return target.to_owned();
    }
    let names = history.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        // A name that began with two points would be hidden.
        Component::ParentDir => Some("up".to_owned()),
        _ => None,
    });
    target.join(names.collect::<Vec<_>>().join("_") + "." + extension)
}

/// Whether two paths, of which the second need not exist, lead to one file.
pub(super) fn is_same_file(input: &Path, output: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    whole(input).is_some_and(|input| Some(input) == whole(output))
}

/// Writes a file, with the folders that it is to lie in.
pub(super) fn write(target: &Path, content: &str) -> Result<(), WriteError> {
    let folder = target.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(target, content));
    written.map_err(|source| WriteError { path: target.to_owned(), source })
}

/// Why what was asked for is not there.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}: {source}", path.display())]
pub(super) struct WriteError {
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_one_name_in_several_folders_stay_apart() {
        let path = |history: &str| path(Path::new("proofs"), Path::new(history), false, "html");
        assert_eq!(path("runs/a/history.jsonl"), Path::new("proofs/runs_a_history.jsonl.html"));
        assert_ne!(path("runs/a/history.jsonl"), path("runs/b/history.jsonl"));
        assert_ne!(path("../a/history.jsonl"), path("a/history.jsonl"));
    }

    #[test]
    fn what_belongs_to_one_history_is_written_where_asked() {
        assert_eq!(path(Path::new("p.html"), Path::new("h"), true, "html"), Path::new("p.html"));
    }

    #[test]
    fn a_file_is_known_by_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let [history, link, other] =
            ["history.edn", "link.edn", "other.edn"].map(|name| folder.path().join(name));
        fs::write(&history, "").unwrap();
        std::os::unix::fs::symlink(&history, &link).unwrap();
        assert!(is_same_file(&history, &link));
        assert!(!is_same_file(&history, &other));
        assert!(!is_same_file(&other, &other), "neither exists");
    }
}
