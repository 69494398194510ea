//! What only an onlooker knows: who ever led, what was ever committed, what clients saw.

use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use raft::{Entry, LogIndex, NodeId, Snapshot, Term};

use super::machine::data_after;
use super::node::Op;

/// What happened in the cluster.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Truth {
    /// Who was seen to lead which term.
    pub(crate) leaders: Vec<(Term, NodeId)>,
    /// Every entry that some node took for committed, and the term of the node that was the first.
    pub(crate) committed: Vec<(Entry, Term)>,
    /// Where nodes took different entries for committed, or one took an entry out of turn.
    pub(crate) diverged: Option<LogIndex>,
    /// A core that stopped because it doubted itself.
    pub(crate) doubt: Option<(NodeId, String)>,
}

impl Truth {
    /// Notes who leads a term, and returns whether that is news.
    pub(crate) fn note_leader(&mut self, id: NodeId, term: Term) -> bool {
        let found = self.leaders.binary_search(&(term, id));
        if let Err(place) = found {
            self.leaders.insert(place, (term, id));
        }
        found.is_err()
    }

    pub(crate) fn note_committed(&mut self, entry: Entry, term: Term) {
        let place = usize::try_from(entry.index.0 - 1).expect("a short log");
        match self.committed.get(place) {
            Some((known, _)) if *known == entry => {}
            None if place == self.committed.len() => self.committed.push((entry, term)),
            // Another entry, or one that nobody has taken for committed before the next one.
            Some(_) | None => self.diverged = Some(entry.index),
        }
    }

    /// Notes the state of a state machine that stands for a snapshot.
    pub(crate) fn note_snapshot(&mut self, snapshot: &Snapshot, data: &[u8]) {
        let upto = usize::try_from(snapshot.index.0).expect("a short log");
        let is_right = self.committed.get(..upto).is_some_and(|entries| {
            let last = entries.last().map_or(Term(0), |(entry, _)| entry.term);
            last == snapshot.term && data_after(entries.iter().map(|(entry, _)| entry)) == data
        });
        if !is_right {
            self.diverged = Some(snapshot.index);
        }
    }

    pub(crate) fn elects_one_a_term(&self) -> bool {
        self.leaders.windows(2).all(|pair| pair[0].0 != pair[1].0)
    }
}

/// What the clients of one register saw. Each operation has a client of its own, so they may all be
/// under way at once; what never ends may have happened, or may happen at any later time.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Clients {
    history: LinearizabilityTester<Op, Register<u8>>,
    last: Op,
    /// Whether the history can be explained; found out when something is answered.
    pub(crate) is_linearizable: bool,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self { history: LinearizabilityTester::new(Register(0)), last: 0, is_linearizable: true }
    }

    pub(crate) fn invoke_write(&mut self) -> Op {
        self.last += 1;
        self.invoke(RegisterOp::Write(self.last))
    }

    pub(crate) fn invoke_read(&mut self) -> Op {
        self.last += 1;
        self.invoke(RegisterOp::Read)
    }

    fn invoke(&mut self, op: RegisterOp<u8>) -> Op {
        self.history.on_invoke(self.last, op).expect("every operation has its own client");
        self.last
    }

    pub(crate) fn answer_write(&mut self, op: Op) {
        self.answer(op, RegisterRet::WriteOk);
    }

    pub(crate) fn answer_read(&mut self, op: Op, value: u8) {
        self.answer(op, RegisterRet::ReadOk(value));
    }

    fn answer(&mut self, op: Op, answer: RegisterRet<u8>) {
        self.history.on_return(op, answer).expect("an operation is answered once");
        self.is_linearizable = self.history.is_consistent();
    }
}
