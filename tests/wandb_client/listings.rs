//! Every paginator, with every page size, resumed, and led in a circle.

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use wandbfs::model::{Cursor, Error, ErrorKind, ListOptions};
use wandbfs::wandb::{Client, Paginator};

use crate::double::{Answer, Asked, Double};

/// Items of every listing of the double.
const ITEMS: usize = 5;

/// The place of a listing in its answer, and its node number `n`.
type Listing = (&'static [&'static str], fn(usize) -> Value);

fn listing_of(operation: &str) -> Option<Listing> {
    fn artifact(n: usize) -> Value {
        let place = json!({ "name": "p", "entity": { "name": "e" } });
        json!({
            "id": format!("id{n}"), "state": "COMMITTED", "versionIndex": n, "digest": "d",
            "artifactType": { "name": "t" },
            "artifactSequence": { "name": "c", "project": place },
            "tags": if n.is_multiple_of(4) { json!([{ "name": "good" }, { "name": "n" }]) } else { json!([]) },
        })
    }
    Some(match operation {
        "GetProjects" => (
            &["models"],
            |n| json!({ "id": "x", "name": format!("p{n}") }),
        ),
        "ProjectArtifactTypes" => (
            &["project", "artifactTypes"],
            |n| json!({ "id": "x", "name": format!("t{n}") }),
        ),
        "ArtifactTypeArtifactCollections" => (
            &["project", "artifactType", "artifactCollections"],
            |n| json!({ "id": "x", "name": format!("c{n}") }),
        ),
        "ProjectArtifactCollections" => (
            &["project", "artifactCollections"],
            |n| json!({ "id": "x", "name": format!("c{n}"), "type": { "name": "t" } }),
        ),
        "ProjectArtifacts" => (
            &["project", "artifactType", "artifactCollection", "artifacts"],
            artifact,
        ),
        "RunOutputArtifacts" | "RunInputArtifacts" => (&["project", "run", "artifacts"], artifact),
        "ArtifactMembershipFiles" => (
            &[
                "project",
                "artifactCollection",
                "artifactMembership",
                "files",
            ],
            |n| json!({ "name": format!("f{n}"), "sizeBytes": n }),
        ),
        "FetchRegistries" => (
            &["organization", "orgEntity", "projects"],
            |n| json!({ "id": "x", "name": format!("wandb-registry-r{n}") }),
        ),
        "RegistryCollections" => (&["organization", "orgEntity", "artifactCollections"], |n| {
            json!({ "id": "x", "name": format!("c{n}"), "type": { "name": "t" },
                    "project": { "name": "wandb-registry-r", "entity": { "name": "o" } } })
        }),
        "RegistryVersions" => (&["organization", "orgEntity", "artifactMemberships"], |n| {
            json!({ "versionIndex": n, "artifact": artifact(n),
                    "artifactCollection": { "name": "c", "type": { "name": "t" } } })
        }),
        _ => return None,
    })
}

/// Serves each listing by its cursor, a number in words of its own.
fn serve(asked: &Asked) -> Answer {
    let Some((path, node)) = listing_of(&asked.operation) else {
        return Answer::data(single(&asked.operation));
    };
    let start = asked.variables["cursor"].as_str().map_or(0, |cursor| {
        cursor
            .strip_prefix("after-")
            .unwrap()
            .parse::<usize>()
            .unwrap()
    });
    let size = asked.variables["perPage"].as_u64().unwrap() as usize;
    let end = (start + size).min(ITEMS);
    let edges: Vec<Value> = (start..end)
        .map(|n| json!({ "version": format!("v{n}"), "node": node(n) }))
        .chain([json!({ "node": null }), Value::Null])
        .collect();
    let page_info = json!({ "hasNextPage": end < ITEMS, "endCursor": format!("after-{end}") });
    let listing = json!({ "totalCount": ITEMS, "edges": edges, "pageInfo": page_info });
    Answer::data(nest(path, listing))
}

fn nest(path: &[&str], inner: Value) -> Value {
    path.iter()
        .rev()
        .fold(inner, |inner, step| json!({ *step: inner }))
}

