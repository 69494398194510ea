//! The replicated state machines: the stock-trade ledger and the key-value store.
