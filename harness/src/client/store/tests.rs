//! The mapping against a store in memory that does what the test says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;

/// What becomes of a swap.
#[derive(Clone, Debug)]
enum Deed {
    /// It is carried out.
    Serve,
    /// Somebody else sets this value first.
    Lose(&'static str),
    /// It is carried out, and the answer lost.
    Drop,
    /// Nothing happens, for certain.
    Refuse,
    /// It is called a mismatch though the value was the expected one.
    Contradict,
}

#[derive(Clone, Default)]
struct Memory {
    values: Arc<Mutex<BTreeMap<String, String>>>,
    /// Served when there are no more.
    deeds: Arc<Mutex<VecDeque<Deed>>>,
    requests: Arc<Mutex<Vec<&'static str>>>,
    is_mute: bool,
}

impl Memory {
    fn note(&self, request: &'static str) {
        self.requests.lock().unwrap().push(request);
    }

    fn swap(&self, key: &str, change: Change<'_>) -> Outcome<Swap> {
        self.note("swap");
        let deed = self.deeds.lock().unwrap().pop_front().unwrap_or(Deed::Serve);
        let mut values = self.values.lock().unwrap();
        if let Deed::Lose(value) = deed {
            values.insert(key.into(), value.into());
        }
        let found = values.get(key).cloned();
        let is_match = found.as_deref() == change.expected;
        let ok = |value| Outcome::Ok { value, position: Some(9) };
        match deed {
            Deed::Refuse => return Outcome::Fail { error: "refused".into() },
            Deed::Contradict => return ok(Swap::Mismatch(found)),
            _ if !is_match => return ok(Swap::Mismatch(found)),
            _ => values.insert(key.into(), change.value.into()),
        };
        match deed {
            Deed::Drop => Outcome::Info { error: "timeout".into() },
            _ => ok(Swap::Done),
        }
    }
}

impl Store for Memory {
    fn get<'a>(&'a mut self, key: &'a str, _: Instant) -> BoxFuture<'a, Outcome<Option<String>>> {
        self.note("get");
        let value = self.values.lock().unwrap().get(key).cloned();
        let outcome = match self.is_mute {
            true => Outcome::Info { error: "timeout".into() },
            false => Outcome::Ok { value, position: Some(3) },
        };
        Box::pin(async move { outcome })
    }

    fn put<'a>(
        &'a mut self,
        key: &'a str,
        value: &'a str,
        _: Instant,
    ) -> BoxFuture<'a, Outcome<()>> {
        self.note("put");
        self.values.lock().unwrap().insert(key.into(), value.into());
        Box::pin(async move { Outcome::Ok { value: (), position: Some(9) } })
    }

    fn compare_and_set<'a>(
        &'a mut self,
        key: &'a str,
        change: Change<'a>,
        _: Instant,
    ) -> BoxFuture<'a, Outcome<Swap>> {
        let outcome = self.swap(key, change);
        Box::pin(async move { outcome })
    }
}

async fn ask(
    store: &Memory,
    object: Object,
    f: &'static str,
    value: Value,
    left: Duration,
) -> Outcome {
    let mut client = StoreClient::new(store.clone(), object, 0);
    client.execute(&Invocation::new(f, "k", value), Instant::now() + left).await
}

/// Appends 7 to the list `[5]`, whose swaps go as told; returns the end and what was sent.
async fn append(deeds: &[Deed], left: Duration) -> (Outcome, String) {
    let store = Memory::default();
    store.values.lock().unwrap().insert("k".into(), "[5]".into());
    store.deeds.lock().unwrap().extend(deeds.iter().cloned());
    let outcome = ask(&store, Object::List, "append", json!(7), left).await;
    let requests = store.requests.lock().unwrap().join(" ");
    (outcome, requests)
}

