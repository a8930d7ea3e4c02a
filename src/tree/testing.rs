//! A world for tests: [`Hub`] and [`Blobs`] over values in memory, which counts every request, fails
//! and waits on demand.
//!
//! ```text
//! let world = World::new();
//! world.add_version("e/p/t/c", 7, &["latest"], &manifest(&[("a/b", b"hello")]));
//! let tree = world.tree(TreeOptions::default());
//! world.hold("versions", 2);            // the second page waits for `release`
//! world.fail("version", ErrorKind::Network);
//! assert_eq!(world.requests(), 0);
//! ```

#![allow(clippy::unwrap_used)]

mod blobs;
mod changes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use md5::Digest as _;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Tree, TreeOptions};
use crate::model::{
    Applied, ArtifactId, ArtifactVersion, Collection, CollectionChange, CollectionKind,
    CollectionName, CollectionPath, CreatedBy, Cursor, Entity, EntityName, Error, ErrorKind, Hub,
    ListOptions, ManifestFile, Membership, NodePath, Page, PageRequest, Project,
    ProjectArtifactType, ProjectPath, Run, RunArtifactsMode, RunPath, RunRef, SaveFailure,
    StoredAt, TypeName, TypePath, VersionChange, VersionIndex, VersionSelector, Viewer,
};

/// Items per page where the request names no number.
const PAGE: usize = 50;

/// Created and updated time of everything.
pub(crate) const CREATED: &str = "2026-01-02T03:04:05Z";

/// The world. Its names of requests are the names of the methods of [`Hub`], and `manifest` and `blob`
/// for the first fetch of a content (later ones come from its disk).
#[derive(Default)]
pub(crate) struct World {
    things: Mutex<Things>,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    failures: Mutex<HashMap<&'static str, ErrorKind>>,
    gates: Mutex<HashMap<(&'static str, usize), Arc<Semaphore>>>,
}

#[derive(Default)]
struct Things {
    entities: Vec<EntityName>,
    strangers: Vec<EntityName>,
    projects: Vec<ProjectPath>,
    types: Vec<TypePath>,
    collections: Vec<Collection>,
    versions: Vec<ArtifactVersion>,
    extra_aliases: Vec<String>,
    manifests: HashMap<ArtifactId, Bytes>,
    contents: HashMap<String, Bytes>,
    on_disk: BTreeSet<String>,
    repeat_cursors: bool,
    runs: Vec<Run>,
    /// Which run made or used which version.
    lineage: Vec<(RunPath, RunArtifactsMode, ArtifactId)>,
    /// Changes as they arrived.
    sent: Vec<String>,
    /// Options of the listings as they arrived.
    asked: Vec<ListOptions>,
}

/// A manifest of stored files with these keys and contents.
pub(crate) fn manifest(files: &[(&str, &[u8])]) -> String {
    let entry = |bytes: &[u8]| json!({"digest": md5_of(bytes), "size": bytes.len()});
    let contents: serde_json::Map<String, serde_json::Value> = files
        .iter()
        .map(|(key, bytes)| ((*key).to_owned(), entry(bytes)))
        .collect();
    manifest_of(&json!(contents).to_string())
}

/// A manifest around the text of its `contents`, which may hold a key twice.
pub(crate) fn manifest_of(contents: &str) -> String {
    format!(
        r#"{{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{{"storageLayout":"V2"}},"contents":{contents}}}"#
    )
}

fn md5_of(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(bytes))
}

/// `entity/project/type/collection` as a path.
pub(crate) fn collection_path(text: &str) -> CollectionPath {
    match NodePath::parse(text).unwrap() {
        NodePath::Collection(path) => path,
        other => panic!("{other:?} is no collection"),
    }
}

impl World {
    /// An empty world whose viewer is `me` with the entity `e`.
    pub(crate) fn new() -> Arc<Self> {
        let world = Self::default();
        world.things.lock().entities = vec![EntityName::new("e").unwrap()];
        Arc::new(world)
    }

    /// A tree over this world.
    pub(crate) fn tree(self: &Arc<Self>, options: TreeOptions) -> Tree {
        Tree::new(self.clone(), self.clone(), options)
    }

    /// Adds a collection with everything above it.
    pub(crate) fn add_collection(&self, path: &str) -> CollectionPath {
        let path = collection_path(path);
        let mut things = self.things.lock();
        let entity = &path.project.entity;
        if !things.entities.contains(entity) && !things.strangers.contains(entity) {
            things.strangers.push(entity.clone());
        }
        if !things.projects.contains(&path.project) {
            things.projects.push(path.project.clone());
        }
        if !things.types.contains(&path.type_path()) {
            things.types.push(path.type_path());
        }
        if !things.collections.iter().any(|known| known.path == path) {
            let id = format!("collection-{}", things.collections.len());
            things.collections.push(Collection {
                id,
                path: path.clone(),
                kind: CollectionKind::Sequence,
                description: Some("what it is".into()),
                tags: vec!["tag".into()],
                aliases: vec!["latest".into()],
                more_aliases: false,
                version_count: None,
                created_at: Some(CREATED.into()),
                updated_at: None,
            });
        }
        path
    }

