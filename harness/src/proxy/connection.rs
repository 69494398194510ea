//! One connection through a proxy.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::ops::Deref;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use rand_chacha::ChaCha12Rng;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::proxy::shaper::{Release, Shaper};
use crate::proxy::{Mode, Ways};
use crate::seed::Seed;

/// How many bytes of one direction are held beyond what the kernel holds. Enough for a delayed link
/// to carry some MB/s; then the sender has to wait, as on any line that is full.
const HELD_MAX: usize = 1024 * 1024;

/// How many bytes are read at once.
const READ_SIZE: usize = 64 * 1024;

/// Carries a connection until it ends. Dropped earlier, it resets both ends.
pub(super) async fn carry(
    caller: TcpStream,
    upstream: SocketAddr,
    mut ways: watch::Receiver<Ways>,
    seed: Seed,
) {
    let caller = End::new(caller);
    let mut request = Direction::new(Way::Forward, seed.derive("request"));
    let upstream = tokio::select! {
        upstream = dial(upstream, ways.clone()) => upstream,
        // A caller that gives up before anything could pass was never connected.
        () = request.take_in_all(&caller, &mut ways) => return,
    };
    // If nobody answers there, the caller is reset, too.
    let Ok(upstream) = upstream else {
        return;
    };
    let answer = Direction::new(Way::Back, seed.derive("answer"));
    let ended = tokio::try_join!(
        request.pump(&caller, &upstream, ways.clone()),
        answer.pump(&upstream, &caller, ways),
    );
    if ended.is_ok() {
        caller.close();
        upstream.close();
    }
}

/// Ends a connection with a reset instead of a farewell.
pub(super) fn reset(stream: TcpStream) {
    drop(End::new(stream));
}

/// One end of a connection. When dropped it is reset, unless both directions came to a regular end.
struct End {
    stream: TcpStream,
    is_over: bool,
}

impl End {
    fn new(stream: TcpStream) -> Self {
        // The systems under test set this on their own connections; a proxy that did not would
        // delay what they send at once. Failing to is no reason to fail.
        let _ = stream.set_nodelay(true);
        Self { stream, is_over: false }
    }

    fn close(mut self) {
        self.is_over = true;
    }
}

impl Deref for End {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.is_over {
            // Closing a socket that does not linger sends a reset. The only error is a socket that
            // is dead already.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Connects as soon as both ways let anything pass, for a connection is made by asking and being
/// answered; and lets a failure pass no earlier.
async fn dial(upstream: SocketAddr, mut ways: watch::Receiver<Ways>) -> io::Result<End> {
    let gone = |_| io::ErrorKind::NotConnected;
    let connects = |ways: &Ways| passes(ways.together());
    ways.wait_for(connects).await.map_err(gone)?;
    let stream = TcpStream::connect(upstream).await;
    if stream.is_err() {
        ways.wait_for(connects).await.map_err(gone)?;
    }
    stream.map(End::new)
}

/// Says whether the end or the reset of a connection passes.
fn passes(mode: Mode) -> bool {
    match mode {
        Mode::Open | Mode::Slow(_) => true,
        Mode::Blackhole | Mode::Refuse | Mode::Reset => false,
    }
}

/// How the sender of a direction ended it.
enum Farewell {
    /// It said that there is no more.
    Regular,
    /// It broke off.
    Broken(io::Error),
}

/// What a direction waits for.
enum Next {
    /// Bytes, or their end.
    More,
    /// Room at the receiver's.
    Room,
    /// A time.
    Time(Instant),
    /// Another mode.
    Mode,
    /// Nothing: all was passed on, the end included.
    Over,
}

/// Which of the two ways of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
}

impl Way {
    fn mode(self, ways: Ways) -> Mode {
        match self {
            Self::Forward => ways.forward,
            Self::Back => ways.back,
        }
    }
}

/// The bytes that go one way.
struct Direction {
    way: Way,
    bytes: BytesMut,
    shaper: Shaper,
    farewell: Option<Farewell>,
    generator: ChaCha12Rng,
}

impl Direction {
    fn new(way: Way, seed: Seed) -> Self {
        Self {
            way,
            bytes: BytesMut::new(),
            shaper: Shaper::new(),
            farewell: None,
            generator: seed.generator(),
        }
    }

