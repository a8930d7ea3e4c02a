//! File names for names of the server, and back.
//!
//! A name is a file name as it is, except where a file system cannot have it or where it would hide
//! something. The rules, all reversible ([`decode`] of [`escape`] is the identity):
//!
//! 1. `/` is `%2F`, NUL is `%00`, the whole names `.` and `..` are `%2E` and `%2E%2E`.
//! 2. A name that this level needs for itself (`collection.json`), or for which desktops and
//!    version control probe everywhere (`.git`), has its first character encoded: `%63ollection.json`.
//! 3. A literal `%` is `%25` where two hex digits or `~` follow, so that nothing reads as an escape
//!    that is not one.
//! 4. Over 255 bytes the encoded name is cut and ends in `%~` and 32 hex digits of the SHA-256 of the
//!    whole name. Such a name is found by comparing, for no request can be made from it.
//!
//! Only the form that `escape` writes is a name; `%61` for a plain `a` is nothing, so that no node
//! has two names.

use std::borrow::Cow;
use std::ffi::OsStr;

use sha2::{Digest as _, Sha256};

/// Longest file name of Linux (`NAME_MAX`), in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Mark between the head of a shortened name and its hash.
const SHORTENED: &str = "%~";

/// Hex digits of the hash: 128 bits, beyond what somebody who writes a manifest can make collide.
const HASH_DIGITS: usize = 32;

/// Directories whose children are named by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Entities.
    Root,
    /// Projects.
    Entity,
    /// Artifact types.
    Project,
    /// Collections.
    Type,
    /// Aliases.
    Collection,
}

impl Level {
    /// Names of this level that are ours, views included.
    pub(crate) fn fixed(self) -> &'static [&'static str] {
        match self {
            Self::Root => &["README.md", STATE],
            Self::Entity => &["entity.json", STATE],
            Self::Project => &["project.json", ".runs", STATE],
            Self::Type => &["type.json", ".order", ".filter", ".tags", STATE],
            Self::Collection => &["collection.json", ".order", ".filter", ".tags", STATE],
        }
    }

    fn reserves(self, name: &str) -> bool {
        self.fixed().contains(&name) || is_probe(name)
    }

    /// The file name for `name` at this level.
    pub(crate) fn escape(self, name: &str) -> String {
        escape(name, self.reserves(name)).into_owned()
    }

    /// What a lookup of `file` at this level asks for.
    pub(crate) fn decode(self, file: &OsStr) -> Decoded {
        let Some(file) = file.to_str() else {
            return Decoded::Impossible; // names of the server are UTF-8
        };
        if is_shortened(file) {
            return Decoded::Shortened;
        }
        match unescape(file) {
            Some(name) if self.escape(&name) == file => Decoded::Name(name),
            _ => Decoded::Impossible,
        }
    }
}

/// Directory of the state of the mount, at the mount point only, reserved where that may be.
pub(crate) const STATE: &str = ".wandbfs";

/// What a file name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// This name of the server.
    Name(String),
    /// A name that was cut; only comparing with the names of a listing tells which.
    Shortened,
    /// Nothing that the server could have.
    Impossible,
}

/// Names for which file managers, version control and Windows clients look in every directory.
/// None of them is worth a request; a server's object of that name has its first character encoded.
fn is_probe(name: &str) -> bool {
    const PROBES: &[&str] = &[
        ".git",
        ".hg",
        ".svn",
        ".bzr",
        ".hidden",
        ".directory",
        ".xdg-volume-info",
        ".Trash",
        ".DS_Store",
        ".localized",
        "autorun.inf",
        "desktop.ini",
        "Thumbs.db",
    ];
    PROBES.contains(&name) || name.starts_with(".Trash-") || name.starts_with("._")
}

/// Encodes a name; with `first` its first plain character too (rule 2). Borrowed when nothing
/// has to be done.
pub(crate) fn escape(name: &str, first: bool) -> Cow<'_, str> {
    if !first && is_plain(name) {
        return Cow::Borrowed(name);
    }
    let mut encoded = String::with_capacity(name.len() + 8);
    let mut owed = first;
    for (at, character) in name.char_indices() {
        let dots = name == "." || name == "..";
        if dots || must_encode(name.as_bytes(), at) || owed {
            owed = owed && (dots || must_encode(name.as_bytes(), at));
            push_encoded(&mut encoded, character);
        } else {
            encoded.push(character);
        }
    }
    if name.is_empty() || owed {
        return Cow::Owned(format!("{SHORTENED}{}", hash(name)));
    }
    if encoded.len() > MAX_NAME_BYTES {
        shorten(&mut encoded, name);
    }
    Cow::Owned(encoded)
}

