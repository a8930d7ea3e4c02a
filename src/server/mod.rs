//! An embedded W&B-compatible artifact server, for the demo, for work without network, for tests.

pub(crate) mod digest;
pub(crate) mod engine;
pub(crate) mod http;
pub(crate) mod nouns;
pub(crate) mod secrets;
pub(crate) mod seed;
pub(crate) mod store;
