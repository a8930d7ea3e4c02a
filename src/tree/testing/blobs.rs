//! The data plane of the world.

use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::World;
use crate::model::{Blobs, Content, Error, ErrorKind, OpenBlob, Origin, Upcoming};

#[async_trait]
impl Blobs for World {
    async fn open(
        &self,
        content: &Content,
        _upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, Error> {
        let (request, name, bytes) = self.source(content)?;
        if self.things.lock().on_disk.insert(name.clone()) {
            let fetched = self.request(request).await;
            if fetched.is_err() {
                self.things.lock().on_disk.remove(&name);
            }
            fetched?;
        }
        Ok(Arc::new(WorldBlob(bytes)))
    }

    fn cached(&self, content: &Content) -> f64 {
        match self.source(content) {
            Ok((_, name, _)) if self.things.lock().on_disk.contains(&name) => 1.0,
            _ => 0.0,
        }
    }
}

impl World {
    fn source(&self, content: &Content) -> Result<(&'static str, String, Bytes), Error> {
        let things = self.things.lock();
        let missing = |what: &str| Error::new(ErrorKind::NotFound, what, "no such bytes");
        match &content.origin {
            Origin::Manifest { artifact, .. } => {
                let bytes = things.manifests.get(artifact).cloned();
                let name = format!("manifest of {}", artifact.as_str());
                let bytes = bytes.ok_or_else(|| missing(artifact.as_str()))?;
                Ok(("manifest", name, bytes))
            }
            Origin::Stored(at) => {
                let bytes = things.contents.get(&*at.path).cloned();
                let bytes = bytes.ok_or_else(|| missing(&at.path))?;
                Ok(("blob", at.path.to_string(), bytes))
            }
            Origin::Reference { url, .. } => {
                let bytes = things.contents.get(&**url).cloned();
                let bytes = bytes.ok_or_else(|| missing(url))?;
                Ok(("blob", url.to_string(), bytes))
            }
        }
    }
}

struct WorldBlob(Bytes);

#[async_trait]
impl OpenBlob for WorldBlob {
    async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Error> {
        let start = usize::try_from(offset).unwrap().min(self.0.len());
        let end = (start + length as usize).min(self.0.len());
        Ok(self.0.slice(start..end))
    }

    async fn len(&self) -> Result<u64, Error> {
        Ok(self.0.len() as u64)
    }

    fn file(&self) -> Option<Arc<std::fs::File>> {
        None
    }

    async fn whole_file(&self) -> Result<Arc<std::fs::File>, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.0).unwrap();
        file.rewind().unwrap();
        Ok(Arc::new(file))
    }
}
