//! The source alone: bytes of a content as the wire brings them, without plan, memory budget, disk
//! or digest. It is what everything above is measured against (`scripts/bench.d/layers`).

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::Store;
use super::source::{Head, Pin, Receiver, Request};
use crate::model::{Content, Error, ErrorKind};

/// Hands on what comes.
struct Through<F>(F);

#[async_trait]
impl<F: FnMut(u64, Bytes) + Send> Receiver for Through<F> {
    fn begin(&mut self, _head: &Head, _from: u64) -> Result<(), Error> {
        Ok(())
    }

    async fn receive(&mut self, offset: u64, bytes: Bytes) -> Result<(), Error> {
        (self.0)(offset, bytes);
        Ok(())
    }
}

impl Store {
    /// Fetches a range in one transfer, and gives each piece with its offset, in order. Nothing is
    /// kept, and nothing is verified: [`Blobs::open`](crate::model::Blobs::open) is for that.
    ///
    /// # Errors
    /// What outlived the retries; [`ErrorKind::Unsupported`] for a content on the local disk.
    pub async fn fetch(
        &self,
        content: &Content,
        range: Range<u64>,
        take: impl FnMut(u64, Bytes) + Send,
    ) -> Result<(), Error> {
        let Some(source) = self.source(content, None)? else {
            let what = "it is on this machine, not behind a wire";
            return Err(Error::new(ErrorKind::Unsupported, "", what));
        };
        let request = Request {
            from: range.start,
            to: Some(range.end),
        };
        source
            .fetch(request, &Pin::default(), &mut Through(take))
            .await
    }
}
