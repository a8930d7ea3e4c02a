//! Files that are being written: metadata files, and files in memory beside them.
//!
//! The text lives in one draft of the tree per file, shared by everybody who has it open. Save
//! points are flush (each close of a descriptor), fsync, and a release of what was written since.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::attributes::Attr;
use super::errno::{Errno, Operation};
use super::files::{Caching, File, OpenFile, Source};
use super::{Vfs, lifetimes};
use crate::model::{Error, ErrorKind};
use crate::tree::{Adjust, Draft, Identity, Kind, Node, Refused};

/// How long a close waits until the kernel has dropped what its save made wrong, so that the next
/// command sees it. The kernel does that in microseconds unless somebody holds the lock of a
/// directory; the caller of a close holds none.
const SETTLING: Duration = Duration::from_secs(1);

/// What an open wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Write access.
    pub write: bool,
    /// Empties the file.
    pub truncate: bool,
    /// Each write goes to the end.
    pub append: bool,
}

impl Intent {
    /// Only reading.
    pub const READ: Self = Self {
        write: false,
        truncate: false,
        append: false,
    };

    fn changes(self) -> bool {
        self.write || self.truncate
    }
}

/// One open of a file with a draft.
pub(super) struct Writer {
    pub(super) draft: Arc<Draft>,
    write: bool,
    /// Whether this open wrote after its last save point.
    unsaved: AtomicBool,
}

/// A released file with text that no save point has seen.
pub struct Unsaved(Arc<File>);

/// A new file that is open.
#[derive(Debug, Clone)]
pub struct Created {
    /// Attributes; the kernel's lookup count was raised.
    pub attr: Attr,
    /// The open file.
    pub open: OpenFile,
}

/// Attributes to set; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewAttributes {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Bytes.
    pub size: Option<u64>,
    /// Time of the last change.
    pub mtime: Option<SystemTime>,
}

impl Vfs {
    /// Opens a file that has a draft: one for writing, or a file in memory. `None` for every other
    /// file that is only read.
    pub(super) async fn open_draft(
        &self,
        ino: u64,
        node: &Node,
        intent: Intent,
    ) -> Result<Option<OpenFile>, Errno> {
        if !intent.changes() && !node.is_memory() {
            return Ok(None);
        }
        if matches!(node.identity(), Identity::Content { .. }) || self.options.read_only {
            return Err(Errno::EROFS);
        }
        if intent.append && !node.is_memory() {
            let message = "appending would leave no JSON document; write the whole file anew";
            let error = Error::new(ErrorKind::Invalid, node.path(), message);
            return Err(self.refused(Operation::Open, node, None, &error.into()));
        }
        let draft = self
            .tree
            .edit(node, intent.truncate)
            .await
            .map_err(|why| self.refused(Operation::Open, node, None, &why))?;
        Ok(Some(self.opened_draft(ino, node.clone(), draft, intent)))
    }

    fn opened_draft(&self, ino: u64, node: Node, draft: Arc<Draft>, intent: Intent) -> OpenFile {
        let writer = Writer {
            draft,
            write: intent.changes(),
            unsaved: AtomicBool::new(false),
        };
        self.inodes.lock().opened(ino);
        let source = Source::Draft(writer);
        let handle = self.files.insert(File { ino, node, source });
        OpenFile {
            handle,
            caching: Caching::Never,
            writing: intent.changes(),
        }
    }

    /// Makes a file and opens it for writing. Of a metadata file that was taken away for a moment,
    /// as editors do, it is that file again.
    ///
    /// # Errors
    /// `EEXIST`, `EROFS`, else by the table.
    pub async fn create(&self, parent: u64, name: &OsStr, mode: u16) -> Result<Created, Errno> {
        let directory = self.changeable(Operation::Create, parent).await?;
        let fail = |why: Refused| self.refused(Operation::Create, &directory, Some(name), &why);
        let node = self
            .tree
            .create(&directory, name, mode)
            .await
            .map_err(fail)?;
        let draft = self.tree.edit(&node, true).await.map_err(fail)?;
        let attributes = self.tree.attributes(&node).await;
        let (attributes, _) = attributes.map_err(|why| fail(why.into()))?;
        let ino = self.remember(&node);
        let intent = Intent {
            write: true,
            truncate: true,
            append: false,
        };
        let attr = Attr::new(ino, &attributes, Duration::ZERO, &self.options);
        let open = self.opened_draft(ino, node, draft, intent);
        Ok(Created { attr, open })
    }

    /// Writes bytes; asks nobody and never waits.
    ///
    /// # Errors
    /// `EBADF` for a handle that is not open for writing, `ENOSPC` beyond the bound of a draft.
    pub fn write(&self, handle: u64, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let file = self.files.get(handle)?;
        let writer = writer_of(&file)?;
        writer
            .draft
            .write_at(offset, data)
            .map_err(|why| self.refused(Operation::Write, &file.node, None, &why))?;
        writer.unsaved.store(true, Relaxed);
        Ok(())
    }

