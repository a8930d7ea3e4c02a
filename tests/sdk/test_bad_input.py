"""Every verb with everything that can be wrong about it: the errno and the reason of SEMANTICS 4,
and nothing changed on the server, as the SDK sees it before and after.

`ROWS` says what each verb answers in each situation; a pair that makes no sense stands in `NEVER`
with the reason, and a pair that stands in neither fails the test of the table itself.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import pathlib

import pytest
import requests

from harness import Mount
from live_sdk import LiveSdk
from test_model import call, shell

PROJECT = "stage"
LONG = "x" * 129
KEYS = {str(n): n for n in range(101)}


@dataclasses.dataclass
class Stage:
    """A mount, seen by somebody, with everything that the verbs are done to."""

    mount: pathlib.Path
    entity: str
    registry: pathlib.Path
    project: str = PROJECT

    def at(self, *parts: str) -> pathlib.Path:
        return self.mount.joinpath(self.entity, self.project, *parts)

    @property
    def data(self) -> pathlib.Path:
        return self.at("dataset", "data")

    @property
    def folio(self) -> pathlib.Path:
        return self.at("dataset", "folio")


CHANGED = {"description": "changed"}


def save(file: pathlib.Path, fields) -> int | None:
    """Writes as `cp` does: the first error counts, and the rest is still closed."""
    text = memoryview(json.dumps(CHANGED if fields is None else fields).encode())

    def write():
        descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC)
        try:
            done = 0
            while done < len(text):
                done += os.write(descriptor, text[done:done + (1 << 20)])
        except OSError:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        os.close(descriptor)

    return call(write)


# What is done: verb -> (stage, value) -> errno. The value is what may be wrong about it.
VERBS = {
    "edit a collection": lambda s, v: save(s.data / "collection.json", v),
    "edit a version": lambda s, v: save(s.data / "v0" / "artifact.json", v),
    "edit a link": lambda s, v: save(s.folio / "v0" / "artifact.json", v),
    "mv a collection": lambda s, v: shell("mv", "-T", s.data, s.data.with_name(v or "renamed")),
    "mv to a type": lambda s, v: shell("mv", "-T", s.at(*(v or ("dataset", "data"))),
                                       s.at("job" if v else "model", (v or ("", "data"))[1])),
    "rmdir a collection": lambda s, v: shell("rmdir", s.data),
    "rmdir a version": lambda s, v: shell("rmdir", s.data / (v or "v2")),
    "rmdir a link": lambda s, v: shell("rmdir", s.folio / "v0"),
    "ln an alias": lambda s, v: shell("ln", "-sT", "v0", s.data / (v or "new")),
    "ln -f an alias": lambda s, v: shell("ln", "-sfn", "v1", s.data / (v or "best")),
    "mv an alias": lambda s, v: shell("mv", "-T", s.data / "best", s.data / (v or "better")),
    "rm an alias": lambda s, v: shell("rm", s.data / (v or "best")),
    "ln into a portfolio": lambda s, v: shell("ln", "-sT", "../data/v1", s.folio / (v or "new")),
    "mkdir": lambda s, v: shell("mkdir", s.registry / (v or "new")),
}
DELETIONS = ("rmdir a collection", "rmdir a version", "rmdir a link", "rm an alias")
SITUATIONS = ("a bad name", "a bad alias", "a bad tag", "a reserved type", "too much", "a bad field",
              "a protected alias", "a key that only reads", "somebody else", "it has vanished", "--read-only",
              "--no-delete", "still in use")
# Verb and situation -> values, the errno, and a word of the reason.
ROWS: dict[tuple[str, str], tuple[list, int, str]] = {
    ("edit a collection", "a bad name"): (
        [{"name": name} for name in ("", "a/b", "a:b", LONG, "nul\0")], errno.EINVAL, "name"),
    ("mv a collection", "a bad name"): (["a:b", "a%2Fb", LONG], errno.EINVAL, "name"),
    ("mkdir", "a bad name"): (["a:b", "a%2Fb", LONG], errno.EINVAL, "name"),
    ("edit a version", "a bad alias"): (
        [{"aliases": ["best", alias]} for alias in ("", "a/b", "a:b", "v7", LONG)], errno.EINVAL, "alias"),
    ("edit a link", "a bad alias"): ([{"aliases": ["v7"]}], errno.EINVAL, "alias"),
    ("ln an alias", "a bad alias"): (["a:b", "a%2Fb", "v07", LONG], errno.EINVAL, "alias"),
    ("ln -f an alias", "a bad alias"): (["a:b", "a%2Fb", "v07", LONG], errno.EINVAL, "alias"),
    ("mv an alias", "a bad alias"): (["a:b", "a%2Fb", "v07", LONG], errno.EINVAL, "alias"),
    ("ln into a portfolio", "a bad alias"): (["a:b", "v07", LONG], errno.EINVAL, "alias"),
    ("edit a collection", "a bad tag"): (
        [{"tags": [tag]} for tag in ("", " a", "a/b", "a.b", LONG)], errno.EINVAL, "tag"),
    ("edit a version", "a bad tag"): ([{"tags": ["good", tag]} for tag in ("", "a:b", LONG)], errno.EINVAL, "tag"),
    ("edit a link", "a bad tag"): ([{"tags": ["a.b"]}], errno.EINVAL, "tag"),
    ("edit a collection", "a reserved type"): (
        [{"type": kind} for kind in ("wandb-history", "job", "", "a/b")], errno.EINVAL, "type"),
    ("mv to a type", "a reserved type"): ([("dataset", "data")], errno.EINVAL, "type"),
    ("edit a collection", "too much"): ([{"description": "x" * (17 << 20)}], errno.ENOSPC, "memory"),
    ("edit a version", "too much"): ([{"metadata": KEYS}], errno.EINVAL, "100"),
    ("edit a link", "too much"): ([{"metadata": KEYS}], errno.EINVAL, "100"),
    ("edit a collection", "a bad field"): (
        [{"id": "other"}, {"surprise": 1}, {"tags": "red"}, {"tags": [1]}, {"description": 1}, {"name": None},
         {"is_sequence": False}, []], errno.EINVAL, ""),
    ("edit a version", "a bad field"): (
        [{"ttl": 0}, {"ttl": -1}, {"ttl": 1.5}, {"ttl": 10 ** 30}, {"metadata": []}, {"aliases": None},
         {"digest": "0"}, {"size": 1}, {"version": "v9"}], errno.EINVAL, ""),
    ("edit a link", "a bad field"): ([{"is_link": False}, {"source_version": "v1"}], errno.EINVAL, ""),
    ("rmdir a version", "still in use"): (["v0", "v1"], errno.EBUSY, "alias"),
    ("mv a collection", "still in use"): (["folio", "other"], errno.ENOTEMPTY, "name"),
    ("edit a collection", "still in use"): ([{"name": "folio"}], errno.EBUSY, "folio"),
    ("ln an alias", "still in use"): (["best"], errno.EEXIST, "taken"),
    ("ln into a portfolio", "still in use"): (["picked"], errno.EEXIST, "taken"),
    ("mkdir", "still in use"): (["shelf"], errno.EEXIST, "there"),
    # Set, taken from another version, taken away: each needs an admin of the team.
    ("edit a version", "a protected alias"): ([{"aliases": ["best", "gold"]}], errno.EACCES, "protected"),
    ("edit a link", "a protected alias"): ([{"aliases": ["latest", "picked", "gold"]}], errno.EACCES, "protected"),
    ("ln an alias", "a protected alias"): (["gold"], errno.EACCES, "protected"),
    ("ln -f an alias", "a protected alias"): (["gold", "silver"], errno.EACCES, "protected"),
    ("mv an alias", "a protected alias"): (["gold", "silver"], errno.EACCES, "protected"),
    ("rm an alias", "a protected alias"): (["silver"], errno.EACCES, "protected"),
    ("ln into a portfolio", "a protected alias"): (["gold"], errno.EACCES, "protected"),
}
for verb in VERBS:
    ROWS[verb, "a key that only reads"] = ([None], errno.EACCES, "")
    ROWS[verb, "somebody else"] = ([None], errno.EACCES, "")
    ROWS[verb, "--read-only"] = ([None], errno.EROFS, "")
    if verb != "mkdir":
        ROWS[verb, "it has vanished"] = ([None], errno.ENOENT, "")
for verb in DELETIONS:
    ROWS[verb, "--no-delete"] = ([None], errno.EPERM, "--no-delete")
ROWS["edit a version", "--no-delete"] = ([{"aliases": []}], errno.EPERM, "--no-delete")
ROWS["edit a link", "--no-delete"] = ([{"aliases": ["latest"]}], errno.EPERM, "--no-delete")

NEVER = {
    "a bad name": "only what names a collection takes a name",
    "a bad alias": "only what names an alias takes one",
    "a bad tag": "only metadata files have tags",
    "a reserved type": "only a collection has a type that can change",
    "too much": "only metadata files have contents",
    "a bad field": "only metadata files have fields",
    "a protected alias": "it touches no alias",
    "it has vanished": "what is to be made was not there before",
    "--no-delete": "it deletes nothing",
    "still in use": "nothing can be in its way",
}

SEE = """
    result = {}
    for project in projects:
        for kind in api.artifact_types(project):
            for c in kind.collections():
                result[f"{project}/{kind.name}/{c.name}"] = [
                    c.id, c.description, sorted(c.tags), c.is_sequence(), sorted(
                        (a.version, a.id, a.description, json.dumps(a.metadata), sorted(a.tags), sorted(a.aliases),
                         str(a.ttl)) for a in c.artifacts())]
