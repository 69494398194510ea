//! Commands, as clients send them and as the log holds them, to those of the machines.

use std::time::{Duration, SystemTime};

use machine::session::{Entry, LogTime, Position, Request, Sequence, SessionId, Ticket};
use machine::{Command, kv, ledger};
use prost::Message as _;
use proto::log;
use proto::log::command::Command as Logged;
use raft::LogIndex;

/// An entry of the log that is no command of this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no message.
    #[error("failed to decode it")]
    Malformed(#[from] prost::DecodeError),
    /// The message holds no request that is known here.
    #[error("it holds no known request; did a newer version write it?")]
    Unknown,
    /// The message puts into a session what can only stand outside of one.
    #[error("it holds a request about sessions within a session")]
    Nested,
}

/// Puts a request into the form in which it is logged, at this time by the proposer's clock.
pub(crate) fn encode(
    time: SystemTime,
    ticket: Option<proto::Ticket>,
    request: Logged,
) -> raft::Command {
    let request = match ticket {
        None => request,
        Some(proto::Ticket { session, sequence, first_unanswered }) => {
            let command = log::Command { time_ms: 0, command: Some(request) }.encode_to_vec();
            let checksum = crc32c::crc32c(&command);
            let command = command.into();
            Logged::InSession(log::InSession {
                session,
                sequence,
                first_unanswered,
                checksum,
                command,
            })
        }
    };
    // A clock that stands before the epoch tells no time.
    let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    log::Command { time_ms, command: Some(request) }.encode_to_vec().into()
}

/// Reads a logged request that stands at this place.
pub(crate) fn decode(index: LogIndex, bytes: &[u8]) -> Result<Entry<Command>, DecodeError> {
    let log::Command { time_ms, command } = log::Command::decode(bytes)?;
    let request = match command.ok_or(DecodeError::Unknown)? {
        Logged::OpenSession(r) => Request::Open { ttl: Duration::from_millis(r.ttl_ms) },
        Logged::KeepSessionAlive(r) => Request::KeepAlive { session: SessionId(r.session) },
        Logged::CloseSession(r) => Request::Close { session: SessionId(r.session) },
        Logged::InSession(r) => {
            let inner = log::Command::decode(r.command)?.command.ok_or(DecodeError::Unknown)?;
            let ticket = Ticket {
                session: SessionId(r.session),
                sequence: Sequence(r.sequence),
                first_unanswered: Sequence(r.first_unanswered),
                checksum: r.checksum,
            };
            Request::InSession { ticket, command: decode_command(inner)? }
        }
        command => Request::Plain(decode_command(command)?),
    };
    Ok(Entry { position: Position(index.0), time: LogTime::from_millis(time_ms), request })
}

/// Reads what is for the ledger or the key-value store.
fn decode_command(request: Logged) -> Result<Command, DecodeError> {
    let ledger = |book, operation| Command::Ledger(ledger::Command { book, operation });
    let kv = |key, operation| Command::Kv(kv::Command { key, operation });
    Ok(match request {
        Logged::OpenAccount(r) => ledger(
            r.book,
            ledger::Operation::Open {
                account: r.account,
                cash: r.cash,
                holdings: r.holdings.into_iter().map(|h| (h.symbol, h.quantity)).collect(),
            },
        ),
        Logged::Deposit(r) => {
            ledger(r.book, ledger::Operation::Deposit { account: r.account, amount: r.amount })
        }
        Logged::Withdraw(r) => {
            ledger(r.book, ledger::Operation::Withdraw { account: r.account, amount: r.amount })
        }
        Logged::Trade(r) => ledger(
            r.book,
            ledger::Operation::Trade(ledger::Terms {
                buyer: r.buyer,
                seller: r.seller,
                symbol: r.symbol,
                quantity: r.quantity,
                price: r.price,
            }),
        ),
        Logged::Transfer(r) => {
            ledger(r.book, ledger::Operation::Transfer { from: r.from, to: r.to, amount: r.amount })
        }
        Logged::TransferAcross(r) => ledger(
            r.from_book,
            ledger::Operation::TransferAcross {
                from: r.from,
                to_book: r.to_book,
                to: r.to,
                amount: r.amount,
            },
        ),
        Logged::Put(r) => kv(r.key, kv::Operation::Put { value: r.value }),
        Logged::CompareAndSet(r) => {
            kv(r.key, kv::Operation::CompareAndSet { expected: r.expected, value: r.value })
        }
        Logged::Append(r) => kv(r.key, kv::Operation::Append { value: r.value }),
        Logged::Delete(r) => kv(r.key, kv::Operation::Delete),
        Logged::OpenSession(_)
        | Logged::KeepSessionAlive(_)
        | Logged::CloseSession(_)
        | Logged::InSession(_) => return Err(DecodeError::Nested),
    })
}

