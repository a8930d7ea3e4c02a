//! The engine on nouns of its own: what async-graphql leaves to us, and what we rely on it for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// Answers `Query` with what a table says, and remembers the arguments it got.
struct Fake {
    type_name: &'static str,
    asked: Arc<Mutex<Vec<(String, Args)>>>,
}

impl Fake {
    fn of(&self, type_name: &'static str) -> Self {
        Self {
            type_name,
            asked: Arc::clone(&self.asked),
        }
    }
}

#[async_trait]
impl Noun for Fake {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    async fn field(&self, _cx: &Cx, name: &str, args: &Args) -> Result<Out, ServerError> {
        self.asked
            .lock()
            .push((format!("{}.{name}", self.type_name), args.clone()));
        Ok(match (self.type_name, name) {
            ("Query", "viewer") => Out::node(self.of("User")),
            ("Query", "artifactCollection") => Out::node(self.of("ArtifactPortfolio")),
            ("Query", "artifact") => Out::node(self.of("Artifact")),
            ("Query", "project") => Out::Null,
            ("Query", "entity") => Out::node(self.of("Entity")),
            ("Query", "user") => return Err(ServerError::NotFound("user".into())),
            ("Query", "users") => Out::node(Connection::new(
                "UserConnection",
                vec![Edge::new("c1", self.of("User"))],
                true,
            )),
            ("Mutation", _) => {
                tokio::task::yield_now().await;
                self.asked
                    .lock()
                    .push((format!("done {name}"), Args::default()));
                Out::node(self.of("Payload"))
            }
            (_, "id") => Out::value("id"),
            ("User", "name") => Out::value("Ann"),
            ("User", "username") => Out::value(7),
            ("User", "createdAt") => Out::Null,
            ("ArtifactPortfolio", "state") => Out::value("READY"),
            ("Artifact", "createdBy") => Out::node(self.of("User")),
            ("Artifact", "size") => Out::value(i64::MAX),
            ("Artifact", "state") => Out::value("LOST"),
            ("Artifact", "versionIndex") => Out::value(i64::MAX),
            ("Entity", "storageBytes") => Out::value(1),
            ("Payload", "clientMutationId") => Out::Null,
            ("Payload", "success") => Out::value(true),
            _ => return Err(ServerError::unknown_field(self.type_name, name)),
        })
    }
}

struct Bench {
    engine: Engine,
    cx: Arc<Cx>,
    asked: Arc<Mutex<Vec<(String, Args)>>>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::reading_only(false)
    }

    fn reading_only(read_only: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let asked = Arc::default();
        let query = Fake {
            type_name: "Query",
            asked: Arc::clone(&asked),
        };
        let mutation = query.of("Mutation");
        let roots = Roots {
            query: Arc::new(query),
            mutation: Arc::new(mutation),
        };
        let caller = Caller {
            user_id: 1,
            username: "ann".into(),
            entity: "ann".into(),
            admin: false,
            read_only,
        };
        let cx = Cx {
            store: Arc::new(Store::open(dir.path()).unwrap()),
            caller,
            base_url: "http://h".into(),
            urls: UrlSigner::new(&[0; 32], "http://h"),
        };
        Self {
            engine: Engine::new(&roots).unwrap(),
            cx: Arc::new(cx),
            asked,
            _dir: dir,
        }
    }

    async fn ask(&self, body: Value) -> (u16, Value) {
        let answer = match Call::parse(body.to_string().as_bytes()) {
            Ok(call) => self.engine.execute(call, Arc::clone(&self.cx)).await,
            Err(answer) => answer,
        };
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    async fn data(&self, query: &str, variables: Value) -> Value {
        let (status, answer) = self
            .ask(json!({"query": query, "variables": variables}))
            .await;
        assert_eq!(status, 200);
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].clone()
    }

    async fn error(&self, query: &str, variables: Value) -> String {
        let (_, answer) = self
            .ask(json!({"query": query, "variables": variables}))
            .await;
        answer["errors"][0]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    fn args_of(&self, field: &str) -> Value {
        let asked = self.asked.lock();
        let (_, args) = asked.iter().find(|(name, _)| name == field).unwrap();
        Value::Object(args.0.clone())
    }
}

#[tokio::test]
async fn aliases_fragments_directives_and_typename_work() {
    let bench = Bench::new();
    let query = "query Q($yes: Boolean = true, $no: Boolean!) {
        me: viewer { ...Names id @skip(if: $yes) }
        artifactCollection(id: \"1\") { __typename ... on ArtifactSequence { name }
            ... on ArtifactCollection { is: state @include(if: $yes) name @include(if: $no) } }
        artifact(id: 3) { size createdBy { __typename ... on User { name } } }
      }
      fragment Names on User { __typename name }";
    let data = bench
        .data(query, json!({"no": false, "unused": null}))
        .await;
    assert_eq!(
        data,
        json!({
            "me": {"__typename": "User", "name": "Ann"},
            "artifactCollection": {"__typename": "ArtifactPortfolio", "is": "READY"},
            "artifact": {"size": i64::MAX, "createdBy": {"__typename": "User", "name": "Ann"}},
        })
    );
}

#[tokio::test]
async fn an_empty_operation_name_means_none_and_an_unknown_one_is_an_error() {
    let bench = Bench::new();
    let ask = |name| json!({"query": "query A { viewer { name } }", "operationName": name});
    assert_eq!(bench.ask(ask("")).await.1["data"]["viewer"]["name"], "Ann");
    assert_eq!(bench.ask(ask("A")).await.1["data"]["viewer"]["name"], "Ann");
    assert!(bench.ask(ask("B")).await.1["errors"][0]["message"].is_string());
}

