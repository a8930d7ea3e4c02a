//! The manifest of a version, for programs that want all of it at hand.

use std::collections::BTreeMap;

use url::Url;

use super::artifact::Artifact;
use crate::model::manifest::{Entry, Header, Sink, read};
use crate::model::{Error, ErrorKind, Hub};

/// A whole manifest. Holds every entry, so a million of them take some hundred megabytes; the mount
/// reads manifests as a stream instead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Storage layout and region.
    pub header: Header,
    /// Entries by path, byte for byte as the manifest has it. Of duplicates the last counts.
    pub entries: BTreeMap<String, Entry>,
}

impl Sink for Manifest {
    fn entry(&mut self, path: &str, entry: Entry) {
        self.entries.insert(path.to_owned(), entry);
    }
}

impl Artifact {
    /// Its manifest: 1 request for the address and 1 for the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] before the version is committed, [`ErrorKind::Corrupt`] when the
    /// bytes are no manifest.
    pub async fn manifest(&self) -> Result<Manifest, Error> {
        let node = self.qualified_name();
        let url = Hub::manifest_url(&self.client, &self.id).await?;
        // A URL's own error may quote it, signature and all.
        let url = Url::parse(&url).map_err(|_| {
            let words = "the server's address of the manifest is not a URL";
            Error::new(ErrorKind::Invalid, node.as_str(), words)
        })?;
        let body = self.client.get(&node, &url).await?;
        let parsed = tokio::task::spawn_blocking(move || {
            let mut manifest = Manifest::default();
            manifest.header = read(body.as_ref(), &mut manifest)?;
            Ok::<_, crate::model::manifest::ManifestError>(manifest)
        });
        let corrupt = |fault: Box<dyn std::error::Error + Send + Sync>| {
            Error::caused_by(ErrorKind::Corrupt, node.as_str(), "not a manifest", fault)
        };
        match parsed.await {
            Ok(Ok(manifest)) => Ok(manifest),
            Ok(Err(fault)) => Err(corrupt(fault.into())),
            Err(fault) => Err(corrupt(fault.into())),
        }
    }
}
