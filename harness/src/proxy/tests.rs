//! Proxies in front of a server that sends back what it gets.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Generous: only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a test looks on while nothing is to happen. A fault that leaks is seen more often the
/// longer this is; a sound one passes whatever it is.
const QUIET: Duration = Duration::from_millis(100);

const MS: Duration = Duration::from_millis(1);

/// Starts a server that echoes every connection until the test ends.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    address
}

async fn proxy() -> Proxy {
    Proxy::start(echo().await, Seed::new(1)).unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(DEADLINE, future).await;
    result.unwrap_or_else(|_| panic!("still waiting for {what}"))
}

async fn dial(proxy: &Proxy) -> TcpStream {
    let stream = within("a connection", TcpStream::connect(proxy.address())).await;
    stream.unwrap()
}

async fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    within("an echo", stream.read_exact(&mut found)).await.unwrap();
    assert!(found == expected, "other bytes came back than were sent");
}

async fn ping(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    expect(stream, bytes).await;
}

async fn expect_silence(stream: &mut TcpStream) {
    let read = tokio::time::timeout(QUIET, stream.read_u8()).await;
    assert!(read.is_err(), "something passed: {read:?}");
}

/// The connection ends with a reset, not with a farewell.
async fn expect_reset(stream: &mut TcpStream) {
    let error = within("a reset", stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_open_link_carries_bytes_and_their_end() {
    let proxy = proxy().await;
    let mut stream = dial(&proxy).await;
    // More than is held at a time, so that sender and receiver have to wait for each other.
    let bytes: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut reader, mut writer) = stream.split();
    let send = async {
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut found = Vec::new();
    let receive = async { reader.read_to_end(&mut found).await.unwrap() };
    within("all bytes", async { tokio::join!(send, receive) }).await;
    assert!(found == bytes);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_blackhole_holds_bytes_and_delivers_them_later() {
    let proxy = proxy().await;
    let mut old = dial(&proxy).await;
    ping(&mut old, b"before").await;
    proxy.set_mode(Mode::Blackhole).await.unwrap();
    old.write_all(b"held").await.unwrap();
    let mut new = dial(&proxy).await;
    new.write_all(b"early").await.unwrap();
    expect_silence(&mut old).await;
    expect_silence(&mut new).await;
    proxy.set_mode(Mode::Open).await.unwrap();
    expect(&mut old, b"held").await;
    expect(&mut new, b"early").await;
    ping(&mut old, b"after").await;
}

#[tokio::test]
async fn a_blackhole_hides_ends_and_resets() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), Seed::new(1)).unwrap();
    let mut ended = dial(&proxy).await;
    let (mut ender, _) = listener.accept().await.unwrap();
    let mut broken = dial(&proxy).await;
    let (breaker, _) = listener.accept().await.unwrap();
    proxy.set_mode(Mode::Blackhole).await.unwrap();
    ender.write_all(b"last words").await.unwrap();
    drop(ender);
    breaker.set_zero_linger().unwrap();
    drop(breaker);
    expect_silence(&mut ended).await;
    expect_silence(&mut broken).await;
    proxy.set_mode(Mode::Open).await.unwrap();
    let mut words = Vec::new();
    within("the end", ended.read_to_end(&mut words)).await.unwrap();
    assert_eq!(words, b"last words");
    expect_reset(&mut broken).await;
}

#[tokio::test]
async fn who_gives_up_in_a_blackhole_was_never_there() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), Seed::new(1)).unwrap();
    proxy.set_mode(Mode::Blackhole).await.unwrap();
    let mut gone = dial(&proxy).await;
    gone.write_all(b"hello?").await.unwrap();
    drop(gone);
    let mut stays = dial(&proxy).await;
    stays.write_all(b"patience").await.unwrap();
    let forgotten = async {
        while proxy.connections() != 1 {
            tokio::task::yield_now().await;
        }
    };
    within("the proxy to forget the first", forgotten).await;
    proxy.set_mode(Mode::Open).await.unwrap();
    let (mut first, _) = within("the one who stayed", listener.accept()).await.unwrap();
    expect(&mut first, b"patience").await;
    let second = tokio::time::timeout(QUIET, listener.accept()).await;
    assert!(second.is_err(), "who gave up was connected after all");
}

