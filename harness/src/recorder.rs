//! The recorder writes down what clients and nemesis did, in an order that is true.
//!
//! A history proves something only if its times do. Three promises make them do so:
//!
//! 1. **Intervals hold the operation.** An invocation is recorded before its request leaves, a
//!    completion after its answer has come, and the caller takes both times: as late as possible
//!    before, as early as possible after. An operation took effect, if at all, between the two.
//! 2. **The order of lines is the order of times.** Taking the time and taking a place in the queue
//!    is one short critical section, so an event that stands before another was recorded before it.
//!    A reader need not sort, and an operation that completed before another was invoked stands
//!    before it.
//! 3. **Every beginning of the file is a history.** One thread writes the queue in its order and
//!    hands each batch to the operating system before it waits for more. When the harness is
//!    killed, the events still queued are lost, but they are the last ones: whatever a client that
//!    is in the file has seen was invoked earlier, and so is in the file as well. An operation whose
//!    completion is lost is open, and nothing is claimed of it.
//!
//! The queue is bounded. An invocation waits for two places, its own and its completion's, before it
//! is recorded: so a slow disk holds back new operations and never the end of one that has begun.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use checker::history::{Event, EventType, Process, write_event};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::client::Outcome;
use crate::workload::Invocation;

/// How many events may wait to be written: at 100,000 events a second more than half a second of a
/// disk that does not answer. Every open invocation holds one of these places, so there must be far
/// fewer clients than places; [`CLIENTS_MAX`] sees to that.
const QUEUE: usize = 1 << 16;

/// The most clients that may record at once.
pub const CLIENTS_MAX: usize = QUEUE / 4;

/// How many events are written at once: enough to make a system call cheap, and few enough that the
/// first of them does not wait long.
const BATCH: usize = 1024;

/// The history could not be written. Nothing that happens after can be judged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be made.
    #[error("failed to create the history {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// An event could not be written; the file ends before it, perhaps in mid-line.
    #[error("failed to write the history {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The writing thread crashed; the file ends somewhere, perhaps in mid-line.
    #[error("failed to keep the recorder running")]
    Crashed,
    /// The recorder has ended; whoever ended it knows why.
    #[error("failed to record an event after the end of the recording")]
    Ended,
}

/// Records events; clones record into the same history.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Entry>,
    clock: Arc<Clock>,
    end: watch::Receiver<Option<End>>,
}

/// How the writing thread ended: with so many events in a durable file, or not well.
type End = Result<u64, RecordError>;

/// The recording as a whole, held by whoever began it.
#[derive(Debug)]
pub struct Recording {
    queue: mpsc::Sender<Entry>,
    end: watch::Receiver<Option<End>>,
}

/// An invocation that has been recorded and whose completion has not.
///
/// Dropping it without a completion records that the outcome is unknown: that is always true.
#[derive(Debug)]
pub struct OpenInvocation {
    process: u64,
    f: &'static str,
    key: String,
    clock: Arc<Clock>,
    place: Option<mpsc::OwnedPermit<Entry>>,
}

/// What the writing thread gets.
#[derive(Debug)]
enum Entry {
    Event(Box<Event>),
    End,
}

/// The run's clock, and the lock that makes the order of the queue the order of the times.
#[derive(Debug)]
struct Clock {
    start: Instant,
    order: Mutex<()>,
}

impl Clock {
    /// Takes the time and hands over the event with it, before anybody else takes the time.
    fn stamp(&self, mut event: Box<Event>, place: impl FnOnce(Entry)) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let nanoseconds = self.start.elapsed().as_nanos();
        event.time = Some(u64::try_from(nanoseconds).expect("a run is shorter than 584 years"));
        place(Entry::Event(event));
    }
}

impl Recorder {
    /// Begins a recording in a new file; the run's clock starts now.
    pub fn create(path: &Path) -> Result<(Self, Recording), RecordError> {
        let create = |source| RecordError::Create { path: path.into(), source: Arc::new(source) };
        let file = File::create_new(path).map_err(create)?;
        Self::begin(path, file)
    }

    fn begin(path: &Path, file: File) -> Result<(Self, Recording), RecordError> {
        let (queue, mut entries) = mpsc::channel(QUEUE);
        let (publish, end) = watch::channel(None);
        let writer = Writer { path: path.into(), file, count: 0, buffer: Vec::new() };
        // The thread is not joined but publishes its end as the last thing that it does. If it
        // crashes, the channel ends without one.
        thread::Builder::new()
            .name("recorder".into())
            .spawn(move || {
                let end = writer.run(&mut entries);
                // First the reason, then the refusal: whoever finds the queue closed can say why.
                publish.send_replace(Some(end));
                drop(entries);
            })
            .map_err(|source| RecordError::Create {
                path: path.into(),
                source: Arc::new(source),
            })?;
        let clock = Arc::new(Clock { start: Instant::now(), order: Mutex::new(()) });
        let recorder = Self { queue: queue.clone(), clock, end: end.clone() };
        Ok((recorder, Recording { queue, end }))
    }

