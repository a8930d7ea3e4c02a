//! From an edited metadata file to what differs: pure.
//!
//! Order of keys and white space mean nothing. A key that is missing is a field nobody touched, so
//! that `{"description": "new"}` is a whole text. A key that the file never had, or that only the
//! server sets, is refused by name. Lists of names are sets: their order and repetition mean nothing.

use serde_json::{Map, Value};

use crate::model::{CollectionChange, Ttl, VersionChange};

/// Fields of `collection.json` that can be written.
const COLLECTION_FIELDS: &[&str] = &["name", "type", "description", "tags"];

/// Fields of `artifact.json` that can be written.
const VERSION_FIELDS: &[&str] = &["description", "metadata", "tags", "aliases", "ttl"];

/// What `ttl` says for the default of the team.
const INHERIT: &str = "inherit";

/// Text that cannot be saved, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// No JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// JSON, but no object.
    #[error("it must be a JSON object")]
    NotAnObject,
    /// A key that the file does not have.
    #[error("the field {0:?} is unknown")]
    Unknown(String),
    /// A key that only the server sets.
    #[error("the field {0:?} is read-only")]
    ReadOnly(String),
    /// A value of another kind than the field has.
    #[error("the field {field:?} must be {wanted}")]
    Shape {
        /// The field.
        field: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
}

/// What differs in the node of a metadata file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Edit {
    /// In a collection.
    Collection(CollectionChange),
    /// In a version.
    Version(VersionChange),
}

impl Edit {
    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Collection(change) => change.is_empty(),
            Self::Version(change) => change.is_empty(),
        }
    }

    /// The fields that differ.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        let all = match self {
            Self::Collection(change) => vec![
                ("name", change.name.is_some()),
                ("type", change.artifact_type.is_some()),
                ("description", change.description.is_some()),
                (
                    "tags",
                    !(change.tags_added.is_empty() && change.tags_removed.is_empty()),
                ),
            ],
            Self::Version(change) => vec![
                ("description", change.description.is_some()),
                ("metadata", change.metadata.is_some()),
                (
                    "tags",
                    !(change.tags_added.is_empty() && change.tags_removed.is_empty()),
                ),
                (
                    "aliases",
                    !(change.aliases_added.is_empty() && change.aliases_removed.is_empty()),
                ),
                ("ttl", change.ttl.is_some()),
            ],
        };
        let changed = all.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(field, _)| field).collect()
    }
}

/// Reads a text as an object.
///
/// # Errors
/// [`EditError::Json`] with line and column, [`EditError::NotAnObject`].
pub(crate) fn parse(text: &[u8]) -> Result<Map<String, Value>, EditError> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(EditError::NotAnObject),
        Err(fault) => Err(EditError::Json(fault.to_string())),
    }
}

/// What differs in a collection between the file that was handed out and the text that came back.
///
/// # Errors
/// Whatever cannot be saved, with the field named.
pub(crate) fn collection(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
) -> Result<CollectionChange, EditError> {
    guard(base, text, COLLECTION_FIELDS)?;
    let (tags_added, tags_removed) = names(base, text, "tags")?;
    Ok(CollectionChange {
        name: word(base, text, "name")?,
        description: description(base, text)?,
        artifact_type: word(base, text, "type")?,
        tags_added,
        tags_removed,
    })
}

/// What differs in a version, likewise.
///
/// # Errors
/// Whatever cannot be saved, with the field named.
pub(crate) fn version(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
) -> Result<VersionChange, EditError> {
    guard(base, text, VERSION_FIELDS)?;
    let (tags_added, tags_removed) = names(base, text, "tags")?;
    let (aliases_added, aliases_removed) = names(base, text, "aliases")?;
    Ok(VersionChange {
        description: description(base, text)?,
        metadata: metadata(base, text)?,
        tags_added,
        tags_removed,
        aliases_added,
        aliases_removed,
        ttl: ttl(base, text)?,
    })
}

/// Whether a field means the same in two renderings.
pub(crate) fn same_field(field: &str, one: Option<&Value>, other: Option<&Value>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_none() && other.is_none();
    };
    match (field, one, other) {
        ("tags" | "aliases", Value::Array(one), Value::Array(other)) => {
            one.iter().all(|name| other.contains(name))
                && other.iter().all(|name| one.contains(name))
        }
        ("description", one, other) => one.as_str().unwrap_or("") == other.as_str().unwrap_or(""),
        _ => same(one, other),
    }
}

/// Refuses what cannot be written.
fn guard(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
    writable: &[&str],
) -> Result<(), EditError> {
    for (field, value) in text {
        let Some(old) = base.get(field) else {
            return Err(EditError::Unknown(field.clone()));
        };
        let known = writable.contains(&field.as_str());
        if !known && !same_field(field, Some(old), Some(value)) {
            return Err(EditError::ReadOnly(field.clone()));
        }
    }
    Ok(())
}

