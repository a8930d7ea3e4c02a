//! Changes against the embedded server: what they do, what they send, how they fail.

use serde_json::{Map, Value, json};
use wandbfs::model::{Applied, CollectionChange, ErrorKind, Ttl, VersionChange, VersionSelector};
use wandbfs::server::Seed;
use wandbfs::wandb::NewRegistry;

use super::world::{seeded, texts, world};

#[tokio::test]
async fn name_description_type_and_tags_of_a_sequence_are_saved_together_in_the_sdks_order() {
    let world = world().await;
    let before = world.collection("versions").await;
    let tags: Vec<String> = (0..25).map(|n| format!("tag {n}")).collect();
    let change = CollectionChange {
        name: Some("renamed one".into()),
        description: Some("new".into()),
        artifact_type: Some("table".into()),
        tags_added: tags.clone(),
        tags_removed: Vec::new(),
    };
    let applied = world.hub().save_collection(&before, &change).await.unwrap();
    let order = [Applied::Name, Applied::Description, Applied::Type];
    assert_eq!(applied[..3], order);
    assert_eq!(applied[3..], [Applied::TagsAdded]);
    assert_eq!(world.count("AddArtifactCollectionTags").await, 2);
    let after = world.collection("renamed one").await;
    assert_eq!(after.id, before.id);
    assert_eq!(after.path.artifact_type.as_str(), "table");
    assert_eq!(after.description.as_deref(), Some("new"));
    assert_eq!(after.tags.len(), tags.len());
    assert_eq!(world.version("renamed one:v0").await.type_name, "table");

    let change = CollectionChange {
        description: Some(String::new()),
        tags_removed: tags,
        ..CollectionChange::default()
    };
    world.hub().save_collection(&after, &change).await.unwrap();
    let after = world.collection("renamed one").await;
    assert_eq!(after.description.as_deref(), Some(""));
    assert!(after.tags.is_empty());
}

#[tokio::test]
async fn only_what_differs_travels_and_an_empty_change_sends_nothing() {
    let world = world().await;
    let collection = world.collection("versions").await;
    let version = world.version("versions:v0").await;
    let before = world.client.meter().requests();
    let nothing = CollectionChange::default();
    assert_eq!(
        world
            .hub()
            .save_collection(&collection, &nothing)
            .await
            .unwrap(),
        []
    );
    let nothing = VersionChange::default();
    assert_eq!(
        world.hub().save_version(&version, &nothing).await.unwrap(),
        []
    );
    assert_eq!(world.client.meter().requests(), before);
    let tagged = CollectionChange {
        tags_added: texts(&["a"]),
        ..CollectionChange::default()
    };
    world
        .hub()
        .save_collection(&collection, &tagged)
        .await
        .unwrap();
    assert_eq!(world.count("UpdateArtifactSequence").await, 0);
    assert_eq!(world.count("AddArtifactCollectionTags").await, 1);
}

#[tokio::test]
async fn every_field_of_a_version_is_saved_and_the_description_can_be_cleared() {
    let world = world().await;
    let before = world.version("versions:v1").await;
    let metadata: Map<String, Value> = json!({ "lr": 0.1, "nested": { "a": [1, null] } })
        .as_object()
        .unwrap()
        .clone();
    let change = VersionChange {
        description: Some("seen".into()),
        metadata: Some(metadata.clone()),
        tags_added: texts(&["gold", "to-do"]),
        aliases_added: texts(&["production"]),
        ttl: Some(Ttl::Seconds(86_400)),
        ..VersionChange::default()
    };
    let applied = world.hub().save_version(&before, &change).await.unwrap();
    assert_eq!(applied[0], Applied::AliasesAdded);
    let after = world.version("versions:production").await;
    assert_eq!(after.index.0, 1);
    assert_eq!(after.description.as_deref(), Some("seen"));
    assert_eq!(after.metadata, metadata);
    assert_eq!(after.tags, ["gold", "to-do"]);
    assert_eq!(after.ttl_seconds, Some(86_400));

    let change = VersionChange {
        description: Some(String::new()),
        tags_removed: texts(&["gold"]),
        aliases_removed: texts(&["production"]),
        ttl: Some(Ttl::Disabled),
        ..VersionChange::default()
    };
    world.hub().save_version(&after, &change).await.unwrap();
    let last = world.version("versions:v1").await;
    assert_eq!(last.description.as_deref(), Some(""));
    assert_eq!((last.tags, last.ttl_seconds), (texts(&["to-do"]), None));
    assert!(!last.aliases.contains(&"production".to_owned()));
    assert_eq!(last.metadata, metadata);
}

