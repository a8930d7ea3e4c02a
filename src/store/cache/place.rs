//! Where a content lies below the cache directory.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::model::Digest;

/// Name of a content in the cache. 33 bytes, `Copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// By content hash, the SDK's `obj/md5` and `obj/xxh128`.
    Hash(Digest),
    /// A referenced object by address and ETag, the SDK's `obj/etag`.
    Etag([u8; 32]),
    /// A manifest by version id and digest; the SDK does not cache manifests.
    Manifest([u8; 32]),
}

impl Place {
    /// Place of a referenced object (protocol §10.1).
    pub(crate) fn etag(url: &str, etag: &str) -> Self {
        Self::Etag(pair(url, etag))
    }

    /// Place of a manifest.
    pub(crate) fn manifest(artifact: &str, digest: &str) -> Self {
        Self::Manifest(pair(artifact, digest))
    }

    /// Path of the content below the cache directory.
    pub(crate) fn path(&self, root: &Path) -> PathBuf {
        let above = match self {
            Self::Hash(_) | Self::Etag(_) => "artifacts/obj",
            Self::Manifest(_) => "wandbfs",
        };
        root.join(above).join(self.below())
    }

    /// Path of its marker below the cache directory.
    pub(crate) fn marker(&self, root: &Path) -> PathBuf {
        root.join("wandbfs/index").join(self.below())
    }

    /// Directory name of its kind.
    fn kind(&self) -> &'static str {
        match self {
            Self::Hash(digest) => digest.algorithm().name(),
            Self::Etag(_) => "etag",
            Self::Manifest(_) => "manifest",
        }
    }

    /// Its name in hexadecimal digits.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Hash(digest) => digest.to_hex(),
            Self::Etag(key) | Self::Manifest(key) => hex::encode(key),
        }
    }

    fn below(&self) -> PathBuf {
        let name = self.name();
        let (first, rest) = name.split_at(2);
        Path::new(self.kind()).join(first).join(rest)
    }

    /// Reads a marker's path back: kind, the two digits, the rest.
    pub(crate) fn parse(kind: &str, first: &str, rest: &str) -> Option<Self> {
        use crate::model::DigestAlgorithm::{Md5, Xxh128};
        let bytes = hex::decode(format!("{first}{rest}")).ok()?;
        if first.len() != 2 {
            return None;
        }
        match kind {
            "md5" => Some(Self::Hash(Digest::new(Md5, bytes.try_into().ok()?))),
            "xxh128" => Some(Self::Hash(Digest::new(Xxh128, bytes.try_into().ok()?))),
            "etag" => Some(Self::Etag(bytes.try_into().ok()?)),
            "manifest" => Some(Self::Manifest(bytes.try_into().ok()?)),
            _ => None,
        }
    }
}

/// SHA-256 of the two SHA-256 sums, as the SDK makes the key of a referenced object.
fn pair(first: &str, second: &str) -> [u8; 32] {
    let mut outer = Sha256::new();
    outer.update(Sha256::digest(first.as_bytes()));
    outer.update(Sha256::digest(second.as_bytes()));
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::DigestAlgorithm;

    #[test]
    fn contents_lie_where_the_sdk_looks_for_them() {
        let hi = crate::store::hash::of_bytes(DigestAlgorithm::Md5, b"hi");
        assert_eq!(
            Place::Hash(hi).path(Path::new("/c")),
            Path::new("/c/artifacts/obj/md5/49/f68a5c8493ec2c0bf489821c21fc3b")
        );
        // Made with the SDK's own formula.
        assert_eq!(
            Place::etag("http://x.test/a", "tag").path(Path::new("/c")),
            Path::new("/c/artifacts/obj/etag/14")
                .join("731f67b0b1d6c33f8d94ffda18c07b297bb85e9eab33aadcb92a09e855e534")
        );
    }

    #[test]
    fn a_marker_is_read_back_as_the_place_that_made_it() {
        let places = [
            Place::Hash(crate::store::hash::of_bytes(DigestAlgorithm::Md5, b"a")),
            Place::Hash(crate::store::hash::of_bytes(DigestAlgorithm::Xxh128, b"a")),
            Place::etag("u", "e"),
            Place::manifest("id", "digest"),
        ];
        for place in places {
            let below = place.below();
            let parts: Vec<_> = below.iter().map(|part| part.to_str().unwrap()).collect();
            assert_eq!(Place::parse(parts[0], parts[1], parts[2]), Some(place));
        }
    }
}
