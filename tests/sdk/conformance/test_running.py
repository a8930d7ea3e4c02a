"""Runs, drafts and digests."""

TALK = "running"


def test_logged_artifacts_lists_the_outputs_of_a_run(seen):
    assert {"data:v0", "data:v1", "distant:v0", "spread:v0", "one:v0", "two:v0"} <= set(seen["logged"])


def test_used_artifacts_lists_inputs_and_those_from_another_project_keep_it(seen):
    assert ["data:v0", "running"] in seen["used"] and ["distant:v0", "running"] in seen["used"]


def test_a_draft_passed_to_use_artifact_is_an_input_and_no_output(seen):
    assert ["input-only:v0", "running-2"] in seen["used"]


def test_the_lengths_of_inputs_and_outputs_are_told(seen):
    assert seen["counts"][0] == len(seen["used"]) and seen["counts"][1] >= 1


def test_used_by_and_logged_by_name_the_runs(seen):
    assert (seen["logged by"], seen["used by"], seen["not used"]) == ("producer", ["consumer"], [])


def test_a_past_run_records_a_use_and_an_output(seen):
    assert seen["used afterwards"] == ["distant:v0"] and seen["logged afterwards"] is True


def test_an_incremental_artifact_has_the_base_and_the_changes(seen):
    assert seen["incremental"] == "v1"
    assert seen["incremental tree"] == {"keep": "changed", "drop": "d", "dir/same": "s", "more": "m"}


def test_distributed_writers_merge_into_one_version(seen):
    assert seen["finished"] == "v0"
    assert seen["spread"] == [{f"part{n}": str(n) for n in range(4)}, 1]


def test_a_draft_of_a_version_adds_and_removes(seen):
    assert seen["draft"] == ["v2", {"keep": "k", "dir/same": "s", "added": "a"}]


def test_a_reference_to_a_draft_becomes_one_to_the_artifact(seen):
    assert seen["borrowed"] == ["wandb-artifact", {"borrowed": "client", "own": "o"}]


def test_models_are_logged_used_and_linked(seen):
    assert seen["model used"] and seen["registered"] == ["net:v0"]


def test_both_storage_layouts_are_written_and_read(seen):
    # Core writes V2 into the manifest whatever the Python side chose.
    assert seen["layouts"]["data:v0"] == "V2" and seen["layout1"] == {"f": "v1 layout"}


def test_an_unknown_storage_region_is_an_error_that_names_it(seen):
    assert "nowhere" in seen["region"]


def test_the_storage_region_reaches_the_manifest(seen):
    assert seen["region kept"] == "default"


def test_xxh128_digests_are_kept_and_verified(seen):
    digest, algorithm, files, extra = seen["xxh128"]
    assert digest == "e913efb2b5f13c3059c73b5605c03403" and algorithm == "MANIFEST_XXH128"
    assert files == {"a.txt": "hello"} and extra == {"alg": "XXH128"}


def test_an_md5_collection_stays_md5(seen):
    assert seen["md5 stays"] == "MANIFEST_MD5"


def test_md5_digests_are_those_of_the_test_vectors(seen):
    assert seen["md5"] == ["541f289bb3c6ae786d51e7288e523543", "64e7c61456b10382e2f3b571ac24b659"]


def test_a_resumed_run_goes_on_logging(seen):
    assert seen["resumed"] == ["resumable:v0", "resumable:v1"]


def test_an_offline_run_is_synced_later(seen):
    assert seen["not yet"] is False
    assert seen["synced"] == {"f": "kept for later"} and seen["synced run"] == "offline"
