//! Sessions around a machine on which every command that reaches it leaves a mark.

use super::*;

mod bounds;
mod oracle;

/// A machine whose state is every command that ever reached it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Journal {
    commands: Vec<u32>,
}

/// A command, and what its outcome is to weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    text: u32,
    weight: usize,
}

/// How many commands there were, the one included; not two are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    count: usize,
    weight: usize,
}

impl Weigh for Count {
    fn weight(&self) -> usize {
        self.weight
    }
}

impl StateMachine for Journal {
    type Command = Note;
    type Outcome = Count;
    type Query = ();
    type Answer = usize;

    fn apply(&mut self, note: &Note) -> Count {
        self.commands.push(note.text);
        Count { count: self.commands.len(), weight: note.weight }
    }

    fn query(&self, (): &()) -> usize {
        self.commands.len()
    }
}

/// Sessions, and the place and time of the next entry.
#[derive(Default)]
struct Log {
    sessions: Sessions<Journal>,
    position: u64,
    time: u64,
}

impl Log {
    fn apply(&mut self, request: Request<Note>) -> Outcome<Count> {
        self.position += 1;
        let entry = Entry {
            position: Position(self.position),
            time: LogTime::from_millis(self.time),
            request,
        };
        self.sessions.apply(&entry)
    }

    fn open(&mut self, ttl: u64) -> SessionId {
        match self.apply(Request::Open { ttl: Duration::from_millis(ttl) }) {
            Outcome::Opened { session, .. } => session,
            other => panic!("an open came to {other:?}"),
        }
    }

    /// Sends command `text` under this number; everything below `first_unanswered` is acknowledged.
    fn send(
        &mut self,
        session: SessionId,
        sequence: u64,
        first_unanswered: u64,
        text: u32,
    ) -> Outcome<Count> {
        self.apply(in_session(session, sequence, first_unanswered, note(text)))
    }

    fn commands(&self) -> &[u32] {
        &self.sessions.inner().commands
    }
}

fn note(text: u32) -> Note {
    Note { text, weight: 0 }
}

fn in_session(
    session: SessionId,
    sequence: u64,
    first_unanswered: u64,
    command: Note,
) -> Request<Note> {
    let (sequence, first_unanswered) = (Sequence(sequence), Sequence(first_unanswered));
    let ticket = Ticket { session, sequence, first_unanswered, checksum: command.text };
    Request::InSession { ticket, command }
}

fn applied(position: u64, count: usize) -> Outcome<Count> {
    let outcome = Count { count, weight: 0 };
    Outcome::Applied { position: Position(position), outcome }
}

fn refused(refusal: Refusal) -> Outcome<Count> {
    Outcome::Refused(refusal)
}

#[test]
fn a_plain_command_is_carried_out_every_time() {
    let mut log = Log::default();
    assert_eq!(log.apply(Request::Plain(note(7))), applied(1, 1));
    assert_eq!(log.apply(Request::Plain(note(7))), applied(2, 2));
    assert_eq!(log.commands(), [7, 7]);
}

#[test]
fn a_repeated_command_is_answered_with_the_answer_of_record() {
    let mut log = Log::default();
    let session = log.open(60_000);
    assert_eq!(log.send(session, 1, 1, 70), applied(2, 1));
    assert_eq!(log.apply(Request::Plain(note(5))), applied(3, 2));
    for _ in 0..3 {
        assert_eq!(log.send(session, 1, 1, 70), applied(2, 1));
    }
    assert_eq!(log.commands(), [70, 5]);
}

#[test]
fn numbers_may_come_in_any_order_and_two_sessions_share_none() {
    let mut log = Log::default();
    let (one, other) = (log.open(60_000), log.open(60_000));
    assert_eq!(log.send(one, 3, 1, 13), applied(3, 1));
    assert_eq!(log.send(one, 1, 1, 11), applied(4, 2));
    assert_eq!(log.send(other, 1, 1, 21), applied(5, 3));
    assert_eq!(log.send(one, 2, 1, 12), applied(6, 4));
    assert_eq!(log.send(one, 3, 1, 13), applied(3, 1));
    assert_eq!(log.commands(), [13, 11, 21, 12]);
}

