"""When a change is seen (SEMANTICS 3, what this mount changed): at once here, within the TTL
elsewhere, and never half of it by whoever holds a directory or a file open."""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import subprocess

import pytest

from harness import Mount, wait_until
from live_sdk import LiveSdk

TTL = 1  # seconds, of the mount that others change things behind


class World:
    def __init__(self, server, home, sdk: LiveSdk, patient: pathlib.Path, quick: pathlib.Path):
        self.server, self.home, self.sdk = server, home, sdk
        self.patient, self.quick = patient, quick  # mounts that remember for an hour, for a second
        self.numbers = itertools.count()

    def collection(self, versions: int = 1, **files: bytes) -> str:
        """A new collection; its name."""
        name = f"c{next(self.numbers)}"
        for number in range(versions):
            self.log(name, f"{name} {number}", **files)
        return name

    def log(self, name: str, text: str, **files: bytes) -> None:
        self.server.log_manifest("fresh", name, {"a.txt": text.encode(), **files})

    def at(self, mount: pathlib.Path, name: str) -> pathlib.Path:
        return mount / self.server.entity / "fresh" / "dataset" / name

    def change(self, name: str, code: str, **variables) -> None:
        """Changes a version, `a`, or a collection, `c`, with the SDK."""
        self.sdk(f"""
            path = "{self.server.entity}/fresh/{name.split(":")[0]}"
            c = api.artifact_collection("dataset", path)
            a = api.artifact(path + ":{name.partition(":")[2] or "latest"}")
            {code}
        """, **variables)


@pytest.fixture(scope="module")
def world(module_server, module_home):
    with contextlib.ExitStack() as stack:
        sdk = LiveSdk(module_home, module_server)
        stack.callback(sdk.close)
        mounts = [stack.enter_context(Mount(module_server, module_home, "--per-page", "2", "--ttl", ttl))
                  for ttl in ("1h", f"{TTL}s")]
        yield World(module_server, module_home, sdk, *mounts)


@contextlib.contextmanager
def opened(path: pathlib.Path, flags: int = os.O_RDONLY):
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def text_at(directory: int, path: str) -> str:
    with open(os.open(path, os.O_RDONLY, dir_fd=directory)) as file:
        return file.read()


def shell(*command) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# -- what others change --


def test_a_listing_that_was_begun_has_every_name_once_whatever_others_do_meanwhile(world):
    name = world.collection(versions=6)
    with os.scandir(world.at(world.quick, name)) as entries:
        names = [next(entries).name]
        world.change(f"{name}:v3", "a.delete()")
        world.change(f"{name}:v0", 'a.aliases.append("moved"); a.save()')
        world.log(name, "one more")
        names.extend(entry.name for entry in entries)
    assert len(names) == len(set(names)), names
    assert {"collection.json", "v0", "v1", "v2", "v4", "v5", "latest"} <= set(names)
    there = world.at(world.quick, name)
    wait_until(lambda: set(os.listdir(there)) == {
        "collection.json", "latest", "moved", "v0", "v1", "v2", "v4", "v5", "v6"}, "the new listing")


def test_a_metadata_file_that_is_open_says_one_thing(world):
    name = world.collection()
    file = world.at(world.quick, name) / "v0" / "artifact.json"
    with open(file, "rb", buffering=0) as held:
        before = held.read(40)
        world.change(f"{name}:v0", 'a.description = "longer than it was before, by far"; a.save()')
        wait_until(lambda: "by far" in file.read_text(), "whoever opens it now sees the new one")
        held.seek(0)
        whole = held.read()
        assert whole.startswith(before) and json.loads(whole)["description"] in (None, "")
    assert os.stat(file).st_size == len(file.read_bytes())


@pytest.mark.parametrize("cached", [False, True])
def test_content_that_is_open_is_read_to_its_end_when_others_delete_it(world, cached):
    data = os.urandom(5 << 20)
    name = world.collection(**{"large.bin": data})
    version = world.at(world.quick, name) / "v0"
    if cached:
        assert (version / "files" / "large.bin").read_bytes() == data
    with open(version / "files" / "large.bin", "rb", buffering=0) as held:
        assert held.read(4096) == data[:4096]
        world.change(name, "c.delete()")
        wait_until(lambda: not version.parent.exists(), "the collection goes")
        rest = b"".join(iter(lambda: held.read(1 << 20), b""))
    assert data[4096:] == rest


