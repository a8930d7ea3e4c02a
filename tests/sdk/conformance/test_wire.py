"""The wire: operations, filters, orders and pages."""

import json

import pytest
import requests

import test_commands
import test_contents
import test_editing
import test_huge
import test_registry
import test_running
import test_versions
from operations import OPERATIONS, SLOW
from release import CURRENT

TALKS = [test_commands, test_contents, test_editing, test_registry, test_running, test_versions]
PROJECT = "wire"

# A connection: the path of fields to it from the root, with its arguments, and what names a node.
PROJECT_OF = "project(entityName: $entity, name: $project)"
TYPE_OF = f'{PROJECT_OF} {{ artifactType(name: "dataset")'
COLLECTION_OF = f'{PROJECT_OF} {{ artifactCollection(name: "data")'
BOARD_OF = f'{PROJECT_OF} {{ artifactCollection(name: "board")'
ORGANIZATION = 'organization(name: "Wire Inc") { orgEntity'
RUN_OF = f'{PROJECT_OF} {{ run(name: "rawrun")'
CONNECTIONS = {
    "projects of an entity": ("models(entityName: $entity, {page})", "name"),
    "types": (f"{PROJECT_OF} {{ artifactTypes({{page}})", "name"),
    "collections of a type": (f"{TYPE_OF} {{ artifactCollections({{page}})", "name"),
    "collections of a project": (f"{PROJECT_OF} {{ artifactCollections({{page}})", "name"),
    "versions": (f"{COLLECTION_OF} {{ artifacts({{page}})", "id"),
    "aliases of a collection": (f"{COLLECTION_OF} {{ ... on ArtifactSequence {{ aliases({{page}})", "alias"),
    "files of a membership":
        (f'{COLLECTION_OF} {{ artifactMembership(aliasName: "v0") {{ files({{page}})', "displayName"),
    "outputs of a run": (f"{RUN_OF} {{ outputArtifacts({{page}})", "id"),
    "inputs of a run": (f"{RUN_OF} {{ inputArtifacts({{page}})", "id"),
    "runs that used a version": (f'{COLLECTION_OF} {{ artifactMembership(aliasName: "v0") {{ artifact {{ usedBy({{page}})', "name"),
    "memberships of a version":
        (f'{COLLECTION_OF} {{ artifactMembership(aliasName: "v0") {{ artifact {{ artifactMemberships({{page}})', "id"),
    "collections of a version":
        (f'{COLLECTION_OF} {{ artifactMembership(aliasName: "v0") {{ artifact {{ artifactCollections({{page}})', "name"),
    "files of a version": (f'{COLLECTION_OF} {{ artifactMembership(aliasName: "v0") {{ artifact {{ files({{page}})', "name"),
    "memberships of a collection": (f"{COLLECTION_OF} {{ artifactMemberships({{page}})", "id"),
    "tags of a collection": (f"{COLLECTION_OF} {{ tags({{page}})", "name"),
    "versions of a portfolio": (f"{BOARD_OF} {{ artifacts({{page}})", "id"),
    "memberships of a portfolio": (f"{BOARD_OF} {{ artifactMemberships({{page}})", "id"),
    "aliases of a portfolio": (f"{BOARD_OF} {{ aliases({{page}})", "alias"),
    "tags of a portfolio": (f"{BOARD_OF} {{ tags({{page}})", "name"),
    "runs of a project": (f"{PROJECT_OF} {{ runs({{page}})", "name"),
    "files of a run": (f"{RUN_OF} {{ files({{page}})", "name"),
    "projects": ("projects(entityName: $entity, {page})", "name"),
    "projects of the viewer": ("viewer { projects({page})", "name"),
    "keys of the viewer": ("viewer { apiKeys({page})", "id"),
    "users": ("users({page})", "username"),
    "registries": (f"{ORGANIZATION} {{ projects({{page}})", "name"),
    "collections of all registries": (f"{ORGANIZATION} {{ artifactCollections({{page}})", "name"),
    "versions of all registries": (f"{ORGANIZATION} {{ artifactMemberships({{page}})", "id"),
    "versions of a registry":
        (f'{ORGANIZATION} {{ artifactMemberships(projectFilters: "{{\\"name\\": \\"wandb-registry-r0\\"}}", {{page}})', "id"),
}


