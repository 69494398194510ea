//! The driver under a core that says what the test wants, and under a real one of a single node.

use std::collections::VecDeque;
use std::time::SystemTime;

use machine::{kv, session};
use proto::log::command::Command as Logged;
use raft::{Limits, Refusal, Replica, RequestId, RequestVote, Term, Write};
use tokio::sync::oneshot;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::request::Outcome;
use super::*;

type Waiting<T> = Receiver<Result<(LogIndex, T), Failure>>;

/// A tick, as an input and as an event; what the clock says is of no matter here.
const NOW: Timestamp = Timestamp(7);
const TICK: Input = Input::Tick { now: NOW };
const TOCK: Event = Event::Tick { now: NOW };

/// A core that expects inputs and gives outputs as it was told.
#[derive(Debug, Default)]
struct Script {
    steps: VecDeque<(Input, Vec<Output>)>,
    /// How it says that it stands.
    standing: Option<Standing>,
}

impl Core for Script {
    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>) {
        let (expected, then) =
            self.steps.pop_front().unwrap_or_else(|| panic!("unexpected input {input:?}"));
        assert_eq!(input, expected);
        outputs.extend(then);
    }

    fn standing(&self) -> Standing {
        self.standing.clone().expect("the test says how the script stands")
    }
}

/// A driver with a script, and every effect so far.
struct Stage {
    driver: Driver<Script>,
    effects: Vec<Effect>,
}

impl Stage {
    fn new() -> Self {
        let driver = Driver::new(Script::default(), Applied::default(), options(false));
        Self { driver, effects: Vec::new() }
    }

    /// Tells the core what to expect next and what to say to it.
    fn expect(&mut self, input: Input, outputs: Vec<Output>) -> &mut Self {
        self.driver.core.steps.push_back((input, outputs));
        self
    }

    fn handle(&mut self, event: Event) {
        self.driver.handle(event, &mut self.effects).unwrap();
        assert!(self.driver.core.steps.is_empty(), "inputs that did not come");
    }

    fn request(&mut self, request: Request) {
        self.handle(Event::Request { request, now: NOW });
    }

    /// Proposes a put; the core gives it this place.
    fn propose(&mut self, request: u64, term: u64, index: u64) -> Waiting<Outcome> {
        let request = RequestId(request);
        let appended = Output::Appended { request, index: LogIndex(index), term: Term(term) };
        self.propose_with(request, vec![appended])
    }

    fn propose_with(&mut self, request: RequestId, outputs: Vec<Output>) -> Waiting<Outcome> {
        let (reply, waiting) = oneshot::channel();
        self.expect(Input::Propose { request, command: put() }, outputs);
        self.request(Request::Propose(put(), reply));
        waiting
    }

    fn read(&mut self, request: u64, outputs: Vec<Output>) -> Waiting<Answer> {
        let (reply, waiting) = oneshot::channel();
        self.expect(Input::Read { request: RequestId(request), now: NOW }, outputs);
        self.request(Request::Read(get(), reply));
        waiting
    }

    /// Lets the core hand out an entry at a tick.
    fn apply(&mut self, entry: Entry) {
        let upto = entry.index;
        self.expect(TICK, vec![Output::Apply { entries: vec![entry] }])
            .expect(Input::Applied { upto }, vec![])
            .handle(TOCK);
    }

    fn change_role(&mut self, role: Role, term: u64, leader: Option<u64>) {
        let (term, leader) = (Term(term), leader.map(NodeId));
        self.expect(TICK, vec![Output::RoleChanged { role, term, leader }]).handle(TOCK);
    }
}

fn options(reads_locally: bool) -> Options {
    let known = [NodeId(1), NodeId(2), NodeId(3)].into();
    Options { id: NodeId(1), known, reads_locally }
}

fn put() -> raft::Command {
    let put = proto::kv::PutRequest { key: "k".to_owned(), value: "v".to_owned() };
    command::encode(SystemTime::UNIX_EPOCH, None, Logged::Put(put))
}

/// What a put comes to that is carried out at this place.
fn was_put(index: u64) -> Outcome {
    let outcome = machine::Outcome::Kv(kv::Outcome::Put);
    Outcome::Applied { position: session::Position(index), outcome }
}

fn get() -> Query {
    Query::Kv(kv::Query { key: "k".to_owned() })
}

fn value(value: Option<&str>) -> Answer {
    Answer::Kv(kv::Answer { value: value.map(str::to_owned) })
}

fn entry(term: u64, index: u64, payload: Payload) -> Entry {
    Entry { term: Term(term), index: LogIndex(index), payload }
}

