//! Every field of the SDL is declared as written there, and is answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use common::Harness;
use graphql_parser::schema::{
    Definition, Document, Field, InputValue, ObjectType, Type, TypeDefinition, parse_schema,
};
use serde_json::{Value, json};
use wandbfs::server::Seed;

const SDL: &str = include_str!("../src/wandb/schema.graphql");

/// Fields that an implementing object narrows, which the engine serves on the objects alone.
const NARROWED: [&str; 2] = ["ArtifactConnectionType.edges: ", "ArtifactEdgeType.node: "];

type Sdl = Document<'static, String>;

fn sdl() -> Sdl {
    parse_schema(SDL).unwrap()
}

fn types(sdl: &Sdl) -> impl Iterator<Item = &TypeDefinition<'static, String>> {
    sdl.definitions
        .iter()
        .filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(definition),
            _ => None,
        })
}

fn objects(sdl: &Sdl) -> HashMap<String, &ObjectType<'static, String>> {
    types(sdl)
        .filter_map(|definition| match definition {
            TypeDefinition::Object(object) => Some((object.name.clone(), object)),
            _ => None,
        })
        .collect()
}

/// One line for each thing the SDL declares.
fn declared(sdl: &Sdl) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut fields = |owner: &str, list: &[Field<'static, String>]| {
        for field in list {
            let args: Vec<String> = field.arguments.iter().map(input).collect();
            let (name, ty) = (&field.name, &field.field_type);
            lines.insert(format!("{owner}.{name}: {ty} ({})", args.join(", ")));
        }
    };
    let mut others = Vec::new();
    for definition in types(sdl) {
        match definition {
            TypeDefinition::Object(object) => {
                fields(&object.name, &object.fields);
                for interface in &object.implements_interfaces {
                    others.push(format!("{} implements {interface}", object.name));
                }
            }
            TypeDefinition::Interface(interface) => fields(&interface.name, &interface.fields),
            TypeDefinition::InputObject(object) => {
                let name = &object.name;
                others.extend(
                    object
                        .fields
                        .iter()
                        .map(|field| format!("{name}.{}", input(field))),
                );
            }
            TypeDefinition::Enum(definition) => {
                let name = &definition.name;
                others.extend(
                    definition
                        .values
                        .iter()
                        .map(|v| format!("{name} = {}", v.name)),
                );
            }
            TypeDefinition::Union(union) => {
                others.extend(
                    union
                        .types
                        .iter()
                        .map(|ty| format!("{} | {ty}", union.name)),
                );
            }
            TypeDefinition::Scalar(scalar) => others.push(format!("scalar {}", scalar.name)),
        }
    }
    lines.extend(others);
    lines.retain(|line| !NARROWED.iter().any(|narrowed| line.starts_with(narrowed)));
    lines
}

fn input(value: &InputValue<'static, String>) -> String {
    let default = value
        .default_value
        .as_ref()
        .map(|value| format!(" = {value}"));
    format!(
        "{}: {}{}",
        value.name,
        value.value_type,
        default.unwrap_or_default()
    )
}

/// The same lines from the server's introspection.
fn served(schema: &Value) -> BTreeSet<String> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = BTreeSet::new();
    for ty in array(&schema["types"]) {
        let name = text(&ty["name"]);
        for field in array(&ty["fields"]) {
            let args: Vec<String> = array(&field["args"]).iter().map(served_input).collect();
            let (field_name, ty) = (text(&field["name"]), type_text(&field["type"]));
            lines.insert(format!("{name}.{field_name}: {ty} ({})", args.join(", ")));
        }
        for field in array(&ty["inputFields"]) {
            lines.insert(format!("{name}.{}", served_input(&field)));
        }
        for value in array(&ty["enumValues"]) {
            lines.insert(format!("{name} = {}", text(&value["name"])));
        }
        for interface in array(&ty["interfaces"]) {
            lines.insert(format!("{name} implements {}", text(&interface["name"])));
        }
        match ty["kind"].as_str() {
            Some("UNION") => {
                for member in array(&ty["possibleTypes"]) {
                    lines.insert(format!("{name} | {}", text(&member["name"])));
                }
            }
            Some("SCALAR") => {
                lines.insert(format!("scalar {name}"));
            }
            _ => {}
        }
    }
    let builtin = ["Int", "Float", "String", "Boolean", "ID"].map(|name| format!("scalar {name}"));
    lines.retain(|line| !line.starts_with("__") && !builtin.contains(line));
    lines
}

