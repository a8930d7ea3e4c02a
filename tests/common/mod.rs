//! A server in this process and a client that speaks to it, for the tests of the embedded server.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

pub(crate) mod client;
pub(crate) mod sdl;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::Digest as _;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use wandbfs::server::{RunningServer, Seed, ServerOptions, start};

/// A server on an empty directory of its own.
pub(crate) struct Harness {
    pub(crate) server: RunningServer,
    pub(crate) http: reqwest::Client,
    pub(crate) dir: tempfile::TempDir,
}

/// A version that was just logged.
pub(crate) struct Logged {
    pub(crate) id: String,
    pub(crate) manifest_id: String,
}

/// Standard base64 of the MD5.
pub(crate) fn md5(content: &[u8]) -> String {
    STANDARD.encode(md5::Md5::digest(content))
}

/// Lower-case hex of the MD5.
pub(crate) fn md5_hex(content: &[u8]) -> String {
    hex::encode(md5::Md5::digest(content))
}

impl Harness {
    /// With test controls, without content.
    pub(crate) async fn new() -> Self {
        Self::with(None, true).await
    }

    /// As told.
    pub(crate) async fn with(seed: Option<Seed>, test_controls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = ServerOptions::new(dir.path());
        options.seed = seed;
        options.test_controls = test_controls;
        let server = start(options).await.unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { server, http, dir }
    }

    /// Absolute URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url())
    }

    /// A request with the first user's key.
    pub(crate) fn signed_in(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, self.url(path))
            .basic_auth("api", Some(self.server.api_key()))
    }

    /// The whole answer to a document.
    pub(crate) async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let response = self
            .signed_in(Method::POST, "/graphql")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{query}");
        response.json().await.unwrap()
    }

    /// The data of an answer without errors.
    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer}");
        answer["data"].take()
    }

    /// GET without credentials.
    pub(crate) async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Response {
        let request = headers
            .iter()
            .fold(self.http.get(url), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.send().await.unwrap()
    }

    /// PUT without credentials.
    pub(crate) async fn put(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
        let request = headers
            .iter()
            .fold(self.http.put(url), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.body(body).send().await.unwrap()
    }

    /// Sets the knobs.
    pub(crate) async fn knobs(&self, knobs: Value) {
        let answer = self
            .http
            .put(self.url("/_test/knobs"))
            .json(&knobs)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 204);
    }

    /// The counters.
    pub(crate) async fn requests(&self) -> Value {
        self.http
            .get(self.url("/_test/requests"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// Begins a version of `collection` in project `p` and names its manifest.
    pub(crate) async fn begin(&self, collection: &str, digest: &str) -> Logged {
        let entity = self.server.entity();
        let input = json!({"entityName": entity, "projectName": "p", "artifactTypeName": "dataset",
            "artifactCollectionName": collection, "digest": digest, "runName": "run1",
            "digestAlgorithm": "MANIFEST_MD5",
            "aliases": [{"artifactCollectionName": collection, "alias": "latest"}]});
        self.data(
            "mutation($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }",
            json!({"i": {"name": "run1", "entityName": entity, "modelName": "p"}}),
        )
        .await;
        let created = self
            .data(
                "mutation($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id } } }",
                json!({ "i": input }),
            )
            .await;
        let id = created["createArtifact"]["artifact"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let answer = self.manifest(&id, "", false).await;
        let manifest_id = answer["id"].as_str().unwrap().to_owned();
        Logged { id, manifest_id }
    }

    async fn manifest(&self, artifact: &str, digest: &str, upload: bool) -> Value {
        let input = json!({"artifactID": artifact, "name": "wandb_manifest.json",
            "digest": digest, "entityName": self.server.entity(), "projectName": "p",
            "runName": "run1", "type": "FULL"});
        let query = "mutation($i: CreateArtifactManifestInput!, $u: Boolean!) {
            createArtifactManifest(input: $i) { artifactManifest { id
                file @include(if: $u) { id uploadUrl uploadHeaders } } } }";
        let mut answer = self.data(query, json!({"i": input, "u": upload})).await;
        answer["createArtifactManifest"]["artifactManifest"].take()
    }

    /// Where the content of one file of a version goes: `uploadUrl`, `uploadHeaders`, ….
    pub(crate) async fn place(&self, version: &Logged, name: &str, content: &[u8]) -> Value {
        let input = json!({"storageLayout": "V2", "artifactFiles": [{"artifactID": version.id,
            "artifactManifestID": version.manifest_id, "name": name, "md5": md5(content)}]});
        let query = "mutation($i: CreateArtifactFilesInput!) { createArtifactFiles(input: $i) {
            files { edges { node { storagePath uploadUrl uploadHeaders artifact { id } } } } } }";
        let mut answer = self.data(query, json!({ "i": input })).await;
        answer["createArtifactFiles"]["files"]["edges"][0]["node"].take()
    }

    /// Logs a version as the SDK does.
    pub(crate) async fn log(&self, collection: &str, files: &[(&str, &[u8])]) -> Logged {
        let digest = md5_hex(format!("{collection}{files:?}").as_bytes());
        let version = self.begin(collection, &digest).await;
        let mut contents = serde_json::Map::new();
        for (name, content) in files {
            let node = self.place(&version, name, content).await;
            if let Some(url) = node["uploadUrl"].as_str() {
                let answer = self.put(url, &[], content.to_vec()).await;
                assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
            }
            let birth = node["artifact"]["id"].as_str().unwrap();
            let entry = json!({"digest": md5(content), "size": content.len(),
                "birthArtifactID": birth});
            contents.insert((*name).to_owned(), entry);
        }
        let manifest = json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"}, "contents": contents});
        let manifest = manifest.to_string().into_bytes();
        let node = self.manifest(&version.id, &md5(&manifest), true).await;
        let url = node["file"]["uploadUrl"].as_str().unwrap().to_owned();
        assert_eq!(self.put(&url, &[], manifest).await.status(), 200);
        self.data(
            "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }",
            json!({ "id": version.id }),
        )
        .await;
        version
    }

    /// Signed URL of one file of a version.
    pub(crate) async fn file_url(&self, version: &Logged, name: &str) -> String {
        let query = "query($id: ID!, $names: [String!]) { artifact(id: $id) {
            files(names: $names, first: 1) { edges { node { directUrl } } } } }";
        let answer = self
            .data(query, json!({"id": version.id, "names": [name]}))
            .await;
        answer["artifact"]["files"]["edges"][0]["node"]["directUrl"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Signed URL of the manifest of a version.
    pub(crate) async fn manifest_url(&self, version: &Logged) -> String {
        let query = "query FetchArtifactManifest($id: ID!) { artifact(id: $id) {
            currentManifest { file { directUrl } } } }";
        let answer = self.data(query, json!({"id": version.id})).await;
        answer["artifact"]["currentManifest"]["file"]["directUrl"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}
