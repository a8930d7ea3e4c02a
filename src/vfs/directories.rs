//! Open directories.
//!
//! A reply ends at the end of a page: the first entries are handed out when the first page is here,
//! while the second may still be on its way. Nothing is rebuilt from one call to the next.

use std::ffi::OsStr;

use tokio::sync::Mutex;

use super::attributes::Attr;
use super::cursor::{Cursor, DOTS};
use super::errno::{Errno, Operation};
use super::process::Caller;
use super::{Vfs, lifetimes};
use crate::tree::{Identity, Kind, Node};

/// An open directory.
pub(super) struct Directory {
    ino: u64,
    node: Node,
    cursor: Mutex<Cursor>,
}

/// One entry of a listing.
#[derive(Debug, Clone, Copy)]
pub struct DirEntry<'a> {
    /// Inode number.
    pub ino: u64,
    /// Offset at which the entry after this one is found.
    pub next_offset: u64,
    /// Kind.
    pub kind: Kind,
    /// File name.
    pub name: &'a OsStr,
}

/// The answer to an opendir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenDirectory {
    /// Number to read and release by.
    pub handle: u64,
    /// Whether the listing can never change, so that the kernel may keep it.
    pub immutable: bool,
}

impl Vfs {
    /// Opens a directory; asks for nothing yet.
    ///
    /// # Errors
    /// `ENOTDIR`, else by the table.
    pub async fn opendir(&self, ino: u64) -> Result<OpenDirectory, Errno> {
        let directory = self.open_directory(ino).await?;
        let immutable = matches!(directory.node.identity(), Identity::Content { .. });
        self.inodes.lock().opened(ino);
        let handle = self.directories.insert(directory);
        Ok(OpenDirectory { handle, immutable })
    }

    /// A directory at its beginning, not in any table yet.
    pub(super) async fn open_directory(&self, ino: u64) -> Result<Directory, Errno> {
        let node = self.node(Operation::Opendir, ino).await?;
        if node.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let listing = self
            .tree
            .list(&node)
            .map_err(|why| self.fail(Operation::Opendir, &node, None, &why))?;
        Ok(Directory {
            ino,
            node,
            cursor: Mutex::new(Cursor::new(listing)),
        })
    }

