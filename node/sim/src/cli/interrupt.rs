//! Ending early, with what is known by then.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::Signal;

/// The exit code of a program that was interrupted from the keyboard.
const INTERRUPTED: u8 = 130;

/// The exit code of a program that was told to end, as a build server tells a job out of time.
const TERMINATED: u8 = 143;

/// From here on the program, when it is interrupted or told to end, ends with the exit code that `end`
/// makes of what is known and of the usual one; with `None` it is left to end by itself, which it is about
/// to do. What is under way is dropped. Who insists ends it at once. To be called before other threads begin:
/// each gets the signals that the one that began it gets.
pub(super) fn end_on_interrupt<T: Send + 'static>(
    known: &Arc<Mutex<T>>,
    end: impl Fn(&mut T, u8) -> Option<u8> + Send + Sync + 'static,
) {
    let (known, end) = (Arc::clone(known), Arc::new(end));
    let signals = Signal::SIGINT | Signal::SIGTERM;
    // Whoever cannot be told of interrupts ends by them, as programs do.
    if signals.thread_block().is_err() {
        return;
    }
    thread::spawn(move || {
        let mut ending = None;
        while let Ok(signal) = signals.wait() {
            let usual = if signal == Signal::SIGINT { INTERRUPTED } else { TERMINATED };
            // Nobody may be reading what is being said.
            if ending.is_some() {
                process::exit(usual.into());
            }
            let (known, end) = (Arc::clone(&known), Arc::clone(&end));
            ending = Some(thread::spawn(move || {
                // Nothing more becomes known, or is said, until the program has ended.
                let mut known = lock(&known);
                if let Some(code) = end(&mut known, usual) {
                    process::exit(code.into());
                }
            }));
        }
    });
}

pub(super) fn lock<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