fn single(operation: &str) -> Value {
    let artifact = listing_of("ProjectArtifacts").unwrap().1(3);
    match operation {
        "ProjectArtifactType" => {
            json!({ "project": { "artifactType": { "id": "x", "name": "t" } } })
        }
        "ProjectArtifactCollection" => {
            let collection = json!({ "id": "x", "name": "c", "type": { "name": "t" } });
            json!({ "project": { "artifactType": { "artifactCollection": collection } } })
        }
        "ArtifactMembershipByName" => json!({ "project": { "artifactCollectionMembership": {
            "versionIndex": 3, "artifact": artifact } } }),
        "GetProject" => json!({ "project": { "id": "x", "name": "p" } }),
        "GetRun" => json!({ "project": { "run": { "id": "x", "name": "r" } } }),
        "GetViewer" => json!({ "viewer": { "id": "u", "username": "e", "entity": "e" } }),
        "FetchOrgInfoFromEntity" => json!({ "entity": { "organization": {
            "name": "Org", "orgEntity": { "name": "o" } } } }),
        "FetchRegistry" => json!({ "entity": { "project": {
            "id": "x", "name": "wandb-registry-r" } } }),
        other => panic!("no answer for {other}"),
    }
}

/// Reads a listing in each way that the contract names.
async fn check<T, P>(make: impl AsyncFn(Client) -> P, name: impl Fn(&T) -> String, counted: bool)
where
    T: 'static,
    P: Stream<Item = Result<T, Error>> + Unpin + Resumable<T>,
{
    let double = Double::start(serve).await;
    let make = async || make(double.client()).await;
    let names = async |pages: P| -> Vec<String> {
        let items: Vec<T> = pages.try_collect().await.unwrap();
        items.iter().map(&name).collect()
    };
    let all = names(make().await).await;
    assert_eq!(all.len(), ITEMS, "{all:?}");
    for per_page in [1, 2] {
        assert_eq!(
            names(make().await.sized(per_page)).await,
            all,
            "{per_page} a page"
        );
    }
    let mut pages = make().await.sized(2);
    for _ in 0..2 {
        pages.next().await.unwrap().unwrap();
    }
    let cursor = pages.pages().cursor().unwrap().clone();
    assert_eq!(names(make().await.from(cursor)).await, all[2..]);
    let count = make().await.pages().len().await;
    match counted {
        true => assert_eq!(count.unwrap(), ITEMS as u64),
        false => assert!(count.is_err_and(|e| e.kind() == ErrorKind::Unsupported)),
    }
}

/// What a bare paginator and the plurals with members of their own have in common.
trait Resumable<T>: Sized {
    fn sized(self, per_page: u32) -> Self;
    fn from(self, cursor: Cursor) -> Self;
    fn pages(&mut self) -> &mut Paginator<T>;
}

impl<T: 'static> Resumable<T> for Paginator<T> {
    fn sized(self, per_page: u32) -> Self {
        self.with_per_page(per_page)
    }
    fn from(self, cursor: Cursor) -> Self {
        self.start_after(cursor)
    }
    fn pages(&mut self) -> &mut Paginator<T> {
        self
    }
}

macro_rules! resumable {
    ($($name:ty => $item:ty),*) => {$(
        impl Resumable<$item> for $name {
            fn sized(self, per_page: u32) -> Self {
                self.with_per_page(per_page)
            }
            fn from(self, cursor: Cursor) -> Self {
                self.start_after(cursor)
            }
            fn pages(&mut self) -> &mut Paginator<$item> {
                self
            }
        }
    )*};
}

resumable!(
    wandbfs::wandb::Artifacts => wandbfs::wandb::Artifact,
    wandbfs::wandb::RunArtifacts => wandbfs::wandb::Artifact,
    wandbfs::wandb::ArtifactFiles => wandbfs::wandb::ArtifactFile
);

#[tokio::test]
async fn projects_page_and_resume() {
    let make = async |client: Client| client.projects(Some("e")).await.unwrap();
    // The double counts what the real server does not; the client must not need it.
    check(make, |project| project.path.to_string(), true).await;
}

#[tokio::test]
async fn artifact_types_page_and_resume() {
    let make = async |client: Client| client.artifact_types("e/p").await.unwrap();
    check(make, |found| found.name.to_string(), true).await;
}

