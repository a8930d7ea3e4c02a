//! From requests of the kernel to methods of `vfs` and back.
//!
//! Every method decodes, moves the reply into a future and has that run ([`Requests`]). A reply that
//! is dropped answers EIO by itself, so that a request that dies cannot hang its caller.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, Generation, INodeNo,
    IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::answer::{answer_empty, answer_xattr};
use super::changes;
use super::convert::{directory_flags, errno, file_attr, file_type, negative_entry};
use super::init::negotiate;
use super::requests::Requests;
use super::shared::Shared;
use crate::vfs::{Attr, Caller, DirEntry, Entry, Errno, Mutation};

/// Inode numbers are never reused for another node while the kernel knows them.
pub(crate) const GENERATION: Generation = Generation(0);

/// What the kernel sends where nothing was opened; real handles begin at 1.
pub(crate) const UNOPENED: FileHandle = FileHandle(0);

/// The file system that the crate serves.
pub(crate) struct Adapter {
    shared: Arc<Shared>,
    requests: Requests,
}

impl Adapter {
    pub(crate) fn new(shared: Arc<Shared>, requests: Requests) -> Self {
        Self { shared, requests }
    }

    /// Runs a request.
    fn run<F>(&self, request: impl FnOnce(Arc<Shared>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.requests.run(request(Arc::clone(&self.shared)));
    }

    fn refuse(&self, mutation: Mutation, ino: INodeNo) -> fuser::Errno {
        errno(self.shared.vfs.refuse(mutation, ino.0))
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let granted = negotiate(config, self.shared.stack_depth());
        self.shared.passthrough_granted(granted);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name: OsString = name.to_owned();
        self.run(async move |shared: Arc<Shared>| {
            let found = match shared.is_open() {
                Ok(()) => shared.vfs.lookup(parent.0, &name).await,
                Err(why) => Err(why),
            };
            match found {
                Ok(Entry::Present { attr, ttl }) => {
                    reply.entry_with_ttls(&attr.ttl, &ttl, &file_attr(&attr), GENERATION);
                }
                Ok(Entry::Missing { ttl }) => reply.entry(&ttl, &negative_entry(), GENERATION),
                Err(why) => reply.error(errno(why)),
            }
        });
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.shared.vfs.forget(ino.0, lookups);
    }

    fn getattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        self.run(
            async move |shared: Arc<Shared>| match shared.vfs.getattr(ino.0).await {
                Ok(attr) => reply.attr(&attr.ttl, &file_attr(&attr)),
                Err(why) => reply.error(errno(why)),
            },
        );
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        self.run(
            async move |shared: Arc<Shared>| match shared.vfs.readlink(ino.0).await {
                Ok(target) => reply.data(target.as_encoded_bytes()),
                Err(why) => reply.error(errno(why)),
            },
        );
    }

    fn open(&self, _request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if self.shared.needs_no_open() {
            return reply.error(fuser::Errno::ENOSYS);
        }
        let intent = changes::intent(flags.0);
        self.run(async move |shared: Arc<Shared>| {
            let opened = match shared.is_open() {
                Ok(()) => shared.vfs.open(ino.0, intent).await,
                Err(why) => Err(why),
            };
            match opened {
                Ok(open) if open.writing => shared.answer_open_for_writing(ino.0, &open, reply),
                Ok(open) => shared.answer_open(ino.0, &open, reply),
                Err(why) => reply.error(errno(why)),
            }
        });
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.run(async move |shared: Arc<Shared>| {
            // The semaphore is never closed: the error cannot be, and would be an EIO.
            let permit = shared.reads.acquire().await;
            let bytes = match (permit.is_ok(), shared.is_open()) {
                (true, Ok(())) if handle == UNOPENED => {
                    shared.vfs.read_unopened(ino.0, offset, size).await
                }
                (true, Ok(())) => shared.vfs.read(handle.0, offset, size).await,
                (false, _) => Err(Errno::EIO),
                (_, Err(why)) => Err(why),
            };
            match bytes {
                Ok(bytes) => reply.data(&bytes),
                Err(why) => reply.error(errno(why)),
            }
        });
    }

    fn release(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        // In the order of the kernel, so that the next open does not find this one still there.
        self.shared.modes.lock().release(ino.0);
        match self.shared.vfs.release(handle.0) {
            Ok(None) => reply.ok(),
            Err(why) => reply.error(errno(why)),
            Ok(Some(unsaved)) => self.run(async move |shared: Arc<Shared>| {
                shared.vfs.save_released(unsaved).await;
                reply.ok();
            }),
        }
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if self.shared.needs_no_open() {
            return reply.error(fuser::Errno::ENOSYS);
        }
        self.run(async move |shared: Arc<Shared>| {
            let opened = match shared.is_open() {
                Ok(()) => shared.vfs.opendir(ino.0).await,
                Err(why) => Err(why),
            };
            match opened {
                Ok(open) => {
                    reply.opened(FileHandle(open.handle), directory_flags(open.immutable));
                }
                Err(why) => reply.error(errno(why)),
            }
        });
    }

