"""One disk, two programs: what the SDK fetched the mount never fetches again, and the reverse."""

import hashlib
import os
import pathlib
import zlib

import pytest

from harness import Mount, sdk

LOG = """
    with wandb.init(project="shared", job_type="upload") as run:
        artifact = wandb.Artifact(name, type="dataset")
        for number in range(20):
            path = pathlib.Path(f"{number}.txt"); path.write_text(f"{name} {number} " * 50)
            artifact.add_file(str(path), skip_cache=True)
        run.log_artifact(artifact).wait()
    """

DOWNLOAD = """
    artifact = wandb.Api().artifact(f"shared/{name}:latest")
    result = artifact.download(root=target)
    artifact.verify(target)
    """


@pytest.fixture
def logged(module_server, module_home, request):
    name = "set-" + str(zlib.crc32(request.node.name.encode()))
    sdk(LOG, home=module_home, server=module_server, name=name)
    return name


def read_through(mount: pathlib.Path, server, name: str) -> dict[str, bytes]:
    files = mount / server.entity / "shared" / "dataset" / name / "latest" / "files"
    return {entry: (files / entry).read_bytes() for entry in os.listdir(files)}


def test_what_mount_fetched_is_a_hit_for_download(module_server, home, logged, tmp_path):
    with Mount(module_server, home) as mount:
        seen_by_mount = read_through(mount, module_server, logged)
    with module_server.counted() as seen:
        sdk(DOWNLOAD, home=home, server=module_server, name=logged, target=tmp_path / "down")
    assert seen["blob"] == 0, seen
    assert {f.name: f.read_bytes() for f in (tmp_path / "down").iterdir()} == seen_by_mount


def test_what_download_fetched_is_a_hit_for_the_mount(module_server, home, logged, tmp_path):
    sdk(DOWNLOAD, home=home, server=module_server, name=logged, target=tmp_path / "down")
    with Mount(module_server, home) as mount, module_server.counted() as seen:
        seen_by_mount = read_through(mount, module_server, logged)
    assert seen["blob"] == 0, seen
    assert {f.name: f.read_bytes() for f in (tmp_path / "down").iterdir()} == seen_by_mount


def test_the_cached_file_has_the_place_and_bytes_of_the_sdk(module_server, home, logged):
    with Mount(module_server, home) as mount:
        contents = read_through(mount, module_server, logged)
    for data in contents.values():
        digest = hashlib.md5(data).hexdigest()
        cached = home.cache / "artifacts" / "obj" / "md5" / digest[:2] / digest[2:]
        assert cached.read_bytes() == data
        umask = os.umask(0)
        os.umask(umask)
        assert cached.stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_second_mount_of_the_same_cache_fetches_no_content(module_server, home, logged):
    with Mount(module_server, home) as mount:
        first = read_through(mount, module_server, logged)
    with Mount(module_server, home) as mount, module_server.counted() as seen:
        assert read_through(mount, module_server, logged) == first
    assert seen["blob"] == 0 and seen["manifest"] == 0, seen
