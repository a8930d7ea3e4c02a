//! The syntax of API keys, checked before one is sent (protocol §1.3).

/// Fewest characters of the secret part of a key.
const MIN_SECRET_CHARS: usize = 40;

/// Why a text cannot be an API key. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Nothing there.
    #[error("the API key is empty")]
    Empty,
    /// White space at an end.
    #[error("the API key begins or ends with white space")]
    WhiteSpace,
    /// A character that no key has.
    #[error("the API key may only hold letters, digits, - and _")]
    Character,
    /// Too short: often half a key, or a password.
    #[error("the API key must have 40 characters or more, it has {0}")]
    TooShort(usize),
}

/// Checks the syntax of a key: a JWT (three segments), or a secret of 40 characters or more, with a
/// prefix up to the first `-` on servers on premises.
///
/// # Errors
/// [`ApiKeyError`] says what is wrong, without the key.
pub fn check(key: &str) -> Result<(), ApiKeyError> {
    if key.is_empty() {
        return Err(ApiKeyError::Empty);
    }
    if key.trim() != key {
        return Err(ApiKeyError::WhiteSpace);
    }
    let is_segment = |text: &str| !text.is_empty() && text.chars().all(is_key_character);
    if key.split('.').count() == 3 && key.split('.').all(is_segment) {
        return Ok(());
    }
    let secret = key.split_once('-').map_or(key, |(_, secret)| secret);
    if !is_segment(secret) {
        return Err(ApiKeyError::Character);
    }
    match secret.chars().count() {
        length if length < MIN_SECRET_CHARS => Err(ApiKeyError::TooShort(length)),
        _ => Ok(()),
    }
}

/// `[\w-]` of Python, where letters are those of any script.
fn is_key_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_each_make_pass() {
        for key in [
            "a".repeat(40),
            format!("local-{}", "b".repeat(40)),
            "a.b.c".into(),
            format!("wandb_v1_{}", "c".repeat(60)),
        ] {
            assert_eq!(check(&key), Ok(()), "{key}");
        }
    }

    #[test]
    fn each_problem_is_named_and_the_key_is_not() {
        assert_eq!(check(""), Err(ApiKeyError::Empty));
        assert_eq!(
            check(&format!(" {}", "a".repeat(40))),
            Err(ApiKeyError::WhiteSpace)
        );
        assert_eq!(check("abc"), Err(ApiKeyError::TooShort(3)));
        assert_eq!(
            check(&format!("local-{}", "b".repeat(39))),
            Err(ApiKeyError::TooShort(39))
        );
        assert_eq!(check(&"a$".repeat(20)), Err(ApiKeyError::Character));
        assert_eq!(check("local-"), Err(ApiKeyError::Character));
    }
}
