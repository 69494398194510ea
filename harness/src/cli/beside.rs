//! Files beside a verdict: its certificate, its page.

use std::fmt::Display;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where to write what belongs to a history: the target if it is the only one, or else a file in
/// the target that has the history's whole path for its name.
pub(super) fn path(target: &Path, history: &Path, is_only: bool, extension: &str) -> PathBuf {
    if is_only {
        return target.to_owned();
    }
    let names = history.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    target.join(names.collect::<Vec<_>>().join("_") + "." + extension)
}

/// Writes a file. The verdict stands without it: what goes wrong here is said and no more.
pub(super) fn write(target: &Path, content: Result<String, impl Display>) {
    let target_name = target.display();
    let content = match content {
        Ok(content) => content,
        Err(error) => {
            eprintln!("warning: {target_name} is not written: {error}");
            return;
        }
    };
    let folder = target.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(target, content));
    if let Err(error) = written {
        eprintln!("warning: failed to write {target_name}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_one_name_in_several_folders_stay_apart() {
        let path = |history: &str| path(Path::new("proofs"), Path::new(history), false, "html");
        assert_eq!(path("runs/a/history.jsonl"), Path::new("proofs/runs_a_history.jsonl.html"));
        assert_ne!(path("runs/a/history.jsonl"), path("runs/b/history.jsonl"));
    }

    #[test]
    fn what_belongs_to_one_history_is_written_where_asked() {
        assert_eq!(path(Path::new("p.html"), Path::new("h"), true, "html"), Path::new("p.html"));
    }
}
