"""Verbs of the mount that change the server, with the SDK as the witness, in both directions
(SEMANTICS 3): metadata saves, aliases, renames, deletions, links, and what each refuses."""

import contextlib
import errno
import json
import os
import pathlib
import re
import subprocess
import zlib

import pytest
import requests

from harness import Home, Mount, Server, wait_until
from live_sdk import LiveSdk

REASON = "user.wandbfs.error"
QUERIES = pathlib.Path(__file__).parents[2] / "src" / "wandb" / "queries"
MUTATIONS = {name for file in QUERIES.rglob("*.graphql")
             for name in re.findall(r"\bmutation\s+(\w+)", file.read_text())}


class World:
    """One server with one mount and one live SDK; a test takes a collection of its own."""

    def __init__(self, server: Server, home: Home, sdk: LiveSdk, mount: pathlib.Path):
        self.server, self.home, self.sdk, self.mount = server, home, sdk, mount
        self.entity = server.entity

    def collection(self, name: str, versions: int = 1, project: str = "changes",
                   artifact_type: str = "dataset") -> pathlib.Path:
        for number in range(versions):
            self.server.log_manifest(project, name, {"a.txt": f"{name} {number}".encode()},
                                     artifact_type=artifact_type)
        return self.mount / self.entity / project / artifact_type / name

    def name(self, path: pathlib.Path) -> str:
        """The SDK's name of a collection of the mount."""
        entity, project, _, name = path.relative_to(self.mount).parts[:4]
        return f"{entity}/{project}/{name}"

    def see(self, path: pathlib.Path) -> dict | None:
        return self.sdk.collection(self.name(path), path.relative_to(self.mount).parts[2])

    @contextlib.contextmanager
    def mutations(self):
        """Yields a dict that holds the mutations of the block once it is over."""
        seen: dict = {}
        with self.server.counted() as counted:
            yield seen
        seen.update({name: count for name, count in counted["by_operation"].items()
                     if name in MUTATIONS})


@pytest.fixture(scope="module")
def world(module_server, module_home):
    sdk = LiveSdk(module_home, module_server)
    try:
        with Mount(module_server, module_home) as mount:
            yield World(module_server, module_home, sdk, mount)
    finally:
        sdk.close()


@pytest.fixture
def fresh(world, request):
    """A collection of one version for this test only."""
    return world.collection(f"c{zlib.crc32(request.node.nodeid.encode())}")


def edit(path: pathlib.Path, **fields) -> None:
    """What a script does: load, change, dump over the file."""
    text = json.loads(path.read_text())
    text.update(fields)
    with open(path, "w") as file:
        json.dump(text, file)


def refused(call, number: int) -> None:
    with pytest.raises(OSError) as caught:
        call()
    got = caught.value.errno
    assert got == number, f"{errno.errorcode[got]}: {caught.value}"


def reason(path: pathlib.Path) -> str:
    return os.getxattr(path, REASON).decode()


def run(*command, check: bool = True, **options) -> subprocess.CompletedProcess:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=60, **options)
    assert not check or done.returncode == 0, done.stderr
    return done


# -- metadata --


def test_a_saved_collection_changes_what_was_changed_and_nothing_else(world, fresh):
    file = fresh / "collection.json"
    with world.mutations() as seen:
        edit(file, description="from the mount")
    assert sum(seen.values()) == 1, seen
    assert world.see(fresh)["description"] == "from the mount"
    assert json.loads(file.read_text())["description"] == "from the mount"

    with world.mutations() as seen:
        edit(file, tags=["blue", "green"])
    assert world.see(fresh)["tags"] == ["blue", "green"]
    assert world.see(fresh)["description"] == "from the mount"
    with world.mutations() as seen:
        edit(file, tags=["green"], description="")
    assert (world.see(fresh)["tags"], world.see(fresh)["description"] or "") == (["green"], "")


def test_a_save_that_changes_nothing_sends_nothing(world, fresh):
    file = fresh / "collection.json"
    with world.mutations() as seen:
        text = file.read_text()
        file.write_text(text)
        edit(file)  # spelled otherwise
        with open(file, "r+") as same:
            same.write(text)
            same.flush()
            os.fsync(same.fileno())
        os.close(os.open(file, os.O_WRONLY))
        os.close(os.open(file, os.O_WRONLY | os.O_TRUNC))
    assert seen == {}
    assert json.loads(file.read_text()) == json.loads(text)