def test_a_directory_that_others_delete_is_gone_and_is_never_another_one(world):
    name = world.collection(versions=2)
    there = world.at(world.quick, name)
    with opened(there, os.O_DIRECTORY), opened(there / "v0", os.O_DIRECTORY) as version:
        before = json.loads(text_at(version, "artifact.json"))
        assert before["name"] == f"{name}:v0"
        world.change(name, "c.delete()")
        world.log(name, "another collection of that name")
        wait_until(lambda: (there / "v0" / "files" / "a.txt").read_text().startswith("another"), "the new one")

        def is_gone() -> bool:
            try:
                said = json.loads(text_at(version, "artifact.json"))
            except OSError as error:
                assert error.errno in (errno.ENOENT, errno.ESTALE), error
                return True
            assert said["id"] == before["id"]
            return False

        wait_until(is_gone, "who is in the old version learns that it is gone")
        # Its content is what it was: a version never becomes another one.
        assert text_at(version, "files/a.txt") == f"{name} 0"


def test_a_name_that_was_not_there_appears(world):
    name = world.collection()
    there = world.at(world.quick, name)
    assert not (there / "v1").exists() and not os.path.lexists(there / "best")
    world.log(name, "one more")
    world.change(f"{name}:v0", 'a.aliases.append("best"); a.save()')
    wait_until(lambda: (there / "v1").exists() and os.path.lexists(there / "best"), "both", deadline=20 * TTL)
    assert os.readlink(there / "latest") == "v1"


def test_an_alias_that_others_move_leads_on_within_the_ttl_and_what_is_open_stays(world):
    name = world.collection(versions=2)
    there = world.at(world.quick, name)
    world.change(f"{name}:v0", 'a.aliases.append("best"); a.save()')
    wait_until(lambda: os.path.lexists(there / "best"), "the alias")
    with open(there / "best" / "files" / "a.txt") as held:
        for target in ("v1", "v0", "v1"):
            for _ in range(3):  # the kernel keeps what it has read
                os.readlink(there / "best")
            world.change(f"{name}:{target}", 'a.aliases.append("best"); a.save()')
            wait_until(lambda: os.readlink(there / "best") == target, "the new target", deadline=20 * TTL)
            assert (there / "best" / "files" / "a.txt").read_text() == f"{name} {target[1]}"
        assert held.read() == f"{name} 0"


def test_a_link_is_made_to_what_the_server_has_now(world):
    name = world.collection(versions=2)
    there = world.at(world.patient, name)
    assert os.readlink(there / "latest") == "v1" and not (there / "v2").exists()
    world.log(name, "logged elsewhere")
    shell("ln", "-s", "v2", there / "by-number")
    world.log(name, "logged elsewhere too")
    shell("ln", "-s", "latest", there / "by-alias")
    assert world.sdk.artifact(f"{world.server.entity}/fresh/{name}:by-number")["version"] == "v2"
    assert world.sdk.artifact(f"{world.server.entity}/fresh/{name}:by-alias")["version"] == "v3"


def test_pinned_aliases_stay_what_they_were_unless_this_mount_moves_them(world):
    name = world.collection(versions=2)
    with Mount(world.server, world.home, "--ttl", f"{TTL}s", "--pin-aliases") as pinning:
        there = world.at(pinning, name)
        assert os.readlink(there / "latest") == "v1"
        world.log(name, "newer")
        world.change(f"{name}:v0", 'a.aliases.append("later"); a.save()')
        wait_until(lambda: (there / "v2").exists() and os.path.lexists(there / "later"), "what is new")
        assert os.readlink(there / "latest") == "v1" and "latest" in os.listdir(there)
        assert (there / "latest" / "files" / "a.txt").read_text() == f"{name} 1"
        world.change(f"{name}:v1", 'a.aliases.append("later"); a.save()')
        wait_until(lambda: "later" in json.loads((there / "v1" / "artifact.json").read_text())["aliases"], "its version")
        assert os.readlink(there / "later") == "v0"
        shell("ln", "-sfn", "v2", there / "later")
        assert os.readlink(there / "later") == "v2"


# -- what this mount changes --


def test_who_is_in_a_collection_goes_on_with_its_new_name(world):
    name = world.collection(versions=2)
    there = world.at(world.patient, name)
    (there / "note.txt").write_text("kept")
    with opened(there, os.O_DIRECTORY) as directory, opened(there / "v1", os.O_DIRECTORY) as version:
        before = sorted(os.listdir(directory))
        shell("mv", there, there.with_name(f"{name}-renamed"))
        assert sorted(os.listdir(directory)) == before
        assert json.loads(text_at(directory, "collection.json"))["name"] == f"{name}-renamed"
        assert text_at(directory, "v0/files/a.txt") == f"{name} 0"
        assert text_at(directory, "note.txt") == "kept"
        assert json.loads(text_at(version, "artifact.json"))["name"] == f"{name}-renamed:v1"
    assert not there.exists()


