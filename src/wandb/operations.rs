//! The GraphQL operations, one constant each, made by `build.rs` from `queries/*.graphql`.
//!
//! Why not `graphql_client` or `cynic`: both generate types whose nullability is the schema's, so
//! that one unexpected null from a server of another make fails a whole page. Here the documents
//! are checked against the schema when the crate is built, and the answers are decoded leniently
//! (`wire`): every member may be missing. What a server does not know is pruned (`prune`).

/// A document to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its name, as request counters and logs know it.
    pub(crate) name: &'static str,
    /// The operation with the fragments it uses, compactly printed.
    pub(crate) text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/operations.rs"));
