//! An open content: the body everyone shares, and what is this reader's own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::{Errno, ReadWriteFlags};

use super::ahead::Announcement;
use super::body::{Body, Mode};
use super::prefetch::{Plan, Wish};
use super::source::Source;
use super::{buffers, disk_error};
use crate::model::{Error, ErrorKind, OpenBlob};

/// Step of a fetch of everything: the size of a part; two more are under way meanwhile.
const WHOLE_STEP: u64 = 8 << 20;

/// An open content.
pub(crate) struct Handle {
    body: Arc<Body>,
    /// `None` for what was on disk at the open, and for local files.
    source: Option<Source>,
    plan: Mutex<Plan>,
    trust: Mutex<Trust>,
    /// Told at the first read.
    announcement: Mutex<Option<Announcement>>,
}

/// What this reader knows about wrong contents. Bytes of a content that was thrown away must never
/// pass for right: a reader that was given some fails for good, because the kernel swallows the
/// error of a read-ahead and asks again. The next open begins anew.
#[derive(Debug, Default)]
struct Trust {
    /// Times that the content had been thrown away when this reader last heard of it.
    strikes: u32,
    /// Whether it was given bytes since.
    given: bool,
    /// Why bytes that it was given turned out wrong.
    betrayed: Option<Error>,
}

impl Handle {
    pub(super) fn new(
        body: Arc<Body>,
        source: Option<Source>,
        announcement: Option<Announcement>,
    ) -> Self {
        body.retain();
        let trust = Trust {
            strikes: body.strikes().0,
            ..Trust::default()
        };
        Self {
            body,
            source,
            plan: Mutex::default(),
            trust: Mutex::new(trust),
            announcement: Mutex::new(announcement),
        }
    }

    /// Refuses a reader that was given bytes of a content which turned out wrong since.
    fn confess(&self) -> Result<u32, Error> {
        let (strikes, wrong) = self.body.strikes();
        let mut trust = self.trust.lock();
        if strikes != trust.strikes {
            trust.strikes = strikes;
            if std::mem::take(&mut trust.given) {
                trust.betrayed = wrong;
            }
        }
        trust.betrayed.clone().map_or(Ok(strikes), Err)
    }

    /// What a read that began after `strikes` may give, and what is remembered of it.
    fn judge(&self, strikes: u32, read: Result<Bytes, Error>) -> Result<Bytes, Error> {
        let (now, wrong) = self.body.strikes();
        let mut trust = self.trust.lock();
        match (read, wrong) {
            (Ok(_), Some(wrong)) if now != strikes => {
                trust.betrayed = Some(wrong.clone());
                Err(wrong)
            }
            (Ok(bytes), _) => {
                trust.given |= !bytes.is_empty();
                Ok(bytes)
            }
            (Err(error), _) => {
                if error.kind() == ErrorKind::Corrupt {
                    trust.strikes = now;
                    if std::mem::take(&mut trust.given) {
                        trust.betrayed = Some(error.clone());
                    }
                }
                Err(error)
            }
        }
    }

    async fn read_verified(
        &self,
        file: Arc<File>,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, Error> {
        pread(file, offset, length)
            .await
            .map_err(|cause| disk_error(self.body.node(), "the cache cannot be read", cause))
    }
}

impl Handle {
    async fn read_some(&self, offset: u64, length: u32) -> Result<Bytes, Error> {
        let range = offset..offset.saturating_add(u64::from(length));
        if let Some(file) = self.body.file() {
            return self.read_verified(file, offset, u64::from(length)).await;
        }
        if let Some(announcement) = self.announcement.lock().take() {
            self.body.announce(announcement);
        }
        if matches!(self.body.mode(), Mode::Small | Mode::Local) {
            if let Some(bytes) = self.body.in_memory(&range) {
                return Ok(bytes);
            }
            self.body.fetch_whole(self.source.as_ref(), false).await?;
            if let Some(bytes) = self.body.in_memory(&range) {
                return Ok(bytes);
            }
            let file = self.body.file().ok_or_else(|| lost(self.body.node()))?;
            return self.read_verified(file, offset, u64::from(length)).await;
        }
        let size = self.body.known_length().unwrap_or(u64::MAX);
        if length == 0 || offset >= size {
            return Ok(Bytes::new());
        }
        let wish = self.plan.lock().on_read(&range, size);
        self.body
            .read_range(self.source.as_ref(), &wish, range)
            .await
    }
}

#[async_trait]
impl OpenBlob for Handle {
    async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Error> {
        let strikes = self.confess()?;
        let read = self.read_some(offset, length).await;
        self.judge(strikes, read)
    }

    async fn len(&self) -> Result<u64, Error> {
        if let Some(length) = self.body.known_length() {
            return Ok(length);
        }
        match self.body.mode() {
            Mode::Small | Mode::Local => self.body.fetch_whole(self.source.as_ref(), false).await?,
            Mode::Ranged | Mode::Stream => {
                let wish = self.plan.lock().on_read(&(0..1), u64::MAX);
                let source = self.source.as_ref();
                self.body.await_length(source, &wish).await?;
            }
        }
        self.body
            .known_length()
            .ok_or_else(|| lost(self.body.node()))
    }

    fn present(&self) -> u64 {
        self.body.present()
    }

    fn file(&self) -> Option<Arc<File>> {
        self.body.file()
    }

    async fn whole_file(&self) -> Result<Arc<File>, Error> {
        if let Some(file) = self.body.file() {
            return Ok(file);
        }
        if matches!(self.body.mode(), Mode::Small | Mode::Local) {
            self.body.fetch_whole(self.source.as_ref(), true).await?;
            return self.body.file().ok_or_else(|| lost(self.body.node()));
        }
        let mut length = self.len().await?;
        let mut at = 0;
        while at < length && self.body.file().is_none() {
            let to = (at + WHOLE_STEP).min(length);
            let wish = Wish {
                demand: at..to,
                ahead: to..(to + 2 * WHOLE_STEP).min(length),
                run_on: 0,
            };
            let source = self.source.as_ref();
            self.body.bring(source, &wish, &wish.demand).await?;
            at = to;
            length = self.body.known_length().unwrap_or(length);
        }
        self.body.await_verdict().await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.body.release();
    }
}

fn lost(node: &str) -> Error {
    Error::new(ErrorKind::Io, node, "the content was here and is gone")
}

/// Reads from a file: at once where the page cache has it, else off the async workers. Shorter only
/// at the end of the file.
pub(super) async fn pread(file: Arc<File>, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut buffer = buffers::of(length);
    let slice = &mut [io::IoSliceMut::new(buffer.bytes())];
    match rustix::io::preadv2(&*file, slice, offset, ReadWriteFlags::NOWAIT) {
        Ok(read) if read == length => return Ok(buffer.freeze(read)),
        // Short means the end or a page that is not here; the slow way tells them apart.
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(cause) => return Err(cause.into()),
    }
    let work = move || {
        let mut done = 0;
        while done < length {
            match file.read_at(&mut buffer.bytes()[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(buffer.freeze(done))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