#[cfg(test)]
mod tests {
    use proto::{kv as kvw, ledger as lw, session as sw};

    use super::*;

    const TICKET: proto::Ticket = proto::Ticket { session: 5, sequence: 7, first_unanswered: 6 };

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// Every kind of request, each field with a value of its own so that no two can be mixed up.
    #[test]
    fn every_request_survives_the_log() {
        let s = str::to_owned;
        let ledger = |operation| Command::Ledger(ledger::Command { book: s("b"), operation });
        let kv = |operation| Command::Kv(kv::Command { key: s("k"), operation });
        let holding = lw::Holding { symbol: s("A"), quantity: 7 };
        for (request, command) in [
            (
                Logged::OpenAccount(lw::OpenAccountRequest {
                    book: s("b"),
                    account: s("a"),
                    cash: 5,
                    holdings: vec![holding.clone(), holding],
                }),
                ledger(ledger::Operation::Open {
                    account: s("a"),
                    cash: 5,
                    holdings: vec![(s("A"), 7), (s("A"), 7)],
                }),
            ),
            (
                Logged::Deposit(lw::DepositRequest { book: s("b"), account: s("a"), amount: 1 }),
                ledger(ledger::Operation::Deposit { account: s("a"), amount: 1 }),
            ),
            (
                Logged::Withdraw(lw::WithdrawRequest { book: s("b"), account: s("a"), amount: 1 }),
                ledger(ledger::Operation::Withdraw { account: s("a"), amount: 1 }),
            ),
            (
                Logged::Trade(lw::TradeRequest {
                    book: s("b"),
                    buyer: s("x"),
                    seller: s("y"),
                    symbol: s("A"),
                    quantity: 2,
                    price: 3,
                }),
                ledger(ledger::Operation::Trade(ledger::Terms {
                    buyer: s("x"),
                    seller: s("y"),
                    symbol: s("A"),
                    quantity: 2,
                    price: 3,
                })),
            ),
            (
                Logged::Transfer(lw::TransferRequest {
                    book: s("b"),
                    from: s("x"),
                    to: s("y"),
                    amount: 4,
                }),
                ledger(ledger::Operation::Transfer { from: s("x"), to: s("y"), amount: 4 }),
            ),
            (
                Logged::TransferAcross(lw::TransferAcrossRequest {
                    from_book: s("b"),
                    from: s("x"),
                    to_book: s("c"),
                    to: s("y"),
                    amount: 4,
                }),
                ledger(ledger::Operation::TransferAcross {
                    from: s("x"),
                    to_book: s("c"),
                    to: s("y"),
                    amount: 4,
                }),
            ),
            (
                Logged::Put(kvw::PutRequest { key: s("k"), value: s("v") }),
                kv(kv::Operation::Put { value: s("v") }),
            ),
            (
                Logged::CompareAndSet(kvw::CompareAndSetRequest {
                    key: s("k"),
                    expected: None,
                    value: s("v"),
                }),
                kv(kv::Operation::CompareAndSet { expected: None, value: s("v") }),
            ),
            (
                Logged::CompareAndSet(kvw::CompareAndSetRequest {
                    key: s("k"),
                    expected: Some(s("")),
                    value: s("v"),
                }),
                kv(kv::Operation::CompareAndSet { expected: Some(s("")), value: s("v") }),
            ),
            (
                Logged::Append(kvw::AppendRequest { key: s("k"), value: s("v") }),
                kv(kv::Operation::Append { value: s("v") }),
            ),
            (Logged::Delete(kvw::DeleteRequest { key: s("k") }), kv(kv::Operation::Delete)),
        ] {
            // As it was logged before there were sessions.
            let old = log::Command { command: Some(request.clone()), ..log::Command::default() };
            let plain = Request::Plain(command.clone());
            check(&old.encode_to_vec(), 0, plain.clone());
            check(&encode(at(1_234), None, request.clone()), 1_234, plain);
            let checksum = crc32c::crc32c(&old.encode_to_vec());
            let ticket = Ticket {
                session: SessionId(5),
                sequence: Sequence(7),
                first_unanswered: Sequence(6),
                checksum,
            };
            let in_session = Request::InSession { ticket, command };
            check(&encode(at(1_234), Some(TICKET), request), 1_234, in_session);
        }
    }