fn served_input(value: &Value) -> String {
    let default = value["defaultValue"]
        .as_str()
        .map(|value| format!(" = {value}"));
    let name = value["name"].as_str().unwrap();
    format!(
        "{name}: {}{}",
        type_text(&value["type"]),
        default.unwrap_or_default()
    )
}

fn type_text(ty: &Value) -> String {
    match ty["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", type_text(&ty["ofType"])),
        Some("LIST") => format!("[{}]", type_text(&ty["ofType"])),
        _ => ty["name"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn every_field_of_the_sdl_is_served_with_its_declared_type() {
    let harness = Harness::new().await;
    let query = "query { __schema { types { kind name
        fields { name args { ...Input } type { ...Type } } inputFields { ...Input }
        enumValues { name } interfaces { name } possibleTypes { name } } } }
      fragment Input on __InputValue { name defaultValue type { ...Type } }
      fragment Type on __Type { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name } } } } }";
    let answer = harness.data(query, json!({})).await;
    let (declared, served) = (declared(&sdl()), served(&answer["__schema"]));
    let missing: Vec<_> = declared.difference(&served).collect();
    let extra: Vec<_> = served.difference(&declared).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing: {missing:#?}\nextra: {extra:#?}"
    );
}

fn base(ty: &Type<'static, String>) -> String {
    match ty {
        Type::NamedType(name) => name.clone(),
        Type::ListType(inner) | Type::NonNullType(inner) => base(inner),
    }
}

/// How to reach an object: the document around its selection.
#[derive(Clone)]
struct Way {
    before: String,
    after: String,
    keys: Vec<String>,
}

impl Way {
    fn deeper(&self, field: &str, key: &str, condition: &str) -> Self {
        Self {
            before: format!(
                "{}{key}: {field} {{ __typename ... on {condition} {{ ",
                self.before
            ),
            after: format!(" }} }}{}", self.after),
            keys: [self.keys.clone(), vec![key.to_owned()]].concat(),
        }
    }

    fn document(&self, selection: &str) -> String {
        format!("{}{selection}{}", self.before, self.after)
    }

    /// The objects at the end of the way; lists on it are walked through.
    fn find(&self, data: &Value) -> Vec<Value> {
        let mut found = vec![data.clone()];
        for key in &self.keys {
            found = found
                .into_iter()
                .flat_map(|value| match value[key].clone() {
                    Value::Array(items) => items,
                    other => vec![other],
                })
                .filter(|value| !value.is_null())
                .collect();
        }
        found
    }
}

/// Arguments that find something in the demo content; `None` where a field needs none.
fn arguments(
    known: &BTreeMap<&str, String>,
    owner: &str,
    field: &Field<'static, String>,
) -> String {
    let value = |name: &str| -> Option<String> {
        let known = |key: &str| known.get(key).cloned();
        match (owner, field.name.as_str(), name) {
            ("Query", "artifact", "id") => known("artifact"),
            ("Query", "artifactCollection" | "artifactSequence", "id") => known("sequence"),
            ("Query", "organization", "name") => known("organization"),
            ("Query", "user", "userName") => known("user"),
            ("Query", "clientIDMapping", "clientID") => known("client"),
            ("Query", "entity", "name") => known("entity"),
            (_, _, "entityName") => known("entity"),
            ("Query" | "Entity", "project" | "model", "name") => known("project"),
            ("Project", "artifact" | "artifactCollectionMembership", "name") => known("version"),
            ("ArtifactType", "artifact", "name") => known("version"),
            ("Project", "artifactType", "name") => known("type"),
            ("Project" | "ArtifactType", "artifactCollection" | "artifactSequence", "name") => {
                known("collection")
            }
            ("Project", "run" | "bucket", "name") => known("run"),
            (_, "artifactMembership", "aliasName") => Some("\"latest\"".into()),
            (_, _, "adminType") => Some("MODEL".into()),
            (_, _, "specs") => Some("[\"{}\"]".into()),
            (_, "filesByManifestEntries", "storageLayout") => Some("\"V2\"".into()),
            (_, "filesByManifestEntries", "manifestVersion") => Some("\"1\"".into()),
            (_, "filesByManifestEntries", "entries") => known("entries"),
            (_, _, "first") => Some("2".into()),
            _ => None,
        }
    };
    let given: Vec<String> = field
        .arguments
        .iter()
        .filter_map(|argument| Some(format!("{}: {}", argument.name, value(&argument.name)?)))
        .collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("({})", given.join(", "))
    }
}

