//! A server of another make: nulls, foreign values, unknown fields (protocol §19).

use std::sync::Arc;

use serde_json::{Value, json};
use wandbfs::model::{
    ArtifactId, CollectionPath, ErrorKind, ListOptions, NodePath, PageRequest, StoredAt, TypePath,
    VersionIndex, VersionPath, VersionSelector,
};

use crate::double::{Answer, Asked, Double};

fn collection_path() -> CollectionPath {
    match NodePath::parse("e/p/t/c").unwrap() {
        NodePath::Collection(path) => path,
        other => panic!("{other:?}"),
    }
}

fn versions(nodes: Value) -> Answer {
    let listing = json!({ "edges": nodes });
    Answer::data(
        json!({ "project": { "artifactType": { "artifactCollection": {
        "artifacts": listing } } } }),
    )
}

/// Complains about each of these fields, as gqlgen does, until none is asked for.
fn complain(asked: &Asked, unknown: &[(&str, &str)]) -> Option<Answer> {
    let (field, on) = unknown.iter().find(|(field, _)| {
        asked
            .query
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == *field)
    })?;
    let words = format!(r#"input:1:7: Cannot query field "{field}" on type "{on}"."#);
    Some(Answer::error(&words))
}

#[tokio::test]
async fn nulls_states_in_small_letters_and_foreign_aliases_are_lived_with() {
    let double = Double::start(|_| {
        versions(json!([
            { "version": "v2", "node": { "id": 42, "state": "committed", "size": null,
                "digest": null, "tags": null, "metadata": null, "ttlDurationSeconds": null,
                "artifactMemberships": null, "currentManifest": null,
                "aliases": [{ "alias": "v2" }, { "alias": "latest" }, { "alias": "latest" }, null] } },
            { "version": "v1", "node": { "id": "x", "state": "Pending" } },
            { "version": "v0", "node": { "id": "y", "state": "DELETED" } },
            { "version": "v3", "node": null }, null,
        ]))
    })
    .await;
    let client = double.hub();
    let options = ListOptions::default();
    let page = client
        .versions(&collection_path(), &options, &PageRequest::default())
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next, page.total), (1, None, None));
    let version = &page.items[0];
    assert_eq!(version.id, ArtifactId::new("42"));
    assert_eq!(version.index, VersionIndex(2));
    assert_eq!(version.aliases, ["latest"]);
    assert_eq!((version.size, version.ttl_seconds), (None, None));
    assert!(version.metadata.is_empty() && version.manifest.is_none() && !version.is_link());
}

#[tokio::test]
async fn unknown_fields_and_arguments_are_left_out_once_and_for_all() {
    let double = Double::start(|asked| {
        let unknown = [("artifactMemberships", "Artifact"), ("digestAlgorithm", "Artifact"),
            ("ttlIsInherited", "Artifact")];
        if let Some(answer) = complain(asked, &unknown) {
            return answer;
        }
        if asked.query.contains("order:") {
            return Answer::status(
                422,
                r#"{"errors":[{"message":"Unknown argument \"order\" on field \"ArtifactCollection.artifacts\"."}]}"#,
            );
        }
        versions(json!([{ "version": "v7", "node": { "id": "x" } }]))
    })
    .await;
    let client = double.hub();
    let options = ListOptions {
        filters: None,
        order: Some("-created_at".into()),
    };
    let list = async || {
        let page = PageRequest::default();
        client
            .versions(&collection_path(), &options, &page)
            .await
            .unwrap()
            .items
    };
    assert_eq!(list().await[0].index, VersionIndex(7));
    let first = double.asked().len();
    assert_eq!(first, 5, "one request per complaint, and one that succeeds");
    list().await;
    assert_eq!(double.asked().len(), first + 1, "the lesson is remembered");
    let last = double.asked().pop().unwrap();
    assert!(last.variables.get("order").is_none() && last.variables.get("filters").is_some());
}

