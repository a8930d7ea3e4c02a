"""Many writers, and writers that die."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from harness import Home, Server, wait_until
from release import TALKS

VERSIONS = """query($e: String, $p: String, $c: String!) { project(entityName: $e, name: $p) {
    artifactCollection(name: $c) { ... on ArtifactSequence { artifacts { totalCount edges { version node {
        state versionIndex aliases { alias } currentManifest { id } } } } } } } }"""


class Writer:
    """An SDK process that logs one version; it and the service it started can be killed."""

    def __init__(self, server: Server, home: Home, project: str, collection: str, who: str):
        given = {"project": project, "entity": server.entity, "collection": collection, "who": who}
        self.process = subprocess.Popen(
            [sys.executable, str(TALKS / "one_version.py"), json.dumps(given)], env=home.env(server),
            cwd=home.root / "work", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def version(self) -> str:
        out, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, errors[-3000:]
        return json.loads(out.splitlines()[-1])["version"]

    def kill(self) -> None:
        for pid in [*self._below(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=60)

    def _below(self, pid: int) -> list[int]:
        children = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                    children.append(int(stat.parent.name))
        return [deep for child in children for deep in [*self._below(child), child]]


def versions_of(server: Server, project: str, collection: str) -> list[dict]:
    found = server.graphql(VERSIONS, e=server.entity, p=project, c=collection)["project"]
    collection = found and found["artifactCollection"]
    return [edge["node"] for edge in collection["artifacts"]["edges"]] if collection else []


def test_eight_processes_log_contiguous_versions_and_one_latest(module_server, tmp_path):
    writers = [Writer(module_server, Home(tmp_path / str(n)), "parallel", "common", str(n)) for n in range(8)]
    try:
        given = sorted(writer.version() for writer in writers)
    finally:
        for writer in writers:
            writer.kill()
    assert given == [f"v{n}" for n in range(8)]
    nodes = versions_of(module_server, "parallel", "common")
    assert sorted(node["versionIndex"] for node in nodes) == list(range(8))
    aliases = [alias["alias"] for node in nodes for alias in node["aliases"]]
    assert aliases.count("latest") == aliases.count("newest") == 1
    newest = max(nodes, key=lambda node: node["versionIndex"])
    assert "latest" in [alias["alias"] for alias in newest["aliases"]]


@pytest.mark.parametrize("step", [
    "createArtifact", pytest.param("createArtifactManifest", marks=pytest.mark.slow), pytest.param("createArtifactFiles", marks=pytest.mark.slow),
    "upload", "commitArtifact"])
def test_a_writer_killed_at_a_step_leaves_nothing_listed_and_the_next_try_succeeds(step, module_server, tmp_path):
    home, collection = Home(tmp_path), f"killed-{step}"
    with module_server.knobs(faults=[{"match": step, "count": 1, "kind": "stall"}]):
        module_server.reset()
        writer = Writer(module_server, home, "killed", collection, "x")
        try:
            operation = step[0].upper() + step[1:]
            wait_until(lambda: module_server.requests()["upload"] if step == "upload"
                       else module_server.requests()["by_operation"].get(operation), f"{step} was reached")
        finally:
            writer.kill()
        committed = [node for node in versions_of(module_server, "killed", collection)
                     if node["state"] == "COMMITTED"]
        assert committed == []
    assert Writer(module_server, home, "killed", collection, "x").version() == "v0"
    assert len([n for n in versions_of(module_server, "killed", collection) if n["state"] == "COMMITTED"]) == 1


def moments() -> random.Random:
    seed = int(os.environ.get("WANDBFS_TEST_SEED") or random.randrange(1 << 32))
    print(f"moments of WANDBFS_TEST_SEED={seed}")
    return random.Random(seed)


def check_sound(nodes: list[dict]) -> None:
    """Everything listed is committed with its manifest, numbered without gaps, the newest is `latest`."""
    assert all(node["state"] == "COMMITTED" and node["currentManifest"] for node in nodes)
    assert sorted(node["versionIndex"] for node in nodes) == list(range(len(nodes)))
    latest = [node["versionIndex"] for node in nodes if "latest" in [alias["alias"] for alias in node["aliases"]]]
    assert latest == [len(nodes) - 1] * bool(nodes)


@pytest.mark.slow
def test_writers_killed_at_random_moments_leave_nothing_half_done(module_server, tmp_path):
    when = moments()
    for turn in range(6):
        writer = Writer(module_server, Home(tmp_path / str(turn)), "killed", "any-moment", str(turn))
        # The moment is what varies; nothing is waited for.
        time.sleep(when.uniform(0.5, 3.5))
        writer.kill()
        check_sound(versions_of(module_server, "killed", "any-moment"))
    before = len(versions_of(module_server, "killed", "any-moment"))
    assert Writer(module_server, Home(tmp_path / "last"), "killed", "any-moment", "last").version() == f"v{before}"
    check_sound(versions_of(module_server, "killed", "any-moment"))


@pytest.mark.slow
def test_a_writer_outlives_a_server_that_is_killed_at_random_moments_and_started_again(tmp_path):
    when, data = moments(), tmp_path / "data"
    server = Server(data)
    writer = Writer(server, Home(tmp_path / "home"), "killed", "survives", "x")
    try:
        for _ in range(3):
            time.sleep(when.uniform(0.3, 2))
            server.stop(signal.SIGKILL)
            server = Server(data, listen=server.base_url.removeprefix("http://"))
        assert writer.version() == "v0"
        check_sound(versions_of(server, "killed", "survives"))
    finally:
        writer.kill()
        server.stop()
