//! Verbs on names: mkdir, rmdir, symlink, unlink, rename. What each means to the server is the
//! tree's; here is who may, which errno, and what the kernel must look up anew.
//!
//! Each gives the changes that the kernel has to hear of. They are announced after the reply
//! ([`Vfs::announce`]): the caller holds the locks of the directories until then.

use std::ffi::OsStr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracing::info;

use super::attributes::{Attr, Entry};
use super::errno::{Errno, Operation, errno_of_refusal};
use super::process::{Caller, Process};
use super::{Vfs, lifetimes};
use crate::model::{Error, ErrorKind};
use crate::telemetry::ErrorRecord;
use crate::tree::{Changes, Kind, Node, Reason, Refused};

/// Counts a save while it runs.
pub(super) struct Saving<'a>(&'a Vfs);

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        self.0.pending_saves.fetch_sub(1, Relaxed);
    }
}

impl Vfs {
    /// Makes a directory.
    ///
    /// # Errors
    /// By the table; nothing has changed then.
    pub async fn mkdir(&self, parent: u64, name: &OsStr) -> Result<(Entry, Changes), Errno> {
        let directory = self.changeable(Operation::Mkdir, parent).await?;
        let fail = |why| self.refused(Operation::Mkdir, &directory, Some(name), &why);
        let saving = self.saving();
        let (node, changes) = self.tree.mkdir(&directory, name).await.map_err(fail)?;
        drop(saving);
        let entry = self.entry_of(&node).await.map_err(|why| fail(why.into()))?;
        Ok((entry, changes))
    }

    /// Makes a symbolic link: an alias, a link into a portfolio, or one in memory.
    ///
    /// # Errors
    /// By the table; nothing has changed then.
    pub async fn symlink(
        &self,
        parent: u64,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<(Entry, Changes), Errno> {
        let directory = self.changeable(Operation::Symlink, parent).await?;
        let fail = |why| self.refused(Operation::Symlink, &directory, Some(name), &why);
        let saving = self.saving();
        let made = self.tree.symlink(&directory, name, target).await;
        drop(saving);
        let (node, changes) = made.map_err(fail)?;
        let entry = self.entry_of(&node).await.map_err(|why| fail(why.into()))?;
        Ok((entry, changes))
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// `EPERM` for an alias in a directory that the caller has listed itself, else by the table.
    pub async fn unlink(
        &self,
        parent: u64,
        name: &OsStr,
        caller: Caller,
    ) -> Result<Changes, Errno> {
        let directory = self.changeable(Operation::Unlink, parent).await?;
        let child = self.child(&directory, name).await;
        let in_memory = child.as_ref().is_some_and(Node::is_memory);
        if !in_memory && let Some(listed) = self.has_listed(caller, parent) {
            let message = format!(
                "{listed}, and recursive tools delete nothing on the server; remove it by its name \
                 (rm NAME), or mount with --allow-recursive-delete"
            );
            let error = Error::new(ErrorKind::NotPermitted, directory.path(), message);
            return Err(self.refused(Operation::Unlink, &directory, Some(name), &error.into()));
        }
        let saving = self.saving();
        let removed = self.tree.unlink(&directory, name).await;
        drop(saving);
        removed.map_err(|why| {
            self.refused_of(Operation::Unlink, (&directory, name), child.as_ref(), &why)
        })
    }

    /// Removes a directory with everything in it: a collection, a version, a link of a portfolio.
    ///
    /// # Errors
    /// `ENOTEMPTY` if the caller has listed it itself, else by the table.
    pub async fn rmdir(&self, parent: u64, name: &OsStr, caller: Caller) -> Result<Changes, Errno> {
        let directory = self.changeable(Operation::Rmdir, parent).await?;
        let child = self.child(&directory, name).await;
        let ino = child
            .as_ref()
            .map(|child| self.inodes.lock().number(&child.identity()));
        if let Some(listed) = ino.and_then(|ino| self.has_listed(caller, ino)) {
            let message = format!(
                "{listed}, and recursive tools delete nothing on the server; remove it by its name \
                 (rmdir NAME, which deletes it with everything in it), or mount with \
                 --allow-recursive-delete"
            );
            let why = Refused {
                reason: Reason::NotEmpty,
                error: Error::new(ErrorKind::NotPermitted, directory.path(), message),
            };
            let place = (&directory, name);
            return Err(self.refused_of(Operation::Rmdir, place, child.as_ref(), &why));
        }
        let saving = self.saving();
        let removed = self.tree.rmdir(&directory, name).await;
        drop(saving);
        removed.map_err(|why| {
            self.refused_of(Operation::Rmdir, (&directory, name), child.as_ref(), &why)
        })
    }

    /// Gives a node another name or place.
    ///
    /// # Errors
    /// By the table; nothing has changed then, unless the reason says what has.
    pub async fn rename(
        &self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        no_replace: bool,
    ) -> Result<Changes, Errno> {
        let directory = self.changeable(Operation::Rename, from.0).await?;
        let to_directory = self.changeable(Operation::Rename, to.0).await?;
        let saving = self.saving();
        let renamed = self
            .tree
            .rename(&directory, from.1, &to_directory, to.1, no_replace)
            .await;
        drop(saving);
        match renamed {
            Ok(changes) => Ok(changes),
            Err(why) => {
                let replaced = self.child(&to_directory, to.1).await;
                let place = (&to_directory, to.1);
                Err(self.refused_of(Operation::Rename, place, replaced.as_ref(), &why))
            }
        }
    }

    /// Has the kernel drop what changed. Must not be called before the reply of an operation on
    /// names; hands over and returns.
    pub fn announce(&self, changes: &Changes) {
        let Some(kernel) = self.kernel.get() else {
            return;
        };
        let known = |node: &Node| {
            let inodes = self.inodes.lock();
            let ino = inodes.number(&node.identity());
            inodes.known(ino).is_some().then_some(ino)
        };
        for what in &changes.everywhere {
            let found = self.inodes.lock().find_all(|node| {
                let of_it = what.of(node);
                (!of_it.is_empty()).then_some(of_it)
            });
            found.iter().for_each(|changes| self.announce(changes));
        }
        for (directory, name) in &changes.names {
            if let Some(ino) = known(directory) {
                kernel.drop_entry(ino, name);
            }
        }
        for node in &changes.nodes {
            if let Some(ino) = known(node) {
                kernel.drop_pages(ino);
            }
        }
    }

    /// Changes on their way to the server.
    pub fn pending_saves(&self) -> usize {
        self.pending_saves.load(Relaxed)
    }

    pub(super) fn saving(&self) -> Saving<'_> {
        self.pending_saves.fetch_add(1, Relaxed);
        Saving(self)
    }

    /// Keeps that the caller reads a directory.
    pub(super) fn note_listing(&self, caller: Caller, ino: u64) {
        if !(self.options.allow_recursive_delete || self.options.read_only) {
            self.listed.note(Process::of(caller).0, ino);
        }
    }

    /// In words, why the caller may not remove what is in a directory or the directory.
    fn has_listed(&self, caller: Caller, directory: u64) -> Option<&'static str> {
        if self.options.allow_recursive_delete {
            return None;
        }
        let (process, walker) = Process::of(caller);
        if walker {
            Some("this program removes whole trees")
        } else if self.listed.has(process, directory) {
            Some("this process has listed the directory")
        } else {
            None
        }
    }

