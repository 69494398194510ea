//! Saying things on standard output and standard error, of which either may be closed.
//!
//! Whoever read them may be gone, such as `head`: a verdict is an exit code as well, and is not to be
//! lost for want of a reader, as it would be by the panic of `println!`.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write, stderr, stdout};

/// Prints on standard output; whatever else went wrong than that nobody reads is said.
pub(super) fn say(text: &str) {
    if let Err(error) = print(text.as_bytes()) {
        remark(format_args!("error: failed to write standard output: {error}"));
    }
}

/// Prints on standard output. That nobody reads is no error.
pub(super) fn print(content: &[u8]) -> io::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints a line on standard error.
pub(super) fn remark(line: impl Display) {
    drop(stderr().write_all(format!("{line}\n").as_bytes()));
}
