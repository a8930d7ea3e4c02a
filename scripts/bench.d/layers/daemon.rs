//! The least that a FUSE daemon can do: one file, whose bytes are copied into each answer on the
//! thread that took the request. What a mount without passthrough can reach at most.
//!
//! | HOW | bytes come from | kept by the kernel |
//! |---|---|---|
//! | `pread` | the file, read per request | yes |
//! | `memory` | the daemon's own memory | yes |
//! | `direct` | the file, read per request | no: FOPEN_DIRECT_IO, past the page cache |
//! | `passthrough` | the file, by the kernel itself; registered anew at each open | as the file's own |

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackingId, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, Request,
};
use parking_lot::Mutex;

/// Nothing changes.
const TTL: Duration = Duration::from_secs(3600);

/// Name of the file in the directory.
const NAME: &str = "file";
const FILE: INodeNo = INodeNo(2);

/// As the mount has it.
const MAX_BACKGROUND: u16 = 64;

/// Serves until it is unmounted.
pub(crate) fn serve(
    how: &str,
    file: &str,
    directory: &str,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let source = match how {
        "pread" | "direct" | "passthrough" => Source::File(File::open(file)?),
        "memory" => Source::Memory(fs::read(file)?),
        _ => return Err(format!("no such way: {how}").into()),
    };
    let flags = match how {
        "direct" => FopenFlags::FOPEN_DIRECT_IO,
        _ => FopenFlags::FOPEN_KEEP_CACHE,
    };
    let size = fs::metadata(file)?.len();
    let daemon = Daemon {
        source,
        flags,
        size,
        passthrough: how == "passthrough",
        registered: Mutex::new(None),
    };
    Ok(fuser::mount(daemon, directory, &Config::default())?)
}

enum Source {
    File(File),
    Memory(Vec<u8>),
}

struct Daemon {
    source: Source,
    flags: FopenFlags,
    size: u64,
    passthrough: bool,
    /// Of the open under way; the benchmark opens the file once at a time.
    registered: Mutex<Option<BackingId>>,
}

impl Daemon {
    fn attributes(&self, node: INodeNo) -> FileAttr {
        let (kind, size) = match node {
            FILE => (FileType::RegularFile, self.size),
            _ => (FileType::Directory, 0),
        };
        FileAttr {
            ino: node,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o555,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Daemon {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What the kernel grants is enough where it grants less.
        let _granted = config.set_max_background(MAX_BACKGROUND);
        if let Err(most) = config.set_max_readahead(u32::MAX) {
            let _granted = config.set_max_readahead(most);
        }
        if self.passthrough {
            let granted = config.set_max_stack_depth(1).is_ok()
                && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok();
            if !granted {
                return Err(io::Error::other("the kernel does not offer passthrough"));
            }
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name == NAME {
            true => reply.entry(&TTL, &self.attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(node));
    }

    fn open(&self, _request: &Request, _node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let handle = FileHandle(1);
        match &self.source {
            Source::File(file) if self.passthrough => match reply.open_backing(file) {
                Ok(backing) => {
                    let mut registered = self.registered.lock();
                    reply.opened_passthrough(
                        handle,
                        FopenFlags::empty(),
                        registered.insert(backing),
                    );
                }
                Err(why) => reply.error(why.into()),
            },
            _ => reply.opened(handle, self.flags),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn release(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        *self.registered.lock() = None;
        reply.ok();
    }

    fn read(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let length = self.size.saturating_sub(offset).min(u64::from(size)) as usize;
        match &self.source {
            Source::Memory(bytes) => reply.data(&bytes[offset as usize..][..length]),
            Source::File(file) => {
                let mut bytes = vec![0; length];
                match file.read_exact_at(&mut bytes, offset) {
                    Ok(()) => reply.data(&bytes),
                    Err(_) => reply.error(Errno::EIO),
                }
            }
        }
    }
}
