//! What the machines say, in the words of `ledger.proto` and `kv.proto`.

use machine::ledger::{Account, Rejection, Trade};
use proto::ledger as wire;
use proto::outcome;

/// Puts a rejection into its wire form, as the number that a message holds.
pub(crate) fn rejection(rejection: Rejection) -> i32 {
    i32::from(match rejection {
        Rejection::UnknownAccount => outcome::Rejection::UnknownAccount,
        Rejection::AccountExists => outcome::Rejection::AccountExists,
        Rejection::InsufficientCash => outcome::Rejection::InsufficientCash,
        Rejection::InsufficientShares => outcome::Rejection::InsufficientShares,
        Rejection::Overflow => outcome::Rejection::Overflow,
        Rejection::SelfTrade => outcome::Rejection::SelfTrade,
        Rejection::ZeroQuantity => outcome::Rejection::ZeroQuantity,
        Rejection::InvalidName => outcome::Rejection::InvalidName,
    })
}

/// Puts an account into its wire form.
pub(crate) fn account(name: String, account: Account) -> wire::Account {
    wire::Account {
        name,
        cash: account.cash,
        holdings: account
            .holdings
            .into_iter()
            .map(|(symbol, quantity)| wire::Holding { symbol, quantity })
            .collect(),
    }
}

/// Puts a trade into its wire form.
pub(crate) fn trade(trade: Trade) -> wire::Trade {
    wire::Trade {
        trade: trade.number.0,
        buyer: trade.terms.buyer,
        seller: trade.terms.seller,
        symbol: trade.terms.symbol,
        quantity: trade.terms.quantity,
        price: trade.terms.price,
    }
}
