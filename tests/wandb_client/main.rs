//! The client against servers that do what a test wants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

mod changes;
mod double;
mod embedded;
mod listings;
mod other_make;
mod recording;
mod refusals;
mod transport;
mod views;
mod world;