def test_a_saved_version_changes_its_fields(world, fresh):
    file = fresh / "v0" / "artifact.json"
    before = json.loads(file.read_text())
    edit(file, description="a version", metadata={"accuracy": 0.5, "nested": {"a": [1]}},
         tags=["red"], aliases=[*before["aliases"], "best"])
    seen = world.sdk.artifact(f"{world.name(fresh)}:v0")
    assert seen["description"] == "a version"
    assert seen["metadata"] == {"accuracy": 0.5, "nested": {"a": [1]}}
    assert (seen["tags"], seen["aliases"]) == (["red"], ["best", "latest"])
    assert os.readlink(fresh / "best") == "v0"
    assert json.loads((fresh / "collection.json").read_text())["aliases"].count("best") == 1
    after = json.loads(file.read_text())
    assert {key for key in after if after[key] != before.get(key)} <= {
        "description", "metadata", "tags", "aliases", "updated_at"}
    edit(file, aliases=["latest"], tags=[], description=None)
    seen = world.sdk.artifact(f"{world.name(fresh)}:v0")
    assert (seen["tags"], seen["aliases"], seen["description"] or "") == ([], ["latest"], "")
    assert not os.path.lexists(fresh / "best")


def test_a_field_that_someone_else_changed_meanwhile_is_busy(world, fresh):
    file = fresh / "collection.json"
    text = json.loads(file.read_text())
    change = """
        c = api.artifact_collection("dataset", name)
        c.description = "theirs"
        c.save()
    """
    world.sdk(change, name=world.name(fresh))
    with world.mutations() as seen:
        refused(lambda: file.write_text(json.dumps({**text, "description": "ours"})), errno.EBUSY)
    assert seen == {}
    assert world.see(fresh)["description"] == "theirs"
    assert "description" in reason(file)
    rejected = wait_until((rejection := fresh / "collection.json.rejected").exists, "kept text")
    assert rejected and json.loads(rejection.read_text())["description"] == "ours"
    assert json.loads(file.read_text())["description"] == "theirs"
    # A field that nobody touched is not sent: theirs stays.
    text = json.loads(file.read_text())
    world.sdk(change.replace("theirs", "theirs at last"), name=world.name(fresh))
    file.write_text(json.dumps({**text, "tags": ["ours"]}))
    seen = world.see(fresh)
    assert (seen["description"], seen["tags"]) == ("theirs at last", ["ours"])


@pytest.mark.parametrize("text, word", [
    ("{ not json", "JSON"),
    ('["a list"]', ""),
    ({"created_at": "2001-01-01T00:00:00Z"}, "created_at"),
    ({"surprise": 1}, "surprise"),
    ({"tags": ["bad/tag!"]}, "tag"),
    ({"tags": "no list"}, "tags"),
    ({"name": "a/b"}, "name"),
    ({"type": "wandb-reserved"}, "type"),
])
def test_text_that_cannot_be_saved_is_kept_beside(world, fresh, text, word):
    file = fresh / "collection.json"
    before, seen_before = file.read_text(), world.see(fresh)
    if isinstance(text, dict):
        text = json.dumps({**json.loads(before), **text})
    with world.mutations() as seen:
        refused(lambda: file.write_text(text), errno.EINVAL)
    assert seen == {}
    assert word in reason(file)
    wait_until((fresh / "collection.json.rejected").exists, "the rejected text")
    assert (fresh / "collection.json.rejected").read_text() == text
    assert "collection.json.rejected" in run("ls", fresh).stdout
    assert file.read_text() == before
    assert world.see(fresh) == seen_before


@pytest.mark.parametrize("fields, word", [
    (dict(metadata={f"k{n}": n for n in range(101)}), "metadata"),
    (dict(aliases=["latest", "a/b"]), "alias"),
    (dict(tags=["a" * 300]), "tag"),
    (dict(size=1), "size"),
    (dict(digest="0" * 32), "digest"),
])
def test_bad_fields_of_a_version_are_refused_and_change_nothing(world, fresh, fields, word):
    file = fresh / "v0" / "artifact.json"
    before = world.sdk.artifact(f"{world.name(fresh)}:v0")
    with world.mutations() as seen:
        refused(lambda: edit(file, **fields), errno.EINVAL)
    assert seen == {}
    assert word in reason(file)
    assert world.sdk.artifact(f"{world.name(fresh)}:v0") == before


