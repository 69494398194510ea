//! The key-value store's operations on the wire, and the store that workloads run on.

use std::time::Instant;

use proto::kv::kv_client::KvClient;
use proto::kv::{AppendRequest, CompareAndSetRequest, DeleteRequest, GetRequest, PutRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::Line;
use super::store::{Change, Store, Swap};
use super::stormproof::{Answer, Failure};
use super::{Api, Client, Outcome, StormproofClient};
use crate::system::BoxFuture;
use crate::workload::Invocation;

#[derive(Deserialize)]
struct Cas {
    expected: Option<String>,
    value: String,
}

/// Carries out `put`, `get`, `append`, `cas` and `delete`.
pub(super) async fn call(line: Line, invocation: &Invocation) -> Answer {
    let mut client = KvClient::new(line);
    let key = invocation.key.clone();
    match invocation.f {
        "put" => {
            let value = String::deserialize(&invocation.value)?;
            let request = PutRequest { key, value };
            let answer = client.put(request).await?.into_inner();
            Ok((invocation.value.clone(), answer.index))
        }
        "get" => {
            let answer = client.get(GetRequest { key }).await?.into_inner();
            Ok((json!(answer.value), answer.index))
        }
        "append" => {
            let value = String::deserialize(&invocation.value)?;
            let request = AppendRequest { key, value };
            let answer = client.append(request).await?.into_inner();
            Ok((json!({"length": answer.length}), answer.index))
        }
        "cas" => {
            let Cas { expected, value } = Cas::deserialize(&invocation.value)?;
            let request = CompareAndSetRequest { key, expected: expected.clone(), value };
            let answer = client.compare_and_set(request).await?.into_inner();
            let value = match (answer.swapped, answer.found == expected) {
                (true, true) => json!({"swapped": true}),
                (false, false) => json!({"mismatch": answer.found}),
                (true, false) => return Err(Failure::Nonsense("a swap of what was not there")),
                (false, true) => {
                    return Err(Failure::Nonsense("a mismatch with what was expected"));
                }
            };
            Ok((value, answer.index))
        }
        "delete" => {
            let answer = client.delete(DeleteRequest { key }).await?.into_inner();
            Ok((json!({"existed": answer.existed}), answer.index))
        }
        f => Err(Failure::Unsendable(format!("the key-value store has no operation {f}"))),
    }
}

/// The key-value store of our own nodes, as a client of it sees it.
pub struct KvStore {
    client: StormproofClient,
}

impl KvStore {
    /// Makes a store of this client's requests.
    ///
    /// # Panics
    /// If it is a client of another service.
    #[must_use]
    pub fn new(client: StormproofClient) -> Self {
        assert_eq!(client.api, Api::Kv, "a store needs a client of the key-value store");
        Self { client }
    }

    async fn ask<T>(
        &mut self,
        invocation: Invocation,
        deadline: Instant,
        read: impl FnOnce(Value) -> T,
    ) -> Outcome<T> {
        match self.client.execute(&invocation, deadline).await {
            Outcome::Ok { value, position } => Outcome::Ok { value: read(value), position },
            Outcome::Fail { error } => Outcome::Fail { error },
            Outcome::Info { error } => Outcome::Info { error },
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

impl Store for KvStore {
    fn get<'a>(
        &'a mut self,
        key: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<Option<String>>> {
        Box::pin(self.ask(Invocation::new("get", key, Value::Null), deadline, text))
    }

    fn put<'a>(
        &'a mut self,
        key: &'a str,
        value: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<()>> {
        Box::pin(self.ask(Invocation::new("put", key, json!(value)), deadline, |_| ()))
    }

    fn compare_and_set<'a>(
        &'a mut self,
        key: &'a str,
        change: Change<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<Swap>> {
        let value = json!({"expected": change.expected, "value": change.value});
        let swap = |mut answer: Value| match answer.get_mut("mismatch") {
            None => Swap::Done,
            Some(found) => Swap::Mismatch(text(found.take())),
        };
        Box::pin(self.ask(Invocation::new("cas", key, value), deadline, swap))
    }
}
