//! What changes an `Artifact`: setters and `save`, `delete`, `link`, `unlink`.

use serde_json::{Map, Value};

use super::artifact::Artifact;
use super::artifact_collection::{difference, exchange};
use super::project::not_found;
use crate::model::{Applied, Error, Hub, SaveFailure, Ttl, VersionSelector};

impl Artifact {
    /// Sets the description that [`save`](Self::save) gives it; `""` clears it.
    pub fn set_description(&mut self, text: &str) {
        let is_new = self.description.as_deref() != Some(text);
        self.draft.description = is_new.then(|| text.to_owned());
    }

    /// Sets its metadata, whole.
    pub fn set_metadata(&mut self, metadata: Map<String, Value>) {
        let is_new = self.metadata != metadata;
        self.draft.metadata = is_new.then_some(metadata);
    }

    /// Sets its tags.
    pub fn set_tags<'a>(&mut self, tags: impl IntoIterator<Item = &'a str>) {
        (self.draft.tags_added, self.draft.tags_removed) = difference(&self.value.tags, tags);
    }

    /// Sets its aliases in the collection it was reached through; another version there loses
    /// them.
    pub fn set_aliases<'a>(&mut self, aliases: impl IntoIterator<Item = &'a str>) {
        let differs = difference(&self.value.aliases, aliases);
        (self.draft.aliases_added, self.draft.aliases_removed) = differs;
    }

    /// Sets how long it lives.
    pub fn set_ttl(&mut self, ttl: Ttl) {
        self.draft.ttl = Some(ttl);
    }

    /// Saves what was set: only what differs, nothing where nothing does, in the order of the SDK:
    /// aliases first. Afterwards this value shows it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::model::ErrorKind::Invalid) before anything is sent when a rule
    /// is broken; [`ErrorKind::Forbidden`](crate::model::ErrorKind::Forbidden) for a link whose
    /// source may not be changed; else why a step failed. The failure names the steps that were
    /// applied. What was set stays set.
    ///
    /// ```
    /// # use wandbfs::server::{Seed, ServerOptions, start};
    /// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let data = tempfile::tempdir()?;
    /// # let seed = Some(Seed::Versions(2));
    /// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
    /// # let key = Authorization::Basic(Secret::new(server.api_key()));
    /// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
    /// let mut artifact = client.artifact("scale/versions:v1").await?;
    /// artifact.set_aliases(["latest", "production"]);
    /// artifact.set_description("ready");
    /// artifact.save().await?;
    /// let production = client.artifact("scale/versions:production").await?;
    /// assert_eq!(production.version(), "v1");
    /// assert_eq!(production.description.as_deref(), Some("ready"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn save(&mut self) -> Result<Vec<Applied>, SaveFailure> {
        let applied = Hub::save_version(&self.client, &self.value, &self.draft).await?;
        let draft = std::mem::take(&mut self.draft);
        let value = &mut self.value;
        let (gained, lost) = (draft.aliases_added, draft.aliases_removed);
        exchange(&mut value.aliases, gained, &lost);
        exchange(&mut value.tags, draft.tags_added, &draft.tags_removed);
        if draft.description.is_some() {
            value.description = draft.description;
        }
        if let Some(metadata) = draft.metadata {
            value.metadata = metadata;
        }
        if let Some(ttl) = draft.ttl {
            value.ttl_is_inherited = Some(ttl == Ttl::Inherit);
            value.ttl_seconds = match ttl {
                Ttl::Seconds(seconds) => Some(seconds),
                Ttl::Inherit | Ttl::Disabled => None,
            };
        }
        Ok(applied)
    }

    /// Deletes it; given a link it unlinks it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](crate::model::ErrorKind::Busy) while it has aliases, unless
    /// `delete_aliases`.
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
    /// let latest = client.artifact("scale/versions:latest").await?;
    /// assert!(latest.clone().delete(false).await.is_err());
    /// latest.delete(true).await?;
    /// assert_eq!(client.artifact("scale/versions:latest").await?.version(), "v1");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete(self, delete_aliases: bool) -> Result<(), Error> {
        if self.is_link() {
            return self.unlink().await;
        }
        let (client, version) = (&self.client, &self.value);
        client.delete_artifact(version, delete_aliases).await
    }

    /// Links it into a portfolio, `[entity/]project/collection`, which is made where missing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::model::ErrorKind::Invalid) when a name or alias cannot be one.
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
    /// let artifact = client.artifact("scale/versions:v1").await?;
    /// let link = artifact.link("scale/best", &["gold"]).await?;
    /// assert_eq!((link.version().as_str(), link.is_link()), ("v0", true));
    /// assert_eq!(client.artifact("scale/best:gold").await?.source_version().as_deref(), Some("v1"));
    /// link.unlink().await?;
    /// assert!(client.artifact("scale/best:gold").await.is_err());
    /// assert!(client.artifact("scale/versions:v1").await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn link(&self, target: &str, aliases: &[&str]) -> Result<Artifact, Error> {
        let target = self.client.collection_path(&self.type_name, target).await?;
        let aliases: Vec<String> = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let index = Hub::link_version(&self.client, &self.value, &target, &aliases).await?;
        let selector = VersionSelector::Index(index);
        let found = Hub::version(&self.client, &target, &selector).await?;
        let missing = || not_found(format!("{target}/{index}"), "the new link is gone already");
        let found = found.ok_or_else(missing)?;
        Ok(Self::new(self.client.clone(), found, None))
    }

    /// Takes this link out of its portfolio; the version it links stays.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::model::ErrorKind::Invalid) when it is no link.
    pub async fn unlink(self) -> Result<(), Error> {
        Hub::unlink_version(&self.client, &self.value).await
    }
}
