"""A mount and the SDK against a trivial model (`reference.py`): random trees, random operations by
shell verbs and by the SDK behind the mount's back, compared after every step in what the mount
lists and reads and in what the SDK reads.

What the mount changes it must show at once. What the SDK changes must be shown within the TTL, by
this mount and by one that nobody changes anything through; until then a verb may be refused for
what it could not know, but must neither do something else than was asked nor undo what others did.

The seed is printed; `WANDBFS_MODEL_SEED=N` repeats a run. A failing sequence is shrunk.
"""

import copy
import errno
import functools
import itertools
import json
import os
import pathlib
import random
import subprocess

import hypothesis
import hypothesis.stateful
import hypothesis.strategies as st
import pytest
import requests
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, run_state_machine_as_test

from harness import Mount, wait_until
from live_sdk import LiveSdk
from reference import Project, Refused

TTL = 1  # seconds; what the SDK changed is waited for
TYPES = ("dataset", "model")
# Names of the server and their file names: a name that a fixed file has, and a percent sign.
NAMES = {"alpha": "alpha", "beta": "beta", "gamma-2": "gamma-2", "type.json": "%74ype.json"}
ALIASES = {"best": "best", "on hold": "on hold", "50%41": "50%2541"}
TAGS = ("red", "blue", "by hand")
TEXTS = ("", "one", "two\nlines, \"quoted\"", "ünï")
# What a verb may say of something that the SDK has just changed.
OUTRUN = {errno.ENOENT, errno.EBUSY, errno.EEXIST, errno.ENOTEMPTY}
NUMBERS = {os.strerror(number): number for number in errno.errorcode}

SEE = """
    result = {}
    for kind in api.artifact_types(f"{entity}/{project}"):
        result[kind.name] = {}
        for c in kind.collections():
            versions = {a.version: dict(
                description=a.description or "", metadata=a.metadata, tags=sorted(a.tags),
                ttl=a.ttl and a.ttl.total_seconds(), aliases=sorted(a.aliases)) for a in c.artifacts()}
            result[kind.name][c.name] = dict(
                is_sequence=c.is_sequence(), description=c.description or "", tags=sorted(c.tags),
                aliases={alias: v for v, a in versions.items() for alias in a["aliases"]},
                versions=versions)
"""


def shown_by(top: pathlib.Path) -> dict:
    """Everything that a mount shows of a project, in the words of the model."""
    return {kind: {name: _collection(top / kind / file) for name, file in NAMES.items()
                   if file in listed}
            for kind, listed in ((kind, _listed(top / kind, "type.json")) for kind in _listed(top, "project.json"))}


def _listed(path: pathlib.Path, *fixed: str) -> list[str]:
    names = os.listdir(path)
    assert set(fixed) <= set(names) and len(names) == len(set(names)), (path, names)
    return [name for name in names if name not in fixed]


def _collection(path: pathlib.Path) -> dict:
    names = _listed(path, "collection.json")
    said = json.loads((path / "collection.json").read_text())
    versions = {name: _version(path / name) for name in names if not os.path.islink(path / name)}
    links = {alias: os.readlink(path / file) for alias, file in {**ALIASES, "latest": "latest"}.items()
             if file in names}
    assert len(links) + len(versions) == len(names), names
    for alias, file in ALIASES.items():  # also those that must not be there
        assert os.path.lexists(path / file) == (alias in links), (alias, names)
    for target in links.values():
        assert (path / target / "files" / "a.txt").exists(), links
    assert sorted(said["aliases"]) == sorted(links), (said["aliases"], links)
    assert said["version_count"] == len(versions), said
    return dict(is_sequence=said["is_sequence"], description=said["description"] or "",
                tags=sorted(said["tags"]), aliases=dict(sorted(links.items())), versions=versions)


