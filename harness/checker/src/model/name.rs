//! The models' names, and what their histories say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The models that a history can be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelName {
    /// One register, or one for every `key`: `read`, `write`.
    Register,
    /// The same with `cas`.
    CasRegister,
    /// Independent registers, named by `key` or in the value: `read`, `write`, `cas`.
    KvRegister,
    /// Registers that are read and written several at once: `txn`, `read`, `write`.
    MultiRegister,
    /// A key-value store: `put`, `get`, `append`, `cas`, `delete`; a missing key has no value.
    Kv,
    /// The same, but a key that was never written reads as the empty string.
    KvAppend,
    /// A lock, or one for every `key`: `acquire`, `release`.
    Mutex,
    /// The same, but it knows its owner, and numbers its acquisitions with fencing tokens.
    Lock,
    /// A set: `add`, `remove`, `contains`, and `read` of all elements.
    Set,
    /// A first-in first-out queue: `enqueue`, `dequeue`.
    FifoQueue,
    /// A stack: `push`, `pop`.
    Stack,
    /// A priority queue: `insert`, `pop-min`, `pop-max`.
    PriorityQueue,
    /// A counter: `add`, `increment`, `decrement`, `read`.
    Counter,
    /// A list that only grows: `append`, and `read` of all of it.
    AppendList,
    /// Books of a stock-trade ledger.
    Ledger,
}

impl ModelName {
    /// All models.
    pub const ALL: [Self; 15] = [
        Self::Register,
        Self::CasRegister,
        Self::KvRegister,
        Self::MultiRegister,
        Self::Kv,
        Self::KvAppend,
        Self::Mutex,
        Self::Lock,
        Self::Set,
        Self::FifoQueue,
        Self::Stack,
        Self::PriorityQueue,
        Self::Counter,
        Self::AppendList,
        Self::Ledger,
    ];

    /// Returns the name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::CasRegister => "cas-register",
            Self::KvRegister => "kv-register",
            Self::MultiRegister => "multi-register",
            Self::Kv => "kv",
            Self::KvAppend => "kv-append",
            Self::Mutex => "mutex",
            Self::Lock => "lock",
            Self::Set => "set",
            Self::FifoQueue => "fifo-queue",
            Self::Stack => "stack",
            Self::PriorityQueue => "priority-queue",
            Self::Counter => "counter",
            Self::AppendList => "append-list",
            Self::Ledger => "ledger",
        }
    }

    /// Returns the functions that the model knows with the shapes of their values, and what their
    /// `ok` completions say: `f value → answer`, with ` · ` between functions.
    #[must_use]
    pub fn usage(self) -> &'static str {
        match self {
            Self::Register => "write 5 · read → 5",
            Self::CasRegister => {
                r#"write 5 · read → 5 · cas [5, 6] → [5, 6], or {"mismatch": 4}: what was found"#
            }
            Self::KvRegister => {
                r#"as cas-register, the register named by `key`, or in the value: write ["x", 5] · read ["x", nil] → ["x", 5]"#
            }
            Self::MultiRegister => {
                r#"txn [["r", "x", nil], ["w", "y", 5]] → the list with what was read · write {"x": 5, "y": 6} · read {"x": nil} → {"x": 5}"#
            }
            Self::Kv => {
                r#"put "v" · get → "v", nil if there is none · append "x" → {"length": 2} · cas {"expected": "v", "value": "w"} → {"swapped": true} or {"mismatch": "u"} · delete → {"existed": true}"#
            }
            Self::KvAppend => "as kv, but a key that was never written reads as the empty string",
            Self::Mutex => "acquire → false if it was held · release → false if it was not held",
            Self::Lock => {
                r#"acquire → {"token": 7}, false if it was held · release → false if it was not held, or by another; the owner is the process, or named in both: {"owner": "a"}"#
            }
            Self::Set => {
                r#"add 5 → {"added": true} · remove 5 → {"removed": true} · contains 5 → true · read → [5, 6]: all elements, in any order"#
            }
            Self::FifoQueue => "enqueue 5 · dequeue → 5, nil if it was empty",
            Self::Stack => "push 5 · pop → 5, nil if it was empty",
            Self::PriorityQueue => {
                r#"insert {"priority": 1, "value": "a"}, [1, "a"], or 5 that is its own priority · pop-min, pop-max → the same or its value, nil if it was empty"#
            }
            Self::Counter => {
                r#"add 5, decrement 5 → {"value": 12}: after, or {"before": 7} · increment → 8: after · read → 8"#
            }
            Self::AppendList => {
                r#"append 5 → {"length": 3}: after, or {"index": 2} · read → [3, 4, 5]: the whole list"#
            }
            Self::Ledger => {
                "open, deposit, withdraw, trade, transfer, account, book, history, as `stormproof run` records them; the book is the `key`"
            }
        }
    }

    /// Returns all names, for messages.
    #[must_use]
    pub fn choices() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|model| model.name() == name);
        found.ok_or_else(|| format!("there is no model `{name}`; choose {}", Self::choices()))
    }
}