fn put_entry(term: u64, index: u64) -> Entry {
    entry(term, index, Payload::Command(put()))
}

fn write(id: u64) -> Write {
    Write {
        id: WriteId(id),
        hard_state: None,
        snapshot: None,
        truncate_from: None,
        entries: vec![],
        compact_upto: None,
    }
}

fn persist(id: u64) -> Effect {
    Effect::Persist { write: write(id), data: None }
}

#[test]
fn a_proposal_is_answered_when_its_own_entry_is_applied() {
    let mut stage = Stage::new();
    let mut waiting = stage.propose(1, 3, 1);
    assert_eq!(waiting.try_recv(), Err(TryRecvError::Empty));
    stage.apply(put_entry(3, 1));
    assert_eq!(waiting.try_recv(), Ok(Ok((LogIndex(1), was_put(1)))));
}

#[test]
#[should_panic = "D3: somebody waits where another term's entry is"]
fn another_terms_entry_is_never_applied_where_somebody_waits() {
    let mut stage = Stage::new();
    let _waiting = stage.propose(1, 3, 1);
    stage.apply(put_entry(4, 1));
}

#[test]
fn a_fallen_leader_knows_nothing_of_its_proposals_and_reads_are_the_cores_to_answer() {
    for role in [Role::Follower, Role::Candidate] {
        let mut stage = Stage::new();
        let mut proposal = stage.propose(1, 3, 1);
        let mut read = stage.read(2, vec![]);
        stage.change_role(role, 4, Some(2));
        assert_eq!(proposal.try_recv(), Ok(Err(Failure::Unknown)));
        assert_eq!(read.try_recv(), Err(TryRecvError::Empty));
        // The entry may yet be committed; nobody waits for it any more.
        stage.apply(put_entry(3, 1));
    }
}

