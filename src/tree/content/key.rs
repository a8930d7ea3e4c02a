//! From a manifest's key to a path of file names that cannot leave `files/`.
//!
//! Keys were written by somebody else (protocol §8). Each `/` between two components separates them;
//! every other `/` (leading, doubled, trailing) belongs to the component beside it and is encoded like
//! any byte that a file name cannot hold, so the mapping is one to one and drops nothing:
//! `/etc/x` is `%2Fetc/x`, `a//b` is `a/%2Fb`, `../x` is `%2E%2E/x`.

use std::borrow::Cow;

use crate::tree::names;

/// Deepest nesting that becomes directories; what is below is one encoded name. Paths of Linux end at
/// 4,096 bytes, and one long key of slashes must not become millions of directories.
const MAX_DEPTH: usize = 256;

/// Between components in an encoded path: sorts before every byte of a name, as no name holds it.
pub(super) const SEPARATOR: u8 = 0;

/// Why a key is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    /// A leading, doubled or trailing `/`, or the empty key.
    Empty,
    /// `.` or `..`.
    Dots,
    /// A NUL.
    Nul,
    /// `C:\…`, `C:/…` or `\\host\…`; plain characters here, an absolute path where it was written.
    Windows,
    /// A component over 255 bytes, or over 256 components.
    TooLong,
}

impl Oddity {
    /// The sentence for the error log.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Empty => "the path is absolute or has empty components",
            Self::Dots => "the path has `.` or `..` components",
            Self::Nul => "the path holds a NUL",
            Self::Windows => "the path is absolute on Windows; its characters are kept as they are",
            Self::TooLong => "a component is over 255 bytes or the path over 256 levels",
        }
    }
}

/// The components of `key` as file names, joined by [`SEPARATOR`], and what is odd about it.
pub(super) fn encode(key: &str, out: &mut Vec<u8>) -> Option<Oddity> {
    let mut oddity = windows(key);
    for (number, component) in Components::new(key).enumerate() {
        if number > 0 {
            out.push(SEPARATOR);
        }
        let name = names::escape(component, false);
        if let Cow::Owned(_) = name {
            oddity = why(component, &name).or(oddity);
        }
        out.extend_from_slice(name.as_bytes());
    }
    if key.is_empty() {
        out.extend_from_slice(names::escape("", false).as_bytes());
        oddity = Some(Oddity::Empty);
    }
    oddity
}

fn why(component: &str, name: &str) -> Option<Oddity> {
    if component == "." || component == ".." {
        return Some(Oddity::Dots);
    }
    if component.contains('\0') {
        return Some(Oddity::Nul);
    }
    if names::is_shortened(name) || component.trim_matches('/').contains('/') {
        return Some(Oddity::TooLong);
    }
    component.contains('/').then_some(Oddity::Empty) // a bare `%41` is escaped, but nothing is odd
}

fn windows(key: &str) -> Option<Oddity> {
    let bytes = key.as_bytes();
    let drive = bytes.len() >= 3
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    (drive || key.starts_with("\\\\")).then_some(Oddity::Windows)
}

/// Splits a key; concatenated with `/` between them, the items are the key again.
struct Components<'k> {
    rest: Option<&'k str>,
    depth: usize,
}

impl<'k> Components<'k> {
    fn new(key: &'k str) -> Self {
        Self {
            rest: (!key.is_empty()).then_some(key),
            depth: 0,
        }
    }
}

impl<'k> Iterator for Components<'k> {
    type Item = &'k str;

    fn next(&mut self) -> Option<&'k str> {
        let rest = self.rest.take()?;
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return Some(rest);
        }
        // A separator has something before it in its component and something behind it.
        let separator = rest
            .bytes()
            .skip(1)
            .position(|byte| byte == b'/')
            .map(|at| at + 1)
            .filter(|at| at + 1 < rest.len());
        match separator {
            Some(at) => {
                self.rest = Some(&rest[at + 1..]);
                Some(&rest[..at])
            }
            None => Some(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::names::MAX_NAME_BYTES;

    fn path(key: &str) -> (String, Option<Oddity>) {
        let mut out = Vec::new();
        let oddity = encode(key, &mut out);
        let text = String::from_utf8(out).unwrap().replace('\0', "/");
        (text, oddity)
    }

    #[test]
    fn every_nasty_key_has_one_place_below_files() {
        for (key, file, oddity) in [
            ("a/b.txt", "a/b.txt", None),
            ("a//b", "a/%2Fb", Some(Oddity::Empty)),
            ("/etc/passwd", "%2Fetc/passwd", Some(Oddity::Empty)),
            ("a/", "a%2F", Some(Oddity::Empty)),
            ("/", "%2F", Some(Oddity::Empty)),
            ("./a", "%2E/a", Some(Oddity::Dots)),
            ("../../x", "%2E%2E/%2E%2E/x", Some(Oddity::Dots)),
            ("a\0b", "a%00b", Some(Oddity::Nul)),
            (r"C:\a\b", r"C:\a\b", Some(Oddity::Windows)),
            (r"\\host\share", r"\\host\share", Some(Oddity::Windows)),
            (r"a\b", r"a\b", None),
            ("50%41", "50%2541", None),
        ] {
            assert_eq!(path(key), (file.to_owned(), oddity), "{key:?}");
        }
    }

    #[test]
    fn a_key_of_slashes_and_a_deep_one_stay_small() {
        let (deep, oddity) = path(&"a/".repeat(100_000));
        assert_eq!(deep.split('/').count(), MAX_DEPTH);
        assert!(deep.split('/').all(|name| name.len() <= MAX_NAME_BYTES));
        assert_eq!(oddity, Some(Oddity::TooLong));
    }

    #[test]
    fn components_join_to_the_key_again() {
        for key in ["a//b", "//a", "///", "a/", "/a/b//c/", "x", "a/b"] {
            let joined: Vec<&str> = Components::new(key).collect();
            assert_eq!(joined.join("/"), key);
        }
    }
}
