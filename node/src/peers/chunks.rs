//! The task that sends a peer pieces of a snapshot, on a connection of their own: dialled when there
//! is a piece to send, closed when there was none for a while.
//!
//! The bytes are read here, so that the driver waits for no disk. A piece that cannot be read or sent
//! is dropped; the core has it sent again.

use std::fs::File;

use proto::raft::RaftMessage;
use proto::raft::raft_client::RaftClient;
use raft::{LogIndex, Message};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tracing::{debug, info};

use super::{BACKOFF, Chunk, IDLE_MAX, Link};
use crate::storage::{SnapshotFile, Snapshots, StorageError};

/// How many pieces are handed to the transport beyond what it has taken: each is asked for by the
/// answer to the one before.
const STREAM_MAX: usize = 1;

/// Reads pieces of the newest snapshot. The file stays open from piece to piece, so a transfer can go
/// on even when a newer snapshot has taken its place on the disk.
#[derive(Debug)]
struct Reader {
    snapshots: Snapshots,
    open: Option<(LogIndex, SnapshotFile<File>)>,
}

impl Link {
    /// Sends what comes out of the queue until the token is cancelled.
    pub(crate) async fn send_chunks(
        self,
        mut queue: mpsc::Receiver<Chunk>,
        snapshots: Snapshots,
        stop: CancellationToken,
    ) {
        let mut reader = Reader { snapshots, open: None };
        stop.run_until_cancelled(self.serve(&mut queue, &mut reader)).await;
        // A closed queue means that the driver is gone; it is for the driver to say why.
        stop.cancelled().await;
    }

    async fn serve(&self, queue: &mut mpsc::Receiver<Chunk>, reader: &mut Reader) {
        while let Some(first) = queue.recv().await {
            match self.connect().await {
                Ok(client) => self.deliver_chunks(client, first, queue, reader).await,
                Err(error) => {
                    debug!(peer = self.to.0, error = %crate::describe(&error), "not reachable");
                }
            }
            reader.open = None;
            sleep(BACKOFF.1).await;
            // These are stale: the core asks again for what it misses.
            while queue.try_recv().is_ok() {}
        }
    }

    /// Feeds one stream until it breaks or there was nothing to send for a while.
    async fn deliver_chunks(
        &self,
        mut client: RaftClient<Channel>,
        first: Chunk,
        queue: &mut mpsc::Receiver<Chunk>,
        reader: &mut Reader,
    ) {
        let index = first.message.snapshot.index;
        let (stream, messages) = mpsc::channel(STREAM_MAX);
        let mut call = std::pin::pin!(client.deliver(ReceiverStream::new(messages)));
        let feed = async {
            let mut next = Some(first);
            while let Some(chunk) = next {
                if let Some(message) = self.fill(chunk, reader).await
                    && stream.send(message).await.is_err()
                {
                    return;
                }
                next = timeout(IDLE_MAX, queue.recv()).await.ok().flatten();
            }
        };
        info!(peer = self.to.0, index = index.0, "sending a snapshot");
        tokio::select! {
            () = feed => info!(peer = self.to.0, "connection for a snapshot closed"),
            ended = &mut call => {
                let status = ended.err().unwrap_or_else(|| Status::ok("the peer ended the stream"));
                info!(peer = self.to.0, error = %status.message(), "connection for a snapshot lost");
            }
        }
    }

    /// Reads the bytes of a piece; none if there are none.
    async fn fill(&self, chunk: Chunk, reader: &mut Reader) -> Option<RaftMessage> {
        let Chunk { mut message, bytes_max } = chunk;
        let index = message.snapshot.index;
        match reader.read(index, message.offset, bytes_max).await {
            Ok((data, is_last)) => {
                (message.data, message.is_last) = (data.into(), is_last);
                Some(self.envelope(Message::InstallSnapshot(message)))
            }
            Err(error) => {
                let error = crate::describe(&error);
                info!(peer = self.to.0, index = index.0, error, "piece of a snapshot not read");
                None
            }
        }
    }
}

