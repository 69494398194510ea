//! Commands, as clients send them and as the log holds them, to those of the machines.

use machine::{Command, kv, ledger};
use prost::Message as _;
use proto::log;
use proto::log::command::Command as Logged;

/// An entry of the log that is no command of this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no message.
    #[error("failed to decode it")]
    Malformed(#[from] prost::DecodeError),
    /// The message holds no request that is known here.
    #[error("it holds no known request; did a newer version write it?")]
    Unknown,
}

/// Puts a request into the form in which it is logged.
pub(crate) fn encode(request: Logged) -> raft::Command {
    log::Command { command: Some(request) }.encode_to_vec().into()
}

/// Reads a logged request.
pub(crate) fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
    let request = log::Command::decode(bytes)?.command.ok_or(DecodeError::Unknown)?;
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
        Logged::Put(r) => kv(r.key, kv::Operation::Put { value: r.value }),
        Logged::CompareAndSet(r) => {
            kv(r.key, kv::Operation::CompareAndSet { expected: r.expected, value: r.value })
        }
        Logged::Append(r) => kv(r.key, kv::Operation::Append { value: r.value }),
        Logged::Delete(r) => kv(r.key, kv::Operation::Delete),
    })
}

#[cfg(test)]
mod tests {
    use proto::{kv as kvw, ledger as lw};

    use super::*;

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
            let logged = encode(request);
            assert!(!logged.is_empty(), "an empty command would be a no-op");
            assert_eq!(decode(&logged).unwrap(), command);
        }
    }

    #[test]
    fn an_empty_request_is_still_no_no_op() {
        let logged = encode(Logged::Put(kvw::PutRequest::default()));
        assert!(!logged.is_empty());
        assert!(decode(&logged).is_ok());
    }
}
