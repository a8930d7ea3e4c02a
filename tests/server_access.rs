//! Who may do what on the embedded server: people, roles and keys against everything there is to do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::client::{Client, Refused, Step, manifest_text};
use common::{Harness, md5, md5_hex};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

/// Posts to the test controls and answers the JSON.
async fn control(harness: &Harness, path: &str, body: Value) -> Value {
    let request = harness.http.post(harness.url(path)).json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path} {body}");
    answer.json().await.unwrap()
}

async fn key_of(harness: &Harness, user: Value) -> String {
    let made = control(harness, "/_test/users", user).await;
    made["api_key"].as_str().unwrap().to_owned()
}

/// A team `red` with one member of each role, a project `p` of it with one version, and outsiders.
struct World {
    harness: Harness,
    people: Vec<(&'static str, Client)>,
    artifact: String,
}

const CONTENT: &[u8] = b"what only the team may read";

impl World {
    async fn new(access: &str) -> Self {
        let harness = Harness::new().await;
        let base = harness.server.base_url().to_owned();
        let at = |key: &str| Client::new(&base, key, "red", "p");
        let mut people = vec![("instance admin", at(harness.server.api_key()))];
        for name in ["admin", "member", "viewer", "outsider"] {
            let key = key_of(&harness, json!({ "username": name })).await;
            people.push((name, at(&key)));
        }
        for name in ["admin", "member"] {
            let request = json!({"username": name, "read_only": true});
            let who = if name == "admin" {
                "reading admin"
            } else {
                "reading member"
            };
            people.push((who, at(&key_of(&harness, request).await)));
        }
        people.push(("wrong key", at(&"0".repeat(40))));
        let nobody = Client {
            key: None,
            ..at("")
        };
        people.push(("no key", nobody));
        let members = ["admin", "member", "viewer"].map(|n| json!({"username": n, "role": n}));
        let team = json!({"team": "red", "org": "acme", "members": members});
        control(&harness, "/_test/teams", team).await;
        let settings = json!({"protected_aliases": ["prod"]});
        let set = harness.http.put(harness.url("/_test/entities/red"));
        assert_eq!(set.json(&settings).send().await.unwrap().status(), 204);
        let owner = people[1].1.clone();
        let artifact = owner.log("c", &[("a", CONTENT)]).await.unwrap();
        let change = "mutation($a: String) { upsertModel(input: {entityName: \"red\",
            name: \"p\", access: $a}) { inserted } }";
        owner.ask(change, json!({ "a": access })).await.unwrap();
        Self {
            harness,
            people,
            artifact,
        }
    }

    /// What each of [`DEEDS`] comes to for one person: `y`es, `f`orbidden, `n`ot found, `u`nauthorized.
    async fn all_deeds(&self, client: &Client) -> String {
        let mut seen = String::new();
        for deed in DEEDS {
            let result = self.attempt(client, deed).await;
            seen.push(match &result {
                Ok(true) => 'y',
                Ok(false) => 'n',
                Err(Refused::Status(StatusCode::UNAUTHORIZED, _)) => 'u',
                Err(Refused::Status(StatusCode::NOT_FOUND, _)) => 'n',
                Err(Refused::Error(text)) if text.starts_with("permission denied") => 'f',
                Err(Refused::Error(text)) if text.ends_with("not found") => 'n',
                other => panic!("{deed}: {other:?}"),
            });
        }
        seen
    }