def test_a_save_that_fails_half_way_says_what_was_applied(world, fresh):
    file = fresh / "collection.json"
    fault = dict(match="createArtifactCollectionTagAssignments", count=1000, kind="status", status=403)
    with world.server.knobs(faults=[fault]):
        refused(lambda: edit(file, description="applied", tags=["never"]), errno.EACCES)
    assert (world.see(fresh)["description"], world.see(fresh)["tags"]) == ("applied", [])
    assert "description" in reason(file)
    shown = json.loads(file.read_text())
    assert (shown["description"], shown["tags"]) == ("applied", [])


def test_a_half_written_text_is_saved_when_it_is_whole(world, fresh):
    file = fresh / "collection.json"
    text = json.dumps({**json.loads(file.read_text()), "description": "in two pieces"})
    script = 'exec 3>"$1"; echo -n "$2" >&3; cat "$1"; echo; echo "$3" >&3; exec 3>&-'
    done = run("bash", "-c", script, "-", file, text[:40], text[40:])
    assert done.stdout.startswith(text[:40]), "a file that is being edited shows its buffer"
    assert world.see(fresh)["description"] == "in two pieces"
    assert not (fresh / "collection.json.rejected").exists()


def test_modes_owners_and_times_of_metadata_are_accepted_and_content_refuses_all(world, fresh):
    file = fresh / "collection.json"
    with world.mutations() as seen:
        os.chmod(file, 0o600)
        os.chown(file, os.getuid(), os.getgid())
        os.utime(file)
        assert os.access(file, os.W_OK)
    assert seen == {}
    content = fresh / "v0" / "files" / "a.txt"
    for call in [
        lambda: content.write_text("x"), lambda: os.truncate(content, 0),
        lambda: os.unlink(content), lambda: os.rename(content, content.with_name("b")),
        lambda: os.chmod(content, 0o600), lambda: os.utime(content),
        lambda: content.with_name("new").touch(), lambda: os.mkdir(content.with_name("dir")),
        lambda: os.symlink("a.txt", content.with_name("link")),
    ]:
        refused(call, errno.EROFS)
    assert not os.access(content, os.W_OK)


# -- aliases --


def test_aliases_are_set_moved_and_removed_by_links(world):
    coll = world.collection("aliases", versions=3)
    seen = lambda: {v: a for v, a in world.see(coll)["versions"].items()}
    run("ln", "-s", "v0", coll / "production")
    assert seen()["v0"] == ["production"]
    run("ln", "-sfn", "v1", coll / "production")
    assert (seen()["v0"], seen()["v1"]) == ([], ["production"])
    assert os.readlink(coll / "production") == "v1"
    assert json.loads((coll / "v1" / "artifact.json").read_text())["aliases"] == ["production"]
    assert not [name for name in os.listdir(coll) if name.startswith("Cu")]

    run("ln", "-s", "v0", coll / "staging")
    run("mv", "-T", coll / "staging", coll / "production")
    assert (seen()["v0"], seen()["v1"]) == (["production"], [])
    assert os.readlink(coll / "production") == "v0" and not os.path.lexists(coll / "staging")

    run("rm", coll / "production")
    assert seen()["v0"] == []
    assert not os.path.lexists(coll / "production")


def test_links_that_are_no_aliases_are_refused_with_a_reason(world, fresh):
    for name, target, number in [
        ("v7", "v0", errno.EPERM), ("x", "v99", errno.ENOENT), ("y", "/etc/passwd", errno.EINVAL),
        ("a:b", "v0", errno.EINVAL),
    ]:
        with world.mutations() as seen:
            with pytest.raises(OSError) as caught:
                os.symlink(target, fresh / name)
        assert seen == {} and caught.value.errno in (number, errno.EINVAL, errno.EPERM), (name, caught.value)
        assert reason(fresh), name
    assert world.see(fresh)["versions"] == {"v0": ["latest"]}


def test_an_alias_moved_elsewhere_is_seen_within_the_ttl(world):
    coll = world.collection("elsewhere", versions=2)
    with Mount(world.server, world.home, "--ttl", "1s") as other:
        there = other / coll.relative_to(world.mount)
        assert os.readlink(there / "latest") == "v1"
        world.sdk("""
            a = api.artifact(name + ":v0")
            a.aliases.append("moved")
            a.save()
        """, name=world.name(coll))
        wait_until(lambda: os.path.lexists(there / "moved"), "the new alias")
        world.sdk("""
            a = api.artifact(name + ":v1")
            a.aliases.append("moved")
            a.save()
        """, name=world.name(coll))
        wait_until(lambda: os.readlink(there / "moved") == "v1", "the moved alias")
        assert (there / "moved" / "files" / "a.txt").read_text() == "elsewhere 1"
        world.sdk("""
            c = api.artifact_collection("dataset", name)
            c.description = "said elsewhere"
            c.save()
        """, name=world.name(coll))
        shown = lambda: json.loads((there / "collection.json").read_text())["description"]
        wait_until(lambda: shown() == "said elsewhere", "the new description")
        assert os.stat(there / "collection.json").st_size == len((there / "collection.json").read_bytes())


