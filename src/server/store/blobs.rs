//! The content-addressed blob directory.
//!
//! A blob is named by the MD5 of its content, `<2 hex digits>/<30 hex digits>`, since that is the one
//! digest every upload states. Names are made from [`Digest`] values only, so nothing a client writes
//! can leave the directory. A blob appears in one step: written to `tmp/`, synced, renamed, and its
//! directory synced, before any row refers to it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::server::digest::{Algorithm, Digest, Hasher};

/// The MD5 in a database column.
///
/// # Errors
/// A column that does not hold sixteen bytes is damage.
pub(crate) fn md5_column(bytes: &[u8]) -> io::Result<Digest> {
    let bytes = bytes
        .try_into()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a digest is not 16 bytes"))?;
    Ok(Digest {
        algorithm: Algorithm::Md5,
        bytes,
    })
}

/// The directory of blobs.
#[derive(Debug)]
pub(crate) struct BlobDir {
    root: PathBuf,
}

/// A blob that was just received, durable under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Its name in the directory.
    pub(crate) md5: Digest,
    /// The other digest a manifest may name it by.
    pub(crate) xxh128: Digest,
    /// Bytes.
    pub(crate) size: u64,
}

impl BlobDir {
    /// Opens or makes the directory; what an earlier crash left in `tmp/` is removed.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let tmp = root.join("tmp");
        if tmp.exists() {
            fs::remove_dir_all(&tmp)?;
        }
        fs::create_dir_all(&tmp)?;
        for first in 0..=u8::MAX {
            let fan = root.join(format!("{first:02x}"));
            if !fan.exists() {
                fs::create_dir(&fan)?;
            }
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// A new temporary file that hashes what is written to it. Dropping it unwritten removes it.
    pub(crate) fn create_temp(&self) -> io::Result<BlobWriter> {
        Ok(BlobWriter {
            file: NamedTempFile::new_in(self.root.join("tmp"))?,
            digests: Digests::new(),
            size: 0,
        })
    }

    /// Gives the written bytes their name: sync, rename, sync of the directory.
    /// A blob that is there already is left alone.
    pub(crate) fn commit(&self, temp: BlobWriter) -> io::Result<Received> {
        let received = temp.received();
        let file = temp.file;
        let target = self.path(received.md5);
        if !target.exists() {
            file.as_file().sync_data()?;
            file.persist(&target).map_err(|refused| refused.error)?;
            if let Some(parent) = target.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(received)
    }

    /// Stores `bytes` and leaves syncing to [`BlobDir::sync`]: for seeds, which write thousands at once.
    pub(crate) fn put_unsynced(&self, bytes: &[u8]) -> io::Result<Received> {
        let mut digests = Digests::new();
        digests.update(bytes);
        let received = digests.finish(bytes.len() as u64);
        let target = self.path(received.md5);
        if !target.exists() {
            let temp = self.root.join("tmp").join(received.md5.hex());
            fs::write(&temp, bytes)?;
            fs::rename(&temp, &target)?;
        }
        Ok(received)
    }

    /// Makes everything written so far durable, the whole file system's worth.
    pub(crate) fn sync(&self) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.root)?)?;
        Ok(())
    }

    /// Opens a blob for reading.
    pub(crate) fn open_blob(&self, md5: Digest) -> io::Result<File> {
        File::open(self.path(md5))
    }

    /// The directory of the blobs whose digest begins so.
    pub(crate) fn fan(&self, first: u8) -> PathBuf {
        self.root.join(format!("{first:02x}"))
    }

    /// Where a blob is, or would be.
    pub(crate) fn path(&self, md5: Digest) -> PathBuf {
        let name = md5.hex();
        self.root.join(&name[..2]).join(&name[2..])
    }
}

/// Both digests of a stream of bytes.
struct Digests {
    md5: Hasher,
    xxh128: Hasher,
}

impl Digests {
    fn new() -> Self {
        Self {
            md5: Hasher::new(Algorithm::Md5),
            xxh128: Hasher::new(Algorithm::Xxh128),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.xxh128.update(bytes);
    }

    fn finish(&self, size: u64) -> Received {
        Received {
            md5: self.md5.clone().finish(),
            xxh128: self.xxh128.clone().finish(),
            size,
        }
    }
}

/// A blob being written.
pub(crate) struct BlobWriter {
    file: NamedTempFile,
    digests: Digests,
    size: u64,
}

impl BlobWriter {
    /// Digests and size of what was written so far.
    pub(crate) fn received(&self) -> Received {
        self.digests.finish(self.size)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digests.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn digests_are_those_of_the_protocol_vectors() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobDir::open(dir.path()).unwrap();
        let mut temp = blobs.create_temp().unwrap();
        temp.write_all(b"hello").unwrap();
        let received = blobs.commit(temp).unwrap();
        assert_eq!(received.md5.base64(), "XUFAKrxLKna5cZ2REBfFkg==");
        assert_eq!(received.xxh128.base64(), "tenBrQcbPn/Hec+qXlI4GA==");
        assert_eq!(blobs.put_unsynced(b"hello").unwrap(), received);
        assert_eq!(fs::read(blobs.path(received.md5)).unwrap(), b"hello");
    }

    #[test]
    fn a_blob_that_was_never_committed_leaves_nothing_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobDir::open(dir.path()).unwrap();
        let mut temp = blobs.create_temp().unwrap();
        temp.write_all(b"half").unwrap();
        // A killed process runs no destructor.
        std::mem::forget(temp);
        BlobDir::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
        assert!(!blobs.path(Digest::of(Algorithm::Md5, b"half")).exists());
    }
}