#[tokio::test]
async fn what_the_server_cannot_do_at_all_is_said_and_not_taken_for_empty() {
    let double = Double::start(|asked| {
        complain(asked, &[("artifactCollections", "ArtifactType")]).unwrap_or_else(|| {
            Answer::data(json!({ "project": { "artifactType": { "id": "x", "name": "t" } } }))
        })
    })
    .await;
    let client = double.hub();
    let path = TypePath {
        project: collection_path().project,
        artifact_type: collection_path().artifact_type,
    };
    let found = client.artifact_type(&path).await.unwrap().unwrap();
    assert_eq!(found.collection_count, None);
    let listed = client
        .collections(&path, &ListOptions::default(), &PageRequest::default())
        .await;
    let error = listed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.chain().contains("artifactCollections"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn a_missing_project_type_or_version_is_none_or_not_found() {
    let double = Double::start(|_| Answer::data(json!({ "project": null }))).await;
    let client = double.hub();
    let path = collection_path();
    assert!(client.project(&path.project).await.unwrap().is_none());
    assert!(
        client
            .artifact_type(&path.type_path())
            .await
            .unwrap()
            .is_none()
    );
    assert!(client.collection(&path).await.unwrap().is_none());
    let selector = VersionSelector::parse("v1").unwrap();
    assert!(client.version(&path, &selector).await.unwrap().is_none());
    let listed = client
        .artifact_types(&path.project, &PageRequest::default())
        .await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(double.asked().len(), 5, "one request each");
}

#[tokio::test]
async fn a_version_takes_number_and_aliases_from_its_membership() {
    let double = Double::start(|asked| {
        assert_eq!(asked.variables["name"], "c:best");
        let place = |project: &str| json!({ "name": project, "entity": { "name": "e" } });
        let portfolio = json!({ "__typename": "ArtifactPortfolio", "name": "c", "project": place("p"),
            "type": { "name": "t" } });
        let manifest = json!({ "digest": "m", "file": { "sizeBytes": "17", "directUrl": "http://u/" } });
        Answer::data(json!({ "project": { "artifactCollectionMembership": {
            "versionIndex": 0, "createdAt": "2026-01-02T03:04:05Z",
            "aliases": [{ "alias": "v0" }, { "alias": "best" }], "artifactCollection": portfolio,
            "artifact": { "id": "x", "state": "COMMITTED", "versionIndex": 7, "historyStep": 3,
                "metadata": "{\"lr\": 1}", "ttlDurationSeconds": -2,
                "artifactSequence": { "name": "src", "project": place("q") },
                "aliases": [{ "alias": "other" }], "currentManifest": manifest,
                "artifactMemberships": { "edges": [
                    { "node": { "versionIndex": 7, "artifactCollection": {
                        "__typename": "ArtifactSequence", "name": "src", "project": place("q") } } },
                    { "node": { "versionIndex": 0, "artifactCollection": portfolio } } ] } } } } }))
    })
    .await;
    let selector = VersionSelector::parse("best").unwrap();
    let found = double
        .hub()
        .version(&collection_path(), &selector)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.index, found.source_index),
        (VersionIndex(0), Some(VersionIndex(7)))
    );
    assert_eq!(found.aliases, ["best"]);
    assert!(found.is_link());
    assert_eq!(found.linked_artifacts.len(), 1);
    assert_eq!(found.linked_artifacts[0].collection, "c");
    assert_eq!((found.history_step, found.ttl_seconds), (Some(2), None));
    assert_eq!(found.metadata["lr"], 1);
    let manifest = found.manifest.unwrap();
    assert_eq!(
        (manifest.size, manifest.url.as_deref()),
        (Some(17), Some("http://u/"))
    );
}

#[tokio::test]
async fn a_version_of_another_type_is_not_there() {
    let double = Double::start(|_| {
        Answer::data(json!({ "project": { "artifactCollectionMembership": {
            "artifactCollection": { "name": "c", "type": { "name": "other" } },
            "artifact": { "id": "x", "versionIndex": 1 } } } }))
    })
    .await;
    let selector = VersionSelector::parse("v1").unwrap();
    assert!(
        double
            .hub()
            .version(&collection_path(), &selector)
            .await
            .unwrap()
            .is_none()
    );
}

