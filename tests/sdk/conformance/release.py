"""The releases of the SDK under test, and the conversations (talks) held with each of them.

A talk is a script of `talks/` run by an unmodified release in a process of its own; what it saw is a
dict, and the tests assert on that. So one process serves many behaviours, and the talks of the
collected tests run beside each other.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections import Counter

import pytest

from harness import Home, Server

CURRENT, OLDER = "0.31.0", "0.19.11"
TALKS = pathlib.Path(__file__).parent / "talks"
OLDER_PYTHON = os.environ.get("WANDBFS_OLDER_SDK_PYTHON", "target/venv-0.19/bin/python")
AT_ONCE = 3  # talks in flight: each waits for the network most of its time, and two cores serve them
PATIENCE = 240  # seconds a talk may take; the longest takes about 30 on two idle cores


class Seen(dict):
    """What a talk saw. A thing it did not get to see shows what broke on the way."""

    def __missing__(self, key):
        broken = "\n".join(self.get("broken", [])) or "nothing of the talk failed"
        pytest.fail(f"the talk did not see {key!r}:\n{broken}", pytrace=False)


class Release:
    """One release, one server for its talks (a talk with faults has its own), lazily held talks."""

    def __init__(self, version: str, python: str, directory: pathlib.Path):
        self.version, self.python, self.directory = version, python, directory
        self.server = Server(directory / "server")
        self._pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self._talks: dict[str, concurrent.futures.Future] = {}
        self._lock = threading.Lock()
        self._operations: Counter = Counter()

    def begin(self, module) -> concurrent.futures.Future:
        """Starts the talk of a test module unless it was started before."""
        with self._lock:
            if module.TALK not in self._talks:
                self._talks[module.TALK] = self._pool.submit(self._hold, module)
            return self._talks[module.TALK]

    def seen(self, module) -> Seen:
        return self.begin(module).result()

    def operations(self) -> Counter:
        """Names of the GraphQL operations seen so far, from the shared and the private servers."""
        return self._operations + Counter(self.server.requests()["by_operation"])

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self.server.stop()

    def _hold(self, module) -> Seen:
        home = Home(self.directory / module.TALK)
        if not getattr(module, "OWN_SERVER", False):
            return self._talk(module, home, self.server)
        with Server(self.directory / f"{module.TALK}-server") as server:
            seen = self._talk(module, home, server)
            with self._lock:
                self._operations.update(server.requests()["by_operation"])
            return seen

    def _talk(self, module, home: Home, server: Server) -> Seen:
        variables = {"project": module.TALK, "entity": server.entity, "base_url": server.base_url}
        if prepare := getattr(module, "prepare", None):
            variables |= prepare(server)
        done = subprocess.run(
            [self.python, str(TALKS / f"{module.TALK}.py"), json.dumps(variables)],
            env=home.env(server, variables.get("api_key")), cwd=home.root / "work",
            capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            return Seen(broken=[f"exit {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"])
        return Seen(json.loads(done.stdout.splitlines()[-1]))


def python_of(version: str) -> str | None:
    """The interpreter that has this release; None if it is not installed."""
    if version == CURRENT:
        return sys.executable
    return str(pathlib.Path(OLDER_PYTHON).absolute()) if pathlib.Path(OLDER_PYTHON).exists() else None
