//! The driver's task: it waits for events and does what they lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft::{LogIndex, Message, NodeId, Snapshot, WriteId};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, trace, warn};

use super::clock::{Adjustments, Clock, Ticks};
use super::snapshots::SNAPSHOT_MAX;
use super::{Core, Driver, DriverError, Effect, Event, Request};
use crate::peers::{Chunk, Outbox};
use crate::storage::{Job, Snapshots};

/// How many messages from peers may wait for the driver; then their streams wait.
pub(crate) const INBOX_MAX: usize = 256;
/// How many requests may wait for the driver; then clients are refused at once.
pub(crate) const INTAKE_MAX: usize = 4096;
/// How many of one kind are handled before the driver looks at the others: enough that many requests
/// share a sync, few enough that a tick is not late by more than a few milliseconds.
const EVENTS_PER_TURN: usize = 128;
/// How long a snapshot that is being saved may keep the node from stopping. Nothing depends on it.
const SAVE_GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Where events come from and where effects go.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Messages from peers, with their senders.
    pub(crate) inbox: mpsc::Receiver<(NodeId, Message)>,
    /// Clients' requests.
    pub(crate) intake: mpsc::Receiver<Request>,
    /// To the storage thread.
    pub(crate) jobs: mpsc::Sender<Job>,
    /// From the storage thread.
    pub(crate) persisted: watch::Receiver<WriteId>,
    /// To each peer's tasks.
    pub(crate) outboxes: BTreeMap<NodeId, Outbox>,
    /// Tells the peers' tasks who is in the cluster.
    pub(crate) members: watch::Sender<BTreeSet<NodeId>>,
    /// Where snapshots are saved.
    pub(crate) snapshots: Snapshots,
    /// How the clock is to be set.
    pub(crate) adjustments: Adjustments,
}

/// A snapshot that is being saved, on a thread of its own.
type Saving = JoinHandle<Saved>;

/// Which snapshot was to be saved, and whether it was.
type Saved = (LogIndex, bool);

