//! The W&B API as a library of its own.

mod answers;
mod app_url;
mod auth;
mod client;
pub mod config;
mod convert;
mod failure;
mod http;
mod hub;
mod operations;
mod prune;
mod retry;
mod transport;
mod urls;
mod wire;

pub use auth::{Authorization, Secret, TokenSource};
pub use client::{Client, ClientConfig};
pub use http::{Purpose, extra_headers, http_client};
pub use urls::handler_url;
