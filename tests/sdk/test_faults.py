"""Each kind of fault, and the errno that the caller gets (SEMANTICS 4)."""

import errno
import json
import os
import time
import zlib

import pytest

from harness import Home, Mount

SMALL = b"small content " * 100
LARGE = bytes(range(256)) * 4096 * 12  # 12 MiB: read in ranges


@pytest.fixture
def fresh(module_server, tmp_path, request):
    """A project of its own with one small and one large file, and a home without cache."""
    project = "faults-" + str(zlib.crc32(request.node.nodeid.encode()))
    salt = project.encode()
    contents = {"small.bin": salt + SMALL, "large.bin": salt + LARGE}
    module_server.log_manifest(project, "set", contents)
    return f"{module_server.entity}/{project}/dataset/set/v0/files", contents, Home(tmp_path / "home")


def error_of(call) -> int:
    with pytest.raises(OSError) as caught:
        call()
    return caught.value.errno


@pytest.mark.parametrize("kind", ["status", "reset", "truncate", "corrupt", "expire"])
@pytest.mark.parametrize("name", ["small.bin", "large.bin"])
def test_a_passing_fault_of_a_content_is_not_seen(module_server, fresh, kind, name):
    files, contents, home = fresh
    with Mount(module_server, home) as mount:
        os.stat(mount / files / name)
        with module_server.knobs(faults=[dict(match="blob", count=1, kind=kind, status=503)]):
            try:
                read = (mount / files / name).read_bytes()
            except OSError as error:  # wrong bytes may cost this one read, never serve
                assert kind == "corrupt" and error.errno == errno.EIO
                read = (mount / files / name).read_bytes()
        assert read == contents[name]


@pytest.mark.parametrize("name", ["small.bin", "large.bin"])
def test_lasting_corruption_is_eio_and_leaves_nothing(module_server, fresh, name):
    files, contents, home = fresh
    with Mount(module_server, home) as mount:
        path = mount / files / name
        os.stat(path)
        with module_server.knobs(faults=[dict(match="blob", count=1000, kind="corrupt")]):
            assert error_of(path.read_bytes) == errno.EIO
            log = (mount / ".wandbfs" / "errors.log").read_text()
        records = [json.loads(line) for line in log.splitlines()]
        assert any(r["errno"] == "EIO" and r["path"].endswith(name) for r in records), log
        stored = home.cache / "artifacts" / "obj"
        assert [f for f in stored.rglob("*") if f.is_file()] == []
        assert path.read_bytes() == contents[name]


def test_lasting_5xx_of_a_content_is_eio_within_the_deadline(module_server, fresh):
    files, _, home = fresh
    with Mount(module_server, home, "--timeout", "3s") as mount:
        path = mount / files / "small.bin"
        os.stat(path)
        with module_server.knobs(faults=[dict(match="blob", count=1000, kind="status", status=503)]):
            began = time.monotonic()
            assert error_of(path.read_bytes) == errno.EIO
            assert time.monotonic() - began < 20


@pytest.mark.parametrize("name", ["small.bin", "large.bin"])
def test_a_stalled_content_is_eio_within_the_deadline(module_server, fresh, name):
    files, contents, home = fresh
    with Mount(module_server, home, "--timeout", "2s") as mount:
        path = mount / files / name
        os.stat(path)
        with module_server.knobs(faults=[dict(match="blob", count=1000, kind="stall")]):
            began = time.monotonic()
            assert error_of(path.read_bytes) == errno.EIO
            assert time.monotonic() - began < 20
        assert path.read_bytes() == contents[name]


def test_a_stalled_walk_is_etimedout_within_the_deadline(module_server, fresh):
    files, _, home = fresh
    with Mount(module_server, home, "--timeout", "2s") as mount:
        with module_server.knobs(faults=[dict(match="graphql", count=1000, kind="stall")]):
            began = time.monotonic()
            assert error_of(lambda: os.stat(mount / files)) == errno.ETIMEDOUT
            assert time.monotonic() - began < 20
        assert os.stat(mount / files)


@pytest.mark.parametrize("status, expected", [(401, errno.EACCES), (403, errno.EACCES)])
def test_refusals_of_the_api_are_eacces(module_server, fresh, status, expected):
    files, _, home = fresh
    with Mount(module_server, home) as mount:
        with module_server.knobs(faults=[dict(match="graphql", count=1000, kind="status", status=status)]):
            assert error_of(lambda: os.stat(mount / files)) == expected


@pytest.mark.parametrize("kind", ["status", "reset", "truncate"])
def test_a_passing_fault_of_the_api_is_not_seen(module_server, fresh, kind):
    files, _, home = fresh
    with Mount(module_server, home) as mount:
        with module_server.knobs(
                faults=[dict(match="graphql", count=1, kind=kind, status=502)]):
            assert os.stat(mount / files / "small.bin").st_size > 0


def test_retry_after_is_obeyed(module_server, fresh):
    files, _, home = fresh
    with Mount(module_server, home) as mount:
        fault = dict(match="graphql", count=1, kind="status", status=429, retry_after=2)
        with module_server.knobs(faults=[fault]):
            began = time.monotonic()
            os.stat(mount / files)
            assert time.monotonic() - began >= 2


def test_expired_urls_are_renewed_in_bulk(module_server, tmp_path):
    contents = {f"{n:03}.txt": f"bulk {n}".encode() for n in range(300)}
    module_server.log_manifest("faults-bulk", "set", contents)
    with Mount(module_server, Home(tmp_path / "home")) as mount:
        files = mount / module_server.entity / "faults-bulk" / "dataset" / "set" / "v0" / "files"
        names = sorted(os.listdir(files))
        assert (files / names[0]).read_bytes() == contents[names[0]]
        with module_server.knobs(faults=[dict(match="blob", count=1, kind="expire")]):
            with module_server.counted() as seen:
                for name in names[1:]:
                    assert (files / name).read_bytes() == contents[name]
    assert seen["graphql"] <= 12, seen


def test_why_it_failed_stands_in_an_attribute(module_server, fresh):
    files, _, home = fresh
    with Mount(module_server, home, "--timeout", "2s") as mount:
        path = mount / files / "small.bin"
        os.stat(path)
        with module_server.knobs(faults=[dict(match="blob", count=1000, kind="status", status=500)]):
            assert error_of(path.read_bytes) == errno.EIO
        reason = os.getxattr(path, "user.wandbfs.error").decode()
    assert "500" in reason and "Signature" not in reason and "sig=" not in reason, reason
