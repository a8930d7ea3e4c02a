//! The W&B API as a library of its own.

mod auth;
mod client;
pub mod config;

pub use auth::{Authorization, Secret, TokenSource};
pub use client::ClientConfig;
