"""A mount answers before a large cache was looked at."""

import hashlib
import os
import struct

import pytest

from harness import Mount, wait_until, wandbfs

FILES = 200_000
SIZE = 100
PER_INODE = 60_000  # ext4 has at most 65,000 names for one


def fill(cache) -> None:
    """Contents that a mount added, as names of a few files: blobs and their markers."""
    sources = cache / "sources"
    sources.mkdir()
    for number in range(FILES):
        if number % PER_INODE == 0:
            blob, marker = sources / f"b{number}", sources / f"m{number}"
            blob.write_bytes(bytes(SIZE))
            meta = blob.stat()
            seconds, nanoseconds = divmod(meta.st_mtime_ns, 10**9)
            marker.write_text(f"{meta.st_ino} {seconds}.{nanoseconds:09}\n")
        name = hashlib.md5(str(number).encode()).hexdigest()
        for top, source in (("artifacts/obj/md5", blob), ("wandbfs/index/md5", marker)):
            directory = f"{cache}/{top}/{name[:2]}"
            if number < 20_000:
                os.makedirs(directory, exist_ok=True)
            os.link(source, f"{directory}/{name[2:]}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_mount_answers_and_keeps_before_a_cache_of_200_000_files_is_counted(module_server, home):
    module_server.log_manifest("startup", "set", {"file": b"content"})
    fill(home.cache)
    ledger = home.cache / "wandbfs" / "ledger"
    new = hashlib.md5(b"content").hexdigest()
    blob = home.cache / "artifacts" / "obj" / "md5" / new[:2] / new[2:]

    def counted() -> tuple[int, int]:
        """Bytes, and when they were counted: never is 0."""
        data = ledger.read_bytes() if ledger.exists() else b""
        return struct.unpack("<QQ", data) if len(data) == 16 else (0, 0)

    root = ("--root", f"{module_server.entity}/startup/set:latest", "--cache-limit", "1GiB")
    with Mount(module_server, home, *root) as mount:
        assert counted()[1] == 0, "ready only after the count"
        assert (mount / "file").read_bytes() == b"content"
        wait_until(blob.exists, "it is kept")
        assert counted()[1] == 0, "kept only after the count"
        wait_until(lambda: counted()[1] > 0, "the count ends")
        # The file and its manifest came while it was counted, and count at most twice.
        assert FILES * SIZE < counted()[0] < FILES * SIZE + 10_000
        assert (mount / "file").read_bytes() == b"content"
    du = wandbfs("cache", "du", env=home.env(module_server)).stdout
    assert du.startswith(f"{FILES + 2} files"), du