    fn readdir(
        &self,
        request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let caller = Caller(request.pid());
        self.run(async move |shared: Arc<Shared>| {
            let add = |entry: DirEntry<'_>| {
                let kind = file_type(entry.kind);
                reply.add(INodeNo(entry.ino), entry.next_offset, kind, entry.name)
            };
            let listed = match handle {
                UNOPENED => shared.vfs.readdir_unopened(ino.0, offset, add).await,
                _ => shared.vfs.readdir(handle.0, offset, caller, add).await,
            };
            match listed {
                Ok(()) => reply.ok(),
                Err(why) => reply.error(errno(why)),
            }
        });
    }

    fn readdirplus(
        &self,
        request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let caller = Caller(request.pid());
        self.run(async move |shared: Arc<Shared>| {
            let add = |entry: DirEntry<'_>, attr: &Attr| {
                let (ino, next) = (INodeNo(entry.ino), entry.next_offset);
                let known = file_attr(attr);
                reply.add(ino, next, entry.name, &attr.ttl, &known, GENERATION)
            };
            let listed = match handle {
                UNOPENED => shared.vfs.readdirplus_unopened(ino.0, offset, add).await,
                _ => shared.vfs.readdirplus(handle.0, offset, caller, add).await,
            };
            match listed {
                Ok(()) => reply.ok(),
                Err(why) => reply.error(errno(why)),
            }
        });
    }

    fn releasedir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.run(async move |shared: Arc<Shared>| {
            answer_empty(reply, shared.vfs.releasedir(handle.0));
        });
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        self.run(
            async move |shared: Arc<Shared>| match shared.vfs.statfs().await {
                Ok(s) => reply.statfs(
                    s.blocks, s.bfree, s.bavail, s.files, s.ffree, s.bsize, s.namelen, s.frsize,
                ),
                Err(why) => reply.error(errno(why)),
            },
        );
    }

    fn getxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let name: OsString = name.to_owned();
        self.run(async move |shared: Arc<Shared>| {
            let value = shared.vfs.getxattr(ino.0, &name).await;
            answer_xattr(reply, value, size);
        });
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.run(async move |shared: Arc<Shared>| {
            let names = shared.vfs.listxattr(ino.0).await;
            answer_xattr(reply, names, size);
        });
    }

    fn access(&self, _request: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        self.run(async move |shared: Arc<Shared>| {
            answer_empty(reply, shared.vfs.access(ino.0, mask.bits()).await);
        });
    }

    fn flush(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        self.run(move |shared| changes::save(shared, handle, false, reply));
    }

    fn fsync(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.run(move |shared| changes::save(shared, handle, true, reply));
    }

    // ENOSYS to this is success for the caller, and the kernel stops asking.

    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    // ENOSYS to these makes the kernel do the usual thing itself: locks that hold on this machine,
    // seeks by the size, files that are always ready, ENOTTY, copies by read and write.

    fn getlk(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        reply: ReplyLock,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn setlk(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        _sleep: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn bmap(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _block_size: u32,
        _index: u64,
        reply: ReplyBmap,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _input: &[u8],
        _output_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn poll(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn lseek(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        _request: &Request,
        _from: INodeNo,
        _from_handle: FileHandle,
        _from_offset: u64,
        _to: INodeNo,
        _to_handle: FileHandle,
        _to_offset: u64,
        _length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let new = changes::new_attributes(mode, size, mtime);
        self.run(move |shared| changes::setattr(shared, ino, handle, new, reply));
    }

    fn mknod(
        &self,
        _request: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(Mutation::Mknod, parent));
    }

    fn mkdir(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let place = (parent, name.to_owned());
        self.run(move |shared| changes::mkdir(shared, place, reply));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (place, caller) = ((parent, name.to_owned()), Caller(request.pid()));
        self.run(move |shared| changes::unlink(shared, place, caller, reply));
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (place, caller) = ((parent, name.to_owned()), Caller(request.pid()));
        self.run(move |shared| changes::rmdir(shared, place, caller, reply));
    }

    fn symlink(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let (place, target) = ((parent, name.to_owned()), target.into());
        self.run(move |shared| changes::symlink(shared, place, target, reply));
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent, name.to_owned()), (new_parent, new_name.to_owned()));
        self.run(move |shared| changes::rename(shared, from, to, flags, reply));
    }

    fn link(
        &self,
        _request: &Request,
        ino: INodeNo,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(Mutation::Link, ino));
    }

    fn create(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let place = (parent, name.to_owned());
        self.run(move |shared| changes::create(shared, place, mode & !umask, reply));
    }

    fn write(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // Into memory, so here: in the order of the kernel, and without another copy.
        match self.shared.vfs.write(handle.0, offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(why) => reply.error(errno(why)),
        }
    }

    fn fallocate(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(Mutation::Fallocate, ino));
    }

    fn setxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(Mutation::Setxattr, ino));
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(Mutation::Removexattr, ino));
    }
}
