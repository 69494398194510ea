//! The store's commands as a table: each row starts from what the rows before it left.

use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn commands_do_what_they_say() {
    let put = |value: &str| Operation::Put { value: value.to_owned() };
    let append = |value: &str| Operation::Append { value: value.to_owned() };
    let cas = |expected: Option<String>, value: &str| Operation::CompareAndSet {
        expected,
        value: value.to_owned(),
    };
    let swapped = |swapped, found| Outcome::CompareAndSet { swapped, found };
    let table = [
        (Operation::Delete, Outcome::Delete { existed: false }, None),
        (cas(some("a"), "b"), swapped(false, None), None),
        (cas(None, "a"), swapped(true, None), some("a")),
        (cas(None, "c"), swapped(false, some("a")), some("a")),
        (cas(some("a"), "b"), swapped(true, some("a")), some("b")),
        (append("ü"), Outcome::Append { length: 3 }, some("bü")),
        (put(""), Outcome::Put, some("")),
        (cas(None, "c"), swapped(false, some("")), some("")),
        (Operation::Delete, Outcome::Delete { existed: true }, None),
        (append("x"), Outcome::Append { length: 1 }, some("x")),
        (append(""), Outcome::Append { length: 1 }, some("x")),
    ];
    let mut kv = Kv::default();
    let key = "k".to_owned();
    for (step, (operation, outcome, value)) in table.into_iter().enumerate() {
        let command = Command { key: key.clone(), operation };
        assert_eq!(kv.apply(&command), outcome, "step {step}: {command:?}");
        assert_eq!(kv.query(&Query { key: key.clone() }).value, value, "step {step}: {command:?}");
        assert_eq!(kv.query(&Query { key: "other".to_owned() }).value, None);
    }
}

#[test]
fn an_append_to_nothing_leaves_a_value_even_if_empty() {
    let mut kv = Kv::default();
    let command =
        Command { key: "k".to_owned(), operation: Operation::Append { value: String::new() } };
    assert_eq!(kv.apply(&command), Outcome::Append { length: 0 });
    assert_eq!(kv.query(&Query { key: "k".to_owned() }).value, some(""));
}