fn stored(path: &str) -> StoredAt {
    StoredAt {
        version: Arc::new(VersionPath {
            collection: collection_path(),
            index: VersionIndex(1),
        }),
        artifact: ArtifactId::new("x"),
        path: path.into(),
        digest: "d".into(),
        size: Some(1),
        birth_artifact: None,
        layout_v2: true,
        region: None,
    }
}

#[tokio::test]
async fn urls_come_in_the_order_asked_whichever_query_the_server_knows() {
    let files = json!({ "edges": [
        { "node": { "name": "b", "directUrl": "http://s/b" } },
        { "node": { "name": "a", "directUrl": "http://s/a" } },
        { "node": { "name": "gone", "directUrl": null } } ] });
    for knows_entries in [true, false] {
        let files = files.clone();
        let double = Double::start(move |asked| {
            if asked.operation == "ArtifactFileURLsByManifestEntries" {
                if !knows_entries {
                    return complain(asked, &[("filesByManifestEntries", "Artifact")]).unwrap();
                }
                return Answer::data(json!({ "artifact": { "filesByManifestEntries": files } }));
            }
            assert_eq!(asked.variables["alias"], "v1");
            assert_eq!(asked.variables["fileNames"][2], "b");
            Answer::data(
                json!({ "project": { "artifactCollection": { "artifactMembership": {
                "files": files } } } }),
            )
        })
        .await;
        let wanted = [stored("a"), stored("gone"), stored("b")];
        let urls = double.hub().content_urls(&wanted).await.unwrap();
        let expected = [Some("http://s/a"), None, Some("http://s/b")];
        assert_eq!(
            urls.iter().map(Option::as_deref).collect::<Vec<_>>(),
            expected
        );
    }
}

#[tokio::test]
async fn a_thousand_files_are_one_request() {
    let double = Double::start(|asked| {
        let entries = asked.variables["entries"].as_array().unwrap().iter();
        let nodes: Vec<Value> = entries
            .map(|entry| json!({ "node": { "name": entry["name"], "directUrl": "http://s" } }))
            .collect();
        Answer::data(json!({ "artifact": { "filesByManifestEntries": { "edges": nodes } } }))
    })
    .await;
    let files: Vec<StoredAt> = (0..2001).map(|n| stored(&format!("f{n}"))).collect();
    let urls = double.hub().content_urls(&files).await.unwrap();
    assert!(urls.iter().all(Option::is_some));
    assert_eq!(double.asked().len(), 3);
}

#[tokio::test]
async fn a_server_without_features_has_none_and_is_asked_once() {
    for answer in [
        Answer::data(json!({ "serverInfo": { "features": [] } })),
        Answer::error(r#"Cannot query field "features" on type "ServerInfo"."#),
    ] {
        let double = Double::start(move |_| answer.clone()).await;
        let client = double.client();
        assert!(client.server_features().await.is_empty());
        assert!(client.server_features().await.is_empty());
        assert_eq!(double.asked().len(), 1);
    }
}

#[tokio::test]
async fn the_viewers_entities_come_once_each_their_own_first() {
    let double = Double::start(|_| {
        Answer::data(json!({ "viewer": { "id": "u", "username": "me", "entity": "team",
            "userEntity": null,
            "teams": { "edges": [{ "node": { "name": "team" } }, { "node": { "name": "me" } }, null] },
            "organizations": [{ "name": "Big Org", "orgEntity": { "name": "big-org" } }, null] } }))
    })
    .await;
    let client = double.hub();
    let viewer = client.viewer().await.unwrap();
    let names: Vec<&str> = viewer.entities.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["me", "team", "big-org"]);
    // The organisation's display name is known from now on, for addresses of registries.
    let path = NodePath::parse("big-org/wandb-registry-model/model/best/v1").unwrap();
    let url = client.app_url(&path).unwrap();
    let expected = "/orgs/Big%20Org/registry/model?selectionPath=big-org%2Fwandb-registry-model%2Fbest\
        &view=membership&version=v1";
    assert!(url.ends_with(expected), "{url}");
}
