"""What a look costs, counted by the server from the moment the mount is ready (SEMANTICS 1)."""

import os
import subprocess
import threading

import pytest

from harness import Home, Mount, Server, wait_until

FILES = 100_000
VERSIONS = 10_000


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    """A store filled directly: 10,000 versions of one collection, 100,000 files of one version."""
    data = tmp_path_factory.mktemp("scale")
    Server(data, "--seed", f"versions={VERSIONS}").stop()
    with Server(data, "--seed", f"files={FILES}") as running:
        yield running


def total(counters: dict) -> int:
    return counters["graphql"] + counters["manifest"] + counters["blob"]


def first_file(version: str) -> str:
    """Path of some file, found by walking down the first directory of each level."""
    path = os.path.join(version, "files")
    while True:
        with os.scandir(path) as entries:
            entry = next(iter(entries))
        path = entry.path
        if not entry.is_dir(follow_symlinks=False):
            return path


def test_stat_of_a_file_costs_five_requests_and_then_none(scale, home, tmp_path):
    with Mount(scale, home) as mount:
        file = first_file(f"{mount}/{scale.entity}/scale/dataset/files/v0")
    below = os.path.relpath(file, mount)
    with Mount(scale, Home(tmp_path / "second")) as mount:
        with scale.counted() as cold:
            os.stat(mount / below)
        with scale.counted() as warm:
            os.stat(mount / below)
    assert total(cold) <= 5, cold
    assert total(warm) == 0, warm


def test_the_first_entry_of_ten_thousand_versions_reads_one_page(scale, home):
    with Mount(scale, home) as mount:
        directory = mount / scale.entity / "scale" / "dataset" / "versions"
        os.stat(directory)
        with scale.counted() as seen:
            with os.scandir(directory) as entries:
                next(iter(entries))
    assert seen["graphql"] == 1, seen


def test_the_first_entry_arrives_while_the_second_page_is_held_back(scale, home):
    with Mount(scale, home, "--timeout", "60s") as mount:
        directory = mount / scale.entity / "scale" / "dataset" / "versions"
        os.stat(directory)
        names: list[str] = []
        fault = dict(match="ProjectArtifacts", skip=1, count=1, kind="stall")
        with scale.knobs(faults=[fault]):
            def read_two_pages():
                for entry in os.scandir(directory):
                    names.append(entry.name)
                    if len(names) > 150:
                        return
            reader = threading.Thread(target=read_two_pages)
            reader.start()
            wait_until(lambda: "v9999" in names, "the first page is handed out")
            assert len(names) <= 150 and reader.is_alive()
        reader.join(timeout=60)
        assert not reader.is_alive() and len(names) > 150


def test_a_lookup_by_name_lists_nothing(scale, home):
    with Mount(scale, home) as mount:
        with scale.counted() as seen:
            os.stat(mount / scale.entity / "scale" / "dataset" / "versions" / "v7")
    listings = {name: n for name, n in seen["by_operation"].items()
                if name in ("ProjectArtifacts", "ArtifactTypeArtifactCollections",
                            "ProjectArtifactTypes", "GetProjects")}
    assert listings == {}, seen


def test_ls_lR_of_a_hundred_thousand_files_costs_two_requests(scale, home):
    with Mount(scale, home) as mount:
        version = mount / scale.entity / "scale" / "dataset" / "files" / "v0"
        os.stat(version)
        with scale.counted() as seen:
            listed = subprocess.run(["ls", "-lR", version / "files"], capture_output=True, text=True,
                                    check=True, timeout=300).stdout
    assert sum(line.startswith("-r") for line in listed.splitlines()) == FILES
    assert total(seen) <= 2, seen


@pytest.mark.parametrize("depth", ["", "scale", "scale/dataset", "scale/dataset/files",
                                   "scale/dataset/files/v0"])
def test_ls_l_costs_no_more_than_ls(scale, tmp_path, depth):
    costs = []
    for number, command in enumerate((["ls"], ["ls", "-l"])):
        with Mount(scale, Home(tmp_path / str(number))) as mount:
            directory = mount / scale.entity / depth
            os.stat(directory)
            with scale.counted() as seen:
                subprocess.run([*command, directory], check=True, capture_output=True, timeout=60)
        costs.append(total(seen))
    assert costs[1] <= costs[0], costs


def test_names_that_cannot_be_are_refused_without_a_request(scale, home):
    with Mount(scale, home) as mount:
        with scale.counted() as seen:
            for name in (".git", ".Trash-0", "autorun.inf", ".hidden"):
                assert not os.path.exists(mount / name)
    assert total(seen) == 0, seen


def test_names_that_are_not_there_are_asked_once(scale, home):
    with Mount(scale, home) as mount:
        os.stat(mount / scale.entity)
        with scale.counted() as seen:
            for _ in range(5):
                assert not os.path.exists(mount / scale.entity / "no-such-project")
    assert total(seen) == 1, seen
