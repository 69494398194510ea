//! What is seen, and what is left when the power is lost.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn make(volume: &mut Volume, file: &str) -> Inode {
    volume.create(Inode::ROOT, name(file), false, 0o644).unwrap()
}

fn lose_all(volume: &mut Volume) -> Loss {
    volume.lose_power(Remains::<ChaCha8Rng>::Nothing)
}

fn files(volume: &Volume) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let files = volume.files().into_iter();
    files.map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect()
}

fn check(volume: &Volume, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
    assert_eq!(files(volume), expected);
}

#[test]
fn only_what_was_synced_outlasts_a_power_loss() {
    let mut volume = Volume::new();
    let file = make(&mut volume, "log");
    volume.write(file, 0, b"first").unwrap();
    volume.sync(file).unwrap();
    volume.write(file, 5, b" second").unwrap();
    volume.write(file, 0, b"FIRST").unwrap();
    assert!(volume.is_at_risk(file));
    check(&volume, &[("log", "FIRST second")]);
    assert_eq!(lose_all(&mut volume), Loss { files: 1, writes: 2, names: false });
    check(&volume, &[("log", "first")]);
    assert!(!volume.is_at_risk(file));
    assert_eq!(lose_all(&mut volume), Loss::default());
}

#[test]
fn lengths_go_back_with_the_content() {
    let mut volume = Volume::new();
    let file = make(&mut volume, "log");
    volume.write(file, 0, b"0123456789").unwrap();
    volume.sync(file).unwrap();
    volume.resize(file, 4).unwrap();
    volume.resize(file, 6).unwrap();
    volume.write(file, 8, b"!").unwrap();
    check(&volume, &[("log", "0123\0\0\0\0!")]);
    lose_all(&mut volume);
    check(&volume, &[("log", "0123456789")]);
}

#[test]
fn names_are_lost_until_anything_is_synced() {
    let mut volume = Volume::new();
    let old = make(&mut volume, "old");
    volume.write(old, 0, b"old").unwrap();
    volume.sync(old).unwrap();
    let new = make(&mut volume, "new");
    volume.rename((Inode::ROOT, name("new")), (Inode::ROOT, name("old"))).unwrap();
    check(&volume, &[("old", "")]);
    assert!(lose_all(&mut volume).names);
    check(&volume, &[("old", "old")]);
    assert_eq!(volume.attributes(new), Err(Errno::ENOENT));

    let folder = volume.create(Inode::ROOT, name("folder"), true, 0o755).unwrap();
    let within = volume.create(folder, name("file"), false, 0o644).unwrap();
    volume.write(within, 0, b"never synced").unwrap();
    volume.remove(Inode::ROOT, name("old"), false).unwrap();
    // Whatever is synced, the names so far are (V2), and nobody else's content.
    volume.sync(folder).unwrap();
    lose_all(&mut volume);
    check(&volume, &[("folder/file", "")]);
}

/// What the loss of power leaves of a file in which `last` was being written over `before`, at `offset`.
fn torn(before: &[u8], offset: u64, last: &[u8]) -> BTreeSet<Vec<u8>> {
    let tear = |seed| {
        let mut volume = Volume::new();
        let file = make(&mut volume, "log");
        volume.write(file, 0, b"old").unwrap();
        volume.sync(file).unwrap();
        volume.write(file, 0, before).unwrap();
        volume.write(file, offset, last).unwrap();
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let loss = volume.lose_power(Remains::TornWrites(&mut generator));
        assert_eq!(loss, Loss { files: 1, writes: 1, names: false });
        let left = volume.read(file, 0, 4096).unwrap().to_vec();
        // What is left is durable.
        assert_eq!(lose_all(&mut volume), Loss::default());
        left
    };
    (0..64).map(tear).collect()
}

#[test]
fn a_torn_write_leaves_the_first_sectors_of_the_last_one() {
    // From the middle of one sector to the middle of the third: it may end at either boundary between.
    let (before, last) = ([b'.'; 1500], [b'x'; 1000]);
    let left = |kept: usize| [&before[..300], &last[..kept], &before[300 + kept..]].concat();
    let expected = BTreeSet::from([left(0), left(512 - 300), left(1024 - 300)]);
    assert_eq!(torn(&before, 300, &last), expected);
    // What lay behind the end of the file ends where the disk was torn from it.
    let left = |kept: usize| [&before[..300], &last[..kept]].concat();
    let expected = BTreeSet::from([left(0), left(512 - 300), left(1024 - 300)]);
    assert_eq!(torn(&before[..300], 300, &last), expected);
}