    /// Passes bytes on until they end. Fails when the connection is to be reset.
    async fn pump(
        mut self,
        from: &TcpStream,
        to: &TcpStream,
        mut ways: watch::Receiver<Ways>,
    ) -> io::Result<()> {
        loop {
            let next = self.pass_on(to, &mut ways)?;
            if matches!(next, Next::Over) {
                return Ok(());
            }
            tokio::select! {
                changed = ways.changed() => changed.map_err(|_| io::ErrorKind::NotConnected)?,
                _ = from.readable(), if self.has_room() => self.take_in(from, &mut ways),
                _ = to.writable(), if matches!(next, Next::Room) => {}
                () = sleep_until(&next), if matches!(next, Next::Time(_)) => {}
            }
        }
    }

    /// Takes in what a caller says before it is connected. Returns if it gives up on a link that
    /// lets nothing pass; on one that does, who has said everything may still want an answer.
    async fn take_in_all(&mut self, from: &TcpStream, ways: &mut watch::Receiver<Ways>) {
        while self.has_room() {
            let _ = from.readable().await;
            self.take_in(from, ways);
        }
        let is_connected_soon = passes(ways.borrow().together());
        match self.farewell {
            Some(Farewell::Broken(_)) => {}
            Some(Farewell::Regular) if !is_connected_soon => {}
            Some(Farewell::Regular) | None => std::future::pending().await,
        }
    }

    fn has_room(&self) -> bool {
        self.farewell.is_none() && self.shaper.len() < HELD_MAX
    }

    /// Reads what has arrived.
    fn take_in(&mut self, from: &TcpStream, ways: &mut watch::Receiver<Ways>) {
        self.bytes.reserve(READ_SIZE);
        match from.try_read_buf(&mut self.bytes) {
            Ok(0) => self.farewell = Some(Farewell::Regular),
            Ok(count) => {
                let mode = self.way.mode(*ways.borrow());
                self.shaper.take_in(count, Instant::now(), mode, &mut self.generator);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.farewell = Some(Farewell::Broken(error)),
        }
    }

    /// Writes what the mode allows. The mode cannot change under a write: whoever changes it waits
    /// for the guard that is held here.
    fn pass_on(&mut self, to: &TcpStream, ways: &mut watch::Receiver<Ways>) -> io::Result<Next> {
        let ways = ways.borrow_and_update();
        let mode = self.way.mode(*ways);
        loop {
            let now = Instant::now();
            match self.shaper.release(now, mode) {
                Release::Now(count) => match to.try_write(&self.bytes[..count]) {
                    Ok(count) => {
                        self.bytes.advance(count);
                        self.shaper.pass_on(count, now, mode);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Next::Room);
                    }
                    Err(error) => return Err(error),
                },
                Release::At(time) => return Ok(Next::Time(time)),
                Release::Held => return Ok(Next::Mode),
                Release::Empty if self.farewell.is_some() && !passes(mode) => {
                    return Ok(Next::Mode);
                }
                Release::Empty => {
                    return match self.farewell.take() {
                        None => Ok(Next::More),
                        Some(Farewell::Broken(error)) => Err(error),
                        Some(Farewell::Regular) => {
                            SockRef::from(to).shutdown(Shutdown::Write)?;
                            Ok(Next::Over)
                        }
                    };
                }
            }
        }
    }
}

async fn sleep_until(next: &Next) {
    if let Next::Time(time) = next {
        tokio::time::sleep_until((*time).into()).await;
    }
}
