//! What is known of each process: a table by their numbers.

use rustc_hash::FxHashMap;

/// How many processes may have a place of their own in a list. Clients are mostly numbered from 0, and a
/// history names them a million times; a stranger's numbers may be any.
const LISTED_MAX: usize = 1 << 12;

/// Something of each process, at first its default.
#[derive(Clone, Debug)]
pub(crate) struct ByProcess<T> {
    /// Processes below this number are listed.
    listed_max: u64,
    listed: Vec<T>,
    others: FxHashMap<u64, T>,
}

impl<T: Default> ByProcess<T> {
    /// A table that will be asked about so often: making it takes no longer than that.
    pub(crate) fn asked(times: usize) -> Self {
        let listed_max = times.min(LISTED_MAX) as u64;
        Self { listed_max, listed: Vec::new(), others: FxHashMap::default() }
    }

    /// What there is of a process.
    #[inline]
    pub(crate) fn of(&mut self, process: u64) -> &mut T {
        if process >= self.listed_max {
            return self.others.entry(process).or_default();
        }
        let place = process as usize;
        if place >= self.listed.len() {
            self.listed.resize_with(place + 1, T::default);
        }
        &mut self.listed[place]
    }
}

#[cfg(test)]
mod tests {
    use super::{ByProcess, LISTED_MAX};

    #[test]
    fn every_process_has_its_own() {
        const MAX: u64 = LISTED_MAX as u64;
        let processes = [0, 1, 3, MAX - 1, MAX, MAX + 1, u64::MAX];
        for times in [0, 3, LISTED_MAX, 1_000_000] {
            let mut table = ByProcess::asked(times);
            for process in processes.into_iter().rev() {
                *table.of(process) = Some(process);
            }
            for process in processes {
                assert_eq!(*table.of(process), Some(process));
            }
            assert_eq!(*table.of(2), None);
            assert_eq!(*table.of(MAX + 2), None);
            assert!(table.listed.len() <= times.min(LISTED_MAX));
        }
    }
}
