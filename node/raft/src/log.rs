//! The replicated log as a replica holds it in memory.

use crate::types::{Entry, LogIndex, Term};

/// The entries behind `base`, numbered without gaps, whose terms never fall. Those up to `base` were
/// applied, are in a snapshot, and are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    /// The last entry that is gone; 0 if the log is whole.
    base: LogIndex,
    base_term: Term,
    entries: Vec<Entry>,
}

impl Log {
    /// Makes a log of recovered entries, or returns the place of the first that is out of order.
    pub(crate) fn recover(
        base: LogIndex,
        base_term: Term,
        entries: Vec<Entry>,
    ) -> Result<Self, u64> {
        let (mut index, mut term) = (base, base_term.max(Term(1)));
        for entry in &entries {
            if entry.index != index.next() || entry.term < term {
                return Err(index.next().0);
            }
            (index, term) = (entry.index, entry.term);
        }
        Ok(Self { base, base_term, entries })
    }

    /// Returns the last entry that is gone.
    pub(crate) fn base(&self) -> LogIndex {
        self.base
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex(self.base.0 + self.entries.len() as u64)
    }

    pub(crate) fn last_term(&self) -> Term {
        self.entries.last().map_or(self.base_term, |entry| entry.term)
    }

    /// Returns the term of the entry at `index`, if the log knows it: not before its base, nor past
    /// its end. Index 0 of a whole log has term 0.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base {
            return Some(self.base_term);
        }
        let place = index.0.checked_sub(self.base.0 + 1)?;
        Some(self.entries.get(usize::try_from(place).ok()?)?.term)
    }

    /// Returns the entries from `first` to `last`, both included; none if `last` is before `first`.
    pub(crate) fn slice(&self, first: LogIndex, last: LogIndex) -> &[Entry] {
        if last < first {
            return &[];
        }
        &self.entries[self.place(first)..=self.place(last)]
    }

    /// Returns the entries from `first` on.
    pub(crate) fn since(&self, first: LogIndex) -> &[Entry] {
        &self.entries[self.place(first)..]
    }

    /// Returns the bytes of the commands from `first` to `last`, both included.
    pub(crate) fn bytes(&self, first: LogIndex, last: LogIndex) -> usize {
        self.slice(first, last).iter().map(|entry| entry.payload.bytes()).sum()
    }

    /// Returns at most `count` entries from `first` on, whose commands hold at most `bytes` together;
    /// a single larger one all the same.
    pub(crate) fn batch(&self, first: LogIndex, count: usize, bytes: usize) -> &[Entry] {
        let entries = self.since(first);
        let mut total = 0;
        let fitting = entries.iter().take(count).take_while(|entry| {
            total += entry.payload.bytes();
            total <= bytes
        });
        let fitting = fitting.count().max(1).min(entries.len());
        &entries[..fitting]
    }

    /// Returns the first index of `term`, of which the log holds an entry at `index`; what is gone is
    /// not looked at.
    pub(crate) fn first_of_term(&self, term: Term, index: LogIndex) -> LogIndex {
        let before = self.slice(self.base.next(), index).partition_point(|entry| entry.term < term);
        LogIndex(self.base.0 + before as u64 + 1)
    }

    /// Returns the last index up to `index` whose term is `term`, if the log knows one.
    pub(crate) fn last_of_term(&self, term: Term, index: LogIndex) -> Option<LogIndex> {
        let upto = index.min(self.last_index());
        let last = self.slice(self.base.next(), upto).partition_point(|entry| entry.term <= term);
        let last = LogIndex(self.base.0 + last as u64);
        (last > LogIndex(0) && last <= upto && self.term_at(last) == Some(term)).then_some(last)
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index().next(), "I3 Log Matching: a gap in the log");
        assert!(entry.term >= self.last_term(), "I3 Log Matching: terms fall along the log");
        self.entries.push(entry);
    }

    /// Removes the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.entries.truncate(self.place(from));
    }

    /// Removes the entries up to `upto`, which becomes the base, unless they are gone already.
    pub(crate) fn compact(&mut self, upto: LogIndex) {
        if upto > self.base {
            self.base_term = self.term_at(upto).expect("what is compacted is in the log");
            self.entries.drain(..=self.place(upto));
            self.base = upto;
        }
    }

    /// Returns up to where to compact so that of the entries up to `snapshot` at most `count` are
    /// kept, with at most `bytes` of commands.
    pub(crate) fn before_tail(&self, snapshot: LogIndex, count: u64, bytes: usize) -> LogIndex {
        let mut total = 0;
        let kept = self.slice(self.base.next(), snapshot).iter().rev().take_while(|entry| {
            total += entry.payload.bytes();
            total <= bytes && entry.index.0 + count > snapshot.0
        });
        LogIndex(snapshot.0 - kept.count() as u64)
    }

    /// Begins anew behind a snapshot: nothing of what was there remains.
    pub(crate) fn reset(&mut self, base: LogIndex, base_term: Term) {
        *self = Self { base, base_term, entries: vec![] };
    }

    /// Returns where the entry with this index stands in the vector.
    fn place(&self, index: LogIndex) -> usize {
        assert!(index > self.base, "I9 Compaction: an entry is wanted that is gone");
        usize::try_from(index.0 - self.base.0 - 1)
            .expect("an index of a log in memory fits the address space")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Payload;

    fn entry(term: u64, index: u64) -> Entry {
        let payload = Payload::Command(vec![0; 10].into());
        Entry { term: Term(term), index: LogIndex(index), payload }
    }

    /// A log of entries with these terms behind a base.
    fn log(base: (u64, u64), terms: &[u64]) -> Log {
        let entries = (base.0 + 1..).zip(terms).map(|(index, &term)| entry(term, index)).collect();
        Log::recover(LogIndex(base.0), Term(base.1), entries)
            .expect("the terms of the test do not fall")
    }

    #[test]
    fn finds_the_edges_of_a_term() {
        let log = log((0, 0), &[1, 1, 1, 4, 4, 5, 5, 6]);
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
    fn finds_the_edges_of_a_term_behind_a_base() {
        let log = log((3, 2), &[2, 2, 4]);
        assert_eq!(log.first_of_term(Term(2), LogIndex(5)), LogIndex(4), "what is gone is unknown");
        assert_eq!(log.last_of_term(Term(2), LogIndex(6)), Some(LogIndex(5)));
        assert_eq!(log.last_of_term(Term(2), LogIndex(3)), Some(LogIndex(3)), "the base is known");
        assert_eq!(log.last_of_term(Term(2), LogIndex(2)), None, "before the base nothing is");
        assert_eq!(log.last_of_term(Term(1), LogIndex(6)), None);
    }

    #[test]
    fn compaction_keeps_what_is_behind_it() {
        let mut log = log((0, 0), &[1, 1, 2, 2, 3]);
        log.compact(LogIndex(3));
        log.compact(LogIndex(2));
        assert_eq!(
            (log.base(), log.last_index(), log.last_term()),
            (LogIndex(3), LogIndex(5), Term(3))
        );
        let terms = (0..=6).map(|index| log.term_at(LogIndex(index)).map(|term| term.0));
        let expected = [None, None, None, Some(2), Some(2), Some(3), None];
        assert_eq!(terms.collect::<Vec<_>>(), expected);
        log.compact(LogIndex(5));
        assert_eq!((log.last_index(), log.last_term()), (LogIndex(5), Term(3)));
        log.append(entry(3, 6));
        log.reset(LogIndex(9), Term(4));
        assert_eq!((log.last_index(), log.term_at(LogIndex(6))), (LogIndex(9), None));
    }

    #[test]
    fn the_tail_is_bounded_by_count_and_bytes() {
        let log = log((2, 1), &[1, 1, 1, 1, 1, 1]);
        // Snapshot, entries kept, bytes kept (each has ten), up to where to compact.
        for (snapshot, count, bytes, expected) in [
            (6, 0, 100, 6),
            (6, 2, 100, 4),
            (6, 2, 19, 5),
            (6, 2, 9, 6),
            (6, 99, 100, 2),
            (8, 3, 100, 5),
            (2, 3, 100, 2),
        ] {
            let upto = log.before_tail(LogIndex(snapshot), count, bytes);
            assert_eq!(upto, LogIndex(expected), "{snapshot} {count} {bytes}");
        }
    }

    #[test]
    fn refuses_a_log_out_of_order() {
        let recover =
            |base, base_term, entries| Log::recover(LogIndex(base), Term(base_term), entries);
        assert_eq!(recover(0, 0, vec![entry(1, 1), entry(1, 3)]), Err(2));
        assert_eq!(recover(0, 0, vec![entry(2, 1), entry(1, 2)]), Err(2));
        assert_eq!(recover(0, 0, vec![entry(0, 1)]), Err(1), "term 0 has no leader");
        assert_eq!(recover(4, 2, vec![entry(2, 4)]), Err(5), "it is in the snapshot");
        assert_eq!(recover(4, 2, vec![entry(1, 5)]), Err(5), "an earlier term than the snapshot's");
    }
}
