//! The driver's task: it waits for events and does what they lead to.

use std::collections::BTreeMap;
use std::time::Duration;

use raft::{Message, NodeId, Write, WriteId};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::trace;

use super::{Core, Driver, DriverError, Effect, Event, Request};

/// How many messages from peers may wait for the driver; then their streams wait.
pub(crate) const INBOX_MAX: usize = 256;
/// How many requests may wait for the driver; then clients are refused at once.
pub(crate) const INTAKE_MAX: usize = 4096;
/// How many of one kind are handled before the driver looks at the others: enough that many requests
/// share a sync, few enough that a tick is not late by more than a few milliseconds.
const EVENTS_PER_TURN: usize = 128;

/// Where events come from and where effects go.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Messages from peers, with their senders.
    pub(crate) inbox: mpsc::Receiver<(NodeId, Message)>,
    /// Clients' requests.
    pub(crate) intake: mpsc::Receiver<Request>,
    /// To the storage thread.
    pub(crate) writes: mpsc::Sender<Write>,
    /// From the storage thread.
    pub(crate) persisted: watch::Receiver<WriteId>,
    /// To each peer's task.
    pub(crate) outboxes: BTreeMap<NodeId, mpsc::Sender<Message>>,
}

/// Drives until the token is cancelled or the node must stop.
pub(crate) async fn drive<C: Core>(
    mut driver: Driver<C>,
    mut channels: Channels,
    tick: Duration,
    stop: CancellationToken,
) -> Result<(), DriverError> {
    let mut ticks = interval(tick);
    // A node that was stopped for a second must not believe that a second's worth of heartbeats
    // failed to come: whatever was missed counts as one tick.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut messages, mut requests) = (Vec::new(), Vec::new());
    let mut effects = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => driver.handle(Event::Tick, &mut effects)?,
            changed = channels.persisted.changed() => {
                changed.map_err(|_| DriverError::StorageGone)?;
                let upto = *channels.persisted.borrow_and_update();
                driver.handle(Event::Persisted(upto), &mut effects)?;
            }
            1.. = channels.inbox.recv_many(&mut messages, EVENTS_PER_TURN) => {
                for (from, message) in messages.drain(..) {
                    driver.handle(Event::Received { from, message }, &mut effects)?;
                }
            }
            1.. = channels.intake.recv_many(&mut requests, EVENTS_PER_TURN) => {
                for request in requests.drain(..) {
                    driver.handle(Event::Request(request), &mut effects)?;
                }
            }
        }
        let carrying_out = async {
            for effect in effects.drain(..) {
                channels.carry_out(effect).await?;
            }
            Ok(())
        };
        // A disk that hangs takes no more writes; it must not keep the node from stopping.
        match stop.run_until_cancelled(carrying_out).await {
            Some(carried_out) => carried_out?,
            None => return Ok(()),
        }
    }
}

impl Channels {
    async fn carry_out(&self, effect: Effect) -> Result<(), DriverError> {
        match effect {
            Effect::Persist(write) => {
                self.writes.send(write).await.map_err(|_| DriverError::StorageGone)
            }
            Effect::Send { to, message } => {
                // A message that finds no room is dropped: the core sends again what matters.
                if let Some(outbox) = self.outboxes.get(&to)
                    && outbox.try_send(message).is_err()
                {
                    trace!(%to, "message dropped");
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use raft::{Input, Output};

    use super::*;
    use crate::driver::{Options, Standing};

    /// A core that wants two things written whenever it is asked.
    struct Writer;

    impl Core for Writer {
        fn handle(&mut self, _: Input, outputs: &mut Vec<Output>) {
            let (hard_state, truncate_from) = (None, None);
            let write = Write { id: WriteId(1), hard_state, truncate_from, entries: vec![] };
            outputs.extend([Output::Persist(write.clone()), Output::Persist(write)]);
        }

        fn standing(&self) -> Standing {
            unimplemented!("nobody asks how it stands")
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_does_not_keep_the_driver_from_stopping() {
        let (_to_inbox, inbox) = mpsc::channel(1);
        let (_to_intake, intake) = mpsc::channel(1);
        let (writes, queue) = mpsc::channel(1);
        let (_durable, persisted) = watch::channel(WriteId(0));
        let outboxes = BTreeMap::new();
        let channels = Channels { inbox, intake, writes, persisted, outboxes };
        let driver = Driver::new(Writer, Options { id: NodeId(1), reads_locally: false });
        let stop = CancellationToken::new();
        let driving = tokio::spawn(drive(driver, channels, Duration::from_millis(1), stop.clone()));

        // The first write fills the queue, so the driver waits with the second.
        while queue.is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), driving).await;
        ended.expect("the driver still waits for the disk").unwrap().unwrap();
    }
}
