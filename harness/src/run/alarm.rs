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

/// Follows a history until it has no order, which it tells by `alarm`, or until `watching` ends.
/// Returns what was found.
pub(super) fn watch_history(
    history: PathBuf,
    model: ModelName,
    alarm: &CancellationToken,
    watching: &CancellationToken,
) -> Option<String> {
    let options = Options { model: Some(model), ..Options::default() };
    let mut follower = Follower::new(history, options);
    while !watching.is_cancelled() {
        match follower.step() {
            Ok(Step::More) => {}
            Ok(Step::Nothing) => thread::sleep(LOOK_AGAIN),
            Ok(Step::Alarm(found)) => {
                let completion = found.completion;
                tracing::info!(completion, events = follower.events(), "violation");
                alarm.cancel();
                return Some(format!("no order explains event {completion}"));
            }
            Ok(Step::Blind(why)) => {
                tracing::warn!(why, "the history is judged in the end only");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "the history is judged in the end only");
                return None;
            }
        }
    }
    None
}
