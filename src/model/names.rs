//! Names that the server can have at a level, checked once (protocol §3.2).
//!
//! Listings may hold names wider than the creation rules, so these types refuse only what a server
//! cannot have: that is what lets a lookup of `.git` beside projects fail without a request.

use std::fmt;
use std::sync::Arc;

/// Longest name the server stores, in characters (protocol §3.2, server limit).
const MAX_NAME_CHARS: usize = 128;

/// A name that cannot exist at its level, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be {what}: {why}")]
pub struct NameError {
    name: String,
    what: &'static str,
    why: &'static str,
}

/// Not empty, at most 128 characters, no `/`, no NUL. Clones by reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValidName(Arc<str>);

impl ValidName {
    fn check(text: &str, what: &'static str, forbidden: &[char]) -> Result<Self, NameError> {
        let refuse = |why| NameError {
            name: text.chars().take(160).collect(),
            what,
            why,
        };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.chars().count() > MAX_NAME_CHARS {
            return Err(refuse("it has more than 128 characters"));
        }
        if text.contains(forbidden) || text.contains('\0') {
            return Err(refuse("it holds a character that is not allowed there"));
        }
        Ok(Self(text.into()))
    }

    /// The name as the server spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ValidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for ValidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $forbidden:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(ValidName);

        impl $name {
            /// Checks a name.
            ///
            /// # Errors
            /// [`NameError`] when the server cannot have such a name at this level.
            pub fn new(text: &str) -> Result<Self, NameError> {
                ValidName::check(text, $what, $forbidden).map(Self)
            }

            /// The name as the server spells it.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name_type!(
    /// Name of a user, team or organisation entity.
    EntityName, "an entity", &['/', '\\', '#', '?', '%', ':', '\r', '\n', ' ']
);
name_type!(
    /// Name of a project, or of a registry's project `wandb-registry-<name>`.
    ProjectName, "a project", &['/', '\\', '#', '?', '%', ':', '\r', '\n']
);
name_type!(
    /// Name of an artifact type.
    TypeName, "an artifact type", &['/', ':']
);
name_type!(
    /// Name of a collection. Listings may hold spaces and other characters that creation refuses.
    CollectionName, "a collection", &['/', ':']
);
name_type!(
    /// Id of a run as it stands in URLs (`Run.name` on the wire).
    RunName, "a run", &['/']
);

impl EntityName {
    /// Whether a lookup of `text` beside entities may go to the server at all: entity names hold
    /// letters, digits, `-` and `_` only, so editors' and desktops' probes (`.git`, `.Trash-0`,
    /// `autorun.inf`) are answered here.
    pub fn is_possible(text: &str) -> bool {
        Self::new(text).is_ok()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    }
}

/// Number of a version within its collection, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionIndex(pub u64);

impl VersionIndex {
    /// Reads `v<digits>`; anything else, leading zeros included (`v07`), is an alias.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('v')?;
        let canonical = digits == "0" || !digits.starts_with('0');
        if digits.is_empty() || !canonical || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().map(Self)
    }
}

impl fmt::Display for VersionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// What stands behind the colon of `collection:…`: a version index, or an alias, digest or commit
/// hash (protocol §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionSelector {
    /// `vN`.
    Index(VersionIndex),
    /// Any other name; the server decides whether it is an alias, a digest or a commit hash.
    Name(Arc<str>),
}

impl VersionSelector {
    /// Reads what a person or a directory entry wrote.
    ///
    /// # Errors
    /// [`NameError`] for the empty text, NUL, a newline, or more than 128 characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match VersionIndex::parse(text) {
            Some(index) => Ok(Self::Index(index)),
            None => ValidName::check(text, "a version or alias", &['\r', '\n'])
                .map(|name| Self::Name(name.0)),
        }
    }
}

impl fmt::Display for VersionSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The server's global id of an artifact version; opaque text. Clones by reference count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactId(Arc<str>);

impl ArtifactId {
    /// Takes the id as the server wrote it.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The id as the server wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_canonical_numbers_are_version_indexes() {
        assert_eq!(VersionIndex::parse("v0"), Some(VersionIndex(0)));
        assert_eq!(VersionIndex::parse("v17"), Some(VersionIndex(17)));
        for text in [
            "v",
            "v07",
            "v-1",
            "V1",
            "v1x",
            "latest",
            "v99999999999999999999999",
        ] {
            assert_eq!(VersionIndex::parse(text), None, "{text}");
        }
    }

    #[test]
    fn probes_of_desktops_and_editors_are_no_entities() {
        for text in [".git", ".Trash-0", "autorun.inf", "", "a b", "a/b"] {
            assert!(!EntityName::is_possible(text), "{text}");
        }
        for text in ["my-team", "user_1", "Ünïcode"] {
            assert!(EntityName::is_possible(text), "{text}");
        }
    }

    #[test]
    fn names_over_128_characters_are_refused_and_say_so() {
        let error = CollectionName::new(&"x".repeat(129)).unwrap_err();
        assert!(error.to_string().contains("128"), "{error}");
        assert!(CollectionName::new(&"ü".repeat(128)).is_ok());
    }
}
