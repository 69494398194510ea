//! The clients' side of a run.

use super::{Event, Simulation};
use crate::client::{Client, Desk, End, Step};
use crate::node::Arrival;
use crate::oracle::Violation;
use crate::plan::Workload;
use crate::workload::Operation;
use raft::NodeId;

/// Operations of unknown outcome on one key, after which clients only read it. Each may be placed anywhere
/// after its invocation, so a checker's work doubles with every one of them; of appends, whose order shows
/// in every later value, fewer can be told apart.
fn unknown_max(workload: Workload) -> u64 {
    match workload {
        Workload::Ledger | Workload::Register => 40,
        Workload::Kv => 8,
    }
}

impl Simulation {
    /// A client may begin an operation: an urgent one first, which the first client does; else, while
    /// the storm lasts, one that is drawn.
    pub(super) fn begin(&mut self, client: u64) {
        if !self.clients[client as usize].is_idle() {
            return;
        }
        let urgent = if client == 0 { self.urgent.pop_front() } else { None };
        let operation = match urgent {
            Some(operation) => operation,
            None if self.ending.is_none() => self.draw(),
            None => return,
        };
        self.counts.operations += 1;
        let done = self.with_client(client, |it, desk| Ok(Some(it.begin(operation, desk))));
        done.expect("to begin an operation breaks nothing");
    }

    fn draw(&mut self) -> Operation {
        loop {
            let operation = self.generator.next();
            let unknown = self.unknown.get(&operation.key).copied().unwrap_or(0);
            if operation.is_read() || unknown < unknown_max(self.plan.workload) {
                return operation;
            }
        }
    }

    /// Lets a client do something, and carries out what it wants done.
    pub(super) fn with_client(
        &mut self,
        client: u64,
        act: impl FnOnce(&mut Client, &mut Desk<'_>) -> Result<Option<Step>, Violation>,
    ) -> Result<(), Violation> {
        if self.memberships != self.oracle.memberships() {
            self.refresh_members();
        }
        let mut desk = Desk {
            time: self.time,
            habits: &self.plan.clients,
            nodes: &self.members,
            history: &mut self.history,
        };
        if let Some(step) = act(&mut self.clients[client as usize], &mut desk)? {
            self.take_step(client, step);
        }
        Ok(())
    }

    fn take_step(&mut self, number: u64, step: Step) {
        let client = &mut self.clients[number as usize];
        match step {
            Step::Ask(node, asker, ask) => {
                self.queue.push(self.time + self.plan.clients.patience, Event::TimeOut(asker));
                if let Some(way) = client.way(&self.plan.clients) {
                    let arrival = Box::new(Arrival::Request { asker, ask });
                    let event = Event::Arrive { node, start: None, arrival };
                    self.queue.push(self.time + way, event);
                }
            }
            Step::Breathe(asker, pause) => {
                self.queue.push(self.time + pause, Event::AskAgain(asker));
            }
            Step::Ended(operation, end) => {
                let pause = client.pause(&self.plan.clients);
                if end == End::Unknown {
                    self.counts.unknown += 1;
                    *self.unknown.entry(operation.key.clone()).or_default() += 1;
                }
                if end == End::Answered {
                    self.counts.answered += 1;
                    self.generator.observe(&operation, &self.history.last_value());
                } else if operation.is_urgent {
                    self.urgent.push_front(*operation.clone());
                }
                self.tell_end(number, &operation, end);
                self.queue.push(self.time + pause, Event::Begin { client: number });
            }
        }
    }

    fn tell_end(&mut self, client: u64, operation: &Operation, end: End) {
        let Self { trace, history, time, .. } = self;
        trace.tell(*time, || {
            let Operation { f, key, value, .. } = operation;
            let end = match end {
                End::Answered => format!("came to {}", history.last_value()),
                End::Failed => "did not happen".to_owned(),
                End::Unknown => "may have happened".to_owned(),
            };
            format!("c{client} {f} {key} {value} {end}")
        });
    }

    /// Tells the clients that a node is gone for good.
    pub(super) fn forget_node(&mut self, gone: NodeId) {
        self.refresh_members();
        for client in &mut self.clients {
            client.forget(gone, &self.members);
        }
    }
}
