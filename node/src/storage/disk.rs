//! The seam between the log and a disk, narrow enough for a simulated disk to take its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// One folder of files. Names and contents become durable separately, as on a real disk. Clones are
/// of the same folder.
pub(crate) trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Lists the names in the folder, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file, or empties the one of that name.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading and writing.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;
    /// Gives a file another name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes every create, rename and remove so far durable.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A file on a [`Disk`].
pub(crate) trait DiskFile: Send + Sync + 'static {
    /// Returns how many bytes are in it.
    fn length(&self) -> io::Result<u64>;
    /// Returns so many bytes from an offset on; it is an error if there are fewer.
    fn read_at(&self, offset: u64, count: usize) -> io::Result<Vec<u8>>;
    /// Writes at an offset; durable only after [`DiskFile::sync`].
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()>;
    /// Makes every write so far durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Disk for Folder {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in fs::read_dir(&self.0)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(item?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.0.join(name))
    }

    fn open(&mut self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.0.join(name))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset as u64)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Covers the file's length too whenever that changed.
        self.sync_data()
    }
}
