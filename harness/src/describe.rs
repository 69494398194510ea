//! Rendering what went wrong.

use std::error::Error;

/// Renders an error and its causes on one line.
pub(crate) fn describe_error(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some messages already quote their cause.
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}
