//! Who waits for what.
//!
//! What a client is told is a promise:
//!
//! - **D1 An answer is an outcome.** It is sent when the command was applied here, from the very
//!   entry that the client's request made: same index, same term. To a request that repeats another
//!   in a session it is the machine that gives the earlier one's answer.
//! - **D2 "Not applied" is certain**, of the request that it answers. It is said when the core refused
//!   the request, and only then.
//! - **D3 Otherwise nobody knows.** A proposal that is in the log when its leader falls may yet be
//!   committed by the next one. Whoever waits for it is told so at once, so no entry of another term
//!   is ever applied in a place where somebody still waits.
//! - **D4 A read changes nothing**, so a read that gets no answer was not applied, whatever happened.

use std::collections::BTreeMap;

use machine::{Answer, Query};
use raft::{ChangeEnd, Entry, LogIndex, Membership, Refusal, RequestId, Role, Term, TransferEnd};
use tracing::debug;

use super::request::{End, Failure, Outcome, Reply};

/// How many proposals may wait for their entry to be applied, and as many reads. The core bounds
/// what is uncommitted; this bounds what is remembered of clients, some of whom may be gone.
pub(crate) const REQUESTS_MAX: usize = 16_384;

/// Everybody who waits for something that the core decides. A client that does not wait any more is
/// none to answer, so a reply that finds nobody is dropped, throughout.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// The number of the last request; from 1.
    last_request: u64,
    /// Proposals that the core has not taken or refused yet.
    proposed: BTreeMap<RequestId, Reply<Outcome>>,
    /// Proposals in the log, by their place, with the term of their entry.
    appended: BTreeMap<LogIndex, (Term, Reply<Outcome>)>,
    reads: BTreeMap<RequestId, (Query, Reply<Answer>)>,
    /// The core bounds these: it takes one of each at a time.
    transfers: BTreeMap<RequestId, End<()>>,
    changes: BTreeMap<RequestId, End<Membership>>,
}

impl Clients {
    /// Takes in who proposes; `None` if there are too many already, who are then told.
    pub(super) fn propose(&mut self, reply: Reply<Outcome>) -> Option<RequestId> {
        if self.proposed.len() + self.appended.len() >= REQUESTS_MAX {
            reply.send(Err(Failure::Overloaded)).ok();
            return None;
        }
        let request = self.next_request();
        self.proposed.insert(request, reply);
        Some(request)
    }

    /// Takes in who reads; `None` if there are too many already, who are then told.
    pub(super) fn read(&mut self, query: Query, reply: Reply<Answer>) -> Option<RequestId> {
        if self.reads.len() >= REQUESTS_MAX {
            reply.send(Err(Failure::Overloaded)).ok();
            return None;
        }
        let request = self.next_request();
        self.reads.insert(request, (query, reply));
        Some(request)
    }

    /// Takes in who wants the leadership handed over.
    pub(super) fn transfer(&mut self, end: End<()>) -> RequestId {
        let request = self.next_request();
        self.transfers.insert(request, end);
        request
    }

    /// Takes in who wants the membership changed.
    pub(super) fn change(&mut self, end: End<Membership>) -> RequestId {
        let request = self.next_request();
        self.changes.insert(request, end);
        request
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    /// Notes that a proposal is in the log.
    pub(super) fn appended(&mut self, request: RequestId, index: LogIndex, term: Term) {
        if let Some(reply) = self.proposed.remove(&request) {
            self.appended.insert(index, (term, reply));
        }
    }

    /// Tells who waits for this entry what it came to; nothing if it was no command.
    pub(super) fn applied(&mut self, entry: &Entry, outcome: Option<Outcome>) {
        let Some((term, reply)) = self.appended.remove(&entry.index) else { return };
        assert_eq!(term, entry.term, "D3: somebody waits where another term's entry is");
        let outcome = outcome.expect("D1: a proposal's own entry is a command");
        reply.send(Ok((entry.index, outcome))).ok();
    }

    /// Takes out a read that may be answered now.
    pub(super) fn ready(&mut self, request: RequestId) -> Option<(Query, Reply<Answer>)> {
        self.reads.remove(&request)
    }

    /// Tells whoever made the request that the core did not take it up.
    pub(super) fn refuse(&mut self, request: RequestId, refusal: Refusal) {
        let failure = refusal.into();
        if let Some(reply) = self.proposed.remove(&request) {
            reply.send(Err(failure)).ok();
        } else if let Some((_, reply)) = self.reads.remove(&request) {
            reply.send(Err(failure)).ok();
        } else if let Some(end) = self.transfers.remove(&request) {
            end.send(Err(failure)).ok();
        } else if let Some(end) = self.changes.remove(&request) {
            end.send(Err(failure)).ok();
        }
    }

    pub(super) fn end_transfer(&mut self, request: RequestId, how: TransferEnd) {
        if let Some(end) = self.transfers.remove(&request) {
            let result = match how {
                TransferEnd::LeftOffice => Ok(()),
                TransferEnd::TimedOut => Err(Failure::TimedOut),
            };
            end.send(result).ok();
        }
    }

    /// Tells who waits for a change of membership how it ended, and which one there is now.
    pub(super) fn end_change(&mut self, request: RequestId, how: ChangeEnd, now: Membership) {
        if let Some(end) = self.changes.remove(&request) {
            let result = match how {
                ChangeEnd::Done => Ok(now),
                ChangeEnd::LeftOffice => Err(Failure::LeftOffice),
                ChangeEnd::NotCaughtUp => Err(Failure::NotCaughtUp),
            };
            end.send(result).ok();
        }
    }

    /// Tells everybody whose proposal was of another reign than this that nobody knows (D3).
    pub(super) fn settle_reign(&mut self, role: Role, term: Term) {
        let reigns = |of: Term| role == Role::Leader && of == term;
        let fallen = self.appended.extract_if(.., |_, (of, _)| !reigns(*of));
        let replies: Vec<_> = fallen.map(|(_, (_, reply))| reply).collect();
        let unknown = replies.len();
        for reply in replies {
            reply.send(Err(Failure::Unknown)).ok();
        }
        if unknown > 0 {
            debug!(proposals = unknown, "outcome unknown");
        }
    }

    /// Tells everybody who waits for an entry up to `upto`, which a snapshot stands for from now on,
    /// that nobody knows: the snapshot does not tell what single entries came to (D3).
    pub(super) fn forget(&mut self, upto: LogIndex) {
        let later = self.appended.split_off(&upto.next());
        for (_, (_, reply)) in std::mem::replace(&mut self.appended, later) {
            reply.send(Err(Failure::Unknown)).ok();
        }
    }
}
