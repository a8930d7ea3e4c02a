"""One test is one behaviour that the SDK's own tests assert, seen with each release; a run with
WANDBFS_WRITE_TABLE=1 writes docs/CONFORMANCE.md from what passed."""

import os
import pathlib

import pytest

from differences import DIFFERENCES
from release import CURRENT, OLDER, Release, python_of
from table import Table

TABLE = pytest.StashKey()


def pytest_configure(config):
    config.stash[TABLE] = Table()


@pytest.fixture(scope="session", params=[CURRENT, pytest.param(OLDER, marks=pytest.mark.slow)])
def release(request, tmp_path_factory):
    """A release of the SDK with its server; the talks of all collected tests are begun at once."""
    python = python_of(request.param)
    if python is None:
        pytest.skip(f"SDK {request.param} is not installed; scripts/test --slow does it")
    held = Release(request.param, python, tmp_path_factory.mktemp("release"))
    try:
        for module in {item.module for item in request.session.items if hasattr(item.module, "TALK")}:
            held.begin(module)
        yield held
    finally:
        held.close()


@pytest.fixture
def seen(request, release):
    """What the talk of the test's module saw."""
    name = request.function.__name__
    if release.version == OLDER and name in DIFFERENCES:
        request.applymarker(pytest.mark.xfail(reason=DIFFERENCES[name], strict=True))
    return release.seen(request.module)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if item.path.parent == pathlib.Path(__file__).parent:
        item.config.stash[TABLE].note(item, report)


def pytest_sessionfinish(session):
    if os.environ.get("WANDBFS_WRITE_TABLE") == "1":
        path = session.config.rootpath / "docs/CONFORMANCE.md"
        path.write_text(session.config.stash[TABLE].text())