#[test]
fn a_sector_is_written_whole_or_not_at_all() {
    assert_eq!(torn(b"1234", 4, b"56"), BTreeSet::from([b"1234".to_vec()]));
    let (before, last) = ([b'.'; 512], [b'x'; 512]);
    assert_eq!(torn(&before, 512, &last), BTreeSet::from([before.to_vec()]));
}

#[test]
fn what_a_failed_sync_covered_is_never_durable() {
    let mut volume = Volume::new();
    let file = make(&mut volume, "log");
    volume.write(file, 0, b"1").unwrap();
    volume.sync(file).unwrap();
    volume.write(file, 1, b"2").unwrap();
    volume.fail_sync(file);
    volume.write(file, 2, b"3").unwrap();
    volume.sync(file).unwrap();
    check(&volume, &[("log", "1\x003")]);
}

#[test]
fn names_wait_for_a_sync_that_succeeds() {
    let mut volume = Volume::new();
    let file = make(&mut volume, "log");
    volume.fail_sync(Inode::ROOT);
    assert!(volume.is_at_risk(Inode::ROOT));
    volume.sync(Inode::ROOT).unwrap();
    lose_all(&mut volume);
    assert!(volume.attributes(file).is_ok());
}

#[test]
fn all_files_share_the_room() {
    let mut volume = Volume::new();
    let [small, large] = ["small", "large"].map(|name| make(&mut volume, name));
    volume.write(small, 0, b"0123456789").unwrap();
    let room = ROOM as u64;
    assert_eq!(volume.resize(large, room - 9), Err(Errno::ENOSPC));
    assert_eq!(volume.write(large, room - 10, b"!"), Err(Errno::ENOSPC));
    assert_eq!(volume.write(large, u64::MAX, b"!"), Err(Errno::ENOSPC));
    // What makes nothing longer takes no room.
    volume.write(small, 9, b"!").unwrap();
    volume.resize(small, 3).unwrap();
    check(&volume, &[("large", ""), ("small", "012")]);
}

#[test]
fn an_open_file_stays_without_a_name() {
    let mut volume = Volume::new();
    let file = make(&mut volume, "log");
    volume.open(file).unwrap();
    volume.remove(Inode::ROOT, name("log"), false).unwrap();
    volume.sync(Inode::ROOT).unwrap();
    volume.write(file, 0, b"still").unwrap();
    assert_eq!(volume.read(file, 1, 3).unwrap(), b"til");
    assert_eq!(volume.read(file, 9, 3).unwrap(), b"");
    volume.close(file);
    assert_eq!(volume.read(file, 0, 1), Err(Errno::ENOENT));
}

#[test]
fn mistakes_are_refused_as_the_kernel_expects() {
    let mut volume = Volume::new();
    let root = Inode::ROOT;
    let file = make(&mut volume, "file");
    let folder = volume.create(root, name("folder"), true, 0o755).unwrap();
    volume.create(folder, name("within"), false, 0o644).unwrap();
    assert_eq!(volume.create(root, name("file"), true, 0o755), Err(Errno::EEXIST));
    assert_eq!(volume.create(file, name("x"), false, 0o644), Err(Errno::ENOTDIR));
    assert_eq!(volume.look_up(root, name("none")), Err(Errno::ENOENT));
    assert_eq!(volume.remove(root, name("none"), false), Err(Errno::ENOENT));
    assert_eq!(volume.remove(root, name("folder"), false), Err(Errno::EISDIR));
    assert_eq!(volume.remove(root, name("file"), true), Err(Errno::ENOTDIR));
    assert_eq!(volume.remove(root, name("folder"), true), Err(Errno::ENOTEMPTY));
    assert_eq!(volume.write(folder, 0, b"x"), Err(Errno::EISDIR));
    let onto = volume.rename((root, name("file")), (root, name("folder")));
    assert_eq!(onto, Err(Errno::EISDIR));
    assert_eq!(volume.rename((root, name("file")), (root, name("file"))), Ok(()));
    assert_eq!(volume.replace(Path::new("folder/within"), b"new"), Ok(()));
    assert_eq!(lose_all(&mut volume).files, 0);
}
