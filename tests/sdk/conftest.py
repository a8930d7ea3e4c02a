"""Fixtures: one server for the tests that only read what they wrote themselves, fresh homes."""

import pytest

from harness import Home, Server


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: needs minutes or gigabytes; run by scripts/test --slow")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def module_server(tmp_path_factory):
    """For tests that count requests: nobody else talks to it."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def module_home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))
