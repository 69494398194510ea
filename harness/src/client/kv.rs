//! The key-value store's operations on the wire, as keys and strings and as registers of integers.
//!
//! A register's value is kept as its decimal digits. An answer that is no integer came from nobody
//! who writes registers.

use proto::kv::kv_client::KvClient;
use proto::kv::{AppendRequest, CompareAndSetRequest, DeleteRequest, GetRequest, PutRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::Line;
use super::stormproof::{Answer, Failure};
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
            let request = CompareAndSetRequest { key, expected, value };
            let answer = client.compare_and_set(request).await?.into_inner();
            let value = match answer.swapped {
                true => json!({"swapped": true}),
                false => json!({"mismatch": answer.found}),
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

/// Carries out `read`, `write` and `cas` of a register.
pub(super) async fn call_register(line: Line, invocation: &Invocation) -> Answer {
    let mut client = KvClient::new(line);
    let key = invocation.key.clone();
    match invocation.f {
        "read" => {
            let answer = client.get(GetRequest { key }).await?.into_inner();
            Ok((integer(answer.value)?, answer.index))
        }
        "write" => {
            let value = i64::deserialize(&invocation.value)?.to_string();
            let request = PutRequest { key, value };
            let answer = client.put(request).await?.into_inner();
            Ok((invocation.value.clone(), answer.index))
        }
        "cas" => {
            let (old, new) = <(Option<i64>, i64)>::deserialize(&invocation.value)?;
            let request = CompareAndSetRequest {
                key,
                expected: old.map(|old| old.to_string()),
                value: new.to_string(),
            };
            let answer = client.compare_and_set(request).await?.into_inner();
            let value = match answer.swapped {
                true => invocation.value.clone(),
                false => json!({"mismatch": integer(answer.found)?}),
            };
            Ok((value, answer.index))
        }
        f => Err(Failure::Unsendable(format!("a register has no operation {f}"))),
    }
}

fn integer(text: Option<String>) -> Result<Value, Failure> {
    let Some(text) = text else {
        return Ok(Value::Null);
    };
    let number: i64 =
        text.parse().map_err(|_| Failure::Nonsense("a register that holds no integer"))?;
    Ok(json!(number))
}
