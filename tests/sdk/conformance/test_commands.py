"""The SDK's command line."""

TALK = "commands"


def test_put_uploads_a_directory_a_file_and_a_reference(seen):
    assert [code for code, _ in seen["put"]] == [0, 0, 0], seen["put"]
    assert seen["as put"] == ["dataset", "about it", ["first", "latest"], ["sub/f"]]


def test_get_downloads_a_version(seen):
    assert seen["get"][0] == 0 and seen["got"] == {"sub/f": "folder"}
    assert seen["get nothing"] != 0


def test_ls_lists_the_collections_of_a_project(seen):
    code, text = seen["ls"]
    assert code == 0 and "folder:v0" in text and "alone:v0" in text
    assert "folder" not in seen["ls models"][1] and "alone:v0" in seen["ls models"][1]


def test_cache_cleanup_evicts_down_to_a_size(seen):
    assert seen["cleanup"][0] == 0 and seen["cache before"] > 0 == seen["cache after"]
