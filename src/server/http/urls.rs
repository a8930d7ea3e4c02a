//! URLs that carry their own permission.
//!
//! W&B hands out URLs of an object store that work without credentials for about an hour. Here the
//! permission is an HMAC-SHA256 over method, path and expiry, so a URL made for reading one object
//! can neither write it nor read another. Host and port are not part of it: one server may be
//! reached under several names.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

use crate::server::digest::{Algorithm, Digest};

/// Path prefix of all signed URLs.
pub(crate) const PREFIX: &str = "/storage/";

/// How long a URL works. W&B's clients take an hour for granted (protocol §9.4).
const LIFETIME: Duration = Duration::from_secs(3600);

/// Characters that stay as they are in a path segment (RFC 3986 `unreserved`).
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a signed URL gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// Content of a stored file; its URL contains `wandb_artifacts/`.
    Blob(Digest),
    /// A manifest, named by its digest; its URL ends in `wandb_manifest.json` and does not contain
    /// `wandb_artifacts/`, two facts the SDK's tests rely on.
    Manifest(Digest),
    /// A file of a run, which has no digest before it arrives.
    RunFile {
        /// Row of the run.
        run: i64,
        /// Name within the run, slashes included.
        name: String,
    },
}

impl Object {
    /// Path of the object's URLs.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Blob(digest) => {
                format!("{PREFIX}wandb_artifacts/{}/{}", digest.algorithm.as_str(), digest.hex())
            }
            Self::Manifest(digest) => format!(
                "{PREFIX}manifests/{}/{}/wandb_manifest.json",
                digest.algorithm.as_str(),
                digest.hex()
            ),
            Self::RunFile { run, name } => {
                format!("{PREFIX}run_files/{run}/{}", utf8_percent_encode(name, SEGMENT))
            }
        }
    }

    /// Reads [`Object::path`] back, whatever else was percent-encoded on the way.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix(PREFIX)?.split('/').collect();
        let digest = |name: &str, hex: &str| Digest::from_hex(Algorithm::from_name(name)?, hex);
        match segments[..] {
            ["wandb_artifacts", algorithm, hex] => Some(Self::Blob(digest(algorithm, hex)?)),
            ["manifests", algorithm, hex, "wandb_manifest.json"] => {
                Some(Self::Manifest(digest(algorithm, hex)?))
            }
            ["run_files", run, name] => Some(Self::RunFile {
                run: run.parse().ok()?,
                name: percent_decode_str(name).decode_utf8().ok()?.into_owned(),
            }),
            _ => None,
        }
    }
}

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
#[derive(Clone)]
pub(crate) struct UrlSigner {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UrlSigner")
    }
}

impl UrlSigner {
    /// A signer with this secret.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        // HMAC pads or hashes keys of any length; the error of `new_from_slice` cannot occur, and
        // the block-sized constructor has none.
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(secret);
        Self { mac: Hmac::new(&block.into()) }
    }

    /// The signer of a data directory, whose secret survives restarts in a file of mode 0600.
    ///
    /// # Errors
    /// When the file can be neither read nor made.
    pub(crate) fn in_dir(dir: &Path) -> std::io::Result<Self> {
        let text = crate::server::secrets::read_or_create(&dir.join("url-secret"))?;
        let mut secret = [0; 32];
        hex::decode_to_slice(text.trim(), &mut secret).map_err(std::io::Error::other)?;
        Ok(Self::new(&secret))
    }

    /// URL for reading `object` during the next hour.
    pub(crate) fn download_url(&self, base_url: &str, object: &Object) -> String {
        self.url(base_url, object, Access::Read, expiry_from_now())
    }

    /// URL for writing `object` during the next hour.
    pub(crate) fn upload_url(&self, base_url: &str, object: &Object) -> String {
        self.url(base_url, object, Access::Write, expiry_from_now())
    }

    fn url(&self, base_url: &str, object: &Object, access: Access, expires: u64) -> String {
        let path = object.path();
        let signature = hex::encode(self.mac_of(&path, access, expires).finalize().into_bytes());
        format!("{base_url}{path}?expires={expires}&signature={signature}")
    }

    /// Whether `query` permits `access` to `object` now.
    pub(crate) fn allows(&self, object: &Object, access: Access, query: &str) -> bool {
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let Some(expires) = value("expires").and_then(|text| text.parse::<u64>().ok()) else {
            return false;
        };
        let Some(signature) = value("signature").and_then(|text| hex::decode(text).ok()) else {
            return false;
        };
        self.mac_of(&object.path(), access, expires).verify_slice(&signature).is_ok()
            && expires > now()
    }

    fn mac_of(&self, path: &str, access: Access, expires: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(format!("{}\n{path}\n{expires}", access.verb()).as_bytes());
        mac
    }
}

fn expiry_from_now() -> u64 {
    now() + LIFETIME.as_secs()
}

fn now() -> u64 {
    // A clock before 1970 makes every URL expire, which is the safe side.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX / 2, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn blob(content: &[u8]) -> Object {
        Object::Blob(Digest::of(Algorithm::Md5, content))
    }

    fn query(url: &str) -> &str {
        url.split_once('?').unwrap().1
    }

    #[test]
    fn a_url_allows_its_object_and_method_and_nothing_else() {
        let signer = UrlSigner::new(&[7; 32]);
        let url = signer.download_url("http://h", &blob(b"a"));
        assert!(signer.allows(&blob(b"a"), Access::Read, query(&url)));
        assert!(!signer.allows(&blob(b"a"), Access::Write, query(&url)));
        assert!(!signer.allows(&blob(b"b"), Access::Read, query(&url)));
        assert!(!UrlSigner::new(&[8; 32]).allows(&blob(b"a"), Access::Read, query(&url)));
        assert!(!signer.allows(&blob(b"a"), Access::Read, ""));
        assert!(!signer.allows(&blob(b"a"), Access::Read, "expires=x&signature=zz"));
    }

    #[test]
    fn an_expired_url_allows_nothing_and_its_expiry_cannot_be_moved() {
        let signer = UrlSigner::new(&[7; 32]);
        let url = signer.url("http://h", &blob(b"a"), Access::Read, now() - 1);
        assert!(!signer.allows(&blob(b"a"), Access::Read, query(&url)));
        let moved = query(&url).replacen(
            &format!("expires={}", now() - 1),
            &format!("expires={}", now() + 60),
            1,
        );
        assert!(!signer.allows(&blob(b"a"), Access::Read, &moved));
    }

    #[test]
    fn paths_read_back_and_have_the_marks_the_sdk_looks_for() {
        let digest = Digest::of(Algorithm::Xxh128, b"a");
        for object in [
            blob(b"a"),
            Object::Blob(digest),
            Object::Manifest(digest),
            Object::RunFile { run: 3, name: "media/a b#?%.txt".into() },
        ] {
            assert_eq!(Object::from_path(&object.path()), Some(object));
        }
        assert!(blob(b"a").path().contains("wandb_artifacts/"));
        let manifest = Object::Manifest(digest).path();
        assert!(manifest.contains("wandb_manifest.json") && !manifest.contains("wandb_artifacts/"));
        assert_eq!(Object::from_path("/storage/wandb_artifacts/md5/../../x"), None);
    }
}
