//! The SDL as the tests read it, and content in which every type has an instance.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::collections::{BTreeMap, HashMap};

use graphql_parser::schema::{
    Definition, Document, ObjectType, Type, TypeDefinition, parse_schema,
};
use serde_json::json;

use super::Harness;

const SDL: &str = include_str!("../../src/wandb/schema.graphql");

pub(crate) type Sdl = Document<'static, String>;

pub(crate) fn sdl() -> Sdl {
    parse_schema(SDL).unwrap()
}

pub(crate) fn types(sdl: &Sdl) -> impl Iterator<Item = &TypeDefinition<'static, String>> {
    sdl.definitions
        .iter()
        .filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(definition),
            _ => None,
        })
}

pub(crate) fn objects(sdl: &Sdl) -> HashMap<String, &ObjectType<'static, String>> {
    types(sdl)
        .filter_map(|definition| match definition {
            TypeDefinition::Object(object) => Some((object.name.clone(), object)),
            _ => None,
        })
        .collect()
}

pub(crate) fn base(ty: &Type<'static, String>) -> String {
    match ty {
        Type::NamedType(name) => name.clone(),
        Type::ListType(inner) | Type::NonNullType(inner) => base(inner),
    }
}

pub(crate) fn composite(definition: &TypeDefinition<'static, String>, name: &str) -> bool {
    match definition {
        TypeDefinition::Object(object) => object.name == name,
        TypeDefinition::Interface(interface) => interface.name == name,
        TypeDefinition::Union(union) => union.name == name,
        _ => false,
    }
}

/// Names and ids of things that exist after [`populate`].
pub(crate) async fn populate(harness: &Harness) -> BTreeMap<&'static str, String> {
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
                quoted(&super::md5(b"walked")),
                quoted(&logged.id)
            ),
        ),
    ])
}