    async fn attempt(&self, client: &Client, deed: &str) -> Step<bool> {
        let id = json!({ "id": self.artifact });
        let place = "{entityName: \"red\", projectName: \"p\", artifactCollectionName: \"c\"";
        let alias = |name: &str| {
            format!(
                "mutation($id: ID!) {{ addAliases(input: {{artifactID: $id,
                aliases: [{place}, alias: \"{name}\"}}]}}) {{ success }} }}"
            )
        };
        let found = |answer: Value, pointer: &str| {
            answer
                .pointer(pointer)
                .is_some_and(|value| !value.is_null())
        };
        match deed {
            "see the project" => {
                let query = "{ project(name: \"p\", entityName: \"red\") { id } }";
                Ok(found(client.ask(query, json!({})).await?, "/project/id"))
            }
            "list the project" => {
                let query = "{ entity(name: \"red\") { projects { edges { node { name } } } } }";
                let answer = client.ask(query, json!({})).await?;
                Ok(found(answer, "/entity/projects/edges/0/node"))
            }
            "get the version" => {
                let query = "query($id: ID!) { artifact(id: $id) { digest } }";
                Ok(found(client.ask(query, id).await?, "/artifact/digest"))
            }
            "read the bytes" => {
                let path = format!("/artifactsV2/default/red/p/c/x/{}/a", md5_hex(CONTENT));
                let url = format!("{}{path}", client.base_url);
                Ok(client.get(&url).await?.0 == StatusCode::FOUND)
            }
            "log a version" => client.log("c", &[("b", b"new")]).await.map(|_| true),
            "describe" => {
                let query = "mutation($id: ID!) { updateArtifact(input: {artifactID: $id,
                    description: \"d\"}) { artifact { id } } }";
                client.ask(query, id).await.map(|_| true)
            }
            "set an alias" => client.ask(&alias("best"), id).await.map(|_| true),
            "protect" => client.ask(&alias("prod"), id).await.map(|_| true),
            "use" => {
                let query = "mutation($id: ID!) { useArtifact(input: {artifactID: $id,
                    entityName: \"red\", projectName: \"p\", runName: \"r\"}) { artifact { id } } }";
                client.ask(query, id).await.map(|_| true)
            }
            "link" => {
                let query = "mutation($id: ID!) { linkArtifact(input: {artifactID: $id,
                    entityName: \"red\", projectName: \"p\", artifactPortfolioName: \"links\"}) {
                    versionIndex } }";
                client.ask(query, id).await.map(|_| true)
            }
            "delete" => {
                let other = json!({"id": self.victim().await});
                let query = "mutation($id: ID!) { deleteArtifact(input: {artifactID: $id,
                    deleteAliases: true}) { artifact { id } } }";
                client.ask(query, other).await.map(|_| true)
            }
            other => panic!("{other} is no deed"),
        }
    }

    /// A version to delete.
    async fn victim(&self) -> String {
        let owner = &self.people[1].1;
        owner.log("victims", &[("v", b"victim")]).await.unwrap()
    }
}

const DEEDS: [&str; 11] = [
    "see the project",
    "list the project",
    "get the version",
    "read the bytes",
    "log a version",
    "describe",
    "set an alias",
    "protect",
    "use",
    "link",
    "delete",
];

async fn check(access: &str, expected: [(&str, &str); 9]) {
    let world = World::new(access).await;
    let mut seen = Vec::new();
    for (who, client) in &world.people {
        seen.push((*who, world.all_deeds(client).await));
    }
    let expected = expected.map(|(who, deeds)| (who, deeds.to_owned()));
    assert_eq!(seen, expected, "{DEEDS:?}");
}

#[tokio::test]
async fn everybody_may_do_in_a_private_project_what_their_role_and_key_allow() {
    let expected = [
        ("instance admin", "yyyyyyyyyyy"),
        ("admin", "yyyyyyyyyyy"),
        ("member", "yyyyyyyfyyy"),
        ("viewer", "yyyyfffffff"),
        ("outsider", "nnnnnnnnnnn"),
        ("reading admin", "yyyyfffffff"),
        ("reading member", "yyyyfffffff"),
        ("wrong key", "uuuuuuuuuuu"),
        ("no key", "uuuuuuuuuuu"),
    ];
    check("PRIVATE", expected).await;
}

#[tokio::test]
async fn a_project_that_anyone_reads_is_still_written_by_its_team_alone() {
    let expected = [
        ("instance admin", "yyyyyyyyyyy"),
        ("admin", "yyyyyyyyyyy"),
        ("member", "yyyyyyyfyyy"),
        ("viewer", "yyyyfffffff"),
        ("outsider", "yyyyfffffff"),
        ("reading admin", "yyyyfffffff"),
        ("reading member", "yyyyfffffff"),
        ("wrong key", "uuuuuuuuuuu"),
        ("no key", "uuuuuuuuuuu"),
    ];
    check("USER_READ", expected).await;
}