#[test]
fn a_later_reign_does_not_answer_for_an_earlier_one() {
    let mut stage = Stage::new();
    stage.change_role(Role::Leader, 3, Some(1));
    let mut old = stage.propose(1, 3, 1);
    stage.change_role(Role::Leader, 5, Some(1));
    assert_eq!(old.try_recv(), Ok(Err(Failure::Unknown)));
    let mut new = stage.propose(2, 5, 2);
    stage.change_role(Role::Leader, 5, Some(1));
    assert_eq!(new.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn refusals_reach_whoever_asked() {
    for (refusal, failure) in [
        (Refusal::NotLeader { leader: None }, Failure::NotLeader(None)),
        (Refusal::NotLeader { leader: Some(NodeId(2)) }, Failure::NotLeader(Some(NodeId(2)))),
        (Refusal::Overloaded, Failure::Overloaded),
        (Refusal::TooLarge, Failure::TooLarge),
        (Refusal::Transferring { to: NodeId(2) }, Failure::Transferring),
    ] {
        let mut stage = Stage::new();
        let request = RequestId(1);
        let mut proposal = stage.propose_with(request, vec![Output::Refused { request, refusal }]);
        assert_eq!(proposal.try_recv(), Ok(Err(failure)));
        let request = RequestId(2);
        let mut read = stage.read(2, vec![Output::Refused { request, refusal }]);
        assert_eq!(read.try_recv(), Ok(Err(failure)));
    }
}

#[test]
fn a_read_sees_what_was_applied_when_it_is_ready() {
    let mut stage = Stage::new();
    let mut early = stage.read(1, vec![Output::ReadReady { request: RequestId(1) }]);
    let mut late = stage.read(2, vec![]);
    stage.apply(entry(1, 1, Payload::Noop));
    stage.apply(put_entry(1, 2));
    stage.expect(TICK, vec![Output::ReadReady { request: RequestId(2) }]).handle(TOCK);
    assert_eq!(early.try_recv(), Ok(Ok((LogIndex(0), value(None)))));
    assert_eq!(late.try_recv(), Ok(Ok((LogIndex(2), value(Some("v"))))));
}

#[test]
fn a_flawed_node_answers_reads_without_asking_the_core() {
    let mut driver = Driver::new(Script::default(), Applied::default(), options(true));
    let (reply, mut waiting) = oneshot::channel();
    let request = Request::Read(get(), reply);
    driver.handle(Event::Request { request, now: NOW }, &mut Vec::new()).unwrap();
    assert_eq!(waiting.try_recv(), Ok(Ok((LogIndex(0), value(None)))));
}

#[test]
fn messages_leave_when_their_write_is_durable_and_not_before() {
    let message = |term| {
        let (last_log_index, last_log_term) = (LogIndex(0), Term(0));
        Message::RequestVote(RequestVote {
            term: Term(term),
            last_log_index,
            last_log_term,
            is_transfer: false,
        })
    };
    let send = |term, after: Option<u64>| Output::Send {
        to: NodeId(2),
        message: message(term),
        after: after.map(WriteId),
    };
    let sent = |term| Effect::Send { to: NodeId(2), message: message(term) };
    let mut stage = Stage::new();
    let first = vec![Output::Persist(write(1)), send(1, Some(1)), send(2, None)];
    stage.expect(TICK, first).handle(TOCK);
    let second = vec![Output::Persist(write(2)), send(3, Some(2)), send(4, Some(1))];
    stage.expect(TICK, second).handle(TOCK);
    let expected = [persist(1), sent(2), persist(2)];
    assert_eq!(stage.effects.drain(..).collect::<Vec<_>>(), expected);

    // Whatever waits for a write leaves with it, though later writes were handed out before.
    let persisted = |upto| Input::Persisted { upto: WriteId(upto) };
    stage.expect(persisted(1), vec![send(5, Some(1))]).handle(Event::Persisted(WriteId(1)));
    assert_eq!(stage.effects.drain(..).collect::<Vec<_>>(), [sent(1), sent(5)]);
    stage.expect(persisted(2), vec![]).handle(Event::Persisted(WriteId(2)));
    assert_eq!(stage.effects, [sent(3), sent(4)]);
}

#[test]
fn under_a_disk_that_hangs_the_newest_messages_are_dropped() {
    let mut stage = Stage::new();
    let message = |round: usize| {
        Message::AppendEntriesResponse(raft::AppendEntriesResponse {
            term: Term(1),
            round: raft::Round(round as u64),
            outcome: raft::AppendOutcome::Stale,
        })
    };
    for round in 0..=HELD_MAX {
        let (to, after) = (NodeId(2), Some(WriteId(1)));
        let send = Output::Send { to, message: message(round), after };
        stage.expect(TICK, vec![send]).handle(TOCK);
    }
    stage.expect(Input::Persisted { upto: WriteId(1) }, vec![]);
    stage.handle(Event::Persisted(WriteId(1)));
    assert_eq!(stage.effects.len(), HELD_MAX);
    let last = Effect::Send { to: NodeId(2), message: message(HELD_MAX - 1) };
    assert_eq!(stage.effects.last(), Some(&last));
}

#[test]
fn an_entry_that_is_no_command_stops_the_node_and_is_named() {
    for bytes in [&[0xff, 0xff][..], &[0xfa, 0x3e, 0x00][..]] {
        let mut stage = Stage::new();
        let entries = vec![entry(1, 1, Payload::Command(bytes.into()))];
        stage.expect(TICK, vec![Output::Apply { entries }]);
        let error = stage.driver.handle(TOCK, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, DriverError::Undecodable { index: LogIndex(1), .. }), "{error}");
    }
}

mod admin;
mod snapshots;

/// A real core, alone in its cluster, on a disk that is instantly durable.
#[test]
fn a_single_node_elects_itself_applies_and_reads() {
    let config = raft::Config {
        id: NodeId(1),
        members: [NodeId(1)].into(),
        election_timeout: 10,
        heartbeat_interval: 2,
        pre_vote: true,
        check_quorum: true,
        lease: None,
        incarnation: 1,
        seed: 1,
        limits: Limits::default(),
    };
    let core = Replica::new(config, raft::Recovered::default()).unwrap();
    let mut driver = Driver::new(core, Applied::default(), options(false));
    let mut run = |event| {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            driver.handle(event, &mut effects).unwrap();
            for effect in effects {
                match effect {
                    Effect::Persist { write, .. } => events.push_back(Event::Persisted(write.id)),
                    Effect::Connect(members) => assert_eq!(members, [NodeId(1)].into()),
                    other => panic!("there is nobody to send to: {other:?}"),
                }
            }
        }
        driver.core.standing()
    };
    let mut standing = run(TOCK);
    for _ in 0..100 {
        if standing.role == Role::Leader {
            break;
        }
        standing = run(TOCK);
    }
    assert_eq!((standing.role, standing.commit_index), (Role::Leader, LogIndex(1)));

    let (reply, mut proposal) = oneshot::channel();
    run(Event::Request { request: Request::Propose(put(), reply), now: NOW });
    let outcome = was_put(2);
    assert_eq!(proposal.try_recv(), Ok(Ok((LogIndex(2), outcome))));
    let (reply, mut read) = oneshot::channel();
    run(Event::Request { request: Request::Read(get(), reply), now: NOW });
    assert_eq!(read.try_recv(), Ok(Ok((LogIndex(2), value(Some("v"))))));
}
