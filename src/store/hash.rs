//! Content hashes while the bytes come, in both algorithms that manifests name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use xxhash_rust::xxh3::Xxh3;

use super::md5::Md5;
use crate::model::{Digest, DigestAlgorithm};

/// Bytes read at a time when hashing a file: large enough to hide the system call, small enough to
/// stay in the processor's cache.
const BLOCK: usize = 256 << 10;

/// A hash being made.
pub(crate) enum Hasher {
    Md5(Md5),
    Xxh128(Box<Xxh3>),
}

impl Hasher {
    pub(crate) fn new(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Md5 => Self::Md5(Md5::new()),
            DigestAlgorithm::Xxh128 => Self::Xxh128(Box::new(Xxh3::new())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hash) => hash.update(bytes),
            Self::Xxh128(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Md5(hash) => Digest::new(DigestAlgorithm::Md5, hash.finish()),
            // Canonical form of XXH128 is big-endian, as the manifest writes it.
            Self::Xxh128(hash) => {
                Digest::new(DigestAlgorithm::Xxh128, hash.digest128().to_be_bytes())
            }
        }
    }

    /// Feeds bytes `from .. to` of a file. Blocking.
    pub(crate) fn update_from(&mut self, file: &File, from: u64, to: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK.min(usize::try_from(to - from).unwrap_or(BLOCK))];
        let mut at = from;
        while at < to {
            let length = usize::try_from(to - at).map_or(block.len(), |left| left.min(block.len()));
            file.read_exact_at(&mut block[..length], at)?;
            self.update(&block[..length]);
            at += length as u64;
        }
        Ok(())
    }
}

/// Digest of bytes in memory.
pub(crate) fn of_bytes(algorithm: DigestAlgorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_agree_with_known_vectors() {
        let md5 = of_bytes(DigestAlgorithm::Md5, b"hello");
        assert_eq!(md5.to_hex(), "5d41402abc4b2a76b9719d911017c592");
        let xxh = of_bytes(DigestAlgorithm::Xxh128, b"");
        assert_eq!(xxh.to_hex(), "99aa06d3014798d86001c324468d497f");
    }
}
