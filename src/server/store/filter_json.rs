//! Filter operators on JSON values: which operands are legal, and what matches inside a metadata document.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value as Json;

use super::{Result, StoreError, filter::unknown_operator};

/// Checks an operator and the form of its operand, for every kind of key alike.
///
/// # Errors
/// [`StoreError::Invalid`] for an unknown operator or an operand it cannot take.
pub(super) fn check(operator: &str, operand: &Json) -> Result<()> {
    let right = match operator {
        "$eq" | "$ne" => true,
        "$lt" | "$lte" | "$gt" | "$gte" => operand.is_number() || operand.is_string(),
        "$in" | "$nin" | "$all" => operand.is_array(),
        "$exists" => operand.is_boolean(),
        "$contains" => !operand.is_object() && !operand.is_array(),
        "$size" => operand.is_u64(),
        "$regex" => {
            let pattern = operand.as_str().unwrap_or_default();
            Regex::new(pattern).map_err(|error| {
                StoreError::invalid(format!("{pattern:?} is no regular expression: {error}"))
            })?;
            operand.is_string()
        }
        other => return Err(unknown_operator(other)),
    };
    if right {
        Ok(())
    } else {
        Err(StoreError::invalid(format!(
            "{operator} cannot take {operand}"
        )))
    }
}

/// Whether the value at the dotted `path` of `document` satisfies a checked operator.
pub(super) fn matches(document: &Json, path: &str, operator: &str, operand: &Json) -> bool {
    let found = lookup(document, path);
    match operator {
        "$exists" => found.is_some() == (operand == &Json::Bool(true)),
        "$eq" => found.map_or(operand.is_null(), |value| equal(value, operand)),
        "$in" => operand.as_array().is_some_and(|list| {
            list.iter()
                .any(|one| found.map_or(one.is_null(), |value| equal(value, one)))
        }),
        "$all" => {
            let (Some(value), Some(list)) = (found, operand.as_array()) else {
                return false;
            };
            !list.is_empty() && list.iter().all(|one| equal(value, one))
        }
        "$size" => found
            .and_then(Json::as_array)
            .is_some_and(|list| Some(list.len() as u64) == operand.as_u64()),
        "$contains" => found.is_some_and(|value| contains(value, operand)),
        "$regex" => {
            let Ok(pattern) = Regex::new(operand.as_str().unwrap_or_default()) else {
                return false;
            };
            any(found, |value| {
                value.as_str().is_some_and(|text| pattern.is_match(text))
            })
        }
        "$lt" => any(found, |value| order(value, operand) == Some(Ordering::Less)),
        "$lte" => any(found, |value| {
            order(value, operand).is_some_and(Ordering::is_le)
        }),
        "$gt" => any(found, |value| {
            order(value, operand) == Some(Ordering::Greater)
        }),
        "$gte" => any(found, |value| {
            order(value, operand).is_some_and(Ordering::is_ge)
        }),
        _ => false,
    }
}

/// Follows a dotted path. A member whose own name has dots is found too, the longest name first.
fn lookup<'a>(value: &'a Json, path: &str) -> Option<&'a Json> {
    if path.is_empty() {
        return Some(value);
    }
    match value {
        Json::Object(map) => {
            if let Some(found) = map.get(path) {
                return Some(found);
            }
            path.rmatch_indices('.').find_map(|(at, _)| {
                map.get(&path[..at])
                    .and_then(|inner| lookup(inner, &path[at + 1..]))
            })
        }
        Json::Array(list) => {
            let (head, rest) = path.split_once('.').unwrap_or((path, ""));
            lookup(list.get(head.parse::<usize>().ok()?)?, rest)
        }
        _ => None,
    }
}

/// A list matches a comparison if one of its members does.
fn any(found: Option<&Json>, test: impl Fn(&Json) -> bool) -> bool {
    match found {
        Some(Json::Array(list)) => list.iter().any(test),
        Some(value) => test(value),
        None => false,
    }
}

fn equal(value: &Json, operand: &Json) -> bool {
    let same =
        |a: &Json, b: &Json| a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64());
    same(value, operand)
        || value
            .as_array()
            .is_some_and(|list| list.iter().any(|one| same(one, operand)))
}

fn contains(value: &Json, operand: &Json) -> bool {
    match value {
        Json::String(text) => operand.as_str().is_some_and(|part| text.contains(part)),
        other => equal(other, operand),
    }
}

fn order(value: &Json, operand: &Json) -> Option<Ordering> {
    match (value, operand) {
        (Json::Number(a), Json::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Json::String(a), Json::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
