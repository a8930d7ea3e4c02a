//! Mongo-style filters as SQL conditions.
//!
//! A filter is JSON text such as `{"$and": [{"name": {"$regex": "^img"}}, {"tag": "gold"}]}`. Each level
//! of the API has its own keys ([`Key`]); an unknown key or operator is the caller's mistake and said so.
//! Values only ever travel as parameters. Plain columns become SQL comparisons that indexes can serve, sets
//! (aliases, tags) become `EXISTS`, and what JSON alone can decide (paths into metadata) calls the function
//! `json_matches`, see [`super::filter_json`].

use std::sync::Arc;

use regex::Regex;
use rusqlite::{Connection, functions::FunctionFlags, params_from_iter, types::Value};
use serde_json::{Map, Value as Json};

use super::{Result, StoreError, filter_json, ids, time};

/// Nesting that a filter may have; more is no filter of a human or of the client library.
const MAX_DEPTH: usize = 32;

/// A boolean SQL expression and its parameters, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    sql: String,
    parameters: Vec<Value>,
}

impl Condition {
    /// A condition with its parameters.
    pub(crate) fn new<const N: usize>(sql: &str, parameters: [Value; N]) -> Self {
        Self {
            sql: sql.to_owned(),
            parameters: parameters.to_vec(),
        }
    }

    /// Narrows by another expression.
    pub(crate) fn and<const N: usize>(&mut self, sql: &str, parameters: [Value; N]) {
        self.and_condition(Self::new(sql, parameters));
    }

    /// Narrows by another condition.
    pub(crate) fn and_condition(&mut self, other: Self) {
        if other.sql.is_empty() {
            return;
        }
        if self.sql.is_empty() {
            *self = other;
        } else {
            self.sql = format!("{} AND ({})", self.sql, other.sql);
            self.parameters.extend(other.parameters);
        }
    }

    /// The same within an outer expression without parameters of its own.
    pub(crate) fn inside(self, before: &str, after: &str) -> Self {
        Self {
            sql: format!("{before}({}){after}", self.sql()),
            parameters: self.parameters,
        }
    }

    /// The expression.
    pub(crate) fn sql(&self) -> &str {
        if self.sql.is_empty() { "1" } else { &self.sql }
    }

    /// The parameters, for rusqlite.
    pub(crate) fn parameters(&self) -> impl rusqlite::Params + '_ {
        params_from_iter(self.parameters.iter())
    }

    fn join(parts: Vec<Self>, word: &str, empty: &str) -> Self {
        if parts.is_empty() {
            return Self::new(empty, []);
        }
        let sql = parts
            .iter()
            .map(|part| format!("({})", part.sql()))
            .collect::<Vec<_>>()
            .join(word);
        Self {
            sql,
            parameters: parts.into_iter().flat_map(|part| part.parameters).collect(),
        }
    }

    fn negated(self) -> Self {
        // A comparison with null is null; its negation must hold, as in Mongo.
        Self {
            sql: format!("NOT COALESCE(({}), 0)", self.sql()),
            parameters: self.parameters,
        }
    }
}

