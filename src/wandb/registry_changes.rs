//! What changes registries: making one, describing it, deleting it, and its collections.

use serde_json::json;

use super::app_url::REGISTRY_PREFIX;
use super::artifact_collection::ArtifactCollection;
use super::client::Client;
use super::mutation::{Mutation, Witness};
use super::operations as op;
use super::project::invalid;
use super::registry::Registry;
use crate::model::{
    CollectionName, CollectionPath, Error, Hub, ProjectName, ProjectPath, TypeName,
};

/// What a new registry is to be.
#[derive(Debug, Clone, Default)]
pub struct NewRegistry {
    /// Free text.
    pub description: Option<String>,
    /// Whether only invited members see it; everybody of the organisation otherwise.
    pub restricted: bool,
    /// The artifact types that may be linked into it; any without.
    pub artifact_types: Vec<String>,
}

impl Client {
    /// Makes a registry in an organisation, named as users or as the server name it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::model::ErrorKind::Invalid) when the name cannot be one,
    /// [`ErrorKind::Busy`](crate::model::ErrorKind::Busy) when it is taken.
    pub async fn create_registry(
        &self,
        name: &str,
        organization: Option<&str>,
        new: &NewRegistry,
    ) -> Result<Registry, Error> {
        let entity = self.organization(organization).await?.entity;
        let project = format!("{REGISTRY_PREFIX}{name}");
        let path = ProjectPath {
            project: ProjectName::new(&project).map_err(|fault| invalid(name, fault))?,
            entity,
        };
        let types = new.artifact_types.iter();
        let types: Vec<_> = types.map(|name| json!({ "name": name })).collect();
        let input = json!({
            "name": project,
            "entityName": path.entity.as_str(),
            "description": new.description,
            "access": if new.restricted { "RESTRICTED" } else { "PRIVATE" },
            "allowAllArtifactTypesInRegistry": types.is_empty(),
            "artifactTypes": types,
        });
        // `upsertModel` would change an existing one.
        if Hub::project(self, &path).await?.is_some() {
            let words = "there is such a registry already";
            let kind = crate::model::ErrorKind::Busy;
            return Err(Error::new(kind, path.to_string(), words));
        }
        self.upsert_registry(&path, "registry created", input)
            .await?;
        self.registry(name, organization).await
    }

    async fn upsert_registry(
        &self,
        path: &ProjectPath,
        what: &str,
        input: serde_json::Value,
    ) -> Result<(), Error> {
        let mutation = Mutation {
            operation: op::UPSERT_REGISTRY,
            node: path.to_string(),
            what: what.to_owned(),
            input,
            undo: None,
        };
        self.mutate(&mutation).await.map(drop)
    }
}

impl Registry {
    /// Gives it a new description at once.
    ///
    /// # Errors
    /// What the request failed of.
    pub async fn describe(&mut self, text: &str) -> Result<(), Error> {
        let path = self.path.clone();
        let input = json!({
            "name": path.project.as_str(),
            "entityName": path.entity.as_str(),
            "description": text,
        });
        self.client
            .upsert_registry(&path, "description", input)
            .await?;
        self.value.description = Some(text.to_owned());
        Ok(())
    }

    /// Deletes it with its collections; the versions they link stay.
    ///
    /// # Errors
    /// What the request failed of.
    pub async fn delete(self) -> Result<(), Error> {
        let mutation = Mutation {
            operation: op::DELETE_REGISTRY,
            node: self.path.to_string(),
            what: "registry deleted".to_owned(),
            input: json!({ "id": self.id }),
            undo: None,
        };
        let witness = Witness::ProjectGone(&self.path);
        self.client.mutate_once(&mutation, &witness).await.map(drop)
    }

    /// Makes an empty collection of a type in it.
    ///
    /// # Errors
    /// As [`Hub::create_collection`].
    pub async fn create_collection(
        &self,
        type_name: &str,
        name: &str,
        description: Option<&str>,
    ) -> Result<ArtifactCollection, Error> {
        let path = CollectionPath {
            project: self.path.clone(),
            artifact_type: TypeName::new(type_name).map_err(|fault| invalid(type_name, fault))?,
            name: CollectionName::new(name).map_err(|fault| invalid(name, fault))?,
        };
        let made = Hub::create_collection(&self.client, &path, description).await?;
        Ok(ArtifactCollection::new(self.client.clone(), made))
    }
}
