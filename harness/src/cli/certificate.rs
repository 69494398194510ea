//! Writing the certificate of a verdict beside it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use checker::certificate::certify;
use checker::check::{Options, Report};
use checker::explain::Explanation;
use checker::history::Recording;

/// The certificate of one of several histories: its path, as one name, in the folder asked for.
pub(super) fn path_within(folder: &Path, history: &Path) -> PathBuf {
    let names = history.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    folder.join(names.collect::<Vec<_>>().join("_") + ".certificate.json")
}

/// Writes the proof of a report's verdict. The verdict stands without it: what goes wrong here is
/// said and no more.
pub(super) fn write(
    target: &Path,
    recording: &Recording,
    content: &[u8],
    options: &Options,
    report: &Report,
    explanation: Option<&Explanation>,
) {
    let certificate = match certify(recording, content, options, report, explanation) {
        Ok(certificate) => certificate,
        Err(none) => {
            eprintln!("warning: {}: no certificate: {none}", report.name);
            return;
        }
    };
    let folder = target.parent().unwrap_or(Path::new(""));
    let written =
        fs::create_dir_all(folder).and_then(|()| fs::write(target, certificate.to_json() + "\n"));
    if let Err(error) = written {
        eprintln!("warning: failed to write the certificate {}: {error}", target.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_one_name_in_several_folders_stay_apart() {
        let path = |history: &str| path_within(Path::new("proofs"), Path::new(history));
        assert_eq!(
            path("runs/a/history.jsonl"),
            Path::new("proofs/runs_a_history.jsonl.certificate.json")
        );
        assert_ne!(path("runs/a/history.jsonl"), path("runs/b/history.jsonl"));
    }
}
