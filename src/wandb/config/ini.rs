//! The dialect of INI that the SDK's settings files are written in (Python's `configparser` with
//! its defaults), as far as `[default]` needs it.
//!
//! Keys are lower-cased; `=` and `:` both divide; `#` and `;` comment out a line of their own only;
//! an indented line continues the value above; `[DEFAULT]` in capitals holds values for every
//! section; the same key or section twice is an error, and so is a line that is neither.

use std::collections::BTreeMap;

/// Section that the SDK reads.
const SECTION: &str = "default";
/// Section whose values every other section inherits.
const INHERITED: &str = "DEFAULT";

/// Why a settings file cannot be read, with the number of the line from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IniError {
    /// A value before the first `[section]`.
    #[error("line {0}: a value before the first [section]")]
    NoSection(usize),
    /// Neither a section, a comment, nor `key = value`.
    #[error("line {0}: neither a [section] nor `key = value`")]
    NoKey(usize),
    /// The same section or key a second time.
    #[error("line {0}: {1} is there twice")]
    Twice(usize, String),
}

type Section = BTreeMap<String, String>;

/// The values of `[default]`; empty when the file has no such section.
///
/// # Errors
/// [`IniError`] where `configparser` would refuse the file.
pub(crate) fn default_section(text: &str) -> Result<Section, IniError> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current: Option<String> = None;
    let mut key: Option<(String, usize)> = None; // the key that a deeper line continues

    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let indent = raw.len() - raw.trim_start().len();
        if let (Some(section), Some((key, depth))) = (&current, &key)
            && indent > *depth
            && let Some(value) = sections.get_mut(section).and_then(|s| s.get_mut(key))
        {
            value.push('\n');
            value.push_str(line);
            continue;
        }
        if let Some(name) = section_name(line) {
            let known = sections.contains_key(name);
            if known && name != INHERITED {
                return Err(IniError::Twice(number, format!("[{name}]")));
            }
            sections.entry(name.to_owned()).or_default();
            current = Some(name.to_owned());
            key = None;
            continue;
        }
        let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) else {
            return Err(IniError::NoSection(number));
        };
        let (name, value) = line
            .split_once(['=', ':'])
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or(IniError::NoKey(number))?;
        let name = name.trim().to_lowercase();
        if section
            .insert(name.clone(), value.trim().to_owned())
            .is_some()
        {
            return Err(IniError::Twice(number, name));
        }
        key = Some((name, indent));
    }
    let Some(own) = sections.remove(SECTION) else {
        return Ok(Section::new());
    };
    let mut merged = sections.remove(INHERITED).unwrap_or_default();
    merged.extend(own);
    Ok(merged)
}

fn section_name(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    let end = inner.rfind(']')?;
    (end > 0).then(|| &inner[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_default_section_counts_and_both_delimiters_divide() {
        let text = "[other]\nentity = no\n[default]\nBase_URL: http://h:1\nentity=me # not a comment\n; comment\n";
        let values = default_section(text).unwrap();
        assert_eq!(values["base_url"], "http://h:1");
        assert_eq!(values["entity"], "me # not a comment");
    }

    #[test]
    fn capital_default_is_inherited_and_indented_lines_continue() {
        let text = "[DEFAULT]\nentity = all\nproject = p\n[default]\nentity = one\n  two\n";
        let values = default_section(text).unwrap();
        assert_eq!(values["entity"], "one\ntwo");
        assert_eq!(values["project"], "p");
    }

    #[test]
    fn what_configparser_refuses_is_refused() {
        assert_eq!(default_section("a = 1\n"), Err(IniError::NoSection(1)));
        assert_eq!(
            default_section("[default]\nnothing\n"),
            Err(IniError::NoKey(2))
        );
        assert!(matches!(
            default_section("[default]\na=1\na=2\n"),
            Err(IniError::Twice(3, _))
        ));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s)[\\[\\]=:#a-z \\n]{0,200}") {
            let _ = default_section(&text);
        }
    }
}
