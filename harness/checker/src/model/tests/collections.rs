//! Tables of what collections, counters and locks with owners do, and how they are read.

use std::collections::BTreeSet;

use crate::history::{Value, json};

use crate::check::NilRead;
use crate::history::{Operation, OperationRef, Outcome};
use crate::model::append_list::{self, AppendList};
use crate::model::counter::{self, Counter};
use crate::model::fifo_queue::{self, FifoQueue};
use crate::model::lock::{self, Lock};
use crate::model::priority_queue::{self, Extreme, PriorityAnswer, PriorityOp, PriorityQueue};
use crate::model::set::{self, Set};
use crate::model::stack::{self, Stack};
use crate::model::{End, Model, Reader, Reading, Scalar, Unreadable};

use super::{READER, operation};

type Read<M> = fn(&OperationRef<'_>, &Reader) -> Result<Reading<M>, Unreadable>;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It is the one that is due.
    Due,
    /// It is not, so the operation cannot stand here.
    Illegal,
    /// It cannot be read.
    Unreadable,
}
use Fate::{Due, Illegal, Unreadable as Nonsense};

/// Plays a script of operations by process, with what becomes of each answer.
fn check<M: Model + Default>(read: Read<M>, script: &[(u64, &str, Value, Value, Fate)]) {
    let mut state = M::default();
    for (process, f, input, answer, expected) in script {
        let operation = Operation {
            process: *process,
            ..operation(None, f, input.clone(), Outcome::Ok(answer.clone()))
        };
        let (fate, next) = match read(&operation.as_ref(), &READER) {
            Err(_) => (Nonsense, None),
            Ok(Reading { op, end: End::Answered(seen), .. }) => {
                let next = state.step(&op, seen.as_ref());
                assert!(
                    next.is_none() || !state.is_hopeless(&op, seen.as_ref()),
                    "{f} {input} -> {answer} is legal, so there was hope: {state:?}"
                );
                let is_same = next.as_ref().is_none_or(|next| *next == state);
                assert!(is_same || !M::is_pure(&op, seen.as_ref()), "{f} {input} -> {answer}");
                (if next.is_some() { Due } else { Illegal }, next)
            }
            Ok(Reading { end, .. }) => panic!("{f} was answered: {end:?}"),
        };
        assert_eq!(fate, *expected, "{f} {input} -> {answer}, but {}", state.describe());
        state = next.unwrap_or(state);
    }
}

/// The same for one process.
fn check_alone<M: Model + Default>(read: Read<M>, script: &[(&str, Value, Value, Fate)]) {
    let script: Vec<_> = script
        .iter()
        .map(|(f, input, answer, fate)| (0, *f, input.clone(), answer.clone(), *fate))
        .collect();
    check(read, &script);
}

const NIL: Value = Value::Null;

#[test]
fn a_set_holds_each_element_once() {
    check_alone::<Set>(
        set::read,
        &[
            ("read", NIL, json!([]), Due),
            ("read", NIL, NIL, Due),
            ("add", json!(1), json!(1), Due),
            ("read", NIL, NIL, Illegal),
            ("add", json!("b"), json!({ "added": true }), Due),
            ("add", json!(1), json!({ "added": true }), Illegal),
            ("add", json!(1), json!({ "added": false }), Due),
            ("read", NIL, json!(["b", 1]), Due),
            ("read", NIL, json!([1]), Illegal),
            ("read", NIL, json!([1, "b", 2]), Illegal),
            ("read", NIL, json!([1, "b", 1]), Illegal),
            ("read", NIL, json!([1, 1]), Illegal),
            ("contains", json!("b"), json!(true), Due),
            ("contains", json!("b"), json!(false), Illegal),
            ("remove", json!("b"), json!({ "removed": false }), Illegal),
            ("remove", json!("b"), json!({ "removed": true }), Due),
            ("remove", json!("b"), json!({ "removed": true }), Illegal),
            ("remove", json!("b"), NIL, Due),
            ("contains", json!("b"), json!(false), Due),
            ("read", NIL, json!([1]), Due),
            ("read", NIL, json!(1), Nonsense),
            ("read", NIL, json!([[1]]), Nonsense),
            ("add", json!(1), json!(2), Nonsense),
            ("add", json!(1), json!(false), Nonsense),
            ("add", NIL, NIL, Nonsense),
            ("contains", json!(1), NIL, Nonsense),
            ("pop", NIL, NIL, Nonsense),
        ],
    );
}

