//! What a name, an alias, a tag, a type, a piece of metadata may be when it is written.
//!
//! Narrower than what exists (`names`): these are the checks that the SDK makes before it sends
//! anything, and the limits of the server where it states them (protocol §3.2).

use serde_json::{Map, Value};

use super::VersionIndex;

/// Longest name, alias or tag, in characters (protocol §3.2).
const MAX_CHARS: usize = 128;

/// Most keys at the top of a version's metadata (protocol §3.2).
const MAX_METADATA_KEYS: usize = 100;

/// Most tags in one mutation of a collection's tags (protocol §3.2).
pub const MAX_TAGS_PER_MUTATION: usize = 20;

/// Prefix of types that W&B keeps for itself (protocol §3.2).
const RESERVED_TYPE_PREFIX: &str = "wandb-";

/// Types kept for names with a prefix; the empty prefix keeps every name (protocol §3.2).
const RESERVED_BY_NAME: [(&str, &str); 3] =
    [("job", ""), ("run_table", "run-"), ("code", "source-")];

/// A rule of writing that was broken, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Empty.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// Over 128 characters.
    #[error("{what} {text:?} has more than 128 characters")]
    TooLong {
        /// What it should be.
        what: &'static str,
        /// Its first 128 characters.
        text: String,
    },
    /// A character that separates the parts of an address, or ends a text.
    #[error("{what} {text:?} must not hold {letter:?}")]
    Character {
        /// What it should be.
        what: &'static str,
        /// The text.
        text: String,
        /// The character.
        letter: char,
    },
    /// Not `^[-\w]+( +[-\w]+)*$`.
    #[error(
        "tag {0:?} must consist of letters, digits, hyphens and underscores, with spaces between"
    )]
    Tag(String),
    /// `vN` is a version's number, never an alias.
    #[error("alias {0:?} is the number of a version, which only the server gives")]
    VersionNumber(String),
    /// A type that W&B keeps for itself.
    #[error("type {0:?} is reserved for internal use")]
    ReservedType(String),
    /// Only sequences have a type that can change.
    #[error("the type of a portfolio cannot be changed")]
    PortfolioType,
    /// Too much metadata.
    #[error("metadata must not have more than 100 keys, not {0}")]
    MetadataKeys(usize),
    /// A time to live that is none.
    #[error("a time to live is a positive number of seconds, not {0}")]
    Ttl(i64),
}

fn bounded(what: &'static str, text: &str, forbidden: &[char]) -> Result<(), RuleError> {
    if text.is_empty() {
        return Err(RuleError::Empty(what));
    }
    if text.chars().count() > MAX_CHARS {
        let text = text.chars().take(MAX_CHARS).collect();
        return Err(RuleError::TooLong { what, text });
    }
    let letter = text
        .chars()
        .find(|letter| forbidden.contains(letter) || *letter == '\0');
    match letter {
        Some(letter) => {
            let text = text.to_owned();
            Err(RuleError::Character { what, text, letter })
        }
        None => Ok(()),
    }
}

/// Whether a collection may be renamed to `name`: no `/`, no `:` (which ends the name in every
/// address of a version), at most 128 characters.
///
/// # Errors
/// The rule it breaks.
pub fn collection_name(name: &str) -> Result<(), RuleError> {
    bounded("a collection's name", name, &['/', ':'])
}

/// Whether `alias` may be given to a version.
///
/// # Errors
/// The rule it breaks.
pub fn alias(alias: &str) -> Result<(), RuleError> {
    bounded("alias", alias, &['/', ':'])?;
    let digits = alias.strip_prefix('v').unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number || VersionIndex::parse(alias).is_some() {
        return Err(RuleError::VersionNumber(alias.to_owned()));
    }
    Ok(())
}

/// Whether `tag` may be put on a collection or a version.
///
/// # Errors
/// The rule it breaks.
pub fn tag(tag: &str) -> Result<(), RuleError> {
    bounded("tag", tag, &[])?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == ' ';
    let well_ended = !tag.starts_with(' ') && !tag.ends_with(' ');
    if well_ended && tag.chars().all(is_word) {
        Ok(())
    } else {
        Err(RuleError::Tag(tag.to_owned()))
    }
}

/// Whether a collection called `name` may have type `type_name`, become it, or leave it.
///
/// # Errors
/// The rule it breaks.
pub fn collection_type(type_name: &str, name: &str) -> Result<(), RuleError> {
    bounded("an artifact type", type_name, &['/', ':'])?;
    let by_name = RESERVED_BY_NAME
        .iter()
        .any(|(reserved, prefix)| *reserved == type_name && name.starts_with(prefix));
    if by_name || type_name.starts_with(RESERVED_TYPE_PREFIX) {
        return Err(RuleError::ReservedType(type_name.to_owned()));
    }
    Ok(())
}

/// Whether a version may have this metadata.
///
/// # Errors
/// The rule it breaks.
pub fn metadata(metadata: &Map<String, Value>) -> Result<(), RuleError> {
    if metadata.len() > MAX_METADATA_KEYS {
        return Err(RuleError::MetadataKeys(metadata.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn aliases_are_neither_addresses_nor_version_numbers() {
        for good in ["latest", "production", "v1.2", "1", "best of", "v1x", "ü"] {
            assert_eq!(alias(good), Ok(()), "{good}");
        }
        for bad in ["", "a/b", "a:b", "v3", "v03", "a\0b"] {
            assert!(alias(bad).is_err(), "{bad}");
        }
        assert!(alias(&"a".repeat(129)).is_err());
    }

    #[test]
    fn tags_are_words_with_spaces_between() {
        for good in ["gold", "to-do", "a b", "a  b", "ünïcode_1", "-"] {
            assert_eq!(tag(good), Ok(()), "{good}");
        }
        for bad in ["", " a", "a ", "a.b", "a\tb", "a/b"] {
            assert!(tag(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reserved_types_are_refused_for_the_names_they_are_reserved_for() {
        for (type_name, name, allowed) in [
            ("dataset", "mnist", true),
            ("job", "anything", false),
            ("run_table", "run-1", false),
            ("run_table", "table", true),
            ("code", "source-x", false),
            ("code", "mine", true),
            ("wandb-history", "x", false),
        ] {
            let answer = collection_type(type_name, name);
            assert_eq!(answer.is_ok(), allowed, "{type_name} {name}");
        }
    }

    #[test]
    fn metadata_ends_at_a_hundred_keys() {
        let of = |count: usize| (0..count).map(|n| (n.to_string(), Value::Null)).collect();
        assert_eq!(metadata(&of(100)), Ok(()));
        assert_eq!(metadata(&of(101)), Err(RuleError::MetadataKeys(101)));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_rule_panic(text in ".{0,200}") {
            let _ = (alias(&text), tag(&text), collection_name(&text), collection_type(&text, &text));
        }
    }
}
