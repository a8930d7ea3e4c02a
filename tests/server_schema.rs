//! Every field of the SDL is declared as written there, and is answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::Harness;
use common::sdl::{Sdl, base, composite, objects, populate, sdl, types};
use graphql_parser::schema::{Field, InputValue, TypeDefinition};
use serde_json::{Value, json};
use wandbfs::server::Seed;

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
    // Payloads are reached through mutations (tests/server_payloads.rs).
    let unreached: Vec<&String> = objects
        .keys()
        .filter(|name| !visited.contains_key(*name))
        .filter(|name| !name.ends_with("Payload") && !UNREACHABLE.contains(&name.as_str()))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(unreached.is_empty(), "no instance of {unreached:?}");
}

/// Types that no query reaches: the parts of an upload are walked in `server_uploads.rs`, aliases of
/// payloads in `server_payloads.rs`; a newer release, log lines and feature flags exist nowhere here.
const UNREACHABLE: [&str; 10] = [
    "Mutation",
    "LocalVersionInfo",
    "LogLine",
    "LogLineEdge",
    "ArtifactCollectionAlias",
    "UploadMultipartUrls",
    "UploadUrlPart",
    "FeatureFlag",
    "ServerSettings",
    "ServerMessage",
];

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