    #[track_caller]
    fn check(logged: &[u8], millis: u64, request: Request<Command>) {
        assert!(!logged.is_empty(), "an empty command would be a no-op");
        let time = LogTime::from_millis(millis);
        let expected = Entry { position: Position(9), time, request };
        assert_eq!(decode(LogIndex(9), logged).unwrap(), expected);
    }

    #[test]
    fn requests_about_sessions_survive_the_log_but_not_within_a_session() {
        let session = SessionId(5);
        for (request, expected) in [
            (
                Logged::OpenSession(sw::OpenRequest { ttl_ms: 1_500 }),
                Request::Open { ttl: Duration::from_millis(1_500) },
            ),
            (
                Logged::KeepSessionAlive(sw::KeepAliveRequest { session: 5 }),
                Request::KeepAlive { session },
            ),
            (Logged::CloseSession(sw::CloseRequest { session: 5 }), Request::Close { session }),
        ] {
            check(&encode(at(77), None, request.clone()), 77, expected);
            let nested = decode(LogIndex(9), &encode(at(77), Some(TICKET), request));
            assert!(matches!(nested, Err(DecodeError::Nested)), "{nested:?}");
        }
    }

    #[test]
    fn a_repetition_has_the_same_checksum_and_another_request_another() {
        let put = |value: &str| {
            let put = kvw::PutRequest { key: "k".to_owned(), value: value.to_owned() };
            Logged::Put(put)
        };
        let checksum = |millis, first_unanswered, value| {
            let ticket = proto::Ticket { first_unanswered, ..TICKET };
            match decode(LogIndex(9), &encode(at(millis), Some(ticket), put(value)))
                .unwrap()
                .request
            {
                Request::InSession { ticket, .. } => ticket.checksum,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(checksum(1, 1, "v"), checksum(2, 7, "v"));
        assert_ne!(checksum(1, 1, "v"), checksum(1, 1, "w"));
    }

    #[test]
    fn a_clock_before_the_epoch_tells_no_time() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let logged = encode(before, None, Logged::Delete(kvw::DeleteRequest::default()));
        assert_eq!(decode(LogIndex(1), &logged).unwrap().time, LogTime::from_millis(0));
    }

    #[test]
    fn an_empty_request_is_still_no_no_op() {
        let request = Logged::Put(kvw::PutRequest::default());
        let logged = encode(SystemTime::UNIX_EPOCH, None, request);
        assert!(!logged.is_empty());
        assert!(decode(LogIndex(1), &logged).is_ok());
    }
}