def _version(path: pathlib.Path) -> dict:
    said = json.loads((path / "artifact.json").read_text())
    return dict(text=(path / "files" / "a.txt").read_text(), description=said["description"] or "",
                metadata=said["metadata"] or {}, tags=sorted(said["tags"]), ttl=said["ttl"],
                aliases=sorted(said["aliases"]))


def shell(*command) -> int | None:
    """Runs a command; the errno that it complains of, or none."""
    env = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env,
                          timeout=60)
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()[-1]
    if " to a subdirectory of itself, " in said:  # the words of `mv` for any EINVAL
        return errno.EINVAL
    said = said.rsplit(": ", 1)[-1]
    assert said in NUMBERS, done.stderr
    return NUMBERS[said]


def call(action) -> int | None:
    try:
        action()
    except OSError as error:
        return error.errno
    return None


class Arena:
    """One server, the mount under test, another one that only looks, and the SDK."""

    def __init__(self, server, home, here: pathlib.Path, elsewhere: pathlib.Path, sdk: LiveSdk):
        self.server, self.home, self.sdk = server, home, sdk
        self.here, self.elsewhere = here, elsewhere
        self.entity, self.numbers = server.entity, itertools.count()
        team = requests.post(f"{server.base_url}/_test/teams", timeout=60, json={
            "members": [{"username": self.entity, "role": "admin"}]}).json()
        self.organization = team["org_entity"]


@pytest.fixture(scope="module")
def arena(module_server, module_home):
    sdk = LiveSdk(module_home, module_server)
    try:
        with Mount(module_server, module_home, "--ttl", f"{TTL}s") as here, \
                Mount(module_server, module_home, "--ttl", f"{TTL}s", "--read-only") as elsewhere:
            yield Arena(module_server, module_home, here, elsewhere, sdk)
    finally:
        sdk.close()


class Nothing(Exception):
    """The tree has nothing that this step could be done to."""


def rule(**strategies):
    """A step of a play; one that finds nothing to do is passed over."""
    def decorate(step):
        @functools.wraps(step)
        def tried(self, **drawn):
            try:
                step(self, **drawn)
            except Nothing:
                pass
            except BaseException:
                self.sound = False
                raise
        return hypothesis.stateful.rule(**strategies)(tried)
    return decorate


def wanted(condition) -> None:
    if not condition:
        raise Nothing


