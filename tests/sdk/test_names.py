"""Manifests that somebody else wrote: nothing outside files/ can be named, nothing is dropped."""

import json
import os

from harness import Mount

CONTENT = b"content of "


def logged(server, collection, keys, **extra):
    contents = {key: CONTENT + str(number).encode() for number, key in enumerate(keys)}
    server.log_manifest("names", collection, {**contents, **extra})
    return set(contents.values())


def every_file(directory) -> dict[str, bytes]:
    return {os.path.relpath(os.path.join(where, name), directory):
            open(os.path.join(where, name), "rb").read()
            for where, _, names in os.walk(directory) for name in names}


def files_of(mount, server, collection):
    return mount / server.entity / "names" / "dataset" / collection / "v0" / "files"


def errors_of(mount) -> str:
    return (mount / ".wandbfs" / "errors.log").read_text()


def test_paths_that_leave_the_artifact_stay_inside_it(server, home):
    keys = ["../../escape", "/etc/passwd", "a/../../b", "./dot", "a//double", "ok.txt"]
    wanted = logged(server, "escape", keys)
    with Mount(server, home) as mount:
        files = every_file(files_of(mount, server, "escape"))
        report = errors_of(mount)
    assert set(files.values()) == wanted, files
    assert files["ok.txt"].startswith(CONTENT)
    assert all(".." not in name.split("/") for name in files)
    for key in ("../../escape", "/etc/passwd"):
        assert key in json.dumps(report) or key in report, report


def test_windows_paths_are_plain_names(server, home):
    keys = ["C:\\temp\\x", "C:/drive", "\\\\host\\share\\f", "back\\slash", "NUL", "trailing. "]
    wanted = logged(server, "windows", keys)
    with Mount(server, home) as mount:
        files = every_file(files_of(mount, server, "windows"))
    assert set(files.values()) == wanted, files
    assert "back\\slash" in files


def test_a_file_that_is_also_a_directory_is_both(server, home):
    wanted = logged(server, "both", ["a", "a/b", "a/c"])
    with Mount(server, home) as mount:
        directory = files_of(mount, server, "both")
        files = every_file(directory)
        assert (directory / "a").is_dir()
        report = errors_of(mount)
    assert set(files.values()) == wanted, files
    assert "both" in report


def test_names_that_differ_in_case_only_are_two_files(server, home):
    wanted = logged(server, "case", ["Readme", "README", "readme"])
    with Mount(server, home) as mount:
        files = every_file(files_of(mount, server, "case"))
    assert set(files) == {"Readme", "README", "readme"} and set(files.values()) == wanted


def test_nul_and_overlong_names_are_reachable(server, home):
    keys = ["nul\0byte", "x" * 300, "d" * 280 + "/inner", "ü" * 200]
    wanted = logged(server, "long", keys)
    with Mount(server, home) as mount:
        directory = files_of(mount, server, "long")
        files = every_file(directory)
        assert all(len(part.encode()) <= 255 for name in files for part in name.split("/"))
    assert set(files.values()) == wanted, files
    assert any("%00" in name for name in files)


def test_percent_signs_are_reversible(server, home):
    wanted = logged(server, "percent", ["a%2Fb", "100%", "a%zz"])
    with Mount(server, home) as mount:
        files = every_file(files_of(mount, server, "percent"))
    assert set(files.values()) == wanted
    assert "100%" in files and "a%zz" in files and "a%2Fb" not in files, files


def test_unusual_characters_are_names_as_they_are(server, home):
    keys = ["with space", "new\nline", "quote'\"", "#hash?query&x=1", "émoji 🦀", "*glob*", "-dash"]
    wanted = logged(server, "unusual", keys)
    with Mount(server, home) as mount:
        files = every_file(files_of(mount, server, "unusual"))
    assert set(files) == set(keys) and set(files.values()) == wanted


def test_an_alias_named_like_a_fixed_file_is_a_link_with_an_escaped_name(server, home):
    artifact = server.log_manifest("names", "aliased", {"f": b"f"})
    server.graphql(
        """mutation($i: AddAliasesInput!) { addAliases(input: $i) { success } }""",
        i=dict(artifactID=artifact, aliases=[dict(
            entityName=server.entity, projectName="names", artifactCollectionName="aliased",
            alias="collection.json")]))
    with Mount(server, home) as mount:
        collection = mount / server.entity / "names" / "dataset" / "aliased"
        names = os.listdir(collection)
        assert json.loads((collection / "collection.json").read_text())["name"] == "aliased"
        assert "%63ollection.json" in names, names
        assert os.readlink(collection / "%63ollection.json") == "v0"


def test_both_storage_layouts_and_files_without_size_are_read(server, home):
    server.log_manifest("names", "layouts", {"v1.txt": b"layout one"}, layout="V1")
    with Mount(server, home) as mount:
        assert (files_of(mount, server, "layouts") / "v1.txt").read_bytes() == b"layout one"
