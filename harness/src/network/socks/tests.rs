//! Callers that speak SOCKS well, badly or not at all.

use super::*;

/// What a caller sends, what it is answered and what it gets through to.
async fn check(sent: &[u8], answered: &[u8], found: Option<SocketAddr>) {
    let (mut caller, mut front) = tokio::io::duplex(1024);
    caller.write_all(sent).await.unwrap();
    let find = |address| node_at(address).map(|_| address).ok_or(Reply::HostUnreachable);
    let outcome = tokio::spawn(async move {
        let outcome = negotiate(&mut front, find).await;
        let mut rest = Vec::new();
        if outcome.is_ok() {
            // What the caller has sent after the handshake is still there.
            front.read_to_end(&mut rest).await.unwrap();
        }
        (outcome, rest)
    });
    caller.shutdown().await.unwrap();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).await.unwrap();
    let (outcome, rest) = outcome.await.unwrap();
    assert_eq!(answer, answered, "to {sent:?}, which ended as {outcome:?}");
    assert_eq!(outcome.as_ref().ok(), found.as_ref(), "{sent:?} ended as {outcome:?}");
    assert_eq!(rest, if found.is_some() { b"rest".as_slice() } else { b"" }, "{sent:?}");
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

#[tokio::test]
async fn who_asks_for_a_member_is_served_and_nobody_else() {
    let served = |reply: u8| [&[5, 0, 5, reply], [0, 1, 0, 0, 0, 0, 0, 0].as_slice()].concat();
    // 2380 is 0x094c.
    let n7 = b"\x05\x01\x00\x05\x01\x00\x01\xc6\x12\x00\x07\x09\x4crest";
    check(n7, &served(0), address("198.18.0.7:2380")).await;
    let n258 = b"\x05\x02\x02\x00\x05\x01\x00\x01\xc6\x12\x01\x02\x09\x4crest";
    check(n258, &served(0), address("198.18.1.2:2380")).await;
    for (name, request, reply) in [
        ("somebody else", b"\x05\x01\x00\x01\x7f\x00\x00\x01\x09\x4c".as_slice(), 4),
        ("nobody", b"\x05\x01\x00\x01\xc6\x12\x00\x00\x09\x4c", 4),
        ("another port", b"\x05\x01\x00\x01\xc6\x12\x00\x07\x09\x4d", 4),
        ("the neighbouring block", b"\x05\x01\x00\x01\xc6\x13\x00\x07\x09\x4c", 4),
        ("to be listened for", b"\x05\x02\x00\x01\xc6\x12\x00\x07\x09\x4c", 7),
        ("no command", b"\x05\x00\x00\x01\xc6\x12\x00\x07\x09\x4c", 7),
        ("a name", b"\x05\x01\x00\x03\x02n7\x09\x4c", 8),
        ("a name of four letters", b"\x05\x01\x00\x03\x04\xc6\x12\x00\x07\x09\x4c", 8),
        ("an empty name", b"\x05\x01\x00\x03\x00\x09\x4c", 8),
        ("IPv6", b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x09\x4c", 8),
        ("an unknown kind", b"\x05\x01\x00\x09", 8),
    ] {
        println!("{name}");
        check(&[b"\x05\x01\x00", request].concat(), &served(reply), None).await;
    }
}

#[tokio::test]
async fn who_speaks_otherwise_is_not_served() {
    for (name, sent, answered) in [
        ("nothing", b"".as_slice(), b"".as_slice()),
        ("version 4", b"\x04\x01\x09\x4c\xc6\x12\x00\x07\x00", b""),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", b""),
        ("half a greeting", b"\x05\x02\x00", b""),
        ("no methods", b"\x05\x00", b"\x05\xff"),
        ("a password", b"\x05\x01\x02", b"\x05\xff"),
        ("a greeting alone", b"\x05\x01\x00", b"\x05\x00"),
        ("half a request", b"\x05\x01\x00\x05\x01\x00\x01\xc6\x12", b"\x05\x00"),
        ("no port", b"\x05\x01\x00\x05\x01\x00\x01\xc6\x12\x00\x07\x09", b"\x05\x00"),
        ("half a name", b"\x05\x01\x00\x05\x01\x00\x03\x09n7", b"\x05\x00"),
        (
            "another version later",
            b"\x05\x01\x00\x04\x01\x00\x01\xc6\x12\x00\x07\x09\x4c",
            b"\x05\x00",
        ),
    ] {
        println!("{name}");
        check(sent, answered, None).await;
    }
}

#[test]
fn every_member_has_an_address_of_its_own() {
    for number in [1, 2, 15, 254, 255, 256, 257, 65_535] {
        let node = NodeId::new(number);
        assert_eq!(node_at(address_of(node)), Some(node));
    }
    assert_eq!(address_of(NodeId::new(3)), "198.18.0.3:2380".parse().unwrap());
}
