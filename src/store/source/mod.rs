//! Where bytes come from: presigned URLs, the download handler, http(s) references.
//!
//! What makes it hard, and the answer:
//! 1. A URL is known late, expires early, and 10,000 files must not cost 10,000 requests for
//!    URLs: [`Urls`] asks in growing batches and renews in bulk.
//! 2. Wires fail in the middle: [`Source::fetch`] resumes at the next byte, within one deadline
//!    that counts from the last byte that came ([`Schedule`]).
//! 3. An object may change between two ranges: the ETag of the first answer is pinned ([`Pin`]),
//!    sent as `If-Match`, and compared with every answer.
//! 4. Servers ignore ranges, or answer other ranges than asked: [`http`] checks each head before a
//!    byte is believed.
//! 5. Credentials belong to the W&B server alone: only the download handler gets headers, and
//!    redirects to other hosts lose them.

mod fetch;
mod head;
mod http;
mod retry;
mod urls;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use url::Url;

pub(crate) use fetch::{Pin, Receiver, Request};
pub(crate) use head::Head;
pub(crate) use http::Net;
pub(crate) use urls::Urls;

use crate::model::{
    ArtifactId, Digest, Error, ErrorKind, Hub, Origin, StoredAt, Upcoming, VersionPath,
};

/// The download handler of the W&B server (protocol §9.3), used where a presigned URL is missing or
/// failed. `wandb` knows its addresses and holds the credentials; the store only calls.
#[async_trait]
pub trait DownloadHandler: Send + Sync + 'static {
    /// Address of a stored content, `None` where the server has no handler.
    fn url(&self, at: &StoredAt, digest: Digest) -> Option<Url>;

    /// Headers that authorize a request to `url`. Empty for any host but the server's own.
    async fn headers(&self, url: &Url) -> Result<HeaderMap, Error>;
}

/// What every source of a store shares.
pub(crate) struct Sources {
    pub(crate) net: Net,
    pub(crate) urls: Urls,
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) handler: Option<Arc<dyn DownloadHandler>>,
}

/// Where one open handle gets its bytes.
#[derive(Clone)]
pub(crate) struct Source {
    shared: Arc<Sources>,
    address: Address,
    upcoming: Option<Arc<dyn Upcoming>>,
    /// The content as the user knows it, for errors.
    node: Arc<str>,
}

#[derive(Clone)]
enum Address {
    Stored {
        at: StoredAt,
        digest: Option<Digest>,
    },
    Manifest {
        artifact: ArtifactId,
        url: Option<Arc<str>>,
    },
    Reference {
        url: Url,
        text: Arc<str>,
        etag: Arc<str>,
    },
}

/// A request's address with the headers it needs.
struct Target {
    url: Url,
    headers: HeaderMap,
}

/// Which of the two ways to a stored content is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Presigned,
    Handler,
}