def test_a_version_that_is_linked_is_the_same_everywhere_at_once(world):
    name = world.collection(versions=3)
    folio = f"{name}-folio"
    for version in ("v0", "v1", "v2"):
        world.change(f"{name}:{version}", f'a.link("{world.server.entity}/fresh/{folio}", aliases=["is-{version}"])')
    there, links = world.at(world.patient, name), world.at(world.patient, folio)
    said = lambda path, field: json.loads((path / "artifact.json").read_text())[field]
    for path in [there, links]:
        assert [said(path / f"v{n}", "description") for n in range(3)] == [None] * 3
        subprocess.run(["ls", "-lR", path], capture_output=True, check=True)
    # Saved at its source, saved through a link: both show both.
    (there / "v0" / "artifact.json").write_text('{"description": "at home"}')
    (links / "v1" / "artifact.json").write_text('{"description": "by a link", "tags": ["seen"]}')
    for path in [there, links]:
        assert [said(path / f"v{n}", "description") for n in range(3)] == ["at home", "by a link", None]
        assert said(path / "v1", "tags") == ["seen"]
    # A new link at once, and a version that goes takes its links along.
    shell("rm", links / "is-v2", links / "is-v1")
    shell("ln", "-s", f"../{name}/v2", links / "again")
    assert os.readlink(links / "again") == "v2"
    assert any(folio in linked for linked in said(there / "v1", "linked_artifacts"))
    shell("rmdir", there / "v1")
    assert sorted(set(os.listdir(links)) - {"collection.json"}) == ["again", "is-v0", "latest", "v0", "v2"]
    assert not (links / "v1").exists()
    shell("rmdir", there)
    assert os.listdir(links) == ["collection.json"]
    assert not (links / "v0").exists() and not os.path.lexists(links / "again")
    assert json.loads((links / "collection.json").read_text())["aliases"] == []


def test_versions_name_the_collections_that_link_them_by_their_new_names_at_once(world):
    name = world.collection()
    folio = f"{name}-folio"
    world.change(f"{name}:v0", f'a.link("{world.server.entity}/fresh/{folio}")')
    there, links = world.at(world.patient, name), world.at(world.patient, folio)
    said = lambda path: json.loads((path / "v0" / "artifact.json").read_text())
    assert said(links)["source_name"] == f"{name}:v0"
    assert said(there)["linked_artifacts"] == [f"{world.server.entity}/fresh/{folio}:v0"]
    shell("mv", there, there.with_name(f"{name}-moved"))
    shell("mv", links, links.with_name(f"{folio}-moved"))
    there, links = there.with_name(f"{name}-moved"), links.with_name(f"{folio}-moved")
    assert said(links)["source_name"] == f"{name}-moved:v0"
    assert said(there)["linked_artifacts"] == [f"{world.server.entity}/fresh/{folio}-moved:v0"]
    assert (there / "v0" / "artifact.json").stat().st_size == len((there / "v0" / "artifact.json").read_bytes())
    shell("rmdir", links / "v0")
    assert said(there)["linked_artifacts"] == []
    shell("ln", "-s", there / "v0", links / "again")
    assert said(there)["linked_artifacts"] == [f"{world.server.entity}/fresh/{folio}-moved:v1"]
    shell("rmdir", links)
    assert said(there)["linked_artifacts"] == []


def test_views_show_a_change_of_this_mount_at_once(world):
    name = world.collection(versions=2)
    there = world.at(world.patient, name)
    runs = there.parent.parent / ".runs" / "rawrun" / "logged"
    assert {f"{name}:v0", f"{name}:v1"} <= set(os.listdir(runs))
    assert os.listdir(there / ".tags" / "red") == []
    with world.server.counted() as again:
        assert {f"{name}:v0", f"{name}:v1"} <= set(os.listdir(runs))
    assert again["graphql"] == 0, "what a run logged is remembered"
    (there / "v0" / "artifact.json").write_text('{"tags": ["red"]}')
    assert os.listdir(there / ".tags" / "red") == ["v0"]
    shell("mv", there, there.with_name(f"{name}-renamed"))
    assert f"{name}-renamed:v0" in os.listdir(runs) and f"{name}:v0" not in os.listdir(runs)
    shell("rmdir", there.with_name(f"{name}-renamed") / "v1")
    assert f"{name}-renamed:v1" not in os.listdir(runs)