    /// A save point: close of one descriptor, or fsync. Files that are only read have none.
    ///
    /// # Errors
    /// Why the text was not saved, by the table; it stays in the open file.
    pub async fn save(&self, handle: u64, fsync: bool) -> Result<(), Errno> {
        let file = self.files.get(handle)?;
        let operation = if fsync {
            Operation::Fsync
        } else {
            Operation::Flush
        };
        match writer_of(&file) {
            Ok(writer) => self.save_draft(operation, &file, writer).await,
            Err(_) => Ok(()),
        }
    }

    async fn save_draft(
        &self,
        operation: Operation,
        file: &File,
        writer: &Writer,
    ) -> Result<(), Errno> {
        let saving = self.saving();
        writer.unsaved.store(false, Relaxed);
        let saved = self.tree.save(&writer.draft).await;
        drop(saving);
        let changes = saved.map_err(|why| self.refused(operation, &file.node, None, &why))?;
        self.announce(&changes);
        if let Some(kernel) = self.kernel.get()
            && !changes.is_empty()
        {
            let _in_time = tokio::time::timeout(SETTLING, kernel.settled()).await;
        }
        Ok(())
    }

    /// Closes a file for good; waits for nothing, so that whoever opens it next finds it closed.
    /// Gives what was written after the last save point (through a mapping), to be given to
    /// [`Vfs::save_released`].
    ///
    /// # Errors
    /// `EBADF` for an unknown handle.
    pub fn release(&self, handle: u64) -> Result<Option<Unsaved>, Errno> {
        let file = self.files.remove(handle)?;
        self.inodes.lock().closed(file.ino);
        match &file.source {
            Source::Draft(writer) if writer.unsaved.load(Relaxed) => Ok(Some(Unsaved(file))),
            Source::Draft(writer) => {
                self.close_draft(writer);
                Ok(None)
            }
            Source::Opened(_) => Ok(None),
        }
    }

    /// Saves and closes what was still unsaved at its release. A failure is recorded; nobody is
    /// left to be told.
    pub async fn save_released(&self, Unsaved(file): Unsaved) {
        if let Source::Draft(writer) = &file.source {
            let _recorded = self.save_draft(Operation::Release, &file, writer).await;
            self.close_draft(writer);
        }
    }

    fn close_draft(&self, writer: &Writer) {
        let changes = self.tree.close(&writer.draft);
        self.announce(&changes);
    }

    /// Sets attributes: the size of a file that can be written; modes, owners and times only where
    /// tools that copy or edit insist on them.
    ///
    /// # Errors
    /// `EROFS` for content and directories, else by the table.
    pub async fn setattr(
        &self,
        ino: u64,
        handle: Option<u64>,
        new: NewAttributes,
    ) -> Result<Attr, Errno> {
        let node = self.changeable(Operation::Setattr, ino).await?;
        let fail = |why: Refused| self.refused(Operation::Setattr, &node, None, &why);
        if let Some(size) = new.size {
            match handle.and_then(|handle| self.files.get(handle).ok()) {
                Some(file) => {
                    let writer = writer_of(&file)?;
                    writer.draft.set_len(size).map_err(fail)?;
                    writer.unsaved.store(true, Relaxed);
                }
                None => self.set_size_unopened(&node, size).await.map_err(fail)?,
            }
        }
        // Times of a link are set by `cp -a` and `rsync -a`; an alias has none of its own.
        if new.size.is_none() && node.kind() != Kind::Symlink {
            let adjust = Adjust {
                mode: new.mode,
                mtime: new.mtime,
            };
            self.tree.adjust(&node, adjust).map_err(fail)?;
        }
        self.getattr(ino).await
    }

    async fn set_size_unopened(&self, node: &Node, size: u64) -> Result<(), Refused> {
        let draft = self.tree.edit(node, size == 0).await?;
        let saved = match draft.set_len(size) {
            Ok(()) => self.tree.save(&draft).await,
            Err(why) => Err(why),
        };
        self.announce(&self.tree.close(&draft));
        self.announce(&saved?);
        Ok(())
    }

    /// Bytes of a draft.
    pub(super) fn read_draft(writer: &Writer, offset: u64, size: u32) -> Bytes {
        writer.draft.read_at(offset, size)
    }

    /// The node of a change: `EROFS` for content and on a read-only mount.
    pub(super) async fn changeable(&self, operation: Operation, ino: u64) -> Result<Node, Errno> {
        if self.options.read_only {
            return Err(Errno::EROFS);
        }
        let node = self.node(operation, ino).await?;
        match node.identity() {
            Identity::Content { .. } => Err(Errno::EROFS),
            Identity::Named(_) => Ok(node),
        }
    }

    /// Lifetime of a name: none for files that can be written, because renames and saves change
    /// what they are at once, and the kernel would follow a moved name to the old file.
    pub(super) fn name_ttl(&self, attr: &Attr, freshness: crate::tree::Freshness) -> Duration {
        if attr.is_writable_file() {
            Duration::ZERO
        } else {
            lifetimes::of_present(freshness)
        }
    }
}

fn writer_of(file: &File) -> Result<&Writer, Errno> {
    match &file.source {
        Source::Draft(writer) if writer.write => Ok(writer),
        _ => Err(Errno::EBADF),
    }
}
