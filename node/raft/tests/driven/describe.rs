//! How the scripts show what nodes do and say.

pub(crate) use raft::describe::membership;
use raft::describe::{Words, role};
use raft::{Entry, Message, NodeId, Output, Replica};

/// The commands of the scripts are words.
const WORDS: Words = Words { command: |command| String::from_utf8_lossy(command).into_owned() };

/// Describes an output in a line; an application of entries in one line each.
pub(crate) fn output(id: NodeId, output: &Output) -> Vec<String> {
    match output {
        Output::Apply { entries } => {
            entries.iter().map(|entry| format!("{id} applies {}", WORDS.entry(entry))).collect()
        }
        // Told when it is sent, with its data.
        Output::SendChunk { .. } => vec![],
        output => vec![WORDS.output(id, output)],
    }
}

/// Describes a message without its sender and recipient.
pub(crate) fn message(message: &Message) -> String {
    WORDS.message(message)
}

/// Describes entries as `index@term:command`.
pub(crate) fn entries(entries: &[Entry]) -> String {
    WORDS.entries(entries)
}

/// Describes an entry as `index@term:command`.
pub(crate) fn entry(entry: &Entry) -> String {
    WORDS.entry(entry)
}

/// Describes the state of a node in a line.
pub(crate) fn status(id: NodeId, replica: Option<&Replica>) -> String {
    let Some(replica) = replica else {
        return format!("{id} down");
    };
    let held = replica
        .snapshot()
        .map_or(String::new(), |it| format!(" snapshot={}@{}", it.index, it.term));
    let known = |node: Option<NodeId>| node.map_or("-".into(), |node| node.to_string());
    format!(
        "{id} {} term={} vote={} leader={} last={} commit={} applied={}{held}",
        role(replica.role()),
        replica.term(),
        known(replica.vote()),
        known(replica.leader()),
        replica.last_log_index(),
        replica.commit_index(),
        replica.last_applied(),
    )
}
