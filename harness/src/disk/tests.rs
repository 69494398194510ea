//! What a disk does to those who sync.

use std::ffi::OsStr;
use std::thread;

use super::*;

/// Generous: only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A disk with a file that has something to sync.
fn written() -> (Arc<Disk>, Inode) {
    let disk = Disk::new("/nowhere".into());
    let mut shared = disk.lock();
    let file = shared.volume.create(Inode::ROOT, OsStr::new("log"), false, 0o644).unwrap();
    shared.volume.write(file, 0, b"entry").unwrap();
    drop(shared);
    (Arc::new(disk), file)
}

fn durable(disk: &Disk) -> Vec<u8> {
    disk.lose_power(None);
    disk.files().into_iter().flat_map(|(_, bytes)| bytes).collect()
}

#[test]
fn a_sound_disk_keeps_what_is_synced() {
    let (disk, file) = written();
    assert!(disk.is_prompt());
    disk.sync(file).unwrap();
    assert_eq!(durable(&disk), b"entry");
    let (disk, _) = written();
    assert_eq!(durable(&disk), b"");
}

#[test]
fn more_than_there_is_room_for_is_told_from_a_full_disk() {
    let (disk, file) = written();
    let write = |offset| disk.lock().fill(|volume| volume.write(file, offset, b"more"));
    disk.set(Ailment { is_full: true, ..Ailment::default() });
    assert_eq!(write(0), Err(Errno::ENOSPC));
    assert!(!disk.is_overfull());
    disk.set(Ailment::default());
    assert_eq!(write(0), Ok(()));
    assert_eq!(write(volume::ROOM as u64), Err(Errno::ENOSPC));
    assert!(disk.is_overfull());
    assert_eq!((disk.refusals(), disk.felt().refused), (1, 1));
}

#[test]
fn a_failure_comes_once_or_always() {
    let (disk, file) = written();
    let failing = |sync_failure| Ailment { sync_failure, ..Ailment::default() };
    disk.set(failing(SyncFailure::Once));
    assert_eq!(disk.sync(file), Err(Errno::EIO));
    // Another fault that begins or ends does not arm it again.
    disk.set(Ailment { is_full: true, ..failing(SyncFailure::Once) });
    assert_eq!(disk.sync(file), Ok(()));
    disk.set(failing(SyncFailure::Always));
    assert_eq!(disk.sync(file), Err(Errno::EIO));
    assert_eq!(disk.sync(file), Err(Errno::EIO));
    assert_eq!(disk.refusals(), 3);
    disk.set(Ailment::default());
    assert_eq!(disk.sync(file), Ok(()));
    disk.set(failing(SyncFailure::Once));
    assert_eq!(disk.sync(file), Err(Errno::EIO));
    let full = Ailment { is_full: true, ..Ailment::default() };
    let felt = disk.felt();
    assert_eq!((felt.of(failing(SyncFailure::Always)), felt.of(full)), (4, 0));
    // The names were synced by it; the content was lost when the first sync failed.
    assert_eq!(durable(&disk), b"");
}

#[test]
fn a_full_disk_has_no_room() {
    let (disk, _) = written();
    disk.set(Ailment { is_full: true, ..Ailment::default() });
    assert_eq!(disk.lock().claim_room(), Err(Errno::ENOSPC));
    disk.set(Ailment::default());
    assert_eq!(disk.lock().claim_room(), Ok(()));
    assert_eq!(disk.refusals(), 1);
    disk.begin();
    assert_eq!(disk.refusals(), 0);
}

#[test]
fn a_slow_sync_takes_its_time_or_until_the_disk_is_well() {
    let (disk, file) = written();
    let slow = |span| Ailment { sync_delay: span, ..Ailment::default() };
    let span = Duration::from_millis(30);
    disk.set(slow(span));
    assert!(!disk.is_prompt());
    let began = Instant::now();
    disk.sync(file).unwrap();
    assert!(began.elapsed() >= span);

    disk.set(slow(Duration::from_secs(3600)));
    let syncing = thread::spawn({
        let disk = disk.clone();
        move || disk.sync(file)
    });
    disk.set(Ailment::default());
    assert_eq!(syncing.join().unwrap(), Ok(()));
}

#[tokio::test]
async fn what_is_held_when_a_node_ends_never_happened() {
    let (disk, file) = written();
    // Nobody syncs.
    assert!(!disk.clone().hold_syncs(Duration::ZERO).await);
    let syncing = thread::spawn({
        let disk = disk.clone();
        move || disk.sync(file)
    });
    assert!(disk.clone().hold_syncs(PATIENCE).await);
    disk.end();
    assert_eq!(syncing.join().unwrap(), Err(Errno::EIO));
    assert_eq!(durable(&disk), b"");

    let (disk, file) = written();
    disk.clone().hold_syncs(Duration::ZERO).await;
    let syncing = thread::spawn({
        let disk = disk.clone();
        move || disk.sync(file)
    });
    assert!(disk.clone().hold_syncs(PATIENCE).await);
    disk.release();
    assert_eq!(syncing.join().unwrap(), Ok(()));
    // Of what was held once nothing is left.
    assert!(!disk.clone().hold_syncs(Duration::ZERO).await);
    disk.release();
    assert_eq!(disk.sync(file), Ok(()));
}

#[tokio::test]
async fn who_has_nothing_to_make_durable_is_not_waited_for() {
    let (disk, file) = written();
    disk.sync(file).unwrap();
    disk.clone().hold_syncs(Duration::ZERO).await;
    let syncing = thread::spawn({
        let disk = disk.clone();
        move || disk.sync(file)
    });
    assert!(!disk.clone().hold_syncs(Duration::from_millis(100)).await);
    disk.release();
    assert_eq!(syncing.join().unwrap(), Ok(()));
}

#[test]
fn conditions_add_up() {
    let full = Ailment { is_full: true, ..Ailment::default() };
    let sync_delay = Duration::from_secs(1);
    let slow = Ailment { sync_delay, sync_failure: SyncFailure::Once, is_full: false };
    let both = Ailment { is_full: true, ..slow };
    assert_eq!((full.and(slow), slow.and(full)), (both, both));
    let failing = Ailment { sync_failure: SyncFailure::Always, ..Ailment::default() };
    assert_eq!(slow.and(failing).sync_failure, SyncFailure::Always);
    assert!(full.is_hopeless() && slow.is_hopeless() && !Ailment::default().is_hopeless());
}