"""


class World:
    """A team with a member who is no admin, a stranger, and a mount for each way of looking."""

    def __init__(self, server, home, sdk: LiveSdk, stack: contextlib.ExitStack):
        self.server, self.home, self.sdk, self.stack = server, home, sdk, stack
        self.member = self.post("users", {})
        self.stranger = self.post("users", {})
        team = self.post("teams", {"members": [
            {"username": server.entity, "role": "admin"}, {"username": self.member["username"], "role": "member"}]})
        self.entity, self.registry = team["team"], f"{team['org_entity']}/wandb-registry-stage"
        self.mounts: dict[tuple, pathlib.Path] = {}
        self.build()

    def post(self, what: str, body: dict) -> dict:
        answer = requests.post(f"{self.server.base_url}/_test/{what}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def build(self) -> None:
        organization, registry = self.registry.split("/")
        self.make_project(organization, registry, allowAllArtifactTypesInRegistry=False,
                          artifactTypes=[{"name": "dataset"}])
        self.fill(PROJECT)
        requests.put(f"{self.server.base_url}/_test/entities/{self.entity}", timeout=60,
                     json={"protected_aliases": ["gold", "silver"]}).raise_for_status()
        self.sdk('api.artifact(f"{place}/data:v1").link(f"{registry}/shelf")',
                 place=f"{self.entity}/{PROJECT}", registry=self.registry)

    def make_project(self, entity: str, name: str, access: str = "USER_READ", **more) -> None:
        self.server.graphql(
            "mutation($i: UpsertModelInput!) { upsertModel(input: $i) { project { id } } }",
            i=dict(entityName=entity, name=name, access=access, **more))

    def fill(self, project: str) -> None:
        """Two sequences, a portfolio, aliases on everything, and types without anything in them."""
        self.make_project(self.entity, project)
        for kind in ("job", "model"):
            self.server.graphql(
                "mutation($i: CreateArtifactTypeInput!) { createArtifactType(input: $i) { artifactType { id } } }",
                i=dict(entityName=self.entity, projectName=project, name=kind))
        self.log(project, "data", 3)
        self.log(project, "other", 1)
        self.sdk("""
            a = api.artifact(f"{place}/data:v0")
            a.aliases += ["best", "silver"]
            a.save()
            a.link(f"{place}/folio", aliases=["picked"])
            b = api.artifact(f"{place}/data:v1")
            b.aliases += ["newest"]
            b.save()
        """, place=f"{self.entity}/{project}")

    def log(self, project: str, name: str, versions: int) -> None:
        own, self.server.entity = self.server.entity, self.entity
        try:
            for number in range(versions):
                self.server.log_manifest(project, name, {"a.txt": f"{name} {number}".encode()})
        finally:
            self.server.entity = own

    def state(self, project: str = PROJECT) -> dict:
        return self.sdk(SEE, projects=[f"{self.entity}/{project}", self.registry])

    def stage(self, *flags: str, key: str = "") -> Stage:
        """The same things through a mount with these flags, by the holder of this key."""
        if (flags, key) not in self.mounts:
            env = {"WANDB_API_KEY": key} if key else {}
            self.mounts[flags, key] = self.stack.enter_context(Mount(self.server, self.home, *flags, env=env))
        mount = self.mounts[flags, key]
        return Stage(mount, self.entity, mount.joinpath(*self.registry.split("/"), "dataset"))


@pytest.fixture(scope="module")
def world(module_server, module_home):
    sdk = LiveSdk(module_home, module_server)
    with contextlib.ExitStack() as stack:
        stack.callback(sdk.close)
        yield World(module_server, module_home, sdk, stack)


def staged(world: World, situation: str, verb: str) -> Stage:
    match situation:
        case "a protected alias":
            return world.stage(key=world.member["api_key"])
        case "a key that only reads":
            reading = world.post("users", {"username": world.server.entity, "read_only": True})
            return world.stage(key=reading["api_key"])
        case "somebody else":
            return world.stage(key=world.stranger["api_key"])
        case "--read-only" | "--no-delete":
            return world.stage(situation)
    return world.stage()


def check_reason(stage: Stage, number: int, word: str) -> None:
    """The log of errors has it among its newest lines, and a node that the verb touched too."""
    log = (stage.mount / ".wandbfs" / "errors.log").read_text().splitlines()[-3:]
    lines = [json.loads(line) for line in log]
    told = [line["message"] for line in lines if line["errno"] == errno.errorcode[number]]
    assert told and word in told[-1], log
    kept = []
    for node in (stage.data, stage.data / "collection.json", stage.data / "v0" / "artifact.json",
                 stage.data / "v1", stage.folio, stage.folio / "v0", stage.folio / "v0" / "artifact.json",
                 stage.data.parent, stage.at("model"), stage.at("job"), stage.registry):
        with contextlib.suppress(OSError):
            kept.append(os.getxattr(node, "user.wandbfs.error").decode())
    assert lines[-1]["message"] in kept, (lines[-1], kept)


@pytest.mark.parametrize("verb, situation", ROWS, ids=lambda word: word.replace(" ", "_"))
def test_what_is_wrong_is_refused_with_a_reason_and_changes_nothing(world, verb, situation):
    values, number, word = ROWS[verb, situation]
    if situation == "it has vanished":
        refuse_what_has_vanished(world, verb)
        return
    stage = staged(world, situation, verb)
    before = world.state()
    for value in values:
        got = VERBS[verb](stage, value)
        assert got == number, f"{value!r}: {errno.errorcode.get(got, got)}"
        if number not in (errno.EROFS, errno.EEXIST):  # those the kernel says by itself
            check_reason(stage, number, word)
    assert world.state() == before


def refuse_what_has_vanished(world: World, verb: str) -> None:
    """Deletes it by the SDK while the mount still knows it."""
    project = "gone-" + verb.replace(" ", "-")
    world.fill(project)
    stage = dataclasses.replace(world.stage(), project=project)
    assert shell("ls", "-lR", stage.data, stage.folio, stage.at("model")) is None
    world.sdk("""
        for name in ("folio", "data"):
            api.artifact_collection("dataset", f"{place}/{name}").delete()
    """, place=f"{world.entity}/{project}")
    before = world.state(project)
    got = VERBS[verb](stage, None)
    assert got == errno.ENOENT, errno.errorcode.get(got, got)
    assert world.state(project) == before


def test_every_verb_has_a_row_for_every_situation():
    for verb, situation in itertools.product(VERBS, SITUATIONS):
        assert (verb, situation) in ROWS or situation in NEVER, (verb, situation)
    assert {situation for _, situation in ROWS} == set(SITUATIONS)
    assert {verb for verb, _ in ROWS} == set(VERBS)


def test_a_stranger_does_not_even_see_what_is_private(world):
    world.make_project(world.entity, "private", access="PRIVATE")
    world.log("private", "data", 1)
    stage = dataclasses.replace(world.stage(key=world.stranger["api_key"]), project="private")
    for verb in VERBS:
        if verb != "mkdir":
            assert VERBS[verb](stage, None) == errno.ENOENT, verb
