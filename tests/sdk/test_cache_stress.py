"""One cache directory, everybody at once: mounts that evict and are killed, prefetch that is killed,
and the SDK all the while."""

import fcntl
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import threading

import pytest

from harness import BINARY, Mount, sdk, wandbfs, wait_until

LIMIT = 4 << 20  # about half of the files together: eviction runs all the time
DEATHS = 3

random_bytes = random.Random(5).randbytes
CONTENTS = {
    **{f"d{n % 7}/f{n:03}.bin": random_bytes(200 + n * 250) for n in range(120)},
    # Read in ranges, by way of partial files.
    **{f"large{n}.bin": random_bytes((3 << 19) + n) for n in range(4)},
}

# Again and again until told to stop, and once more after that. The SDK looks into the cache and
# copies a moment later, and does not bear that a file of ours is evicted in between; what it has
# copied it does not fetch again.
DOWNLOADS = """
    import hashlib, shutil
    rounds, last = 0, False
    while not last:
        last = os.path.exists(stop)
        artifact = wandb.Api().artifact(version)
        for attempt in range(100):
            try:
                artifact.download(root=target, skip_cache=False)
                break
            except FileNotFoundError:
                continue
        else:
            raise AssertionError("every attempt lost a file")
        for name, digest in digests.items():
            data = (pathlib.Path(target) / name).read_bytes()
            assert hashlib.md5(data).hexdigest() == digest, name
        shutil.rmtree(target)
        rounds += 1
        pathlib.Path(beat).write_text(str(rounds))
    result = rounds
    """


@pytest.fixture(scope="module")
def version(module_server):
    module_server.log_manifest("stress", "set", CONTENTS)
    return f"{module_server.entity}/stress/set:latest"


class Reader(threading.Thread):
    """Reads every file again and again until told to stop; a mount that was killed ends it."""

    def __init__(self, top: pathlib.Path, names: list[str]):
        super().__init__()
        self.top, self.names = top, names
        self.wrong: list[str] = []
        self.done = self.died = 0
        self.stop = False
        self.start()

    def run(self):
        while not self.stop:
            for name in self.names:
                try:
                    data = (self.top / name).read_bytes()
                except OSError:
                    self.died = 1
                    return
                if data != CONTENTS[name]:
                    self.wrong.append(name)
                self.done += 1


class Downloads(threading.Thread):
    """The SDK, in a process of its own, until told to stop."""

    def __init__(self, home, server, version: str, scratch: pathlib.Path):
        super().__init__()
        self.home, self.server, self.version = home, server, version
        self.scratch, self.beat, self.stop_file = scratch, scratch / "beat", scratch / "stop"
        self.rounds = 0
        self.error: Exception | None = None
        scratch.mkdir()
        self.start()

    def run(self):
        digests = {name: hashlib.md5(data).hexdigest() for name, data in CONTENTS.items()}
        try:
            self.rounds = sdk(
                DOWNLOADS, home=self.home, server=self.server, version=self.version,
                digests=digests, target=self.scratch / "down", beat=self.beat, stop=self.stop_file)
        except Exception as error:  # told by the test's own thread
            self.error = error

    def end(self):
        self.stop_file.touch()
        self.join()


def killed_in_the_middle(server, home, flags, env, version: str, order: list[str]) -> None:
    """A mount and a prefetch, both ended by kill -9 while they fetch."""
    victim = Mount(server, home, *flags)
    fetching = reader = None
    try:
        reader = Reader(victim.path, order)
        fetching = subprocess.Popen(
            [BINARY, "prefetch", *flags[2:], version], env=env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: reader.done >= 30 or reader.died, "the victim reads")
        assert not reader.died, "the victim could not read"
        os.kill(victim.pid, signal.SIGKILL)
        fetching.kill()
        reader.join()
        assert reader.died and not reader.wrong
    finally:
        if fetching:
            fetching.kill()
            fetching.wait()
        subprocess.run(["umount", "-l", str(victim.path)], capture_output=True)
        if reader:
            reader.stop = True
            reader.join()


def test_mounts_that_evict_and_die_share_one_directory_with_the_sdk(module_server, version, home, tmp_path):
    server, names = module_server, list(CONTENTS)
    flags = ("--root", version, "--cache-limit", str(LIMIT))
    env = home.env(server)
    partial, ledger = home.cache / "wandbfs" / "partial", home.cache / "wandbfs" / "ledger"
    readers = []
    downloads = Downloads(home, server, version, tmp_path / "sdk")
    try:
        with Mount(server, home, *flags) as first, Mount(server, home, *flags) as second:
            readers = [Reader(first, names), Reader(second, names[::-1])]
            for death in range(DEATHS):
                # The SDK is at it while they die.
                killed_in_the_middle(server, home, flags, env, version, names[death::2])
            wait_until(lambda: downloads.beat.exists() or downloads.error, "the SDK has a round")
            for reader in readers:
                reader.stop = True
                reader.join()
            assert not any(reader.wrong or reader.died for reader in readers)
            assert all(reader.done > len(names) // 2 for reader in readers)
    finally:
        for reader in readers:
            reader.stop = True
        downloads.end()
    if downloads.error:
        raise downloads.error
    assert downloads.rounds >= 2

    # Nobody who died holds anything up, and nothing wrong stayed.
    with open(ledger, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    verified = json.loads(wandbfs("--json", "cache", "verify", env=env).stdout.splitlines()[-1])
    assert verified["corrupt"] == 0, verified
    lines = wandbfs("--json", "cache", "ls", env=env).stdout.splitlines()
    added = sum(entry["bytes"] for entry in map(json.loads, lines) if entry["by"] == "mount")
    assert 0 < added <= LIMIT
    # The next mount tidies up after the dead, also what a file system without nameless files keeps.
    (partial / "left-behind").write_bytes(b"x")
    with Mount(server, home, *flags) as mount:
        for name in names:
            assert (mount / name).read_bytes() == CONTENTS[name]
        wait_until(lambda: not list(partial.iterdir()), "what the dead left is swept")
