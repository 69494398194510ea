//! One connection through a proxy of messages, and the streams on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand_chacha::ChaCha12Rng;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_stream::wrappers::ReceiverStream;

use super::course::{Course, draw};
use super::frames::Frames;
use super::{MessageKind, Shared};

/// How many bytes of one stream may be held back; beyond that its sender waits.
const HELD_MAX: usize = 8 * 1024 * 1024;

/// How many pieces may wait to be sent on: the flow control of the stream that they go to holds back the
/// one that they come from.
const WAITING_MAX: usize = 64;

/// The windows of flow control: a proxy that granted less than the callee would throttle.
const WINDOW: u32 = 4 * 1024 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a pump sends on.
type Piece = Result<Frame<Bytes>, Failure>;

/// A body that a pump fills.
type Pumped = StreamBody<ReceiverStream<Piece>>;

/// Carries a connection until either end ends it.
pub(super) async fn carry(caller: TcpStream, shared: Shared) {
    // Without an answer from there the caller's connection is closed, too.
    let Ok(callee) = TcpStream::connect(shared.upstream).await else { return };
    // Failing to is no reason to fail.
    let _ = (caller.set_nodelay(true), callee.set_nodelay(true));
    let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(callee))
        .await;
    let Ok((sender, to_callee)) = client else { return };
    let service = service_fn(move |request| forward(sender.clone(), request, shared.clone()));
    let from_caller = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(caller), service);
    // When one ends, the other has nobody to talk to.
    tokio::select! {
        _ = to_callee => (),
        _ = from_caller => (),
    }
}

/// Passes a request on, and its response back; their bodies go on after that.
async fn forward(
    mut sender: SendRequest<Pumped>,
    request: Request<Incoming>,
    shared: Shared,
) -> Result<Response<Pumped>, Failure> {
    let (parts, body) = request.into_parts();
    let number = shared.streams.fetch_add(1, Ordering::Relaxed);
    let seed = shared.seed.derive(&format!("stream {number}"));
    let path = is_grpc(&parts.headers).then(|| Arc::from(parts.uri.path()));
    let pump = |way| Pump::new(path.clone(), seed.derive(way).generator(), shared.clone());
    let (requests, answers) = (pump("request"), pump("response"));
    sender.ready().await?;
    let request = Request::from_parts(parts, requests.start(body));
    Ok(sender.send_request(request).await?.map(|body| answers.start(body)))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Moves the messages of one direction of a stream.
struct Pump {
    /// The method; none if these are no messages.
    path: Option<Arc<str>>,
    generator: ChaCha12Rng,
    shared: Shared,
    frames: Frames,
    course: Course,
}

/// What a pump waits for.
enum Next {
    Came(Option<Result<Frame<Bytes>, hyper::Error>>),
    Due,
    Rules,
}

/// Nobody wants what a pump would send on.
struct Unwanted;

impl Pump {
    fn new(path: Option<Arc<str>>, generator: ChaCha12Rng, shared: Shared) -> Self {
        let (frames, course) = (Frames::default(), Course::default());
        Self { path, generator, shared, frames, course }
    }

    /// Begins to move a body, and returns the one to send on. The pump ends with either.
    fn start(self, body: Incoming) -> Pumped {
        let (send, pieces) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            // Whoever is unwanted has nothing to say to anybody.
            let _ = self.run(body, send).await;
        });
        StreamBody::new(ReceiverStream::new(pieces))
    }

    async fn run(mut self, mut body: Incoming, send: mpsc::Sender<Piece>) -> Result<(), Unwanted> {
        let mut trailers = None;
        let mut is_over = false;
        while !(is_over && self.course.is_empty()) {
            match self.next(&mut body, is_over, &send).await? {
                Next::Came(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.take_in(data, &send).await?,
                    Err(frame) => trailers = Some(frame),
                },
                Next::Came(Some(Err(error))) => return give(&send, Err(error.into())).await,
                Next::Came(None) => is_over = true,
                Next::Due => (),
                Next::Rules => {
                    if self.shared.rules.borrow_and_update().is_empty() {
                        self.course.release_all(Instant::now());
                    }
                }
            }
            self.pass_on(&send).await?;
        }
        let rest = self.frames.rest();
        if !rest.is_empty() {
            give(&send, Ok(Frame::data(rest))).await?;
        }
        match trailers {
            Some(trailers) => give(&send, Ok(trailers)).await,
            None => Ok(()),
        }
    }

    /// Sends on what is due.
    async fn pass_on(&mut self, send: &mpsc::Sender<Piece>) -> Result<(), Unwanted> {
        while let Some(bytes) = self.course.release(Instant::now()) {
            give(send, Ok(Frame::data(bytes))).await?;
        }
        Ok(())
    }

    async fn next(
        &mut self,
        body: &mut Incoming,
        is_over: bool,
        send: &mpsc::Sender<Piece>,
    ) -> Result<Next, Unwanted> {
        let due = self.course.next_due();
        let due_at = tokio::time::Instant::from_std(due.unwrap_or_else(Instant::now));
        tokio::select! {
            () = send.closed() => Err(Unwanted),
            Ok(()) = self.shared.rules.changed() => Ok(Next::Rules),
            () = sleep_until(due_at), if due.is_some() => Ok(Next::Due),
            frame = body.frame(), if !is_over && self.course.len() < HELD_MAX => {
                Ok(Next::Came(frame))
            }
        }
    }

    /// Takes in what came, and sends on at once what no rule may hit.
    async fn take_in(&mut self, data: Bytes, send: &mpsc::Sender<Piece>) -> Result<(), Unwanted> {
        let Some(path) = self.path.clone() else { return give(send, Ok(Frame::data(data))).await };
        self.frames.push(&data);
        let rules = Arc::clone(&self.shared.rules.borrow());
        if rules.is_empty() {
            // What earlier rules held back came before.
            self.course.release_all(Instant::now());
            self.pass_on(send).await?;
            return match self.frames.all() {
                Ok(Some(bytes)) => give(send, Ok(Frame::data(bytes))).await,
                Ok(None) => Ok(()),
                Err(error) => give(send, Err(error.into())).await.and(Err(Unwanted)),
            };
        }
        loop {
            let message = match self.frames.next() {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(error) => return give(send, Err(error.into())).await.and(Err(Unwanted)),
            };
            let kind = message
                .content()
                .map_or(MessageKind::Other, |content| (self.shared.classify)(&path, content));
            let rule = draw(&rules, kind, &mut self.generator);
            if let Some(rule) = rule {
                self.shared.hits.count(rule);
            }
            self.course.take_in(message, rule.map(|rule| rule.action), Instant::now());
        }
    }
}

/// Sends a piece on, which waits for room.
async fn give(send: &mpsc::Sender<Piece>, piece: Piece) -> Result<(), Unwanted> {
    send.send(piece).await.map_err(|_| Unwanted)
}