impl Reader {
    async fn read(
        &mut self,
        index: LogIndex,
        offset: u64,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, bool), StorageError> {
        let open = self.open.take().filter(|(of, _)| *of == index);
        let snapshots = self.snapshots.clone();
        let read = spawn_blocking(move || {
            let file = match open {
                Some((_, file)) => file,
                None => snapshots.open(index)?,
            };
            let read = file.read_at(offset, bytes_max)?;
            Ok::<_, StorageError>((file, read))
        });
        let (file, read) = read.await.expect("whatever goes wrong with reading is an error")?;
        self.open = Some((index, file));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::raft::raft_message::Message as Body;
    use proto::raft::raft_server::{Raft, RaftServer};
    use proto::raft::{DeliverResponse, InstallSnapshot};
    use raft::{Membership, NodeId, Round, Snapshot, Term};
    use tokio::net::TcpListener;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;
    use tonic::{Request, Response, Streaming};

    use super::super::{Outbox, queues};
    use super::*;
    use crate::config::PeerAddress;
    use crate::storage::{Folder, Storage, Wal};

    /// Far longer than anything here takes, even on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// A peer that hands on what it is sent.
    struct Peer(mpsc::Sender<RaftMessage>);

    #[tonic::async_trait]
    impl Raft for Peer {
        async fn deliver(
            &self,
            request: Request<Streaming<RaftMessage>>,
        ) -> Result<Response<DeliverResponse>, Status> {
            let mut stream = request.into_inner();
            while let Some(message) = stream.message().await? {
                self.0.send(message).await.map_err(|_| Status::unavailable("stopping"))?;
            }
            Ok(Response::new(DeliverResponse {}))
        }
    }

    fn snapshot(index: u64) -> Snapshot {
        let membership = Membership::of([NodeId(1), NodeId(2)]);
        Snapshot { index: LogIndex(index), term: Term(1), membership }
    }

    async fn send(outbox: &Outbox, index: u64, offset: u64) {
        let message = raft::InstallSnapshot {
            term: Term(1),
            round: Round(1),
            snapshot: snapshot(index),
            offset,
            data: [].into(),
            is_last: false,
        };
        outbox.chunks.send(Chunk { message, bytes_max: 4 }).await.unwrap();
    }

    async fn arrived(messages: &mut mpsc::Receiver<RaftMessage>) -> InstallSnapshot {
        let message = timeout(DEADLINE, messages.recv()).await.expect("nothing came").unwrap();
        match message.message {
            Some(Body::InstallSnapshot(chunk)) => chunk,
            other => panic!("no piece of a snapshot: {other:?}"),
        }
    }

    #[tokio::test]
    async fn pieces_are_read_from_the_disk_and_what_is_not_there_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let folder_of_wal = Folder(folder.path().to_owned());
        let (wal, _) = Wal::open(folder_of_wal, crate::storage::Options::default()).unwrap();
        let storage = Storage::start(wal).unwrap();
        let snapshots = storage.snapshots.clone();
        let saving = spawn_blocking(move || snapshots.save(&snapshot(7), b"abcdefghij"));
        saving.await.unwrap().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to_messages, mut messages) = mpsc::channel(8);
        let peer = Server::builder().add_service(RaftServer::new(Peer(to_messages)));
        let peer = tokio::spawn(peer.serve_with_incoming(TcpIncoming::from(listener)));
        let (from, to) = (NodeId(1), NodeId(2));
        let address = PeerAddress::parse(&address).unwrap();
        let link = Link { cluster: "storm".to_owned(), from, to, address };
        let (outbox, queues) = queues();
        let stop = CancellationToken::new();
        let sending =
            tokio::spawn(link.send_chunks(queues.chunks, storage.snapshots, stop.clone()));

        // A snapshot that is not there comes to nothing, and holds nothing up.
        send(&outbox, 9, 0).await;
        for (offset, data, is_last) in [(0, "abcd", false), (4, "efgh", false), (8, "ij", true)] {
            send(&outbox, 7, offset).await;
            let chunk = arrived(&mut messages).await;
            let expected = (offset, data.as_bytes(), is_last);
            assert_eq!((chunk.offset, chunk.data.as_ref(), chunk.is_last), expected);
        }
        stop.cancel();
        sending.await.unwrap();
        peer.abort();
    }
}