#[tokio::test]
async fn who_says_everything_at_once_is_answered() {
    let proxy = proxy().await;
    for _ in 0..200 {
        let mut stream = dial(&proxy).await;
        stream.write_all(b"all").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, b"all");
    }
}

#[tokio::test]
async fn refusal_ends_connections_and_lets_none_begin() {
    let proxy = proxy().await;
    let mut old = dial(&proxy).await;
    ping(&mut old, b"before").await;
    for _ in 0..3 {
        proxy.set_mode(Mode::Refuse).await.unwrap();
        expect_reset(&mut old).await;
        let error = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        proxy.set_mode(Mode::Open).await.unwrap();
        old = dial(&proxy).await;
        ping(&mut old, b"after").await;
    }
}

#[tokio::test]
async fn reset_ends_connections_however_new() {
    let proxy = proxy().await;
    let mut old = dial(&proxy).await;
    ping(&mut old, b"before").await;
    proxy.set_mode(Mode::Reset).await.unwrap();
    expect_reset(&mut old).await;
    // The kernel may tell while it connects or afterwards.
    if let Ok(mut new) = TcpStream::connect(proxy.address()).await {
        expect_reset(&mut new).await;
    }
    proxy.set_mode(Mode::Open).await.unwrap();
    ping(&mut dial(&proxy).await, b"after").await;
}

#[tokio::test]
async fn a_delay_is_kept_both_ways_and_order_too() {
    let proxy = proxy().await;
    let mut stream = dial(&proxy).await;
    ping(&mut stream, b"before").await;
    let mode = Mode::Slow(Slowness { latency: 30 * MS, jitter: 10 * MS, bytes_per_second: None });
    proxy.set_mode(mode).await.unwrap();
    let start = Instant::now();
    ping(&mut stream, b"slow").await;
    assert!(start.elapsed() >= 60 * MS, "{:?}", start.elapsed());
    let bytes: Vec<u8> = (0..=255).collect();
    for byte in &bytes {
        stream.write_all(&[*byte]).await.unwrap();
    }
    expect(&mut stream, &bytes).await;
    proxy.set_mode(Mode::Open).await.unwrap();
    ping(&mut stream, b"after").await;
}

#[tokio::test]
async fn a_throttle_keeps_its_rate() {
    let proxy = proxy().await;
    let mut stream = dial(&proxy).await;
    let mode = Mode::Slow(Slowness { bytes_per_second: Some(100_000), ..Slowness::default() });
    proxy.set_mode(mode).await.unwrap();
    let start = Instant::now();
    ping(&mut stream, &[7; 20_000]).await;
    let took = start.elapsed();
    // One slice each way is free.
    assert!(took >= 150 * MS, "{took:?}");
}

#[tokio::test]
async fn nobody_behind_the_proxy_means_a_reset() {
    let port = PortHold::reserve().unwrap();
    let proxy = Proxy::start(port.address(), Seed::new(1)).unwrap();
    expect_reset(&mut dial(&proxy).await).await;
}