# -- names and deletions --


def test_mv_renames_a_collection_and_moves_it_to_another_type(world, fresh):
    other_type = world.collection("anchor", artifact_type="model").parent
    renamed = fresh.with_name(fresh.name + "-renamed")
    (fresh / "v0" / "files" / "a.txt").read_text()
    run("mv", fresh, renamed)
    assert world.see(fresh) is None and world.see(renamed)["versions"] == {"v0": ["latest"]}
    assert (renamed / "v0" / "files" / "a.txt").read_text() == fresh.name + " 0"
    assert json.loads((renamed / "collection.json").read_text())["name"] == renamed.name
    assert not fresh.exists()

    run("mv", renamed, other_type)
    moved = other_type / renamed.name
    assert world.see(moved)["type"] == "model" and not renamed.exists()
    assert json.loads((moved / "collection.json").read_text())["type"] == "model"
    assert (moved / "v0" / "files" / "a.txt").read_text() == fresh.name + " 0"


def test_a_collection_renamed_by_its_metadata_has_the_new_name(world, fresh):
    renamed = fresh.with_name(fresh.name + "-by-json")
    edit(fresh / "collection.json", name=renamed.name)
    assert world.see(renamed)["name"] == renamed.name
    assert (renamed / "v0" / "files" / "a.txt").exists()
    wait_until(lambda: not fresh.exists(), "the old name goes")


def test_rmdir_deletes_a_version_and_a_collection(world):
    coll = world.collection("to-delete", versions=3)
    run("ln", "-s", "v0", coll / "kept")
    refused(lambda: os.rmdir(coll / "v0"), errno.EBUSY)
    assert "kept" in reason(coll / "v0")
    run("rmdir", coll / "v1")
    assert sorted(world.see(coll)["versions"]) == ["v0", "v2"]
    assert not (coll / "v1").exists()
    run("rmdir", coll)
    assert world.see(coll) is None and not coll.exists()


def test_aliases_go_with_their_version_where_the_mount_says_so(world):
    coll = world.collection("delete-aliases", versions=2)
    run("ln", "-s", "v0", coll / "named")
    with Mount(world.server, world.home, "--delete-aliases") as other:
        run("rmdir", other / coll.relative_to(world.mount) / "v0")
    assert sorted(world.see(coll)["versions"]) == ["v1"]


def test_what_no_verb_can_do_is_refused_with_a_reason(world, fresh):
    elsewhere = world.collection("x", project="another")
    content = fresh / "v0"
    for call in [
        lambda: os.rmdir(fresh.parent), lambda: os.rmdir(fresh.parent.parent),
        lambda: os.mkdir(fresh.parent / "new"), lambda: os.mkdir(fresh / "draft"),
        lambda: os.mkdir(fresh.parent.parent / "newtype"), lambda: os.rename(content, fresh / "w0"),
        lambda: os.rename(fresh, elsewhere.parent / "moved"), lambda: os.rename(fresh, fresh.parent / "a%2Fb"),
        lambda: (fresh.parent / "file").touch(), lambda: os.link(fresh / "collection.json", fresh / "hard"),
        lambda: os.unlink(fresh / "v0" / "manifest.json"), lambda: os.rename(fresh, fresh.parent / "x" / "y"),
    ]:
        with world.mutations() as seen, pytest.raises(OSError) as caught:
            call()
        assert seen == {}
        assert caught.value.errno in (errno.EPERM, errno.EROFS, errno.EINVAL, errno.EXDEV, errno.ENOENT), caught.value
    assert world.see(fresh)["versions"] == {"v0": ["latest"]}
    assert world.see(elsewhere) is not None


def test_appending_is_an_error_with_a_reason(world, fresh):
    file = fresh / "collection.json"
    done = run("bash", "-c", 'echo "{}" >> "$1"', "-", file, check=False)
    assert done.returncode != 0 and done.stderr
    assert "append" in reason(file)


