//! `Artifacts`: the versions of a collection.

use super::artifact::Artifact;
use super::client::Client;
use super::paginator::{Paginator, plural};
use crate::model::{CollectionPath, Error, Hub, ListOptions};

/// The versions of a collection. `len` is the server's count, which knows filters but not tags.
///
/// Unlike the SDK's, the tag filter looks at every page: a page without a match is not the end
/// (protocol §5).
#[derive(Debug)]
pub struct Artifacts {
    pages: Paginator<Artifact>,
    options: ListOptions,
    tags: Vec<String>,
}

plural!(Artifacts of Artifact);

impl Artifacts {
    pub(crate) fn of(client: Client, path: CollectionPath, options: ListOptions) -> Self {
        let asked = options.clone();
        let pages = Paginator::new(move |page| {
            let (client, path, options) = (client.clone(), path.clone(), asked.clone());
            async move {
                let found = Hub::versions(&client, &path, &options, &page).await?;
                Ok(found.map(|value| Artifact::new(client.clone(), value, None)))
            }
        });
        Self {
            pages,
            options,
            tags: Vec::new(),
        }
    }

    /// Keeps the versions that have all of these tags.
    #[must_use]
    pub fn with_tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        let wanted = self.tags.clone();
        self.pages = self
            .pages
            .keeping(move |artifact| wanted.iter().all(|tag| artifact.tags.contains(tag)));
        self
    }

    /// The filter sent, as JSON text.
    pub fn filters(&self) -> Option<&str> {
        self.options.filters.as_deref()
    }

    /// The order sent.
    pub fn order(&self) -> Option<&str> {
        self.options.order.as_deref()
    }

    /// The tags that every item has.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }
}

impl Client {
    /// The versions of the collection `[entity/]project/collection` of a type.
    ///
    /// # Errors
    /// When a name cannot be one, or the entity cannot be found out.
    pub async fn artifacts(
        &self,
        type_name: &str,
        collection: &str,
        options: &ListOptions,
    ) -> Result<Artifacts, Error> {
        let path = self.collection_path(type_name, collection).await?;
        Ok(Artifacts::of(self.clone(), path, options.clone()))
    }
}