    /// A child of a directory, for its kind and for where to leave a reason. The kernel has just
    /// looked it up, so it is remembered.
    async fn child(&self, directory: &Node, name: &OsStr) -> Option<Node> {
        self.tree.lookup(directory, name).await.ok()?.0
    }

    async fn entry_of(&self, node: &Node) -> Result<Entry, Error> {
        let (attributes, kept) = self.tree.attributes(node).await?;
        let ino = self.remember(node);
        let attr = Attr::new(ino, &attributes, lifetimes::of_present(kept), &self.options);
        let ttl = match node.is_memory() {
            true => Duration::ZERO,
            false => attr.ttl,
        };
        Ok(Entry::Present { attr, ttl })
    }

    /// A change that was refused, on the directory and on the node that it was about.
    fn refused_of(
        &self,
        operation: Operation,
        (directory, name): (&Node, &OsStr),
        child: Option<&Node>,
        why: &Refused,
    ) -> Errno {
        if let Some(child) = child.filter(|child| child.kind() != Kind::Symlink) {
            self.tree.note_error(child, Some(&why.error.chain()));
        }
        self.refused(operation, directory, Some(name), why)
    }

    /// Where a refused change becomes an errno. Unlike a look at a missing node, every refusal is
    /// recorded: somebody wanted something that did not happen.
    pub(super) fn refused(
        &self,
        operation: Operation,
        node: &Node,
        name: Option<&OsStr>,
        why: &Refused,
    ) -> Errno {
        let errno = errno_of_refusal(operation, why);
        let (op, path, message) = (operation.name(), path_of(node, name), why.error.chain());
        info!(op, path, errno = errno.name(), "{message}");
        self.tree.note_error(node, Some(&message));
        self.meter.record_error(&ErrorRecord {
            op,
            path,
            errno: errno.name(),
            message,
        });
        errno
    }
}

/// Path of a name in a directory, for logs.
pub(super) fn path_of(node: &Node, name: Option<&OsStr>) -> String {
    let mut path = node.path();
    if let Some(name) = name {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&name.to_string_lossy());
    }
    path
}
