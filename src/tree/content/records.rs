//! What one manifest entry says, in 32 bytes and, for the few that need it, some text beside.

use std::collections::HashMap;

use crate::model::{Digest, DigestAlgorithm};

/// "None" where a number of something else stands.
pub(super) const NONE: u32 = u32::MAX;

const XXH128: u64 = 1 << 63;
const NO_DIGEST: u64 = 1 << 62;
const NO_SIZE: u64 = 1 << 61;
const SIZE: u64 = NO_SIZE - 1;

/// An entry: digest, size with three flags in its top bits, birth artifact, place of its texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    digest: [u8; 16],
    size_and_flags: u64,
    /// Number among the tree's birth artifacts, or [`NONE`].
    pub(super) birth: u32,
    /// Place of its [`Extra`], or [`NONE`].
    pub(super) extra: u32,
}

impl Default for Record {
    fn default() -> Self {
        Self::new(None, None, NONE, NONE)
    }
}

impl Record {
    pub(super) fn new(digest: Option<Digest>, size: Option<u64>, birth: u32, extra: u32) -> Self {
        let mut size_and_flags = match size {
            Some(size) => size.min(SIZE),
            None => NO_SIZE,
        };
        match digest.map(Digest::algorithm) {
            None => size_and_flags |= NO_DIGEST,
            Some(DigestAlgorithm::Xxh128) => size_and_flags |= XXH128,
            Some(DigestAlgorithm::Md5) => {}
        }
        Self {
            digest: digest.map_or([0; 16], |digest| *digest.bytes()),
            size_and_flags,
            birth,
            extra,
        }
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        let algorithm = match self.size_and_flags {
            flags if flags & NO_DIGEST != 0 => return None,
            flags if flags & XXH128 != 0 => DigestAlgorithm::Xxh128,
            _ => DigestAlgorithm::Md5,
        };
        Some(Digest::new(algorithm, self.digest))
    }

    pub(super) fn size(&self) -> Option<u64> {
        (self.size_and_flags & NO_SIZE == 0).then_some(self.size_and_flags & SIZE)
    }
}

/// The texts of an entry that is a reference, or whose digest is not one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extra<'t> {
    /// The address of a reference.
    pub(super) url: Option<&'t str>,
    /// The digest as it is written.
    pub(super) etag: &'t str,
    /// `extra.versionID`.
    pub(super) version_id: Option<&'t str>,
    /// The manifest key, for writing: most addresses are a base that many share, and the key.
    pub(super) key: &'t str,
}

/// The same, as read back. An address is its base and either the entry's key or a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredExtra<'t> {
    pub(super) base: Option<&'t str>,
    pub(super) ends_in_key: bool,
    pub(super) etag: &'t str,
    pub(super) version_id: Option<&'t str>,
}

/// All extra texts in one arena: a reference of a million-object folder costs its ETag and a few
/// bytes more, not its address again.
#[derive(Debug, Default)]
pub(super) struct Texts {
    arena: Vec<u8>,
    bases: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

const HAS_URL: u8 = 1;
const ENDS_IN_KEY: u8 = 2;
const HAS_VERSION: u8 = 4;

impl Texts {
    /// Keeps the texts and says where; `None` when 32-bit offsets are used up.
    pub(super) fn add(&mut self, extra: &Extra<'_>) -> Option<u32> {
        let place = u32::try_from(self.arena.len()).ok()?;
        let base = extra
            .url
            .and_then(|url| url.strip_suffix(extra.key))
            .filter(|_| !extra.key.is_empty());
        let mut flags = 0;
        if extra.url.is_some() {
            flags |= HAS_URL;
        }
        if base.is_some() {
            flags |= ENDS_IN_KEY;
        }
        if extra.version_id.is_some() {
            flags |= HAS_VERSION;
        }
        self.arena.push(flags);
        if let Some(base) = base {
            let number = self.intern(base)?;
            self.arena.extend_from_slice(&number.to_le_bytes());
        } else if let Some(url) = extra.url {
            self.push(url)?;
        }
        self.push(extra.etag)?;
        if let Some(version) = extra.version_id {
            self.push(version)?;
        }
        Some(place)
    }

    /// The texts kept at `place`.
    pub(super) fn get(&self, place: u32) -> Option<StoredExtra<'_>> {
        let mut rest = self.arena.get(place as usize..)?;
        let (&flags, after) = rest.split_first()?;
        rest = after;
        let ends_in_key = flags & ENDS_IN_KEY != 0;
        let base = if ends_in_key {
            let (number, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            Some(&**self.bases.get(u32::from_le_bytes(*number) as usize)?)
        } else if flags & HAS_URL != 0 {
            Some(pull(&mut rest)?)
        } else {
            None
        };
        let etag = pull(&mut rest)?;
        let version_id = match flags & HAS_VERSION {
            0 => None,
            _ => Some(pull(&mut rest)?),
        };
        Some(StoredExtra {
            base,
            ends_in_key,
            etag,
            version_id,
        })
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.arena.capacity() + self.bases.iter().map(|base| base.len() + 16).sum::<usize>()
    }

    /// Drops what only writing needed.
    pub(super) fn shrink(&mut self) {
        self.numbers = HashMap::new();
        self.arena.shrink_to_fit();
    }

    fn push(&mut self, text: &str) -> Option<()> {
        let length = u32::try_from(text.len()).ok()?;
        self.arena.extend_from_slice(&length.to_le_bytes());
        self.arena.extend_from_slice(text.as_bytes());
        Some(())
    }

    fn intern(&mut self, base: &str) -> Option<u32> {
        if let Some(&number) = self.numbers.get(base) {
            return Some(number);
        }
        let number = u32::try_from(self.bases.len()).ok()?;
        self.bases.push(base.into());
        self.numbers.insert(base.into(), number);
        Some(number)
    }
}

fn pull<'t>(rest: &mut &'t [u8]) -> Option<&'t str> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}
