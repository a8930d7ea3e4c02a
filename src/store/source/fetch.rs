//! A range, fetched to its end whatever happens on the way.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::StatusCode;
use url::Url;

use super::head::{Head, is_strong};
use super::http::{Answer, GetError};
use super::retry::Schedule;
use super::{Route, Source};
use crate::model::{Error, ErrorKind};
use crate::telemetry::RequestKind;

/// Fresh URLs tried in a row after one was refused as expired; what is refused thrice without a byte
/// in between is forbidden.
const RENEWALS: u32 = 2;

/// Positions to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// First byte.
    pub(crate) from: u64,
    /// End, exclusive; `None` for all that follows.
    pub(crate) to: Option<u64>,
}

impl Request {
    /// Value of the `Range` header; `None` for the whole content, which is a plain GET.
    pub(super) fn header(&self) -> Option<String> {
        match self.to {
            None if self.from == 0 => None,
            None => Some(format!("bytes={}-", self.from)),
            Some(to) => Some(format!("bytes={}-{}", self.from, to.saturating_sub(1))),
        }
    }
}

/// Takes what a fetch brings.
#[async_trait]
pub(crate) trait Receiver: Send {
    /// The head of an answer; the bytes that follow begin at `from`. With `ranged` false they run
    /// to the end of the content, whatever was asked for.
    fn begin(&mut self, head: &Head, from: u64) -> Result<(), Error>;

    /// Bytes at `offset`, each position once and in order.
    async fn receive(&mut self, offset: u64, bytes: Bytes) -> Result<(), Error>;
}

/// The strong ETag that the first answer carried; later answers must carry it too.
#[derive(Debug, Default)]
pub(crate) struct Pin(Mutex<Option<String>>);

impl Pin {
    fn pinned(&self) -> Option<String> {
        self.0.lock().clone()
    }

    /// Pins, or compares; false when the object is another one.
    fn admit(&self, etag: Option<&str>) -> bool {
        let mut pinned = self.0.lock();
        match (&*pinned, etag) {
            (Some(pinned), Some(etag)) => pinned == etag,
            (None, Some(etag)) if is_strong(etag) => {
                *pinned = Some(etag.to_owned());
                true
            }
            // A server that drops the tag on a partial answer has honoured If-Match before.
            _ => true,
        }
    }
}

/// What one fetch knows besides its wish.
struct Effort<'a> {
    request: Request,
    /// Next position wanted.
    at: u64,
    /// Whether an answer was the whole content instead of the range.
    whole: bool,
    schedule: Schedule,
    route: Route,
    renewals: u32,
    /// Address refused as expired, until a fresh one was asked for.
    stale: Option<Url>,
    /// Address of the attempt under way.
    url: Option<Url>,
    pin: &'a Pin,
}