def edit(server, mutation: str, input_type: str, **members):
    return server.graphql(f"mutation($i: {input_type}!) {{ {mutation}(input: $i) {{ __typename }} }}", i=members)


@pytest.fixture(scope="module")
def wire(module_server):
    """Seven versions of one collection, a portfolio of them, more collections, types, projects, registries, teams."""
    server = module_server
    place = {"entityName": server.entity, "projectName": PROJECT}
    ids = []
    for n in range(7):
        contents = {f"f{i}": f"{n}{i}".encode() * (n + 1) for i in range(5 if n == 0 else 1)}
        ids.append(server.log_manifest(PROJECT, "data", contents))
        edit(server, "updateArtifact", "UpdateArtifactInput", artifactID=ids[n],
             description=f"number {n}" if n != 3 else None,
             metadata=json.dumps({"n": n, "deep": {"word": "even" if n % 2 == 0 else "odd"}, "list": [n, "x"]}),
             tagsToAdd=[{"tagName": tag} for tag in (["even"] if n % 2 == 0 else ["odd"]) + ["all"][: n < 5]])
        edit(server, "addAliases", "AddAliasesInput", artifactID=ids[n], aliases=[
            {**place, "artifactCollectionName": "data", "alias": f"alias{n}"}])
        edit(server, "useArtifact", "UseArtifactInput", **place, runName="rawrun", artifactID=ids[n])
        edit(server, "upsertBucket", "UpsertBucketInput", entityName=server.entity, modelName=PROJECT, name=f"user{n}")
        edit(server, "useArtifact", "UseArtifactInput", **place, runName=f"user{n}", artifactID=ids[0])
        edit(server, "linkArtifact", "LinkArtifactInput", **place, artifactID=ids[0], artifactPortfolioName=f"shelf{n}")
        edit(server, "linkArtifact", "LinkArtifactInput", **place, artifactID=ids[n], artifactPortfolioName="board",
             aliases=[{"artifactCollectionName": "board", "alias": f"board{n}"}])
    for n in range(4):
        server.log_manifest(PROJECT, f"other{n}", {"f": f"other{n}".encode()})
        server.log_manifest(PROJECT, f"typed{n}", {"f": f"typed{n}".encode()}, artifact_type=f"type{n}")
        server.log_manifest(f"{PROJECT}{n}", "data", {"f": b"x"})
    for collection in ("data", "board"):
        edit(server, "createArtifactCollectionTagAssignments", "CreateArtifactCollectionTagAssignmentsInput", **place,
             artifactCollectionName=collection, tags=[{"tagName": f"tag{n}"} for n in range(5)])
    server.graphql("""mutation($e: String, $p: String!) { createRunFiles(input: {entityName: $e, projectName: $p,
        runName: "rawrun", files: ["a", "b", "c", "d", "e"]}) { runID } }""", e=server.entity, p=PROJECT)
    made = {}
    for n in range(5):
        control(server, "users", username=f"member{n}")
        control(server, "users", username=server.entity, read_only=True)
        made = control(server, "teams", team=f"team{n}", org="Wire Inc",
                       members=[{"username": server.entity, "role": "admin"}])
    for n in range(5):
        registry = f"wandb-registry-r{n}"
        edit(server, "upsertModel", "UpsertModelInput", entityName=made["org_entity"], name=registry, access="PRIVATE",
             allowAllArtifactTypesInRegistry=True)
        for index in range(5 if n == 0 else 1):
            edit(server, "linkArtifact", "LinkArtifactInput", artifactID=ids[index], entityName=made["org_entity"],
                 projectName=registry, artifactPortfolioName=f"collection{n}")
    return server


