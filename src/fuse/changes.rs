//! Requests that change something: each runs as a task, asks `vfs`, replies, and only then has the
//! kernel told what else changed, because the caller holds locks of directories until the reply.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    FileHandle, FopenFlags, INodeNo, RenameFlags, ReplyAttr, ReplyCreate, ReplyEmpty, ReplyEntry,
    TimeOrNow,
};

use super::adapter::{GENERATION, UNOPENED};
use super::convert::{errno, file_attr, negative_entry};
use super::open_mode::{Mode, Wanted};
use super::shared::Shared;
use crate::tree::Changes;
use crate::vfs::{Caller, Created, Entry, Errno, Intent, NewAttributes, OpenFile};

/// A name in a directory.
pub(crate) type Place = (INodeNo, OsString);

/// Permission bits of a mode, without the kind of file.
const PERMISSIONS: u32 = 0o7777;

/// What the flags of an open want.
pub(crate) fn intent(flags: i32) -> Intent {
    Intent {
        write: flags & libc::O_ACCMODE != libc::O_RDONLY,
        truncate: flags & libc::O_TRUNC != 0,
        append: flags & libc::O_APPEND != 0,
    }
}

/// Attributes to set, as the kernel names them.
pub(crate) fn new_attributes(
    mode: Option<u32>,
    size: Option<u64>,
    mtime: Option<TimeOrNow>,
) -> NewAttributes {
    NewAttributes {
        mode: mode.and_then(|mode| u16::try_from(mode & PERMISSIONS).ok()),
        size,
        mtime: mtime.map(|time| match time {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => SystemTime::now(),
        }),
    }
}

impl Shared {
    /// Flags of an open that writes: past the page cache, so that nothing stays there which the
    /// server then spells in its own way, and with a flush at each close, which saves.
    fn writer_flags(&self, ino: u64) -> FopenFlags {
        match self.modes.lock().open(ino, Wanted::Direct, || None) {
            Mode::Direct => FopenFlags::FOPEN_DIRECT_IO,
            // Somebody reads it through the page cache; writes go through that one by one.
            Mode::Cached { .. } | Mode::Passthrough(_) => FopenFlags::empty(),
        }
    }

    /// Answers an open that writes.
    pub(crate) fn answer_open_for_writing(
        &self,
        ino: u64,
        open: &OpenFile,
        reply: fuser::ReplyOpen,
    ) {
        reply.opened(FileHandle(open.handle), self.writer_flags(ino));
    }
}

pub(crate) async fn setattr(
    shared: Arc<Shared>,
    ino: INodeNo,
    handle: Option<FileHandle>,
    new: NewAttributes,
    reply: ReplyAttr,
) {
    let handle = handle.map(|handle| handle.0);
    match shared.vfs.setattr(ino.0, handle, new).await {
        Ok(attr) => reply.attr(&attr.ttl, &file_attr(&attr)),
        Err(why) => reply.error(errno(why)),
    }
}

pub(crate) async fn create(
    shared: Arc<Shared>,
    (parent, name): Place,
    mode: u32,
    reply: ReplyCreate,
) {
    let mode = u16::try_from(mode & PERMISSIONS).unwrap_or_default();
    let made = match shared.is_open() {
        Ok(()) => shared.vfs.create(parent.0, &name, mode).await,
        Err(why) => Err(why),
    };
    match made {
        Ok(Created { attr, open }) => {
            let flags = shared.writer_flags(attr.ino);
            let handle = FileHandle(open.handle);
            reply.created(&attr.ttl, &file_attr(&attr), GENERATION, handle, flags);
        }
        Err(why) => reply.error(errno(why)),
    }
}

/// What was never opened was never written: ENOSYS is success there, and the kernel stops asking.
pub(crate) async fn save(shared: Arc<Shared>, handle: FileHandle, fsync: bool, reply: ReplyEmpty) {
    if handle == UNOPENED {
        return reply.error(fuser::Errno::ENOSYS);
    }
    match shared.vfs.save(handle.0, fsync).await {
        Ok(()) => reply.ok(),
        Err(why) => reply.error(errno(why)),
    }
}

pub(crate) async fn mkdir(shared: Arc<Shared>, (parent, name): Place, reply: ReplyEntry) {
    let made = match shared.is_open() {
        Ok(()) => shared.vfs.mkdir(parent.0, &name).await,
        Err(why) => Err(why),
    };
    answer_entry(&shared, made, reply);
}

pub(crate) async fn symlink(
    shared: Arc<Shared>,
    (parent, name): Place,
    target: OsString,
    reply: ReplyEntry,
) {
    let made = match shared.is_open() {
        Ok(()) => shared.vfs.symlink(parent.0, &name, &target).await,
        Err(why) => Err(why),
    };
    answer_entry(&shared, made, reply);
}

pub(crate) async fn unlink(
    shared: Arc<Shared>,
    (parent, name): Place,
    caller: Caller,
    reply: ReplyEmpty,
) {
    let removed = match shared.is_open() {
        Ok(()) => shared.vfs.unlink(parent.0, &name, caller).await,
        Err(why) => Err(why),
    };
    answer_change(&shared, removed, reply);
}

pub(crate) async fn rmdir(
    shared: Arc<Shared>,
    (parent, name): Place,
    caller: Caller,
    reply: ReplyEmpty,
) {
    let removed = match shared.is_open() {
        Ok(()) => shared.vfs.rmdir(parent.0, &name, caller).await,
        Err(why) => Err(why),
    };
    answer_change(&shared, removed, reply);
}

pub(crate) async fn rename(
    shared: Arc<Shared>,
    (parent, name): Place,
    (new_parent, new_name): Place,
    flags: RenameFlags,
    reply: ReplyEmpty,
) {
    let no_replace = flags.contains(RenameFlags::RENAME_NOREPLACE);
    let renamed = if flags.intersects(!RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL)
    } else {
        let (from, to) = ((parent.0, &*name), (new_parent.0, &*new_name));
        match shared.is_open() {
            Ok(()) => shared.vfs.rename(from, to, no_replace).await,
            Err(why) => Err(why),
        }
    };
    answer_change(&shared, renamed, reply);
}

fn answer_change(shared: &Shared, changed: Result<Changes, Errno>, reply: ReplyEmpty) {
    match changed {
        Ok(changes) => {
            reply.ok();
            shared.vfs.announce(&changes);
        }
        Err(why) => reply.error(errno(why)),
    }
}

fn answer_entry(shared: &Shared, made: Result<(Entry, Changes), Errno>, reply: ReplyEntry) {
    match made {
        Ok((Entry::Present { attr, ttl }, changes)) => {
            reply.entry_with_ttls(&attr.ttl, &ttl, &file_attr(&attr), GENERATION);
            shared.vfs.announce(&changes);
        }
        Ok((Entry::Missing { ttl }, changes)) => {
            reply.entry(&ttl, &negative_entry(), GENERATION);
            shared.vfs.announce(&changes);
        }
        Err(why) => reply.error(errno(why)),
    }
}
