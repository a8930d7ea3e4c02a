//! Pages: what a listing is made of. A listing is a cursor over pages, never a vector of everything.

/// The opaque place after the last item of a page, as the server named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// Takes the server's `endCursor`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to send as `after`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which page of a listing to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// Start after this cursor; the first page without.
    pub after: Option<Cursor>,
    /// Items asked for (`first`); the listing's own default without.
    pub per_page: Option<u32>,
}

impl PageRequest {
    /// The page after `cursor`, same size.
    #[must_use]
    pub fn following(&self, cursor: Cursor) -> Self {
        Self {
            after: Some(cursor),
            per_page: self.per_page,
        }
    }
}

/// Filters and order of a listing (protocol §5). Empty means the server's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ListOptions {
    /// MongoDB-style JSON text.
    pub filters: Option<String>,
    /// `+field` or `-field`.
    pub order: Option<String>,
}

/// One page.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items, in the server's order; null nodes are already skipped.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
    /// How many items the whole listing has, where the server says.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// The same page with each item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
            total: self.total,
        }
    }
}