/// Another file name for an escaped name that somebody else has: its first plain character is encoded
/// too, or it becomes its hash where there is none.
pub(crate) fn escape_again(escaped: &str) -> String {
    let bytes = escaped.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'%')
        && hex_digit(bytes, at + 1).is_some()
        && hex_digit(bytes, at + 2).is_some()
    {
        at += 3;
    }
    let Some(character) = escaped[at..]
        .chars()
        .next()
        .filter(|_| !is_shortened(escaped))
    else {
        return format!("{SHORTENED}{}", hash(escaped));
    };
    let mut name = escaped[..at].to_owned();
    push_encoded(&mut name, character);
    name.push_str(&escaped[at + character.len_utf8()..]);
    if name.len() > MAX_NAME_BYTES {
        shorten(&mut name, escaped);
    }
    name
}

/// Undoes rules 1 to 3; `None` where the bytes are no UTF-8 or nothing is left.
pub(crate) fn unescape(file: &str) -> Option<String> {
    let bytes = file.as_bytes();
    let mut name = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) = (hex_digit(bytes, at + 1), hex_digit(bytes, at + 2))
        {
            name.push(high << 4 | low);
            at += 3;
        } else {
            name.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_NAME_BYTES
        && name != "."
        && name != ".."
        && !bytes
            .iter()
            .enumerate()
            .any(|(at, byte)| matches!(byte, b'/' | 0 | b'%') && must_encode(bytes, at))
}

fn must_encode(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b'/' | 0 => true,
        b'%' => {
            bytes.get(at + 1) == Some(&b'~')
                || (hex_digit(bytes, at + 1).is_some() && hex_digit(bytes, at + 2).is_some())
        }
        _ => false,
    }
}

fn hex_digit(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = char::from(*bytes.get(at)?).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn push_encoded(out: &mut String, character: char) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut buffer = [0; 4];
    for byte in character.encode_utf8(&mut buffer).bytes() {
        out.push('%');
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn shorten(encoded: &mut String, name: &str) {
    let mut cut = MAX_NAME_BYTES - SHORTENED.len() - HASH_DIGITS;
    while !encoded.is_char_boundary(cut) {
        cut -= 1;
    }
    for back in 1..=2 {
        if encoded.as_bytes()[cut - back] == b'%' {
            cut -= back; // never half an escape
            break;
        }
    }
    encoded.truncate(cut);
    encoded.push_str(SHORTENED);
    encoded.push_str(&hash(name));
}

fn hash(name: &str) -> String {
    hex::encode(&Sha256::digest(name.as_bytes())[..HASH_DIGITS / 2])
}

/// Whether a file name has the form that rule 4 writes. No other name has it, by rule 3.
pub(crate) fn is_shortened(file: &str) -> bool {
    file.rsplit_once(SHORTENED).is_some_and(|(_, digits)| {
        digits.len() == HASH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn nasty() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("%".to_owned()),
            Just("%2F".to_owned()),
            Just("%~".to_owned()),
            Just("/".to_owned()),
            Just("\0".to_owned()),
            Just(".".to_owned()),
            Just("2f".to_owned()),
            Just("ü".to_owned()),
            Just("collection.json".to_owned()),
            Just(".git".to_owned()),
            "[a-c%/]{1,3}",
            Just("x".repeat(130)),
        ];
        proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn decoding_what_was_escaped_gives_the_name_back(name in nasty()) {
            for level in [Level::Root, Level::Project, Level::Collection] {
                let file = level.escape(&name);
                prop_assert!(file.len() <= MAX_NAME_BYTES && !file.is_empty());
                prop_assert!(!file.contains(['/', '\0']) && file != "." && file != "..");
                prop_assert!(!level.reserves(&file));
                match level.decode(OsStr::new(&file)) {
                    Decoded::Name(back) => prop_assert_eq!(back, name.clone()),
                    Decoded::Shortened => prop_assert!(is_shortened(&file)),
                    Decoded::Impossible => prop_assert!(false, "{} is lost", file),
                }
            }
        }

        #[test]
        fn different_names_have_different_files(one in nasty(), other in nasty()) {
            prop_assume!(one != other);
            prop_assert_ne!(Level::Collection.escape(&one), Level::Collection.escape(&other));
            prop_assert_ne!(escape(&one, false), escape(&other, true));
        }
    }

    #[test]
    fn names_are_kept_unless_they_offend() {
        for (name, file) in [
            ("plain-1.0", "plain-1.0"),
            ("100%", "100%"),
            ("50%~x", "50%25~x"),
            ("a/b", "a%2Fb"),
            ("%2F", "%252F"),
            ("..", "%2E%2E"),
            ("collection.json", "%63ollection.json"),
            (".git", "%2Egit"),
        ] {
            assert_eq!(Level::Collection.escape(name), file);
        }
    }

    #[test]
    fn an_encoding_that_nobody_needs_is_no_name() {
        for file in ["%61bc", "%2f", "collection.json", ".Trash-1000", ".git"] {
            let decoded = Level::Collection.decode(OsStr::new(file));
            assert_eq!(decoded, Decoded::Impossible, "{file}");
        }
    }
}