/// What a filter key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A text column.
    Text(&'static str),
    /// A text column whose values are upper case.
    Upper(&'static str),
    /// A number.
    Number(&'static str),
    /// A row id: a number, or a global id.
    Id(&'static str),
    /// A version index: a number, or `vN`.
    Version(&'static str),
    /// A time column.
    Time(&'static str),
    /// A set of texts: the body of a subquery with column `value`, as `FROM … WHERE …`.
    Set {
        /// The column.
        value: &'static str,
        /// From where.
        from: &'static str,
    },
    /// A path into a JSON column.
    Json {
        /// The column.
        column: &'static str,
        /// Dotted path.
        path: String,
    },
}

/// Compiles filter text; absent or empty text is no condition.
///
/// # Errors
/// [`StoreError::Invalid`] says which key, operator or operand is wrong.
pub(crate) fn compile(text: Option<&str>, keys: &dyn Fn(&str) -> Option<Key>) -> Result<Condition> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(Condition::default());
    };
    let json: Json = serde_json::from_str(text)
        .map_err(|error| StoreError::invalid(format!("the filter is not JSON: {error}")))?;
    match json {
        Json::Null => Ok(Condition::default()),
        Json::Object(map) => document(&map, keys, 0),
        _ => Err(StoreError::invalid("the filter is not a JSON object")),
    }
}

/// Whether filter text names `key` anywhere.
pub(crate) fn mentions(text: Option<&str>, key: &str) -> bool {
    fn inside(json: &Json, key: &str) -> bool {
        match json {
            Json::Object(map) => map
                .iter()
                .any(|(name, value)| name == key || inside(value, key)),
            Json::Array(list) => list.iter().any(|value| inside(value, key)),
            _ => false,
        }
    }
    text.and_then(|text| serde_json::from_str(text).ok())
        .is_some_and(|json: Json| inside(&json, key))
}

fn document(
    map: &Map<String, Json>,
    keys: &dyn Fn(&str) -> Option<Key>,
    depth: usize,
) -> Result<Condition> {
    if depth > MAX_DEPTH {
        return Err(StoreError::invalid("the filter is nested too deeply"));
    }
    let mut parts = Vec::new();
    for (name, value) in map {
        let part = match name.as_str() {
            "$and" => Condition::join(branches(name, value, keys, depth)?, " AND ", "1"),
            "$or" => Condition::join(branches(name, value, keys, depth)?, " OR ", "0"),
            "$nor" => Condition::join(branches(name, value, keys, depth)?, " OR ", "0").negated(),
            "$not" => match value {
                Json::Object(inner) => document(inner, keys, depth + 1)?.negated(),
                _ => return Err(StoreError::invalid("$not needs an object")),
            },
            operator if operator.starts_with('$') => return Err(unknown_operator(operator)),
            _ => {
                let key = keys(name)
                    .ok_or_else(|| StoreError::invalid(format!("unknown filter key {name:?}")))?;
                field(name, &key, value, depth + 1)?
            }
        };
        parts.push(part);
    }
    Ok(Condition::join(parts, " AND ", "1"))
}

fn branches(
    name: &str,
    value: &Json,
    keys: &dyn Fn(&str) -> Option<Key>,
    depth: usize,
) -> Result<Vec<Condition>> {
    let Json::Array(list) = value else {
        return Err(StoreError::invalid(format!("{name} needs an array")));
    };
    list.iter()
        .map(|item| match item {
            Json::Object(map) => document(map, keys, depth + 1),
            _ => Err(StoreError::invalid(format!(
                "{name} needs an array of objects"
            ))),
        })
        .collect()
}

fn field(name: &str, key: &Key, value: &Json, depth: usize) -> Result<Condition> {
    if depth > MAX_DEPTH {
        return Err(StoreError::invalid("the filter is nested too deeply"));
    }
    match value {
        Json::Object(operators) if operators.keys().any(|key| key.starts_with('$')) => {
            let parts = operators
                .iter()
                .map(|(operator, operand)| match (operator.as_str(), operand) {
                    ("$not", inner) => Ok(field(name, key, inner, depth + 1)?.negated()),
                    _ => apply(name, key, operator, operand),
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Condition::join(parts, " AND ", "1"))
        }
        bare => apply(name, key, "$eq", bare),
    }
}

fn apply(name: &str, key: &Key, operator: &str, operand: &Json) -> Result<Condition> {
    filter_json::check(operator, operand)?;
    match operator {
        "$ne" => return Ok(apply(name, key, "$eq", operand)?.negated()),
        "$nin" => return Ok(apply(name, key, "$in", operand)?.negated()),
        _ => {}
    }
    match key {
        Key::Json { column, path } => Ok(Condition::new(
            &format!("json_matches({column}, ?, ?, ?)"),
            [
                Value::Text(path.clone()),
                Value::Text(operator.to_owned()),
                Value::Text(operand.to_string()),
            ],
        )),
        Key::Set { value, from } => set(value, from, operator, operand),
        _ => scalar(name, key, operator, operand),
    }
}

fn scalar(name: &str, key: &Key, operator: &str, operand: &Json) -> Result<Condition> {
    let column = column(key);
    let compare = |sign: &str| {
        Ok(Condition::new(
            &format!("{column} {sign} ?"),
            [bind(name, key, operand)?],
        ))
    };
    match operator {
        "$eq" if operand.is_null() => Ok(Condition::new(&format!("{column} IS NULL"), [])),
        "$eq" if operand.is_array() => one_of(name, key, operand),
        "$eq" => compare("="),
        "$lt" => compare("<"),
        "$lte" => compare("<="),
        "$gt" => compare(">"),
        "$gte" => compare(">="),
        "$in" => one_of(name, key, operand),
        "$all" => {
            let parts = list(operand)
                .iter()
                .map(|one| scalar(name, key, "$eq", one))
                .collect::<Result<_>>()?;
            Ok(Condition::join(parts, " AND ", "0"))
        }
        "$exists" => {
            let word = if operand == &Json::Bool(true) {
                "IS NOT NULL"
            } else {
                "IS NULL"
            };
            Ok(Condition::new(&format!("{column} {word}"), []))
        }
        "$regex" => Ok(Condition::new(
            &format!("text_matches({column}, ?)"),
            [text(operand)],
        )),
        "$contains" => Ok(Condition::new(
            &format!("instr({column}, ?) > 0"),
            [text(operand)],
        )),
        "$size" => Err(StoreError::invalid(format!(
            "{name:?} is not a list, $size does not apply"
        ))),
        other => Err(unknown_operator(other)),
    }
}

fn one_of(name: &str, key: &Key, operand: &Json) -> Result<Condition> {
    let parts = list(operand)
        .iter()
        .map(|one| scalar(name, key, "$eq", one))
        .collect::<Result<_>>()?;
    Ok(Condition::join(parts, " OR ", "0"))
}

/// A set matches a comparison if one of its members does.
fn set(value: &str, from: &str, operator: &str, operand: &Json) -> Result<Condition> {
    let any = |test: &str, parameter: Value| {
        Condition::new(
            &format!("EXISTS (SELECT 1 {from} AND {value} {test})"),
            [parameter],
        )
    };
    let each = |word: &str| {
        Condition::join(
            list(operand)
                .iter()
                .map(|one| any("= ?", text(one)))
                .collect(),
            word,
            "0",
        )
    };
    let condition = match operator {
        "$eq" if operand.is_null() => Condition::new(&format!("NOT EXISTS (SELECT 1 {from})"), []),
        "$eq" if operand.is_array() => each(" AND "),
        "$eq" => any("= ?", text(operand)),
        "$lt" => any("< ?", text(operand)),
        "$lte" => any("<= ?", text(operand)),
        "$gt" => any("> ?", text(operand)),
        "$gte" => any(">= ?", text(operand)),
        "$in" => each(" OR "),
        "$all" => each(" AND "),
        "$contains" => any("= ?", text(operand)),
        "$exists" => {
            let not = if operand == &Json::Bool(true) {
                ""
            } else {
                "NOT "
            };
            Condition::new(&format!("{not}EXISTS (SELECT 1 {from})"), [])
        }
        "$regex" => Condition::new(
            &format!("EXISTS (SELECT 1 {from} AND text_matches({value}, ?))"),
            [text(operand)],
        ),
        "$size" => Condition::new(
            &format!("(SELECT COUNT(*) {from}) = ?"),
            [Value::Integer(operand.as_i64().unwrap_or(-1))],
        ),
        other => return Err(unknown_operator(other)),
    };
    Ok(condition)
}

fn column(key: &Key) -> &'static str {
    match key {
        Key::Text(column)
        | Key::Upper(column)
        | Key::Number(column)
        | Key::Id(column)
        | Key::Version(column)
        | Key::Time(column)
        | Key::Json { column, .. } => column,
        Key::Set { value, .. } => value,
    }
}

/// The operand as the column keeps it.
fn bind(name: &str, key: &Key, operand: &Json) -> Result<Value> {
    let wrong = || StoreError::invalid(format!("{operand} is no value of {name:?}"));
    let value = match (key, operand) {
        (Key::Text(_), _) => text(operand),
        (Key::Upper(_), Json::String(word)) => Value::Text(word.to_uppercase()),
        (Key::Time(_), Json::String(word)) => Value::Text(time::normalize(word).ok_or_else(wrong)?),
        (Key::Version(_), Json::String(word)) => Value::Integer(
            word.strip_prefix('v')
                .unwrap_or(word)
                .parse()
                .map_err(|_| wrong())?,
        ),
        (Key::Id(_), Json::String(word)) => Value::Integer(
            word.parse()
                .ok()
                .or_else(|| ids::any_number(word))
                .ok_or_else(wrong)?,
        ),
        (Key::Number(_), Json::String(word)) => Value::Real(word.parse().map_err(|_| wrong())?),
        (Key::Number(_) | Key::Version(_) | Key::Id(_), Json::Number(n)) => match n.as_i64() {
            Some(n) => Value::Integer(n),
            None => Value::Real(n.as_f64().ok_or_else(wrong)?),
        },
        _ => return Err(wrong()),
    };
    Ok(value)
}

fn text(operand: &Json) -> Value {
    match operand {
        Json::String(word) => Value::Text(word.clone()),
        other => Value::Text(other.to_string()),
    }
}

fn list(operand: &Json) -> &[Json] {
    operand
        .as_array()
        .map_or(std::slice::from_ref(operand), Vec::as_slice)
}

/// The error for an operator outside the documented set.
pub(super) fn unknown_operator(operator: &str) -> StoreError {
    StoreError::invalid(format!("unknown filter operator {operator:?}"))
}

/// Registers the functions that conditions call.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("text_matches", 2, flags, |context| {
        // The pattern is the same for all rows of a statement: compiled once, kept with it.
        let pattern: Arc<Regex> = context.get_or_create_aux(
            1,
            |value| -> Result<Regex, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Regex::new(value.as_str()?)?)
            },
        )?;
        let subject: Option<String> = context.get(0)?;
        Ok(subject.is_some_and(|subject| pattern.is_match(&subject)))
    })?;
    connection.create_scalar_function("json_matches", 4, flags, |context| {
        let test = context.get_or_create_aux(
            3,
            |value| -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
                Ok(serde_json::from_str(value.as_str()?)?)
            },
        )?;
        let column: Option<String> = context.get(0)?;
        let document = column
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Json::Null);
        let path: String = context.get(1)?;
        let operator: String = context.get(2)?;
        Ok(filter_json::matches(&document, &path, &operator, &test))
    })
}
