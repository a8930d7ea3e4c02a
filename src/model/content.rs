//! What the data plane is asked for: one immutable content and where it comes from.

use std::ops::Range;
use std::sync::Arc;

use super::{ArtifactId, Digest, VersionPath};

/// One content to open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Content {
    /// Where its bytes come from.
    pub origin: Origin,
    /// What its bytes must hash to; `None` for references that name no content hash and manifests.
    pub digest: Option<Digest>,
    /// Its length in bytes where known. 0 is a real length except for references (protocol §8).
    pub size: Option<u64>,
}

/// Where a content comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A file stored by W&B, reached through a presigned URL of its version.
    Stored(StoredAt),
    /// The manifest of a version. Its bytes never change, so it is cached by version and digest.
    Manifest {
        /// The version, as it was reached.
        version: Arc<VersionPath>,
        /// Its id.
        artifact: ArtifactId,
        /// A URL that came along with the version and may have expired; asked anew without.
        url: Option<Arc<str>>,
        /// `currentManifest.digest` as the server says it, which tells manifests of one id apart.
        manifest_digest: Option<Arc<str>>,
    },
    /// A reference: the address stands in the manifest, W&B never stored the bytes.
    Reference {
        /// The version through which it was reached.
        version: Arc<VersionPath>,
        /// Id of that version.
        artifact: ArtifactId,
        /// The `ref` of the entry.
        url: Arc<str>,
        /// The entry's `digest` text: an ETag for http, s3, gs and Azure (protocol §11).
        etag: Arc<str>,
        /// `extra.versionID` where the entry has one.
        version_id: Option<Arc<str>>,
    },
}

/// Address of a stored file within W&B.
#[derive(Debug, Clone)]
pub struct StoredAt {
    /// The version through which it was reached (entity, project and collection name the handler).
    pub version: Arc<VersionPath>,
    /// Id of that version.
    pub artifact: ArtifactId,
    /// The manifest key, byte for byte.
    pub path: Arc<str>,
    /// The entry's `digest` text, which the server's bulk query for URLs wants back.
    pub digest: Arc<str>,
    /// The entry's `size`, likewise.
    pub size: Option<u64>,
    /// Artifact under which the content was first stored.
    pub birth_artifact: Option<ArtifactId>,
    /// Whether the manifest says storage layout V2 (V1 otherwise).
    pub layout_v2: bool,
    /// `storageRegion` of the manifest.
    pub region: Option<Arc<str>>,
}

/// What is likely to be opened after a content: its followers in listing order, and the files around
/// it.
///
/// The data plane asks for it to fetch URLs and small bodies in bulk; it may ask never. Only
/// [`next`](Self::next) has to be there; without the others no bodies are fetched ahead.
pub trait Upcoming: Send + Sync {
    /// Up to `count` stored contents that follow, nearest first.
    fn next(&self, count: usize) -> Vec<Content>;

    /// Where the content stands among those of its version.
    fn seat(&self) -> Option<Seat> {
        None
    }

    /// Numbers of up to `count` files that follow, nearest first.
    fn following(&self, count: usize) -> Vec<u32> {
        let _none = count;
        Vec::new()
    }

    /// The stored content with a number, and what follows it; `None` for whatever is none.
    fn stored(&self, number: u32) -> Option<(Content, Arc<dyn Upcoming>)> {
        let _none = number;
        None
    }
}

/// Where a file stands in its version. Files of one directory have neighbouring numbers, in listing
/// order, possibly with directories between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Number of the file.
    pub number: u32,
    /// Numbers of its directory's children.
    pub directory: Range<u32>,
    /// Numbers of the whole version are below this one.
    pub end: u32,
}
