//! There and back, damage of every kind, and the bytes as they were when the format was fixed.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::session::{Entry, LogTime, Outcome, Position, Request, Sequence, SessionId, Ticket};
use crate::{Command, StateMachine, kv, ledger};

/// What the fixed state of the fixed log was when the format was made.
const GOLDEN: &str = include_str!("v1.hex");

fn name(text: &str) -> String {
    text.to_owned()
}

fn book(operation: ledger::Operation) -> Command {
    Command::Ledger(ledger::Command { book: name("book"), operation })
}

fn key(operation: kv::Operation) -> Command {
    Command::Kv(kv::Command { key: name("k"), operation })
}

fn open(account: &str, shares: u64) -> Command {
    let holdings = vec![(name("ACME"), shares)];
    book(ledger::Operation::Open { account: name(account), cash: 1_000, holdings })
}

fn trade(buyer: &str, seller: &str, quantity: u64) -> Command {
    let (buyer, seller, symbol) = (name(buyer), name(seller), name("ACME"));
    book(ledger::Operation::Trade(ledger::Terms { buyer, seller, symbol, quantity, price: 5 }))
}

fn cas(expected: Option<&str>) -> Command {
    key(kv::Operation::CompareAndSet { expected: expected.map(name), value: name("w") })
}

/// Feeds requests to a machine, one a second.
fn feed(
    machine: &mut Sessions<Machine>,
    requests: Vec<Request<Command>>,
) -> Vec<Outcome<crate::Outcome>> {
    let mut outcomes = Vec::new();
    for (position, request) in (1..).zip(requests) {
        let time = LogTime::from_millis(1_000_000 + position * 1_000);
        outcomes.push(machine.apply(&Entry { position: Position(position), time, request }));
    }
    outcomes
}

fn in_session(session: u64, sequence: u64, command: Command) -> Request<Command> {
    let (session, sequence) = (SessionId(session), Sequence(sequence));
    let (first_unanswered, checksum) = (Sequence(sequence.0.saturating_sub(3).max(1)), 7);
    Request::InSession { ticket: Ticket { session, sequence, first_unanswered, checksum }, command }
}

/// Everything that a state can hold, once: accounts, trades, values, and answers of every kind.
fn state() -> Sessions<Machine> {
    let mut machine = Sessions::default();
    let deposit = ledger::Operation::Deposit { account: name("a"), amount: 5 };
    let transfer = ledger::Operation::Transfer { from: name("b"), to: name("a"), amount: 3 };
    let outcomes = feed(
        &mut machine,
        vec![
            Request::Open { ttl: Duration::from_millis(61_500) },
            Request::Plain(open("a", 0)),
            Request::Plain(open("b", 9)),
            Request::Open { ttl: Duration::from_secs(3_600) },
            in_session(1, 1, trade("a", "b", 2)),
            in_session(1, 2, trade("a", "b", 200)),
            in_session(1, 3, book(deposit)),
            in_session(1, 4, book(transfer)),
            in_session(4, 1, key(kv::Operation::Put { value: name("ü") })),
            in_session(4, 2, cas(None)),
            in_session(4, 3, key(kv::Operation::Append { value: name("+") })),
            in_session(4, 4, key(kv::Operation::Delete)),
            Request::Plain(cas(None)),
        ],
    );
    assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Refused(_))));
    machine
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n");
    lines.collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Puts a right checksum at the end, as whoever wrote nonsense on purpose would.
fn seal(mut content: Vec<u8>) -> Vec<u8> {
    content.extend(crc32c::crc32c(&content).to_le_bytes());
    content
}

#[test]
fn the_format_is_what_it_was() {
    let bytes = state().save();
    assert!(
        hex(&bytes) == GOLDEN,
        "the format has changed: snapshots of older versions cannot be read any more. If that is \
         meant, raise VERSION and keep this beside the old file:\n{}",
        hex(&bytes)
    );
    assert_eq!(Sessions::restore(&unhex(GOLDEN)).unwrap(), state());
}

