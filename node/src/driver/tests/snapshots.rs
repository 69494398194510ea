//! Snapshots as they pass through the driver: taken, sent, received, restored.

use raft::{Membership, Round};

use super::*;

fn snapshot(index: u64) -> Snapshot {
    let membership = Membership::of([NodeId(1), NodeId(2)]);
    Snapshot { index: LogIndex(index), term: Term(1), membership }
}

/// The state after so many puts, as bytes.
fn state(puts: u64) -> Vec<u8> {
    let mut stage = Stage::new();
    for index in 1..=puts {
        stage.apply(put_entry(1, index));
    }
    stage.driver.applied.state.save()
}

/// Has the core ask for a snapshot at a tick.
fn take(stage: &mut Stage, index: u64) {
    let take = Output::TakeSnapshot { snapshot: snapshot(index) };
    stage.expect(TICK, vec![take]).handle(TOCK);
}

fn saved(index: u64, is_saved: bool) -> Event {
    Event::Saved { index: LogIndex(index), is_saved }
}

/// What the core says when the last piece of a snapshot has arrived.
fn install(index: u64, pieces: &[&[u8]]) -> Vec<Output> {
    let mut outputs = vec![];
    let mut offset = 0;
    for piece in pieces {
        outputs.push(Output::StoreChunk { offset, data: (*piece).into() });
        offset += piece.len() as u64;
    }
    let snapshot = snapshot(index);
    let write = Write { snapshot: Some(snapshot.clone()), ..write(1) };
    outputs.extend([Output::Persist(write), Output::Restore { snapshot }]);
    outputs
}

#[test]
fn the_state_is_saved_as_it_is_when_the_core_asks() {
    let mut stage = Stage::new();
    stage.apply(put_entry(1, 1));
    take(&mut stage, 1);
    assert_eq!(stage.effects, [Effect::Save { snapshot: snapshot(1), data: state(1) }]);

    let index = LogIndex(1);
    stage.expect(Input::SnapshotTaken { index }, vec![]).handle(saved(1, true));
    stage.apply(put_entry(1, 2));
    take(&mut stage, 2);
    let index = LogIndex(2);
    stage.expect(Input::SnapshotFailed { index }, vec![]).handle(saved(2, false));
}

#[test]
fn while_a_snapshot_is_saved_no_other_is_begun() {
    let mut stage = Stage::new();
    stage.apply(put_entry(1, 1));
    take(&mut stage, 1);
    let index = LogIndex(1);
    let take = Output::TakeSnapshot { snapshot: snapshot(1) };
    stage.expect(TICK, vec![take]).expect(Input::SnapshotFailed { index }, vec![]).handle(TOCK);
    assert_eq!(stage.effects.len(), 1);
    stage.expect(Input::SnapshotTaken { index }, vec![]).handle(saved(1, true));
}

#[test]
#[should_panic = "a snapshot is of the state as it is now"]
fn a_snapshot_of_another_state_is_refused() {
    let mut stage = Stage::new();
    stage.apply(put_entry(1, 1));
    take(&mut stage, 2);
}

#[test]
fn a_piece_to_send_goes_to_whoever_reads_the_disk() {
    let mut stage = Stage::new();
    let chunk = raft::InstallSnapshot {
        term: Term(1),
        round: Round(1),
        snapshot: snapshot(1),
        offset: 5,
        data: [].into(),
        is_last: false,
    };
    let (to, bytes_max) = (NodeId(2), 9);
    let send = Output::SendChunk { to, chunk: chunk.clone(), bytes_max };
    stage.expect(TICK, vec![send]).handle(TOCK);
    assert_eq!(stage.effects, [Effect::SendChunk { to, chunk, bytes_max }]);
}

#[test]
fn what_was_gathered_is_written_and_takes_the_place_of_the_state() {
    let data = state(3);
    let (head, tail) = data.split_at(5);
    let mut stage = Stage::new();
    stage.apply(put_entry(1, 1));
    // A transfer that broke off and began anew.
    let stale = Output::StoreChunk { offset: 0, data: (*b"stale").into() };
    stage.expect(TICK, vec![stale]).handle(TOCK);
    stage.expect(TICK, install(3, &[head, tail])).handle(TOCK);
    let written = Write { snapshot: Some(snapshot(3)), ..write(1) };
    let expected = Effect::Persist { write: written, data: Some(data.clone().into()) };
    assert_eq!(stage.effects, [expected]);
    assert_eq!(stage.driver.applied.upto, LogIndex(3));
    assert_eq!(stage.driver.applied.state.save(), data);
    stage.apply(put_entry(1, 4));
}

#[test]
fn a_snapshot_does_not_tell_what_became_of_a_proposal() {
    let mut stage = Stage::new();
    let mut covered = stage.propose(1, 1, 3);
    let mut later = stage.propose(2, 1, 4);
    stage.expect(TICK, install(3, &[&state(3)])).handle(TOCK);
    assert_eq!(covered.try_recv(), Ok(Err(Failure::Unknown)));
    assert_eq!(later.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_snapshot_that_makes_no_sense_stops_the_node_and_is_not_written() {
    let mut damaged = state(3);
    damaged[7] ^= 1;
    let mut stage = Stage::new();
    stage.expect(TICK, install(3, &[&damaged]));
    let error = stage.driver.handle(TOCK, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, DriverError::Unrestorable { index: LogIndex(3), .. }), "{error}");
}

#[test]
#[should_panic = "pieces of a snapshot come in order"]
fn a_gap_in_a_snapshot_is_a_doubt() {
    let mut stage = Stage::new();
    let gap = Output::StoreChunk { offset: 1, data: [1].into() };
    stage.expect(TICK, vec![gap]).handle(TOCK);
}
