//! What answers say, and what statuses prove.

use proto::etcd::{PutResponse, ResponseOp};

use super::*;

fn kind<T>(attempt: &Attempt<T>) -> &'static str {
    match attempt {
        Attempt::Answered(..) => "answered",
        Attempt::Nothing(_) => "nothing",
        Attempt::Unclear(_) => "unclear",
    }
}

#[test]
fn only_what_comes_before_a_proposal_proves_that_nothing_happened() {
    for (code, message, expected) in [
        (Code::Unavailable, "etcdserver: no leader", "nothing"),
        (Code::ResourceExhausted, "etcdserver: too many requests", "nothing"),
        // The same words elsewhere, or others like them, prove nothing.
        (Code::Unknown, "etcdserver: no leader", "unclear"),
        (Code::Unavailable, "etcdserver: no leader, perhaps", "unclear"),
        (Code::Unavailable, "etcdserver: leader changed", "unclear"),
        (Code::Unavailable, "etcdserver: request timed out", "unclear"),
        (
            Code::Unavailable,
            "etcdserver: request timed out, possibly due to connection lost",
            "unclear",
        ),
        (Code::Unavailable, "etcdserver: server stopped", "unclear"),
        (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", "unclear"),
        (Code::Unknown, "raft proposal dropped", "unclear"),
        (Code::Unknown, "transport error", "unclear"),
        (Code::Cancelled, "", "unclear"),
        (Code::Ok, "", "unclear"),
    ] {
        let attempt = prove::<()>(&Status::new(code, message));
        assert_eq!(kind(&attempt), expected, "{code:?} {message}");
    }
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

fn found(pairs: &[(&'static str, &'static [u8])]) -> RangeResponse {
    let kvs = pairs.iter().map(|(key, value)| KeyValue {
        key: (*key).into(),
        value: (*value).into(),
        ..KeyValue::default()
    });
    RangeResponse { header: header(3), kvs: kvs.collect() }
}

fn nonsense<T>(answer: Result<T, Failure>) -> &'static str {
    match answer {
        Err(Failure::Nonsense(what)) => what,
        _ => "it makes sense",
    }
}

#[test]
fn a_read_finds_the_value_of_its_key_or_none() {
    assert!(matches!(value_of(found(&[]), "k"), Ok(None)));
    assert!(matches!(value_of(found(&[("k", b"7")]), "k"), Ok(Some(value)) if value == "7"));
    assert_eq!(nonsense(value_of(found(&[("l", b"7")]), "k")), "the value of another key");
    assert_eq!(nonsense(value_of(found(&[("k", b"\xff")]), "k")), "a value that nobody wrote");
    let two = found(&[("k", b"7"), ("k", b"8")]);
    assert_eq!(nonsense(value_of(two, "k")), "several values of one key");
    assert_eq!(nonsense(revision(header(0).as_ref())), "an answer without a revision");
    assert_eq!(nonsense(revision(header(-1).as_ref())), "an answer without a revision");
    assert_eq!(nonsense(revision(None)), "an answer without a revision");
}

#[test]
fn a_swap_compares_the_value_or_that_there_is_none() {
    let request = compare_and_set("k", Change { expected: Some("1"), value: "2" });
    let [compare] = request.compare.as_slice() else { unreachable!("there is one comparison") };
    assert_eq!((compare.target(), compare.result()), (CompareTarget::Value, CompareResult::Equal));
    assert_eq!(compare.target_union, Some(TargetUnion::Value("1".into())));
    let request = compare_and_set("k", Change { expected: None, value: "2" });
    let [compare] = request.compare.as_slice() else { unreachable!("there is one comparison") };
    assert_eq!((compare.target(), compare.result()), (CompareTarget::Create, CompareResult::Equal));
    assert_eq!(compare.target_union, Some(TargetUnion::CreateRevision(0)));
    let [RequestOp { request: Some(request_op::Request::RequestRange(read)) }] =
        request.failure.as_slice()
    else {
        unreachable!("a mismatch is read")
    };
    assert!(!read.serializable, "what is read in a transaction is what was compared");
}

#[test]
fn a_swap_is_done_or_says_what_it_found() {
    let answer = |succeeded, response| {
        let responses = vec![ResponseOp { response: Some(response) }];
        understand_swap(TxnResponse { header: header(9), succeeded, responses }, "k")
    };
    let put = || response_op::Response::ResponsePut(PutResponse { header: None });
    let range = |pairs| response_op::Response::ResponseRange(found(pairs));
    assert!(matches!(answer(true, put()), Ok((Swap::Done, 9))));
    let mismatch = answer(false, range(&[("k", b"5")]));
    assert!(matches!(mismatch, Ok((Swap::Mismatch(Some(value)), 9)) if value == "5"));
    assert!(matches!(answer(false, range(&[])), Ok((Swap::Mismatch(None), 9))));
    for wrong in [answer(true, range(&[])), answer(false, put())] {
        assert_eq!(nonsense(wrong), "a transaction that did something else");
    }
}

#[tokio::test]
async fn nobody_there_proves_that_nothing_was_sent() {
    let held = crate::proxy::PortHold::reserve().unwrap();
    let endpoints = BTreeMap::from([(NodeId::new(1), held.address())]);
    let random = crate::seed::Seed::new(1).generator();
    let placement = Placement::Pinned(NodeId::new(1));
    let mut store = EtcdStore::new(endpoints, placement, Reads::Linearizable, random);
    let deadline = Instant::now() + Duration::from_secs(10);
    let put = store.put("k", "1", deadline).await;
    assert!(matches!(put, Outcome::Fail { .. }), "{put:?}");
}

#[tokio::test]
async fn a_member_that_stays_mute_costs_time_and_nothing_else() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = BTreeMap::from([(NodeId::new(1), mute.local_addr().unwrap())]);
    let random = crate::seed::Seed::new(1).generator();
    let mut store =
        EtcdStore::new(endpoints, Placement::LeaderFollowing, Reads::Linearizable, random);
    let swap = Change { expected: None, value: "1" };
    let deadline = Instant::now() + Duration::from_millis(200);
    let outcome = store.compare_and_set("k", swap, deadline).await;
    assert!(matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
}