class Play(RuleBasedStateMachine):
    """A project of its own for every sequence of steps."""

    arena: Arena

    def __init__(self):
        super().__init__()
        self.name = f"model-{next(self.arena.numbers)}"
        self.model = Project(types=list(TYPES))
        self.outrun = False  # whether the mount may not know yet what the SDK has done
        self.sound = True  # no step has failed
        self.texts = itertools.count()
        self.late: list[pathlib.Path] = []  # refused texts that may appear yet

    # -- the parts of a step --

    def at(self, kind: str, name: str = "", *rest: str) -> pathlib.Path:
        return self.arena.here.joinpath(self.arena.entity, self.name, kind, NAMES.get(name, name), *rest)

    def sdk_name(self, name: str, index: int | None = None) -> str:
        version = "" if index is None else f":v{index}"
        return f"{self.arena.entity}/{self.name}/{name}{version}"

    def log(self, kind: str, name: str) -> None:
        text = f"{self.name} {name} {next(self.texts)}"
        self.arena.server.log_manifest(self.name, name, {"a.txt": text.encode()}, artifact_type=kind)
        self.model.log(kind, name, text)

    def verb(self, action, change) -> None:
        """Does something through the mount that must do to the server what `change` does to the
        model, or be refused as the model refuses it; then nothing has changed."""
        after, refused = copy.deepcopy(self.model), None
        try:
            change(after)
        except Refused as refusal:
            refused = refusal
        got = action()
        said = "it was done" if got is None else errno.errorcode[got]
        if got is None:
            assert refused is None, f"{said}, and should be {refused}"
            self.model = after
        elif refused is None:
            assert self.outrun and got in OUTRUN, f"{said}, and should be done"
        else:
            assert got in refused.errnos or (self.outrun and got in OUTRUN), f"{said}, and should be {refused}"
        self.compare()

    def behind(self, code: str, **variables) -> None:
        """Does something with the SDK that the mount is not told of."""
        self.arena.sdk(code, **variables)
        self.outrun = True
        self.compare()

    def compare(self) -> None:
        expected = self.model.shown()
        if not self.outrun:
            assert shown_by(self.at("")) == expected
        seen = self.arena.sdk(SEE, entity=self.arena.entity, project=self.name)
        for collections in expected.values():
            for collection in collections.values():
                for version in collection["versions"].values():
                    del version["text"]
        assert seen == expected

    def collection(self, data, sequences: bool | None = None) -> tuple[str, str]:
        """Some collection of the model."""
        names = [(held.type, name) for name, held in sorted(self.model.collections.items())
                 if sequences in (None, held.is_sequence)]
        wanted(names)
        return data.draw(st.sampled_from(names), label="collection")

    def version(self, data, sequences: bool | None = None) -> tuple[str, str, int]:
        versions = [(held.type, name, index) for name, held in sorted(self.model.collections.items())
                    for index in sorted(held.versions) if sequences in (None, held.is_sequence)]
        wanted(versions)
        return data.draw(st.sampled_from(versions), label="version")

    # -- the tree to begin with, and what appears in it --

    @initialize(plan=st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(sorted(NAMES)),
                                        st.integers(1, 3)), min_size=1, max_size=3, unique_by=lambda p: p[1]))
    def some_tree(self, plan):
        for kind in TYPES:  # both types are there, whatever is in them
            self.arena.server.log_manifest(self.name, "first", {"a.txt": b""}, artifact_type=kind)
            self.arena.sdk("api.artifact_collection(kind, name).delete()", kind=kind, name=self.sdk_name("first"))
        for kind, name, versions in plan:
            for _ in range(versions):
                self.log(kind, name)
        self.compare()

    @rule(kind=st.sampled_from(TYPES), name=st.sampled_from(sorted(NAMES)))
    def somebody_logs(self, kind, name):
        held = self.model.collections.get(name)
        wanted(held is None or (held.is_sequence and len(held.versions) < 4))
        self.log(held.type if held else kind, name)
        self.outrun = True

    @precondition(lambda self: self.outrun)
    @rule()
    def time_passes(self):
        self.settle()

    def settle(self) -> None:
        expected = self.model.shown()
        below = pathlib.Path(self.arena.entity, self.name)

        def agrees(mount: pathlib.Path) -> bool:
            for rejected in self.late:
                call(rejected.unlink)
            try:
                return shown_by(mount / below) == expected
            except (OSError, AssertionError):  # caught in the middle of becoming new
                return False

        for mount in (self.arena.here, self.arena.elsewhere):
            try:
                wait_until(lambda: agrees(mount), "the mount shows what others did", deadline=10 * TTL)
            except AssertionError:
                assert shown_by(mount / below) == expected
                raise
        self.outrun, self.late = False, []

    # -- metadata by the mount --

    @rule(data=st.data(), how=st.sampled_from(["dump", "mv", "sed"]), description=st.none() | st.sampled_from(TEXTS),
          tags=st.none() | st.sets(st.sampled_from(TAGS)))
    def edit_collection(self, data, how, description, tags):
        kind, name = self.collection(data)
        file = self.at(kind, name, "collection.json")
        change = self.touched(file, dict(description=description, tags=tags))
        fields = {key: sorted(value) if isinstance(value, set) else value for key, value in change.items()}
        self.verb(lambda: self.write(file, how, fields), lambda model: model.describe(kind, name, **change))

    @rule(data=st.data(), how=st.sampled_from(["dump", "mv"]), description=st.none() | st.sampled_from(TEXTS),
          metadata=st.none() | st.dictionaries(st.sampled_from(["a", "b c"]), st.integers() | st.lists(st.booleans(), max_size=2), max_size=2),
          tags=st.none() | st.sets(st.sampled_from(TAGS)), ttl=st.sampled_from(["as it is", None, 3600, 86400]),
          aliases=st.none() | st.sets(st.sampled_from([*ALIASES, "latest"])))
    def edit_version(self, data, how, description, metadata, tags, ttl, aliases):
        place = self.version(data)
        file = self.at(*place[:2], f"v{place[2]}", "artifact.json")
        change = self.touched(file, dict(
            description=description, metadata=metadata, tags=tags, aliases=aliases))
        if self.outrun:
            ttl = "as it is"
        fields = {key: sorted(value) if isinstance(value, set) else value for key, value in change.items()}
        if ttl != "as it is":
            fields["ttl"] = "inherit" if ttl is None else ttl
        self.verb(lambda: self.write(file, how, fields, null=("ttl",)),
                  lambda model: model.edit(*place, ttl=ttl, **change))

    def touched(self, file: pathlib.Path, change: dict) -> dict:
        """What of a change is one to the text that the mount hands out, which may be an older one than
        the server's: a field that says what it said there is a field that nobody touched."""
        if not self.outrun:
            return change
        try:
            text = json.loads(file.read_text())
        except OSError:
            raise Nothing from None

        def same(key: str, value) -> bool:
            return value == (set(text[key]) if isinstance(value, set) else text[key] or type(value)())

        return {key: None if value is not None and same(key, value) else value for key, value in change.items()}

    def write(self, file: pathlib.Path, how: str, fields: dict, null=()) -> int | None:
        fields = {key: value for key, value in fields.items() if value is not None or key in null}

        def text() -> str:
            return json.dumps({**json.loads(file.read_text()), **fields}, indent=1, ensure_ascii=False)

        def write() -> int | None:
            if how == "mv":
                beside = file.with_name("tmp-by-editor")
                beside.write_text(text())
                try:
                    os.rename(beside, file)
                finally:
                    beside.unlink(missing_ok=True)
            elif how == "sed":  # a partial document is a whole edit
                file.write_text(json.dumps(fields))
            else:
                file.write_text(text())
            return None

        got = call(write)
        self.throw_away_rejected(file, got)
        return got

    def throw_away_rejected(self, file: pathlib.Path, got: int | None) -> None:
        """A text that was refused is kept beside once the file is closed for good; where the mount
        did not know yet that the file is gone, nothing was."""
        rejected = file.with_name(f"{file.name}.rejected")
        if got is None:
            assert rejected in self.late or not rejected.exists()
        elif got == errno.EINVAL or not self.outrun:
            wait_until(rejected.exists, "the rejected text")
        else:
            self.late.append(rejected)
        call(rejected.unlink)

    @rule(data=st.data(), text=st.sampled_from([
        "{", "[]", '{"no such field": 1}', '{"tags": ["a/b"]}', '{"tags": 1}', '{"id": "x"}', '{"description": 7}',
        json.dumps({"metadata": {str(n): n for n in range(101)}}), '{"ttl": -5}', '{"aliases": ["v7"]}', '{"name": "a:b"}',
    ]))
    def edit_is_rejected(self, data, text):
        if '"metadata"' in text or '"ttl"' in text or '"aliases"' in text:
            place = self.version(data)
            file = self.at(*place[:2], f"v{place[2]}", "artifact.json")
        else:
            file = self.at(*self.collection(data), "collection.json")
        rejected = file.with_name(f"{file.name}.rejected")

        def write() -> int | None:
            got = call(lambda: file.write_text(text))
            if got == errno.EINVAL:
                wait_until(rejected.exists, "the rejected text")
                assert rejected.read_text() == text
                assert os.getxattr(file, "user.wandbfs.error")
            self.throw_away_rejected(file, got)
            return got

        def change(model):
            raise Refused(errno.EINVAL)

        self.verb(write, change)

    @rule(data=st.data())
    def a_note_beside_stays_here(self, data):
        wanted(not self.outrun)
        directory = self.at(*self.collection(data))
        note = directory / "note.txt"
        note.write_text("draft")
        assert shell("mv", note, directory / ".note.swp") is None
        assert (directory / ".note.swp").read_text() == "draft" and not note.exists()
        assert shell("rm", directory / ".note.swp") is None
        self.compare()

    # -- names by the mount --

    @rule(data=st.data(), kind=st.sampled_from(TYPES), name=st.sampled_from(sorted(NAMES)))
    def mv_a_collection(self, data, kind, name):
        old = self.collection(data)
        wanted(old != (kind, name))
        self.verb(lambda: shell("mv", "-T", self.at(*old), self.at(kind, name)),
                  lambda model: model.move(*old, kind, name))

    @rule(data=st.data(), name=st.sampled_from(sorted(NAMES)))
    def rename_a_collection_by_its_file(self, data, name):
        kind, old = self.collection(data)
        wanted(old != name)
        self.verb(lambda: self.write(self.at(kind, old, "collection.json"), "dump", {"name": name}),
                  lambda model: model.move(kind, old, kind, name))

    @rule(data=st.data())
    def rmdir_a_collection(self, data):
        place = self.collection(data)
        self.verb(lambda: shell("rmdir", self.at(*place)), lambda model: model.delete(*place))

    @rule(data=st.data())
    def rmdir_a_version(self, data):
        place = self.version(data)
        self.verb(lambda: shell("rmdir", self.at(*place[:2], f"v{place[2]}")),
                  lambda model: model.remove(*place))

    # -- aliases by the mount --

    @rule(data=st.data(), alias=st.sampled_from(sorted(ALIASES)), force=st.booleans())
    def ln_an_alias(self, data, alias, force):
        kind, name, index = self.version(data)
        options = "-sfn" if force else "-sT"
        self.verb(lambda: shell("ln", options, f"v{index}", self.at(kind, name, ALIASES[alias])),
                  lambda model: model.point(kind, name, alias, index, new=not force))

    @rule(data=st.data(), old=st.sampled_from([*ALIASES, "latest"]), alias=st.sampled_from(sorted(ALIASES)))
    def mv_an_alias(self, data, old, alias):
        wanted(old != alias)
        place = self.collection(data)
        self.verb(lambda: shell("mv", "-T", self.at(*place, ALIASES.get(old, old)), self.at(*place, ALIASES[alias])),
                  lambda model: model.rename_alias(*place, old, alias))

    @rule(data=st.data(), alias=st.sampled_from([*ALIASES, "latest"]))
    def rm_an_alias(self, data, alias):
        place = self.collection(data)
        self.verb(lambda: shell("rm", self.at(*place, ALIASES.get(alias, alias))),
                  lambda model: model.remove_alias(*place, alias))

    @rule(data=st.data(), alias=st.sampled_from(sorted(ALIASES)), absolute=st.booleans())
    def ln_into_another_collection(self, data, alias, absolute):
        source = self.version(data, sequences=True)
        target = self.collection(data)
        wanted(target != source[:2])
        path = self.at(*source[:2], f"v{source[2]}")
        if not absolute:
            path = pathlib.Path(os.path.relpath(path, self.at(*target)))
        self.verb(lambda: shell("ln", "-sT", path, self.at(*target, ALIASES[alias])),
                  lambda model: model.link(source, *target, alias, new=True))

    # -- the SDK behind the mount's back --

    @rule(data=st.data(), description=st.sampled_from(TEXTS), tags=st.sets(st.sampled_from(TAGS)))
    def sdk_saves_a_collection(self, data, description, tags):
        kind, name = self.collection(data)
        self.model.describe(kind, name, description, tags)
        self.behind("""
            c = api.artifact_collection(kind, name)
            c.description, c.tags = description, tags
            c.save()
        """, kind=kind, name=self.sdk_name(name), description=description, tags=sorted(tags))

    @rule(data=st.data(), description=st.sampled_from(TEXTS), tags=st.sets(st.sampled_from(TAGS)),
          metadata=st.dictionaries(st.sampled_from(["a", "b c"]), st.integers(0, 9), max_size=2),
          aliases=st.sets(st.sampled_from(sorted(ALIASES))))
    def sdk_saves_a_version(self, data, description, tags, metadata, aliases):
        kind, name, index = self.version(data)
        own = aliases | (self.model.collections[name].of(index) & {"latest"})
        self.model.edit(kind, name, index, description=description, tags=tags, metadata=metadata, aliases=own)
        self.behind("""
            a = api.artifact(name)
            a.description, a.tags, a.metadata, a.aliases = description, tags, metadata, aliases
            a.save()
        """, name=self.sdk_name(name, index), description=description, tags=sorted(tags), metadata=metadata,
            aliases=sorted(own))

    @rule(data=st.data(), kind=st.sampled_from(TYPES), name=st.sampled_from(sorted(NAMES)))
    def sdk_moves_a_collection(self, data, kind, name):
        old = self.collection(data)
        try:
            self.model.move(*old, kind, name)
        except Refused:
            return
        self.behind("""
            c = api.artifact_collection(kind, old)
            c.name = name
            if c.type != new_kind:
                c.type = new_kind
            c.save()
        """, kind=old[0], old=self.sdk_name(old[1]), name=name, new_kind=kind)

    @rule(data=st.data())
    def sdk_deletes_a_version(self, data):
        place = self.version(data, sequences=True)
        self.model.remove(*place, with_aliases=True)
        self.behind("api.artifact(name).delete(delete_aliases=True)", name=self.sdk_name(*place[1:]))

    @rule(data=st.data())
    def sdk_deletes_a_collection(self, data):
        kind, name = self.collection(data)
        self.model.delete(kind, name)
        self.behind("api.artifact_collection(kind, name).delete()", kind=kind, name=self.sdk_name(name))

    @rule(data=st.data(), name=st.sampled_from(sorted(NAMES)), alias=st.sampled_from(sorted(ALIASES)))
    def sdk_links(self, data, name, alias):
        source = self.version(data, sequences=True)
        held = self.model.collections.get(name)
        wanted(held is None or (not held.is_sequence and held.type == source[0]))
        if held is None:
            self.model.make(source[0], name)
        self.model.link(source, source[0], name, alias)
        self.behind("api.artifact(source).link(target, aliases=[alias])", source=self.sdk_name(*source[1:]),
                    target=self.sdk_name(name), alias=alias)

    @rule(data=st.data())
    def sdk_unlinks(self, data):
        place = self.version(data, sequences=False)
        self.model.remove(*place)
        self.behind("api.artifact(name).unlink()", name=self.sdk_name(*place[1:]))

    def teardown(self):
        if self.sound:
            self.settle()


def play(arena: Arena, seed: int, examples: int, steps: int) -> None:
    def setting(name: str, usual: int) -> int:
        return int(os.environ.get(f"WANDBFS_MODEL_{name}", usual))

    seed, examples, steps = setting("SEED", seed), setting("EXAMPLES", examples), setting("STEPS", steps)
    print(f"seed {seed}: WANDBFS_MODEL_SEED={seed} WANDBFS_MODEL_EXAMPLES={examples} "
          f"WANDBFS_MODEL_STEPS={steps} repeats this run")
    profile = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
        report_multiple_bugs=False, suppress_health_check=list(hypothesis.HealthCheck))
    machine = hypothesis.seed(seed)(type("Play", (Play,), dict(arena=arena)))
    run_state_machine_as_test(machine, settings=profile)


def test_a_mount_and_the_sdk_agree_with_the_model(arena):
    play(arena, seed=20261, examples=10, steps=12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_mount_and_the_sdk_agree_with_the_model_for_long(arena):
    play(arena, seed=random.randrange(1 << 32), examples=150, steps=30)
