//! Runs and filters: what the views of a mount ask for.

use wandbfs::model::{
    ErrorKind, ListOptions, PageRequest, RunArtifactsMode, RunName, RunPath, VersionPath,
};

use super::world::world;

#[tokio::test]
async fn runs_are_found_by_name_and_their_inputs_recorded_once() {
    let world = world().await;
    let v1 = world.version("versions:v1").await;
    let run = RunPath {
        project: v1.collection.project.clone(),
        name: RunName::new("reader1").unwrap(),
    };
    assert!(world.hub().run(&run).await.unwrap().is_none());
    let at = VersionPath {
        collection: v1.collection.clone(),
        index: v1.index,
    };
    for _ in 0..2 {
        world.hub().use_version(&run, &at, &v1.id).await.unwrap();
    }
    let page = PageRequest::default();
    let used = world
        .hub()
        .run_artifacts(&run, RunArtifactsMode::Used, &page);
    let used = used.await.unwrap().items;
    assert_eq!(used.iter().map(|v| v.index.0).collect::<Vec<_>>(), [1]);
    let logged = world
        .hub()
        .run_artifacts(&run, RunArtifactsMode::Logged, &page);
    assert!(logged.await.unwrap().items.is_empty());
    let users = world.hub().used_by(&v1.id, &page).await.unwrap().items;
    assert_eq!(users[0].name, "reader1");
    let (project, options) = (&run.project, ListOptions::default());
    let runs = world
        .hub()
        .runs(project, &options, &page)
        .await
        .unwrap()
        .items;
    assert!(runs.iter().any(|found| found.name == run.name));
    let found = world.hub().run(&run).await.unwrap().unwrap();
    assert_eq!(found.name, run.name);
    assert!(world.hub().logged_by(&v1.id).await.is_ok());
}

#[tokio::test]
async fn a_filter_that_the_server_refuses_is_invalid_with_its_words() {
    let world = world().await;
    let path = world.target("versions");
    let kind = path.type_path();
    let page = PageRequest::default();
    for filters in ["{", r#"{"nonsense": 1}"#, r#"{"name": {"$frobnicate": 1}}"#] {
        let options = ListOptions {
            filters: Some(filters.to_owned()),
            order: None,
        };
        let of_type = world.hub().collections(&kind, &options, &page);
        let refused = of_type.await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{filters}: {refused:?}");
        assert!(refused.chain().contains("the server"), "{refused:?}");
    }
    let options = ListOptions {
        filters: None,
        order: Some("+nonsense".to_owned()),
    };
    let refused = world
        .hub()
        .versions(&path, &options, &page)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused:?}");
}
