//! The clock that leases are measured by.

use nix::time::{ClockId, clock_gettime};
use raft::Timestamp;

/// Returns the time since the machine was booted. It goes on while the node, or the whole machine, is
/// suspended: a leader that slept must not believe that its lease did, too.
pub(crate) fn now() -> Timestamp {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has this clock since 2.6.39");
    let (seconds, nanoseconds) = (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs());
    Timestamp(seconds * 1_000_000_000 + nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_never_falls() {
        let first = now();
        let mut last = first;
        while last == first {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}
