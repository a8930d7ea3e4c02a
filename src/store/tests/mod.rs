//! The store against a server that can fail in every way, and a hub that counts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ahead;
mod double;
mod faults;
mod keeping;
mod reading;
mod references;
mod stress;
mod urls;
