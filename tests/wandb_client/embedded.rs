//! The client against the embedded server: real answers, and what they cost.

use futures::TryStreamExt as _;
use tempfile::TempDir;
use wandbfs::model::{
    ArtifactId, CollectionPath, Hub, ListOptions, NodePath, PageRequest, StoredAt, VersionPath,
    VersionSelector,
};
use wandbfs::server::{RunningServer, Seed, ServerOptions, start};
use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret, handler_url};

struct Served {
    server: RunningServer,
    client: Client,
    _data: TempDir,
}

async fn serve(seed: Seed) -> Served {
    let data = tempfile::tempdir().unwrap();
    let options = ServerOptions {
        seed: Some(seed),
        ..ServerOptions::new(data.path())
    };
    let server = start(options).await.unwrap();
    let key = Authorization::Basic(Secret::new(server.api_key()));
    let config = ClientConfig::new(server.base_url().parse().unwrap(), key);
    let client = Client::connect(config).unwrap();
    Served {
        server,
        client,
        _data: data,
    }
}

fn collection(text: &str) -> CollectionPath {
    match NodePath::parse(text).unwrap() {
        NodePath::Collection(path) => path,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_way_down_by_name_costs_one_request_a_level_and_brings_every_size_along() {
    let served = serve(Seed::Versions(120)).await;
    let (client, hub): (_, &dyn Hub) = (&served.client, &served.client);
    let path = collection(&format!(
        "{}/scale/dataset/versions",
        served.server.entity()
    ));
    assert!(hub.project(&path.project).await.unwrap().is_some());
    let found = hub.artifact_type(&path.type_path()).await.unwrap().unwrap();
    assert_eq!(found.collection_count, Some(1));
    let found = hub.collection(&path).await.unwrap().unwrap();
    assert_eq!(
        (found.version_count, found.more_aliases),
        (Some(120), false)
    );
    let mut aliases = found.aliases.clone();
    aliases.sort();
    assert_eq!(aliases, ["first", "latest"]);
    let selector = VersionSelector::parse("v7").unwrap();
    let version = hub.version(&path, &selector).await.unwrap().unwrap();
    assert_eq!(version.index.0, 7);
    let manifest = version.manifest.as_ref().unwrap();
    assert!(manifest.url.is_some() && manifest.digest.is_some());
    assert_eq!(client.meter().requests(), 4);
}

#[tokio::test]
async fn a_version_is_the_same_by_name_and_in_a_listing_but_for_the_manifests_url() {
    let served = serve(Seed::Versions(3)).await;
    let hub: &dyn Hub = &served.client;
    let path = collection(&format!(
        "{}/scale/dataset/versions",
        served.server.entity()
    ));
    let (options, page) = (ListOptions::default(), PageRequest::default());
    let listed = hub.versions(&path, &options, &page).await.unwrap();
    assert_eq!((listed.items.len(), listed.total), (3, Some(3)));
    for version in listed.items {
        let selector = VersionSelector::Index(version.index);
        let mut named = hub.version(&path, &selector).await.unwrap().unwrap();
        named.manifest.as_mut().unwrap().url = None;
        assert_eq!(named, version);
    }
}

#[tokio::test]
async fn content_is_reached_by_presigned_urls_and_by_the_handler() {
    let served = serve(Seed::Files(5)).await;
    let client = &served.client;
    let artifact = client.artifact("scale/files:v0").await.unwrap();
    let manifest = artifact.manifest().await.unwrap();
    let version = VersionPath {
        collection: artifact.path().clone(),
        index: artifact.index,
    };
    let version = std::sync::Arc::new(version);
    let stored: Vec<StoredAt> = manifest
        .entries
        .iter()
        .map(|(name, entry)| StoredAt {
            version: version.clone(),
            artifact: artifact.id.clone(),
            path: name.as_str().into(),
            digest: entry.digest.as_str().into(),
            size: entry.size,
            birth_artifact: entry.birth_artifact_id.as_deref().map(ArtifactId::new),
            layout_v2: manifest.header.layout_v2,
            region: manifest.header.region.as_deref().map(Into::into),
        })
        .collect();
    let hub: &dyn Hub = client;
    let urls = hub.content_urls(&stored).await.unwrap();
    let http = wandbfs::wandb::http_client(client.config(), wandbfs::wandb::Purpose::Content);
    let http = http.unwrap();
    for (stored, url) in stored.iter().zip(urls) {
        let presigned = http.get(url.unwrap()).send().await.unwrap();
        assert_eq!(presigned.status(), 200);
        let entry = &manifest.entries[&*stored.path];
        let digest = wandbfs::model::Digest::from_base64(entry.algorithm(), &entry.digest).unwrap();
        let bytes = presigned.bytes().await.unwrap();
        assert_eq!(Some(bytes.len() as u64), entry.size);
        for with_id in [true, false] {
            let base = &client.config().base_url;
            let url = handler_url(base, stored, digest, with_id).unwrap();
            let headers = client.authorized_headers(&url).await.unwrap();
            let handled = http.get(url).headers(headers).send().await.unwrap();
            assert_eq!(handled.status(), 200);
            assert_eq!(handled.bytes().await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn the_viewers_own_entity_and_a_project_that_is_not_there() {
    let served = serve(Seed::Artifacts(2)).await;
    let viewer = served.client.viewer().await.unwrap();
    assert_eq!(viewer.entities[0].as_str(), served.server.entity());
    let missing = served.client.project("no-such-project").await.unwrap_err();
    assert_eq!(missing.kind(), wandbfs::model::ErrorKind::NotFound);
    let hub: &dyn Hub = &served.client;
    let nobody = wandbfs::model::EntityName::new("no-such-entity").unwrap();
    assert!(hub.entity(&nobody).await.unwrap().is_none());
    let own = hub.entity(&viewer.entities[0]).await.unwrap().unwrap();
    assert_eq!(own.name, viewer.entities[0]);
    let types = served.client.artifact_types("scale").await.unwrap();
    let types: Vec<_> = types.try_collect().await.unwrap();
    assert_eq!(types[0].collection_count, Some(2));
    assert!(
        served
            .client
            .server_features()
            .await
            .contains("TOTAL_COUNT_IN_FILE_CONNECTION")
    );
}

#[tokio::test]
async fn files_are_found_by_their_paths() {
    let served = serve(Seed::Files(5)).await;
    let artifact = served.client.artifact("scale/files:v0").await.unwrap();
    let all: Vec<_> = artifact.files().try_collect().await.unwrap();
    assert_eq!(all.len(), 5);
    let wanted = [all[3].name.as_str(), "not/there", all[1].name.as_str()];
    let mut files = artifact.files_named(wanted);
    let mut found = Vec::new();
    while let Some(file) = files.try_next().await.unwrap() {
        found.push(file.name);
    }
    found.sort();
    let mut expected = [all[1].name.clone(), all[3].name.clone()];
    expected.sort();
    assert_eq!(found, expected);
}
