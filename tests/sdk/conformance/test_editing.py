"""Edits, links and deletions."""

TALK = "editing"
BASE = "editing"


def test_a_version_reads_back_as_it_was_logged(seen):
    assert seen["as logged"] == ["first", {"a": {"b": [1, None]}}, ["born"], "COMMITTED"]


def test_every_editable_field_of_a_version_saves(seen):
    assert seen["edited"] == ["v0", "second", {"c": 1}, ["one", "two"], ["born", "prod"]]


def test_tags_and_aliases_are_removed_and_a_description_cleared(seen):
    description, metadata, tags, aliases = seen["edited again"]
    assert (description, tags, aliases) == ("", ["two"], ["born"])
    assert seen["prod gone"] is False


def test_nan_in_metadata_becomes_null(seen):
    assert seen["edited again"][1] == {"c": 1, "d": None}


def test_an_alias_is_never_on_two_versions(seen):
    assert seen["moved"] == [[], ["born", "latest"]]


def test_aliases_tags_and_metadata_beyond_the_rules_are_refused(seen):
    assert all(seen["bad aliases"]) and all(seen["bad tags"]) and seen["bad metadata"]


def test_times_and_the_commit_hash_are_given(seen):
    assert all(seen["times"])


def test_a_ttl_is_logged_set_switched_off_and_inherited(seen):
    assert seen["ttl logged"] == 2 * 86400 and seen["ttl set"] == 3 * 3600
    assert seen["ttl none"] is seen["ttl off"] is seen["ttl inherited"] is None
    assert seen["bad ttl"] is True


def test_deleting_a_version_with_aliases_needs_delete_aliases(seen):
    assert "alias" in seen["delete refused"] and seen["still there"] is True
    assert seen["deleted"] == [False, False]


def test_a_deleted_version_is_gone_from_listings(seen):
    assert seen["left"] == ["v2", "v3"]


def test_the_number_of_a_deleted_version_is_not_used_again(seen):
    assert seen["next number"] == "v4"


def test_deleting_a_sequence_removes_it_and_its_versions_from_listings(seen):
    assert seen["sequence deleted"] == [False, False, False]


def test_linking_sets_latest_and_the_given_aliases_in_the_target(seen):
    assert seen["linked"] == {"v0": ["v0", ["prod"], True, "source:v0"],
                              "v1": ["v1", ["beta", "latest"], True, "source:v1"]}


def test_a_link_knows_its_source(seen):
    assert seen["link"][1:] == ["v0", True, True, False]
    assert seen["source artifact"] is True and seen["linked at"] is True


def test_a_link_downloads_the_files_of_its_source(seen):
    assert seen["link downloaded"] == "s"


def test_a_draft_of_a_link_has_the_name_of_the_source(seen):
    assert seen["drafted from link"].split(":")[0] == "source"


def test_aliases_of_a_link_are_its_own_and_the_other_fields_are_the_source_s(seen):
    assert seen["aliases of link"] == [["extra", "prod"], []]
    assert seen["description by link"] == "by the link"


def test_linked_artifacts_counts_the_links_and_unlink_lowers_it(seen):
    entity = seen["links"][0].split("/")[0]
    assert seen["links"] == [f"{entity}/{BASE}-other/shelf:v0", f"{entity}/{BASE}/shelf:v0"]
    assert seen["links after unlink"] == [f"{entity}/{BASE}-other/shelf:v0"]


def test_linking_a_link_links_its_source_and_the_same_version_once(seen):
    assert seen["relinked"] == "v0"


def test_unlinking_a_source_is_an_error(seen):
    assert seen["unlink a source"]


def test_unlinking_leaves_the_source_and_the_other_numbers(seen):
    assert seen["after unlink"] == [False, True, ["v1"]]


def test_deleting_a_link_leaves_the_source(seen):
    assert seen["after delete of a link"] == [False, True]


def test_deleting_a_portfolio_leaves_the_versions_of_the_sequence(seen):
    assert seen["portfolio deleted"] == [False, True]
