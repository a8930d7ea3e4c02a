"""Files, downloads, cache and references."""

TALK = "contents"
OWN_SERVER = True  # it makes a URL expire under way
NAMES = ["a/b/empty", "a/one.bin", "ab/c", "again.txt", "odd #?%+ näme.txt", "top.txt"]


def prepare(server):
    """Manifests that the SDK refuses to write: of older and other clients."""
    server.log_manifest(TALK, "up", {"../escaped": b"x"})
    server.log_manifest(TALK, "absolute", {"/escaped": b"x"})
    server.log_manifest(TALK, "drive", {"C:/escaped": b"x"})
    server.log_manifest(TALK, "backslashes", {"..\\escaped": b"x"})
    server.log_manifest(TALK, "share", {"\\\\host\\share\\escaped": b"x"})
    server.log_manifest(TALK, "handV1", {"f": b"one"}, layout="V1")
    server.log_manifest(TALK, "handV2", {"f": b"two"}, layout="V2")
    return {}


def test_download_recreates_the_tree(seen):
    assert seen["tree"] is True and seen["empty"] == {}


def test_size_and_file_count_are_those_of_the_tree(seen):
    assert seen["numbers"] == [256 + 3 + 3 + 3 + 1, 6]


def test_the_default_download_root_is_named_by_collection_and_version(seen):
    assert seen["default root"] == "tree:v0"


def test_path_prefix_is_a_string_prefix(seen):
    assert seen["prefix"] == ["a/b/empty", "a/one.bin", "ab/c", "again.txt"]


def test_one_entry_is_downloaded_and_an_unknown_one_is_an_error(seen):
    assert seen["one entry"] is True and seen["no entry"]


def test_checkout_deletes_what_is_not_in_the_version(seen):
    assert seen["checked out"] is False


def test_verify_finds_a_changed_file(seen):
    assert "top.txt" in seen["verify"]


def test_file_downloads_the_only_file(seen):
    assert seen["single file"] == "right"


def test_the_length_of_files_is_the_number_of_entries(seen):
    assert seen["file count"] == 6 and seen["file names"] == NAMES


def test_files_are_selected_by_names(seen):
    assert seen["by names"] == ["ab/c", "top.txt"]


def test_a_saved_cursor_of_files_resumes_after_the_last_one(seen):
    assert seen["files resumed"] == NAMES


def test_storage_paths_have_the_prefix(seen):
    assert seen["storage paths"] is True


def test_a_file_tells_name_size_digest_and_the_listing_its_path(seen):
    assert seen["a file"] == ["a/one.bin", 256, True, True]
    assert seen["path"][1:] == ["contents", "tree:latest"]


def test_a_direct_url_needs_no_credentials_and_serves_ranges(seen):
    assert seen["direct"] == [200, True, True] and seen["range"] == [True]


def test_content_is_deduplicated_across_collections(seen):
    assert seen["deduplicated"] is True


def test_a_cache_file_of_the_right_size_is_used_without_reading(seen):
    assert seen["places in the cache"] == [1, "md5"]
    assert seen["from the cache"] == {"f": "wrong"}
    assert seen["wrong size in the cache"] == {"f": "right"}


def test_the_cache_can_be_skipped(seen):
    assert seen["skipping the cache"] == {"f": "right"}


def test_a_403_during_a_download_in_parts_refreshes_the_url(seen):
    assert seen["parts"] is True and seen["refreshed"] is True


def test_references_of_every_scheme_are_entries(seen):
    assert {name: scheme for name, (scheme, _) in seen["schemes"].items()} == {
        "tagged": "http", "plain": "http", "unchecked": "http", "local/x": "file", "local/sub/y": "file",
        "file unchecked": "file", "s3": "s3", "gs": "gs", "azure": "https", "tracked": "ftp",
        "other artifact": "wandb-artifact"}
    assert all(digest for _, digest in seen["schemes"].values())


def test_references_with_and_without_checksum(seen):
    assert seen["tagged"] == ["one", 4, True] and seen["unchecked"] is True


def test_references_are_listed_among_the_files(seen):
    assert seen["listed references"] is True


def test_references_are_downloaded_from_where_they_point(seen):
    assert seen["reference downloads"] == ["page", "page", "x!", "y!", "target"]


def test_a_version_is_made_when_the_referenced_object_changes(seen):
    assert seen["web versions"] == ["v0", "v0", "v1"]


def test_a_reference_whose_object_changed_is_an_error(seen):
    assert seen["changed reference"] and seen["changed file"]


def test_missing_references_are_errors(seen):
    assert seen["missing references"] == [True, True, True]


def test_a_tracked_reference_cannot_be_downloaded(seen):
    assert seen["tracked download"]


def test_missing_references_are_errors_at_download_unless_allowed(seen):
    assert seen["missing at download"] and seen["missing allowed"] == {"stays": "stays"}


def test_unsafe_entry_paths_are_refused(seen):
    """Upwards, absolute, with a drive letter, upwards by backslashes, on a share of another machine."""
    assert len(seen["unsafe"]) == 5 and all(seen["unsafe"].values()) and seen["escaped"] is False


def test_a_conflict_of_file_and_directory_is_skipped(seen):
    assert seen["conflict"] == ["a"] + [name for name in NAMES if not name.startswith("a/")]


def test_hand_made_manifests_of_both_layouts_download(seen):
    assert seen["by hand"] == [{"f": "one"}, {"f": "two"}]


def test_core_downloads_by_manifest_entries(seen):
    assert seen["by core"] is True
