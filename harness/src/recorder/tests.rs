//! What the file holds, while it is written and afterwards.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

fn new() -> (TempDir, PathBuf, Recorder, Recording) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let (recorder, recording) = Recorder::create(&path).unwrap();
    (folder, path, recorder, recording)
}

fn read(path: &Path) -> Vec<Event> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn write_of(value: u64) -> Invocation {
    Invocation::new("write", "k0", json!(value))
}

fn done(value: u64) -> Outcome {
    Outcome::Ok { value: json!(value), position: Some(value) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_order_of_lines_is_the_order_of_times() {
    const CLIENTS: u64 = 8;
    const EACH: u64 = 500;
    let (_folder, path, recorder, recording) = new();
    let mut clients = tokio::task::JoinSet::new();
    for process in 0..CLIENTS {
        let recorder = recorder.clone();
        clients.spawn(async move {
            for value in 0..EACH {
                let before = recorder.elapsed();
                let open = recorder.invoke(process, &write_of(value)).await.unwrap();
                tokio::task::yield_now().await;
                open.complete(&done(value));
                assert!(before < recorder.elapsed());
            }
        });
    }
    recorder.remark("partition", json!({"edge": "begin"})).await.unwrap();
    clients.join_all().await;
    assert_eq!(recording.finish().await.unwrap(), 2 * CLIENTS * EACH + 1);
    let events = read(&path);
    assert_eq!(events.len() as u64, 2 * CLIENTS * EACH + 1);
    let mut open = BTreeMap::new();
    for (line, pair) in events.windows(2).enumerate() {
        assert!(pair[0].time <= pair[1].time, "line {line}");
    }
    for (index, event) in events.into_iter().enumerate() {
        assert_eq!(event.index, Some(index as u64));
        match event.event_type {
            EventType::Invoke => assert!(open.insert(event.process, event.value).is_none()),
            EventType::Ok => assert_eq!(open.remove(&event.process), Some(event.value)),
            EventType::Fail | EventType::Info => assert_eq!(event.process, Process::NEMESIS),
        }
    }
    assert!(open.is_empty());
}

/// What a harness leaves that is killed: nothing is flushed, closed or ended.
#[tokio::test]
async fn what_happened_is_in_the_file_without_an_end() {
    let (_folder, path, recorder, _recording) = new();
    let open = recorder.invoke(3, &write_of(5)).await.unwrap();
    wait_for_lines(&path, 1).await;
    open.complete(&done(5));
    wait_for_lines(&path, 2).await;
    let events = read(&path);
    assert_eq!(events[0].event_type, EventType::Invoke);
    assert_eq!(events[1].position, Some(5));
}

async fn wait_for_lines(path: &Path, lines: usize) {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap();
        if text.ends_with('\n') && text.lines().count() == lines {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "only this was written: {text:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_abandoned_invocation_ends_unknown_and_the_end_waits_for_it() {
    let (_folder, path, recorder, recording) = new();
    let open = recorder.invoke(3, &write_of(5)).await.unwrap();
    let finish = tokio::spawn(recording.finish());
    // The end has been asked for; new events are refused, the open one has its place.
    let start = Instant::now();
    while recorder.remark("late", Value::Null).await.is_ok() {
        assert!(start.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    }
    assert!(!finish.is_finished());
    drop(open);
    let count = finish.await.unwrap().unwrap();
    let events = read(&path);
    assert_eq!(events.len() as u64, count);
    let last = events.last().unwrap();
    assert_eq!((last.event_type, last.process), (EventType::Info, Process::Client(3)));
    assert!(matches!(recorder.invoke(1, &write_of(1)).await, Err(RecordError::Ended)));
}

#[tokio::test]
async fn a_full_disk_is_said() {
    // `/dev/full` takes no byte. It exists, so the recorder's own way to make a file is not used.
    let file = File::options().write(true).open("/dev/full").unwrap();
    let (recorder, recording) = Recorder::begin("/dev/full".as_ref(), file).unwrap();
    let open = recorder.invoke(3, &write_of(5)).await.unwrap();
    let error = tokio::time::timeout(DEADLINE, recorder.failed()).await.unwrap();
    assert!(matches!(error, RecordError::Write { .. }), "{error}");
    open.complete(&done(5));
    // The reason is there first, so every refusal tells it.
    let start = Instant::now();
    let refusal = loop {
        match recorder.invoke(3, &write_of(6)).await {
            Ok(late) => late.complete(&done(6)),
            Err(refusal) => break refusal,
        }
        assert!(start.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    };
    assert!(matches!(refusal, RecordError::Write { .. }), "{refusal}");
    assert!(matches!(recording.finish().await, Err(RecordError::Write { .. })));
}

#[tokio::test]
async fn a_writer_that_crashes_is_said() {
    // A thread that crashes drops both its ends of the channels and says nothing.
    let (queue, entries) = mpsc::channel(2);
    let (publish, end) = watch::channel(None);
    let clock = Arc::new(Clock { start: Instant::now(), order: Mutex::new(()) });
    let recorder = Recorder { queue: queue.clone(), clock, end: end.clone() };
    let recording = Recording { queue, end };
    let crash = async { drop((entries, publish)) };
    let failed = tokio::time::timeout(DEADLINE, recorder.failed());
    let (error, ()) = tokio::join!(failed, crash);
    assert!(matches!(error, Ok(RecordError::Crashed)), "{error:?}");
    assert!(matches!(recorder.invoke(3, &write_of(5)).await, Err(RecordError::Crashed)));
    assert!(matches!(recording.finish().await, Err(RecordError::Crashed)));
}

#[tokio::test]
async fn a_recording_that_ends_well_never_fails() {
    let (_folder, _path, recorder, recording) = new();
    recorder.remark("note", Value::Null).await.unwrap();
    assert_eq!(recording.finish().await.unwrap(), 1);
    let failed = std::pin::pin!(recorder.failed());
    assert!(poll_once(failed).is_pending());
}

/// Polls a future once; what it would wait for has happened already if it ever does.
fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> std::task::Poll<T> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn an_old_history_is_not_written_over() {
    let (_folder, path, ..) = new();
    assert!(matches!(Recorder::create(&path), Err(RecordError::Create { .. })));
}
