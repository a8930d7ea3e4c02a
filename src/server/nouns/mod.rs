//! The nouns of the API: one file per type of the SDL, one arm per field.
//!
//! A noun holds the row it was made from and fetches what it is asked beyond that. Reads are index
//! lookups of some microseconds on a WAL reader and run on the calling task; mutations sync to disk and
//! run on a blocking thread ([`write`]).

mod artifact;
mod artifact_alias;
mod artifact_type;
mod collection;
mod entity;
mod file;
mod manifest;
mod membership;
mod mutation;
mod mutation_artifacts;
mod mutation_collections;
mod mutation_edits;
mod mutation_projects;
mod mutation_runs;
mod organization;
mod payload;
mod project;
mod query;
mod run;
mod server_info;
mod tag;
mod user;

use std::sync::Arc;

use futures::FutureExt as _;
use rusqlite::Connection as Database;

use super::{
    engine::{Args, Connection, Cx, Edge, Noun, Out, PageArgs, ServerError, Total},
    store::{
        self, Store, StoreError,
        page::{Listing, Page, PageRequest},
        projects::Viewer,
    },
};

/// The root of queries.
pub(crate) fn query_root() -> Arc<dyn Noun> {
    Arc::new(query::Query)
}

/// The root of mutations.
pub(crate) fn mutation_root() -> Arc<dyn Noun> {
    Arc::new(mutation::Mutation)
}

/// The answer to a field.
type Answer = Result<Out, ServerError>;

impl From<StoreError> for ServerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Forbidden(text) => Self::Forbidden(text),
            StoreError::Invalid(text) => Self::Invalid(text),
            StoreError::Conflict(text) => Self::Conflict(text),
            full @ StoreError::Full(_) => {
                tracing::error!(error = ?full, "the store is full");
                Self::Conflict(full.to_string())
            }
            other => Self::internal("using the store", other),
        }
    }
}

impl From<PageArgs> for PageRequest {
    fn from(args: PageArgs) -> Self {
        Self {
            first: args.first,
            after: args.after,
            last: args.last,
            before: args.before,
        }
    }
}

/// The caller as the store knows them.
fn viewer(cx: &Cx) -> Viewer {
    Viewer {
        user_id: cx.caller.user_id,
        admin: cx.caller.admin,
    }
}

/// Reads from the store.
fn read<T>(
    cx: &Cx,
    f: impl FnOnce(&Database) -> store::error::Result<T>,
) -> Result<T, ServerError> {
    Ok(cx.store.read(f)?)
}

/// Changes the store, on a thread that may wait for the disk.
async fn write<T: Send + 'static>(
    cx: &Cx,
    f: impl FnOnce(&Store) -> store::error::Result<T> + Send + 'static,
) -> Result<T, ServerError> {
    let store = cx.store.clone();
    let done = tokio::task::spawn_blocking(move || f(&store)).await;
    Ok(done.map_err(|error| ServerError::internal("changing the store", error))??)
}

/// The page a field asks for.
fn page_request(args: &Args) -> PageRequest {
    args.page().into()
}

/// A page of rows as a connection of nouns.
fn connection<T, N: Noun>(
    type_name: &'static str,
    page: Page<T>,
    make: impl Fn(T) -> N,
) -> Connection {
    let Page {
        items,
        has_next,
        has_previous,
    } = page;
    let edges = items
        .into_iter()
        .map(|(cursor, item)| Edge::new(cursor, make(item)))
        .collect();
    Connection::new(type_name, edges, has_next).after_others(has_previous)
}

/// `totalCount` of a listing, counted when somebody asks.
fn total(listing: Listing) -> Total {
    Total::Ask(Box::new(move |cx| {
        let counted = cx.store.read(|db| listing.count(db));
        async move { Ok(u64::try_from(counted?).unwrap_or(0)) }.boxed()
    }))
}

/// A list that is complete as it is: one page.
fn whole<N: Noun>(type_name: &'static str, nouns: Vec<N>) -> Connection {
    let count = nouns.len() as u64;
    let edges = nouns
        .into_iter()
        .enumerate()
        .map(|(index, noun)| Edge::new(index.to_string(), noun))
        .collect();
    Connection::new(type_name, edges, false).total(Total::Known(count))
}

/// A page without items.
fn nothing(type_name: &'static str) -> Connection {
    Connection::new(type_name, Vec::new(), false).total(Total::Known(0))
}
