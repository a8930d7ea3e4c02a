//! The HTTP side of the server.

pub(crate) mod urls;
