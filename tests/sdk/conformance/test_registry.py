"""Registries."""

import requests

TALK = "registry"


def prepare(server):
    def post(path, **body):
        answer = requests.post(f"{server.base_url}/_test/{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()
    owner = post("users", username="owner")
    mate = post("users", username="mate")
    team = post("teams", team="makers", org="Makers Inc", members=[
        {"username": owner["username"], "role": "admin"}, {"username": mate["username"], "role": "member"}])
    requests.put(f"{server.base_url}/_test/entities/{team['team']}", json={"protected_aliases": ["guarded"]},
                 timeout=60).raise_for_status()
    return {"api_key": owner["api_key"], "org": team["org"], "team": team["team"], "mate": mate["username"],
            "entity": team["team"], "mate_key": mate["api_key"]}


def test_a_registry_is_created(seen):
    assert seen["created"] == [["models", "wandb-registry-models", "organization", "Makers Inc", "all"]]
    assert seen["types"] == [["dataset"], False]


def test_a_second_registry_of_the_name_is_refused(seen):
    assert seen["twice"]


def test_registries_are_listed_filtered_ordered_and_paged(seen):
    assert seen["registries"] == seen["paged"] == ["limited", "models"]
    assert seen["by name"] == ["models"] and seen["by regex"] == ["limited"]
    assert seen["ordered"] == [["limited", "models"], ["models", "limited"]]


def test_linking_to_a_registry_numbers_from_v0(seen):
    assert seen["linked"] == "v0"
    assert seen["fetched"] == ["data:v0", "v0", ["prod"], "registry"]


def test_a_registry_refuses_other_types_than_its_own(seen):
    assert seen["type refused"]


def test_a_run_uses_a_version_of_a_registry(seen):
    assert seen["used"] == ["data:v0", True]


def test_collections_of_a_registry_are_listed_and_filtered(seen):
    assert seen["collections"] == ["best", "others"] and seen["collections by name"] == ["best"]
    assert seen["all collections"] == ["best", "few", "others"]


def test_versions_of_a_registry_are_listed_and_filtered(seen):
    assert seen["versions"] == [f"wandb-registry-models/{v}" for v in ("best:v0", "best:v1", "best:v2", "others:v0")]
    assert seen["versions by tag"] == ["data:v0", "data:v2"]
    assert seen["versions by alias"] == ["data:v0"] and seen["versions by metadata"] == ["data:v2"]
    assert seen["versions of all"] == 5


def test_versions_of_a_registry_are_ordered_with_advanced_search(seen):
    assert seen["ordered versions"] == [["data:v0", "data:v1", "data:v2"], ["data:v2", "data:v1", "data:v0"]]


def test_a_version_of_a_registry_downloads(seen):
    assert seen["downloaded"] == "0"


def test_artifact_exists_understands_registry_paths(seen):
    assert seen["exists"] == [True, True, False]


def test_aliases_in_a_registry_save_and_unlink_removes(seen):
    assert seen["alias in registry"] == "v0" and seen["unlinked"] is False


def test_protected_aliases_are_for_admins_alone(seen):
    assert "guarded" in seen["protected for a member"] and "guarded" in seen["removed by a member"]
    assert seen["protected for an admin"] == ["guarded"] and seen["guarded stays"] == "v2"


def test_a_member_cannot_log_a_version_under_a_protected_alias(seen):
    assert "guarded" in seen["logged by a member"] and seen["guarded in the end"] == "v2"


def test_users_are_members_of_a_registry_with_a_role(seen):
    assert seen["members"].lower() == "viewer" and seen["members left"] is False


def test_teams_are_members_of_a_registry(seen):
    assert "makers" in seen["team members"] and seen["all members"] is True


def test_a_registry_is_edited_renamed_and_deleted(seen):
    assert seen["saved"] == ["narrow", "about", ["dataset", "model"]]
    assert seen["deleted"] == ["models"] and seen["gone"]


def test_deleting_a_registry_leaves_the_linked_versions(seen):
    assert seen["source kept"] is True


def test_an_unknown_organization_is_an_error(seen):
    assert seen["no organization"]
