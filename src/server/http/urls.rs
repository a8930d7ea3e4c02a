//! URLs that carry their own permission.
//!
//! W&B hands out URLs of an object store that work without credentials for about an hour. Here the
//! permission is an HMAC-SHA256 over method, path and expiry, so a URL made for reading one object
//! can neither write it nor read another. Host and port are not part of it: one server may be
//! reached under several names.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

/// Path prefix of all signed URLs.
pub(crate) const PREFIX: &str = "/storage/";

/// How long a URL works. W&B's clients take an hour for granted (protocol §9.4).
const LIFETIME: Duration = Duration::from_secs(3600);

/// Characters that stay as they are in a path: RFC 3986 `unreserved`, and the slashes between
/// segments.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// What a signed URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// GET and HEAD.
    Read,
    /// PUT.
    Write,
}

impl Access {
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "GET",
            Self::Write => "PUT",
        }
    }
}

/// Makes and checks signed URLs. Cheap to clone; `Debug` does not show the secret.
///
/// An *object* is a path that the store makes and understands (`wandb_artifacts/1/2/<hex>`,
/// `manifests/7/wandb_manifest.json`, …); to the HTTP side it is just text.
#[derive(Clone)]
pub(crate) struct UrlSigner {
    mac: Hmac<Sha256>,
    base_url: Arc<str>,
    lifetime: Duration,
}

impl std::fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UrlSigner")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl UrlSigner {
    /// A signer with this secret, for URLs below `base_url` (no trailing slash).
    pub(crate) fn new(secret: &[u8; 32], base_url: &str) -> Self {
        // HMAC pads a key to its block of 64 bytes; giving the block has no error to handle.
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(secret);
        Self {
            mac: Hmac::new(&block.into()),
            base_url: base_url.into(),
            lifetime: LIFETIME,
        }
    }

    /// The signer of a data directory, whose secret survives restarts in a file of mode 0600.
    ///
    /// # Errors
    /// When the file can be neither read nor made.
    pub(crate) fn in_dir(dir: &Path, base_url: &str) -> std::io::Result<Self> {
        let text = crate::server::secrets::read_or_create(&dir.join("url-secret"), 32)?;
        let mut secret = [0; 32];
        hex::decode_to_slice(text, &mut secret).map_err(std::io::Error::other)?;
        Ok(Self::new(&secret, base_url))
    }

    /// What the URLs begin with.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The same signer under another name of this server.
    pub(crate) fn at(&self, base_url: &str) -> Self {
        Self {
            base_url: base_url.into(),
            ..self.clone()
        }
    }

    /// The same signer of URLs that work for so long.
    pub(crate) fn lasting(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Absolute URL for reading `object` for the signer's lifetime, an hour, without credentials.
    pub(crate) fn download(&self, object: &str) -> String {
        self.url(object, Access::Read, now() + self.lifetime.as_secs())
    }

    /// Absolute URL for writing `object` for as long, without credentials.
    pub(crate) fn upload(&self, object: &str) -> String {
        self.url(object, Access::Write, now() + self.lifetime.as_secs())
    }

    fn url(&self, object: &str, access: Access, expires: u64) -> String {
        let base = &self.base_url;
        let path = utf8_percent_encode(object, PATH);
        let signature = hex::encode(self.mac_of(object, access, expires).finalize().into_bytes());
        format!("{base}{PREFIX}{path}?expires={expires}&signature={signature}")
    }

    /// Whether `query` permits `access` to `object` now.
    pub(crate) fn allows(&self, object: &str, access: Access, query: &str) -> bool {
        let value = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let Some(expires) = value("expires").and_then(|text| text.parse::<u64>().ok()) else {
            return false;
        };
        let Some(signature) = value("signature").and_then(|text| hex::decode(text).ok()) else {
            return false;
        };
        self.mac_of(object, access, expires)
            .verify_slice(&signature)
            .is_ok()
            && expires > now()
    }

    fn mac_of(&self, object: &str, access: Access, expires: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        // Expiry first: it has no line break, an object may have one.
        mac.update(format!("{}\n{expires}\n{object}", access.verb()).as_bytes());
        mac
    }
}

/// The object of a request path, percent-encoding undone; `None` for any other path.
pub(crate) fn object_of(path: &str) -> Option<String> {
    let encoded = path.strip_prefix(PREFIX)?;
    Some(percent_decode_str(encoded).decode_utf8().ok()?.into_owned())
}

fn now() -> u64 {
    // A clock before 1970 makes every URL expire, which is the safe side.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(u64::MAX / 2, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const A: &str = "wandb_artifacts/1/2/aa";

    fn query(url: &str) -> &str {
        url.split_once('?').unwrap().1
    }

    #[test]
    fn a_url_allows_its_object_and_method_and_nothing_else() {
        let signer = UrlSigner::new(&[7; 32], "http://h");
        let url = signer.download(A);
        assert!(signer.allows(A, Access::Read, query(&url)));
        assert!(
            signer
                .at("http://other")
                .allows(A, Access::Read, query(&url))
        );
        assert!(!signer.allows(A, Access::Write, query(&url)));
        assert!(!signer.allows("wandb_artifacts/1/2/ab", Access::Read, query(&url)));
        assert!(!UrlSigner::new(&[8; 32], "http://h").allows(A, Access::Read, query(&url)));
        assert!(!signer.allows(A, Access::Read, ""));
        assert!(!signer.allows(A, Access::Read, "expires=x&signature=zz"));
    }

    #[test]
    fn an_expired_url_allows_nothing_and_its_expiry_cannot_be_moved() {
        let signer = UrlSigner::new(&[7; 32], "http://h");
        let past = now() - 1;
        let url = signer.url(A, Access::Read, past);
        assert!(!signer.allows(A, Access::Read, query(&url)));
        let moved = query(&url).replacen(&past.to_string(), &(past + 60).to_string(), 1);
        assert!(!signer.allows(A, Access::Read, &moved));
    }

    #[test]
    fn objects_with_any_characters_read_back() {
        let signer = UrlSigner::new(&[7; 32], "http://h");
        for object in [A, "run_files/3/media/a b#?%é.txt"] {
            let url = signer.upload(object);
            let path = url
                .strip_prefix("http://h")
                .unwrap()
                .split_once('?')
                .unwrap()
                .0;
            assert_eq!(object_of(path).as_deref(), Some(object));
        }
        assert_eq!(object_of("/elsewhere"), None);
    }

    #[test]
    fn the_secret_survives_and_only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let url = UrlSigner::in_dir(dir.path(), "http://h")
            .unwrap()
            .download(A);
        let again = UrlSigner::in_dir(dir.path(), "http://h").unwrap();
        assert!(again.allows(A, Access::Read, query(&url)));
        let mode = dir
            .path()
            .join("url-secret")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