    /// Returns the time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.clock.start.elapsed()
    }

    /// Returns the instant at which the run began, from which all times are counted.
    pub fn start(&self) -> Instant {
        self.clock.start
    }

    /// Records that a process invokes an operation. The request may leave when this returns.
    pub async fn invoke(
        &self,
        process: u64,
        invocation: &Invocation,
    ) -> Result<OpenInvocation, RecordError> {
        let event = Box::new(Event {
            value: (&invocation.value).into(),
            ..event(process, EventType::Invoke, invocation.f, &invocation.key)
        });
        // The end's place first: whoever waits for the second place holds what only matters later.
        let end = self.queue.clone().reserve_owned().await;
        let end = end.map_err(|_| self.why())?;
        let own = self.queue.reserve().await.map_err(|_| self.why())?;
        self.clock.stamp(event, |entry| own.send(entry));
        Ok(OpenInvocation {
            process,
            f: invocation.f,
            key: invocation.key.clone(),
            clock: Arc::clone(&self.clock),
            place: Some(end),
        })
    }

    /// Records a remark of the nemesis, such as one edge of a fault.
    pub async fn remark(&self, f: &str, value: Value) -> Result<(), RecordError> {
        let event = Box::new(Event {
            index: None,
            time: None,
            process: Process::NEMESIS,
            event_type: EventType::Info,
            f: f.into(),
            key: None,
            value: value.into(),
            position: None,
            error: None,
        });
        let place = self.queue.reserve().await.map_err(|_| self.why())?;
        self.clock.stamp(event, |entry| place.send(entry));
        Ok(())
    }

    /// Waits until the history can no longer be written, and says why; forever if that never comes.
    pub async fn failed(&self) -> RecordError {
        match wait_for_end(self.end.clone()).await {
            Err(error) => error,
            // The writer ended well.
            Ok(_) => std::future::pending().await,
        }
    }

    /// Says why the queue takes no more events.
    fn why(&self) -> RecordError {
        match &*self.end.borrow() {
            Some(Err(error)) => error.clone(),
            None if self.end.has_changed().is_err() => RecordError::Crashed,
            // The writer has been told to end.
            Some(Ok(_)) | None => RecordError::Ended,
        }
    }
}

impl OpenInvocation {
    /// Records how the operation ended. To be called as soon as that is known.
    pub fn complete(mut self, outcome: &Outcome) {
        self.record(outcome);
    }

    fn record(&mut self, outcome: &Outcome) {
        let Some(place) = self.place.take() else {
            return;
        };
        let mut event = Box::new(event(self.process, EventType::Info, self.f, &self.key));
        match outcome {
            Outcome::Ok { value, position } => {
                event.event_type = EventType::Ok;
                event.value = value.into();
                event.position = *position;
            }
            Outcome::Fail { error } => {
                event.event_type = EventType::Fail;
                event.error = Some(error.to_string().into());
            }
            Outcome::Info { error } => event.error = Some(error.to_string().into()),
        }
        self.clock.stamp(event, |entry| drop(place.send(entry)));
    }
}

impl Drop for OpenInvocation {
    fn drop(&mut self) {
        let error = "abandoned by the client".into();
        self.record(&Outcome::Info { error });
    }
}

impl Recording {
    /// Ends the recording: waits for every open invocation to be completed or dropped, makes the
    /// file durable and returns how many events it holds.
    pub async fn finish(self) -> Result<u64, RecordError> {
        // After a failure nobody takes the entry, and `end` says what happened.
        let _ = self.queue.send(Entry::End).await;
        drop(self.queue);
        wait_for_end(self.end).await
    }
}

async fn wait_for_end(mut end: watch::Receiver<Option<End>>) -> End {
    let seen = end.wait_for(Option::is_some).await;
    seen.map_or(None, |end| end.clone()).unwrap_or(Err(RecordError::Crashed))
}

/// The state of the thread that owns the file.
struct Writer {
    path: PathBuf,
    file: File,
    count: u64,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(mut self, entries: &mut mpsc::Receiver<Entry>) -> Result<u64, RecordError> {
        self.write(entries).map_err(|source| RecordError::Write {
            path: self.path.clone(),
            source: Arc::new(source),
        })?;
        Ok(self.count)
    }

    fn write(&mut self, entries: &mut mpsc::Receiver<Entry>) -> io::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        while entries.blocking_recv_many(&mut batch, BATCH) > 0 {
            for entry in batch.drain(..) {
                match entry {
                    Entry::Event(event) => self.render(*event)?,
                    // Places that were promised to open invocations stay good.
                    Entry::End => entries.close(),
                }
            }
            // Straight to the operating system: what has been written survives the process.
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        self.file.sync_all()
    }

    fn render(&mut self, mut event: Event) -> io::Result<()> {
        event.index = Some(self.count);
        self.count += 1;
        write_event(&mut self.buffer, &event)
    }
}

fn event(process: u64, event_type: EventType, f: &str, key: &str) -> Event {
    Event {
        index: None,
        time: None,
        process: Process::Client(process),
        event_type,
        f: f.into(),
        key: Some(key.into()),
        value: Default::default(),
        position: None,
        error: None,
    }
}

#[cfg(test)]
mod tests;
