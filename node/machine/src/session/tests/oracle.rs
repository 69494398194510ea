//! Sessions against the plainest thing that does the same: it forgets nothing and looks at everything
//! anew for every entry.

use proptest::prelude::*;

use super::*;

/// Everything that ever happened, and what was said to it.
#[derive(Default)]
struct Chronicle {
    past: Vec<(Entry<Note>, Outcome<Count>)>,
    commands: usize,
}

impl Chronicle {
    fn clock_at(&self, length: usize, entry: &Entry<Note>) -> LogTime {
        self.past[..length].iter().map(|(e, _)| e.time).max().unwrap_or_default().max(entry.time)
    }

    /// Returns whether a session is open when an entry comes: walks through all that was said of it.
    fn is_open(&self, id: SessionId, entry: &Entry<Note>) -> bool {
        let mut last_sign: Option<(LogTime, Duration)> = None;
        for (place, (past, outcome)) in self.past.iter().enumerate() {
            let clock = self.clock_at(place, past);
            if last_sign.is_some_and(|(sign, ttl)| sign.after(ttl) < clock) {
                return false;
            }
            match (&past.request, outcome) {
                (Request::Open { .. }, Outcome::Opened { session, ttl }) if *session == id => {
                    last_sign = Some((clock, *ttl));
                }
                (Request::Close { session }, _) if *session == id && last_sign.is_some() => {
                    return false;
                }
                (Request::KeepAlive { session }, _) if *session == id => {
                    last_sign = last_sign.map(|(_, ttl)| (clock, ttl));
                }
                (Request::InSession { ticket, .. }, _) if ticket.session == id => {
                    last_sign = last_sign.map(|(_, ttl)| (clock, ttl));
                }
                _ => {}
            }
        }
        let clock = self.clock_at(self.past.len(), entry);
        last_sign.is_some_and(|(sign, ttl)| sign.after(ttl) >= clock)
    }

    /// Returns the tickets of a session since it was opened; a confused client may know its name before.
    fn tickets(
        &self,
        id: SessionId,
    ) -> impl Iterator<Item = (&Ticket, &Entry<Note>, &Outcome<Count>)> {
        self.past.iter().filter_map(move |(entry, outcome)| match &entry.request {
            Request::InSession { ticket, .. }
                if ticket.session == id && entry.position.0 > id.0 =>
            {
                Some((ticket, entry, outcome))
            }
            _ => None,
        })
    }

    fn carry_out(&mut self, position: Position) -> Outcome<Count> {
        self.commands += 1;
        Outcome::Applied { position, outcome: Count { count: self.commands, weight: 0 } }
    }

    fn in_session(&mut self, entry: &Entry<Note>, ticket: &Ticket) -> Outcome<Count> {
        let id = ticket.session;
        if !self.is_open(id, entry) {
            return Outcome::Refused(Refusal::Expired);
        }
        let acknowledged = self.tickets(id).map(|(past, ..)| past.first_unanswered.0);
        let first = acknowledged.max().unwrap_or(1).max(ticket.first_unanswered.0).max(1);
        if ticket.sequence.0 < first {
            return Outcome::Refused(Refusal::Stale);
        }
        let record = self.tickets(id).find(|(past, entry, outcome)| {
            let first_time = matches!(outcome,
                Outcome::Applied { position, .. } if *position == entry.position);
            past.sequence == ticket.sequence && first_time
        });
        match record {
            Some((past, ..)) if past.checksum != ticket.checksum => {
                Outcome::Refused(Refusal::Reused)
            }
            Some((_, _, outcome)) => outcome.clone(),
            None if ticket.sequence.0 >= first + WINDOW => Outcome::Refused(Refusal::Window),
            None => self.carry_out(entry.position),
        }
    }