#[tokio::test]
async fn null_absent_and_default_arguments_look_alike() {
    let bench = Bench::new();
    let query = "mutation M($input: CreateArtifactManifestInput!) {
        createArtifactManifest(input: $input) { clientMutationId } }";
    let input = json!({"artifactID": "1", "name": "m", "digest": "", "entityName": "e",
        "projectName": "p", "runName": "r", "baseArtifactID": null, "type": null});
    bench.data(query, json!({ "input": input })).await;
    let args = bench.args_of("Mutation.createArtifactManifest");
    assert_eq!(args["input"]["type"], "FULL");
    assert!(args["input"].get("baseArtifactID").is_none());
}

#[tokio::test]
async fn a_single_value_becomes_a_list_and_numbers_become_ids() {
    let bench = Bench::new();
    bench
        .data(
            "{ users(usernames: \"ann\", ids: [1]) { edges { cursor } } }",
            json!({}),
        )
        .await;
    assert_eq!(
        bench.args_of("Query.users"),
        json!({"usernames": ["ann"], "ids": ["1"]})
    );
}

#[tokio::test]
async fn wrong_names_and_types_are_refused() {
    let bench = Bench::new();
    assert_eq!(
        bench.error("{ viewer { nonsense } }", json!({})).await,
        "Cannot query field \"nonsense\" on type \"User\"."
    );
    for (query, variables) in [
        ("{ artifact { id } }", json!({})),
        ("{ artifact(id: true) { id } }", json!({})),
        ("{ artifact(id: \"1\", more: 1) { id } }", json!({})),
        (
            "query($n: Int) { users(first: $n) { edges { cursor } } }",
            json!({"n": "1"}),
        ),
        (
            "query($n: Int) { users(first: $n) { edges { cursor } } }",
            json!({"n": 3000000000_u64}),
        ),
        (
            "query($n: String) { users(first: $n) { edges { cursor } } }",
            json!({"n": "1"}),
        ),
        ("query($n: ID!) { artifact(id: $n) { id } }", json!({})),
        (
            "mutation { stopRun(input: {id: 1, other: 2}) { success } }",
            json!({}),
        ),
        ("mutation { stopRun(input: \"1\") { success } }", json!({})),
        ("{ viewer }", json!({})),
        ("{ viewer { name { x } } }", json!({})),
        ("{ viewer {", json!({})),
    ] {
        assert!(!bench.error(query, variables).await.is_empty(), "{query}");
    }
    assert!(bench.asked.lock().is_empty());
}

#[tokio::test]
async fn answers_that_break_their_declared_type_are_internal_errors() {
    let bench = Bench::new();
    for query in [
        "{ viewer { username } }",
        "{ viewer { createdAt } }",
        "{ artifact(id: 1) { state } }",
        "{ artifact(id: 1) { versionIndex } }",
    ] {
        let message = bench.error(query, json!({})).await;
        assert_eq!(
            message, "internal error while checking an answer",
            "{query}"
        );
    }
}

#[tokio::test]
async fn errors_keep_status_200_but_for_bodies_without_a_query() {
    let bench = Bench::new();
    let (status, answer) = bench.ask(json!({"query": "{ user { name } }"})).await;
    assert_eq!(
        (status, &answer["errors"][0]["message"]),
        (200, &json!("user not found"))
    );
    assert_eq!(bench.ask(json!({"variables": {}})).await.0, 400);
    assert_eq!(
        bench.data("{ project { id } }", json!({})).await,
        json!({"project": null})
    );
}

#[tokio::test]
async fn mutations_of_one_document_run_in_order() {
    let bench = Bench::new();
    let query = "mutation { a: stopRun(input: {id: 1}) { success }
        b: deleteRun(input: {id: 1}) { clientMutationId }
        c: stopRun(input: {id: 2}) { success } }";
    bench.data(query, json!(null)).await;
    let asked = bench.asked.lock();
    let order: Vec<&str> = asked
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("Mutation") || name.starts_with("done"))
        .collect();
    assert_eq!(
        order,
        [
            "Mutation.stopRun",
            "done stopRun",
            "Mutation.deleteRun",
            "done deleteRun",
            "Mutation.stopRun",
            "done stopRun"
        ]
    );
}

#[tokio::test]
async fn a_key_that_only_reads_cannot_mutate() {
    let bench = Bench::reading_only(true);
    let message = bench
        .error(
            "mutation { stopRun(input: {id: 1}) { success } }",
            json!({}),
        )
        .await;
    assert_eq!(message, "permission denied: this key may only read");
    assert!(bench.asked.lock().is_empty());
}

#[tokio::test]
async fn pages_tell_their_ends() {
    let bench = Bench::new();
    let query = "{ users { edges { cursor node { name } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    assert_eq!(
        bench.data(query, json!({})).await["users"],
        json!({
            "edges": [{"cursor": "c1", "node": {"name": "Ann"}}],
            "pageInfo": {"hasNextPage": true, "hasPreviousPage": false, "startCursor": "c1",
                "endCursor": "c1"},
        })
    );
}

#[test]
fn names_of_a_document_are_found_through_fragments() {
    let query = "query One { project { ...F } } query Two { viewer { id } }
        fragment F on Project { artifactTypes { edges { node { name } } } }";
    let parse = |name: &str| {
        Call::parse(
            json!({"query": query, "operationName": name})
                .to_string()
                .as_bytes(),
        )
        .unwrap_or_else(|_| panic!("the document is valid"))
        .names()
    };
    assert_eq!(parse("Two").operation, "Two");
    assert!(parse("One").fields.contains(&"artifactTypes".to_owned()));
}
