//! Content digests, the only thing that ever becomes a path on disk.

use md5::Digest as _;

/// Which hash names the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    /// MD5, W&B's default.
    Md5,
    /// XXH3 with 128 bits, big-endian.
    Xxh128,
}

/// A digest of some content; both algorithms give 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest {
    /// Which hash.
    pub(crate) algorithm: Algorithm,
    /// Its value.
    pub(crate) bytes: [u8; 16],
}

impl Digest {
    /// From 32 hexadecimal digits; anything else is `None`.
    pub(crate) fn from_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(hex, &mut bytes).ok()?;
        Some(Self { algorithm, bytes })
    }

    /// From W&B's form, padded standard base64; anything else is `None`.
    pub(crate) fn from_base64(algorithm: Algorithm, text: &str) -> Option<Self> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let bytes = STANDARD.decode(text).ok()?.try_into().ok()?;
        Some(Self { algorithm, bytes })
    }

    /// 32 lower-case hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        hex::encode(self.bytes)
    }

    /// W&B's form, padded standard base64.
    pub(crate) fn base64(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.encode(self.bytes)
    }

    /// Digest of bytes at hand.
    #[cfg(test)]
    pub(crate) fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }
}

/// Computes a [`Digest`] piece by piece.
#[derive(Clone)]
pub(crate) enum Hasher {
    /// Towards an MD5.
    Md5(md5::Md5),
    /// Towards an XXH128; boxed, since its state is 576 bytes.
    Xxh128(Box<xxhash_rust::xxh3::Xxh3>),
}

impl Hasher {
    /// Nothing hashed yet.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Xxh128 => Self::Xxh128(Box::default()),
        }
    }

    /// Adds a piece.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(piece),
            Self::Xxh128(hasher) => hasher.update(piece),
        }
    }

    /// The digest of all pieces.
    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Md5(hasher) => Digest {
                algorithm: Algorithm::Md5,
                bytes: hasher.finalize().into(),
            },
            Self::Xxh128(hasher) => Digest {
                algorithm: Algorithm::Xxh128,
                bytes: hasher.digest128().to_be_bytes(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn digests_of_hello_are_those_of_the_protocol() {
        assert_eq!(
            Digest::of(Algorithm::Md5, b"hello").base64(),
            "XUFAKrxLKna5cZ2REBfFkg=="
        );
        assert_eq!(
            Digest::of(Algorithm::Xxh128, b"hello").base64(),
            "tenBrQcbPn/Hec+qXlI4GA=="
        );
    }

    #[test]
    fn text_forms_read_back_and_bad_ones_do_not() {
        let digest = Digest::of(Algorithm::Md5, b"x");
        assert_eq!(
            Digest::from_hex(Algorithm::Md5, &digest.hex()),
            Some(digest)
        );
        assert_eq!(
            Digest::from_base64(Algorithm::Md5, &digest.base64()),
            Some(digest)
        );
        assert_eq!(Digest::from_hex(Algorithm::Md5, "../../etc/passwd"), None);
        assert_eq!(Digest::from_base64(Algorithm::Md5, "AAAA"), None);
    }
}