    fn apply(&mut self, entry: &Entry<Note>) -> Outcome<Count> {
        let outcome = match &entry.request {
            Request::Plain(_) => self.carry_out(entry.position),
            Request::InSession { ticket, .. } => self.in_session(entry, ticket),
            Request::Open { ttl } => Outcome::Opened {
                session: SessionId(entry.position.0),
                ttl: (*ttl).clamp(TTL_MIN, TTL_MAX),
            },
            Request::KeepAlive { session } if self.is_open(*session, entry) => {
                let opened = self.past.iter().find_map(|(_, outcome)| match outcome {
                    Outcome::Opened { session: id, ttl } if id == session => Some(*ttl),
                    _ => None,
                });
                Outcome::KeptAlive { ttl: opened.unwrap() }
            }
            Request::KeepAlive { .. } => Outcome::Refused(Refusal::Expired),
            Request::Close { session } => {
                Outcome::Closed { existed: self.is_open(*session, entry) }
            }
        };
        self.past.push((entry.clone(), outcome.clone()));
        outcome
    }
}

/// A request that names one of the first places of the log as its session: often there is one.
fn requests() -> impl Strategy<Value = Request<Note>> {
    let session = || (1..6_u64).prop_map(SessionId);
    let sequence = prop_oneof![8 => 0..6_u64, 1 => 250..265_u64, 1 => Just(u64::MAX)];
    let acknowledged = prop_oneof![6 => Just(1_u64), 3 => 0..5_u64, 1 => 0..12_u64];
    // Mostly each number has its own command; now and then a client is confused.
    let confusion = prop_oneof![9 => Just(0_u32), 1 => 1..3_u32];
    prop_oneof![
        3 => prop_oneof![Just(1_000_u64), 0..4_000_u64]
            .prop_map(|ttl| Request::Open { ttl: Duration::from_millis(ttl) }),
        1 => session().prop_map(|session| Request::KeepAlive { session }),
        1 => session().prop_map(|session| Request::Close { session }),
        1 => (0..100_u32).prop_map(|text| Request::Plain(note(text))),
        12 => (session(), sequence, acknowledged, confusion).prop_map(
            |(session, sequence, acknowledged, confusion)| {
                let text = u32::try_from(sequence % 1_000).unwrap() * 10 + confusion;
                in_session(session, sequence, acknowledged, note(text))
            }
        ),
    ]
}

/// Requests and the proposers' clocks: they mostly creep, sometimes jump, sometimes go back.
fn logs() -> impl Strategy<Value = Vec<Entry<Note>>> {
    let step = prop_oneof![8 => 0..50_i64, 2 => 500..1_500_i64, 1 => -3_000..0_i64];
    prop::collection::vec((requests(), step), 1..60).prop_map(|steps| {
        let mut time = 10_000_i64;
        let entries = (1..).zip(steps).map(|(position, (request, step))| {
            time += step;
            let time = LogTime::from_millis(u64::try_from(time.max(0)).unwrap());
            Entry { position: Position(position), time, request }
        });
        entries.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn sessions_do_what_a_complete_memory_would(log in logs()) {
        let mut sessions = Sessions::<Journal>::default();
        let mut chronicle = Chronicle::default();
        for entry in &log {
            let before = sessions.inner().clone();
            let outcome = sessions.apply(entry);
            prop_assert_eq!(&outcome, &chronicle.apply(entry), "{:?}", entry);
            let is_new = matches!(&outcome,
                Outcome::Applied { position, .. } if *position == entry.position);
            prop_assert_eq!(&before != sessions.inner(), is_new, "S3: {:?}", entry);
            prop_assert_eq!(sessions.query(&()), chronicle.commands);
            // What follows from the state is kept as it would be found anew.
            let bytes = postcard::to_allocvec(&sessions).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<Sessions<Journal>>(&bytes).unwrap(), &sessions);
        }
    }

    #[test]
    fn retries_in_any_order_and_number_have_the_effect_of_once(
        deliveries in prop::collection::vec(1..20_u64, 1..100)
    ) {
        let mut log = Log::default();
        let session = log.open(60_000);
        let mut answers = std::collections::BTreeMap::new();
        let mut expected = Vec::new();
        for sequence in deliveries {
            let text = u32::try_from(sequence).unwrap();
            let answer = log.send(session, sequence, 1, text);
            let first = answers.entry(sequence).or_insert_with(|| {
                expected.push(text);
                answer.clone()
            });
            prop_assert_eq!(&answer, first, "S2");
        }
        prop_assert_eq!(log.commands(), expected, "S1");
    }
}