#[tokio::test]
async fn artifact_collections_page_and_resume() {
    let options = ListOptions::default();
    let make = async |client: Client| {
        let found = client.artifact_type("e/p", "t").await.unwrap();
        found.collections(&options)
    };
    check(make, |found| found.path.to_string(), true).await;
    let make = async |client: Client| client.project("e/p").await.unwrap().collections(&options);
    check(make, |found| found.path.to_string(), true).await;
}

#[tokio::test]
async fn artifacts_page_and_resume() {
    let options = ListOptions::default();
    let make = async |client: Client| client.artifacts("t", "e/p/c", &options).await.unwrap();
    check(make, |found| found.qualified_name(), true).await;
}

#[tokio::test]
async fn run_artifacts_page_and_resume_in_both_modes() {
    let make = async |client: Client| client.run("e/p/r").await.unwrap().logged_artifacts();
    check(make, |found| found.qualified_name(), true).await;
    let make = async |client: Client| client.run("e/p/r").await.unwrap().used_artifacts();
    check(make, |found| found.qualified_name(), true).await;
}

#[tokio::test]
async fn artifact_files_page_and_resume_and_know_their_path() {
    let make = async |client: Client| {
        let files = client.artifact("e/p/c:v3").await.unwrap().files();
        assert_eq!(files.path(), &["e", "p", "c:v3"].map(str::to_owned));
        files
    };
    check(make, |file| file.name.clone(), true).await;
}

#[tokio::test]
async fn registries_their_collections_and_versions_page_and_resume() {
    let options = ListOptions::default();
    let make = async |client: Client| client.registries(None, &options).await.unwrap();
    check(make, |registry| registry.name().to_owned(), true).await;
    let registry = async |client: Client| client.registry("r", Some("Org")).await.unwrap();
    let make = async |client: Client| registry(client).await.collections(&options);
    check(make, |found| found.path.to_string(), true).await;
    let make = async |client: Client| registry(client).await.versions(None, None);
    check(make, |found| found.qualified_name(), true).await;
}

#[tokio::test]
async fn the_tag_filter_finds_matches_beyond_a_page_without_any() {
    let double = Double::start(serve).await;
    let options = ListOptions::default();
    let artifacts = double
        .client()
        .artifacts("t", "e/p/c", &options)
        .await
        .unwrap();
    let mut artifacts = artifacts.with_per_page(1).with_tags(["good", "n"]);
    assert_eq!(
        artifacts.len().await.unwrap(),
        ITEMS as u64,
        "the count knows no tags"
    );
    let found: Vec<_> = artifacts.map(|a| a.unwrap().version()).collect().await;
    assert_eq!(found, ["v0", "v4"]);
}

#[tokio::test]
async fn a_server_that_repeats_a_cursor_gets_an_error_and_no_further_request() {
    let double = Double::start(|asked| {
        let again = json!({ "hasNextPage": true, "endCursor": "same" });
        let edges = json!([{ "node": { "id": "x", "name": "t" } }]);
        assert_eq!(asked.operation, "ProjectArtifactTypes");
        let listing = json!({ "edges": edges, "pageInfo": again });
        Answer::data(json!({ "project": { "artifactTypes": listing } }))
    })
    .await;
    let mut types = double.client().artifact_types("e/p").await.unwrap();
    assert!(types.next().await.unwrap().is_ok());
    let error = types.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("cursor"), "{error}");
    assert!(types.next().await.is_none());
    assert_eq!(double.asked().len(), 2);
}

#[tokio::test]
async fn filters_and_order_are_sent_as_the_protocol_spells_them() {
    let double = Double::start(serve).await;
    let options = ListOptions {
        filters: Some(r#"{"state":"PENDING"}"#.to_owned()),
        order: Some("version_index".to_owned()),
    };
    let mut artifacts = double
        .client()
        .artifacts("t", "e/p/c", &options)
        .await
        .unwrap();
    artifacts.next().await.unwrap().unwrap();
    let plain = ListOptions::default();
    let mut artifacts = double
        .client()
        .artifacts("t", "e/p/c", &plain)
        .await
        .unwrap();
    artifacts.next().await.unwrap().unwrap();
    let asked = double.asked();
    assert_eq!(asked[0].variables["filters"], r#"{"state":"PENDING"}"#);
    assert_eq!(asked[0].variables["order"], "+version_index");
    assert_eq!(asked[1].variables["filters"], r#"{"state":"COMMITTED"}"#);
    assert!(asked[1].variables.get("order").is_none());
}
