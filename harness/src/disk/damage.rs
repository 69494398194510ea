//! Damage to the files of a node that is down, as a bad disk or a careless operator does it.
//!
//! What is expected of a system is that it notices: it refuses to start, or it repairs what it can and
//! gets the rest from the others. It must never serve what it does not have. Only files are touched
//! that the system says it must notice the damage of; and of these not the last bytes, since no log
//! can tell the loss of what was written last from a write that never ended.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use super::Disk;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// One bit in the second eighth of what was written is another.
    BitFlip,
    /// The second half of what was written, or a part of it, is gone.
    TruncatedTail,
}

impl Damage {
    /// How many bytes a file must hold to have a middle that can be damaged. A flipped bit in what was
    /// written last cannot be told from a write that never ended; so that must not be most of the file.
    const fn used_min(self) -> usize {
        match self {
            Self::BitFlip => 4096,
            Self::TruncatedTail => 512,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BitFlip => "bit flip",
            Self::TruncatedTail => "truncated tail",
        })
    }
}

/// Where a node's files are.
#[derive(Clone, Copy, Debug)]
pub enum Files<'a> {
    /// In a folder of the machine.
    Folder(&'a Path),
    /// On a disk of our own.
    Disk(&'a Disk),
}

/// A damaged file, and how to undo that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// Which file, from the folder of all of them.
    pub path: PathBuf,
    /// What was done to it.
    pub damage: Damage,
    /// Where in it.
    pub offset: usize,
    original: Vec<u8>,
}

impl fmt::Display for DamagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of {}", self.damage, self.offset, self.path.display())
    }
}

impl Files<'_> {
    /// Returns every file with what is in it, in the order of their paths.
    fn read(self) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = match self {
            Self::Disk(disk) => disk.files(),
            Self::Folder(folder) => read_folder(folder)?,
        };
        files.sort();
        Ok(files)
    }

    fn write(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Disk(disk) => disk.replace(path, bytes),
            Self::Folder(folder) => std::fs::write(folder.join(path), bytes),
        }
    }

    /// Tells whether there is a vital file that holds enough to be damaged.
    pub fn can_be_damaged(
        self,
        damage: Damage,
        is_vital: impl Fn(&Path) -> bool,
    ) -> io::Result<bool> {
        let files = self.read()?;
        Ok(files.iter().any(|(path, bytes)| is_vital(path) && used(bytes) >= damage.used_min()))
    }

    /// Damages one of the files that are vital. Returns none if there is none that holds enough.
    pub fn damage(
        self,
        damage: Damage,
        is_vital: impl Fn(&Path) -> bool,
        generator: &mut impl Rng,
    ) -> io::Result<Option<DamagedFile>> {
        let mut files = self.read()?;
        files.retain(|(path, bytes)| is_vital(path) && used(bytes) >= damage.used_min());
        let Some((path, original)) = files.choose(generator).cloned() else {
            return Ok(None);
        };
        let used = used(&original);
        let mut bytes = original.clone();
        let offset = match damage {
            Damage::BitFlip => {
                let offset = generator.random_range(used / 8..used / 4);
                bytes[offset] ^= 1 << generator.random_range(0..8);
                offset
            }
            Damage::TruncatedTail => {
                let offset = generator.random_range(used / 2..used);
                bytes.truncate(offset);
                offset
            }
        };
        self.write(&path, &bytes)?;
        Ok(Some(DamagedFile { path, damage, offset, original }))
    }

    /// Puts a damaged file back as it was.
    pub fn restore(self, file: &DamagedFile) -> io::Result<()> {
        self.write(&file.path, &file.original)
    }
}

/// Returns how many bytes of a file are in use: many a log fills its files with zeros first.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Reads all files of a folder, but for what its node removes meanwhile.
fn read_folder(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(within) = folders.pop() {
        let Some(entries) = unless_gone(std::fs::read_dir(folder.join(&within)))? else { continue };
        for entry in entries {
            let entry = entry?;
            let path = within.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Some(bytes) = unless_gone(std::fs::read(entry.path()))? {
                files.push((path, bytes));
            }
        }
    }
    Ok(files)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn is_log(path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending == "wal")
    }

    #[test]
    fn one_vital_file_is_damaged_in_its_middle_and_can_be_restored() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::create_dir(&log).unwrap();
        let mut image = vec![7; 8000];
        image.resize(10_000, 0);
        std::fs::write(log.join("1.wal"), &image).unwrap();
        std::fs::write(log.join("2.wal"), [7; 20]).unwrap();
        std::fs::write(folder.path().join("notes"), [7; 2000]).unwrap();
        let files = Files::Folder(folder.path());
        let before = files.read().unwrap();
        for seed in 0..32 {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            let file = files.damage(Damage::BitFlip, is_log, &mut generator).unwrap().unwrap();
            assert_eq!(file.path, Path::new("log/1.wal"));
            assert!((1000..2000).contains(&file.offset));
            let after = std::fs::read(log.join("1.wal")).unwrap();
            let changed: Vec<_> = (0..image.len()).filter(|&at| after[at] != image[at]).collect();
            assert_eq!(changed, [file.offset]);
            assert_eq!((after[file.offset] ^ image[file.offset]).count_ones(), 1);
            files.restore(&file).unwrap();

            let file = files.damage(Damage::TruncatedTail, is_log, &mut generator).unwrap();
            let file = file.unwrap();
            let after = std::fs::read(log.join("1.wal")).unwrap();
            assert!((4000..8000).contains(&after.len()) && after == image[..after.len()]);
            files.restore(&file).unwrap();
            assert_eq!(files.read().unwrap(), before);
        }
        let none = files.damage(Damage::BitFlip, |_| false, &mut ChaCha8Rng::seed_from_u64(0));
        assert_eq!(none.unwrap(), None);
    }

    #[test]
    fn what_is_short_loses_its_tail_but_no_bit_which_may_be_of_the_last_write() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::Folder(folder.path());
        for (length, damages) in [
            (511, &[][..]),
            (512, &[Damage::TruncatedTail]),
            (4095, &[Damage::TruncatedTail]),
            (4096, &[Damage::TruncatedTail, Damage::BitFlip]),
        ] {
            std::fs::write(folder.path().join("1.wal"), vec![7; length]).unwrap();
            for damage in [Damage::TruncatedTail, Damage::BitFlip] {
                let can = files.can_be_damaged(damage, is_log).unwrap();
                assert_eq!(can, damages.contains(&damage), "{damage} of {length}");
                assert!(!files.can_be_damaged(damage, |_| false).unwrap());
                let file = files.damage(damage, is_log, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
                assert_eq!(file.is_some(), can, "{damage} of {length}");
                file.into_iter().for_each(|file| files.restore(&file).unwrap());
            }
        }
    }
}