/// Equality of JSON in which `1`, `1.0` and `1e0` are one number, as tools rewrite them at will.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let whole = |n: &serde_json::Number| n.is_i64() || n.is_u64();
            one == other || (!(whole(one) && whole(other)) && one.as_f64() == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, a)| other.get(key).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

/// A text field that cannot be empty.
fn word(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<String>, EditError> {
    match text.get(field) {
        None => Ok(None),
        value if same_field(field, base.get(field), value) => Ok(None),
        Some(Value::String(word)) => Ok(Some(word.clone())),
        Some(_) => Err(EditError::Shape {
            field,
            wanted: "a text",
        }),
    }
}

/// The description. null and `""` are both no description: the server takes no null, so clearing
/// one sends `""`.
fn description(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
) -> Result<Option<String>, EditError> {
    let field = "description";
    let new = match text.get(field) {
        None => return Ok(None),
        Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => {
            let wanted = "a text or null";
            return Err(EditError::Shape { field, wanted });
        }
    };
    let old = base.get(field).and_then(Value::as_str).unwrap_or("");
    Ok((old != new).then(|| new.to_owned()))
}

/// A list of names: what it gained, what it lost.
fn names(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
    field: &'static str,
) -> Result<(Vec<String>, Vec<String>), EditError> {
    let Some(new) = text.get(field) else {
        return Ok(Default::default());
    };
    let wanted = "a list of texts";
    let list = |value: Option<&Value>| -> Result<Vec<String>, EditError> {
        let shape = || EditError::Shape { field, wanted };
        let Some(Value::Array(items)) = value else {
            return Err(shape());
        };
        let mut names: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            let name = item.as_str().ok_or_else(shape)?;
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    };
    let new = list(Some(new))?;
    let old = list(base.get(field)).unwrap_or_default();
    let without = |names: &[String], others: &[String]| -> Vec<String> {
        let missing = |name: &&String| !others.contains(name);
        names.iter().filter(missing).cloned().collect()
    };
    Ok((without(&new, &old), without(&old, &new)))
}

/// The metadata, whole where it differs.
fn metadata(
    base: &Map<String, Value>,
    text: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, EditError> {
    let field = "metadata";
    match text.get(field) {
        None => Ok(None),
        value if same_field(field, base.get(field), value) => Ok(None),
        Some(Value::Object(metadata)) => Ok(Some(metadata.clone())),
        Some(Value::Null) => {
            let empty = base.get(field).and_then(Value::as_object);
            Ok(empty.is_some_and(|old| !old.is_empty()).then(Map::new))
        }
        Some(_) => Err(EditError::Shape {
            field,
            wanted: "an object",
        }),
    }
}

/// The time to live: seconds, null for none, `"inherit"` for the team's default.
fn ttl(base: &Map<String, Value>, text: &Map<String, Value>) -> Result<Option<Ttl>, EditError> {
    let field = "ttl";
    let old = base.get(field);
    match text.get(field) {
        None => Ok(None),
        value if same_field(field, old, value) => Ok(None),
        Some(Value::Null) => Ok(Some(Ttl::Disabled)),
        Some(Value::String(word)) if word == INHERIT => {
            let inherits = base.get("ttl_is_inherited") == Some(&Value::Bool(true));
            Ok((!inherits).then_some(Ttl::Inherit))
        }
        Some(value) => {
            let wanted = "a number of seconds, null or \"inherit\"";
            let seconds = value.as_i64().ok_or(EditError::Shape { field, wanted })?;
            Ok(Some(Ttl::Seconds(seconds)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn version_file() -> Map<String, Value> {
        object(json!({
            "id": "x", "version": "v0", "description": "old", "metadata": {"lr": 1, "deep": {"a": [1, 2]}},
            "tags": ["a", "b"], "aliases": ["latest"], "ttl": null, "ttl_is_inherited": true,
        }))
    }

    fn collection_file() -> Map<String, Value> {
        object(json!({
            "id": "x", "name": "c", "type": "t", "description": null, "tags": ["a"], "aliases": ["latest"],
        }))
    }

    #[test]
    fn a_field_that_only_the_server_sets_is_refused_by_name() {
        let text = object(json!({"id": "y"}));
        let fault = collection(&collection_file(), &text).unwrap_err();
        assert_eq!(fault, EditError::ReadOnly("id".into()));
        let text = object(json!({"descripton": "typo"}));
        let fault = version(&version_file(), &text).unwrap_err();
        assert!(fault.to_string().contains("descripton"), "{fault}");
        let text = object(json!({"tags": "gold"}));
        let fault = version(&version_file(), &text).unwrap_err();
        assert!(fault.to_string().contains("tags"), "{fault}");
    }

    #[test]
    fn text_that_is_no_object_says_where_it_went_wrong() {
        let fault = parse(b"{\"a\": 1,\n oops}").unwrap_err().to_string();
        assert!(fault.contains("line 2"), "{fault}");
        assert_eq!(parse(b"[]"), Err(EditError::NotAnObject));
    }

    #[test]
    fn null_and_the_empty_text_clear_a_description_and_mean_the_same() {
        for cleared in [json!(null), json!("")] {
            let text = object(json!({"description": cleared}));
            let change = version(&version_file(), &text).unwrap();
            assert_eq!(change.description.as_deref(), Some(""));
            assert!(collection(&collection_file(), &text).unwrap().is_empty());
        }
    }

    #[test]
    fn a_time_to_live_is_seconds_nothing_or_the_teams() {
        let of = |ttl: Value| version(&version_file(), &object(json!({"ttl": ttl})));
        assert_eq!(of(json!(60)).unwrap().ttl, Some(Ttl::Seconds(60)));
        assert_eq!(of(json!(null)).unwrap().ttl, None);
        assert_eq!(of(json!("inherit")).unwrap().ttl, None);
        assert!(of(json!("soon")).is_err());
        let mut base = version_file();
        base["ttl"] = json!(60);
        base["ttl_is_inherited"] = json!(false);
        let text = object(json!({"ttl": null}));
        assert_eq!(version(&base, &text).unwrap().ttl, Some(Ttl::Disabled));
        let text = object(json!({"ttl": "inherit"}));
        assert_eq!(version(&base, &text).unwrap().ttl, Some(Ttl::Inherit));
    }

    #[test]
    fn numbers_that_a_tool_wrote_otherwise_are_no_change_but_large_ones_are_compared_exactly() {
        let text = object(json!({"metadata": {"deep": {"a": [1.0, 2]}, "lr": 1e0}}));
        assert!(version(&version_file(), &text).unwrap().is_empty());
        let (one, other) = (
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64),
        );
        assert!(!same(&one, &other));
    }

    fn tags() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[a-e]", 0..5)
    }

    fn spaced(object: &Map<String, Value>, reversed: bool, pretty: bool) -> Vec<u8> {
        let mut entries: Vec<_> = object.iter().collect();
        if reversed {
            entries.reverse();
        }
        let map: Map<String, Value> = entries
            .into_iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        match pretty {
            true => serde_json::to_vec_pretty(&map).unwrap(),
            false => serde_json::to_vec(&map).unwrap(),
        }
    }

    fn set(names: &[String]) -> std::collections::BTreeSet<&String> {
        names.iter().collect()
    }

    proptest! {
        #[test]
        fn what_was_rendered_and_edited_gives_just_the_edits(
            old_tags in tags(), new_tags in tags(), aliases in tags(),
            description in proptest::option::of("[a-z]{0,3}"),
            lr in proptest::option::of(0..3_i64), ttl in proptest::option::of(1..3_i64),
            reversed: bool, pretty: bool,
        ) {
            let mut base = version_file();
            base["tags"] = json!(old_tags);
            let mut edited = base.clone();
            edited["tags"] = json!(new_tags);
            edited["aliases"] = json!(aliases);
            edited["description"] = json!(description);
            edited["ttl"] = json!(ttl);
            if let Some(lr) = lr {
                edited["metadata"]["lr"] = json!(lr);
            }
            let text = parse(&spaced(&edited, reversed, pretty)).unwrap();
            let change = version(&base, &text).unwrap();
            let mut tags = set(&old_tags);
            tags.retain(|tag| !change.tags_removed.contains(tag));
            tags.extend(&change.tags_added);
            prop_assert_eq!(tags, set(&new_tags));
            prop_assert!(change.tags_added.iter().all(|tag| !old_tags.contains(tag)));
            let expected = description.unwrap_or_default();
            let described = (expected != "old").then_some(expected);
            prop_assert_eq!(change.description, described);
            let relearned = lr.is_some_and(|lr| lr != 1);
            prop_assert_eq!(change.metadata.is_some(), relearned);
            prop_assert_eq!(change.ttl, ttl.map(Ttl::Seconds));
        }

        #[test]
        fn a_text_that_nobody_changed_is_no_change(reversed: bool, pretty: bool) {
            let text = parse(&spaced(&version_file(), reversed, pretty)).unwrap();
            prop_assert!(version(&version_file(), &text).unwrap().is_empty());
            let text = parse(&spaced(&collection_file(), reversed, pretty)).unwrap();
            prop_assert!(collection(&collection_file(), &text).unwrap().is_empty());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(object) = parse(&text) {
                let _ = (version(&version_file(), &object), collection(&collection_file(), &object));
            }
        }
    }
}