    /// Adds a committed version with its manifest, and everything above it.
    pub(crate) fn add_version(&self, path: &str, index: u64, aliases: &[&str], manifest: &str) {
        let collection = self.add_collection(path);
        let id = ArtifactId::new(format!("{path}:{index}"));
        let mut things = self.things.lock();
        things
            .manifests
            .insert(id.clone(), manifest.to_owned().into());
        let mut version = version_value(id, collection, index, manifest.len());
        version.aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        things.versions.push(version);
    }

    /// Sets the bytes that are served for a manifest key of any version.
    pub(crate) fn set_content(&self, key: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.things.lock().contents.insert(key.to_owned(), bytes);
    }

    /// Changes a version in place.
    pub(crate) fn edit_version(
        &self,
        path: &str,
        index: u64,
        edit: impl FnOnce(&mut ArtifactVersion),
    ) {
        let path = collection_path(path);
        let mut things = self.things.lock();
        let of =
            |version: &&mut ArtifactVersion| version.collection == path && version.index.0 == index;
        edit(things.versions.iter_mut().find(of).unwrap());
    }

    /// Changes a collection in place.
    pub(crate) fn edit_collection(&self, path: &str, edit: impl FnOnce(&mut Collection)) {
        let path = collection_path(path);
        let mut things = self.things.lock();
        let of = |collection: &&mut Collection| collection.path == path;
        edit(things.collections.iter_mut().find(of).unwrap());
    }

    /// Aliases that [`Hub::collection_aliases`] tells beyond those that came along.
    pub(crate) fn set_extra_aliases(&self, aliases: &[&str]) {
        self.things.lock().extra_aliases = aliases.iter().map(|a| (*a).to_owned()).collect();
    }

    /// Makes every listing name the same cursor again and again.
    pub(crate) fn repeat_cursors(&self) {
        self.things.lock().repeat_cursors = true;
    }

    /// Fails every request of that name until [`Self::heal`].
    pub(crate) fn fail(&self, request: &'static str, kind: ErrorKind) {
        self.failures.lock().insert(request, kind);
    }

    /// Fails nothing any more.
    pub(crate) fn heal(&self) {
        self.failures.lock().clear();
    }

    /// Makes the `number`-th request of that name (from 1, since the last reset) wait for
    /// [`Self::release`].
    pub(crate) fn hold(&self, request: &'static str, number: usize) {
        let gate = Arc::new(Semaphore::new(0));
        self.gates.lock().insert((request, number), gate);
    }

    /// Lets everything go on that waits.
    pub(crate) fn release(&self) {
        for gate in self.gates.lock().drain().map(|(_, gate)| gate) {
            gate.add_permits(Semaphore::MAX_PERMITS / 2);
        }
    }

    /// Requests of that name since the last reset.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.counts.lock().get(request).copied().unwrap_or(0)
    }

    /// All requests since the last reset.
    pub(crate) fn requests(&self) -> usize {
        self.counts.lock().values().sum()
    }

    /// All requests since the last reset, by name.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, usize> {
        self.counts.lock().clone()
    }

    /// Counts from zero.
    pub(crate) fn reset(&self) {
        self.counts.lock().clear();
    }

    async fn request(&self, name: &'static str) -> Result<(), Error> {
        let number = {
            let mut counts = self.counts.lock();
            let count = counts.entry(name).or_default();
            *count += 1;
            *count
        };
        let gate = self.gates.lock().get(&(name, number)).cloned();
        if let Some(gate) = gate {
            let _permit = gate.acquire().await;
        }
        match self.failures.lock().get(name) {
            Some(&kind) => Err(Error::new(kind, "", format!("{name} was told to fail"))),
            None => Ok(()),
        }
    }

    fn page<T>(&self, items: Vec<T>, request: &PageRequest) -> Page<T> {
        let start: usize = request
            .after
            .as_ref()
            .map_or(0, |cursor| cursor.as_str().parse().unwrap());
        let size = request.per_page.map_or(PAGE, |size| size as usize);
        let total = items.len();
        let items: Vec<T> = items.into_iter().skip(start).take(size).collect();
        let end = match self.things.lock().repeat_cursors {
            true => size,
            false => start + items.len(),
        };
        Page {
            items,
            next: (end < total).then(|| Cursor::new(end.to_string())),
            total: Some(total as u64),
        }
    }
}