    /// Entries from `offset` on, given to `add` until that says it is full or a page ends. Raises
    /// no lookup count.
    ///
    /// # Errors
    /// By the table; whatever was given to `add` before is void then.
    pub async fn readdir(
        &self,
        handle: u64,
        offset: u64,
        caller: Caller,
        add: impl FnMut(DirEntry<'_>) -> bool + Send,
    ) -> Result<(), Errno> {
        let directory = self.directories.get(handle)?;
        self.note_reader(&directory, offset, caller);
        self.list(&directory, offset, add).await
    }

    /// Entries of an open directory.
    pub(super) async fn list(
        &self,
        directory: &Directory,
        offset: u64,
        mut add: impl FnMut(DirEntry<'_>) -> bool + Send,
    ) -> Result<(), Errno> {
        let mut cursor = directory.cursor.lock().await;
        let Some((page, position)) = self.page(directory, &mut cursor, offset).await? else {
            self.dots(directory, offset, &mut add);
            return Ok(());
        };
        if self.dots(directory, offset, &mut add) {
            return Ok(());
        }
        let first = offset.max(DOTS);
        for (next_offset, child) in (first + 1..).zip(&page[position..]) {
            let entry = DirEntry {
                ino: self.inodes.lock().number(&child.node.identity()),
                next_offset,
                kind: child.node.kind(),
                name: &child.name,
            };
            if add(entry) {
                break;
            }
        }
        Ok(())
    }

    /// The same with attributes, which come with the listing and cost no request of their own.
    /// Raises the lookup count of every entry that `add` took, except of `.` and `..`.
    ///
    /// # Errors
    /// By the table. An entry whose attributes cannot be had is given with placeholders that the
    /// kernel does not keep, because one bad entry must not hide the others.
    pub async fn readdirplus(
        &self,
        handle: u64,
        offset: u64,
        caller: Caller,
        add: impl FnMut(DirEntry<'_>, &Attr) -> bool + Send,
    ) -> Result<(), Errno> {
        let directory = self.directories.get(handle)?;
        self.note_reader(&directory, offset, caller);
        self.list_plus(&directory, offset, add).await
    }

    /// Entries of an open directory, with attributes.
    pub(super) async fn list_plus(
        &self,
        directory: &Directory,
        offset: u64,
        mut add: impl FnMut(DirEntry<'_>, &Attr) -> bool + Send,
    ) -> Result<(), Errno> {
        let mut cursor = directory.cursor.lock().await;
        let page = self.page(directory, &mut cursor, offset).await?;
        let full = self.dots(directory, offset, &mut |entry| {
            let attr = Attr::placeholder(entry.ino, Kind::Directory, &self.options);
            add(entry, &attr)
        });
        let Some((page, position)) = page.filter(|_| !full) else {
            return Ok(());
        };
        let first = offset.max(DOTS);
        for (next_offset, child) in (first + 1..).zip(&page[position..]) {
            let node = &child.node;
            let attributes = self.tree.attributes(node).await;
            // The count rises before the reply goes out: a forget may come at once after it.
            let ino = self.remember(node);
            let attr = match attributes {
                Ok((attributes, kept)) => {
                    Attr::new(ino, &attributes, lifetimes::of_present(kept), &self.options)
                }
                Err(why) => {
                    self.fail(Operation::Readdir, node, None, &why);
                    Attr::placeholder(ino, node.kind(), &self.options)
                }
            };
            let entry = DirEntry {
                ino,
                next_offset,
                kind: node.kind(),
                name: &child.name,
            };
            if add(entry, &attr) {
                self.forget(ino, 1);
                break;
            }
        }
        Ok(())
    }

    /// Closes a directory.
    ///
    /// # Errors
    /// `EBADF` for an unknown handle.
    pub fn releasedir(&self, handle: u64) -> Result<(), Errno> {
        let directory = self.directories.remove(handle)?;
        self.inodes.lock().closed(directory.ino);
        Ok(())
    }

    /// Keeps who reads a directory, at the first reply of a walk.
    fn note_reader(&self, directory: &Directory, offset: u64, caller: Caller) {
        if offset == 0 && matches!(directory.node.identity(), Identity::Named(_)) {
            self.note_listing(caller, directory.ino);
        }
    }

    /// The page for an offset, after putting the cursor in its place.
    async fn page(
        &self,
        directory: &Directory,
        cursor: &mut Cursor,
        offset: u64,
    ) -> Result<Option<Page>, Errno> {
        let number = offset.saturating_sub(DOTS);
        let fail = |why| self.fail(Operation::Readdir, &directory.node, None, &why);
        if cursor.is_behind(number) || (offset == 0 && cursor.has_begun()) {
            *cursor = Cursor::new(self.tree.list(&directory.node).map_err(fail)?);
        }
        cursor.page_of(number).await.map_err(fail)
    }

    /// Gives `.` and `..` where the offset asks for them; whether `add` is full.
    fn dots(
        &self,
        directory: &Directory,
        offset: u64,
        add: &mut impl FnMut(DirEntry<'_>) -> bool,
    ) -> bool {
        let parent = directory.node.parent().identity();
        let numbers = [directory.ino, self.inodes.lock().number(&parent)];
        let dots = (1..).zip(numbers).zip([".", ".."]);
        for ((next_offset, ino), name) in dots.skip(usize::try_from(offset).unwrap_or(2)) {
            let entry = DirEntry {
                ino,
                next_offset,
                kind: Kind::Directory,
                name: OsStr::new(name),
            };
            if add(entry) {
                return true;
            }
        }
        false
    }
}

type Page = (std::sync::Arc<[crate::tree::Child]>, usize);