#[test]
fn a_queue_gives_the_oldest_first() {
    check_alone::<FifoQueue>(
        fifo_queue::read,
        &[
            ("dequeue", NIL, NIL, Due),
            ("enqueue", json!(1), json!(1), Due),
            ("enqueue", json!(2), NIL, Due),
            ("enqueue", json!(1), json!(true), Due),
            ("dequeue", NIL, NIL, Illegal),
            ("dequeue", NIL, json!(2), Illegal),
            ("dequeue", NIL, json!(1), Due),
            ("dequeue", NIL, json!(1), Illegal),
            ("dequeue", NIL, json!(2), Due),
            ("dequeue", NIL, json!(1), Due),
            ("dequeue", NIL, NIL, Due),
            ("enqueue", json!(1), json!(2), Nonsense),
            ("enqueue", NIL, NIL, Nonsense),
            ("dequeue", NIL, json!([1]), Nonsense),
            ("drain", NIL, json!([1]), Nonsense),
        ],
    );
}

#[test]
fn a_stack_gives_the_latest_first() {
    check_alone::<Stack>(
        stack::read,
        &[
            ("pop", NIL, NIL, Due),
            ("push", json!(1), json!(1), Due),
            ("push", json!(2), NIL, Due),
            ("pop", NIL, NIL, Illegal),
            ("pop", NIL, json!(1), Illegal),
            ("pop", NIL, json!(2), Due),
            ("push", json!(3), NIL, Due),
            ("pop", NIL, json!(3), Due),
            ("pop", NIL, json!(1), Due),
            ("pop", NIL, NIL, Due),
            ("push", json!({}), NIL, Nonsense),
        ],
    );
}

#[test]
fn a_priority_queue_gives_the_least_or_the_greatest() {
    let named = |priority: u64, value: &str| json!({ "priority": priority, "value": value });
    check_alone::<PriorityQueue>(
        priority_queue::read,
        &[
            ("pop-min", NIL, NIL, Due),
            ("insert", json!(5), json!(5), Due),
            ("push", json!([1, "a"]), NIL, Due),
            ("insert", named(1, "b"), NIL, Due),
            ("insert", named(9, "z"), NIL, Due),
            ("pop-min", NIL, NIL, Illegal),
            ("pop-min", NIL, json!(5), Illegal),
            ("pop-min", NIL, named(1, "z"), Illegal),
            ("pop-min", NIL, json!([2, "b"]), Illegal),
            ("pop-max", NIL, named(1, "b"), Illegal),
            // Either of two with equal priority may come first.
            ("pop-min", NIL, json!([1, "b"]), Due),
            ("pop", NIL, json!("b"), Illegal),
            ("delete-max", NIL, named(9, "z"), Due),
            ("pop", NIL, json!("a"), Due),
            ("pop-max", NIL, json!(5), Due),
            ("pop-max", NIL, NIL, Due),
            ("insert", json!([1]), NIL, Nonsense),
            ("insert", json!({ "value": 1 }), NIL, Nonsense),
            ("insert", NIL, NIL, Nonsense),
        ],
    );
}

#[test]
fn a_counter_counts() {
    check_alone::<Counter>(
        counter::read,
        &[
            ("read", NIL, json!(0), Due),
            ("add", json!(2), json!(2), Due),
            // An echo says nothing, a number after does.
            ("add", json!(2), json!(2), Due),
            ("add", json!(2), json!({ "value": 2 }), Illegal),
            ("add", json!(2), json!({ "value": 6 }), Due),
            ("add", json!(2), json!({ "before": 5 }), Illegal),
            ("add", json!(2), json!({ "before": 6 }), Due),
            ("increment", NIL, json!(9), Due),
            ("increment", NIL, json!(9), Illegal),
            ("increment", NIL, NIL, Due),
            ("decrement", json!(4), json!({ "value": 6 }), Due),
            ("decrement", NIL, json!({ "before": 6 }), Due),
            ("add", json!(-7), json!({ "value": -2 }), Due),
            ("read", NIL, json!(0), Illegal),
            ("read", NIL, json!(-2), Due),
            ("add", json!(2), json!(5), Nonsense),
            ("add", NIL, NIL, Nonsense),
            ("add", json!(0.5), NIL, Nonsense),
            ("read", NIL, NIL, Nonsense),
        ],
    );
}

