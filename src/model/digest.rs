//! Content digests: MD5, or XXH128 where the manifest entry says so (protocol §7.1, §7.6).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Algorithm of a content digest, named per manifest entry (`extra.alg`); MD5 when it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum DigestAlgorithm {
    /// MD5 of the content.
    #[default]
    Md5,
    /// XXH3 with 128 bits, canonical (big-endian) byte order.
    Xxh128,
}

impl DigestAlgorithm {
    /// Directory name of the algorithm in the SDK's cache and suffix of the xattr: `md5`, `xxh128`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Xxh128 => "xxh128",
        }
    }
}

/// The 16 bytes that name a content, with their algorithm. 17 bytes, `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: [u8; 16],
}

/// Text that is not a digest: not standard base64, or not 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of a 16-byte digest: {text:?}")]
pub struct DigestError {
    /// The offending text, cut to 64 characters.
    pub text: String,
}

impl Digest {
    /// A digest from its raw bytes.
    pub fn new(algorithm: DigestAlgorithm, bytes: [u8; 16]) -> Self {
        Self { algorithm, bytes }
    }

    /// Parses the wire form: padded standard base64 of 16 bytes.
    ///
    /// # Errors
    /// [`DigestError`] for any other text (a reference's digest is often an ETag or a URL).
    pub fn from_base64(algorithm: DigestAlgorithm, text: &str) -> Result<Self, DigestError> {
        let refused = || DigestError {
            text: text.chars().take(64).collect(),
        };
        let bytes = STANDARD.decode(text).map_err(|_| refused())?;
        let bytes = bytes.try_into().map_err(|_| refused())?;
        Ok(Self { algorithm, bytes })
    }

    /// Which algorithm made the bytes.
    pub fn algorithm(self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The 16 raw bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The wire form: padded standard base64.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.bytes)
    }

    /// Lower-case hex, 32 digits: the form of cache paths and download handlers.
    pub fn to_hex(self) -> String {
        hex::encode(self.bytes)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.to_hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base64_and_hex_agree_with_the_protocols_vector_for_hello() {
        let digest = Digest::from_base64(DigestAlgorithm::Md5, "XUFAKrxLKna5cZ2REBfFkg==").unwrap();
        assert_eq!(digest.to_hex(), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(digest.to_base64(), "XUFAKrxLKna5cZ2REBfFkg==");
    }

    #[test]
    fn text_of_another_length_or_alphabet_is_refused() {
        for text in [
            "",
            "abc",
            "XUFAKrxLKna5cZ2REBfFkg",
            "http://example.test/x",
            "AAAA",
        ] {
            assert!(
                Digest::from_base64(DigestAlgorithm::Md5, text).is_err(),
                "{text}"
            );
        }
    }
}
