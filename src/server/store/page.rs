//! Keyset pages: a page starts after the last row of the one before, whatever was inserted since, and
//! costs the same at the end of a listing as at its start.
//!
//! The cursor holds the sort key and row id of its row; to a client it is opaque text.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, types::Value};

use super::{Result, StoreError, filter::Condition};

/// Rows of a page when the request names no number.
const DEFAULT_SIZE: usize = 50;

/// Most rows of one page: the largest listing the client library asks for is 5000 files; at about 1 kB
/// of answer each, a page stays near 10 MB.
const MAX_SIZE: usize = 10_000;

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageRequest {
    /// Rows wanted, from the front.
    pub(crate) first: Option<usize>,
    /// Start after this cursor.
    pub(crate) after: Option<String>,
    /// Rows wanted, from the back.
    pub(crate) last: Option<usize>,
    /// End before this cursor.
    pub(crate) before: Option<String>,
}

impl PageRequest {
    fn backwards(&self) -> bool {
        self.last.is_some() && self.first.is_none()
    }

    /// Rows of this page.
    pub(crate) fn size(&self) -> usize {
        self.first
            .or(self.last)
            .unwrap_or(DEFAULT_SIZE)
            .min(MAX_SIZE)
    }
}

/// A stretch of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// Each row with its cursor.
    pub(crate) items: Vec<(String, T)>,
    /// More rows follow.
    pub(crate) has_next: bool,
    /// Rows came before.
    pub(crate) has_previous: bool,
}

/// What a listing is sorted by: a key expression that is never null, ties broken by the row id.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// SQL expression of the key.
    pub(crate) key: &'static str,
    /// Largest first.
    pub(crate) descending: bool,
}

impl Order {
    /// Parses `[+-]field`; `known` maps a field to its key expression.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names a field that the listing cannot be ordered by.
    pub(crate) fn parse(
        text: Option<&str>,
        default: Self,
        known: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Self> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(default);
        };
        let (descending, field) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let key = known(field)
            .ok_or_else(|| StoreError::invalid(format!("cannot order by {field:?}")))?;
        Ok(Self { key, descending })
    }
}

/// A listing: what to select, from where, on which condition, in which order.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// Columns, without key and id.
    pub(crate) columns: &'static str,
    /// Tables and joins.
    pub(crate) from: &'static str,
    /// The row id expression that makes keys unique.
    pub(crate) id: &'static str,
    /// Which rows.
    pub(crate) condition: Condition,
    /// In which order.
    pub(crate) order: Order,
}

impl Listing {
    /// One page; `make` reads the columns of [`Listing::columns`] from position 0.
    pub(crate) fn page<T>(
        &self,
        db: &Connection,
        request: &PageRequest,
        make: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Page<T>> {
        let size = request.size();
        let backwards = request.backwards();
        let (sql, condition) = self.query(request, size, backwards)?;
        let mut statement = db.prepare_cached(&sql)?;
        let width = statement.column_count();
        let rows = statement.query_map(condition.parameters(), |row| {
            let cursor = encode(
                &row.get::<_, Value>(width - 2)?,
                &row.get::<_, Value>(width - 1)?,
            );
            Ok((cursor, make(row)?))
        })?;
        let mut items = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let more = items.len() > size;
        items.truncate(size);
        if backwards {
            items.reverse();
            return Ok(Page {
                items,
                has_next: request.before.is_some(),
                has_previous: more,
            });
        }
        Ok(Page {
            items,
            has_next: more,
            has_previous: request.after.is_some(),
        })
    }

    /// The statement of a page of at most `size` rows, and one more that tells whether others follow.
    fn query(
        &self,
        request: &PageRequest,
        size: usize,
        backwards: bool,
    ) -> Result<(String, Condition)> {
        let Order { key, descending } = self.order;
        let id = self.id;
        let mut condition = self.condition.clone();
        for (cursor, follows) in [(&request.after, true), (&request.before, false)] {
            if let Some(cursor) = cursor.as_deref().filter(|text| !text.is_empty()) {
                let (at_key, at_id) = decode(cursor)?;
                let sign = if follows == descending { '<' } else { '>' };
                condition.and(&format!("({key}, {id}) {sign} (?, ?)"), [at_key, at_id]);
            }
        }
        let direction = if descending == backwards {
            "ASC"
        } else {
            "DESC"
        };
        let sql = format!(
            "SELECT {columns}, {key}, {id} FROM {from} WHERE {condition} \
             ORDER BY {key} {direction}, {id} {direction} LIMIT {limit}",
            columns = self.columns,
            from = self.from,
            condition = condition.sql(),
            limit = size + 1,
        );
        Ok((sql, condition))
    }

    /// How many rows there are in all.
    pub(crate) fn count(&self, db: &Connection) -> Result<i64> {
        let sql = format!(
            "SELECT COUNT(*) FROM {} WHERE {}",
            self.from,
            self.condition.sql()
        );
        Ok(db
            .prepare_cached(&sql)?
            .query_row(self.condition.parameters(), |row| row.get(0))?)
    }
}

fn encode(key: &Value, id: &Value) -> String {
    let json = |value: &Value| match value {
        Value::Integer(n) => serde_json::Value::from(*n),
        Value::Real(x) => serde_json::Value::from(*x),
        Value::Text(text) => serde_json::Value::from(text.as_str()),
        Value::Null | Value::Blob(_) => serde_json::Value::Null,
    };
    URL_SAFE_NO_PAD.encode(serde_json::Value::from(vec![json(key), json(id)]).to_string())
}

fn decode(cursor: &str) -> Result<(Value, Value)> {
    let wrong = || StoreError::invalid("the cursor is not one of this listing");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    let (key, id): (serde_json::Value, serde_json::Value) =
        serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let value = |json: serde_json::Value| match json {
        serde_json::Value::String(text) => Some(Value::Text(text)),
        serde_json::Value::Number(n) => n
            .as_i64()
            .map(Value::Integer)
            .or_else(|| n.as_f64().map(Value::Real)),
        _ => None,
    };
    Ok((value(key).ok_or_else(wrong)?, value(id).ok_or_else(wrong)?))
}
