//! Fetches a version's manifest and builds its content tree: two requests, whatever its size.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::ContentTree;
use super::build::{Builder, Reports};
use crate::model::manifest;
use crate::model::{Blobs, Content, Error, ErrorKind, Origin};
use crate::tree::version::VersionDir;

/// Bytes per `pread` of the manifest on disk.
const CHUNK: usize = 256 << 10;

/// Largest manifest that is taken into memory while it is read, bytes: about 300,000 entries. Larger
/// ones are read as a stream, which is slower and whose memory is the tree's only.
const AT_ONCE: u64 = 32 << 20;

/// The manifest of a version as a content.
pub(crate) fn manifest_content(version: &VersionDir) -> Content {
    let file = version.value().manifest.as_ref();
    Content {
        origin: Origin::Manifest {
            version: version.path().clone(),
            artifact: version.value().id.clone(),
            url: file.and_then(|file| file.url.as_deref()).map(Arc::from),
            manifest_digest: file.and_then(|file| file.digest.as_deref()).map(Arc::from),
        },
        digest: None,
        size: file.and_then(|file| file.size).filter(|&size| size > 0),
    }
}

/// Fetches and reads the manifest; every odd key goes to `report` with its path in the mount.
///
/// # Errors
/// What the data plane says; [`ErrorKind::Corrupt`] when it is no manifest.
pub(crate) async fn load(
    blobs: &dyn Blobs,
    version: &VersionDir,
    report: impl Fn(&str, &str) + Send,
) -> Result<Arc<ContentTree>, Error> {
    let node = version.mount_path();
    let blob = blobs.open(&manifest_content(version), None).await?;
    let file = blob.whole_file().await?;
    let read = tokio::task::spawn_blocking(move || read(&file)).await;
    let (tree, reports) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(cause)) => return Err(corrupt(&node, cause)),
        Err(cause) => {
            return Err(Error::caused_by(
                ErrorKind::Io,
                node,
                "the reader of the manifest died",
                cause,
            ));
        }
    };
    for (path, message) in &reports.lines {
        report(&format!("{}/{path}", version.files_path()), message);
    }
    if reports.more > 0 {
        let message = format!("{} more keys of the manifest are odd", reports.more);
        report(&version.files_path(), &message);
    }
    Ok(Arc::new(tree))
}

fn corrupt(node: &str, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::caused_by(
        ErrorKind::Corrupt,
        node,
        "the manifest could not be read",
        cause,
    )
}

pub(super) fn read(
    file: &File,
) -> Result<(ContentTree, Reports), Box<dyn std::error::Error + Send + Sync>> {
    let mut builder = Builder::default();
    let mut reader = Positioned { file, offset: 0 };
    let header = match file.metadata()?.len() {
        ..=AT_ONCE => {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            manifest::read_bytes(&bytes, &mut builder)?
        }
        _ => manifest::read(BufReader::with_capacity(CHUNK, reader), &mut builder)?,
    };
    Ok(builder.finish(header)?)
}

/// Reads a shared file from its start without moving the offset that others may use.
struct Positioned<'f> {
    file: &'f File,
    offset: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