/// Names and ids of things that exist after [`populate`].
async fn populate(harness: &Harness) -> BTreeMap<&'static str, String> {
    let quoted = |value: &str| json!(value).to_string();
    let entity = harness.server.entity();
    let logged = harness.log("walk", &[("a", b"walked")]).await;
    let sequence = harness
        .data(
            "query($id: ID!) { artifact(id: $id) { artifactSequence { id } } }",
            json!({"id": logged.id}),
        )
        .await;
    let sequence = sequence["artifact"]["artifactSequence"]["id"]
        .as_str()
        .unwrap();
    let create = "mutation($i: CreateArtifactInput!) { createArtifact(input: $i) {
        artifact { id state } } }";
    let input = json!({"entityName": entity, "projectName": "p", "runName": "run1",
        "artifactTypeName": "dataset", "artifactCollectionName": "walk", "clientID": "c1",
        "digest": "00000000000000000000000000000009", "digestAlgorithm": "MANIFEST_MD5",
        "tags": [{"tagName": "t"}]});
    harness.data(create, json!({ "i": input })).await;
    for query in [
        format!(
            "mutation {{ useArtifact(input: {{entityName: \"{entity}\", projectName: \"p\",
            runName: \"run1\", artifactID: \"{}\"}}) {{ artifact {{ id }} }} }}",
            logged.id
        ),
        format!(
            "mutation {{ linkArtifact(input: {{artifactID: \"{}\", entityName: \"{entity}\",
            projectName: \"p\", artifactPortfolioName: \"linked\"}}) {{ versionIndex }} }}",
            logged.id
        ),
        format!(
            "mutation {{ updateArtifact(input: {{artifactID: \"{}\",
            tagsToAdd: [{{tagName: \"t\"}}]}}) {{ artifact {{ id }} }} }}",
            logged.id
        ),
    ] {
        harness.data(&query, json!({})).await;
    }
    let team = json!({"team": "red", "org": "acme",
        "members": [{"username": entity, "role": "admin"}]});
    let team = harness
        .http
        .post(harness.url("/_test/teams"))
        .json(&team)
        .send()
        .await
        .unwrap();
    assert_eq!(team.status(), 200);
    let query = "query($e: String!) { viewer { id } entity(name: \"red\") { id }
        project(name: \"p\", entityName: $e) { id } }";
    let ids = harness.data(query, json!({ "e": entity })).await;
    for query in [
        format!(
            "mutation {{ createProjectMembers(input: {{projectId: {}, userIds: [{}],
            teamIds: [{}]}}) {{ success }} }}",
            ids["project"]["id"], ids["viewer"]["id"], ids["entity"]["id"]
        ),
        format!(
            "mutation {{ createArtifactCollectionTagAssignments(input: {{
            entityName: \"{entity}\", projectName: \"p\", artifactCollectionName: \"walk\",
            tags: [{{tagName: \"t\"}}]}}) {{ tags {{ id }} }} }}"
        ),
    ] {
        harness.data(&query, json!({})).await;
    }
    BTreeMap::from([
        ("artifact", quoted(&logged.id)),
        ("sequence", quoted(sequence)),
        ("organization", quoted("acme")),
        ("user", quoted(entity)),
        ("client", quoted("c1")),
        ("entity", quoted(entity)),
        ("project", quoted("p")),
        ("version", quoted("walk:latest")),
        ("type", quoted("dataset")),
        ("collection", quoted("walk")),
        ("run", quoted("run1")),
        (
            "entries",
            format!(
                "[{{name: \"a\", digest: {}, birthArtifactID: {}}}]",
                quoted(&common::md5(b"walked")),
                quoted(&logged.id)
            ),
        ),
    ])
}

#[tokio::test]
async fn every_field_of_every_object_is_answered() {
    let harness = Harness::new().await;
    let known = populate(&harness).await;
    let sdl = sdl();
    let objects = objects(&sdl);
    let root = Way {
        before: "{ ".into(),
        after: " }".into(),
        keys: Vec::new(),
    };
    let mut visited = BTreeMap::from([("Query".to_owned(), root.clone())]);
    let mut queue = VecDeque::from(["Query".to_owned()]);
    let mut failures = Vec::new();
    while let Some(owner) = queue.pop_front() {
        let way = visited[&owner].clone();
        for field in &objects[&owner].fields {
            let target = base(&field.field_type);
            let call = format!("{}{}", field.name, arguments(&known, &owner, field));
            let is_leaf = types(&sdl).all(|definition| !composite(definition, &target));
            let selection = if is_leaf {
                String::new()
            } else {
                "{ __typename }".into()
            };
            let document = way.document(&format!("f: {call} {selection}"));
            let answer = harness.ask(&document, json!({})).await;
            if let Some(errors) = answer.get("errors") {
                failures.push(format!("{owner}.{}: {}", field.name, errors[0]["message"]));
                continue;
            }
            let end = Way {
                keys: [way.keys.clone(), vec!["f".into()]].concat(),
                ..way.clone()
            };
            for found in end.find(&answer["data"]) {
                let Some(name) = found["__typename"].as_str() else {
                    continue;
                };
                if !visited.contains_key(name) {
                    let key = format!("k{}", visited.len());
                    visited.insert(name.to_owned(), way.deeper(&call, &key, name));
                    queue.push_back(name.to_owned());
                }
            }
        }
    }
    // Payloads are reached through mutations, log lines exist for no run, and of the rest only
    // these have no instance on a server without newer releases.
    let unreached: Vec<&String> = objects
        .keys()
        .filter(|name| !visited.contains_key(*name))
        .filter(|name| !name.ends_with("Payload") && !UNREACHABLE.contains(&name.as_str()))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(unreached.is_empty(), "no instance of {unreached:?}");
}

/// Types of which this server has no instance, or none that a query reaches.
const UNREACHABLE: [&str; 8] = [
    "Mutation",
    "LocalVersionInfo",
    "LogLine",
    "LogLineEdge",
    "ArtifactCollectionAlias",
    "UploadMultipartUrls",
    "UploadUrlPart",
    "FeatureFlag",
];

fn composite(definition: &TypeDefinition<'static, String>, name: &str) -> bool {
    match definition {
        TypeDefinition::Object(object) => object.name == name,
        TypeDefinition::Interface(interface) => interface.name == name,
        TypeDefinition::Union(union) => union.name == name,
        _ => false,
    }
}

/// Ids that inputs of mutations name, as the server knows them after [`populate`].
async fn ids(harness: &Harness) -> HashMap<&'static str, String> {
    let entity = harness.server.entity();
    let query = "query($e: String!) { viewer { id } entity(name: \"red\") { id }
        user(userName: \"ann\") { id }
        project(name: \"p\", entityName: $e) { id
            artifactType(name: \"dataset\") { id }
            walk: artifactCollection(name: \"walk\") { id }
            linked: artifactCollection(name: \"linked\") { id }
            artifact(name: \"walk:latest\") { id currentManifest { id } }
            run(name: \"run1\") { id } } }";
    let data = harness.data(query, json!({ "e": entity })).await;
    let id = |pointer: &str| {
        data.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{pointer}: {data}"))
            .to_owned()
    };
    HashMap::from([
        ("$entity", entity.to_owned()),
        ("$user", id("/user/id")),
        ("$team", id("/entity/id")),
        ("$project", id("/project/id")),
        ("$type", id("/project/artifactType/id")),
        ("$sequence", id("/project/walk/id")),
        ("$portfolio", id("/project/linked/id")),
        ("$artifact", id("/project/artifact/id")),
        ("$manifest", id("/project/artifact/currentManifest/id")),
        ("$run", id("/project/run/id")),
    ])
}

/// Every mutation with an input that succeeds, in an order in which they can follow each other.
fn steps() -> Vec<(&'static str, Value)> {
    let place = json!({"entityName": "$entity", "projectName": "p"});
    let at = |more: Value| {
        let mut object = place.as_object().unwrap().clone();
        object.extend(more.as_object().unwrap().clone());
        Value::Object(object)
    };
    let alias = json!({"entityName": "$entity", "projectName": "p",
        "artifactCollectionName": "walk", "alias": "best"});
    let tags = json!([{"tagName": "good"}]);
    vec![
        (
            "upsertBucket",
            json!({"entityName": "$entity", "modelName": "p", "name": "run1"}),
        ),
        ("createArtifactType", at(json!({"name": "other"}))),
        (
            "updateArtifactType",
            json!({"artifactTypeID": "$type", "description": "d"}),
        ),
        (
            "createArtifactSequence",
            at(json!({"artifactTypeID": "$type", "name": "s2"})),
        ),
        (
            "createArtifactPortfolio",
            at(json!({"artifactTypeID": "$type", "name": "p2"})),
        ),
        (
            "updateArtifactSequence",
            json!({"artifactSequenceID": "$sequence", "description": "d"}),
        ),
        (
            "updateArtifactPortfolio",
            json!({"artifactPortfolioID": "$portfolio", "description": "d"}),
        ),
        (
            "createArtifactCollectionTagAssignments",
            at(json!({"artifactCollectionName": "walk", "tags": tags})),
        ),
        (
            "deleteArtifactCollectionTagAssignments",
            at(json!({"artifactCollectionName": "walk", "tags": tags})),
        ),
        (
            "addAliases",
            json!({"artifactID": "$artifact", "aliases": [alias]}),
        ),
        (
            "deleteAliases",
            json!({"artifactID": "$artifact", "aliases": [alias]}),
        ),
        (
            "updateArtifact",
            json!({"artifactID": "$artifact", "description": "d"}),
        ),
        (
            "useArtifact",
            at(json!({"runName": "run1", "artifactID": "$artifact"})),
        ),
        (
            "linkArtifact",
            at(json!({"artifactID": "$artifact", "artifactPortfolioName": "linked"})),
        ),
        (
            "unlinkArtifact",
            json!({"artifactID": "$artifact", "artifactPortfolioID": "$portfolio"}),
        ),
        (
            "createRunFiles",
            at(json!({"runName": "run1", "files": ["f.txt"]})),
        ),
        (
            "markRunFilesUploaded",
            at(json!({"runName": "run1", "files": ["f.txt"]})),
        ),
        ("deleteFiles", json!({"files": []})),
        (
            "notifyScriptableRunAlert",
            at(json!({"runName": "run1", "title": "t", "text": "x"})),
        ),
        (
            "createProjectMembers",
            json!({"projectId": "$project", "userIds": ["$user"]}),
        ),
        (
            "updateProjectMember",
            json!({"projectId": "$project", "userId": "$user", "userProjectRole": "viewer"}),
        ),
        (
            "createProjectMembers",
            json!({"projectId": "$project", "teamIds": ["$team"]}),
        ),
        (
            "updateProjectTeamMember",
            json!({"projectId": "$project", "teamId": "$team", "teamProjectRole": "viewer"}),
        ),
        (
            "deleteProjectMembers",
            json!({"projectId": "$project", "userIds": ["$user"]}),
        ),
        ("upsertModel", json!({"entityName": "$entity", "name": "q"})),
        (
            "renameProject",
            json!({"entityName": "$entity", "oldProjectName": "q", "newProjectName": "q2"}),
        ),
        (
            "moveArtifactSequence",
            json!({"artifactSequenceID": "$sequence", "destinationArtifactTypeName": "moved"}),
        ),
        ("stopRun", json!({"id": "$run"})),
        (
            "deleteArtifact",
            json!({"artifactID": "$artifact", "deleteAliases": true}),
        ),
        (
            "deleteArtifactPortfolio",
            json!({"artifactPortfolioID": "$portfolio"}),
        ),
        (
            "deleteArtifactSequence",
            json!({"artifactSequenceID": "$sequence"}),
        ),
        ("deleteRun", json!({"id": "$run"})),
        ("deleteModel", json!({"id": "$project"})),
    ]
}

/// Mutations that the helper of all tests has gone through already, or that need a state of their
/// own (parts under way, an incremental manifest, a run with a history).
const ELSEWHERE: [&str; 7] = [
    "createArtifact",
    "createArtifactManifest",
    "createArtifactFiles",
    "commitArtifact",
    "completeMultipartUploadArtifact",
    "updateArtifactManifest",
    "rewindRun",
];

fn fill_in(value: &mut Value, ids: &HashMap<&'static str, String>) {
    match value {
        Value::String(text) => {
            if let Some(id) = ids.get(text.as_str()) {
                text.clone_from(id);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, ids)),
        Value::Object(members) => members.values_mut().for_each(|member| fill_in(member, ids)),
        _ => {}
    }
}

#[tokio::test]
async fn every_field_of_every_payload_is_answered() {
    let harness = Harness::new().await;
    populate(&harness).await;
    let ann = json!({"username": "ann"});
    harness
        .http
        .post(harness.url("/_test/users"))
        .json(&ann)
        .send()
        .await
        .unwrap();
    let ids = ids(&harness).await;
    let sdl = sdl();
    let objects = objects(&sdl);
    let mut failures = Vec::new();
    let mut left: BTreeSet<&str> = objects["Mutation"]
        .fields
        .iter()
        .map(|f| &*f.name)
        .collect();
    for (name, mut input) in steps() {
        left.remove(name);
        fill_in(&mut input, &ids);
        let field = objects["Mutation"]
            .fields
            .iter()
            .find(|field| field.name == name)
            .unwrap();
        let selection: Vec<String> = objects[&base(&field.field_type)]
            .fields
            .iter()
            .map(|field| {
                let target = base(&field.field_type);
                let is_leaf = types(&sdl).all(|definition| !composite(definition, &target));
                let below = if is_leaf { "" } else { "{ __typename }" };
                format!("{} {below}", field.name)
            })
            .collect();
        let input_type = &field.arguments[0].value_type;
        let query = format!(
            "mutation($i: {input_type}) {{ {name}(input: $i) {{ {} }} }}",
            selection.join(" ")
        );
        let answer = harness.ask(&query, json!({ "i": input })).await;
        if let Some(errors) = answer.get("errors") {
            failures.push(format!("{name}: {}", errors[0]));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(left, BTreeSet::from(ELSEWHERE));
}

#[tokio::test]
async fn the_demo_content_is_walked_without_errors() {
    let harness = Harness::with(Some(Seed::Demo), true).await;
    let query = "{ viewer { teams { edges { node { name projects { edges { node { name
        artifactTypes { edges { node { name artifactCollections { totalCount edges { node {
            __typename name description tags { edges { node { name } } }
            aliases { edges { node { alias } } }
            artifacts(first: 3) { totalCount edges { version node { id digest size fileCount
                metadata createdBy { __typename } aliases { alias } files(first: 2) {
                    totalCount edges { node { name directUrl sizeBytes } } } } } } } } } } } }
        } } } } } } userEntity { name projects { edges { node { name } } } } } }";
    let answer = harness.data(query, json!({})).await;
    let text = answer.to_string();
    assert!(
        text.contains("ArtifactSequence") && text.contains("latest"),
        "{text}"
    );
}
