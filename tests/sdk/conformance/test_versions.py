"""Versions and collections."""

TALK = "versions"
FIVE = ["v0", "v1", "v2", "v3", "v4"]


def test_equal_content_gives_no_new_version_and_changed_content_does(seen):
    # Whether the "a" after "b" is v0 again (any version counts) or v2 (the newest does) is unconfirmed.
    assert seen["equal"] in (["v0", "v0", "v1", "v0", "v2"], ["v0", "v0", "v1", "v2", "v3"])


def test_latest_follows_the_newest_version_and_an_alias_moves(seen):
    assert seen["aliases"] == {"v0": [], "v1": [], "v2": ["latest", "moving"]}


def test_the_length_of_a_listing_is_the_number_of_versions(seen):
    assert seen["lengths"] == [5, 5, 5]


def test_iteration_over_pages_yields_each_version_once(seen):
    assert seen["ones"] == seen["twos"] == FIVE


def test_a_saved_cursor_resumes_after_the_last_item(seen):
    assert seen["resumed"] == FIVE


def test_plus_and_minus_version_index_order_ascending_and_descending(seen):
    assert (seen["up"], seen["down"]) == (FIVE, FIVE[::-1])


def test_an_order_by_an_unknown_field_is_an_error(seen):
    assert seen["bad order"]


def test_a_malformed_order_is_refused_by_the_client(seen):
    assert seen["bad sort text"]


def test_all_requested_tags_must_be_present(seen):
    assert seen["red"] == ["v0", "v1", "v4"]
    assert seen["red and blue"] == ["v1", "v4"]
    assert seen["no tag"] == []


def test_types_of_a_project_are_listed_and_found(seen):
    assert {"dataset", "letters", "first-type"} <= set(seen["types"])
    assert seen["type"] == ["letters", True]
    assert seen["no type"]


def test_collections_of_a_type_are_listed_and_counted(seen):
    assert seen["letters"] == seen["of api"] == ["alpha", "beta", "gamma"]
    assert seen["count of letters"] == 3


def test_collections_of_a_type_filter_by_name_and_order(seen):
    assert seen["by regex"] == ["alpha", "beta"]
    assert seen["by name order"] == [["alpha", "beta", "gamma"], ["gamma", "beta", "alpha"]]


def test_a_filter_with_an_unknown_operator_is_an_error(seen):
    assert "$near" in seen["bad filter"]


def test_all_collections_of_a_project_are_listed(seen):
    assert seen["whole project"] is True


def test_aliases_of_a_collection_are_deduplicated_and_without_numbers(seen):
    assert seen["collection aliases"]["source"] == ["latest"]
    assert seen["collection aliases"]["portfolio"] == ["chosen", "latest", "second"]


def test_the_aliases_of_source_and_portfolio_are_independent(seen):
    assert [row[4] for row in seen["listed"]] == [["chosen"], ["latest", "second"]]


def test_a_portfolio_numbers_from_v0_and_keeps_the_source_version(seen):
    assert [row[:2] for row in seen["listed"]] == [["v0", "v2"], ["v1", "v0"]]
    assert [row[3] for row in seen["listed"]] == ["pages:v2", "pages:v0"]


def test_is_link_is_right_in_a_listing_of_the_collection(seen):
    assert [row[2] for row in seen["listed"]] == [True, True]
    assert set(seen["source listed"]) == {False}


def test_a_sequence_and_a_portfolio_tell_what_they_are(seen):
    assert seen["is sequence"] == [True, False]


def test_the_type_of_a_portfolio_cannot_be_changed(seen):
    assert seen["portfolio type"]


def test_name_description_type_and_tags_of_a_sequence_save_together(seen):
    assert seen["saved"] == ["renamed", "about it", ["one", "two"], "second-type"]
    assert seen["gone by old name"] is False


def test_a_change_of_type_shows_in_every_version(seen):
    assert seen["types of versions"] == ["second-type", "second-type"]


def test_tags_of_a_collection_can_be_removed_and_its_description_cleared(seen):
    assert seen["saved again"] == ["", ["two"]]


def test_change_type_moves_a_sequence(seen):
    assert seen["changed type"] == "third-type"


def test_name_description_and_tags_of_a_portfolio_save_together(seen):
    assert seen["saved portfolio"] == ["board", "a board", ["kept"]]


def test_invalid_names_are_refused(seen):
    assert all(seen["bad names"]) and all(seen["bad types"]) and all(seen["bad collection names"])


def test_names_beyond_the_creation_rule_are_listed_and_downloaded_if_safe(seen):
    assert seen["wide listed"] is True and seen["wide downloaded"] == ["f"]


def test_a_collection_refuses_an_artifact_of_another_type(seen):
    assert "dataset" in seen["wrong type"] or "other" in seen["wrong type"]


def test_artifact_exists_and_artifact_collection_exists(seen):
    assert seen["exists"] == [True, True, False, False, False, True, True, False, False]


def test_an_unknown_project_or_artifact_is_named_by_the_error(seen):
    assert "unknown" in seen["no project"] and "none" in seen["no artifact"]


def test_a_version_of_another_type_than_asked_is_an_error(seen):
    assert seen["of another type"]


def test_artifact_versions_lists_as_artifacts_does(seen):
    assert sorted(seen["artifact_versions"]) == FIVE


def test_a_version_is_found_by_number_alias_digest_and_commit_hash(seen):
    assert seen["names of one"] == ["v2"] * 5


def test_a_name_without_alias_means_latest(seen):
    assert seen["bare name"] == "v2"


def test_projects_of_an_entity_are_listed(seen):
    assert seen["projects"] is True and seen["project"] is True


def test_the_viewer_is_told(seen):
    assert seen["viewer"]