impl Source {
    /// The source of a content that is read over the network.
    ///
    /// # Errors
    /// `Unsupported` for reference schemes that have no source.
    pub(crate) fn new(
        shared: Arc<Sources>,
        origin: &Origin,
        digest: Option<Digest>,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Self, Error> {
        let node: Arc<str> = node_of(origin).into();
        let address = match origin {
            Origin::Stored(at) => Address::Stored {
                at: at.clone(),
                digest,
            },
            Origin::Manifest { artifact, url, .. } => Address::Manifest {
                artifact: artifact.clone(),
                url: url.clone(),
            },
            Origin::Reference {
                url: text, etag, ..
            } => Address::Reference {
                url: readable_reference(text, &node)?,
                text: Arc::clone(text),
                etag: Arc::clone(etag),
            },
        };
        Ok(Self {
            shared,
            address,
            upcoming,
            node,
        })
    }

    /// The content as the user knows it.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Address for the next attempt; `None` where this route leads nowhere. `stale` is the address
    /// that was refused as expired.
    async fn resolve(&self, route: Route, stale: Option<&Url>) -> Result<Option<Target>, Error> {
        let text: Arc<str> = match (&self.address, route) {
            (Address::Reference { url, .. }, _) => {
                return Ok(Some(Target::plain(url.clone())));
            }
            (Address::Stored { at, digest }, Route::Handler) => {
                return self.resolve_handler(at, *digest).await;
            }
            (Address::Stored { at, .. }, Route::Presigned) => {
                let upcoming = self.upcoming.as_deref();
                match self.shared.urls.get(at, upcoming, stale).await? {
                    Some(url) => url,
                    None => return Ok(None),
                }
            }
            (Address::Manifest { artifact, url }, _) => match url {
                Some(url) if stale.is_none() => Arc::clone(url),
                _ => self.shared.hub.manifest_url(artifact).await?.into(),
            },
        };
        let url = Url::parse(&text).map_err(|cause| {
            let what = "the server named an address that is not a URL";
            Error::caused_by(ErrorKind::Invalid, &*self.node, what, cause)
        })?;
        Ok(Some(Target::plain(url)))
    }

    async fn resolve_handler(
        &self,
        at: &StoredAt,
        digest: Option<Digest>,
    ) -> Result<Option<Target>, Error> {
        let (Some(handler), Some(digest)) = (&self.shared.handler, digest) else {
            return Ok(None);
        };
        let Some(url) = handler.url(at, digest) else {
            return Ok(None);
        };
        let headers = handler.headers(&url).await?;
        Ok(Some(Target { url, headers }))
    }

    /// Whether a refused URL may be replaced by a fresh one.
    fn renewable(&self) -> bool {
        !matches!(self.address, Address::Reference { .. })
    }

    fn is_manifest(&self) -> bool {
        matches!(self.address, Address::Manifest { .. })
    }

    /// Rule of the protocol (§11): the answer's ETag without quotes, or the URL where there is
    /// none, is the reference's digest.
    fn check_identity(&self, head: &Head) -> Result<(), Error> {
        let Address::Reference { text, etag, .. } = &self.address else {
            return Ok(());
        };
        let served = head.etag.as_deref().map(|tag| tag.trim_matches('"'));
        if served.unwrap_or(text) == &**etag {
            return Ok(());
        }
        Err(self.changed())
    }

    fn changed(&self) -> Error {
        let what = match self.address {
            Address::Reference { .. } => "the referenced object changed since it was recorded",
            _ => "the stored object changed while it was read",
        };
        Error::new(ErrorKind::Corrupt, &*self.node, what)
    }
}

impl Target {
    fn plain(url: Url) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
        }
    }
}

fn readable_reference(text: &str, node: &str) -> Result<Url, Error> {
    let refuse = |what: String| Error::new(ErrorKind::Unsupported, node, what);
    let url = Url::parse(text).map_err(|cause| {
        let what = "the reference's address is not a URL";
        Error::caused_by(ErrorKind::Unsupported, node, what, cause)
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(refuse(format!(
            "references by {scheme}:// cannot be read through this mount; the ref attribute tells the address"
        ))),
    }
}

/// A content as the user knows it: its path, or the reference's address without anything that could
/// be a credential.
pub(crate) fn node_of(origin: &Origin) -> String {
    let below = |version: &VersionPath, rest: &str| format!("{version}/{rest}");
    match origin {
        Origin::Stored(at) => below(&at.version, &format!("files/{}", at.path)),
        Origin::Manifest { version, .. } => below(version, "manifest.json"),
        Origin::Reference { url, .. } => match Url::parse(url) {
            Ok(mut parsed) => {
                parsed.set_query(None);
                parsed.set_fragment(None);
                // Refused only for addresses that cannot carry a user name in the first place.
                let _no_user = parsed
                    .set_username("")
                    .and_then(|()| parsed.set_password(None));
                parsed.into()
            }
            Err(_) => "a reference".to_owned(),
        },
    }
}