def control(server, what: str, **body) -> dict:
    answer = requests.post(f"{server.base_url}/_test/{what}", json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


def listing(server, connection: str, what: str, first=None, after=None, more: str = "") -> dict:
    """One page of a connection: the object that has pageInfo and edges."""
    arguments = ", ".join(filter(None, [
        f"first: {first}" if first else "", f"after: {json.dumps(after)}" if after else "", more]))
    path = connection.replace("{page}", arguments) if arguments else connection.replace(
        ", {page}", "").replace("({page})", "")
    path = path.replace("$entity", json.dumps(server.entity)).replace("$project", json.dumps(PROJECT))
    found = server.graphql(f"{{ {path} {{ pageInfo {{ endCursor hasNextPage }} edges {{ node {{ {what} }} }} }} "
                           + "}" * connection.count("{ ") + " }")
    while "pageInfo" not in found:
        found = next(iter(found.values()))
    return found


def walk(server, connection, what, first) -> list[str]:
    names, after = [], None
    while True:
        page = listing(server, connection, what, first, after)
        names += [edge["node"][what] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return names


def versions(server, filters=None, order=None) -> list[int]:
    found = server.graphql(
        """query($e: String, $p: String, $f: JSONString, $o: String) { project(entityName: $e, name: $p) {
           artifactCollection(name: "data") { artifacts(filters: $f, order: $o) {
           totalCount edges { node { versionIndex } } } } } }""",
        e=server.entity, p=PROJECT, f=None if filters is None else json.dumps(filters), o=order)
    found = found["project"]["artifactCollection"]["artifacts"]
    numbers = [edge["node"]["versionIndex"] for edge in found["edges"]]
    assert found["totalCount"] == len(numbers)
    return numbers


def test_every_operation_about_artifacts_is_executed(release, request):
    if release.version != CURRENT:
        pytest.skip("the list is that of the current release")
    quick = request.config.getoption("-m") == "not slow"
    for talk in TALKS + ([] if quick else [test_huge]):
        release.seen(talk)
    executed = set(release.operations()) | (SLOW.keys() if quick else set())
    assert set(OPERATIONS) - executed == set()


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_connection_pages_forward_to_its_end_with_any_size(name, wire):
    connection, what = CONNECTIONS[name]
    whole = walk(wire, connection, what, None)
    assert len(whole) >= 4 and len(set(whole)) == len(whole)
    assert walk(wire, connection, what, 1) == walk(wire, connection, what, 2) == whole


@pytest.mark.parametrize("filters, expected", [
    ({"version": "v2"}, [2]),
    ({"version": {"$eq": 2}}, [2]),
    ({"version": {"$ne": 2}}, [0, 1, 3, 4, 5, 6]),
    ({"version_index": {"$lt": 2}}, [0, 1]),
    ({"version_index": {"$lte": 2}}, [0, 1, 2]),
    ({"version_index": {"$gt": 4}}, [5, 6]),
    ({"version_index": {"$gte": 4}}, [4, 5, 6]),
    ({"version": {"$in": ["v1", "v3"]}}, [1, 3]),
    ({"version": {"$nin": ["v1", "v3"]}}, [0, 2, 4, 5, 6]),
    ({"$and": [{"tag": "even"}, {"version": {"$gt": 1}}]}, [2, 4, 6]),
    ({"$or": [{"version": 0}, {"alias": "alias6"}]}, [0, 6]),
    ({"$nor": [{"tag": "even"}, {"version": 1}]}, [3, 5]),
    ({"$not": {"tag": "even"}}, [1, 3, 5]),
    ({"version": {"$not": {"$lt": 5}}}, [5, 6]),
    ({"description": {"$exists": False}}, [3]),
    ({"description": {"$exists": True}}, [0, 1, 2, 4, 5, 6]),
    ({"description": {"$regex": "[12]$"}}, [1, 2]),
    ({"description": {"$contains": "number 4"}}, [4]),
    ({"tag": {"$all": ["even", "all"]}}, [0, 2, 4]),
    ({"tags": {"$contains": "odd"}}, [1, 3, 5]),
    ({"tags": {"$size": 1}}, [5, 6]),
    ({"alias": {"$regex": "alias[45]"}}, [4, 5]),
    ({"aliases": {"$in": ["latest"]}}, [6]),
    ({"metadata.n": 3}, [3]),
    ({"metadata.n": {"$gte": 5}}, [5, 6]),
    ({"metadata.deep.word": "odd"}, [1, 3, 5]),
    ({"artifact_metadata.n": {"$in": [1, 2]}}, [1, 2]),
    ({"metadata.none": {"$exists": True}}, []),
    ({"size": {"$gt": 10}}, [5, 6]),
    ({"state": "COMMITTED"}, [0, 1, 2, 3, 4, 5, 6]),
    ({"created_at": {"$gt": "2001-01-01T00:00:00Z"}}, [0, 1, 2, 3, 4, 5, 6]),
    ({"created_at": {"$lt": "2001-01-01T00:00:00Z"}}, []),
    ({}, [0, 1, 2, 3, 4, 5, 6]),
], ids=lambda value: json.dumps(value) if isinstance(value, dict) else "")
def test_versions_are_filtered(filters, expected, wire):
    assert sorted(versions(wire, filters)) == expected


@pytest.mark.parametrize("field", [
    "version_index", "created_at", "updated_at", "artifact_created_at", "linked_at", "acm_created_at",
    "size", "artifact_size", "file_count", "digest", "id"])
def test_versions_are_ordered_both_ways(field, wire):
    up, down = versions(wire, order=f"+{field}"), versions(wire, order=f"-{field}")
    assert sorted(up) == list(range(7)) and up == down[::-1]
    if field not in ("digest", "file_count", "size", "artifact_size"):
        assert up == list(range(7))


@pytest.mark.parametrize("filters, order", [
    ({"version": {"$near": 1}}, None), ({"colour": "red"}, None), ({"$xor": []}, None), ([], None),
    ({"version": {"$in": 3}}, "+version_index; DROP"), (None, "+colour"), (None, "colour name")])
def test_a_wrong_filter_or_order_is_an_error_and_not_an_empty_list(filters, order, wire):
    answer = requests.post(f"{wire.base_url}/graphql", auth=("api", wire.api_key), timeout=60, json={
        "query": """query($e: String, $p: String, $f: JSONString, $o: String) { project(entityName: $e, name: $p) {
            artifactCollection(name: "data") { artifacts(filters: $f, order: $o) { totalCount } } } }""",
        "variables": {"e": wire.entity, "p": PROJECT, "f": filters and json.dumps(filters) if filters != [] else "[]",
                      "o": order}})
    assert answer.status_code == 200 and answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("order", ["+name", "-name", "+created_at", "-created_at", "+updated_at", "-updated_at",
                                   "+artifact_collection_id", "+description"])
@pytest.mark.parametrize("connection", ["collections of a type", "collections of a project"])
def test_collections_are_ordered(connection, order, wire):
    path, what = CONNECTIONS[connection]
    names = [edge["node"][what] for edge in listing(wire, path, what, more=f'order: "{order}"')["edges"]]
    back = [edge["node"][what] for edge in
            listing(wire, path, what, more=f'order: "{"-" if order[0] == "+" else "+"}{order[1:]}"')["edges"]]
    assert len(names) > 4 and names == back[::-1]
    if order[1:] == "name":
        assert names == sorted(names, reverse=order[0] == "-")


@pytest.mark.parametrize("filters, expected", [
    ({"name": {"$regex": "^other"}}, ["other0", "other1", "other2", "other3"]),
    ({"name": {"$in": ["data", "other1"]}}, ["data", "other1"]),
    ({"name": {"$contains": "her2"}}, ["other2"]),
    ({"$or": [{"name": "data"}, {"name": "other3"}]}, ["data", "other3"]),
    ({"tag": "none"}, []),
    ({"alias": "alias3"}, ["data"]),
    ({"created_at": {"$lt": "2001-01-01"}}, [])])
def test_collections_are_filtered(filters, expected, wire):
    path, what = CONNECTIONS["collections of a type"]
    text = json.dumps(json.dumps(filters))
    names = [edge["node"][what] for edge in listing(wire, path, what, more=f"filters: {text}")["edges"]]
    assert sorted(names) == expected


EVERY, RELEASED = ["r0", "r1", "r2", "r3", "r4"], "2001-01-01T00:00:00Z"


@pytest.mark.parametrize("level, filters, expected", [
    ("projects(filters: $f", {"name": "wandb-registry-r2"}, ["r2"]),
    ("projects(filters: $f", {"name": {"$regex": "r[13]$"}}, ["r1", "r3"]),
    ("projects(filters: $f", {"description": {"$exists": True}}, []),
    ("projects(filters: $f", {"created_at": {"$gt": RELEASED}}, EVERY),
    ("projects(filters: $f", {"updated_at": {"$lt": RELEASED}}, []),
    ("projects(filters: $f", {"$or": [{"id": 0}, {"project_id": 0}, {"entity_id": 0}]}, []),
    ("artifactCollections(projectFilters: $f", {"name": "wandb-registry-r2"}, ["collection2"]),
    ("artifactCollections(filters: $f", {"name": {"$in": ["collection1", "collection4"]}}, ["collection1", "collection4"]),
    ("artifactCollections(filters: $f", {"tag": "none"}, []),
    ("artifactCollections(filters: $f", {"collection_id": {"$gt": 0}}, [f"collection{n}" for n in range(5)]),
    ("artifactMemberships(projectFilters: $f", {"name": "wandb-registry-r2"}, [0]),
    ("artifactMemberships(collectionFilters: $f", {"name": "collection0"}, [0, 1, 2, 3, 4]),
    ("artifactMemberships(filters: $f", {"version": {"$gte": 2}}, [2, 3, 4]),
    ("artifactMemberships(filters: $f", {"$and": [{"tag": "odd"}, {"metadata.n": {"$gt": 1}}]}, [3]),
    ("artifactMemberships(filters: $f", {"artifact_metadata.deep.word": "odd"}, [1, 3]),
    ("artifactMemberships(filters: $f", {"$and": [{"alias": "latest"}, {"artifact_size": {"$gt": 9}}]}, [0, 4]),
    ("artifactMemberships(filters: $f", {"artifact_created_at": {"$lt": RELEASED}}, []),
    ("artifactMemberships(filters: $f", {"acm_created_at": {"$lt": RELEASED}}, []),
], ids=lambda value: json.dumps(value) if isinstance(value, dict) else "")
def test_registries_their_collections_and_versions_are_filtered(level, filters, expected, wire):
    what = "versionIndex" if "Memberships" in level else "name"
    path = f"{ORGANIZATION} {{ {level.replace('$f', json.dumps(json.dumps(filters)))}, {{page}})"
    found = {edge["node"][what] for edge in listing(wire, path, what)["edges"]}
    assert sorted(str(name).removeprefix("wandb-registry-") for name in found) == [str(name) for name in expected]


@pytest.mark.parametrize("connection, field", [
    *(("registries", field) for field in ("id", "name", "created_at", "updated_at")),
    *(("collections of all registries", field) for field in ("name", "created_at", "updated_at", "artifact_collection_id")),
    *(("versions of all registries", field) for field in ("artifact_created_at", "created_at", "artifact_size",
                                                          "acm_created_at", "linked_at"))])
def test_registries_their_collections_and_versions_are_ordered_both_ways(connection, field, wire):
    path, what = CONNECTIONS[connection]
    up, down = ([edge["node"][what] for edge in listing(wire, path, what, more=f'order: "{sign}{field}"')["edges"]]
                for sign in "+-")
    assert len(up) >= 5 and up == down[::-1]
    if field == "name":
        assert up == sorted(up)


@pytest.mark.parametrize("connection, project, collection", [
    ("versions", PROJECT, "data"), ("collections of a type", PROJECT, "new in the type"),
    ("collections of a project", PROJECT, "new in the project"), ("memberships of a collection", PROJECT, "data"),
    ("projects of an entity", f"{PROJECT}-new", "data")])
def test_pages_are_stable_under_inserts(connection, project, collection, wire):
    path, what = CONNECTIONS[connection]
    wire.log_manifest(f"{PROJECT}-elsewhere", "data", {"f": connection.encode()})
    first = listing(wire, path, what, 3)
    before = walk(wire, path, what, None)
    added = wire.log_manifest(project, collection, {"f": f"added to the {connection}".encode()})
    rest, after = [], first["pageInfo"]["endCursor"]
    while after:
        page = listing(wire, path, what, 2, after)
        rest += [edge["node"][what] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
    seen = [edge["node"][what] for edge in first["edges"]] + rest
    edit(wire, "deleteArtifact", "DeleteArtifactInput", artifactID=added, deleteAliases=True)
    assert seen == before