#[test]
fn a_list_only_grows() {
    check_alone::<AppendList>(
        append_list::read,
        &[
            ("read", NIL, NIL, Due),
            ("append", json!(1), json!(1), Due),
            ("append", json!(2), json!({ "length": 1 }), Illegal),
            ("append", json!(2), json!({ "length": 3 }), Illegal),
            ("append", json!(2), json!({ "length": 2 }), Due),
            ("append", json!(1), json!({ "index": 3 }), Illegal),
            ("append", json!(1), json!({ "index": 2 }), Due),
            ("read", NIL, json!([1, 2, 1]), Due),
            ("read", NIL, json!([1, 1, 2]), Illegal),
            ("read", NIL, json!([1, 2]), Illegal),
            ("read", NIL, json!([1, 2, 1, 1]), Illegal),
            ("read", NIL, NIL, Illegal),
            ("append", json!(1), json!(4), Nonsense),
            ("read", NIL, json!(1), Nonsense),
        ],
    );
}

#[test]
fn hope_for_a_list_ends_when_it_has_grown_past_what_was_seen() {
    let mut list = AppendList::default();
    for element in [1, 2] {
        list.append(&Scalar::Int(element));
    }
    for (f, input, answer, is_hopeless) in [
        ("read", NIL, json!([1, 2]), false),
        ("read", NIL, json!([1, 2, 3]), false),
        ("read", NIL, json!([1]), true),
        ("read", NIL, json!([1, 3, 2]), true),
        ("append", json!(1), json!({ "length": 2 }), true),
        ("append", json!(1), json!({ "length": 3 }), false),
        ("append", json!(1), NIL, false),
    ] {
        let operation = operation(None, f, input, Outcome::Ok(answer.clone()));
        let Ok(Reading { op, end: End::Answered(seen), .. }) =
            append_list::read(&operation.as_ref(), &READER)
        else {
            panic!("{f} -> {answer} can be read");
        };
        assert_eq!(list.is_hopeless(&op, seen.as_ref()), is_hopeless, "{f} -> {answer}");
    }
}

