//! The replicated log as a replica holds it in memory.

use crate::types::{Entry, LogIndex, Term};

/// Entries 1, 2, 3, …, whose terms never fall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// Makes a log of recovered entries, or returns the place of the first that is out of order.
    pub(crate) fn recover(entries: Vec<Entry>) -> Result<Self, u64> {
        let mut term = Term(1);
        for (place, entry) in (1..).zip(&entries) {
            if entry.index != LogIndex(place) || entry.term < term {
                return Err(place);
            }
            term = entry.term;
        }
        Ok(Self { entries })
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex(self.entries.len() as u64)
    }

    pub(crate) fn last_term(&self) -> Term {
        self.entries.last().map_or(Term(0), |entry| entry.term)
    }

    /// Returns the term of the entry at `index`; 0 before the log, `None` past its end.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        match index {
            LogIndex(0) => Some(Term(0)),
            _ => Some(self.entries.get(place(index))?.term),
        }
    }

    /// Returns the entries from `first` to `last`, both included; none if `last` is before `first`.
    pub(crate) fn slice(&self, first: LogIndex, last: LogIndex) -> &[Entry] {
        if last < first {
            return &[];
        }
        &self.entries[place(first)..=place(last)]
    }

    /// Returns how many bytes the commands from `first` to `last` hold.
    pub(crate) fn bytes(&self, first: LogIndex, last: LogIndex) -> usize {
        self.slice(first, last).iter().map(|entry| entry.command.len()).sum()
    }

    /// Returns the entries from `first` on.
    pub(crate) fn since(&self, first: LogIndex) -> &[Entry] {
        self.entries.get(place(first)..).unwrap_or_default()
    }

    /// Returns at most `count` entries from `first` on, whose commands hold at most `bytes` together;
    /// a single larger one all the same.
    pub(crate) fn batch(&self, first: LogIndex, count: usize, bytes: usize) -> &[Entry] {
        let entries = self.since(first);
        let mut total = 0;
        let fitting = entries.iter().take(count).take_while(|entry| {
            total += entry.command.len();
            total <= bytes
        });
        let fitting = fitting.count().max(1).min(entries.len());
        &entries[..fitting]
    }

    /// Returns the first index of `term`, of which the log holds an entry at `index`.
    pub(crate) fn first_of_term(&self, term: Term, index: LogIndex) -> LogIndex {
        let before = self.slice(LogIndex(1), index).partition_point(|entry| entry.term < term);
        LogIndex(before as u64 + 1)
    }

    /// Returns the last index up to `index` whose term is `term`, if the log has one.
    pub(crate) fn last_of_term(&self, term: Term, index: LogIndex) -> Option<LogIndex> {
        let upto = index.min(self.last_index());
        let last = self.slice(LogIndex(1), upto).partition_point(|entry| entry.term <= term);
        let last = LogIndex(last as u64);
        (last > LogIndex(0) && self.term_at(last) == Some(term)).then_some(last)
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index().next(), "I3 Log Matching: a gap in the log");
        assert!(entry.term >= self.last_term(), "I3 Log Matching: terms fall along the log");
        self.entries.push(entry);
    }

    /// Removes the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.entries.truncate(place(from));
    }
}

/// Returns where the entry with this index, at least 1, stands in the vector.
fn place(index: LogIndex) -> usize {
    assert!(index > LogIndex(0), "nothing stands before the log");
    usize::try_from(index.0 - 1).expect("an index of a log in memory fits the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> Log {
        let entries = (1..)
            .zip(terms)
            .map(|(index, &term)| Entry {
                term: Term(term),
                index: LogIndex(index),
                command: [].into(),
            })
            .collect();
        Log::recover(entries).expect("the terms of the test do not fall")
    }

    #[test]
    fn finds_the_edges_of_a_term() {
        let log = log(&[1, 1, 1, 4, 4, 5, 5, 6]);
        // Term, up to which index, first of it from there, last of it up to there.
        for (term, index, first, last) in
            [(1, 3, 1, Some(3)), (1, 2, 1, Some(2)), (4, 5, 4, Some(5)), (6, 8, 8, Some(8))]
        {
            assert_eq!(log.first_of_term(Term(term), LogIndex(index)), LogIndex(first));
            assert_eq!(log.last_of_term(Term(term), LogIndex(index)), last.map(LogIndex));
        }
        assert_eq!(log.last_of_term(Term(2), LogIndex(8)), None, "no such term");
        assert_eq!(log.last_of_term(Term(6), LogIndex(7)), None, "only later");
        assert_eq!(log.last_of_term(Term(6), LogIndex(99)), Some(LogIndex(8)), "past the end");
    }

    #[test]
    fn refuses_a_log_out_of_order() {
        let entry =
            |term, index| Entry { term: Term(term), index: LogIndex(index), command: [].into() };
        assert_eq!(Log::recover(vec![entry(1, 1), entry(1, 3)]), Err(2));
        assert_eq!(Log::recover(vec![entry(2, 1), entry(1, 2)]), Err(2));
        assert_eq!(Log::recover(vec![entry(0, 1)]), Err(1), "term 0 has no leader");
    }
}