#[tokio::test]
async fn an_alias_moves_and_is_taken_away() {
    let world = world().await;
    let (v0, v1) = (
        world.version("versions:v0").await,
        world.version("versions:v1").await,
    );
    world.hub().add_alias(&v0, "best").await.unwrap();
    world.hub().add_alias(&v1, "best").await.unwrap();
    assert_eq!(world.version("versions:best").await.index.0, 1);
    assert!(
        !world
            .version("versions:v0")
            .await
            .aliases
            .contains(&"best".to_owned())
    );
    world.hub().remove_alias(&v1, "best").await.unwrap();
    let gone = world.client.artifact("scale/versions:best").await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_version_is_deleted_unless_somebody_named_it() {
    let world = world().await;
    let v0 = world.version("versions:v0").await;
    assert_eq!(v0.aliases, ["first"]);
    let refused = world.hub().delete_version(&v0, false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.chain().contains("first"), "{refused:?}");
    world.hub().delete_version(&v0, true).await.unwrap();
    let gone = world.client.artifact("scale/versions:v0").await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    // `latest` is W&B's own and moves on.
    let v2 = world.version("versions:latest").await;
    assert_eq!(v2.index.0, 2);
    world.hub().delete_version(&v2, false).await.unwrap();
    assert_eq!(world.version("versions:latest").await.index.0, 1);
}

#[tokio::test]
async fn an_alias_given_meanwhile_protects_a_version_although_the_caller_knows_none() {
    let world = world().await;
    let stale = world.version("versions:latest").await;
    world.hub().add_alias(&stale, "keep").await.unwrap();
    let refused = world.hub().delete_version(&stale, false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert_eq!(world.count("DeleteArtifact").await, 0);
}

#[tokio::test]
async fn versions_are_linked_numbered_anew_and_unlinked_and_the_source_stays() {
    let world = world().await;
    let v1 = world.version("versions:v1").await;
    let target = world.target("best");
    let first = world
        .hub()
        .link_version(&v1, &target, &texts(&["gold"]))
        .await;
    assert_eq!(first.unwrap().0, 0);
    let v2 = world.version("versions:v2").await;
    let second = world.hub().link_version(&v2, &target, &[]).await.unwrap();
    assert_eq!(second.0, 1);
    let link = world.version("best:gold").await;
    assert!(link.is_link() && link.source_index == Some(v1.index));
    // What is Busy for the source: it is named in the portfolio.
    let refused = world.hub().delete_version(&v2, false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    world.hub().delete_version(&link, false).await.unwrap();
    let second = world.version("best:latest").await;
    assert_eq!(second.index.0, 1);
    world.hub().unlink_version(&second).await.unwrap();
    assert_eq!(world.version("versions:v1").await.id, v1.id);
    let no_link = world.hub().unlink_version(&v1).await.unwrap_err();
    assert_eq!(no_link.kind(), ErrorKind::Invalid);
    let sequence = world.target("versions");
    let onto_sequence = world.hub().link_version(&v1, &sequence, &[]);
    assert!(onto_sequence.await.is_err());
}

#[tokio::test]
async fn a_portfolio_keeps_its_type_and_loses_only_its_links() {
    let world = world().await;
    let v1 = world.version("versions:v1").await;
    let target = world.target("best");
    world.hub().link_version(&v1, &target, &[]).await.unwrap();
    let portfolio = world.collection("best").await;
    let change = CollectionChange {
        artifact_type: Some("table".into()),
        ..CollectionChange::default()
    };
    let refused = world.hub().save_collection(&portfolio, &change).await;
    assert_eq!(refused.unwrap_err().error.kind(), ErrorKind::Invalid);
    let change = CollectionChange {
        name: Some("finest".into()),
        ..CollectionChange::default()
    };
    world
        .hub()
        .save_collection(&portfolio, &change)
        .await
        .unwrap();
    let portfolio = world.collection("finest").await;
    world.hub().delete_collection(&portfolio).await.unwrap();
    assert!(
        world
            .hub()
            .collection(&portfolio.path)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(world.version("versions:v1").await.id, v1.id);
    let sequence = world.collection("versions").await;
    world.hub().delete_collection(&sequence).await.unwrap();
    assert!(
        world
            .hub()
            .collection(&sequence.path)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_vanished_collection_is_not_found_and_a_taken_name_is_busy() {
    let world = world().await;
    let collection = world.collection("versions").await;
    let other = world.target("other");
    let made = world.hub().create_collection(&other, Some("why"));
    assert_eq!(made.await.unwrap().description.as_deref(), Some("why"));
    let taken = CollectionChange {
        name: Some("other".into()),
        ..CollectionChange::default()
    };
    let refused = world.hub().save_collection(&collection, &taken).await;
    assert_eq!(refused.unwrap_err().error.kind(), ErrorKind::Busy);
    let again = world.hub().create_collection(&other, None);
    assert_eq!(again.await.unwrap_err().kind(), ErrorKind::Busy);
    world.hub().delete_collection(&collection).await.unwrap();
    let change = CollectionChange {
        description: Some("x".into()),
        ..CollectionChange::default()
    };
    let gone = world.hub().save_collection(&collection, &change).await;
    assert_eq!(gone.unwrap_err().error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_registry_is_made_filled_described_and_deleted() {
    let world = seeded(Seed::Demo).await;
    let client = &world.client;
    let new = NewRegistry {
        description: Some("for tests".into()),
        ..NewRegistry::default()
    };
    let organization = Some("Demo Org");
    let made = client.create_registry("tests", organization, &new).await;
    let mut registry = made.unwrap();
    let again = client.create_registry("tests", organization, &new).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Busy);
    registry.describe("for all tests").await.unwrap();
    let mut collection = registry
        .create_collection("model", "finest", Some("empty yet"))
        .await
        .unwrap();
    assert!(!collection.is_sequence());
    collection.set_tags(["approved"]);
    collection.save().await.unwrap();
    let source = client
        .artifact("vision-lab/images/classifier:latest")
        .await
        .unwrap();
    let project = registry.path.to_string();
    let link = source
        .link(&format!("{project}/finest"), &["prod"])
        .await
        .unwrap();
    assert_eq!(link.version(), "v0");
    let selector = VersionSelector::parse("prod").unwrap();
    let found = world.hub().version(link.path(), &selector).await.unwrap();
    assert_eq!(found.unwrap().id, source.id);
    // What is said of a link is said of its source.
    let mut link = link;
    link.set_description("chosen");
    link.save().await.unwrap();
    let source = client
        .artifact("vision-lab/images/classifier:latest")
        .await
        .unwrap();
    assert_eq!(source.description.as_deref(), Some("chosen"));
    registry.delete().await.unwrap();
    let gone = client.registry("tests", organization).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(world.data.path().exists());
}
