//! `Artifacts`: the versions of a collection.

use super::artifact::Artifact;
use super::client::Client;
use super::paginator::{Paginator, plural};
use crate::model::{CollectionPath, Error, Hub, ListOptions};

/// The versions of a collection. `len` is the server's count, which knows filters but not tags.
///
/// Unlike the SDK's, the tag filter looks at every page: a page without a match is not the end
/// (protocol §5).
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Versions(3));
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// use wandbfs::model::ListOptions;
///
/// let newest_first = ListOptions { order: Some("-version_index".into()), ..Default::default() };
/// let artifacts = client.artifacts("dataset", "scale/versions", &newest_first).await?;
/// let versions: Vec<_> = artifacts.with_per_page(2).map_ok(|a| a.version()).try_collect().await?;
/// assert_eq!(versions, ["v2", "v1", "v0"]);
/// # Ok(())
/// # }
/// ```
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
