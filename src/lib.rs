//! Weights & Biases artifacts as a file system.
//!
//! The crate is a library and the binary `wandbfs`. Its rooms, from the kernel down; each may call
//! only those below it, which `tests/architecture.rs` checks:
//!
//! | room | what it is |
//! |---|---|
//! | [`cli`] | one file per subcommand; where implementations are chosen and put together |
//! | [`fuse`] | the kernel adapter, the only place that names the `fuser` crate |
//! | [`vfs`] | inodes, lookup counts, handles, lifetimes and the errno table, free of any kernel type |
//! | [`tree`] | what each directory of the mount is |
//! | [`wandb`] | the W&B API as a library of its own |
//! | [`store`] | bytes: sources, the shared cache, partial files, prefetch |
//! | [`model`] | the nouns as values, and the two traits between tree and the world |
//! | [`server`] | an embedded W&B-compatible artifact server for demo and tests |
//! | [`telemetry`] | logging and the error ring |

pub mod cli;
pub mod fuse;
pub mod model;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod tree;
pub mod vfs;
pub mod wandb;
