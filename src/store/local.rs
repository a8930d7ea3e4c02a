//! `file://` references, read only where the mount permits it.
//!
//! The file is copied into the cache while it is hashed, as the SDK does, because the original may
//! change at any time and a verified content must not.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use url::Url;

use super::cache::{Cache, Place, Scratch};
use super::disk_error;
use super::hash::Hasher;
use crate::model::{Digest, DigestAlgorithm, Error, ErrorKind, Origin};

/// Bytes copied at a time.
const BLOCK: usize = 1 << 20;

/// The local path that a reference names; `None` for every other origin.
pub(super) fn path_of(origin: &Origin) -> Option<PathBuf> {
    let Origin::Reference { url, .. } = origin else {
        return None;
    };
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// The MD5 that a `file://` reference was recorded with.
pub(super) fn digest_of(digest: Option<Digest>, etag: &str) -> Option<Digest> {
    digest.or_else(|| Digest::from_base64(DigestAlgorithm::Md5, etag).ok())
}

/// Copies the file, checks it, and keeps the copy. Blocking.
pub(super) fn import(
    cache: &Cache,
    origin: &Origin,
    place: Option<&Place>,
) -> Result<std::sync::Arc<File>, Error> {
    let path = path_of(origin).unwrap_or_default();
    let node = path.display().to_string();
    let Some(Place::Hash(expected)) = place else {
        let what = "the reference was recorded without a checksum of the content";
        return Err(Error::new(ErrorKind::Corrupt, node, what));
    };
    let file = File::open(&path).map_err(|cause| {
        let kind = match cause.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
            _ => ErrorKind::Io,
        };
        Error::caused_by(kind, &*node, "the referenced file cannot be opened", cause)
    })?;
    let copied = copy(cache, &file, *expected);
    let (scratch, size, digest) =
        copied.map_err(|cause| disk_error(&node, "the referenced file cannot be copied", cause))?;
    if digest != *expected {
        let what = "the referenced file changed since it was recorded";
        return Err(Error::new(ErrorKind::Corrupt, node, what));
    }
    Ok(cache.keep(&scratch, place, size).file())
}

fn copy(cache: &Cache, file: &File, like: Digest) -> std::io::Result<(Scratch, u64, Digest)> {
    let scratch = cache.scratch(file.metadata()?.len())?;
    let mut hasher = Hasher::new(like.algorithm());
    let mut block = vec![0; BLOCK];
    let mut size = 0;
    let mut reader = file;
    loop {
        let length = reader.read(&mut block)?;
        if length == 0 {
            return Ok((scratch, size, hasher.finish()));
        }
        hasher.update(&block[..length]);
        cache.write(&scratch, &[(size, &block[..length])])?;
        size += length as u64;
    }
}
