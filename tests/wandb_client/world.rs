//! A server with a collection of three versions, its client, its knobs.

use serde_json::{Value, json};
use tempfile::TempDir;
use wandbfs::model::{ArtifactVersion, Collection, CollectionName, CollectionPath, Hub, TypeName};
use wandbfs::server::{RunningServer, Seed, ServerOptions, start};
use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};

pub struct World {
    pub server: RunningServer,
    pub client: Client,
    pub data: TempDir,
}

/// `scale/versions` with three versions, and knobs.
pub async fn world() -> World {
    seeded(Seed::Versions(3)).await
}

pub async fn seeded(seed: Seed) -> World {
    let data = tempfile::tempdir().unwrap();
    let options = ServerOptions {
        seed: Some(seed),
        test_controls: true,
        ..ServerOptions::new(data.path())
    };
    let server = start(options).await.unwrap();
    let client = connect(&server, server.api_key());
    World {
        server,
        client,
        data,
    }
}

pub fn connect(server: &RunningServer, key: &str) -> Client {
    let key = Authorization::Basic(Secret::new(key));
    let config = ClientConfig::new(server.base_url().parse().unwrap(), key);
    Client::connect(config).unwrap()
}

impl World {
    pub fn hub(&self) -> &dyn Hub {
        &self.client
    }

    pub async fn collection(&self, name: &str) -> Collection {
        let found = self.client.artifact_collection("scale", name).await;
        (*found.unwrap()).clone()
    }

    pub async fn version(&self, name: &str) -> ArtifactVersion {
        let found = self.client.artifact(&format!("scale/{name}")).await;
        (*found.unwrap()).clone()
    }

    pub async fn control(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_test/{path}", self.server.base_url());
        let asked = reqwest::Client::new().request(method, url).json(&body);
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    /// Sets a fault: `skip` requests that match pass, `count` are hit.
    pub async fn fault(&self, matches: &str, fault: Value) {
        let mut fault = fault;
        fault["match"] = json!(matches);
        let knobs = json!({ "faults": [fault] });
        self.control(reqwest::Method::PUT, "knobs", knobs).await;
    }

    /// How often an operation arrived.
    pub async fn count(&self, operation: &str) -> u64 {
        let counted = self
            .control(reqwest::Method::GET, "requests", Value::Null)
            .await;
        counted["by_operation"][operation].as_u64().unwrap_or(0)
    }

    pub fn target(&self, name: &str) -> CollectionPath {
        let project = self.server.entity();
        CollectionPath {
            project: wandbfs::model::ProjectPath {
                entity: wandbfs::model::EntityName::new(project).unwrap(),
                project: wandbfs::model::ProjectName::new("scale").unwrap(),
            },
            artifact_type: TypeName::new("dataset").unwrap(),
            name: CollectionName::new(name).unwrap(),
        }
    }
}

pub fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