fn version_value(
    id: ArtifactId,
    collection: CollectionPath,
    index: u64,
    manifest_size: usize,
) -> ArtifactVersion {
    ArtifactVersion {
        digest: format!("digest-of-{index}"),
        commit_hash: Some(format!("commit-of-{index}")),
        type_name: collection.artifact_type.to_string(),
        source_entity: Some(collection.project.entity.to_string()),
        source_project: Some(collection.project.project.to_string()),
        source_collection: collection.name.to_string(),
        source_index: Some(VersionIndex(index)),
        id,
        collection,
        index: VersionIndex(index),
        membership: Membership::default(),
        description: None,
        metadata: serde_json::Map::new(),
        aliases: Vec::new(),
        tags: Vec::new(),
        ttl_seconds: None,
        ttl_is_inherited: Some(true),
        state: "COMMITTED".into(),
        size: Some(0),
        digest_algorithm: Some("MANIFEST_MD5".into()),
        file_count: Some(0),
        created_at: Some(CREATED.into()),
        updated_at: None,
        history_step: None,
        linked_artifacts: Vec::new(),
        manifest: Some(ManifestFile {
            digest: Some("manifest-digest".into()),
            size: Some(manifest_size as u64),
            url: None,
        }),
    }
}

fn entity_value(name: &EntityName) -> Entity {
    Entity {
        id: format!("entity-{name}"),
        name: name.clone(),
        kind: None,
        organization: None,
        created_at: Some(CREATED.into()),
        updated_at: None,
    }
}

fn project_value(path: &ProjectPath) -> Project {
    Project {
        id: format!("project-{path}"),
        internal_id: None,
        path: path.clone(),
        description: None,
        access: Some("PRIVATE".into()),
        read_only: Some(false),
        created_at: Some(CREATED.into()),
        updated_at: None,
    }
}

fn type_value(name: &TypeName) -> ProjectArtifactType {
    ProjectArtifactType {
        id: format!("type-{name}"),
        name: name.clone(),
        description: None,
        created_at: Some(CREATED.into()),
        collection_count: Some(1),
    }
}

#[async_trait]
impl Hub for World {
    async fn viewer(&self) -> Result<Viewer, Error> {
        self.request("viewer").await?;
        let entities = self.things.lock().entities.clone();
        Ok(Viewer {
            id: "user-1".into(),
            username: Some("me".into()),
            name: None,
            email: None,
            entity: entities.first().cloned(),
            entities,
        })
    }

    async fn entity(&self, name: &EntityName) -> Result<Option<Entity>, Error> {
        self.request("entity").await?;
        let things = self.things.lock();
        let mut all = things.entities.iter().chain(&things.strangers);
        Ok(all.find(|known| *known == name).map(entity_value))
    }

    async fn projects(
        &self,
        entity: &EntityName,
        page: &PageRequest,
    ) -> Result<Page<Project>, Error> {
        self.request("projects").await?;
        let all = self.things.lock().projects.clone();
        let own = all.iter().filter(|path| path.entity == *entity);
        Ok(self.page(own.map(project_value).collect(), page))
    }

    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>, Error> {
        self.request("project").await?;
        let things = self.things.lock();
        Ok(things.projects.contains(path).then(|| project_value(path)))
    }

    async fn artifact_types(
        &self,
        project: &ProjectPath,
        page: &PageRequest,
    ) -> Result<Page<ProjectArtifactType>, Error> {
        self.request("artifact_types").await?;
        let all = self.things.lock().types.clone();
        let own = all.iter().filter(|path| path.project == *project);
        Ok(self.page(own.map(|p| type_value(&p.artifact_type)).collect(), page))
    }

    async fn artifact_type(&self, path: &TypePath) -> Result<Option<ProjectArtifactType>, Error> {
        self.request("artifact_type").await?;
        let known = self.things.lock().types.contains(path);
        Ok(known.then(|| type_value(&path.artifact_type)))
    }

