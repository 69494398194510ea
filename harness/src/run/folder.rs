//! A run's folder: where everything is that a run writes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tracing_subscriber::EnvFilter;

use super::RunError;
use crate::facts::Facts;
use crate::judgement::Judgement;
use crate::plan::Plan;

/// A run's folder could not be made or written to.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It could not be made.
    #[error("failed to create the run folder {}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The log of the run that is under way.
static LOG: Mutex<Option<File>> = Mutex::new(None);

/// Writes into the log of the run that is under way.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *LOG.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(log) => log.write(line),
            None => Ok(line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder under `store`, named after the time, the workload and the seed, with the
    /// plan in it. It comes into being as a whole: whenever the harness is killed, a folder that is
    /// there can be judged.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(store: &Path, plan: &Plan) -> Result<Self, RunError> {
        let fail = |path: &Path, source| FolderError::Create { path: path.into(), source };
        fs::create_dir_all(store).map_err(|source| fail(store, source))?;
        // An absolute path: nodes are started with it, and are found by it.
        let store = store.canonicalize().map_err(|source| fail(store, source))?;
        let seconds = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let time = seconds.trim_end_matches('Z').replace(':', "-");
        let name = format!("{time}-{}-{}", plan.workload.name, plan.seed);
        let fresh = store.join(format!(".{name}-{}", std::process::id()));
        fs::create_dir(&fresh).map_err(|source| fail(&fresh, source))?;
        plan.write(&Self::plan_in(&fresh))?;
        Facts::default().write(&Self::facts_in(&fresh))?;
        // Two runs may begin in the same second with the same seed.
        for attempt in 1.. {
            let path = match attempt {
                1 => store.join(&name),
                _ => store.join(format!("{name}-{attempt}")),
            };
            match fs::rename(&fresh, &path) {
                Ok(()) => return Ok(Self { path }),
                // Another run's folder is never empty, and so never replaced.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
                    ) => {}
                Err(source) => return Err(fail(&path, source).into()),
            }
        }
        unreachable!("the loop ends only by returning")
    }

    /// Returns the folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the plan's file.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        Self::plan_in(&self.path)
    }

    /// Returns the file of the plan of the run in this folder.
    #[must_use]
    pub fn plan_in(folder: &Path) -> PathBuf {
        folder.join("plan.toml")
    }

    /// Returns the history's file.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        Self::history_in(&self.path)
    }

    /// Returns the file of the history of the run in this folder.
    #[must_use]
    pub fn history_in(folder: &Path) -> PathBuf {
        folder.join("history.jsonl")
    }

    /// Returns the file of the judgement on the run in this folder.
    #[must_use]
    pub fn verdict_in(folder: &Path) -> PathBuf {
        folder.join("verdict.json")
    }

    /// Returns the file of what else was seen of the cluster.
    #[must_use]
    pub fn facts(&self) -> PathBuf {
        Self::facts_in(&self.path)
    }

    /// Returns the file of what was seen of the cluster in the run in this folder.
    #[must_use]
    pub fn facts_in(folder: &Path) -> PathBuf {
        folder.join("facts.json")
    }

    /// Returns the file of the page of the run.
    #[must_use]
    pub fn page(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Removes the folder, of a run that never began. What cannot be removed stays.
    pub fn discard(&self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "failed to remove the folder");
        }
    }

    /// Begins to log what the harness does into the folder, and no more into that of a run before;
    /// `RUST_LOG` says how much.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn start_log(&self) -> Result<(), FolderError> {
        let path = self.path.join("harness.log");
        let file = File::create(&path).map_err(|source| FolderError::Write { path, source })?;
        *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        // A process that already logs, here or elsewhere, goes on doing so.
        let _ = log.with_writer(|| LogWriter).try_init();
        Ok(())
    }

    /// Writes the page of the run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_page(&self, page: &str) -> Result<(), FolderError> {
        let path = self.page();
        fs::write(&path, page).map_err(|source| FolderError::Write { path, source })
    }

    /// Writes the judgement.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_verdict(&self, judgement: &Judgement) -> Result<(), FolderError> {
        let path = Self::verdict_in(&self.path);
        let text = serde_json::to_string_pretty(judgement)
            .expect("a judgement has string keys and finite numbers");
        fs::write(&path, text + "\n").map_err(|source| FolderError::Write { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_as_a_whole_and_never_another_runs() {
        let store = tempfile::tempdir().unwrap();
        let plan = Plan::default().settled();
        let folders = [(); 3].map(|()| RunFolder::create(store.path(), &plan).unwrap());
        for folder in &folders {
            assert_eq!(Plan::read(&folder.plan()).unwrap(), plan);
            assert!(!Facts::read(&folder.facts()).unwrap().is_whole);
        }
        let names = fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }
}