fn ok(value: Value, position: u64) -> Outcome {
    Outcome::Ok { value, position: Some(position) }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_operation_is_a_read_and_a_swap_of_the_whole() {
    let (outcome, requests) = append(&[], LONG).await;
    assert_eq!((outcome, requests.as_str()), (ok(json!({"length": 2}), 9), "get swap"));
}

#[tokio::test]
async fn a_mismatch_is_tried_anew_on_what_was_found() {
    let deeds = [Deed::Lose("[5,6]"), Deed::Lose("[5,6,1]")];
    let (outcome, requests) = append(&deeds, LONG).await;
    assert_eq!((outcome, requests.as_str()), (ok(json!({"length": 4}), 9), "get swap swap swap"));
}

#[tokio::test]
async fn who_is_always_too_late_has_done_nothing() {
    let (outcome, requests) = append(&[Deed::Lose("[6]")], Duration::ZERO).await;
    assert!(matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
    assert_eq!(requests, "get swap");
}

#[tokio::test]
async fn an_unknown_swap_is_unknown_and_the_last() {
    let (outcome, requests) = append(&[Deed::Lose("[6]"), Deed::Drop], LONG).await;
    assert!(matches!(outcome, Outcome::Info { .. }), "{outcome:?}");
    assert_eq!(requests, "get swap swap");
}

#[tokio::test]
async fn a_refused_swap_did_nothing() {
    let (outcome, _) = append(&[Deed::Refuse], LONG).await;
    assert_eq!(outcome, Outcome::Fail { error: "refused".into() });
}

#[tokio::test]
async fn a_mismatch_with_what_was_expected_is_nonsense() {
    let (outcome, requests) = append(&[Deed::Contradict], LONG).await;
    assert!(matches!(outcome, Outcome::Info { error: Cause::Nonsense(_) }), "{outcome:?}");
    assert_eq!(requests, "get swap");
}

#[tokio::test]
async fn what_the_document_decides_takes_no_swap() {
    let store = Memory::default();
    let outcome = ask(&store, Object::Queue, "dequeue", Value::Null, LONG).await;
    assert_eq!(outcome, ok(Value::Null, 3));
    // It may be the document that another's swap left behind.
    store.values.lock().unwrap().insert("k".into(), "[5]".into());
    store.deeds.lock().unwrap().push_back(Deed::Lose("[]"));
    let outcome = ask(&store, Object::Queue, "dequeue", Value::Null, LONG).await;
    assert_eq!(outcome, ok(Value::Null, 9));
    assert_eq!(store.requests.lock().unwrap().join(" "), "get get swap");
}

#[tokio::test]
async fn a_read_without_an_answer_changed_nothing() {
    let store = Memory { is_mute: true, ..Memory::default() };
    for (object, f) in [(Object::Set, "read"), (Object::Set, "add")] {
        let outcome = ask(&store, object, f, json!(1), LONG).await;
        assert!(matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_document_that_nobody_wrote_is_nonsense_before_anything_is_swapped() {
    let store = Memory::default();
    store.values.lock().unwrap().insert("k".into(), "abc".into());
    for (object, f) in [(Object::Register, "read"), (Object::Set, "add"), (Object::Lock, "acquire")]
    {
        let input = json!({"owner": "a"});
        let outcome = ask(&store, object, f, input, LONG).await;
        assert!(matches!(outcome, Outcome::Fail { error: Cause::Nonsense(_) }), "{outcome:?}");
    }
    // A swap that was sent may have happened.
    let outcome = ask(&store, Object::Register, "cas", json!([1, 2]), LONG).await;
    assert!(matches!(outcome, Outcome::Info { error: Cause::Nonsense(_) }), "{outcome:?}");
}

#[tokio::test]
async fn registers_are_written_without_being_read() {
    let store = Memory::default();
    let operations = [
        ("read", Value::Null, ok(Value::Null, 3)),
        ("cas", json!([null, 4]), ok(json!([null, 4]), 9)),
        ("write", json!(5), ok(json!(5), 9)),
        ("read", Value::Null, ok(json!(5), 3)),
        ("cas", json!([4, 6]), ok(json!({"mismatch": 5}), 9)),
        ("cas", json!([5, 6]), ok(json!([5, 6]), 9)),
    ];
    for (f, input, expected) in operations {
        let outcome = ask(&store, Object::Register, f, input, LONG).await;
        assert_eq!(outcome, expected, "{f}");
    }
    assert_eq!(store.requests.lock().unwrap().join(" "), "get swap put get swap swap");
    for (f, input) in [("write", json!("x")), ("cas", json!([1])), ("add", json!(1))] {
        let outcome = ask(&store, Object::Register, f, input, LONG).await;
        assert!(matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn documents_have_the_size_that_was_asked_for() {
    let store = Memory::default();
    let mut client = StoreClient::new(store.clone(), Object::Register, 40);
    let deadline = Instant::now() + LONG;
    for (f, value) in [("write", json!(5)), ("cas", json!([5, 6])), ("read", Value::Null)] {
        let outcome = client.execute(&Invocation::new(f, "k", value), deadline).await;
        let size = store.values.lock().unwrap()["k"].len();
        assert_eq!(size, 40, "{f}");
        let is_done =
            matches!(&outcome, Outcome::Ok { value, .. } if value.get("mismatch").is_none());
        assert!(is_done, "{outcome:?}");
    }
}