#[test]
fn damage_is_an_error() {
    let bytes = state().save();
    for length in 0..bytes.len() {
        let cut = Sessions::restore(&bytes[..length]);
        assert!(matches!(cut, Err(RestoreError::Damaged)), "{length} bytes: {cut:?}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let restored = Sessions::restore(&flipped);
        assert!(matches!(restored, Err(RestoreError::Damaged)), "bit {bit}: {restored:?}");
    }
}

#[test]
fn nonsense_under_a_right_checksum_is_an_error_or_another_state_but_never_a_panic() {
    let bytes = state().save();
    let content = &bytes[..bytes.len() - CHECKSUM_LENGTH];
    for length in HEADER_LENGTH..content.len() {
        let cut = Sessions::restore(&seal(content[..length].to_vec()));
        assert!(matches!(cut, Err(RestoreError::Nonsense(_))), "{length} bytes: {cut:?}");
    }
    let longer = Sessions::restore(&seal([content, &[0]].concat()));
    assert!(matches!(longer, Err(RestoreError::Unsound)), "{longer:?}");
    for place in HEADER_LENGTH..content.len() {
        for byte in 0..=u8::MAX {
            let mut changed = content.to_vec();
            changed[place] = byte;
            if let Ok(restored) = Sessions::restore(&seal(changed.clone())) {
                assert_eq!(restored == state(), changed == content, "place {place}, byte {byte}");
            }
        }
    }
}

#[test]
fn lengths_that_are_not_covered_claim_no_memory() {
    // The first thing in a state is how many books there are; then, how long the first one's name is.
    for lengths in [&[0xff; 9][..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let mut content = state().save();
        content.truncate(HEADER_LENGTH);
        content.extend(lengths);
        content.push(1);
        let restored = Sessions::restore(&seal(content));
        assert!(matches!(restored, Err(RestoreError::Nonsense(_))), "{restored:?}");
    }
}

#[test]
fn another_format_is_told_apart() {
    let mut content = state().save();
    content.truncate(content.len() - CHECKSUM_LENGTH);
    content[MAGIC.len()] = 2;
    let restored = Sessions::restore(&seal(content));
    assert!(matches!(restored, Err(RestoreError::Version { found: 2 })), "{restored:?}");
}

#[test]
fn a_state_that_breaks_an_invariant_is_refused() {
    let bytes = state().save();
    // The only trade: one of them, its number, and the buyer's name.
    let found = bytes.windows(6).rposition(|window| window == [1, 1, 1, b'a', 1, b'b']);
    let mut content = bytes[..bytes.len() - CHECKSUM_LENGTH].to_vec();
    content[found.unwrap() + 1] = 2;
    let restored = Sessions::restore(&seal(content));
    assert!(matches!(restored, Err(RestoreError::Unsound)), "L3: {restored:?}");
}

fn commands() -> impl Strategy<Value = Command> {
    let account = || prop_oneof![Just("a"), Just("b"), Just("c")];
    prop_oneof![
        (account(), 0..20_u64).prop_map(|(account, shares)| open(account, shares)),
        (account(), account(), 0..9_u64).prop_map(|(buyer, seller, n)| trade(buyer, seller, n)),
        Just(key(kv::Operation::Append { value: name("x") })),
        Just(key(kv::Operation::Delete)),
        Just(cas(Some("x"))),
    ]
}

fn requests() -> impl Strategy<Value = Vec<Request<Command>>> {
    let request = prop_oneof![
        1 => (0..40_u64).prop_map(|ttl| Request::Open { ttl: Duration::from_secs(ttl) }),
        1 => (1..5_u64).prop_map(|id| Request::Close { session: SessionId(id) }),
        2 => commands().prop_map(Request::Plain),
        6 => (1..5_u64, 1..8_u64, commands()).prop_map(|(id, n, c)| in_session(id, n, c)),
    ];
    prop::collection::vec(request, 0..60)
}

proptest! {
    /// A node that starts from a snapshot goes on exactly like one that has applied the whole log.
    #[test]
    fn a_restored_machine_is_the_same_and_stays_the_same(
        before in requests(),
        after in requests(),
    ) {
        let mut machine = Sessions::default();
        feed(&mut machine, before);
        let bytes = machine.save();
        let mut restored = Sessions::restore(&bytes).unwrap();
        prop_assert_eq!(&restored, &machine);
        prop_assert_eq!(restored.save(), bytes);
        let after: Vec<_> = after.into_iter().filter(|r| !matches!(r, Request::Open { .. })).collect();
        prop_assert_eq!(feed(&mut restored, after.clone()), feed(&mut machine, after));
        prop_assert_eq!(restored, machine);
    }
}