#[test]
fn what_was_acknowledged_is_refused_even_if_it_never_came() {
    let mut log = Log::default();
    let session = log.open(60_000);
    log.send(session, 1, 1, 1);
    log.send(session, 3, 3, 3);
    for sequence in [0, 1, 2] {
        assert_eq!(log.send(session, sequence, 1, 9), refused(Refusal::Stale));
    }
    // An entry that is late cannot take an acknowledgement back.
    assert_eq!(log.send(session, 4, 1, 4), applied(7, 3));
    assert_eq!(log.send(session, 2, 1, 2), refused(Refusal::Stale));
    // A ticket that acknowledges itself makes no sense and does no harm.
    assert_eq!(log.send(session, 5, 6, 5), refused(Refusal::Stale));
    assert_eq!(log.commands(), [1, 3, 4]);
}

#[test]
fn a_number_that_was_used_for_another_command_is_refused() {
    let mut log = Log::default();
    let session = log.open(60_000);
    assert_eq!(log.send(session, 1, 1, 70), applied(2, 1));
    assert_eq!(log.send(session, 1, 1, 71), refused(Refusal::Reused));
    assert_eq!(log.send(session, 1, 1, 70), applied(2, 1));
    assert_eq!(log.commands(), [70]);
}

#[test]
fn a_session_lives_exactly_as_long_as_it_was_promised() {
    for (silence, is_alive) in [(1_999, true), (2_000, true), (2_001, false)] {
        let mut log = Log { time: 10_000, ..Log::default() };
        let session = log.open(2_000);
        log.time += silence;
        let kept = log.apply(Request::KeepAlive { session });
        let ttl = Duration::from_secs(2);
        let expected =
            if is_alive { Outcome::KeptAlive { ttl } } else { refused(Refusal::Expired) };
        assert_eq!(kept, expected, "after {silence} ms");
        // Whatever names an open session is a sign of life; other entries are none.
        log.time += 2_000;
        let sent = log.send(session, 1, 1, 1);
        assert_eq!(matches!(sent, Outcome::Applied { .. }), is_alive, "{sent:?}");
        log.time += 2_001;
        log.apply(Request::Plain(note(2)));
        assert_eq!(log.sessions.session_count(), 0);
        assert_eq!(log.send(session, 1, 1, 1), refused(Refusal::Expired));
    }
}

#[test]
fn a_refused_command_is_a_sign_of_life_too() {
    let mut log = Log::default();
    let session = log.open(1_000);
    log.send(session, 2, 2, 2);
    for _ in 0..5 {
        log.time += 900;
        assert_eq!(log.send(session, 1, 2, 1), refused(Refusal::Stale));
    }
}

#[test]
fn a_clock_that_goes_back_is_not_believed() {
    let mut log = Log { time: 100_000, ..Log::default() };
    let session = log.open(1_000);
    log.time = 0;
    log.apply(Request::Plain(note(1)));
    log.time = 101_000;
    assert!(matches!(log.apply(Request::KeepAlive { session }), Outcome::KeptAlive { .. }));
    // A clock that is far ahead ends it, and nothing brings it back.
    log.time = u64::MAX;
    log.apply(Request::Plain(note(2)));
    log.time = 101_000;
    assert_eq!(log.apply(Request::KeepAlive { session }), refused(Refusal::Expired));
    // From then on the log's clock stands still, and sessions work as before.
    let session = log.open(1_000);
    assert!(matches!(log.send(session, 1, 1, 3), Outcome::Applied { .. }));
}

#[test]
fn a_closed_session_is_gone_and_can_be_closed_again() {
    let mut log = Log::default();
    let session = log.open(60_000);
    log.send(session, 1, 1, 1);
    assert_eq!(log.apply(Request::Close { session }), Outcome::Closed { existed: true });
    assert_eq!(log.apply(Request::Close { session }), Outcome::Closed { existed: false });
    assert_eq!(log.send(session, 1, 1, 1), refused(Refusal::Expired));
    assert_eq!(log.send(session, 2, 1, 2), refused(Refusal::Expired));
    assert_eq!(log.apply(Request::KeepAlive { session }), refused(Refusal::Expired));
    assert_eq!(log.commands(), [1]);
}

#[test]
fn a_life_is_put_within_its_bounds() {
    let mut log = Log::default();
    for (asked, given) in [(0, 1_000), (999, 1_000), (5_000, 5_000), (u64::MAX, 3_600_000)] {
        let opened = log.apply(Request::Open { ttl: Duration::from_millis(asked) });
        let (session, ttl) = (SessionId(log.position), Duration::from_millis(given));
        assert_eq!(opened, Outcome::Opened { session, ttl });
    }
}