    async fn collections(
        &self,
        artifact_type: &TypePath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<Collection>, Error> {
        self.things.lock().asked.push(options.clone());
        self.request("collections").await?;
        let all = self.things.lock().collections.clone();
        let own = all
            .into_iter()
            .filter(|c| c.path.type_path() == *artifact_type);
        Ok(self.page(own.collect(), page))
    }

    async fn collection(&self, path: &CollectionPath) -> Result<Option<Collection>, Error> {
        self.request("collection").await?;
        let things = self.things.lock();
        Ok(things.collections.iter().find(|c| c.path == *path).cloned())
    }

    async fn collection_aliases(&self, _collection: &Collection) -> Result<Vec<String>, Error> {
        self.request("collection_aliases").await?;
        Ok(self.things.lock().extra_aliases.clone())
    }

    async fn versions(
        &self,
        collection: &CollectionPath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        self.things.lock().asked.push(options.clone());
        self.request("versions").await?;
        let all = self.things.lock().versions.clone();
        let own = all.into_iter().filter(|v| v.collection == *collection);
        Ok(self.page(own.collect(), page))
    }

    async fn version(
        &self,
        collection: &CollectionPath,
        selector: &VersionSelector,
    ) -> Result<Option<ArtifactVersion>, Error> {
        self.request("version").await?;
        let things = self.things.lock();
        let matches = |version: &&ArtifactVersion| {
            let selected = match selector {
                VersionSelector::Index(index) => version.index == *index,
                VersionSelector::Name(name) => {
                    version.aliases.iter().any(|alias| **alias == **name)
                        || *version.digest == **name
                        || version.commit_hash.as_deref() == Some(name)
                }
            };
            version.collection == *collection && selected
        };
        Ok(things.versions.iter().find(matches).cloned())
    }

    async fn collection_of_project(
        &self,
        project: &ProjectPath,
        name: &CollectionName,
    ) -> Result<Option<Collection>, Error> {
        self.request("collection_of_project").await?;
        let things = self.things.lock();
        let mut all = things.collections.iter();
        let found = all.find(|c| c.path.project == *project && c.path.name == *name);
        Ok(found.cloned())
    }

    async fn manifest_url(&self, artifact: &ArtifactId) -> Result<String, Error> {
        self.request("manifest_url").await?;
        Ok(format!("http://world.test/{}", artifact.as_str()))
    }

    async fn content_urls(&self, files: &[StoredAt]) -> Result<Vec<Option<String>>, Error> {
        self.request("content_urls").await?;
        let url = |file: &StoredAt| Some(format!("http://world.test/{}", file.path));
        Ok(files.iter().map(url).collect())
    }

    async fn runs(
        &self,
        project: &ProjectPath,
        _options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<Run>, Error> {
        self.request("runs").await?;
        Ok(self.page(self.runs_of(project), page))
    }

    async fn run(&self, run: &RunPath) -> Result<Option<Run>, Error> {
        self.request("run").await?;
        let found = self.runs_of(&run.project);
        Ok(found.into_iter().find(|known| known.name == run.name))
    }

    async fn run_artifacts(
        &self,
        run: &RunPath,
        mode: RunArtifactsMode,
        page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        self.request("run_artifacts").await?;
        Ok(self.page(self.artifacts_of(run, mode), page))
    }

    async fn used_by(&self, id: &ArtifactId, page: &PageRequest) -> Result<Page<RunRef>, Error> {
        self.request("used_by").await?;
        Ok(self.page(self.users_of(id), page))
    }

    async fn logged_by(&self, id: &ArtifactId) -> Result<Option<CreatedBy>, Error> {
        self.request("logged_by").await?;
        Ok(self.logger_of(id))
    }

    async fn save_collection(
        &self,
        collection: &Collection,
        change: &CollectionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        self.request("save_collection").await?;
        self.change_collection(&collection.id, change)
    }

    async fn delete_collection(&self, collection: &Collection) -> Result<(), Error> {
        self.request("delete_collection").await?;
        self.drop_collection(&collection.id)
    }

    async fn create_collection(
        &self,
        path: &CollectionPath,
        _description: Option<&str>,
    ) -> Result<Collection, Error> {
        self.request("create_collection").await?;
        Ok(self.add_portfolio(path))
    }

    async fn save_version(
        &self,
        version: &ArtifactVersion,
        change: &VersionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        self.request("save_version").await?;
        self.change_version(version, change)
    }

    async fn delete_version(
        &self,
        version: &ArtifactVersion,
        delete_aliases: bool,
    ) -> Result<(), Error> {
        self.request("delete_version").await?;
        self.drop_version(version, delete_aliases)
    }

    async fn link_version(
        &self,
        source: &ArtifactVersion,
        target: &CollectionPath,
        aliases: &[String],
    ) -> Result<VersionIndex, Error> {
        self.request("link_version").await?;
        Ok(self.add_link(source, target, aliases))
    }

    async fn unlink_version(&self, version: &ArtifactVersion) -> Result<(), Error> {
        self.request("unlink_version").await?;
        self.drop_version(version, true)
    }

    fn app_url(&self, path: &NodePath) -> Option<String> {
        match path {
            NodePath::Version {
                collection,
                selector,
                ..
            } => Some(format!("http://app.test/{collection}/{selector}")),
            _ => Some("http://app.test/".into()),
        }
    }
}