#[tokio::test]
async fn after_shutdown_nothing_is_left() {
    let proxy = proxy().await;
    let address = proxy.address();
    let mut stream = dial(&proxy).await;
    ping(&mut stream, b"before").await;
    within("the proxy's end", proxy.shutdown()).await;
    expect_reset(&mut stream).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_sent_after_a_cut_passes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), Seed::new(1)).unwrap();
    let talker = dial(&proxy).await;
    let (mut sink, _) = within("the talker", listener.accept()).await.unwrap();
    // The talker says nothing but the number of the round, again and again.
    let round = Arc::new(AtomicU8::new(0));
    let said = Arc::new(AtomicU8::new(0));
    let (current, spoken) = (Arc::clone(&round), Arc::clone(&said));
    let chatter = tokio::spawn(async move {
        let mut last = 0;
        let mut times = 0;
        loop {
            let round = current.load(Ordering::SeqCst);
            times = if round == last { times + 1 } else { 0 };
            last = round;
            // Not more than buffers hold, or it could not begin the next round.
            if times < 1_000 && talker.try_write(&[round; 100]).is_ok() {
                spoken.store(round, Ordering::SeqCst);
            }
            tokio::task::yield_now().await;
        }
    });
    let mut buffer = vec![0; 1 << 20];
    for cut in 1..=100 {
        proxy.set_mode(Mode::Blackhole).await.unwrap();
        round.store(cut, Ordering::SeqCst);
        let talk = async {
            while said.load(Ordering::SeqCst) != cut {
                tokio::task::yield_now().await;
            }
        };
        within("the talker", talk).await;
        // What was on its way may still arrive.
        while let Ok(read) = tokio::time::timeout(2 * MS, sink.read(&mut buffer)).await {
            let newest = buffer[..read.unwrap()].iter().max();
            assert!(newest < Some(&cut), "something passed after cut {cut}");
        }
        proxy.set_mode(Mode::Open).await.unwrap();
        let mut newest = 0;
        while newest < cut {
            let read = within("what was held", sink.read(&mut buffer)).await;
            newest = buffer[read.unwrap() - 1];
        }
    }
    chatter.abort();
}

#[test]
fn a_held_port_is_given_to_nobody_else() {
    let port = PortHold::reserve().unwrap();
    let number = port.address().port();
    // Who asks for it by number may listen, as often as he likes.
    for _ in 0..3 {
        let listener = std::net::TcpListener::bind(port.address()).unwrap();
        assert_eq!(listener.local_addr().unwrap().port(), number);
    }
    // Who asks for any port gets another one.
    let others: Vec<_> =
        (0..500).map(|_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    assert!(others.iter().all(|other| other.local_addr().unwrap() != port.address()));
}

/// A change that failed must not pass for being in effect, or nobody tries it again.
#[tokio::test]
async fn a_change_that_failed_is_not_in_effect() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(upstream.local_addr().unwrap(), Seed::new(1)).unwrap();
    proxy.set_mode(Mode::Refuse).await.unwrap();
    // Somebody is in the way, as EMFILE would be.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&proxy.address().into()).unwrap();
    socket.listen(1).unwrap();
    assert!(proxy.set_mode(Mode::Open).await.is_err());
    socket.shutdown(Shutdown::Both).unwrap();
    drop(socket);
    // This is what `Network::apply` does on the next heal.
    if proxy.ways() != Ways::both(Mode::Open) {
        proxy.set_mode(Mode::Open).await.unwrap();
    }
    assert!(std::net::TcpStream::connect(proxy.address()).is_ok(), "still refused after healing");
}

#[test]
fn of_two_modes_the_one_that_carries_less_wins() {
    let late = Slowness { latency: 10 * MS, jitter: MS, bytes_per_second: None };
    let narrow = Slowness { bytes_per_second: Some(50), ..late };
    let narrower = Slowness { bytes_per_second: Some(20), ..Slowness::default() };
    let order = [Mode::Open, Mode::Slow(late), Mode::Reset, Mode::Refuse, Mode::Blackhole];
    for (place, less) in order.into_iter().enumerate() {
        for more in &order[..place] {
            assert_eq!((less.and(*more), more.and(less)), (less, less));
        }
    }
    let sum = Slowness { latency: 20 * MS, jitter: 2 * MS, bytes_per_second: Some(50) };
    assert_eq!(Mode::Slow(late).and(Mode::Slow(narrow)), Mode::Slow(sum));
    let Mode::Slow(least) = Mode::Slow(narrow).and(Mode::Slow(narrower)) else { panic!() };
    assert_eq!(least.bytes_per_second, Some(20));
    assert_eq!(Mode::Open.and(Mode::Open), Mode::Open);
}