def test_a_read_only_mount_and_one_without_deletion_hold(world):
    coll = world.collection("guarded", versions=2)
    run("ln", "-s", "v0", coll / "named")
    before = world.see(coll)
    below = coll.relative_to(world.mount)
    with Mount(world.server, world.home, "--read-only") as other, world.mutations() as seen:
        there = other / below
        for call in [
            lambda: (there / "collection.json").write_text("{}"), lambda: os.rmdir(there / "v1"),
            lambda: os.rmdir(there), lambda: os.symlink("v0", there / "new"),
            lambda: os.unlink(there / "named"), lambda: os.rename(there, there.with_name("z")),
            lambda: os.mkdir(there / "d"), lambda: (there / "t").touch(),
            lambda: os.chmod(there / "collection.json", 0o600),
        ]:
            refused(call, errno.EROFS)
    assert seen == {}
    with Mount(world.server, world.home, "--no-delete") as other:
        there = other / below
        with world.mutations() as seen:
            for call in [lambda: os.rmdir(there / "v1"), lambda: os.rmdir(there),
                         lambda: os.unlink(there / "named")]:
                refused(call, errno.EPERM)
                assert "--no-delete" in reason(there)
        assert seen == {}
        assert world.see(coll) == before
        edit(there / "collection.json", description="edits work")
    assert world.see(coll)["description"] == "edits work"


# -- portfolios and registries --


def test_versions_are_linked_into_a_portfolio_and_unlinked(world):
    coll = world.collection("linked", versions=2)
    world.sdk("api.artifact(name + ':v0').link(target)", name=world.name(coll),
              target=f"{world.entity}/changes/folio")
    folio = coll.with_name("folio")
    wait_until(lambda: (folio / "v0").is_dir(), "the portfolio")
    run("ln", "-s", coll / "v1", folio / "best")
    seen = world.see(folio)["versions"]
    assert seen["v1"] == ["best", "latest"] or "best" in seen["v1"], seen
    assert (folio / "best" / "files" / "a.txt").read_text() == "linked 1"
    run("rm", folio / "best")
    run("rmdir", folio / "v0")
    assert sorted(world.see(folio)["versions"]) == ["v1"]
    assert sorted(world.see(coll)["versions"]) == ["v0", "v1"], "the source stays"
    run("rmdir", folio)
    assert world.see(folio) is None and world.see(coll) is not None


def test_mkdir_makes_a_collection_in_a_registry_and_nowhere_else(world):
    team = requests.post(f"{world.server.base_url}/_test/teams", timeout=60, json={
        "members": [{"username": world.entity, "role": "admin"}]}).json()
    world.server.graphql(
        """mutation($i: UpsertModelInput!) { upsertModel(input: $i) { project { id } } }""",
        i=dict(entityName=team["org_entity"], name="wandb-registry-tools", access="PRIVATE",
               allowAllArtifactTypesInRegistry=False, artifactTypes=[{"name": "dataset"}]))
    shelf = world.mount / team["org_entity"] / "wandb-registry-tools" / "dataset" / "shelf"
    run("mkdir", shelf)
    assert json.loads((shelf / "collection.json").read_text())["is_sequence"] is False
    assert world.see(shelf)["versions"] == {}
    run("rmdir", shelf)
    assert world.see(shelf) is None
    refused(lambda: os.mkdir(world.collection("mkdir").with_name("no-such-thing")), errno.EPERM)


# -- the life of a mount --


def test_a_save_on_its_way_is_finished_before_the_mount_ends(world):
    coll = world.collection("last-words")
    mount = Mount(world.server, world.home)
    file = mount.path / coll.relative_to(world.mount) / "collection.json"
    text = json.dumps({**json.loads(file.read_text()), "description": "just in time"})
    status = lambda: json.loads(run(os.environ.get("WANDBFS_BIN", "target/debug/wandbfs"), "status",
                                    "--json", mount.path, env=mount.env).stdout)[0]
    try:
        with world.server.knobs(latency_ms=1500):
            writer = subprocess.Popen(["python3", "-c",
                                       "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", file, text])
            wait_until(lambda: status()["pending_saves"] > 0, "a save on its way")
            mount.unmount()
            assert writer.wait(timeout=60) == 0
    finally:
        if os.path.ismount(mount.path):
            mount.unmount()
    assert world.see(coll)["description"] == "just in time"
