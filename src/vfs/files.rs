//! Open files.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;

use super::Vfs;
use super::errno::{Errno, Operation};
use super::writing::{Intent, Writer};
use crate::model::{ErrorKind, OpenBlob};
use crate::tree::{Kind, Node, Opened};

/// An open regular file.
pub(super) struct File {
    pub(super) ino: u64,
    pub(super) node: Node,
    pub(super) source: Source,
}

/// Where its bytes come from.
pub(super) enum Source {
    /// Bytes that stay as they were at the open.
    Opened(Opened),
    /// Bytes that are being written.
    Draft(Writer),
}

impl File {
    /// Its content, where it is one.
    pub(super) fn blob(&self) -> Option<&Arc<dyn OpenBlob>> {
        match &self.source {
            Source::Opened(Opened::Blob { blob, .. }) => Some(blob),
            Source::Opened(Opened::Snapshot { .. }) | Source::Draft(_) => None,
        }
    }
}

/// What the kernel may do with the pages of an open file.
#[derive(Debug, Clone)]
pub enum Caching {
    /// Verified and immutable: keep pages across opens. The file on disk may be read directly.
    Keep {
        /// The verified bytes.
        file: Arc<fs::File>,
    },
    /// Keep pages until the next open: bytes that may change between opens, or that are not
    /// verified yet and must not outlive a mismatch.
    UntilNextOpen,
    /// Keep nothing: the size that `stat` gave may be wrong.
    Never,
}

/// The answer to an open.
#[derive(Debug, Clone)]
pub struct OpenFile {
    /// Number to read and release by.
    pub handle: u64,
    /// What may be cached.
    pub caching: Caching,
    /// Whether its closes must be told, because they save.
    pub writing: bool,
}

impl Vfs {
    /// Opens a file. Costs no request for content: its first read does.
    ///
    /// # Errors
    /// `EROFS` for writing to what can never be written, else by the table.
    pub async fn open(&self, ino: u64, intent: Intent) -> Result<OpenFile, Errno> {
        let node = self.node(Operation::Open, ino).await?;
        let is_file = node.kind() == Kind::File;
        if is_file && let Some(draft) = self.open_draft(ino, &node, intent).await? {
            return Ok(draft);
        }
        let (file, caching) = self.open_node(ino, node).await?;
        self.inodes.lock().opened(ino);
        let handle = self.files.insert(file);
        Ok(OpenFile {
            handle,
            caching,
            writing: false,
        })
    }

    /// A file, not in any table yet.
    pub(super) async fn open_file(&self, ino: u64) -> Result<(File, Caching), Errno> {
        let node = self.node(Operation::Open, ino).await?;
        self.open_node(ino, node).await
    }

    async fn open_node(&self, ino: u64, node: Node) -> Result<(File, Caching), Errno> {
        match node.kind() {
            Kind::File => {}
            Kind::Directory => return Err(Errno::EISDIR),
            Kind::Symlink => return Err(Errno::EINVAL),
        }
        let opened = self
            .tree
            .open(&node)
            .await
            .map_err(|why| self.fail(Operation::Open, &node, None, &why))?;
        let caching = caching_of(&opened);
        let source = Source::Opened(opened);
        Ok((File { ino, node, source }, caching))
    }

    /// Bytes `offset .. offset + size`, shorter only at the end of the file. A slice of what is in
    /// memory, or whatever the store hands up: nothing is copied here.
    ///
    /// # Errors
    /// `EBADF` for an unknown handle, else by the table. Bytes that failed their digest also leave
    /// the page cache.
    pub async fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Bytes, Errno> {
        let file = self.files.get(handle)?;
        self.read_file(&file, offset, size).await
    }

    /// Bytes of an open file.
    pub(super) async fn read_file(
        &self,
        file: &File,
        offset: u64,
        size: u32,
    ) -> Result<Bytes, Errno> {
        match &file.source {
            Source::Draft(writer) => Ok(Self::read_draft(writer, offset, size)),
            Source::Opened(Opened::Snapshot { bytes, .. }) => {
                let start = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                let end = start.saturating_add(size as usize).min(bytes.len());
                Ok(bytes.slice(start..end))
            }
            Source::Opened(Opened::Blob { blob, .. }) => {
                blob.read_at(offset, size).await.map_err(|why| {
                    if why.kind() == ErrorKind::Corrupt
                        && let Some(kernel) = self.kernel.get()
                    {
                        kernel.drop_pages(file.ino);
                    }
                    self.fail(Operation::Read, &file.node, None, &why)
                })
            }
        }
    }
}

fn caching_of(opened: &Opened) -> Caching {
    match opened {
        Opened::Snapshot { volatile: true, .. }
        | Opened::Blob {
            size_unknown: true, ..
        } => Caching::Never,
        Opened::Snapshot { .. } => Caching::UntilNextOpen,
        Opened::Blob { blob, .. } => match blob.file() {
            Some(file) => Caching::Keep { file },
            None => Caching::UntilNextOpen,
        },
    }
}
