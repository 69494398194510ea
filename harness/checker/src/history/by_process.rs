//! What is known of each process: a table by their numbers.

use rustc_hash::FxHashMap;

/// Processes below this number have a place of their own in a list. Clients are mostly numbered from 0,
/// and a history names them a million times; a stranger's numbers may be any.
const LISTED: u64 = 1 << 12;

/// Something of each process, at first its default.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByProcess<T> {
    listed: Vec<T>,
    others: FxHashMap<u64, T>,
}

impl<T: Default> ByProcess<T> {
    /// What there is of a process.
    #[inline]
    pub(crate) fn of(&mut self, process: u64) -> &mut T {
        if process >= LISTED {
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
    use super::{ByProcess, LISTED};

    #[test]
    fn every_process_has_its_own() {
        let mut table = ByProcess::default();
        let processes = [0, 1, 3, LISTED - 1, LISTED, LISTED + 1, u64::MAX];
        for process in processes.into_iter().rev() {
            *table.of(process) = Some(process);
        }
        for process in processes {
            assert_eq!(*table.of(process), Some(process));
        }
        assert_eq!(*table.of(2), None);
        assert_eq!(*table.of(LISTED + 2), None);
    }
}
