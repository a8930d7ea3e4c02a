//! What a server says when it does not know a part of a document.

/// What the server said it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// A field, and the type on which it is unknown.
    Field(String, Option<String>),
    /// An argument, and the field that has none such.
    Argument(String, Option<String>),
    /// A variable, and the type its position wants.
    Variable(String, Option<String>),
    /// A type, of a variable or a fragment.
    Type(String),
    /// A fragment that cannot be spread where it is.
    Spread(String),
}

impl Complaint {
    /// What it is about, for a message.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Field(name, Some(parent)) => format!("{parent}.{name}"),
            Self::Argument(name, Some(field)) => format!("{field}({name}:)"),
            Self::Field(name, None)
            | Self::Argument(name, None)
            | Self::Variable(name, _)
            | Self::Type(name)
            | Self::Spread(name) => name.clone(),
        }
    }
}

/// Reads a complaint in the words of the common GraphQL implementations, whatever stands before
/// them (`input:LINE:COLUMN:`).
pub(crate) fn read(message: &str) -> Option<Complaint> {
    let names = quoted(message);
    let name = |index: usize| names.get(index).map(|text| (*text).to_owned());
    let says = |words: &str| message.contains(words);
    let first = name(0)?;
    if says("Cannot query field") || says("Unknown field") || says("doesn't exist on type") {
        Some(Complaint::Field(first, name(1)))
    } else if says("must not have a selection") || says("must have a selection") {
        Some(Complaint::Field(first, None))
    } else if says("Unknown argument") {
        let field = name(1).map(|field| match field.rsplit_once('.') {
            Some((_, field)) => field.to_owned(),
            None => field,
        });
        Some(Complaint::Argument(first, field))
    } else if says("doesn't accept argument") {
        Some(Complaint::Argument(name(1)?, Some(first)))
    } else if says("Variable") && (says("used in position") || says("never used")) {
        let variable = first.trim_start_matches('$').to_owned();
        Some(Complaint::Variable(variable, name(2)))
    } else if says("Unknown type") {
        Some(Complaint::Type(first))
    } else if says("cannot be spread here") {
        Some(Complaint::Spread(first))
    } else {
        None
    }
}

/// The texts between quotes of any kind, in order.
fn quoted(message: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(start) = rest.find(['"', '`', '\''].as_slice()) {
        let quote = rest.as_bytes()[start] as char;
        let after = &rest[start + 1..];
        // The apostrophe of "doesn't" opens no quotation.
        if quote == '\'' && after.starts_with('t') && rest[..start].ends_with('n') {
            rest = after;
            continue;
        }
        let Some(end) = after.find(quote) else { break };
        found.push(&after[..end]);
        rest = &after[end + 1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_common_implementation_are_understood() {
        let field = |name: &str, on: &str| Complaint::Field(name.into(), Some(on.into()));
        let argument = |name: &str, of: &str| Complaint::Argument(name.into(), Some(of.into()));
        for (message, expected) in [
            (r#"Cannot query field "x" on type "T"."#, field("x", "T")),
            (
                r#"input:3:9: Cannot query field "x" on type "T". Did you mean "y"?"#,
                field("x", "T"),
            ),
            (r#"Unknown field "x" on type "T"."#, field("x", "T")),
            ("Field 'x' doesn't exist on type 'T'", field("x", "T")),
            (
                r#"Unknown argument "a" on field "T.x"."#,
                argument("a", "x"),
            ),
            (
                r#"Unknown argument "a" on field "x" of type "T"."#,
                argument("a", "x"),
            ),
            ("Field 'x' doesn't accept argument 'a'", argument("a", "x")),
            (
                r#"Variable "$v" of type "Int" used in position expecting type "Int!"."#,
                Complaint::Variable("v".into(), Some("Int!".into())),
            ),
            (
                r#"Unknown type "JSONString"."#,
                Complaint::Type("JSONString".into()),
            ),
        ] {
            assert_eq!(read(message), Some(expected), "{message}");
        }
    }

    #[test]
    fn other_messages_are_no_complaints() {
        for message in [
            "",
            "nothing",
            r#"project "x" not found"#,
            "it isn't \"allowed\"",
        ] {
            assert_eq!(read(message), None, "{message}");
        }
    }
}
