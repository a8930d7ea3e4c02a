//! Seeds: content for a fresh server, written straight into the store.
//!
//! All of it belongs to the first user, or to teams that user is an admin of, and is the same on every machine
//! but for ids and times of making. Planting what is there already does nothing.
//!
//! | seed | what it makes |
//! |---|---|
//! | `demo` | see [`demo`] |
//! | `versions=N` | project `scale`, type `dataset`, collection `versions`: N versions of one small file, metadata `{"index": i}`, `latest` on the newest, `first` on `v0` |
//! | `files=N` | project `scale`, type `dataset`, collection `files`: one version of N files `dir-NNNN/file-NNNNNNN.txt`, 1000 to a directory; above 10,000 files the contents repeat over 1000 |
//! | `artifacts=N` | project `scale`, type `dataset`, collections `artifact-NNNNNN` of one version each |

mod demo;
mod scale;
mod writer;

use std::str::FromStr;

use md5::{Digest as _, Md5};
use rusqlite::OptionalExtension as _;

use self::writer::Writer;
use super::store::{Store, StoreError, projects::Viewer};

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

/// Content that the server itself offers at `/public/sample.txt`, so that the demo has a reference that works
/// without network.
pub(crate) const SAMPLE: &[u8] = b"This text is not stored in any artifact.\n\
It is served over plain HTTP, and an artifact only refers to it.\n\
A reference is pinned by its ETag: if the text changed, reading it would fail.\n";

/// The entity tag of [`SAMPLE`], without quotes.
pub(crate) fn sample_etag() -> String {
    hex::encode(Md5::digest(SAMPLE))
}

/// Fills the store. `base_url` is where the server answers now; the demo's reference points there.
pub(crate) fn plant(store: &Store, seeds: &[Seed], base_url: &str) -> Result<(), StoreError> {
    if seeds.is_empty() {
        return Ok(());
    }
    let first: Option<(i64, String)> = store.read(|db| {
        let sql = "SELECT id, username FROM users ORDER BY id LIMIT 1";
        Ok(db
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    })?;
    let (user_id, username) =
        first.ok_or_else(|| StoreError::not_found("a user to own the seed"))?;
    let viewer = Viewer {
        user_id,
        admin: true,
    };
    store.write(|tx| {
        for seed in seeds {
            let mut writer = Writer::new(tx, store.blobs(), viewer, &username);
            match *seed {
                Seed::Demo => demo::plant(&mut writer, base_url)?,
                Seed::Versions(count) => scale::versions(&mut writer, count)?,
                Seed::Files(count) => scale::files(&mut writer, count)?,
                Seed::Artifacts(count) => scale::artifacts(&mut writer, count)?,
            }
        }
        // Rows may only name blobs that survive a power cut.
        store.blobs().sync()?;
        Ok(())
    })
}

#[cfg(test)]
mod tests;