impl Source {
    /// Fetches `request` into `receiver`. Ends when all of it was received, at the end of the
    /// content, or with the failure that outlived the retries.
    pub(crate) async fn fetch(
        &self,
        request: Request,
        pin: &Pin,
        receiver: &mut dyn Receiver,
    ) -> Result<(), Error> {
        let mut effort = Effort {
            at: request.from,
            request,
            whole: false,
            schedule: Schedule::new(self.shared.net.deadline, Instant::now()),
            route: Route::Presigned,
            renewals: 0,
            stale: None,
            url: None,
            pin,
        };
        loop {
            match self.attempt(&mut effort, receiver).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Get(error)) => self.recover(&mut effort, error).await?,
            }
        }
    }

    /// One request with its body. True when the fetch is complete.
    async fn attempt(
        &self,
        effort: &mut Effort<'_>,
        receiver: &mut dyn Receiver,
    ) -> Result<bool, Attempt> {
        let stale = effort.stale.take();
        let target = match self.resolve(effort.route, stale.as_ref()).await? {
            Some(target) => target,
            None if self.turn_to_handler(effort) => return Ok(false),
            None => return Err(self.nowhere().into()),
        };
        effort.url = Some(target.url.clone());
        let kind = match self.is_manifest() {
            true => RequestKind::Manifest,
            false => RequestKind::Blob,
        };
        let wanted = Request {
            from: effort.at,
            to: effort.request.to.filter(|_| !effort.whole),
        };
        let pinned = effort.pin.pinned();
        let limit = effort.schedule.stall_limit(Instant::now());
        let net = &self.shared.net;
        let answer = match net
            .get(&target, &wanted, pinned.as_deref(), kind, limit)
            .await
        {
            Err(GetError::Beyond { total }) => {
                receiver.begin(&end_of_content(total), total)?;
                return Ok(true);
            }
            answer => answer?,
        };
        self.check_identity(&answer.head)?;
        if !effort.pin.admit(answer.head.etag.as_deref()) {
            return Err(self.changed().into());
        }
        if !answer.head.ranged && !effort.whole {
            effort.whole = true;
            // Nothing was received yet: what the server sends anyway is taken from its first byte.
            if effort.at == effort.request.from {
                effort.at = 0;
            }
        }
        receiver.begin(&answer.head, effort.at)?;
        self.pour(effort, answer, receiver).await
    }

    async fn pour(
        &self,
        effort: &mut Effort<'_>,
        mut answer: Answer,
        receiver: &mut dyn Receiver,
    ) -> Result<bool, Attempt> {
        let head = answer.head.clone();
        let mut position = head.start;
        loop {
            let limit = effort.schedule.stall_limit(Instant::now());
            let Some(mut bytes) = answer.chunk(limit).await? else {
                break;
            };
            let start = position;
            position += bytes.len() as u64;
            effort.schedule.progress(Instant::now());
            effort.renewals = 0;
            if position <= effort.at {
                continue;
            }
            if start < effort.at {
                let skipped = usize::try_from(effort.at - start).unwrap_or(bytes.len());
                bytes = bytes.split_off(skipped);
            }
            receiver.receive(effort.at, bytes).await?;
            effort.at = position;
        }
        let missing = head.end.map_or(0, |end| end.saturating_sub(position));
        if missing > 0 {
            return Err(GetError::Truncated { missing }.into());
        }
        let at_end = head.total.is_some_and(|total| effort.at >= total);
        let wish_met = effort.request.to.is_some_and(|to| effort.at >= to) && head.ranged;
        Ok(at_end || wish_met || !head.ranged)
    }

    /// Makes the next attempt possible, or says why there is none.
    async fn recover(&self, effort: &mut Effort<'_>, error: GetError) -> Result<(), Error> {
        let mut asked = None;
        if let GetError::Changed = error {
            return Err(self.changed());
        }
        if let GetError::Status {
            status,
            retry_after,
        } = error
        {
            asked = retry_after;
            if !passing(status) {
                return self.answer_refusal(effort, status);
            }
        }
        match effort.schedule.pause(Instant::now(), asked, rand::random()) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(self.give_up(error)),
        }
    }

    fn answer_refusal(&self, effort: &mut Effort<'_>, status: StatusCode) -> Result<(), Error> {
        let expired = matches!(status.as_u16(), 400 | 401 | 403);
        let presigned = effort.route == Route::Presigned;
        if expired && presigned && self.renewable() && effort.renewals < RENEWALS {
            effort.renewals += 1;
            effort.stale = effort.url.take();
            return Ok(());
        }
        if self.turn_to_handler(effort) {
            return Ok(());
        }
        let (kind, what) = match status.as_u16() {
            401 if !presigned => (
                ErrorKind::NotSignedIn,
                "the server does not know the credential",
            ),
            401 | 403 => (
                ErrorKind::Forbidden,
                "the store refuses to hand out the content",
            ),
            400 if self.renewable() => (ErrorKind::Forbidden, "the store refuses every address"),
            404 | 410 => (ErrorKind::NotFound, "the store does not have the content"),
            _ => (
                ErrorKind::Network,
                "the store gave an answer that makes no sense here",
            ),
        };
        let cause = GetError::Status {
            status,
            retry_after: None,
        };
        Err(Error::caused_by(kind, self.node(), what, cause))
    }

    /// Takes the second way where there is one that was not taken yet.
    fn turn_to_handler(&self, effort: &mut Effort<'_>) -> bool {
        let stored = matches!(self.address, super::Address::Stored { .. });
        let possible = stored && self.shared.handler.is_some();
        if !possible || effort.route == Route::Handler {
            return false;
        }
        effort.route = Route::Handler;
        true
    }

    fn nowhere(&self) -> Error {
        let what = "the server names no address for the content";
        Error::new(ErrorKind::NotFound, self.node(), what)
    }

    fn give_up(&self, error: GetError) -> Error {
        let seconds = self.shared.net.deadline.as_secs_f32();
        let kind = match error {
            GetError::Stalled(_) => ErrorKind::Deadline,
            _ => ErrorKind::Network,
        };
        let what = format!("could not be fetched within {seconds} s");
        Error::caused_by(kind, self.node(), what, error)
    }
}

/// Why an attempt ended.
enum Attempt {
    /// The next one may fare better.
    Get(GetError),
    /// Nothing will.
    Final(Error),
}

impl From<GetError> for Attempt {
    fn from(error: GetError) -> Self {
        Self::Get(error)
    }
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Whether a status is worth repeating: overload, time-outs and server trouble.
fn passing(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status.as_u16(), 408 | 425 | 429)
}

fn end_of_content(total: u64) -> Head {
    Head {
        start: total,
        end: Some(total),
        total: Some(total),
        ranged: true,
        etag: None,
    }
}