#[test]
fn a_lock_knows_its_owner_and_its_tokens_grow() {
    let owner = |name: &str| json!({ "owner": name });
    let token = |token: i64| json!({ "token": token });
    check::<Lock>(
        |operation, _| lock::read(operation),
        &[
            (1, "release", NIL, NIL, Illegal),
            (1, "release", NIL, json!(false), Due),
            (1, "acquire", NIL, json!(false), Illegal),
            (1, "acquire", NIL, token(4), Due),
            (1, "acquire", NIL, NIL, Illegal),
            (2, "acquire", NIL, token(5), Illegal),
            (2, "acquire", NIL, json!(false), Due),
            (2, "release", NIL, NIL, Illegal),
            (2, "release", NIL, json!(false), Due),
            (1, "release", NIL, json!(true), Due),
            (2, "acquire", NIL, token(4), Illegal),
            (2, "acquire", NIL, token(3), Illegal),
            // The token that nobody told was 5 or more.
            (2, "lock", NIL, json!(true), Due),
            (2, "unlock", NIL, NIL, Due),
            (1, "acquire", NIL, token(5), Illegal),
            (1, "acquire", owner("a"), json!({ "fence": 6, "client": "x" }), Due),
            (1, "release", NIL, NIL, Illegal),
            (1, "release", owner("b"), NIL, Illegal),
            (9, "release", json!({ "client": "a" }), NIL, Due),
            (1, "acquire", NIL, json!("yes"), Nonsense),
            (1, "acquire", json!({ "owner": [] }), NIL, Nonsense),
            (1, "steal", NIL, NIL, Nonsense),
        ],
    );
    for (value, expected) in [
        (NIL, Some((false, None))),
        (json!({ "owner": "a" }), Some((true, None))),
        (json!({ "token": 3, "owner": null }), Some((false, Some(3)))),
        (json!({ "token": "x" }), None),
        (json!({ "holder": "a" }), None),
        (json!(true), None),
    ] {
        let found = lock::initial(&value).map(|lock| (lock.owner.is_some(), lock.token));
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn a_nil_that_says_nothing_is_no_empty_collection() {
    fn check<M: Model>(read: Read<M>, f: &str) {
        let nil = operation(None, f, NIL, Outcome::Ok(NIL));
        let reader = Reader { nil_read: NilRead::Unknown, ..READER };
        let Ok(Reading { end, .. }) = read(&nil.as_ref(), &reader) else {
            panic!("{f} can be read")
        };
        assert_eq!(end, End::Answered(None), "{f}");
    }
    check(set::read, "read");
    check(fifo_queue::read, "dequeue");
    check(stack::read, "pop");
    check(priority_queue::read, "pop");
    check(counter::read, "read");
    check(append_list::read, "read");
}

/// Two ways to one content must be one state, and different contents different ones.
#[test]
fn states_are_equal_when_their_contents_are() {
    fn state<M: Model + Default>(read: Read<M>, script: &str) -> M {
        let mut state = M::default();
        for word in script.split_whitespace() {
            let (f, input) = match word.split_once('=') {
                Some((f, input)) => (f, serde_json::from_str(input).unwrap()),
                None => (word, NIL),
            };
            let Ok(reading) = read(&operation(None, f, input, Outcome::Info).as_ref(), &READER)
            else {
                panic!("{word} can be read");
            };
            state = state.step(&reading.op, None).expect("nothing was seen");
        }
        state
    }
    fn check<M: Model + Default>(read: Read<M>, a: &str, b: &str, is_equal: bool) {
        let hash = |state: &M| crate::model::digest::digest_of(state);
        let (a_state, b_state) = (state(read, a), state(read, b));
        assert_eq!(a_state == b_state, is_equal, "{a} and {b}");
        assert_eq!(hash(&a_state) == hash(&b_state), is_equal, "{a} and {b}");
    }
    check(set::read, "add=1 add=2", "add=2 add=3 add=1 add=1 remove=3", true);
    check(set::read, "add=1", "add=2", false);
    check(set::read, "add=1 remove=1", "", true);
    check(fifo_queue::read, "enqueue=1 enqueue=2 dequeue enqueue=3", "enqueue=2 enqueue=3", true);
    check(fifo_queue::read, "enqueue=3 enqueue=2", "enqueue=2 enqueue=3", false);
    check(fifo_queue::read, "enqueue=3 dequeue dequeue", "", true);
    check(stack::read, "push=1 push=2 pop push=3", "push=1 push=3", true);
    check(stack::read, "push=1 push=2", "push=2 push=1", false);
    check(append_list::read, "append=1 append=2", "append=2 append=1", false);
    let queue = priority_queue::read;
    check(queue, "insert=1 insert=2 pop-min", "insert=2", true);
    check(queue, "insert=[1,7] insert=[1,7] insert=3 pop-min", "insert=3 insert=[1,7]", true);
    check(queue, "insert=[1,7] insert=[1,8] pop-min", "insert=[1,7]", false);
    check(queue, "insert=[1,7] insert=[1,8] pop-min pop-min insert=4", "insert=4", true);
    check(queue, "insert=[1,7] insert=[2,7]", "insert=[2,7]", false);
}

/// A priority queue told as all that its contents may be.
#[derive(Clone, Debug, PartialEq)]
struct Worlds(BTreeSet<Vec<(Scalar, Scalar)>>);

impl Worlds {
    fn step(&self, op: &PriorityOp, seen: Option<&PriorityAnswer>) -> Option<Self> {
        let mut next = BTreeSet::new();
        for world in &self.0 {
            match op {
                PriorityOp::Insert { priority, value } => {
                    let mut world = world.clone();
                    world.push((priority.clone(), value.clone()));
                    world.sort();
                    next.insert(world);
                }
                PriorityOp::Pop(from) => {
                    let priorities = world.iter().map(|(priority, _)| priority);
                    let lowest = match from {
                        Extreme::Min => priorities.min(),
                        Extreme::Max => priorities.max(),
                    };
                    let Some(lowest) = lowest else {
                        if seen.is_none_or(|seen| *seen == PriorityAnswer::Empty) {
                            next.insert(world.clone());
                        }
                        continue;
                    };
                    for (index, (priority, value)) in world.iter().enumerate() {
                        let answer = PriorityAnswer::Popped {
                            priority: Some(priority.clone()),
                            value: value.clone(),
                        };
                        if priority == lowest && seen.is_none_or(|seen| *seen == answer) {
                            let mut world = world.clone();
                            world.remove(index);
                            next.insert(world);
                        }
                    }
                }
            }
        }
        (!next.is_empty()).then_some(Self(next))
    }
}

#[test]
fn a_priority_queue_would_answer_any_of_the_first_level() {
    let of_one = |value: &str| PriorityOp::Insert {
        priority: Scalar::Int(1),
        value: Scalar::Text(value.into()),
    };
    let (min, max) = (PriorityOp::Pop(Extreme::Min), PriorityOp::Pop(Extreme::Max));
    let mut queue = PriorityQueue::default();
    assert_eq!(queue.would_answer(&min), "nil");
    queue.insert(&Scalar::Int(2), &Scalar::Int(2));
    for (value, expected) in [
        ("a", r#""a" of priority 1"#),
        ("b", r#"one of "a" of priority 1, "b" of priority 1"#),
        ("a", r#"one of "a" of priority 1, "b" of priority 1"#),
    ] {
        queue = queue.step(&of_one(value), None).unwrap();
        assert_eq!(queue.would_answer(&min), expected);
        assert_eq!(queue.would_answer(&max), "2");
    }
    // Either may be gone, and either may be left.
    queue = queue.step(&min, None).unwrap();
    assert_eq!(queue.would_answer(&min), r#"one of "a" of priority 1, "b" of priority 1"#);
}

/// Debts allow exactly what some choice of the elements popped unseen allows.
#[test]
fn a_priority_queue_keeps_every_choice_open_and_no_other() {
    let (mut legal, mut illegal) = (0, 0);
    let mut roll = 1u64;
    let mut below = |bound: u64| {
        roll = roll.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (roll >> 33) % bound
    };
    let scalar = |number: u64| Scalar::Int(number as i64);
    for case in 0..20_000 {
        let mut queue = PriorityQueue::default();
        let mut worlds = Worlds(BTreeSet::from([Vec::new()]));
        let mut script = Vec::new();
        // Few values, or a copy of one that may be gone would hardly ever come and be popped.
        for _ in 0..16 {
            let (priority, value) = (scalar(below(2)), scalar(below(2)));
            let from = if below(4) == 0 { Extreme::Max } else { Extreme::Min };
            let (op, seen) = match below(8) {
                0..=2 => (PriorityOp::Insert { priority, value }, None),
                3 => (PriorityOp::Pop(from), None),
                4..=6 => {
                    let answer = PriorityAnswer::Popped { priority: Some(priority), value };
                    (PriorityOp::Pop(from), Some(answer))
                }
                _ => (PriorityOp::Pop(from), Some(PriorityAnswer::Empty)),
            };
            script.push((op.clone(), seen.clone()));
            let next = worlds.step(&op, seen.as_ref());
            let found = queue.step(&op, seen.as_ref());
            assert_eq!(found.is_some(), next.is_some(), "case {case}: {script:?}\n{worlds:?}");
            match (next, found) {
                (Some(next), Some(found)) => {
                    legal += u64::from(seen.is_some());
                    (worlds, queue) = (next, found);
                }
                _ => illegal += 1,
            }
        }
    }
    assert!(legal > 5_000 && illegal > 5_000, "{legal} legal, {illegal} not");
}