/// Drives until the token is cancelled or the node must stop.
pub(crate) async fn drive<C: Core>(
    mut driver: Driver<C>,
    mut channels: Channels,
    clock: Clock,
    tick: Duration,
    stop: CancellationToken,
) -> Result<(), DriverError> {
    let mut ticks = Ticks::new(clock.clone(), tick);
    let (mut messages, mut requests) = (Vec::new(), Vec::new());
    let mut effects = Vec::new();
    let mut saving: Option<Saving> = None;
    let ended = loop {
        let result = tokio::select! {
            () = stop.cancelled() => break Ok(()),
            () = ticks.next() => driver.handle(Event::Tick { now: clock.now() }, &mut effects),
            Some((adjustment, reply)) = channels.adjustments.recv() => {
                let owed = ticks.adjust(adjustment).map_or(0, |(reading, owed)| {
                    warn!(?adjustment, ahead = reading.ahead, rate = reading.rate, "clock set");
                    // Who asked may have gone.
                    reply.send(reading).ok();
                    owed
                });
                (0..owed).try_for_each(|_| {
                    driver.handle(Event::Tick { now: clock.now() }, &mut effects)
                })
            }
            changed = channels.persisted.changed() => match changed {
                Ok(()) => {
                    let upto = *channels.persisted.borrow_and_update();
                    driver.handle(Event::Persisted(upto), &mut effects)
                }
                Err(_) => Err(DriverError::StorageGone),
            },
            (index, is_saved) = saved(&mut saving) => {
                saving = None;
                driver.handle(Event::Saved { index, is_saved }, &mut effects)
            }
            1.. = channels.inbox.recv_many(&mut messages, EVENTS_PER_TURN) => {
                messages.drain(..).try_for_each(|(from, message)| {
                    driver.handle(Event::Received { from, message }, &mut effects)
                })
            }
            1.. = channels.intake.recv_many(&mut requests, EVENTS_PER_TURN) => {
                // All of them are there by now, which is what a lease read asks of the clock. If the
                // node is suspended from here on, they still read what was right at this moment,
                // between their question and their answer.
                let now = clock.now();
                requests.drain(..).try_for_each(|request| {
                    driver.handle(Event::Request { request, now }, &mut effects)
                })
            }
        };
        if let Err(error) = result {
            break Err(error);
        }
        let carrying_out = async {
            for effect in effects.drain(..) {
                if let Effect::Save { snapshot, data } = effect {
                    saving = Some(save(channels.snapshots.clone(), snapshot, data));
                } else {
                    channels.carry_out(effect).await?;
                }
            }
            Ok(())
        };
        // A disk that hangs takes no more writes; it must not keep the node from stopping.
        match stop.run_until_cancelled(carrying_out).await {
            Some(Ok(())) => {}
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    // Nobody else may open the folder while something is still written to it.
    if saving.is_some() {
        timeout(SAVE_GOODBYE_MAX, saved(&mut saving)).await.ok();
    }
    ended
}

/// Waits for the snapshot that is being saved; for ever if there is none.
async fn saved(saving: &mut Option<Saving>) -> Saved {
    match saving {
        Some(saving) => saving.await.expect("whatever goes wrong with saving is an error"),
        None => std::future::pending().await,
    }
}

/// Saves a snapshot. If that fails the node goes on: the log still has what it was to stand for.
fn save(folder: Snapshots, snapshot: Snapshot, data: Vec<u8>) -> Saving {
    let index = snapshot.index;
    spawn_blocking(move || {
        if data.len() > SNAPSHOT_MAX {
            let (bytes, max) = (data.len(), SNAPSHOT_MAX);
            error!(index = index.0, bytes, max, "snapshot not taken: the state is too large");
            return (index, false);
        }
        match folder.save(&snapshot, &data) {
            Ok(()) => {
                info!(index = index.0, bytes = data.len(), "snapshot taken");
                (index, true)
            }
            Err(error) => {
                error!(index = index.0, error = %crate::describe(&error), "snapshot not taken");
                (index, false)
            }
        }
    })
}

impl Channels {
    async fn carry_out(&self, effect: Effect) -> Result<(), DriverError> {
        match effect {
            Effect::Persist { write, data } => {
                let job = Job::Write { write, data };
                return self.jobs.send(job).await.map_err(|_| DriverError::StorageGone);
            }
            // What finds no room is dropped: the core sends again what matters.
            Effect::Send { to, message } => {
                if let Some(outbox) = self.outboxes.get(&to)
                    && outbox.messages.try_send(message).is_err()
                {
                    trace!(%to, "message dropped");
                }
            }
            Effect::SendChunk { to, chunk, bytes_max } => {
                if let Some(outbox) = self.outboxes.get(&to)
                    && outbox.chunks.try_send(Chunk { message: chunk, bytes_max }).is_err()
                {
                    trace!(%to, "piece of a snapshot dropped");
                }
            }
            Effect::Connect(members) => {
                self.members.send_replace(members);
            }
            Effect::Save { .. } => unreachable!("what takes long is the loop's to begin"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use raft::{Input, Output, Write};

    use super::*;
    use crate::driver::{Applied, Options, Standing};
    use crate::storage::{Folder, Storage, Wal};

    /// A core that wants two things written whenever it is asked.
    struct Writer;

    impl Core for Writer {
        fn handle(&mut self, _: Input, outputs: &mut Vec<Output>) {
            let write = Write {
                id: WriteId(1),
                hard_state: None,
                snapshot: None,
                truncate_from: None,
                entries: vec![],
                compact_upto: None,
            };
            outputs.extend([Output::Persist(write.clone()), Output::Persist(write)]);
        }

        fn standing(&self) -> Standing {
            unimplemented!("nobody asks how it stands")
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_does_not_keep_the_driver_from_stopping() {
        let folder = tempfile::tempdir().unwrap();
        let (_to_inbox, inbox) = mpsc::channel(1);
        let (_to_intake, intake) = mpsc::channel(1);
        let (jobs, queue) = mpsc::channel(1);
        let (wal, _) = Wal::open(Folder(folder.path().to_owned()), Default::default()).unwrap();
        let snapshots = Storage::start(wal).unwrap().snapshots;
        let (_to_adjustments, adjustments) = mpsc::channel(1);
        let (_durable, persisted) = watch::channel(WriteId(0));
        let channels = Channels {
            inbox,
            intake,
            jobs,
            persisted,
            outboxes: BTreeMap::new(),
            members: watch::Sender::default(),
            snapshots,
            adjustments,
        };
        let options = Options { id: NodeId(1), known: [].into(), reads_locally: false };
        let driver = Driver::new(Writer, Applied::default(), options);
        let stop = CancellationToken::new();
        let tick = Duration::from_millis(1);
        let driving = tokio::spawn(drive(driver, channels, Clock::sound(), tick, stop.clone()));

        // The first write fills the queue, so the driver waits with the second.
        while queue.is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), driving).await;
        ended.expect("the driver still waits for the disk").unwrap().unwrap();
    }
}
