//! Who waits for what at a node. The promises are those of the node's own driver: an answer is an outcome,
//! "not applied" is certain, and otherwise nobody knows.

use std::collections::BTreeMap;

use machine::Query;
use raft::{LogIndex, RequestId, Role, Term};

use crate::request::Asker;

/// Everybody who waits for something that the core decides.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Proposals that the core has not taken or refused yet.
    proposed: BTreeMap<RequestId, Asker>,
    /// Proposals in the log, by their place, with the term of their entry.
    appended: BTreeMap<LogIndex, (Term, Asker)>,
    reads: BTreeMap<RequestId, Read>,
}

/// A read under way.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) asker: Asker,
    pub(super) query: Query,
    /// What was committed when it arrived.
    pub(super) committed: LogIndex,
}

impl Waiting {
    pub(super) fn propose(&mut self, request: RequestId, asker: Asker) {
        self.proposed.insert(request, asker);
    }

    pub(super) fn read(
        &mut self,
        request: RequestId,
        asker: Asker,
        query: Query,
        committed: LogIndex,
    ) {
        self.reads.insert(request, Read { asker, query, committed });
    }

    pub(super) fn appended(&mut self, request: RequestId, index: LogIndex, term: Term) {
        if let Some(asker) = self.proposed.remove(&request) {
            self.appended.insert(index, (term, asker));
        }
    }

    /// Takes out who waits for the entry at an index.
    pub(super) fn applied(&mut self, index: LogIndex, term: Term) -> Option<Asker> {
        let (of, asker) = self.appended.remove(&index)?;
        assert_eq!(of, term, "somebody waits where another term's entry is");
        Some(asker)
    }

    pub(super) fn ready(&mut self, request: RequestId) -> Option<Read> {
        self.reads.remove(&request)
    }

    /// Takes out who made a request that the core did not take up.
    pub(super) fn refuse(&mut self, request: RequestId) -> Option<Asker> {
        let proposed = self.proposed.remove(&request);
        proposed.or_else(|| self.reads.remove(&request).map(|read| read.asker))
    }

    /// Takes out everybody whose proposal was of another reign than this.
    pub(super) fn settle_reign(&mut self, role: Role, term: Term) -> Vec<Asker> {
        let reigns = |of: Term| role == Role::Leader && of == term;
        let fallen = self.appended.extract_if(.., |_, (of, _)| !reigns(*of));
        fallen.map(|(_, (_, asker))| asker).collect()
    }

    /// Takes out everybody who waits for an entry that a snapshot stands for from now on.
    pub(super) fn forget(&mut self, upto: LogIndex) -> Vec<Asker> {
        let later = self.appended.split_off(&upto.next());
        let gone = std::mem::replace(&mut self.appended, later);
        gone.into_values().map(|(_, asker)| asker).collect()
    }

    /// Takes out everybody.
    pub(super) fn everybody(&mut self) -> Vec<Asker> {
        let proposed = std::mem::take(&mut self.proposed).into_values();
        let appended = std::mem::take(&mut self.appended).into_values().map(|(_, asker)| asker);
        let reads = std::mem::take(&mut self.reads).into_values().map(|read| read.asker);
        proposed.chain(appended).chain(reads).collect()
    }
}
