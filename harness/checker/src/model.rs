//! Models: what a system ought to do, one operation at a time.

use serde::Serialize;

/// The models that a history can be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelName {
    /// One register: `read`, `write`.
    Register,
    /// One register: `read`, `write`, `cas`.
    CasRegister,
    /// Independent registers by key: `read`, `write`, `cas`.
    KvRegister,
    /// Registers that are read and written several at once: `txn`, `read`, `write`.
    MultiRegister,
    /// A key-value store: `put`, `get`, `append`, `cas`, `delete`; a missing key has no value.
    Kv,
    /// The same, but a missing key reads as the empty string.
    KvAppend,
    /// A lock: `acquire`, `release`.
    Mutex,
    /// Books of a stock-trade ledger.
    Ledger,
}
