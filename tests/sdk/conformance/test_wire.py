"""The wire: operations, filters, orders and pages."""

import json

import pytest
import requests

from operations import OPERATIONS, SLOW

EXPERIMENT = """query($e: String, $p: String, $f: String, $o: String, $n: Int, $a: String) {
    project(entityName: $e, name: $p) { artifactType(name: "dataset") {
        artifactCollection(name: "data") { artifacts(filters: $f, order: $o, first: $n, after: $a) {
            totalCount pageInfo { endCursor hasNextPage } edges { node { versionIndex } } } } } } }"""


def test_every_operation_about_artifacts_is_executed(release, request):
    import test_commands, test_contents, test_editing, test_registry, test_running, test_versions
    talks = [test_commands, test_contents, test_editing, test_registry, test_running, test_versions]
    if release.version != "0.31.0":
        pytest.skip("the list is that of 0.31.0")
    for talk in talks:
        release.seen(talk)
    executed = set(release.operations())
    if request.config.getoption("-m") == "not slow":
        executed |= SLOW.keys()
    assert set(OPERATIONS) - executed == set()
