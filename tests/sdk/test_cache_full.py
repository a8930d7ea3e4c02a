"""A cache on a disk that is too small, or that somebody else fills: readers get their bytes, nothing
wrong stays, and what was used least lately makes room."""

import contextlib
import fcntl
import json
import os
import pathlib
import random
import subprocess
import threading

import pytest

from harness import Home, Mount, wait_until, wandbfs

KIB = 1 << 10
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")

random_bytes = random.Random(6).randbytes
SMALL = {f"d{n % 4}/s{n:02}.bin": random_bytes(300 * KIB + n) for n in range(30)}
LARGE = {f"large{n}.bin": random_bytes(5 * KIB * KIB + n) for n in range(2)}
CONTENTS = {**SMALL, **LARGE}  # 19 MiB


@pytest.fixture(scope="module")
def files(module_server):
    module_server.log_manifest("full", "set", CONTENTS)
    return "--root", f"{module_server.entity}/full/set:latest", "--cache-limit", "1GiB"


@contextlib.contextmanager
def tmpfs(at: pathlib.Path, options: str):
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def same(top: pathlib.Path, names) -> None:
    wrong = [name for name in names if (top / name).read_bytes() != CONTENTS[name]]
    assert not wrong


def backwards(top: pathlib.Path, name: str) -> None:
    """A large file in the order that wants its beginning last."""
    data, step = CONTENTS[name], 200_001
    with open(top / name, "rb", buffering=0) as file:
        for at in range(len(data) // step * step, -1, -step):
            file.seek(at)
            assert file.read(step) == data[at:at + step], at


def kept(home: Home, env) -> list[dict]:
    lines = wandbfs("--json", "cache", "ls", env=env).stdout.splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == "md5"]


def nothing_wrong(home: Home, env) -> None:
    verified = wandbfs("--json", "cache", "verify", env=env).stdout.splitlines()[-1]
    assert json.loads(verified)["corrupt"] == 0, verified
    partial = home.cache / "wandbfs" / "partial"
    wait_until(lambda: not partial.exists() or not list(partial.iterdir()), "partial files go")


def free(disk: pathlib.Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@needs_root
def test_a_disk_too_small_for_everything_keeps_what_was_used_last(module_server, files, home):
    with tmpfs(home.cache, "size=12m") as disk:
        # Nowhere else to go either: not even in the directory for temporary files.
        env = {"TMPDIR": str(disk)}
        with Mount(module_server, home, *files, env=env) as top:
            for _ in range(2):
                same(top, CONTENTS)
                backwards(top, "large1.bin")
            same(top, list(SMALL)[:5])
            last = {len(SMALL[name]) for name in list(SMALL)[:5]}
            wait_until(lambda: last <= {entry["bytes"] for entry in kept(home, home.env())},
                       "what was read last is there")
            # Five per cent stay free for others.
            wait_until(lambda: free(disk) >= 12 * KIB * KIB // 20, "room for others")
        nothing_wrong(home, home.env())


@needs_root
def test_a_disk_that_somebody_fills_in_the_middle(module_server, files, home):
    with tmpfs(home.cache, "size=24m") as disk:
        env = {"TMPDIR": str(disk)}
        with Mount(module_server, home, *files, env=env) as top:
            same(top, SMALL)
            assert kept(home, home.env())
            with open(top / "large0.bin", "rb", buffering=0) as reader:
                data = CONTENTS["large0.bin"]
                assert reader.read(700_000) == data[:700_000]
                ballast = disk / "ballast"
                with contextlib.suppress(OSError), open(ballast, "wb") as somebody:
                    while True:
                        somebody.write(bytes(64 * KIB))
                rest = b"".join(iter(lambda: reader.read(100_000), b""))
                assert rest == data[700_000:]
            same(top, CONTENTS)
            backwards(top, "large1.bin")
            ballast.unlink()
            # With room again, things are kept again.
            same(top, SMALL)
            wait_until(lambda: len(kept(home, home.env())) >= len(SMALL) // 2, "kept again")
        nothing_wrong(home, home.env())


@needs_root
def test_a_disk_without_inodes_is_a_full_disk(module_server, files, home):
    with tmpfs(home.cache, "size=64m,nr_inodes=60") as disk:
        with Mount(module_server, home, *files, env={"TMPDIR": str(disk)}) as top:
            same(top, CONTENTS)
            same(top, CONTENTS)
        nothing_wrong(home, home.env())


def test_two_mounts_never_keep_more_than_the_limit_at_any_moment(module_server, files, home):
    limit = 3 * KIB * KIB
    flags = (*files[:2], "--cache-limit", str(limit))
    most, over = 0, threading.Event()
    ledger, objects = home.cache / "wandbfs" / "ledger", home.cache / "artifacts" / "obj"

    def measure() -> int:
        """The bytes there, while nobody adds or removes."""
        if not ledger.exists():
            return 0
        with open(ledger, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return sum(path.stat().st_size for path in objects.rglob("*") if path.is_file())

    def watch():
        nonlocal most
        # Mounts ask for the lock again and again: they need moments in which it is free.
        while not over.wait(0.01):
            most = max(most, measure())

    watcher = threading.Thread(target=watch)
    with Mount(module_server, home, *flags) as first, Mount(module_server, home, *flags) as second:
        watcher.start()
        try:
            readers = [threading.Thread(target=same, args=(top, names))
                       for top, names in ((first, list(SMALL)), (second, list(SMALL)[::-1]))]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            # Files find their places behind the readers.
            wait_until(lambda: most > limit // 2, "the cache is in use")
        finally:
            over.set()
            watcher.join()
    assert most <= limit, most
    nothing_wrong(home, home.env())


def test_a_process_that_hangs_with_the_lock_keeps_nobody_from_reading(module_server, files, home):
    names = list(SMALL)
    with Mount(module_server, home, *files) as top:
        same(top, names[:2])
        ledger = home.cache / "wandbfs" / "ledger"
        wait_until(ledger.exists, "something is kept")
        before = len(kept(home, home.env()))
        with open(ledger, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            same(top, names[2:])
            same(top, ["large0.bin"])
        same(top, ["large1.bin"])
        wait_until(lambda: len(kept(home, home.env())) > before, "kept again")