#[tokio::test]
async fn a_link_shows_the_version_and_nothing_else_of_the_private_project_it_comes_from() {
    let world = World::new("PRIVATE").await;
    let base = world.harness.server.base_url();
    let author = Client {
        entity: "admin".into(),
        project: "secret".into(),
        ..world.people[1].1.clone()
    };
    let shown = author.log("mine", &[("m", b"shown")]).await.unwrap();
    author.log("mine", &[("m", b"not shown")]).await.unwrap();
    let run = "mutation { upsertBucket(input: {entityName: \"admin\", modelName: \"secret\",
        name: \"private-run\"}) { inserted } }";
    author.ask(run, json!({})).await.unwrap();
    let id = json!({ "id": shown });
    let use_it = "mutation($id: ID!) { useArtifact(input: {artifactID: $id, entityName: \"admin\",
        projectName: \"secret\", runName: \"private-run\"}) { artifact { id } } }";
    author.ask(use_it, id.clone()).await.unwrap();
    let link = "mutation($id: ID!) { linkArtifact(input: {artifactID: $id, entityName: \"red\",
        projectName: \"p\", artifactPortfolioName: \"links\"}) { versionIndex } }";
    author.ask(link, id.clone()).await.unwrap();
    let (_, viewer) = &world.people[3];
    let query = "query($id: ID!) { artifact(id: $id) { digest versionIndex usedCount
        files { edges { node { name directUrl } } }
        usedBy { edges { node { name } } } createdBy { __typename ... on Run { name } }
        artifactMemberships { edges { node { id } } } artifactCollections { edges { node { name } } }
        artifactSequence { name project { name } latestArtifact { id } description
            artifacts { edges { node { id } } } artifactMemberships { edges { node { id } } }
            aliases { edges { node { alias } } } artifactMembership(aliasName: \"v1\") { id } }
        artifactType { name artifactCollections { edges { node { name } } }
            artifact(name: \"mine:v1\") { id } artifactCollection(name: \"mine\") { id } } } }";
    let seen = viewer.ask(query, id.clone()).await.unwrap();
    let seen = &seen["artifact"];
    let url = seen["files"]["edges"][0]["node"]["directUrl"]
        .as_str()
        .unwrap();
    assert_eq!(viewer.get(url).await.unwrap().1, b"shown");
    assert_eq!(
        seen["artifactMemberships"]["edges"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "{seen}"
    );
    assert_eq!(
        seen["artifactCollections"]["edges"][0]["node"]["name"],
        "links"
    );
    let none = json!({"edges": []});
    let sequence = &seen["artifactSequence"];
    assert_eq!(seen["usedBy"], none);
    assert_eq!(seen["usedCount"], 0);
    for field in ["artifacts", "artifactMemberships", "aliases"] {
        assert_eq!(sequence[field], none, "{field}");
    }
    for field in [
        "project",
        "latestArtifact",
        "description",
        "artifactMembership",
    ] {
        assert_eq!(sequence[field], Value::Null, "{field}");
    }
    assert_eq!(seen["artifactType"]["artifactCollections"], none);
    for field in ["artifact", "artifactCollection"] {
        assert_eq!(seen["artifactType"][field], Value::Null, "{field}");
    }
    let hidden = format!(
        "{base}/artifactsV2/default/admin/secret/mine/x/{}/m",
        md5_hex(b"not shown")
    );
    assert!(viewer.get(&hidden).await.is_err());
    let mapping = "{ clientIDMapping(clientID: \"mine-x\") { serverID } }";
    assert_eq!(
        viewer.ask(mapping, json!({})).await.unwrap()["clientIDMapping"],
        Value::Null
    );
    let project = "query { artifact(id: \"$\") { artifactType { project { name } } } }";
    let project = project.replace('$', &shown);
    assert!(matches!(
        viewer.ask(&project, json!({})).await,
        Err(Refused::Error(_))
    ));
}

#[tokio::test]
async fn the_digest_of_what_a_restricted_project_has_opens_nothing_to_the_rest_of_the_team() {
    let world = World::new("RESTRICTED").await;
    let [owner, member] = [1, 2].map(|index| world.people[index].1.clone());
    let handler = format!(
        "{}/artifactsV2/default/red/p/c/x/{}/a",
        world.harness.server.base_url(),
        md5_hex(CONTENT)
    );
    assert!(owner.get(&handler).await.is_ok());
    assert!(member.get(&handler).await.is_err());
    // In a project of their own they are asked for the content, and cannot do without it.
    let own = Client {
        project: "own".into(),
        ..member.clone()
    };
    let (artifact, _) = own.begin("c", &"0".repeat(32)).await.unwrap();
    let (manifest, _) = own.manifest(&artifact, "").await.unwrap();
    let files = [("a", CONTENT)];
    let nodes = own.place(&artifact, &manifest, &files).await.unwrap();
    let url = nodes[0]["uploadUrl"].as_str().unwrap();
    for birth in [&artifact, &world.artifact] {
        let entry = json!({"digest": md5(CONTENT), "birthArtifactID": birth});
        let text = manifest_text(&Map::from_iter([("a".to_owned(), entry)]));
        let (_, manifest_url) = own.manifest(&artifact, &md5(&text)).await.unwrap();
        own.put(&manifest_url, text).await.unwrap();
        assert!(own.commit(&artifact).await.is_err());
    }
    assert!(member.get(&handler).await.is_err());
    // Who has the content already may store it, and then has it here too.
    own.put(url, CONTENT.to_vec()).await.unwrap();
    own.commit(&artifact).await.unwrap();
    assert!(member.get(&handler).await.is_ok());
    // What one does see is not sent again.
    let third = Client {
        project: "third".into(),
        ..member.clone()
    };
    let (artifact, _) = third.begin("c", &"1".repeat(32)).await.unwrap();
    let (manifest, _) = third.manifest(&artifact, "").await.unwrap();
    let nodes = third.place(&artifact, &manifest, &files).await.unwrap();
    assert_eq!(nodes[0]["uploadUrl"], Value::Null);
}

#[tokio::test]
async fn strangers_learn_a_name_and_neither_address_nor_company() {
    let world = World::new("PRIVATE").await;
    let query = "{ user(userName: \"admin\") { username email teams { edges { node { name } } }
        organizations { name } apiKeys { edges { node { id } } } }
        entity(name: \"red\") { members { username } organization { name } }
        organization(name: \"acme\") { name } }";
    let stranger = world.people[4].1.ask(query, json!({})).await.unwrap();
    let expected = json!({
        "user": {"username": "admin", "email": null, "teams": {"edges": []}, "organizations": [],
            "apiKeys": null},
        "entity": {"members": [], "organization": null}, "organization": null});
    assert_eq!(stranger, expected);
    let colleague = world.people[3].1.ask(query, json!({})).await.unwrap();
    assert_eq!(colleague["organization"]["name"], "acme");
    assert_eq!(colleague["entity"]["members"].as_array().unwrap().len(), 3);
    assert_eq!(colleague["user"]["apiKeys"], Value::Null);
}

#[tokio::test]
async fn a_restricted_project_is_its_own_members_and_the_admins() {
    let world = World::new("RESTRICTED").await;
    let (_, member) = &world.people[2];
    assert!(!world.attempt(member, "see the project").await.unwrap());
    let (_, admin) = &world.people[1];
    let ids =
        "{ project(name: \"p\", entityName: \"red\") { id } user(userName: \"member\") { id } }";
    let ids = admin.ask(ids, json!({})).await.unwrap();
    let add =
        "mutation($p: ID!, $u: [ID!]) { createProjectMembers(input: {projectId: $p, userIds: $u}) {
        success } }";
    let variables = json!({"p": ids["project"]["id"], "u": [ids["user"]["id"]]});
    admin.ask(add, variables).await.unwrap();
    assert!(world.attempt(member, "see the project").await.unwrap());
}

#[tokio::test]
async fn a_url_ends_with_its_time_and_cannot_be_prolonged() {
    let harness = Harness::new().await;
    let version = harness.log("c", &[("a", b"short-lived")]).await;
    let lasting = harness.file_url(&version, "a").await;
    harness.knobs(json!({"url_lifetime_s": 1})).await;
    let short = harness.file_url(&version, "a").await;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while harness.get(&short, &[]).await.status() != 403 {
        assert!(std::time::Instant::now() < end, "the URL still works");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(harness.get(&lasting, &[]).await.status(), 200);
    let prolonged = short.replacen("expires=", "expires=9", 1);
    assert_eq!(harness.get(&prolonged, &[]).await.status(), 403);
    let begun = harness.begin("c", "00000000000000000000000000000001").await;
    let node = harness.place(&begun, "x", b"late").await;
    let upload = node["uploadUrl"].as_str().unwrap();
    while harness
        .put(upload, &[("content-md5", "wrong")], b"late".to_vec())
        .await
        .status()
        != 403
    {
        assert!(
            std::time::Instant::now() < end,
            "the upload URL still works"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn names_with_path_tricks_never_leave_the_blob_directory() {
    let harness = Harness::new().await;
    let outside = harness.dir.path().join("outside");
    let tricks = [
        "../../outside",
        "/etc/outside",
        "a/../../../outside",
        "..",
        "a\\..\\b",
        "%2e%2e/outside",
        "nul\0byte",
    ];
    let files: Vec<(&str, &[u8])> = tricks
        .iter()
        .map(|name| (*name, b"trick".as_slice()))
        .collect();
    let version = harness.log("tricks", &files).await;
    for name in tricks {
        let url = harness.file_url(&version, name).await;
        assert_eq!(
            harness.get(&url, &[]).await.bytes().await.unwrap(),
            "trick",
            "{name}"
        );
    }
    assert!(!outside.exists());
    let mut unexpected = Vec::new();
    for entry in std::fs::read_dir(harness.dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = ["api-key", "url-secret", "blobs", "lock"].contains(&name.as_str());
        if !known && !name.starts_with("server.sqlite") {
            unexpected.push(name);
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:?}");
    for path in [
        "/storage/wandb_artifacts/1/1/../../../api-key",
        "/storage/run_files/1/../../../api-key",
        "/storage/..%2f..%2fapi-key",
        "/artifactsV2/default/local/..%2f..%2fapi-key/x",
    ] {
        let status = harness.get(&harness.url(path), &[]).await.status();
        assert!(
            status == 403 || status == 401 || status == 404,
            "{path}: {status}"
        );
    }
}
