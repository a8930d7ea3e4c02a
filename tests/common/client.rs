//! A client with its own key that can meet refusals and dead servers, and does not panic at them.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Map, Value, json};

use super::{md5, md5_hex};

/// Why a step did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server answered with this status.
    Status(StatusCode, String),
    /// The server answered with this GraphQL error.
    Error(String),
    /// It did not answer.
    Gone,
}

/// A step's result.
pub(crate) type Step<T> = Result<T, Refused>;

/// Somebody with a key, at work in one project.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: String,
    pub(crate) key: Option<String>,
    pub(crate) entity: String,
    pub(crate) project: String,
}

impl Client {
    /// With a key, in a project.
    pub(crate) fn new(base_url: &str, key: &str, entity: &str, project: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            http,
            base_url: base_url.to_owned(),
            key: Some(key.to_owned()),
            entity: entity.to_owned(),
            project: project.to_owned(),
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.basic_auth("api", Some(key)),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Step<(StatusCode, Vec<u8>)> {
        let answer = request.send().await.map_err(|_| Refused::Gone)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|_| Refused::Gone)?.to_vec();
        if status.is_client_error() || status.is_server_error() {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(Refused::Status(status, text));
        }
        Ok((status, body))
    }

    /// The data of a document's answer.
    pub(crate) async fn ask(&self, query: &str, variables: Value) -> Step<Value> {
        let request = self.http.post(format!("{}/graphql", self.base_url));
        let request = self.authorized(request);
        let body = json!({"query": query, "variables": variables});
        let (_, body) = self.send(request.json(&body)).await?;
        let mut answer: Value = serde_json::from_slice(&body).map_err(|_| Refused::Gone)?;
        match answer["errors"][0]["message"].as_str() {
            Some(message) => Err(Refused::Error(message.to_owned())),
            None => Ok(answer["data"].take()),
        }
    }

    /// GET with the key; redirects are answers.
    pub(crate) async fn get(&self, url: &str) -> Step<(StatusCode, Vec<u8>)> {
        self.send(self.authorized(self.http.get(url))).await
    }

    /// PUT without the key.
    pub(crate) async fn put(&self, url: &str, body: Vec<u8>) -> Step<()> {
        self.send(self.http.put(url).body(body)).await.map(drop)
    }

    /// Creates a pending version, or finds the committed one of that digest (true).
    pub(crate) async fn begin(&self, collection: &str, digest: &str) -> Step<(String, bool)> {
        let input = json!({"entityName": self.entity, "projectName": self.project,
            "artifactTypeName": "dataset", "artifactCollectionName": collection,
            "digest": digest, "digestAlgorithm": "MANIFEST_MD5", "enableDigestDeduplication": true,
            "clientID": format!("{collection}-{digest}"),
            "aliases": [{"artifactCollectionName": collection, "alias": "latest"}]});
        let query = "mutation($i: CreateArtifactInput!) { createArtifact(input: $i) {
            artifact { id state } } }";
        let answer = self.ask(query, json!({ "i": input })).await?;
        let made = &answer["createArtifact"]["artifact"];
        Ok((text(&made["id"]), made["state"] == "COMMITTED"))
    }

    /// Announces a manifest and answers its id and upload URL.
    pub(crate) async fn manifest(&self, artifact: &str, digest: &str) -> Step<(String, String)> {
        let input = json!({"artifactID": artifact, "name": "wandb_manifest.json",
            "digest": digest, "entityName": self.entity, "projectName": self.project,
            "runName": "", "type": "FULL"});
        let query = "mutation($i: CreateArtifactManifestInput!) {
            createArtifactManifest(input: $i) { artifactManifest { id file { uploadUrl } } } }";
        let answer = self.ask(query, json!({ "i": input })).await?;
        let made = &answer["createArtifactManifest"]["artifactManifest"];
        Ok((text(&made["id"]), text(&made["file"]["uploadUrl"])))
    }

    /// Asks where files go; each node with `uploadUrl` and the birth `artifact`.
    pub(crate) async fn place(
        &self,
        artifact: &str,
        manifest: &str,
        files: &[(&str, &[u8])],
    ) -> Step<Vec<Value>> {
        let specs: Vec<Value> = files
            .iter()
            .map(|(name, content)| {
                json!({"artifactID": artifact, "artifactManifestID": manifest,
                    "name": name, "md5": md5(content)})
            })
            .collect();
        let query = "mutation($i: CreateArtifactFilesInput!) { createArtifactFiles(input: $i) {
            files { edges { node { uploadUrl artifact { id } } } } } }";
        let input = json!({"storageLayout": "V2", "artifactFiles": specs});
        let answer = self.ask(query, json!({ "i": input })).await?;
        let edges = answer["createArtifactFiles"]["files"]["edges"].as_array();
        Ok(edges
            .unwrap()
            .iter()
            .map(|edge| edge["node"].clone())
            .collect())
    }

    /// Commits.
    pub(crate) async fn commit(&self, artifact: &str) -> Step<()> {
        let query = "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) {
            artifact { id } } }";
        self.ask(query, json!({ "id": artifact })).await.map(drop)
    }

    /// Logs a version, all steps of it.
    pub(crate) async fn log(&self, collection: &str, files: &[(&str, &[u8])]) -> Step<String> {
        let digest = md5_hex(format!("{collection}{files:?}").as_bytes());
        let (artifact, known) = self.begin(collection, &digest).await?;
        if known {
            return Ok(artifact);
        }
        let (manifest, _) = self.manifest(&artifact, "").await?;
        let nodes = self.place(&artifact, &manifest, files).await?;
        let mut contents = Map::new();
        for (node, (name, content)) in nodes.iter().zip(files) {
            if let Some(url) = node["uploadUrl"].as_str() {
                self.put(url, content.to_vec()).await?;
            }
            let entry = json!({"digest": md5(content), "size": content.len(),
                "birthArtifactID": node["artifact"]["id"]});
            contents.insert((*name).to_owned(), entry);
        }
        let text = manifest_text(&contents);
        let (_, url) = self.manifest(&artifact, &md5(&text)).await?;
        self.put(&url, text).await?;
        self.commit(&artifact).await?;
        Ok(artifact)
    }

    /// All committed versions of a collection, oldest first: number, id, aliases and file URLs.
    pub(crate) async fn versions(&self, collection: &str) -> Step<Vec<Value>> {
        let query = "query($e: String!, $p: String!, $c: String!) {
            project(name: $p, entityName: $e) { artifactCollection(name: $c) {
                artifacts(first: 10000, order: \"+version_index\") { edges { version node { id state
                    aliases { alias } files(first: 100) { edges { node {
                        name md5 directUrl } } } } } } } } }";
        let variables = json!({"e": self.entity, "p": self.project, "c": collection});
        let answer = self.ask(query, variables).await?;
        let edges = answer["project"]["artifactCollection"]["artifacts"]["edges"].as_array();
        Ok(edges.cloned().unwrap_or_default())
    }
}

/// A manifest of these entries.
pub(crate) fn manifest_text(contents: &Map<String, Value>) -> Vec<u8> {
    json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"}, "contents": contents})
    .to_string()
    .into_bytes()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
