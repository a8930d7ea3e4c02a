"""`--record-use`: what is read through the mount is an input of the run, as the SDK sees it."""

import os
import subprocess

import pytest

from harness import Home, Mount, Server, sdk, wait_until

LOG = """
    with wandb.init(project="lineage", id=run_id) as run:
        for name in names:
            artifact = wandb.Artifact(name, type="dataset")
            with artifact.new_file("words.txt") as file:
                file.write(name * 100)
            with artifact.new_file("more.txt") as file:
                file.write(name)
            run.log_artifact(artifact).wait()
"""

USED = """
    run = wandb.Api().run(f"lineage/{run_id}")
    result = sorted(artifact.name for artifact in run.used_artifacts())
"""


@pytest.fixture(scope="module")
def lineage(module_server, module_home):
    """Three data sets, and a run that is to have read some of them."""
    sdk(LOG, home=module_home, server=module_server, run_id="writer", names=["one", "two", "three"])
    sdk("wandb.init(project='lineage', id='reader').finish()", home=module_home, server=module_server)
    return module_server


def inputs(server: Server, home: Home, run: str = "reader") -> list[str]:
    return sdk(USED, home=home, server=server, run_id=run)


def recorded(server: Server, run: str) -> int:
    data = server.graphql(
        """query($e: String!, $r: String!) { project(entityName: $e, name: "lineage") {
            run(name: $r) { inputArtifacts(first: 50) { totalCount } } } }""",
        e=server.entity, r=run)
    found = data["project"]["run"]
    return found["inputArtifacts"]["totalCount"] if found else 0


def test_versions_that_are_read_are_inputs_once_and_those_looked_at_are_not(lineage, home):
    with Mount(lineage, home, "--record-use", "lineage/reader") as mount:
        sets = mount / lineage.entity / "lineage" / "dataset"
        with lineage.counted() as looked:
            # Names, attributes and metadata are no use of the content.
            subprocess.run(["ls", "-lR", sets / "three"], check=True, capture_output=True)
            (sets / "three" / "v0" / "artifact.json").read_bytes()
            (sets / "three" / "v0" / "manifest.json").read_bytes()
        with lineage.counted() as read:
            for _ in range(3):
                assert (sets / "one" / "v0" / "files" / "words.txt").read_text() == "one" * 100
                (sets / "one" / "latest" / "files" / "more.txt").read_bytes()
            (sets / "two" / "latest" / "files" / "more.txt").read_bytes()
            wait_until(lambda: recorded(lineage, "reader") == 2, "both versions are recorded")
    assert looked["by_operation"].get("UseArtifact", 0) == 0
    assert read["by_operation"]["UseArtifact"] == 2
    assert inputs(lineage, home) == ["one:v0", "two:v0"]
    # Content that is on disk already is read by the kernel itself, and counts all the same.
    env = {"WANDB_RUN_ID": "second", "WANDB_PROJECT": "lineage"}
    with Mount(lineage, home, "--record-use", "--", env=env) as mount:
        (mount / lineage.entity / "lineage" / "dataset" / "one" / "v0" / "files" / "words.txt").read_bytes()
    assert inputs(lineage, home, "second") == ["one:v0"]


def test_an_outage_neither_blocks_reads_nor_loses_what_was_read(lineage, home):
    # The id alone: the project is that of the configuration.
    with Mount(lineage, home, "--record-use", "third", env={"WANDB_PROJECT": "lineage"}) as mount:
        file = mount / lineage.entity / "lineage" / "dataset" / "two" / "v0" / "files" / "words.txt"
        away = {"match": "UseArtifact", "kind": "status", "status": 503, "count": 1_000_000}
        with lineage.knobs(faults=[away]):
            with lineage.counted() as seen:
                assert file.read_text() == "two" * 100
                wait_until(lambda: lineage.requests()["by_operation"].get("UseArtifact", 0) >= 2,
                           "the server is asked again")
            assert recorded(lineage, "third") == 0
        wait_until(lambda: recorded(lineage, "third") == 1, "recorded once the server is back")
    assert seen["by_operation"]["UseArtifact"] >= 2


def test_without_a_run_the_mount_is_refused_and_says_why(lineage, home, tmp_path):
    point = tmp_path / "point"
    point.mkdir()
    binary = os.environ.get("WANDBFS_BIN", "target/debug/wandbfs")
    done = subprocess.run([binary, "mount", "--record-use", "--", str(point)],
                          env=home.env(lineage), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "WANDB_RUN_ID" in done.stderr
