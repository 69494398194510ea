//! Watching the history of a run while it goes on, to end it as soon as it cannot be explained.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use checker::check::Options;
use checker::model::ModelName;
use tokio_util::sync::CancellationToken;

use crate::follow::{Follower, Step};

/// How long to wait for more: little beside a storm, and long beside the look itself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Why the history has no order, as soon as that was certain.
    pub(super) violation: Option<String>,
    /// What was not watched to the end, and why.
    pub(super) unwatched: Vec<String>,
}

/// Follows a history until it has no order, which it tells by `alarm`, or until `watching` ends.
pub(super) fn watch_history(
    history: PathBuf,
    model: ModelName,
    alarm: &CancellationToken,
    watching: &CancellationToken,
) -> Watched {
    let options = Options { model: Some(model), ..Options::default() };
    let mut follower = Follower::new(history, options);
    let mut watched = Watched::default();
    while !watching.is_cancelled() {
        match follower.step() {
            Ok(Step::More) => {}
            Ok(Step::Nothing) => thread::sleep(LOOK_AGAIN),
            Ok(Step::Alarm(found)) => {
                let completion = found.completion;
                tracing::info!(completion, events = follower.events(), "violation");
                alarm.cancel();
                watched.violation = Some(format!("no order explains event {completion}"));
                return watched;
            }
            Ok(Step::GivenUp { key, why }) => {
                tracing::warn!(key, why, "the key is judged in the end only");
                watched.unwatched.push(format!("{key}: {why}"));
            }
            Ok(Step::Blind(why)) => return watched.all_unwatched(why),
            Err(error) => return watched.all_unwatched(error.to_string()),
        }
    }
    watched
}

impl Watched {
    fn all_unwatched(mut self, why: String) -> Self {
        tracing::warn!(why, "the history is judged in the end only");
        self.unwatched.push(format!("the rest: {why}"));
        self
    }
}
